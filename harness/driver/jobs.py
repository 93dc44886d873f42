"""Cells as jobs: every cell's images and weights found, checked and hashed, so that its run has an id."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.config import Cell, Loaded, canonical_json, hashed_fields, run_id
from harness.config.levels import AUTO, num_evaluations
from harness.config.located import Path as Steps
from harness.config.methods import QUILTING
from harness.config.styles import image_slots, paintings_of, path_of_slot
from harness.config.sweep import LoadedSweep
from harness.config.transfer import PyramidLevel
from harness.downloads import Progress
from harness.driver.fitting import (
    block_levels,
    check_blocks,
    check_content,
    check_level,
    check_masks,
    check_style,
    needs_windows,
    resolve_pyramid,
    resolve_size,
)
from harness.errors import ConfigError, Fault, HarnessError
from harness.features.identify import identify
from harness.features.sources import describe
from harness.features.weights import require_layers
from harness.images.files import image_hash, read_image
from harness.images.library import find_image
from harness.images.masks import check_mask, check_regions
from harness.quilting.levels import Iteration
from harness.results import Part
from harness.runs.prepare import Row, weights_source
from harness.runs.store import Manifest, RunFolder, Status

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
        """Jobs with equal keys can share a batch.

        Method and H × W agree, and network, optimiser, levels and precision; of quilted ones what their blocks are.
        """
        t = self.row.transfer
        if t["method"] == QUILTING:
            return canonical_json([t["method"], self.height, self.width, *self._blocks])
        names = ("method", "weights", "pooling", "padding", "normalised", "optimiser", "precision", "steps", "pyramid")
        first_stage = t["photorealism"]["first_stage"]
        return canonical_json([self.height, self.width, *(t[name] for name in names), first_stage])

    @property
    def num_evaluations(self) -> int:
        """Of the whole run, over all its levels; a quilted picture has one per row of blocks."""
        if self.row.transfer["method"] == QUILTING:
            return sum(level.num_rows for level in self._blocks)
        return num_evaluations(self.row.transfer)

    @property
    def _blocks(self) -> list[Iteration]:
        """The iterations of a quilted picture."""
        return block_levels(self.row.transfer["quilting"], self.height, self.width)


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
            is_auto = same.cell.transfer.pyramid != job.cell.transfer.pyramid
            is_original = same.cell.transfer.size != job.cell.transfer.size
            why = "pyramid: auto has the same sizes there" if is_auto else "their files are equal"
            why = "size: original is that number there" if is_original else why
            message = f"the cells ({same.cell.name}) and ({job.cell.name}) are the same picture: {why}"
            faults.append(loaded.fault(job.cell, next(iter(job.cell.sources), "content"), f"{message}; keep one"))
    if faults:
        raise ConfigError(list(dict.fromkeys(faults)))
    return jobs


def _make_job(
    loaded: Loaded | LoadedSweep, cell: Cell, part: Part, out: Path, checked: dict[str, Any], progress: Progress | None
) -> Job:
    transfer = cell.transfer.model_dump(mode="json", exclude_none=True)
    faults: list[Fault] = []
    images: dict[str, tuple[str, str, tuple[int, int]]] = {}

    def attempt(field: str | Steps, read: Callable[..., Any], *given: Any) -> Any:
        """What ``read`` gives, or None and a fault at the field."""
        key = f"{read.__name__} {given!r}"
        if key not in checked:
            try:
                checked[key] = read(*given)
            except HarnessError as error:
                checked[key] = error
        if isinstance(checked[key], HarnessError):
            faults.append(loaded.fault(cell, field, _as_written(str(checked[key]), names, images)))
            return None
        return checked[key]

    names = dict(image_slots(transfer))
    places = {slot: path_of_slot(transfer, slot) for slot in names}
    for slot, given in names.items():
        if found := attempt(places[slot], _read_image, given):
            images[slot] = found
    sized = cell.transfer
    if "content" in images:
        sized = attempt("size", resolve_size, cell.transfer, images["content"][2]) or sized
        transfer["size"] = sized.size
    for owner, mask in _masks(transfer):
        if owner in images and mask in images:
            attempt(places[mask], check_mask, images[mask][0], images[owner][2])
    segmentations = [f"segmentation.{side}" for side in ("content", "style")]
    if set(segmentations) <= images.keys() and {"content", "style"} <= images.keys():
        paths = [images[slot][0] for slot in segmentations]
        shapes = [images[side][2] for side in ("content", "style")]
        num_before = len(faults)
        for slot, path, shape in zip(segmentations, paths, shapes, strict=True):
            attempt(slot, check_regions, path, path, shape, shape)  # what is wrong with one of them alone
        if len(faults) == num_before:
            attempt("segmentation", check_regions, *paths, *shapes)
    layers: tuple[str, ...] = ()
    weights = None
    if transfer["method"] != QUILTING:
        layers = (*transfer["content_layers"], *transfer["style_layers"])
        source = weights_source(transfer)
        weights = attempt("weights", identify, source, progress)
        for side in ("content_layers", "style_layers") if weights is not None else ():
            for layer in transfer[side]:
                attempt(side, require_layers, weights.layers, [layer], describe(source))
    has_windows = needs_windows(transfer)
    height = width = 0
    if not faults:
        height, width = attempt("size", check_content, images["content"][2], transfer["size"], layers, has_windows) or (
            0,
            0,
        )
    if not faults and transfer["method"] == QUILTING:
        attempt("quilting.block", check_blocks, images["style"][2], (height, width), transfer)
    for painting in paintings_of(transfer) if not faults else ():
        place = "style_scale" if painting.slot == "style" else places[painting.slot]
        attempt(place, check_style, images[painting.slot][2], height * width, painting.scale, layers)
    if faults:
        raise ConfigError(faults)
    files = {name: path for name, (path, _, _) in images.items()}
    if transfer["method"] != QUILTING:
        paintings = tuple((images[painting.slot][2], painting.scale) for painting in paintings_of(transfer))
        masked = files if len(files) > len(paintings) + 1 else {}  # masks or regions
        if transfer["pyramid"] == AUTO:
            transfer["pyramid"] = attempt(
                "pyramid", resolve_pyramid, dict(transfer), images["content"][2], paintings, layers, masked
            )
        elif transfer["pyramid"]:
            smallest = transfer["pyramid"][0]["size"]
            attempt("pyramid", check_level, images["content"][2], smallest, paintings, layers, has_windows)
        if masked and not faults:
            smallest = [*transfer["pyramid"], transfer][0]["size"]
            attempt("segmentation" if "segmentation" in transfer else "style", check_masks, transfer, files, smallest)
    elif transfer["pyramid"] == AUTO:
        transfer["pyramid"] = []
    if faults:
        raise ConfigError(faults)
    resolved = sized.model_copy(update={"pyramid": tuple(map(PyramidLevel.model_validate, transfer["pyramid"]))})
    hashes = {name: digest for name, (_, digest, _) in images.items()}
    provenance = {name: {"name": Path(names[name]).name, "sha256": digest} for name, digest in hashes.items()}
    if weights is not None:
        hashes["weights"] = weights.network
        provenance["weights"] = {"name": "weights", "sha256": weights.sha256, "network": weights.network}
    identity = run_id(resolved, {name: hashes[name] for name in hashed_fields(resolved)})
    definition = loaded.sweep if isinstance(loaded, LoadedSweep) else loaded.experiment
    own_id, folder = identity, out / loaded.name / identity
    if part == "again":
        own_id, folder = identity + AGAIN, out / loaded.name / "repeats" / identity
    manifest = Manifest(
        own_id,
        loaded.name,
        label=dict(cell.label),
        provenance={"files": provenance},  # names without folders, which would tell W&B who and where the user is
        tracking={
            **definition.tracking.model_dump(mode="json"),
            "command": loaded.command(cell),
        },
    )
    return Job(cell, Row(own_id, folder, transfer, files, manifest), height, width, part)


def _as_written(message: str, names: Mapping[str, str], images: Mapping[str, tuple[str, str, tuple[int, int]]]) -> str:
    """A sentence in which a bundled image has the name that the user gave, not the path of its file."""
    for slot, (path, _, _) in images.items():
        if Path(path).is_absolute() and not Path(names[slot]).is_absolute():
            message = message.replace(path, names[slot])
    return message


def _read_image(name_or_path: str) -> tuple[str, str, tuple[int, int]]:
    """Path, hash, and height and width of an image, read whole: a truncated one is found now, not in an hour."""
    path = find_image(name_or_path)
    height, width = read_image(path).shape[:2]
    return str(path), image_hash(path), (height, width)


def _masks(transfer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The slot of every mask, behind that of the image it lies over."""
    for painting in paintings_of(transfer):
        if painting.mask:
            yield "content", painting.mask
        if painting.own_mask:
            yield painting.slot, painting.own_mask
