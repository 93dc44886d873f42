"""The loop that carries out a study, against workers that do what each test writes down for them.

The engine of these tests keeps every promise of ``harness.engines.contract`` in this process and computes nothing: its
run folders, their locks, the studies and their storage are real.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from optuna.pruners import BasePruner
from optuna.storages import InMemoryStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from harness import driver as driver_module
from harness.config import Cell, Transfer
from harness.config.dimensions import Integer
from harness.config.sweep import Budget, MedianPruner, Pruner, Random
from harness.driver import MAX_LOSSES, Driver, Interrupt, Settings
from harness.engines.contract import Advanced, End, Ended, Event, Finished, Measured, Noted, Task
from harness.errors import HarnessError, RunError
from harness.jobs import Job
from harness.runs.prepare import Row
from harness.runs.store import Attempt, Manifest, RunFolder, Status, record_trial, with_ended_trials, with_trials
from harness.studies.grid import open_grid
from harness.studies.rebuild import make_record
from harness.studies.search import open_search
from harness.studies.session import REASON, Asked, StudySession

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
        ended = replace(self.manifest(row), status=status, reason=reason, metrics=metrics_of(row))
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
        self.pruned: list[str] = []
        self.is_stopped = False
        self._busy: dict[str, tuple[Work, Iterator[Event | None]]] = {}
        self._num_quiet = 0

    @property
    def idle(self) -> tuple[str, ...]:
        return tuple(worker for worker in self.workers if worker not in self._busy)

    def submit(self, task: Task) -> int:
        worker, number = self.idle[0], len(self.batches)
        assert number < 100, "the same is tried for ever"
        assert not self.is_stopped, "a task was given to an engine that was stopped"
        self.batches.append((worker, [row.id for row in task.rows]))
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
    seed = row.transfer["seed"]
    return {CONTENT: seed / 10, STYLE: seed / 10 + 1}


@dataclass
class Notes:
    """An observer that writes everything down."""

    taken: list[str] = field(default_factory=list)
    events: list[Advanced] = field(default_factory=list)
    endings: list[tuple[str, Status]] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    num_looks: int = 0

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
        transfer = Transfer(content="astronaut", style="strokes", seed=seed)
        run_id, data = f"r{seed}", transfer.model_dump(mode="json", exclude_none=True)
        row = Row(run_id, self.folder / run_id, data, {}, Manifest(run_id, "lab", trials=trials))
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
    ) -> None:
        self.engine = ScriptedEngine(script, workers or ("cuda:0",))
        settings = Settings(Task((), rungs=(10,)), self.objectives, retry_failed)
        driver = Driver(
            self.session, self.engine, self.make_job, lambda job, worker: max_rows, settings, self.notes, self.interrupt
        )
        try:
            driver.run(extra)
        finally:
            self.engine.close()

    def leave(self, seed: int, status: Status, *trials: dict[str, Any], **fields: Any) -> None:
        """A run as another process has left it."""
        job = self.job(seed)
        metrics = {} if status is Status.FAILED else metrics_of(job.row)
        fields = {"metrics": metrics, "attempts": (Attempt(1, 5),), **fields}
        job.folder.create(job.row.transfer, replace(job.row.manifest, status=status, trials=trials, **fields))

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


@pytest.fixture(autouse=True)
def _nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would be waited for in vain is a failure at once; nor is a disk, for no power fails here."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(driver_module, "PATIENCE_S", 0.3)
    monkeypatch.setattr(record_trial, "__defaults__", (0.1,))


@pytest.mark.parametrize("workers", [("cpu:0",), ("cpu:0", "cpu:1"), ("cuda:0", "cuda:1", "cuda:2")])
def test_every_trial_is_told_the_numbers_of_its_run(tmp_path: Path, workers: tuple[str, ...]) -> None:
    lab = Lab(tmp_path, [3, 1, 4, 0, 5])
    lab.run(computes, *workers)  # a trial told twice would be a ValueError of the session
    assert [trial.values for trial in lab.trials] == [[seed / 10, seed / 10 + 1] for seed in lab.seeds]
    assert lab.session.is_finished and lab.notes.num_looks
    assert sorted(lab.notes.taken) == sorted(name for name, _ in lab.notes.endings) == ["r0", "r1", "r3", "r4", "r5"]
    assert all(lab.recorded(seed) == {number: "COMPLETE"} for number, seed in enumerate(lab.seeds))


def test_search_is_asked_again_whenever_a_trial_is_told(tmp_path: Path) -> None:
    lab = Lab(tmp_path, range(7))
    lab.search(parallel=2)
    lab.run(computes, "cuda:0", "cuda:1", "cuda:2")
    assert [trial.values for trial in lab.trials] == [[n / 10, n / 10 + 1] for n in range(7)]
    assert lab.engine.batches[:3] == [("cuda:0", ["r0"]), ("cuda:1", ["r1"]), ("cuda:2", ["r2", "r3"])]


def test_what_workers_say_reaches_the_observer(tmp_path: Path) -> None:
    def script(work: Work) -> Iterator[Event | None]:
        yield Advanced(work.worker, "r0", 7, {"total": 1.0})
        yield Noted("W&B is away.")
        yield from computes(work)

    lab = Lab(tmp_path, [0])
    lab.run(script)
    assert [event.evaluation for event in lab.notes.events] == [7] and lab.notes.sentences == ["W&B is away."]


@pytest.mark.parametrize("end", [*LOSSES, End.STOPPED])
def test_rows_that_a_task_leaves_unfinished_wait_again(tmp_path: Path, end: End) -> None:
    def script(work: Work) -> Iterator[Event | None]:
        work.begin()
        yield work.finish(work.rows[0])
        if work.number == 0:
            yield work.ended(end)
        for row in work.rows[1:]:
            yield work.finish(row)

    lab = Lab(tmp_path, [0, 1])
    lab.run(script)
    assert lab.engine.batches == [("cuda:0", ["r0", "r1"]), ("cuda:0", ["r1"])]
    assert lab.states == [COMPLETE] * 2
    assert ("it broke" in lab.notes.sentences) is (end in LOSSES)


@pytest.mark.parametrize("end", [*LOSSES, End.OUT_OF_MEMORY])
def test_run_lost_three_times_fails_with_the_reason_and_others_go_on(tmp_path: Path, end: End) -> None:
    lab = Lab(tmp_path, [0, 1])
    lab.run(breaks_with(end, "r0"), "cuda:0", max_rows=1)
    assert [ids for _, ids in lab.engine.batches] == [["r0"]] * MAX_LOSSES + [["r1"]] and MAX_LOSSES == 3
    assert lab.states == [FAIL, COMPLETE]
    assert lab.manifest(0).status is Status.FAILED and "it broke" in lab.manifest(0).reason
    assert lab.trials[0].user_attrs[REASON] == lab.manifest(0).reason
    assert lab.recorded(0) == {0: "FAIL"} and lab.notes.endings[0] == ("r0", Status.FAILED)
    assert lab.notes.sentences.count("it broke") == MAX_LOSSES


def test_progress_between_losses_counts_them_anew(tmp_path: Path) -> None:
    def script(work: Work) -> Iterator[Event | None]:
        work.begin()
        if work.number in (2, 4):  # so that the last of five losses is the first since the last progress
            work.advance(work.rows[0])
        if work.number < 5:
            yield work.ended(End.DIED)
        yield work.finish(work.rows[0])

    lab = Lab(tmp_path, [0])
    lab.run(script)
    assert len(lab.engine.batches) == 6 and lab.states == [COMPLETE]


@pytest.mark.parametrize("end", LOSSES)
def test_worker_that_breaks_before_anything_began_is_an_error(tmp_path: Path, end: End) -> None:
    def script(work: Work) -> Iterator[Event | None]:
        yield work.ended(end, "Worker cuda:0 died: see its log.")

    lab = Lab(tmp_path, [0])
    with pytest.raises(RunError, match=r"^Worker cuda:0 died: see its log\.$"):
        lab.run(script)
    assert len(lab.engine.batches) == MAX_LOSSES and lab.engine.is_stopped
    assert lab.session.open == (0,) and not (tmp_path / "r0").exists()


def too_large(work: Work, most: int) -> Iterator[Event | None]:
    work.begin()
    if len(work.rows) > most:
        yield work.ended(End.OUT_OF_MEMORY)
    for row in work.rows:
        yield work.finish(row)


def test_too_little_memory_halves_the_batch_and_costs_no_trial(tmp_path: Path) -> None:
    lab = Lab(tmp_path, range(17))
    lab.run(lambda work: too_large(work, 1))
    assert lab.engine.sizes() == [17, 9, 5, 3, 2] + [1] * 17  # more of them than a run may be lost
    assert lab.states == [COMPLETE] * 17


def test_too_little_memory_limits_that_worker_and_such_rows_only(tmp_path: Path) -> None:
    lab = Lab(tmp_path, range(20))
    lab.run(lambda work: too_large(work, 2 if work.worker == "cuda:0" else 4), "cuda:0", "cuda:1", max_rows=4)
    first, second = lab.engine.sizes("cuda:0"), lab.engine.sizes("cuda:1")
    assert first[0] == 4 and max(first[1:]) == 2 and second[:2] == [4, 4]

    lab = Lab(tmp_path / "sizes", range(8))
    lab.sizes_px = {seed: 64 for seed in range(4, 8)}
    lab.run(lambda work: too_large(work, 4 if work.rows[0].transfer["seed"] > 3 else 2))
    assert lab.engine.sizes() == [4, 2, 2, 4]


@pytest.mark.parametrize("end", LOSSES)
def test_rows_that_break_together_are_halved(tmp_path: Path, end: End) -> None:
    lab = Lab(tmp_path, range(4))
    lab.run(lambda work: breaks_with(end, "r0")(work) if work.number == 0 else computes(work))
    assert lab.engine.sizes() == [4, 2, 2] and lab.states == [COMPLETE] * 4


@pytest.mark.parametrize("end", LOSSES)
def test_neighbours_of_a_row_that_always_breaks_are_finished(tmp_path: Path, end: End) -> None:
    lab = Lab(tmp_path, range(16))
    lab.run(breaks_with(end, "r5"))
    assert [number for number, state in enumerate(lab.states) if state is not COMPLETE] == [5]


def test_error_stops_the_others_and_tells_what_they_finish(tmp_path: Path) -> None:
    def script(work: Work) -> Iterator[Event | None]:
        work.begin()
        yield None
        if work.number == 0:
            yield work.ended(End.ERROR, "The disk is full.", 2)
        while not work.engine.is_stopped:
            yield None
        yield Noted("Still here.")
        yield work.finish(work.rows[0])
        yield work.ended(End.STOPPED)

    lab = Lab(tmp_path, [0, 1])
    with pytest.raises(HarnessError, match=r"^The disk is full\.$") as caught:
        lab.run(script, "cuda:0", "cuda:1")
    assert caught.value.exit_code == 2
    assert lab.states == [RUNNING, COMPLETE] and lab.engine.idle == lab.engine.workers
    assert lab.notes.sentences == ["Still here."]


def test_error_loses_nothing_that_came_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "PATIENCE_S", 60.0)  # waiting for a task that has ended is a failure, see events

    def script(work: Work) -> Iterator[Event | None]:
        work.begin()
        if work.number == 0:
            yield None
            yield work.ended(End.ERROR, "The disk is full.", 0)
        yield work.finish(work.rows[0])

    lab = Lab(tmp_path, [0, 1])
    with pytest.raises(HarnessError, match="full") as caught:
        lab.run(script, "cuda:0", "cuda:1")  # the error and the other task's end are in the same list
    assert caught.value.exit_code == 1 and lab.states == [RUNNING, COMPLETE]


def test_trials_of_one_run_are_computed_once_and_all_told(tmp_path: Path) -> None:
    lab = Lab(tmp_path, [0, 0, 1, 0])
    lab.run()
    assert lab.engine.batches == [("cuda:0", ["r0", "r1"])] and lab.notes.taken == ["r0", "r1"]
    assert lab.states == [COMPLETE] * 4 and lab.trials[3].values == lab.trials[0].values
    assert lab.recorded(0) == {0: "COMPLETE", 1: "COMPLETE", 3: "COMPLETE"} and lab.recorded(1) == {2: "COMPLETE"}


def test_trials_of_one_run_are_recorded_when_its_own_task_has_ended(tmp_path: Path) -> None:
    def script(work: Work) -> Iterator[Event | None]:
        work.begin()
        yield work.finish(work.rows[0])
        while work.number == 0 and not work.engine.is_over(1):
            yield None
        for row in work.rows[1:]:
            yield None
            yield work.finish(row)

    lab = Lab(tmp_path, [0, 0, 1, 2])
    lab.run(script, "cuda:0", "cuda:1")
    assert lab.engine.batches == [("cuda:0", ["r0", "r1"]), ("cuda:1", ["r2"])]
    assert lab.states == [COMPLETE] * 4 and lab.recorded(0) == {0: "COMPLETE", 1: "COMPLETE"}


@pytest.mark.parametrize("status", [Status.DONE, Status.FAILED])
def test_trial_of_a_run_that_has_just_ended_is_told_while_its_batch_goes_on(tmp_path: Path, status: Status) -> None:
    def script(work: Work) -> Iterator[Event | None]:
        work.begin()
        yield work.finish(work.rows[0], status)
        for row in work.rows[1:]:
            yield None
            yield work.finish(row)

    lab = Lab(tmp_path, [0, 1, 0])
    lab.search(parallel=2)  # trial 2 is asked for when trial 0 has been told
    lab.run(script)
    told, word = (COMPLETE, "COMPLETE") if status is Status.DONE else (FAIL, "FAIL")
    assert lab.states == [told, COMPLETE, told] and len(lab.engine.batches) == 1
    assert lab.recorded(0) == {0: word, 2: word}


def test_trials_of_one_run_that_is_lost_are_all_recorded(tmp_path: Path) -> None:
    lab = Lab(tmp_path, [0, 0])
    lab.run(breaks_with(End.DIED, "r0"))
    assert lab.states == [FAIL] * 2 and lab.recorded(0) == {0: "FAIL", 1: "FAIL"}


@pytest.mark.parametrize("end", [End.ERROR, End.STOPPED])
def test_trials_of_one_run_are_recorded_also_when_everything_stops(tmp_path: Path, end: End) -> None:
    def script(work: Work) -> Iterator[Event | None]:
        work.begin()
        yield work.finish(work.rows[0])
        lab.interrupt.requested = end is End.STOPPED
        yield None
        yield work.ended(end)

    lab = Lab(tmp_path, [0, 1, 0])
    with pytest.raises((HarnessError, KeyboardInterrupt)):
        lab.run(script)
    assert lab.states == [COMPLETE, RUNNING, COMPLETE] and lab.recorded(0) == {0: "COMPLETE", 2: "COMPLETE"}


@pytest.mark.parametrize(
    ("workers", "max_rows", "first_sizes"),
    [
        (("cuda:0",), 100, [8]),
        (("cuda:0",), 3, [3, 3, 2]),
        (("cuda:0", "cuda:1"), 100, [4, 4]),
        (("cuda:0", "cuda:0#2", "cuda:1"), 100, [3, 3, 2]),
        (("cuda:0", "cuda:1", "cuda:2", "cuda:3"), 100, [2, 2, 2, 2]),
        (("cuda:0", "cuda:1"), 3, [3, 3]),
        (("cuda:0",), 0, [1] * 8),
        (("cpu:0",), 100, [8]),
        (("cpu:0",), 5, [5, 3]),
        (("cpu:0", "cpu:1"), 100, [1] * 8),
    ],
)
def test_rows_are_shared_out(tmp_path: Path, workers: tuple[str, ...], max_rows: int, first_sizes: list[int]) -> None:
    lab = Lab(tmp_path, range(8))
    lab.run(computes, *workers, max_rows=max_rows)
    assert lab.engine.sizes()[: len(first_sizes)] == first_sizes and lab.states == [COMPLETE] * 8


def test_rows_of_different_size_share_no_batch_and_the_rest_is_shared_out_among_the_idle(tmp_path: Path) -> None:
    lab = Lab(tmp_path, range(9))
    lab.sizes_px = {4: 64}
    lab.run(computes, "cuda:0", max_rows=100)
    assert [ids for _, ids in lab.engine.batches] == [[f"r{n}" for n in range(9) if n != 4], ["r4"]]

    lab = Lab(tmp_path / "three", range(9))
    lab.sizes_px = {0: 64}
    lab.run(computes, "cuda:0", "cuda:1", "cuda:2")
    assert lab.engine.sizes() == [1, 4, 4]


OTHERS = {"study": "another", "number": 0, "objectives": [CONTENT, STYLE], "state": "PRUNED", "values": None}


def test_what_another_study_pruned_is_carried_on(tmp_path: Path) -> None:
    lab = Lab(tmp_path, [0])
    lab.leave(0, Status.PRUNED, OTHERS)
    lab.run()
    assert lab.states == [COMPLETE] and lab.manifest(0).attempts == (Attempt(1, 5), Attempt(6, 5))
    assert lab.manifest(0).trials[0] == OTHERS and lab.recorded(0) == {0: "COMPLETE"}


@pytest.mark.parametrize("state", ["PRUNED", None])
def test_what_this_study_pruned_is_told_as_pruned(tmp_path: Path, state: str | None) -> None:
    """A record without a state is of a trial that was not the one pruned: that one is computed."""
    lab = Lab(tmp_path, [0], (CONTENT,))
    record = {**OTHERS, "study": "grid", "number": 7, "objectives": [CONTENT]}
    record = record if state else {key: value for key, value in record.items() if key != "state"}
    lab.leave(0, Status.PRUNED, OTHERS, record, rungs={"3": {CONTENT: 0.5, STYLE: 2}, "4": {CONTENT: None}})
    lab.run()
    assert lab.states == [PRUNED if state else COMPLETE] and len(lab.engine.batches) == (not state)
    assert not state or (lab.trials[0].intermediate_values == {3: 0.5} and lab.recorded(0)[0] == "PRUNED")


@pytest.mark.parametrize("retry_failed", [False, True])
def test_failed_run_is_told_at_once_unless_it_is_to_be_retried(tmp_path: Path, retry_failed: bool) -> None:
    lab = Lab(tmp_path, [0])
    lab.leave(0, Status.FAILED, reason="It burned down.")
    lab.run(retry_failed=retry_failed)
    assert lab.states == [COMPLETE if retry_failed else FAIL] and len(lab.engine.batches) == retry_failed
    assert retry_failed or lab.trials[0].user_attrs[REASON] == "It burned down."
    assert lab.recorded(0) == {0: "COMPLETE" if retry_failed else "FAIL"}


def test_run_that_is_done_is_told_at_once(tmp_path: Path) -> None:
    lab = Lab(tmp_path, [0, 0, 1], (CONTENT,))
    lab.leave(0, Status.DONE, metrics={CONTENT: 0.25, STYLE: None}, rungs={"3": {CONTENT: 0.5}})
    lab.run()
    assert lab.engine.batches == [("cuda:0", ["r1"])] and lab.notes.taken == ["r1"]
    assert [trial.values for trial in lab.trials] == [[0.25], [0.25], [0.1]]
    assert lab.trials[1].intermediate_values == {3: 0.5} and lab.recorded(0) == {0: "COMPLETE", 1: "COMPLETE"}


def test_number_that_could_not_be_measured_is_a_failed_trial(tmp_path: Path) -> None:
    lab = Lab(tmp_path, [0])
    lab.leave(0, Status.DONE, metrics={CONTENT: 0.25, STYLE: None})
    lab.run()
    assert lab.states == [FAIL] and lab.trials[0].user_attrs[REASON] == f"{STYLE} could not be measured"


def measures(values: Sequence[float | None]) -> Script:
    """Every row is measured at evaluation 10, and leaves where it is asked to."""

    def script(work: Work) -> Iterator[Event | None]:
        work.begin()
        for row in work.rows:
            yield Measured(row.id, 10, {CONTENT: values[row.transfer["seed"]]})  # type: ignore[dict-item]
            yield work.finish(row, Status.PRUNED if row.id in work.engine.pruned else Status.DONE)

    return script


def test_pruner_is_asked_at_rungs_and_what_it_gives_up_is_pruned(tmp_path: Path) -> None:
    lab = Lab(tmp_path, range(4), (CONTENT,))
    lab.search(1, MedianPruner(name="median", startup=1, warmup=0, rungs=(10,)))
    lab.run(measures([1.0, 5.0, None, 0.5]))
    assert lab.states == [COMPLETE, PRUNED, COMPLETE, COMPLETE] and lab.engine.pruned == ["r1"]
    assert [trial.intermediate_values for trial in lab.trials] == [{10: 1.0}, {10: 5.0}, {}, {10: 0.5}]


class Prunes(BasePruner):
    """Gives up the trials of these numbers."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = numbers

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        return trial.number in self.numbers


