"""Cells as jobs: every cell's images and weights found, checked and hashed, so that its run has an id."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.config.cells import Cell
from harness.config.dimensions import Choice
from harness.config.file_names import FileNames
from harness.config.identity import plugins_of
from harness.config.levels import num_evaluations
from harness.config.loaded import LoadedExperiment, LoadedSweep
from harness.config.methods import QUILTING, has_network
from harness.config.transfer import Transfer
from harness.downloads import OnBytes
from harness.driver.inspection import Inspection, Memory
from harness.driver.sizes import block_levels
from harness.errors import ConfigError, Fault
from harness.objective.style_statistics import is_additive
from harness.quilting.levels import Iteration
from harness.results import Part
from harness.results.run import REPEATS
from harness.runs.prepare import Row
from harness.runs.store import Manifest, RunFolder, Status

AGAIN = "-again"
"""Ends the id of a run that is computed a second time, so that no mirror takes it for the first."""


@dataclass(frozen=True)
class Job:
    """One cell of an experiment, or one trial of a sweep, and the run that it is.

    Attributes:
        cell: the cell.
        row: the run.
        height: of the picture, in pixels.
        width: of the picture, in pixels.
        part: ``grid`` has a panel, ``repeat`` is a cell from another seed, ``again`` the same transfer a second time.
        notes: what the user should know of its images, a sentence for each.
    """

    cell: Cell
    row: Row
    height: int
    width: int
    part: Part = "grid"
    notes: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The run id."""
        return self.row.id.removesuffix(AGAIN)

    @property
    def transfer(self) -> Transfer:
        """The run's, resolved."""
        return self.row.transfer

    @property
    def folder(self) -> RunFolder:
        """The run's folder."""
        return RunFolder(self.row.folder)

    @property
    def status(self) -> Status:
        """What the folder says; of a damaged one that it has not begun."""
        manifest = self.folder.readable_manifest()
        return manifest.status if manifest else Status.WAITING

    @property
    def batch_key(self) -> Hashable:
        """Jobs with equal keys can share a batch.

        Method and H × W agree, and network, optimiser, levels and precision, whether they may go in tiles, and whether
        they are grey; of quilted ones what their blocks are.
        """
        t = self.transfer
        if not has_network(t.method):
            return (t.method, self.height, self.width, *self._blocks)
        network = (t.weights, t.pooling, t.padding, t.normalised)
        levels = (t.pyramid, t.steps, t.photorealism.first_stage)
        tiled = is_additive(t.style_statistic)
        return (t.method, self.height, self.width, network, t.optimiser, t.precision, levels, tiled, self.row.is_grey)

    @property
    def num_evaluations(self) -> int:
        """Of the whole run, over all its levels; a quilted picture has one per row of blocks, a plugin's method one."""
        if not has_network(self.transfer.method):
            return sum(level.num_rows for level in self._blocks) or 1
        return num_evaluations(self.transfer)

    @property
    def _blocks(self) -> list[Iteration]:
        """The iterations of a quilted picture; none of another one."""
        if self.transfer.method != QUILTING:
            return []
        return block_levels(self.transfer.quilting, self.height, self.width)


class JobMaker:
    """Makes jobs of one file's cells; remembers what was read, so that 20 cells read a photograph once.

    Args:
        loaded: the experiment or sweep.
        out: the folder of all experiments' folders.
        on_bytes: told how far a download of weights is.
        storage: of the study, fit to be printed; None for the journal in the file's folder.
    """

    def __init__(
        self,
        loaded: LoadedExperiment | LoadedSweep,
        out: Path,
        on_bytes: OnBytes | None = None,
        storage: str | None = None,
    ) -> None:
        self.loaded = loaded
        self.out = out
        self.on_bytes = on_bytes
        self.storage = storage
        self._memory: Memory = {}
        if isinstance(loaded, LoadedSweep):
            choices = {field: part for field, part in loaded.sweep.space.items() if isinstance(part, Choice)}
            labels = [{field: value} for field, part in choices.items() for value in part.choice]
        else:
            labels = [dict(cell.label) for cell in loaded.cells]
        self._file_names = FileNames(labels).longer

    def make(self, cell: Cell, part: Part = "grid") -> Job:
        """Find and hash a cell's images and weights.

        Raises:
            ConfigError: with everything that is wrong with it, each at its line.
        """
        found, loaded = Inspection(self.loaded, cell, self._memory, self.on_bytes), self.loaded
        own_id, folder = found.run_id, self.out / loaded.name
        if part == "again":
            own_id, folder = own_id + AGAIN, folder / REPEATS
        definition = loaded.sweep if isinstance(loaded, LoadedSweep) else loaded.experiment
        manifest = Manifest(
            own_id,
            loaded.name,
            label=dict(cell.label),
            provenance={
                "files": found.provenance,
                "plugins": {plugin.name: plugin.sha256 for plugin in plugins_of(found.transfer).values()},
            },
            tracking={
                **definition.tracking.model_dump(mode="json"),
                "command": loaded.command(cell, self.out, self.storage, found.run_id),
                "file_names": self._file_names,
            },
        )
        row = Row(own_id, folder / found.run_id, found.transfer, found.files, manifest, found.seen)
        return Job(cell, row, *found.size, part, found.notes)


def make_jobs(
    loaded: LoadedExperiment, out: Path, on_bytes: OnBytes | None = None, storage: str | None = None
) -> list[Job]:
    """Find and hash every cell's images and weights: the grid's, then those that the claims' spread needs.

    Arguments are those of ``JobMaker``.

    Raises:
        ConfigError: with everything that is wrong with any cell, each at its line.
    """
    faults: list[Fault] = []
    jobs: list[Job] = []
    maker = JobMaker(loaded, out, on_bytes, storage)
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
            why = "its photograph is opaque" if same.transfer.transparency != job.transfer.transparency else why
            message = f"the cells ({same.cell.name}) and ({job.cell.name}) are the same picture: {why}"
            faults.append(loaded.fault(job.cell, next(iter(job.cell.sources), "content"), f"{message}; keep one"))
    if faults:
        raise ConfigError(list(dict.fromkeys(faults)))
    return jobs
