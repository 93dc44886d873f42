"""What a batch's run folders hold when rows are measured on the way, pruned, stopped, or asked for by trials."""

from __future__ import annotations

import json
import resource
import signal
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
import pytorch_lightning as pl
import torch
from engine_rows import history_of, make_rows, manifest_of, pictures_of, with_trial
from results_folder import make_whole
from safetensors.torch import load_file

from harness.engines.contract import End, Task
from harness.engines.work import carry_out
from harness.errors import StorageError
from harness.runs.batch import Execution, run_batch
from harness.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from harness.runs.keeper import Listener
from harness.runs.prepare import Row
from harness.runs.signals import Orders
from harness.runs.store import Attempt, Manifest, RunFolder, Status
from harness.runs.style_transfer import StyleTransfer
from harness.runs.trials import record_trial


@dataclass
class Witness(Listener):
    """Remembers what it is told, and at the first rung asks something of the batch."""

    asked: Orders = field(default_factory=Orders)
    prunes: tuple[str, ...] = ()
    stops: bool = False
    rungs: list[tuple[str, int]] = field(default_factory=list)
    ends: dict[str, Manifest] = field(default_factory=dict)

    def measured(self, row_id: str, evaluation: int, metrics: Mapping[str, Any]) -> None:
        self.rungs.append((row_id, evaluation))
        self.asked.prune(self.prunes)
        self.asked.stop = self.stops

    def ended(self, row_id: str, manifest: Manifest) -> None:
        self.ends[row_id] = manifest


def carry(rows: list[Row], rungs: tuple[int, ...] = (), witness: Witness | None = None) -> list[Manifest]:
    witness = witness or Witness()
    return run_batch(rows, Execution(rungs=rungs), asked=witness.asked, listener=witness)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The tiny experiment's rows, each carried out alone and undisturbed: id to run folder."""
    rows = make_rows(tmp_path_factory.mktemp("whole"))
    for row in rows:
        carry([row])
    return {row.id: row.folder for row in rows}


def assert_same(rows: list[Row], whole: Mapping[str, Path]) -> None:
    for row in rows:
        assert pictures_of(row.folder) == pictures_of(whole[row.id])
        assert history_of(row.folder) == history_of(whole[row.id])


def test_rungs_are_told_and_do_not_change_a_bit(tmp_path: Path, whole: dict[str, Path]) -> None:
    rows, witness = make_rows(tmp_path), Witness()
    carry(rows, (5, 11), witness)
    assert sorted(witness.rungs) == sorted((row.id, rung) for row in rows for rung in (5, 11))
    assert_same(rows, whole)
    assert {row.id for row in rows} == set(witness.ends)


def test_rung_has_the_numbers_of_a_run_that_ends_there(tmp_path: Path) -> None:
    """The best iterate so far, as the 8-bit picture that the shorter run saves."""
    (row,) = make_rows(tmp_path, "axes=null")
    (short,) = make_rows(tmp_path, "axes=null", "transfer.steps=11")
    (on_the_way,), (at_the_end,) = carry([row], (11,)), carry([short])
    without_time = {name: value for name, value in at_the_end.metrics.items() if name != "seconds"}
    assert {name: on_the_way.rungs["11"][name] for name in without_time} == without_time


def test_pruned_row_leaves_at_once_and_its_neighbour_unchanged(tmp_path: Path, whole: dict[str, Path]) -> None:
    first, second = make_rows(tmp_path)
    witness = Witness(prunes=(first.id,))
    pruned, done = carry([with_trial(first, 3, "ssim"), second], (5, 11), witness)
    assert (pruned.status, done.status) == (Status.PRUNED, Status.DONE)
    assert [line["evaluation"] for line in history_of(first.folder)] == ["1", "2", "3", "4", "5"]
    assert (first.id, 11) not in witness.rungs and (second.id, 11) in witness.rungs
    assert pruned.metrics == pruned.rungs["5"] and "evaluation 5 of 24" in pruned.reason
    assert (first.folder / "image.png").exists() and (first.folder / "checkpoint.safetensors").exists()
    (record,) = pruned.trials
    assert record["state"] == "PRUNED" and record["intermediate"] == {"5": pruned.metrics["ssim"]}
    assert witness.ends == {first.id: pruned, second.id: done}
    assert_same([second], whole)


def test_pruned_run_can_be_carried_to_the_same_end(tmp_path: Path, whole: dict[str, Path]) -> None:
    row = make_rows(tmp_path)[0]
    carry([with_trial(row, 3, "ssim")], (5,), Witness(prunes=(row.id,)))
    witness = Witness()
    (manifest,) = carry([with_trial(row, 8, "ssim")], (5, 11), witness)
    assert manifest.status is Status.DONE and manifest_of(row.folder)["attempts"] == [
        {"from": 1, "to": 5},
        {"from": 6, "to": 24},
    ]
    assert_same([row], whole)
    assert witness.rungs == [(row.id, 5), (row.id, 11)]  # the new trial hears of the rung that the first has paid for
    former, new = manifest.trials
    assert (former["number"], former["state"]) == (3, "PRUNED")
    assert (new["number"], new["state"], new["values"]) == (8, "COMPLETE", [manifest.metrics["ssim"]])
    assert set(new["intermediate"]) == {"5", "11"}


