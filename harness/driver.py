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

import yaml

from harness.config import Loaded
from harness.downloads import Progress
from harness.errors import StorageError, UsageError
from harness.images.files import image_hash
from harness.jobs import Job, make_jobs
from harness.runs.prepare import Row
from harness.runs.provenance import provenance
from harness.runs.store import Manifest, RunFolder, Status, write_atomically

OF_ONE_GRID = (
    "figure.png", "figure.pdf", "curves.png", "curves.pdf", "claims.json", "claims.md", "experiment.yaml",
)  # fmt: skip
"""Files of an experiment's folder that another grid would replace."""


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


def open_experiment(loaded: Loaded, plan: Plan, options: Options) -> Path | None:
    """Make the experiment's folder ready: its experiment.yaml, links, and fresh folders where asked for.

    Another grid of the same file first moves the earlier figure, claims and experiment.yaml to ``earlier/<hash>/``.

    Returns:
        Where they are kept, if they were moved.
    """
    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{plan.folder} could not be made ({error.strerror}); choose another folder with --out."
        ) from error
    data = {"file": str(loaded.source.resolve()), **loaded.data}
    path = plan.folder / "experiment.yaml"
    earlier = None
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
    return earlier


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
