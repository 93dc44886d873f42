"""The layout of a GPU, rows as one tensor, carried out on the CPU: whole runs, and nothing that the host reads."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from engine_rows import counted, history_of, make_rows, manifest_of, pictures_of
from host_reads import HostReadError, no_host_reads
from PIL import Image
from plugin_files import loaded, naming

from harness.engines.contract import End, Task
from harness.engines.work import carry_out
from harness.features.vgg import GRID_PX
from harness.runs import style_transfer
from harness.runs.batch import Execution, run_batch
from harness.runs.batch_module import Progress
from harness.runs.keeper import Keeper, Listener
from harness.runs.module_makers import module_makers
from harness.runs.prepare import Row, prepare_images
from harness.runs.signals import Orders
from harness.runs.style_transfer import StyleTransfer

BATCHED = Execution(layout="batch", microbatch=4)

CASES = """cases:
  faint: {alpha: 1e-3}
  strong: {alpha: 1, content_layers: {conv1_2: 1, conv2_1: 0.5}}
  given up: {style_layers: {conv1_1: 1}}
  masked: {style: {strokes: {mask: left.png}, mosaic: {mask: right.png, own_mask: left.png, scale: 0.5}}}
  luminance: {colours: luminance, beta: 10}
  smooth: {start: content, total_variation: 1.0}
  photorealistic: {start: content, photorealism.weight: 10}
  other: {style: mosaic, seed: 3, style_layers: {conv1_2: 0.2, conv2_1: 0.8}, convention: printed, alpha: 1e-5}"""
GIVEN_UP = 2
LBFGS = "transfer.optimiser={name: lbfgs, line_search: strong_wolfe, bounds: unit}"
ADAM = "transfer.optimiser={name: adam, learning_rate: 0.02}"
DOUBLE = "transfer.precision=float64"


@pytest.fixture(autouse=True)
def masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two halves, in the working directory."""
    left = np.zeros((48, 48), np.uint8)
    left[:, :24] = 255
    Image.fromarray(left).save(tmp_path / "left.png")
    Image.fromarray(255 - left).save(tmp_path / "right.png")
    monkeypatch.chdir(tmp_path)


@dataclass
class GivesUp(Listener):
    """Lets a row go at its first rung, and asks for the end at the second one where it is told to."""

    row_id: str
    stops: bool = False
    asked: Orders = field(default_factory=Orders)

    def measured(self, row_id: str, evaluation: int, metrics: Mapping[str, Any]) -> None:
        if row_id == self.row_id:
            self.asked.prune([row_id])
        self.asked.stop = self.stops and evaluation == 10


