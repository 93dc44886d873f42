"""Runs whose writer lags behind a slow disk: killed, stopped, and gone on with to the same bits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast

import pytest
import pytorch_lightning as pl
from engine_rows import history_of, make_rows, manifest_of, pictures_of

from harness.runs.batch import Execution, run_batch
from harness.runs.checkpoint import load_checkpoint
from harness.runs.history import is_log_spaced
from harness.runs.prepare import Row
from harness.runs.store import RunFolder, Status
from harness.runs.style_transfer import StyleTransfer

WORDS = ("transfer.steps=60", "transfer.pyramid=[{size: 32, steps: 20}]")
STEPS = 80

# Every evaluation is a training step of its own, told on stdout; whatever has to be on the disk takes 10 ms, and 300 ms
# from evaluation 40 on, so that the writer is behind when evaluation 50 is told.
WORKER = f"""
import os, sys, time
from pathlib import Path
sys.path.insert(0, "tests")
import pytorch_lightning as pl
from engine_rows import make_rows
from harness.runs.batch import Execution, run_batch
from harness.runs.style_transfer import StyleTransfer

StyleTransfer.__init__.__defaults__ = (1, 0.0, (), None, None, True, ())
fsync, computed = os.fsync, [0]
os.fsync = lambda descriptor: (time.sleep(0.01 if computed[0] < 40 else 0.3), fsync(descriptor))

class Steps(pl.Callback):
    def on_train_batch_end(self, trainer, module, *unused):
        computed[0] = max(module.evaluation)
        print(computed[0], flush=True)

rows = make_rows(Path(sys.argv[1]), *{WORDS!r})
run_batch(rows, Execution(writing="thread", checkpoint_every_s=0.05), lambda keeper: [Steps()])
"""


def follow(process: subprocess.Popen[str], until: int) -> int:
    """Read what a worker tells until it has computed so many evaluations; returns how many."""
    assert process.stdout is not None
    told = []
    for line in process.stdout:
        told.append(line)
        if line.strip().isdigit() and int(line) >= until:
            return int(line)
    raise AssertionError("".join(told))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Rows with two sizes, carried out and written in one thread: id to run folder."""
    rows = make_rows(tmp_path_factory.mktemp("whole"), *WORDS)
    run_batch(rows, Execution())
    return {row.id: row.folder for row in rows}


def assert_goes_on_to_the_same_bits(rows: list[Row], whole: dict[str, Path]) -> None:
    manifests = run_batch(rows, Execution(writing="thread"))
    for row, manifest in zip(rows, manifests, strict=True):
        assert manifest.status is Status.DONE and manifest.attempts[-1].last == STEPS
        assert pictures_of(row.folder) == pictures_of(whole[row.id])
        assert history_of(row.folder) == history_of(whole[row.id])


def test_killed_behind_its_writers_back_it_loses_only_what_was_not_written(
    tmp_path: Path, whole: dict[str, Path]
) -> None:
    """Killed in the second size: a line of history stands for an iterate, a checkpoint for its lines."""
    rows, lags = make_rows(tmp_path, *WORDS), []
    command = [sys.executable, "-c", WORKER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        computed = follow(process, 50)
        process.kill()
    for row in rows:
        folder = RunFolder(row.folder)
        lines = [int(line["evaluation"]) for line in folder.history()]
        assert lines == list(range(1, len(lines) + 1))
        assert {n for n in lines if is_log_spaced(n, STEPS)} <= set(folder.iterates())
        checkpoint = load_checkpoint(folder)
        assert checkpoint is None or 0 < checkpoint.evaluation <= len(lines) < STEPS
        assert manifest_of(row.folder)["status"] == "running"
        lags.append(computed - len(lines))
    assert min(lags) > 0  # the writer was behind
    assert_goes_on_to_the_same_bits(rows, whole)


def test_stopped_it_writes_all_that_it_has_computed(
    tmp_path: Path, whole: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By SIGTERM in the first size, by Ctrl-C in the second; here in this process."""
    monkeypatch.setattr(StyleTransfer.__init__, "__defaults__", (1, 0.0, (), None, None, True, ()))
    rows, fsync = make_rows(tmp_path, *WORDS), os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (time.sleep(0.01), fsync(descriptor)))

    class Signalled(pl.Callback):
        def __init__(self, number: signal.Signals, before: int) -> None:
            self.number, self.before = number, before

        def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *unused: Any) -> None:
            if cast(StyleTransfer, pl_module).evaluation[0] == self.before - 1:
                signal.raise_signal(self.number)

    how = Execution(writing="thread", checkpoint_every_s=0.05)
    for attempt, (number, until) in enumerate([(signal.SIGTERM, 15), (signal.SIGINT, 50)]):
        callbacks = [Signalled(number, until)]
        with pytest.raises(KeyboardInterrupt):
            run_batch(rows, how, lambda keeper, callbacks=callbacks: callbacks)
        for row in rows:
            lines, checkpoint = history_of(row.folder), load_checkpoint(RunFolder(row.folder))
            reached = manifest_of(row.folder)["attempts"][attempt]["to"]
            assert checkpoint is not None and until == len(lines) == checkpoint.evaluation == reached
    assert_goes_on_to_the_same_bits(rows, whole)
    for row in rows:
        attempts = manifest_of(row.folder)["attempts"]
        assert [attempt["from"] for attempt in attempts] == [1, 16, 51]  # nothing was computed twice
