"""The loop that carries out a study, against workers that do what each test writes down for them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from optuna.pruners import BasePruner
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from scripted_engine import (
    COMPLETE,
    CONTENT,
    FAIL,
    LOSSES,
    PRUNED,
    RUNNING,
    STYLE,
    Lab,
    Script,
    ScriptedEngine,
    Work,
    breaks_with,
    computes,
)

from harness.config.samplers import MedianPruner
from harness.driver import loop as driver_module
from harness.driver.jobs import Job
from harness.driver.loop import Interrupt
from harness.driver.losses import MAX_LOSSES
from harness.engines.contract import Advanced, End, Ended, Event, Measured, Noted
from harness.errors import HarnessError, RunError
from harness.runs.store import Attempt, Status
from harness.runs.trials import record_trial
from harness.studies.session import REASON, Asked


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


def test_how_busy_workers_were_is_told_at_the_end(tmp_path: Path) -> None:
    lab = Lab(tmp_path, range(4))
    lab.run(computes, "cpu:0", "cpu:1")
    assert re.fullmatch(r"Workers: cpu:0 \d+%, cpu:1 \d+% busy of 0 s\.", lab.notes.busy)


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


def test_batch_whose_device_fails_goes_on_whole_and_is_halved_where_it_fails_again(tmp_path: Path) -> None:
    def fails_once(work: Work) -> Iterator[Event | None]:
        return (breaks_with(End.DEVICE_LOST, "r0") if work.number == 0 else computes)(work)

    lab = Lab(tmp_path / "once", [0, 1])
    lab.run(fails_once, "cuda:0")
    assert [ids for _, ids in lab.engine.batches] == [["r0", "r1"]] * 2 and lab.states == [COMPLETE] * 2
    assert lab.notes.sentences == ["it broke"]

    lab = Lab(tmp_path / "always", [0, 1])
    lab.run(breaks_with(End.DEVICE_LOST, "r0"), "cuda:0")
    assert [ids for _, ids in lab.engine.batches] == [["r0", "r1"]] * 2 + [["r0"]] * MAX_LOSSES + [["r1"]]
    assert lab.states == [FAIL, COMPLETE] and "it broke" in lab.manifest(0).reason


def test_losses_of_a_batch_whose_device_failed_count_against_none_of_its_rows(tmp_path: Path) -> None:
    """Eight rows, lost twice whole, then as four, two, and one; that one is lost twice more, and is no row's last."""

    def script(work: Work) -> Iterator[Event | None]:
        work.begin()
        if work.number < 5 + MAX_LOSSES - 2:
            yield work.ended(End.DEVICE_LOST)
        for row in work.rows:
            yield work.finish(row)

    lab = Lab(tmp_path, range(8))
    lab.run(script)
    assert lab.engine.sizes()[:8] == [8, 8, 4, 2, 1, 1, 1, 1] and lab.states == [COMPLETE] * 8


@pytest.mark.parametrize("workers", [("cuda:0", "cuda:0#2"), ("cuda:0", "cuda:0#2", "cuda:1")])
def test_row_that_fails_a_shared_card_fails_alone_and_its_neighbours_are_finished(
    tmp_path: Path, workers: tuple[str, ...]
) -> None:
    """Whenever the card has r1, all that it computes is lost; at first nobody knows whose fault that is."""
    on_card: dict[str, set[str]] = {}
    beside: list[set[str]] = []

    def script(work: Work) -> Iterator[Event | None]:
        card = work.worker.split("#")[0]
        work.begin()
        rows = on_card.setdefault(card, set())
        rows |= {row.id for row in work.rows}
        yield None
        has_failed = "r1" in rows
        beside.extend([set(rows)] if has_failed else [])
        yield None
        rows -= {row.id for row in work.rows}
        if has_failed:
            yield work.ended(End.DEVICE_LOST)
        for row in work.rows:
            yield work.finish(row)

    lab = Lab(tmp_path, range(4))
    lab.run(script, *workers, max_rows=1)
    assert lab.states == [COMPLETE, FAIL, COMPLETE, COMPLETE]
    assert beside[-MAX_LOSSES:] == [{"r1"}] * MAX_LOSSES and len(beside[0]) == 2


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


