"""Carry out an experiment: its cells as runs, its figure, its table.

cells ─► jobs (files found, hashed, id) ─► done, linked or left ─► batches ─► run folders ─► figure
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from harness.config import Cell, Loaded, StartFile, canonical_json, hashed_fields, run_id
from harness.downloads import Progress
from harness.errors import ConfigError, Fault, HarnessError, StorageError, UsageError
from harness.features.sources import WeightsSource, describe, source_hash
from harness.features.vgg import deepest_of, minimum_size_px
from harness.features.weights import load_state, require_layers
from harness.images.files import image_hash, read_image
from harness.images.library import find_image
from harness.images.resize import fit_area, fit_longer_side
from harness.metrics import MINIMUM_SIDE_PX
from harness.runs.prepare import Row, weights_source
from harness.runs.provenance import provenance
from harness.runs.store import Manifest, RunFolder, Status, write_atomically

OF_ONE_GRID = (
    "figure.png", "figure.pdf", "curves.png", "curves.pdf", "claims.json", "claims.md", "experiment.yaml",
)  # fmt: skip
"""Files of an experiment's folder that another grid would replace."""


@dataclass(frozen=True)
class Job:
    """One cell of an experiment and the run that it is.

    Attributes:
        cell: the cell.
        row: the run as plain data.
        height: of the picture, in pixels.
        width: of the picture, in pixels.
    """

    cell: Cell
    row: Row
    height: int
    width: int

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


def make_jobs(loaded: Loaded, out: Path, progress: Progress | None = None) -> list[Job]:
    """Find and hash every cell's images and weights.

    Raises:
        ConfigError: with everything that is wrong with any cell, each at its line.
    """
    faults: list[Fault] = []
    jobs: list[Job] = []
    checked: dict[str, Any] = {}
    for cell in loaded.cells:
        try:
            jobs.append(_make_job(loaded, cell, out, checked, progress))
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


def _make_job(loaded: Loaded, cell: Cell, out: Path, checked: dict[str, Any], progress: Progress | None) -> Job:
    """One cell's job; ``checked`` remembers what was read, so that 20 cells read a photograph once."""
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
    manifest = Manifest(
        identity,
        loaded.name,
        label=dict(cell.label),
        provenance={"files": {name: {"name": _plain_name(names, name), "sha256": hashes[name]} for name in hashes}},
        tracking={
            **loaded.experiment.tracking.model_dump(mode="json"),
            "command": loaded.command(cell),
        },
    )
    row = Row(identity, out / loaded.name / identity, transfer, files, manifest)
    return Job(cell, row, height, width)


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


@dataclass(frozen=True)
class Options:
    """How an experiment is carried out; nothing here changes a picture beyond rounding.

    Attributes:
        out: the folder of all experiments' folders.
        device: ``cpu`` or ``cuda:N``.
        threads: of the CPU.
        retry_failed: compute failed runs again.
        fresh: forget these cells' runs and compute them again.
        checkpoint_every_s: seconds between checkpoints.
    """

    out: Path = Path("runs")
    device: str = "cpu"
    threads: int = 1
    retry_failed: bool = False
    fresh: bool = False
    checkpoint_every_s: float = 30.0


@dataclass(frozen=True)
class Plan:
    """What is done and what is left.

    Attributes:
        folder: the experiment's folder.
        jobs: every cell's.
        done: finished before.
        linked: finished in another experiment's folder, and linked.
        failed: failed before, and not asked to be tried again.
        batches: what is left, by batches.
    """

    folder: Path
    jobs: Sequence[Job]
    done: Sequence[Job] = ()
    linked: Mapping[str, Path] = field(default_factory=dict)
    failed: Sequence[Job] = ()
    batches: Sequence[Sequence[Job]] = ()


