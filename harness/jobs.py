"""Cells as jobs: every cell's images and weights found, checked and hashed, so that its run has an id."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.config import Cell, Loaded, StartFile, canonical_json, hashed_fields, run_id
from harness.config.sweep import LoadedSweep
from harness.downloads import Progress
from harness.errors import ConfigError, Fault, HarnessError, UsageError
from harness.features.sources import WeightsSource, describe, source_hash
from harness.features.vgg import deepest_of, minimum_size_px
from harness.features.weights import load_state, require_layers
from harness.images.files import image_hash, read_image
from harness.images.library import find_image
from harness.images.resize import fit_area, fit_longer_side
from harness.metrics import MINIMUM_SIDE_PX
from harness.runs.prepare import Row, weights_source
from harness.runs.store import Manifest, RunFolder, Status

Part = Literal["grid", "repeat", "again"]
AGAIN = "-again"
"""Ends the id of a run that is computed a second time, so that no mirror takes it for the first."""


@dataclass(frozen=True)
class Job:
    """One cell of an experiment, or one trial of a sweep, and the run that it is.

    Attributes:
        cell: the cell.
        row: the run as plain data.
        height: of the picture, in pixels.
        width: of the picture, in pixels.
        part: ``grid`` has a panel, ``repeat`` is a cell from another seed, ``again`` the same transfer a second time.
    """

    cell: Cell
    row: Row
    height: int
    width: int
    part: Part = "grid"

    @property
    def id(self) -> str:
        """The run id."""
        return self.row.id.removesuffix(AGAIN)

    @property
    def folder(self) -> RunFolder:
        """The run's folder."""
        return RunFolder(self.row.folder)

    @property
    def status(self) -> Status:
        """What the folder says."""
        manifest = self.folder.manifest()
        return manifest.status if manifest else Status.WAITING

    @property
    def batch_key(self) -> str:
        """Jobs with equal keys can share a batch: network, H × W, optimiser, steps, precision and method agree."""
        t = self.row.transfer
        names = ("method", "weights", "pooling", "padding", "normalised", "steps", "optimiser", "precision")
        return canonical_json([self.height, self.width, *(t[name] for name in names)])


class JobMaker:
    """Makes jobs of one file's cells; remembers what was read, so that 20 cells read a photograph once.

    Args:
        loaded: the experiment or sweep.
        out: the folder of all experiments' folders.
        progress: told how far a download of weights is.
    """

    def __init__(self, loaded: Loaded | LoadedSweep, out: Path, progress: Progress | None = None) -> None:
        self.loaded = loaded
        self.out = out
        self.progress = progress
        self._checked: dict[str, Any] = {}

    def make(self, cell: Cell, part: Part = "grid") -> Job:
        """Find and hash a cell's images and weights.

        Raises:
            ConfigError: with everything that is wrong with it, each at its line.
        """
        return _make_job(self.loaded, cell, part, self.out, self._checked, self.progress)


def make_jobs(loaded: Loaded, out: Path, progress: Progress | None = None) -> list[Job]:
    """Find and hash every cell's images and weights: the grid's, then those that the claims' spread needs.

    Raises:
        ConfigError: with everything that is wrong with any cell, each at its line.
    """
    faults: list[Fault] = []
    jobs: list[Job] = []
    maker = JobMaker(loaded, out, progress)
    parts: list[tuple[Part, Sequence[Cell]]] = [
        ("grid", loaded.cells), ("repeat", loaded.repeats), ("again", loaded.again)
    ]  # fmt: skip
    for part, cells in parts:
        for cell in cells:
            try:
                jobs.append(maker.make(cell, part))
            except ConfigError as error:
                faults += error.faults
    first: dict[str, Job] = {}
    for job in jobs:
        if (same := first.setdefault(job.row.id, job)) is not job:
            message = f"the cells ({same.cell.name}) and ({job.cell.name}) are the same picture: their files are equal"
            faults.append(loaded.fault(job.cell, next(iter(job.cell.sources), "content"), f"{message}; keep one"))
    if faults:
        raise ConfigError(list(dict.fromkeys(faults)))
    return jobs


