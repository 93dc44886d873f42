"""An engine without processes, scripted by each test, and all that a driver needs around it.

It keeps every promise of ``harness.engines.contract`` and computes nothing: its run folders, their locks, the studies
and their storage are real.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState
from results_folder import make_whole

from harness.config import Transfer
from harness.config.cells import Cell
from harness.config.dimensions import Integer
from harness.config.samplers import Budget, Pruner, Random
from harness.driver.jobs import Job
from harness.driver.loop import Driver, Interrupt, Settings
from harness.engines.contract import Advanced, End, Ended, Event, Finished, Task
from harness.runs.measured import measured_on
from harness.runs.prepare import Row
from harness.runs.store import Attempt, Manifest, RunFolder, Status
from harness.runs.trials import with_ended_trials, with_trials
from harness.studies.grid import open_grid
from harness.studies.rebuild import make_record
from harness.studies.search import open_search
from harness.studies.session import Asked, StudySession

CONTENT, STYLE = "reference_content", "reference_style"
COMPLETE, PRUNED, FAIL, RUNNING = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING
LOSSES = (End.DIED, End.UNFORESEEN)


@dataclass
class Work:
    """A task in a worker's hands; as in ``run_batch``, the folders are held until it has ended."""

    engine: ScriptedEngine
    number: int
    worker: str
    rows: tuple[Row, ...]
    folders: dict[str, RunFolder] = field(default_factory=dict)

    def begin(self) -> None:
        for row in self.rows:
            folder = self.folders[row.id] = RunFolder(row.folder)
            folder.create(row.transfer, row.manifest)
            assert folder.acquire(), f"{row.id} is computed by two workers at a time"
            manifest = with_trials(folder.manifest() or row.manifest, row.manifest.trials)
            assert manifest.status is not Status.DONE, f"{row.id} is done and computed again"
            reached = manifest.attempts[-1].last if manifest.attempts else 0
            attempts = (*manifest.attempts, Attempt(reached + 1, reached))
            folder.write_manifest(replace(manifest, status=Status.RUNNING, attempts=attempts))

    def manifest(self, row: Row) -> Manifest:
        manifest = self.folders[row.id].manifest()
        assert manifest is not None
        return manifest

    def advance(self, row: Row) -> None:
        """Checkpoint a row one evaluation further."""
        manifest = self.manifest(row)
        last = replace(manifest.attempts[-1], last=manifest.attempts[-1].last + 1)
        self.folders[row.id].write_manifest(replace(manifest, attempts=(*manifest.attempts[:-1], last)))

    def finish(self, row: Row, status: Status = Status.DONE, reason: str = "") -> Finished:
        ended = replace(
            self.manifest(row), status=status, reason=reason, metrics=metrics_of(row), measured_on=dict(measured_on())
        )
        make_whole(self.folders[row.id])
        self.folders[row.id].write_manifest(with_ended_trials(ended))
        return Finished(row.id, with_ended_trials(ended))

    def ended(self, end: End, message: str = "it broke", exit_code: int = 1) -> Ended:
        return Ended(self.number, self.worker, end, message, exit_code)


Script = Callable[[Work], Iterator[Event | None]]


class ScriptedEngine:
    """Carries out each task as a script says: one event of every busy worker at a time, None where it has none."""

    def __init__(self, script: Script, workers: Sequence[str]) -> None:
        self.workers = tuple(workers)
        self.script = script
        self.batches: list[tuple[str, list[str]]] = []
        self.bounds: list[tuple[str, float | None]] = []
        self.pruned: list[str] = []
        self.is_stopped = False
        self._busy: dict[str, tuple[Work, Iterator[Event | None]]] = {}
        self._num_quiet = 0

    @property
    def idle(self) -> tuple[str, ...]:
        return tuple(worker for worker in self.workers if worker not in self._busy)

    def free_bytes(self, worker: str) -> float:
        return math.inf

    def submit(self, task: Task) -> int:
        worker, number = self.idle[0], len(self.batches)
        assert number < 100, "the same is tried for ever"
        assert not self.is_stopped, "a task was given to an engine that was stopped"
        self.batches.append((worker, [row.id for row in task.rows]))
        self.bounds.append((worker, task.pass_bound_bytes))
        work = Work(self, number, worker, task.rows)
        self._busy[worker] = work, self.script(work)
        return number

    def prune(self, run_ids: Sequence[str]) -> None:
        self.pruned += run_ids

    def events(self, timeout_s: float) -> list[Event]:
        found: list[Event] = []
        for worker, (work, script) in list(self._busy.items()):
            event = next(script, work.ended(End.DONE, "", 0))
            if isinstance(event, Ended):
                del self._busy[worker]
                for folder in work.folders.values():
                    folder.release()
            found += [event] if event is not None else []
        self._num_quiet = 0 if found else self._num_quiet + 1
        assert self._num_quiet < 1000, "nothing happens any more"
        return found

    def stop(self) -> None:
        self.is_stopped = True

    def close(self) -> None:
        for work, _ in self._busy.values():
            for folder in work.folders.values():
                folder.release()

    def is_over(self, number: int) -> bool:
        """Whether a task has ended, and the driver has heard of it."""
        return number < len(self.batches) and all(work.number != number for work, _ in self._busy.values())

    def sizes(self, worker: str | None = None) -> list[int]:
        """How many rows each batch had, in order."""
        return [len(ids) for name, ids in self.batches if worker in (None, name)]