class Dies(pl.Callback):
    """Has the rows checkpointed at evaluation 10 and kills its own process at 15."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *unused: Any) -> None:
        if pl_module.evaluation[0] == 10:
            self.keeper.save(pl_module, sorted(pl_module.rows_inside))
        if pl_module.evaluation[0] == 15:
            signal.raise_signal(signal.SIGKILL)


RUNGS = replace(BATCHED, checkpoint_every_s=1e9, rungs=(5, 10, 15))


def carry_out_until_killed(folder: Path, *overrides: str) -> None:
    """What the first process does."""
    rows = make_rows(folder, *overrides, varied=CASES)
    listener = GivesUp(rows[GIVEN_UP].id)
    run_batch(rows, RUNGS, lambda keeper: [Dies(keeper)], asked=listener.asked, listener=listener)


def test_rows_as_one_tensor_pruned_killed_and_resumed_end_where_rows_by_themselves_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"import test_batched_layout as t, pathlib; t.carry_out_until_killed(pathlib.Path(), {LBFGS!r})"
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent}:{Path(__file__).parents[1]}")
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    rows = make_rows(tmp_path, LBFGS, varied=CASES)
    assert [len(history_of(row.folder)) for row in rows] == [15, 15, 5, 15, 15, 15, 15, 15]
    assert_resumed_rows_end_where_rows_by_themselves_do(tmp_path, rows, LBFGS, monkeypatch)


def test_adams_rows_as_one_tensor_pruned_stopped_and_resumed_end_where_rows_by_themselves_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = make_rows(tmp_path, ADAM, DOUBLE, varied=CASES)
    listener = GivesUp(rows[GIVEN_UP].id, stops=True)
    with pytest.raises(KeyboardInterrupt):
        run_batch(rows, RUNGS, asked=listener.asked, listener=listener)
    assert_resumed_rows_end_where_rows_by_themselves_do(tmp_path, rows, ADAM, monkeypatch, DOUBLE)


def assert_resumed_rows_end_where_rows_by_themselves_do(
    folder: Path, rows: list[Row], optimiser: str, monkeypatch: pytest.MonkeyPatch, *overrides: str
) -> None:
    """Carry on what is left at evaluation 10, and compare it with the same rows in the CPU's own layout."""
    passes = _counted_passes(monkeypatch)
    run_batch([row for i, row in enumerate(rows) if i != GIVEN_UP], replace(BATCHED, rungs=(15,)))
    assert passes == [4, 3] * 14
    (folder / "alone").mkdir()
    alone = make_rows(folder / "alone", optimiser, *overrides, varied=CASES)
    run_batch(alone, Execution(rungs=(5, 10, 15)))
    for row, other in zip(rows, alone, strict=True):
        ours, theirs = manifest_of(row.folder), manifest_of(other.folder)
        history, whole = history_of(row.folder), history_of(other.folder)
        if row is rows[GIVEN_UP]:
            assert ours["status"] == "pruned"
            whole = whole[:5]
        else:
            assert ours["status"] == "done" and ours["metrics"].keys() == theirs["metrics"].keys()
            assert [attempt["from"] for attempt in ours["attempts"]] == [1, 11] and ours["attempts"][-1]["to"] == 24
            assert ours["rungs"].keys() == theirs["rungs"].keys() == {"5", "10", "15"}
            assert ours["metrics"]["total"] == pytest.approx(theirs["metrics"]["total"], rel=0.02), row.transfer
            assert pictures_of(row.folder).keys() == pictures_of(other.folder).keys()
        assert [line["evaluation"] for line in history] == [line["evaluation"] for line in whole]
        assert [_filled(line) for line in history] == [_filled(line) for line in whole]
        assert float(history[-1]["total"]) == pytest.approx(float(whole[-1]["total"]), rel=0.02), row.transfer


def _filled(line: Mapping[str, str]) -> list[str]:
    """The columns of a history's line that have a number."""
    return [name for name, value in line.items() if value]


def _counted_passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows went through the network together, pass for pass."""
    passes: list[int] = []
    evaluate = style_transfer.evaluate

    def noted(objective: Any, network: Any, images: torch.Tensor, *rest: Any, **more: Any) -> Any:
        passes.append(len(images))
        return evaluate(objective, network, images, *rest, **more)

    monkeypatch.setattr(style_transfer, "evaluate", noted)
    return passes


def module_of(rows: list[Row], execution: Execution = BATCHED) -> StyleTransfer:
    """The rows' module, as ``run_batch`` has it."""
    [make] = module_makers(rows, prepare_images(rows), execution, Progress.of(len(rows)))
    module = make()
    assert isinstance(module, StyleTransfer)
    return module


OPTIMISERS: dict[str, str] = {
    "strong Wolfe, bounded": LBFGS,
    "backtracking, bounded by the painting": "transfer.optimiser={name: lbfgs, line_search: backtracking, "
    "bounds: source}",
    "no search": "transfer.optimiser={name: lbfgs, line_search: none, bounds: none, history: 3}",
    "no search, bounded, no filter": "transfer.optimiser={name: lbfgs, line_search: none, bounds: unit, "
    "initial_hessian: scaled_identity}",
    "Adam": ADAM,
}


@pytest.mark.parametrize("precision", ["float32", "float64", "bf16"])  # the latter two by the operations of a GPU
@pytest.mark.parametrize("optimiser", OPTIMISERS.values(), ids=OPTIMISERS)
def test_the_host_reads_nothing_during_evaluations_and_steps(tmp_path: Path, optimiser: str, precision: str) -> None:
    rows = make_rows(tmp_path, optimiser, f"transfer.precision={precision}", varied=CASES)
    module = module_of(rows)
    assert not module.optimizer.row_by_row
    with no_host_reads(copies=False):  # the first evaluation of a set of rows sends their indices and weights
        module.optimizer.step(module.evaluate_active)
    with no_host_reads():
        for _ in range(8):
            module.optimizer.step(module.evaluate_active)
    module.drop([GIVEN_UP])
    with no_host_reads(copies=False):
        module.optimizer.step(module.evaluate_active)
    with no_host_reads():
        module.optimizer.step(module.evaluate_active)
    totals = [record.on_host().values()["total"] for record in module.take_records()]
    assert [len(of_pass) for of_pass in totals] == [4, 4] * 9 + [4, 3] * 2
    history = [totals[i] + totals[i + 1] for i in range(0, 18, 2)]
    assert all(min(of_row) < of_row[0] for of_row in zip(*history, strict=True))