@pytest.mark.parametrize(("pruned", "state"), [((0,), COMPLETE), ((1,), COMPLETE), ((0, 1), PRUNED)])
def test_run_of_several_trials_is_pruned_when_all_give_it_up(
    tmp_path: Path, pruned: tuple[int, ...], state: TrialState
) -> None:
    lab = Lab(tmp_path, [0, 0], (CONTENT,))
    lab.session.study.pruner = Prunes(*pruned)
    lab.run(measures([1.0]))
    assert lab.states == [state] * 2 and lab.recorded(0) == {0: state.name, 1: state.name}
    assert [trial.intermediate_values for trial in lab.trials] == [{10: 1.0}] * 2  # each is reported for itself


def test_interrupt_tells_what_still_ends_and_the_next_session_goes_on(tmp_path: Path) -> None:
    def script(work: Work) -> Iterator[Event | None]:
        work.begin()
        lab.interrupt.requested = True
        yield work.finish(work.rows[0])  # comes with the request: told first
        assert work.engine.is_stopped
        yield work.finish(work.rows[1])
        yield work.ended(End.STOPPED)

    lab = Lab(tmp_path, range(4))
    with pytest.raises(KeyboardInterrupt):
        lab.run(script, max_rows=3)
    assert lab.states == [COMPLETE, COMPLETE, RUNNING, RUNNING] and lab.session.open == (2, 3)
    assert len(lab.engine.batches) == 1 and lab.manifest(2).status is Status.RUNNING
    assert any("Stopping" in sentence for sentence in lab.notes.sentences)

    lab.session, lab.interrupt = lab.grid(), Interrupt()
    lab.run()
    assert lab.engine.batches == [("cuda:0", ["r2", "r3"])] and len(lab.manifest(2).attempts) == 2
    assert [trial.values for trial in lab.trials] == [[n / 10, n / 10 + 1] for n in range(4)]