def computes(work: Work) -> Iterator[Event | None]:
    """Nothing goes wrong."""
    work.begin()
    for row in work.rows:
        yield work.finish(row)


def breaks_with(end: End, row_id: str) -> Script:
    """Whatever batch has this row ends so before anything of it is finished."""

    def script(work: Work) -> Iterator[Event | None]:
        work.begin()
        if any(row.id == row_id for row in work.rows):
            yield work.ended(end)
        for row in work.rows:
            yield work.finish(row)

    return script


def metrics_of(row: Row) -> dict[str, Any]:
    seed = row.transfer.seed
    return {CONTENT: seed / 10, STYLE: seed / 10 + 1}


@dataclass
class Notes:
    """An observer that writes everything down."""

    taken: list[str] = field(default_factory=list)
    events: list[Advanced] = field(default_factory=list)
    endings: list[tuple[str, Status]] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    num_looks: int = 0
    busy: str = ""

    def took(self, job: Job) -> None:
        self.taken.append(job.id)

    def advanced(self, event: Advanced) -> None:
        self.events.append(event)

    def ended(self, job: Job, manifest: Manifest) -> None:
        self.endings.append((job.id, manifest.status))

    def noted(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def looked(self) -> None:
        self.num_looks += 1

    def worked(self, sentence: str) -> None:
        self.busy = sentence


class Lab:
    """A study whose n-th trial is the run ``r<seeds[n]>``, and what it takes to carry it out."""

    def __init__(self, folder: Path, seeds: Sequence[int], objectives: tuple[str, ...] = (CONTENT, STYLE)) -> None:
        self.folder = folder
        self.seeds = list(seeds)
        self.objectives = objectives
        self.sizes_px: dict[int, int] = {}
        self.storage = InMemoryStorage()
        self.session: StudySession = self.grid()
        self.notes = Notes()
        self.interrupt = Interrupt()
        self.engine = ScriptedEngine(computes, ())

    def grid(self) -> StudySession:
        cells = [{"cell": index} for index in range(len(self.seeds))]
        return open_grid(self.storage, "grid", cells, self.objectives)

    def search(self, parallel: int, pruner: Pruner | None = None) -> None:
        budget = Budget(trials=len(self.seeds), parallel=parallel)
        space = {"steps": Integer(integer=(1, 1000))}
        sampler = Random(name="random")
        self.session = open_search(self.storage, "search", space, self.objectives, sampler, budget, pruner)

    def job(self, seed: int, *trials: dict[str, Any]) -> Job:
        transfer = Transfer(content="astronaut", style="strokes", seed=seed, pyramid=())
        run_id = f"r{seed}"
        row = Row(run_id, self.folder / run_id, transfer, {}, Manifest(run_id, "lab", trials=trials))
        size_px = self.sizes_px.get(seed, 48)
        return Job(Cell({"seed": seed}, transfer, {}), row, size_px, size_px)

    def make_job(self, asked: Asked) -> Job:
        seed = self.seeds[asked.number if asked.cell is None else asked.cell]
        return self.job(seed, make_record(asked, self.session.name, self.objectives))

    def run(
        self,
        script: Script = computes,
        *workers: str,
        max_rows: int = 100,
        retry_failed: bool = False,
        extra: Sequence[Job] = (),
        pass_bound_bytes: Callable[[str], float | None] = lambda worker: None,
    ) -> None:
        self.engine = ScriptedEngine(script, workers or ("cuda:0",))
        rungs = (10,) if len(self.objectives) == 1 else ()  # nothing is pruned by several
        settings = Settings(Task((), rungs=rungs), self.objectives, retry_failed)
        driver = Driver(
            self.session,
            self.engine,
            self.make_job,
            lambda jobs, worker: max_rows,
            settings,
            self.notes,
            self.interrupt,
            pass_bound_bytes,
        )
        try:
            driver.run(extra)
        finally:
            self.engine.close()

    def leave(self, seed: int, status: Status, *trials: dict[str, Any], **fields: Any) -> None:
        """A run as another process has left it."""
        job = self.job(seed)
        metrics = {} if status is Status.FAILED else metrics_of(job.row)
        fields = {
            "metrics": metrics,
            "measured_on": dict(measured_on()),
            "attempts": (Attempt(1, 1 if status is Status.DONE else 5),),
            **fields,
        }
        job.folder.create(job.row.transfer, replace(job.row.manifest, status=status, trials=trials, **fields))
        make_whole(job.folder)

    @property
    def trials(self) -> list[FrozenTrial]:
        return self.session.study.get_trials()

    @property
    def states(self) -> list[TrialState]:
        return [trial.state for trial in self.trials]

    def manifest(self, seed: int) -> Manifest:
        manifest = self.job(seed).folder.manifest()
        assert manifest is not None
        return manifest

    def recorded(self, seed: int) -> dict[int, str | None]:
        """Number to state, of this study's trials that a run's manifest has."""
        ours = [record for record in self.manifest(seed).trials if record["study"] == self.session.name]
        return {record["number"]: record.get("state") for record in ours}