def test_run_waits_while_every_worker_is_being_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a Ray cluster the only actor has died, and for some time no other is ready."""

    class Replacing(ScriptedEngine):
        num_away = 0

        @property
        def idle(self) -> tuple[str, ...]:
            return () if self.num_away else super().idle

        def events(self, timeout_s: float) -> list[Event]:
            self.num_away = max(0, self.num_away - 1)
            found = super().events(timeout_s)
            self.num_away += 5 * any(isinstance(event, Ended) and event.end is End.DIED for event in found)
            return found

    def script(work: Work) -> Iterator[Event | None]:
        work.begin()
        if work.number == 0:
            yield work.ended(End.DIED)
        for row in work.rows:
            yield work.finish(row)

    monkeypatch.setattr("scripted_engine.ScriptedEngine", Replacing)
    lab = Lab(tmp_path, [1, 2])
    lab.run(script, "cpu:0", max_rows=1)
    assert lab.states == [COMPLETE] * 2 and len(lab.engine.batches) == 3


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
    lab.run(lambda work: too_large(work, 4 if work.rows[0].transfer.seed > 3 else 2))
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


def test_a_task_says_what_a_pass_may_take_on_its_worker(tmp_path: Path) -> None:
    lab = Lab(tmp_path, range(2))
    lab.run(computes, "cuda:0", "cuda:1", pass_bound_bytes=lambda worker: {"cuda:0": 1e9, "cuda:1": 2e9}[worker])
    assert lab.engine.bounds == [("cuda:0", 1e9), ("cuda:1", 2e9)]


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
            yield Measured(row.id, 10, {CONTENT: values[row.transfer.seed]})  # type: ignore[dict-item]
            yield work.finish(row, Status.PRUNED if row.id in work.engine.pruned else Status.DONE)

    return script


def test_pruner_is_asked_at_rungs_and_what_it_gives_up_is_pruned(tmp_path: Path) -> None:
    lab = Lab(tmp_path, range(4), (CONTENT,))
    lab.search(1, MedianPruner(name="median", startup=1, warmup=0, rungs=(10,)))
    lab.run(measures([1.0, 5.0, None, 0.5]))
    assert lab.states == [COMPLETE, PRUNED, COMPLETE, COMPLETE] and lab.engine.pruned == ["r1"]
    assert [trial.intermediate_values for trial in lab.trials] == [{10: 1.0}, {10: 5.0}, {}, {10: 0.5}]


def test_pruner_is_answered_before_ends_are_told_and_between_trials_that_are_taken(tmp_path: Path) -> None:
    """Telling and taking may take a tenth of a second each, in which a row that is to go computes in vain."""
    lab = Lab(tmp_path, range(5), (CONTENT,))
    lab.search(2)
    lab.session.study.pruner = Prunes(1, 3)
    pruned_when_told: dict[int, list[str]] = {}
    complete, make_job = lab.session.complete, lab.make_job

    def told(number: int, *given: Any) -> None:
        pruned_when_told[number] = list(lab.engine.pruned)
        complete(number, *given)

    pruned_when_made: list[list[str]] = []

    def made(asked: Asked) -> Job:
        pruned_when_made.append(list(lab.engine.pruned))
        return make_job(asked)

    def script(work: Work) -> Iterator[Event | None]:
        work.begin()
        for row in work.rows:
            if row.transfer.seed % 2:  # comes in one breath with the other worker's end
                yield Measured(row.id, 10, {CONTENT: 1.0})
                yield work.finish(row, Status.PRUNED if row.id in work.engine.pruned else Status.DONE)
            else:
                yield work.finish(row)

    lab.session.complete, lab.make_job = told, made  # type: ignore[method-assign]
    lab.run(script, "cpu:0", "cpu:1")
    assert lab.states == [COMPLETE, PRUNED, COMPLETE, PRUNED, COMPLETE]
    assert pruned_when_told[0] == ["r1"], "asked behind the end of trial 0, answered before it was told"
    assert ["r1"] in pruned_when_made


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