def test_worker_that_does_not_stop_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    def script(work: Work) -> Iterator[Event | None]:
        lab.interrupt.requested = True
        while True:
            yield Advanced(work.worker, "r0", 1, {})

    lab = Lab(tmp_path, [0])
    with pytest.raises(KeyboardInterrupt):
        lab.run(script)
    assert lab.session.open == (0,)


def test_extra_runs_are_computed_and_nothing_is_told_for_them(tmp_path: Path) -> None:
    lab = Lab(tmp_path, [0], (CONTENT,))
    lab.session.study.pruner = Prunes(0)
    lab.run(measures([1.0] * 6), extra=[lab.job(5)])
    assert lab.engine.batches == [("cuda:0", ["r5", "r0"])] and lab.notes.taken == ["r5", "r0"]
    assert lab.manifest(5).status is Status.DONE and lab.recorded(5) == {}
    assert lab.states == [PRUNED] and lab.engine.pruned == ["r0"]


def test_extra_run_that_a_trial_asks_for_too_is_computed_once_and_told(tmp_path: Path) -> None:
    lab = Lab(tmp_path, [0])
    lab.run(extra=[lab.job(0)])
    assert lab.engine.batches == [("cuda:0", ["r0"])] and lab.notes.taken == ["r0"]
    assert lab.states == [COMPLETE] and lab.recorded(0) == {0: "COMPLETE"}