def _make_job(
    loaded: Loaded | LoadedSweep, cell: Cell, part: Part, out: Path, checked: dict[str, Any], progress: Progress | None
) -> Job:
    transfer = cell.transfer.model_dump(mode="json", exclude_none=True)
    faults: list[Fault] = []

    def attempt(field: str, read: Callable[..., Any], *given: Any) -> Any:
        """What ``read`` gives, or None and a fault at the field."""
        key = f"{read.__name__} {given!r}"
        if key not in checked:
            try:
                checked[key] = read(*given)
            except HarnessError as error:
                checked[key] = error
        if isinstance(checked[key], HarnessError):
            faults.append(loaded.fault(cell, field, str(checked[key])))
            return None
        return checked[key]

    names = {"content": cell.transfer.content, "style": cell.transfer.style}
    if isinstance(cell.transfer.start, StartFile):
        names["start"] = cell.transfer.start.file
    images = {name: found for name, given in names.items() if (found := attempt(name, _read_image, given))}
    source = weights_source(transfer)
    weights = attempt("weights", _read_weights, source, progress)
    if weights is not None:
        for side in ("content_layers", "style_layers"):
            for layer in transfer[side]:
                attempt(side, require_layers, weights[1], [layer], describe(source))
    height = width = 0
    if not faults:
        layers = (*transfer["content_layers"], *transfer["style_layers"])
        height, width = attempt("size", _fit_content, images["content"][2], transfer["size"], layers) or (0, 0)
    if not faults:
        attempt("style_scale", _fit_style, images["style"][2], height * width, transfer["style_scale"], layers)
    if faults:
        raise ConfigError(faults)
    files = {name: path for name, (path, _, _) in images.items()}
    hashes = {name: digest for name, (_, digest, _) in images.items()} | {"weights": weights[0]}
    identity = run_id(cell.transfer, {name: hashes[name] for name in hashed_fields(cell.transfer)})
    definition = loaded.sweep if isinstance(loaded, LoadedSweep) else loaded.experiment
    own_id, folder = identity, out / loaded.name / identity
    if part == "again":
        own_id, folder = identity + AGAIN, out / loaded.name / "repeats" / identity
    manifest = Manifest(
        own_id,
        loaded.name,
        label=dict(cell.label),
        provenance={"files": {name: {"name": _plain_name(names, name), "sha256": hashes[name]} for name in hashes}},
        tracking={
            **definition.tracking.model_dump(mode="json"),
            "command": loaded.command(cell),
        },
    )
    return Job(cell, Row(own_id, folder, transfer, files, manifest), height, width, part)


def _plain_name(names: Mapping[str, str], name: str) -> str:
    """A file's name without its folders, which would tell W&B who and where the user is."""
    return Path(names[name]).name if name in names else name


def _read_image(name_or_path: str) -> tuple[str, str, tuple[int, int]]:
    """Path, hash, and height and width of an image, read whole: a truncated one is found now, not in an hour."""
    path = find_image(name_or_path)
    height, width = read_image(path).shape[:2]
    return str(path), image_hash(path), (height, width)


def _read_weights(source: WeightsSource, progress: Progress | None) -> tuple[str, tuple[str, ...]]:
    """Hash and layers of a network's weights, downloaded where they must be."""
    return source_hash(source), load_state(source, progress).layers


def _fit_content(shape: tuple[int, int], size_px: int, layers: Sequence[str]) -> tuple[int, int]:
    """Height and width of the picture, checked against the deepest layer and against what can be measured."""
    height, width = fit_longer_side(*shape, size_px)
    needed = minimum_size_px(deepest_of(layers)) if layers else 1
    if min(height, width) < max(needed, MINIMUM_SIDE_PX):
        what = deepest_of(layers) if needed >= MINIMUM_SIDE_PX else "a picture whose numbers are measured"
        raise UsageError(
            f"size {size_px} makes this photograph {width}×{height} px, but {what} needs at least "
            f"{max(needed, MINIMUM_SIDE_PX)} px on the shorter side; ask for a larger size, or for layers less deep"
        )
    return height, width


def _fit_style(shape: tuple[int, int], area_px: int, style_scale: float, layers: Sequence[str]) -> None:
    """Check the painting's size at the photograph's area against the deepest layer and what can be measured."""
    height, width = fit_area(*shape, area_px, style_scale)
    needed = minimum_size_px(deepest_of(layers)) if layers else 1
    if min(height, width) < needed:
        raise UsageError(
            f"style_scale {style_scale} makes this painting {width}×{height} px, but {deepest_of(layers)} needs at "
            f"least {needed} px on the shorter side; ask for a larger size or style_scale"
        )
    height, width = fit_area(*shape, area_px, 1.0)
    if min(height, width) < MINIMUM_SIDE_PX:
        raise UsageError(
            f"at the photograph's area this painting is {width}×{height} px, too narrow to be measured: at least "
            f"{MINIMUM_SIDE_PX} px are needed on the shorter side; ask for a larger size, or crop the painting"
        )