def test_stopped_batch_is_checkpointed_and_goes_on_to_the_same_bits(tmp_path: Path, whole: dict[str, Path]) -> None:
    rows = make_rows(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        carry(rows, (7,), Witness(stops=True))
    for row in rows:
        manifest = manifest_of(row.folder)
        assert manifest["status"] == "running" and manifest["attempts"] == [{"from": 1, "to": 7}]
    carry(rows, (7,))
    assert [manifest_of(row.folder)["attempts"][1] for row in rows] == [{"from": 8, "to": 24}] * 2
    assert_same(rows, whole)


def test_sigterm_that_comes_when_the_step_was_looked_at_is_checkpointed_too(
    tmp_path: Path, whole: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning then ends the fit itself, before the next step."""

    class Terminated(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *unused: Any) -> None:
            if cast(StyleTransfer, pl_module).evaluation[0] == 7:
                signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(StyleTransfer.__init__, "__defaults__", (1, 0.0, (), None, None, True, ()))
    rows = make_rows(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run_batch(rows, Execution(), lambda keeper: [Terminated()])
    for row in rows:
        checkpoint = load_checkpoint(RunFolder(row.folder))
        assert checkpoint is not None and checkpoint.evaluation == len(history_of(row.folder)) == 7
    carry(rows)
    assert_same(rows, whole)


def test_trial_that_finds_its_run_done_is_recorded_once(tmp_path: Path) -> None:
    (row,) = make_rows(tmp_path, "axes=null", "transfer.steps=2")
    (first,) = carry([with_trial(row, 0, "reference_content", "reference_style")])
    assert first.trials[0]["values"] == [first.metrics["reference_content"], first.metrics["reference_style"]]
    witness = Witness()
    (second,) = carry([with_trial(row, 1, "total")], (), witness)
    assert [record["number"] for record in second.trials] == [0, 1]
    assert second.trials[1]["values"] == [first.metrics["total"]] and witness.ends == {row.id: second}
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in row.folder.rglob("*.*")}
    carry([with_trial(row, 1, "total")])
    assert record_trial(RunFolder(row.folder), ()) == second
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in row.folder.rglob("*.*")} == before


def test_trial_of_a_failed_run_and_one_without_a_number_fail(tmp_path: Path) -> None:
    (row,) = make_rows(tmp_path, "axes=null", "transfer.alpha=1e300")
    (manifest,) = carry([with_trial(row, 0, "ssim")])
    assert manifest.status is Status.FAILED
    assert manifest.trials[0]["state"] == "FAIL" and manifest.trials[0]["values"] is None
    folder = RunFolder(row.folder)
    make_whole(folder)
    folder.write_manifest(replace(manifest, status=Status.DONE, metrics={"ssim": None}, trials=()))
    assert record_trial(folder, with_trial(row, 1, "ssim").manifest.trials).trials[0]["state"] == "FAIL"


def test_folder_in_use_is_waited_for_a_while(tmp_path: Path) -> None:
    (row,) = make_rows(tmp_path, "axes=null", "transfer.steps=1")
    row.folder.mkdir(parents=True)
    holder = RunFolder(row.folder)
    assert holder.acquire()
    with pytest.raises(StorageError, match="in use by another harness process"):
        run_batch([row], Execution(lock_wait_s=0.1))
    threading.Timer(0.2, holder.release).start()
    (manifest,) = run_batch([row], Execution(lock_wait_s=15.0))
    assert manifest.status is Status.DONE


def test_memory_that_does_not_suffice_is_an_end_of_its_own(tmp_path: Path) -> None:
    """A real limit: the address space may grow by 96 MB, less than a pass at 1024 px takes."""
    rows = make_rows(tmp_path, "transfer.size=1024", "transfer.steps=1")
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 96_000_000, before[1]))
    try:
        end, message, exit_code = carry_out(Task(tuple(rows)), "cpu", 1, "here", lambda event: None, Orders())
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert (end, exit_code) == (End.OUT_OF_MEMORY, 1) and "not enough memory for 2 pictures of 1024 px" in message


def test_single_threaded_bits_do_not_depend_on_the_pace(
    tmp_path: Path, whole: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many evaluations a training step makes is a matter of speed: one or all give the same picture."""
    rows = make_rows(tmp_path)
    monkeypatch.setattr(StyleTransfer.__init__, "__defaults__", (1, 0.0, (), None, None, True, ()))
    carry(rows)
    assert_same(rows, whole)


def test_manifest_is_read_back_as_it_was_and_another_versions_is_refused(tmp_path: Path) -> None:
    manifest = Manifest("0123456789ab", "tiny", Status.DONE, label={"alpha": 0.1}, attempts=(Attempt(1, 24),))
    data = json.loads(manifest.to_json())
    assert data["schema"] == 6 and data["attempts"] == [{"from": 1, "to": 24}] and data["label"] == {"alpha": 0.1}
    assert Manifest.from_json(manifest.to_json()) == manifest
    (tmp_path / "manifest.json").write_text(json.dumps({**data, "schema": 5}))
    with pytest.raises(StorageError, match=r"its schema is 5, .*move its folder away"):
        RunFolder(tmp_path).manifest()


def test_checkpoint_is_a_safetensors_file_of_the_same_bits(tmp_path: Path) -> None:
    """Read back by the library; every kind of tensor that optimisers and quilting keep, scalars and none at all too."""
    tensors = {
        "image": torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(0)),
        "loss": torch.tensor(1.5, dtype=torch.float64),
        "count": torch.tensor(7),
        "placed": torch.arange(6, dtype=torch.int32).reshape(2, 3).T,
        "started": torch.tensor(True),
        "none": torch.zeros(0, 3),
    }
    folder = RunFolder(tmp_path)
    save_checkpoint(folder, Checkpoint(12, tensors, level=1, level_began=5, is_at_end=True))
    read = load_file(folder.checkpoint_path)
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[name], tensor) and read[name].dtype == tensor.dtype for name, tensor in tensors.items())
    again = load_checkpoint(folder)
    assert again is not None
    assert (again.evaluation, again.level, again.level_began, again.is_at_end) == (12, 1, 5, True)
