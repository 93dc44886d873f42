"""The writer of run folders: in order, in one thread, bounded; what it is handed is written as it was then."""

from __future__ import annotations

import contextlib
import os
import resource
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
import pytorch_lightning as pl
import torch
from engine_rows import history_of, make_rows, manifest_of, pictures_of

from harness.errors import StorageError
from harness.runs.asynchronous import DeviceClock, OnHost, now
from harness.runs.batch import Execution, run_batch
from harness.runs.checkpoint import load_checkpoint
from harness.runs.history import is_log_spaced
from harness.runs.keeper import Keeper, Listener
from harness.runs.prepare import Row
from harness.runs.row_folders import RowFolders, Standing
from harness.runs.signals import Orders
from harness.runs.store import Manifest, Metrics, RunFolder, Status
from harness.runs.style_transfer import StyleTransfer
from harness.runs.tracker import Tracker
from harness.runs.writer import Job, ThreadWriter, Writer, open_writer

THREAD = Execution(writing="thread")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The tiny experiment's rows, carried out and written in one thread: id to run folder."""
    rows = make_rows(tmp_path_factory.mktemp("whole"))
    run_batch(rows, Execution(rungs=(5, 11)))
    return {row.id: row.folder for row in rows}


def assert_same(rows: list[Row], whole: Mapping[str, Path]) -> None:
    for row in rows:
        assert pictures_of(row.folder) == pictures_of(whole[row.id])
        assert history_of(row.folder) == history_of(whole[row.id])


def every_evaluation_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StyleTransfer.__init__, "__defaults__", (1, 0.0, (), None, None, True, ()))


def slow_disk(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """A disk that takes so long for whatever has to be on it."""
    fsync = os.fsync

    def slow(descriptor: int) -> None:
        time.sleep(seconds)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)