def make_plan(
    loaded: Loaded, options: Options, max_rows: Callable[[Job], int], progress: Progress | None = None
) -> Plan:
    """Decide what has to be computed; nothing is written.

    Raises:
        ConfigError: see ``make_jobs``.
        UsageError: the experiment's folder belongs to another file.
    """
    folder = options.out / loaded.name
    _check_owner(folder, loaded)
    jobs = make_jobs(loaded, options.out, progress)
    done, failed, left = [], [], []
    linked: dict[str, Path] = {}
    for job in jobs:
        status = job.status
        if options.fresh:
            left.append(job)
        elif status is Status.DONE:
            done.append(job)
        elif status is Status.FAILED and not options.retry_failed:
            failed.append(job)
        elif not job.row.folder.exists() and (elsewhere := _finished_elsewhere(options.out, job)):
            linked[job.row.id] = elsewhere
            done.append(job)
        else:
            left.append(job)
    batches: list[list[Job]] = []
    for job in left:
        open_batch = next((b for b in batches if b[0].batch_key == job.batch_key and len(b) < max_rows(job)), None)
        if open_batch is None:
            batches.append([job])
        else:
            open_batch.append(job)
    return Plan(folder, jobs, done, linked, failed, batches)


def _finished_elsewhere(out: Path, job: Job) -> Path | None:
    for path in sorted(out.glob(f"*/{job.row.id}")):
        manifest = RunFolder(path).manifest() if path.is_dir() and not path.is_symlink() else None
        if manifest is not None and manifest.status is Status.DONE:
            return path
    return None


def _check_owner(folder: Path, loaded: Loaded) -> None:
    """Refuse a folder that belongs to another file of the same name."""
    try:
        owner = Path(yaml.safe_load((folder / "experiment.yaml").read_text())["file"])
    except (OSError, KeyError, TypeError, yaml.YAMLError):
        return
    if owner.exists() and owner.resolve() != loaded.source.resolve():
        raise UsageError(
            f"{folder} holds the runs of {owner}, not of {loaded.source.resolve()}; choose another folder with --out, "
            "or give the file another name."
        )


def open_experiment(loaded: Loaded, plan: Plan, options: Options) -> None:
    """Make the experiment's folder ready: its experiment.yaml, links, and fresh folders where asked for.

    Another grid of the same file first moves the earlier figure, claims and experiment.yaml to ``earlier/<hash>/``.
    """
    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{plan.folder} could not be made ({error.strerror}); choose another folder with --out."
        ) from error
    data = {"file": str(loaded.source.resolve()), **loaded.data}
    path = plan.folder / "experiment.yaml"
    if path.exists() and yaml.safe_load(path.read_text()) != json.loads(json.dumps(data)):
        earlier = plan.folder / "earlier" / hash_of(path)
        earlier.mkdir(parents=True, exist_ok=True)
        for name in OF_ONE_GRID:
            if (plan.folder / name).exists():
                (plan.folder / name).replace(earlier / name)
    write_atomically(path, yaml.safe_dump(json.loads(json.dumps(data)), sort_keys=False, allow_unicode=True))
    for job in plan.jobs:
        if job.row.folder.is_symlink() and not job.row.folder.exists():
            job.row.folder.unlink()  # what it pointed to was deleted
        if job.row.id in plan.linked and not job.row.folder.exists():
            job.row.folder.symlink_to(os.path.relpath(plan.linked[job.row.id], plan.folder))
    if options.fresh:
        _forget([job.row.folder for job in plan.jobs])


def _forget(folders: Sequence[Path]) -> None:
    """Take runs' folders away, all of them or, where one is in use, none; a linked one only loses its link."""
    with ExitStack() as held:
        for folder in folders:
            if folder.exists() and not folder.is_symlink():
                held.enter_context(RunFolder(folder))
        for folder in folders:
            if folder.is_symlink():
                folder.unlink()
            elif folder.exists():
                shutil.rmtree(folder)


def hash_of(path: Path) -> str:
    """Eight hex digits that name a file's content."""
    return image_hash(path)[:8]


def run_plan(
    plan: Plan,
    options: Options,
    run: Callable[[Sequence[Row], str], list[Manifest]],
) -> Iterator[Manifest]:
    """Carry out a plan's batches one after the other, yielding every run as it ends.

    Args:
        plan: what to do.
        options: how.
        run: carries out one batch's rows under a title.
    """
    for number, jobs in enumerate(plan.batches, 1):
        title = f"{plan.folder.name}, batch {number} of {len(plan.batches)} on {options.device}"
        rows = []
        details = provenance(options.device, options.threads, len(jobs))
        for job in jobs:
            own = {**job.row.manifest.provenance, **details, "seeds": {"start": job.row.transfer["seed"]}}
            rows.append(replace(job.row, manifest=replace(job.row.manifest, provenance=own)))
        yield from run(rows, title)