def test_the_host_reads_nothing_where_rows_go_in_tiles(tmp_path: Path) -> None:
    module = module_of(make_rows(tmp_path, varied=CASES), replace(BATCHED, microbatch=0, pass_bound_bytes=1.0))
    assert module.objective.tile_px == GRID_PX and module.microbatch == 1 and not module.optimizer.row_by_row
    module.optimizer.step(module.evaluate_active)
    with no_host_reads():
        module.optimizer.step(module.evaluate_active)


def test_a_task_goes_in_tiles_by_its_own_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    counted(monkeypatch, "harness.objective.gradient.evaluate_in_tiles", calls)
    for steps, bound_bytes, num_in_tiles in ((2, None, 0), (3, 1.0, 3), (4, 1e12, 3)):
        [row] = make_rows(tmp_path, "axes=null", f"transfer.steps={steps}")
        assert carry_out(Task((row,), pass_bound_bytes=bound_bytes), "cpu", 1, "cpu:0", print, Orders())[0] is End.DONE
        assert len(calls) == num_in_tiles
        assert manifest_of(row.folder)["provenance"]["pass_bound_bytes"] == bound_bytes


def test_rows_by_themselves_are_seen_to_read(tmp_path: Path) -> None:
    """The check itself: on the CPU every row is asked."""
    module = module_of(make_rows(tmp_path, varied=CASES), Execution())
    with pytest.raises(HostReadError), no_host_reads(copies=False):
        module.optimizer.step(module.evaluate_active)


READING: dict[str, Callable[[torch.Tensor], Any]] = {
    "item": lambda x: x[0].item(),
    "bool": lambda x: bool(x[0] > 0),
    "float": lambda x: float(x[0]),
    "tolist": lambda x: x.tolist(),
    "numpy": lambda x: x.numpy(),
    "cpu": lambda x: x.cpu(),
    "to cpu": lambda x: x.to("cpu"),
    "mask": lambda x: x[x > 0],
    "into a mask": lambda x: x.__setitem__(x > 0, 1.0),
    "nonzero": lambda x: x.nonzero(),
    "where": lambda x: torch.where(x > 0),
    "a list": lambda x: x + x.new_tensor([1.0, 2.0]),
    "a list, too": lambda x: x + torch.tensor([1.0, 2.0]),
}


@pytest.mark.parametrize("read", READING.values(), ids=READING)
def test_every_way_of_reading_is_seen(read: Callable[[torch.Tensor], Any]) -> None:
    with pytest.raises(HostReadError), no_host_reads():
        read(torch.ones(2))


def test_a_plugins_first_values_are_checked_and_then_read_no_more(tmp_path: Path) -> None:
    body = '@harness.term("warm")\ndef warm(images, *, content):\n    return images[:, 0].mean((1, 2))\n'
    with loaded(tmp_path, body):
        text = f"{naming(tmp_path, 'mine.py')}axes: {{alpha: [1e-3, 1e-1]}}"
        module = module_of(make_rows(tmp_path, "transfer.terms={warm: 1}", varied=text))
        module.optimizer.step(module.evaluate_active)
        with no_host_reads():
            module.optimizer.step(module.evaluate_active)


@pytest.mark.parametrize(
    ("execution", "is_batched"),
    [
        (Execution(), False),
        (Execution("cuda:0"), True),
        (Execution("cuda:0", layout="rows"), False),
        (Execution(layout="batch"), True),
    ],
)
def test_layout_is_by_the_device_unless_it_is_given(execution: Execution, is_batched: bool) -> None:
    assert execution.is_batched is is_batched


def test_rows_as_one_tensor_go_through_the_network_together_where_nothing_else_is_said(tmp_path: Path) -> None:
    rows = make_rows(tmp_path)
    assert [module_of(rows, execution).microbatch for execution in (Execution(), Execution(layout="batch"))] == [1, 2]