@contextlib.contextmanager
def full_disk(after_bytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_device_other_than_the_cpu_has_a_thread_and_the_cpu_where_it_is_asked_for() -> None:
    kinds = {
        (writing, device): type(open_writer(writing, device))
        for writing in ("auto", "thread", "none")
        for device in ("cpu", "cuda:0")
    }
    threaded = {key for key, kind in kinds.items() if kind is ThreadWriter}
    assert threaded == {("auto", "cuda:0"), ("thread", "cpu"), ("thread", "cuda:0")}


def test_jobs_are_done_in_order_in_one_other_thread_and_told_in_this_one() -> None:
    done: list[tuple[int, int]] = []
    told: list[tuple[int, int]] = []

    def numbered(number: int) -> Job:
        def job() -> Callable[[], None]:
            time.sleep(0.003 * (3 - number % 3))
            done.append((number, threading.get_ident()))
            return lambda: told.append((number, threading.get_ident()))

        return job

    with ThreadWriter(max_jobs=4) as writer:
        for number in range(12):
            writer.put(numbered(number))
    (thread,) = {ident for _, ident in done}
    assert thread != threading.get_ident()
    assert [number for number, _ in done] == list(range(12))
    assert told == [(number, threading.get_ident()) for number in range(12)]


@pytest.mark.parametrize(("max_jobs", "max_bytes", "most"), [(3, 1000, 3), (100, 40, 4), (100, 5, 1)])
def test_putting_waits_while_as_much_waits_as_may(max_jobs: int, max_bytes: int, most: int) -> None:
    """Ten bytes a job: of 40 allowed four fit; one that is larger than all that is allowed goes alone."""
    unfinished, peak = 0, 0
    lock = threading.Lock()

    def job() -> None:
        nonlocal unfinished
        time.sleep(0.005)
        with lock:
            unfinished -= 1

    with ThreadWriter(max_jobs, max_bytes) as writer:
        for _ in range(20):
            with lock:
                unfinished += 1
            writer.put(job, 10)
            with lock:
                peak = max(peak, unfinished)
    assert unfinished == 0 and 1 <= peak <= most


def test_error_is_raised_where_the_job_came_from_and_what_was_behind_it_is_left_out() -> None:
    done: list[str] = []
    error = StorageError("The disk is full.")

    def failing() -> None:
        time.sleep(0.02)
        raise error

    writer = ThreadWriter()
    with pytest.raises(StorageError) as caught, writer:
        writer.put(lambda: lambda: done.append("told"))
        writer.put(failing)
        writer.put(lambda: done.append("behind"))
        while writer._num_jobs:
            time.sleep(0.001)
        writer.put(lambda: done.append("later"))
        done.append("went on")
    assert caught.value is error and done == ["told"]
    assert not writer._thread.is_alive()


def test_error_of_the_last_job_is_raised_at_the_end_but_not_over_another() -> None:
    def failing() -> None:
        raise StorageError("The disk is full.")

    with pytest.raises(StorageError, match="full"), ThreadWriter() as writer:
        writer.put(failing)
    with pytest.raises(ZeroDivisionError), ThreadWriter() as writer:
        writer.put(failing)
        raise ZeroDivisionError


def test_what_was_handed_over_before_an_error_is_written_and_told() -> None:
    done: list[str] = []

    def job() -> Callable[[], None]:
        time.sleep(0.02)
        done.append("written")
        return lambda: done.append("told")

    with pytest.raises(ZeroDivisionError), ThreadWriter() as writer:
        writer.put(job)
        raise ZeroDivisionError
    assert done == ["written", "told"]


def test_waiting_that_is_interrupted_ends_with_the_job_in_hand() -> None:
    """As by a second Ctrl-C: the folders' locks are let go after it, so nothing may be written then."""
    begun, done = threading.Event(), []

    def job() -> None:
        begun.set()
        time.sleep(0.2)
        done.append("in hand")

    class Interrupted(threading.Condition):
        def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
            if threading.current_thread() is threading.main_thread() and begun.is_set():
                raise KeyboardInterrupt
            return super().wait_for(predicate, timeout)

    writer = ThreadWriter()
    writer._changed = Interrupted()
    with pytest.raises(KeyboardInterrupt), writer:
        writer.put(job)
        writer.put(lambda: done.append("waiting"))
        begun.wait(60)
    assert done == ["in hand"] and not writer._thread.is_alive()


def test_job_that_is_done_holds_no_memory() -> None:
    def job() -> None:
        pass

    alive = weakref.ref(job)
    with ThreadWriter() as writer:
        writer.put(job, 10)
        while writer._num_jobs:
            time.sleep(0.001)
        del job
        until = time.monotonic() + 5
        while alive() is not None and time.monotonic() < until:
            time.sleep(0.001)
        assert alive() is None and writer._num_bytes == 0


def test_run_written_by_a_thread_has_the_same_bits_numbers_and_ends(tmp_path: Path, whole: dict[str, Path]) -> None:
    rows = make_rows(tmp_path)
    manifests = run_batch(rows, Execution(writing="thread", rungs=(5, 11), checkpoint_every_s=0.0))
    assert_same(rows, whole)
    for row, manifest in zip(rows, manifests, strict=True):
        other = RunFolder(whole[row.id]).manifest()
        assert other is not None and manifest.status is Status.DONE and manifest.attempts == other.attempts
        assert without_time(manifest.metrics) == without_time(other.metrics)
        assert {rung: without_time(m) for rung, m in manifest.rungs.items()} == {
            rung: without_time(m) for rung, m in other.rungs.items()
        }
        assert not (row.folder / "checkpoint.safetensors").exists()


def without_time(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metrics.items() if name != "seconds"}


class Watched(ThreadWriter):
    """Notes how much was held, and how many jobs were alive, at any time that one was handed over."""

    peak_bytes = peak_alive = 0

    def put(self, job: Job, num_bytes: int = 0) -> None:
        self.alive: weakref.WeakSet[Job] = getattr(self, "alive", weakref.WeakSet())
        self.alive.add(job)
        super().put(job, num_bytes)
        self.peak_bytes = max(self.peak_bytes, self._num_bytes)
        self.peak_alive = max(self.peak_alive, len(self.alive))


def test_behind_a_slow_disk_memory_is_bounded_and_bits_are_those_of_when_it_was_handed_over(
    tmp_path: Path, whole: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every evaluation is a step of its own and checkpointed, so that the writer lags as far as it may."""
    every_evaluation_a_step(monkeypatch)
    slow_disk(monkeypatch, 0.02)
    writer = Watched(max_jobs=6, max_bytes=2_000_000)
    monkeypatch.setattr("harness.runs.batch.open_writer", lambda writing, device: writer)
    rows = make_rows(tmp_path)
    run_batch(rows, Execution(checkpoint_every_s=0.0))
    assert 100_000 < writer.peak_bytes <= 2_000_000 and 1 < writer.peak_alive <= 6 + 1
    assert_same(rows, whole)


@pytest.mark.parametrize(
    ("unsaved_s", "has_room", "is_saved"),
    [(500.0, True, False), (1500.0, True, True), (1500.0, False, False), (2500.0, False, True)],
)
def test_checkpoints_are_put_off_while_the_writer_is_behind_but_not_for_ever_and_not_at_the_end(
    tmp_path: Path,
    whole: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    unsaved_s: float,
    has_room: bool,
    is_saved: bool,
) -> None:
    """A thousand seconds between checkpoints, of which some have passed; at a rung the end is asked for."""
    every_evaluation_a_step(monkeypatch)
    monkeypatch.setattr(Watched, "has_room", has_room)
    monkeypatch.setattr("harness.runs.batch.open_writer", lambda writing, device: Watched())
    asked, (row, _), seen = Orders(), make_rows(tmp_path), []

    class Stopping(Listener):
        def measured(self, row_id: str, evaluation: int, metrics: Mapping[str, Any]) -> None:
            seen.append((row.folder / "checkpoint.safetensors").exists())
            asked.stop = True

    def callbacks(keeper: Keeper) -> list[pl.Callback]:
        keeper._saved[0] -= unsaved_s
        return []

    with pytest.raises(KeyboardInterrupt):
        how = Execution(checkpoint_every_s=1000.0, rungs=(7,))
        run_batch([row], how, callbacks, asked=asked, listener=Stopping())
    assert seen == [is_saved]
    reached = manifest_of(row.folder)["attempts"][0]["to"]
    assert 7 <= reached == len(history_of(row.folder)) and (row.folder / "checkpoint.safetensors").exists()
    run_batch([row], Execution())
    assert_same([row], whole)


def test_room_is_left_while_half_the_queue_is_free() -> None:
    go_on, seen = threading.Event(), []
    with ThreadWriter(max_jobs=4, max_bytes=100) as writer:
        for num_bytes in (0, 1, 1):
            seen.append(writer.has_room)
            writer.put(lambda: assert_true(go_on.wait(60)), num_bytes)
        seen.append(writer.has_room)
        go_on.set()
        while writer._num_jobs:
            time.sleep(0.001)
        go_on.clear()
        writer.put(lambda: assert_true(go_on.wait(60)), 51)
        seen.append(writer.has_room)
        go_on.set()
    assert seen == [True, True, True, False, False]


def assert_true(value: bool) -> None:
    assert value


@pytest.mark.parametrize("writing", ["thread", "none"])
def test_full_disk_is_the_same_sentence_and_loses_nothing(
    tmp_path: Path, whole: dict[str, Path], writing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    every_evaluation_a_step(monkeypatch)
    (row, _) = make_rows(tmp_path)
    sentence = r"checkpoint\.safetensors could not be written \(File too large\); free some space, or choose another"
    with full_disk(after_bytes=300_000), pytest.raises(StorageError, match=sentence):
        run_batch([row], Execution(writing=writing, checkpoint_every_s=0.0))
    assert not list(row.folder.rglob("*.tmp")) and manifest_of(row.folder)["status"] == "running"
    run_batch([row], THREAD)
    assert len(manifest_of(row.folder)["attempts"]) == 2
    assert_same([row], whole)


def test_picture_that_cannot_be_written_at_the_very_end_is_told_too(tmp_path: Path, whole: dict[str, Path]) -> None:
    (row, _) = make_rows(tmp_path)

    class InTheWay(pl.Callback):
        def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            (row.folder / "image.png").mkdir()

    with pytest.raises(StorageError, match=r"image\.png could not be written"):
        run_batch([row], THREAD, lambda keeper: [InTheWay()])
    assert manifest_of(row.folder)["status"] == "running"
    (row.folder / "image.png").rmdir()
    run_batch([row], THREAD)
    assert_same([row], whole)


@pytest.mark.parametrize("writing", ["thread", "none"])
def test_line_of_history_stands_only_for_an_evaluation_whose_iterate_is_there(
    tmp_path: Path, writing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, seen = RunFolder.append_history, []

    def looked_at(folder: RunFolder, lines: Sequence[Mapping[str, float]]) -> None:
        kept = {int(line["evaluation"]) for line in lines if is_log_spaced(int(line["evaluation"]), 24)}
        assert kept <= set(folder.iterates())
        seen.extend(kept)
        append(folder, lines)

    monkeypatch.setattr(RunFolder, "append_history", looked_at)
    run_batch(make_rows(tmp_path)[:1], Execution(writing=writing))
    assert sorted(seen) == [1, 2, 5, 10, 20, 24]


def test_row_that_fails_is_told_and_its_neighbour_unchanged(tmp_path: Path) -> None:
    together, alone = tmp_path / "together", tmp_path / "alone"
    together.mkdir()
    alone.mkdir()
    varied, told = "axes: {alpha: [1e-3, 1e300]}", Threads()
    rows, (row, _) = make_rows(together, varied=varied), make_rows(alone, varied=varied)
    done, failed = run_batch(rows, THREAD, listener=told, tracker=told)
    assert (done.status, failed.status) == (Status.DONE, Status.FAILED)
    assert failed.reason and manifest_of(rows[1].folder)["reason"] == failed.reason
    assert not (rows[1].folder / "image.png").exists() and sorted(told.ends) == [("done", True), ("failed", False)]
    run_batch([row], Execution())
    assert_same(rows[:1], {row.id: row.folder})


def test_row_pruned_while_it_went_on_leaves_where_it_is_and_is_carried_to_the_same_end(
    tmp_path: Path, whole: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rung 5 is measured when the row has come to evaluation 8: it is told, and the row given up, before the next."""
    every_evaluation_a_step(monkeypatch)
    asked, (row, _), has_come, measure = Orders(), make_rows(tmp_path), threading.Event(), RowFolders.measure_rung

    class Prunes(Listener):
        def measured(self, row_id: str, evaluation: int, metrics: Mapping[str, Any]) -> None:
            asked.prune([row_id])

    class Late(pl.Callback):
        def __init__(self, keeper: Keeper) -> None:
            self.keeper = keeper

        def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *unused: Any) -> None:
            if cast(StyleTransfer, pl_module).evaluation[0] == 8:
                has_come.set()
                while cast(ThreadWriter, self.keeper.writer)._num_jobs:
                    time.sleep(0.001)

    def measured_late(files: RowFolders, standing: Standing) -> Metrics:
        assert has_come.wait(200)
        return measure(files, standing)

    monkeypatch.setattr(RowFolders, "measure_rung", measured_late)
    how = Execution(writing="thread", rungs=(5,))
    (pruned,) = run_batch([row], how, lambda keeper: [Late(keeper)], asked=asked, listener=Prunes())
    assert pruned.status is Status.PRUNED and "evaluation 8 of 24" in pruned.reason
    assert set(pruned.rungs) == {"5"} and pruned.metrics["evaluations"] == len(history_of(row.folder)) == 8
    checkpoint = load_checkpoint(RunFolder(row.folder))
    assert checkpoint is not None and checkpoint.evaluation == 8
    run_batch([row], how)
    assert_same([row], whole)


@dataclass
class Threads(Tracker, Listener):
    """Notes in which threads tracker and listener were called, and what lay in the folder of a row that has ended."""

    of: dict[str, set[int]] = field(default_factory=dict)
    ends: list[tuple[str, bool]] = field(default_factory=list)

    def note(self, name: str) -> None:
        self.of.setdefault(name, set()).add(threading.get_ident())

    def add(self, folder: RunFolder) -> None:
        self.note("add")

    def poke(self) -> None:
        self.note("poke")

    def finish(self, folder: RunFolder) -> None:
        self.note("finish")
        is_there = folder.image_path.exists() and not folder.checkpoint_path.exists()
        self.ends.append((manifest_of(folder.path)["status"], is_there))

    def measured(self, row_id: str, evaluation: int, metrics: Mapping[str, Any]) -> None:
        self.note("measured")

    def ended(self, row_id: str, manifest: Manifest) -> None:
        self.note("ended")


def test_tracker_and_listener_know_one_thread_and_hear_of_an_end_when_its_files_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_disk(monkeypatch, 0.02)
    told = Threads()
    run_batch(make_rows(tmp_path), Execution(writing="thread", rungs=(5,)), tracker=told, listener=told)
    assert told.of == {name: {threading.get_ident()} for name in ("add", "poke", "finish", "measured", "ended")}
    assert told.ends == [("done", True)] * 2


def test_what_a_batch_hands_over_behind_its_last_evaluation_is_its_rows_last_lines_and_their_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For no more than this a worker whose writer keeps up waits before its next batch: no checkpoint, no rung."""
    every_evaluation_a_step(monkeypatch)
    num_computed, handed_over = 0, []
    evaluate = StyleTransfer.evaluate_active

    def counted(module: StyleTransfer) -> torch.Tensor:
        nonlocal num_computed
        num_computed += 1
        return evaluate(module)

    class Noting(Writer):
        def put(self, job: Job, num_bytes: int = 0) -> None:
            handed_over.append((num_computed, getattr(job, "func", job).__name__, num_bytes))
            super().put(job, num_bytes)

    monkeypatch.setattr(StyleTransfer, "evaluate_active", counted)
    monkeypatch.setattr("harness.runs.batch.open_writer", lambda writing, device: Noting())
    rows = make_rows(tmp_path)
    run_batch(rows, Execution(layout="batch", checkpoint_every_s=0.0, rungs=(23, 24)))
    before, last = ([name for at, name, _ in handed_over if at == when] for when in (23, 24))
    assert before == ["append", "job", "job", "save", "save"]  # a rung and a checkpoint of either row
    assert last == ["append", "job", "job"]
    picture = 3 * 48 * 48 * 4
    assert sum(num_bytes for at, _, num_bytes in handed_over if at == 24) < 3 * len(rows) * picture


@pytest.mark.parametrize("writing", ["thread", "none"])
def test_run_is_done_only_when_history_and_picture_are_on_the_disk(
    tmp_path: Path, writing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row, _), synced, fsync = make_rows(tmp_path), [], os.fsync

    def noted(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        synced.append((path.name, path.stat().st_size))
        if path.name.startswith(".manifest") and '"done"' in path.read_text():
            names = [name for name, _ in synced]
            assert any(name.startswith(".image.png") for name in names)
            assert ("history.csv", (row.folder / "history.csv").stat().st_size) in synced
            synced.append(("done", 0))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    run_batch([row], Execution(writing=writing))
    assert ("done", 0) in synced


class LateDevice:
    """A device that does each thing it is given two seconds after the one before, and never before it is waited for."""

    def __init__(self) -> None:
        self.num_marks = 0
        self.waited: set[int] = set()

    def mark(self) -> LateMark:
        self.num_marks += 1
        return LateMark(self, self.num_marks)


@dataclass
class LateMark:
    device: LateDevice
    number: int

    def synchronize(self) -> None:
        self.device.waited.add(threading.get_ident())

    def elapsed_time(self, end_event: LateMark) -> float:
        return 2000.0 * (end_event.number - self.number)


@pytest.mark.parametrize("writing", ["thread", "none"])
def test_seconds_are_the_devices_time(tmp_path: Path, writing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    device = LateDevice()
    monkeypatch.setattr("harness.runs.style_transfer.clock_of", lambda of: DeviceClock(device.mark))
    (row, _) = make_rows(tmp_path)
    (manifest,) = run_batch([row], Execution(writing=writing))
    seconds = [line["seconds"] for line in RunFolder(row.folder).history()]
    assert [after - before for before, after in zip(seconds, seconds[1:], strict=False)] == pytest.approx([2.0] * 23)
    assert seconds[-1] == manifest.metrics["seconds"] == pytest.approx(48, abs=2)
    # The clock's beginning is waited for by whoever makes it; the evaluations by whoever writes them.
    assert (len(device.waited) == 2) == (writing == "thread")


def test_moments_of_the_cpu_and_tensors_on_it_do_not_wait() -> None:
    before = time.monotonic()
    moment = now()
    after = time.monotonic()
    time.sleep(0.01)
    assert before <= moment() == moment() <= after
    tensors = {"a": torch.ones(2, 3), "b": torch.zeros(4, dtype=torch.float64)}
    held = OnHost(tensors)
    assert held.num_bytes == 2 * 3 * 4 + 4 * 8
    assert all(held.tensors()[name].data_ptr() == tensor.data_ptr() for name, tensor in tensors.items())


def test_writing_at_once_returns_when_it_is_done_and_told() -> None:
    done: list[str] = []
    writer = Writer()

    def job() -> Callable[[], None]:
        done.append("written")
        return lambda: done.append("told")

    writer.put(job)
    assert done == ["written", "told"] and writer.has_room


def test_keeper_shows_the_line_that_is_written(tmp_path: Path) -> None:
    keepers: list[Keeper] = []
    (row, _) = make_rows(tmp_path)
    run_batch([row], THREAD, lambda keeper: keepers.append(keeper) or [])  # type: ignore[func-returns-value]
    assert keepers[0].latest[0] == RunFolder(row.folder).history()[-1]
