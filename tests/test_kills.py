"""One sweep, whose driver and workers are killed and interrupted at random moments until it is done."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_rows import history_of, manifest_of, pictures_of
from forked import Forked, children_of

import harness
from harness.results.standing import Condition, overall

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

SWEEP = """
transfer: {content: astronaut, style: strokes, size: 32, steps: STEPS, pyramid: [{size: 24, steps: 20}], start: noise,
           content_layers: {conv2_1: 1}, style_layers: {conv1_1: 1}}
space: {alpha: {log: [1e-5, 1e-1]}, seed: {choice: [0, 1, 2]}}
objectives: [reference_content, reference_style]
sampler: {name: tpe, seed: 3, startup: 4}
budget: {trials: 24, parallel: 2}
"""
KILLS = {"worker": 50, "driver": 50, "all": 15, "SIGTERM": 15, "Ctrl-C": 15, "Ctrl-C twice": 15}
STEPS = 200

STATE_WRITTEN = 6  # Optuna's journal: the operation that changes a trial's state
ENDED = (1, 2, 3)  # complete, pruned, failed


@pytest.fixture
def drivers() -> Iterator[Forked]:
    forked = Forked()
    yield forked
    forked.close()


def told_of(journal: Path) -> dict[int, int]:
    """How often each trial was told."""
    tells: collections.Counter[int] = collections.Counter()
    for line in journal.read_text().splitlines():
        record = json.loads(line)
        if record["op_code"] == STATE_WRITTEN and record["state"] in ENDED:
            tells[record["trial_id"]] += 1
    return dict(tells)


def by_trial(folder: Path) -> dict[int, dict[str, Any]]:
    """What each trial was asked and became, of all runs that are done."""
    found = {}
    for run in harness.load(folder).runs:
        if run.manifest is not None and run.manifest.status.name == "DONE":
            [trial] = run.manifest.trials
            metrics = {name: value for name, value in run.metrics.items() if name != "seconds"}
            found[trial["number"]] = {
                "asked": trial["params"],
                "values": trial.get("values"),
                "metrics": metrics,
                "history": history_of(run.folder.path),
                "pictures": pictures_of(run.folder.path),
            }
    return found


class Fire:
    """Kills what computes a folder.

    Args:
        drivers: start the command.
        command: that is given again and again.
        folder: of the sweep.
        chosen: the moments and the victims.
    """

    def __init__(self, drivers: Forked, command: list[str], folder: Path, chosen: random.Random) -> None:
        self.drivers, self.command, self.folder, self.chosen = drivers, command, folder, chosen
        self.log = folder.parent / "log"
        self.counts = dict.fromkeys(KILLS, 0)
        self.attempts_of_done: dict[str, Any] = {}
        self.num_computed_twice = 0

    def num_lines(self) -> int:
        return sum(path.read_bytes().count(b"\n") for path in self.folder.glob("*/history.csv"))

    def wait(self) -> int | None:
        """Wait for a random moment: soon, or some evaluations later; the exit code if the driver ended meanwhile."""
        if self.chosen.random() < 0.3:
            return self.drivers.ended(self.chosen.uniform(0.0, 0.3))
        until = self.num_lines() + self.chosen.randint(1, 40)
        while self.num_lines() < until:
            if (code := self.drivers.ended(0.01)) is not None:
                return code
        return None

    def live(self) -> int | None:
        """One driver's life, in which at most two workers die; its exit code, None where it was killed or stopped."""
        pid = self.drivers.start(self.command, self.log)
        for _ in range(self.chosen.randint(0, 2)):  # a run that is lost three times without getting on is given up
            if (code := self.wait()) is not None:
                return code
            if workers := children_of(pid):
                self.kill(self.chosen.choice(workers), signal.SIGKILL, "worker")
        if (code := self.wait()) is not None:
            return code
        left = [kind for kind, number in KILLS.items() if self.counts[kind] < number and kind != "worker"]
        kind = self.chosen.choice(left or ["driver"])
        if kind == "all":
            for worker in children_of(pid):
                self.kill(worker, signal.SIGKILL)
        number = {"SIGTERM": signal.SIGTERM, "Ctrl-C": signal.SIGINT, "Ctrl-C twice": signal.SIGINT}
        self.kill(pid, number.get(kind, signal.SIGKILL), kind)
        if kind == "Ctrl-C twice":
            time.sleep(self.chosen.uniform(0.0, 0.1))
            self.kill(pid, signal.SIGINT)
        code = self.drivers.ended(120)
        if kind in ("driver", "all"):
            assert code == -signal.SIGKILL or code == 0, code
        else:  # a signal that comes before the command listens ends it at once
            assert code in (0, 130, -signal.SIGTERM, 1), (kind, code)
        return 0 if code == 0 else None

    def kill(self, pid: int, number: int, kind: str = "") -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            if kind:
                self.counts[kind] += 1

    def look(self, whole: dict[int, dict[str, Any]]) -> None:
        """Status tells the truth, the journal is readable, and what was done is left alone."""
        if not (self.folder / "cells.json").exists():
            return
        standings = overall(harness.load(self.folder)).standings
        assert not [each for each in standings if each.condition in (Condition.FAILED, Condition.DAMAGED)], standings
        for number, now in by_trial(self.folder).items():
            assert now == whole[number]
        for path in sorted(self.folder.glob("*/manifest.json")):
            manifest = manifest_of(path.parent)
            if manifest["status"] == "done":
                known = self.attempts_of_done.setdefault(path.parent.name, manifest["attempts"])
                self.num_computed_twice += manifest["attempts"] != known
        assert set(told_of(self.folder / "study.journal").values()) <= {1}


def test_sweep_killed_at_random_moments_loses_nothing_and_computes_nothing_twice(
    tmp_path: Path, drivers: Forked
) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(SWEEP.replace("STEPS", str(STEPS)))
    command = ["sweep", str(path), "--devices", "cpu:2", "--wandb", "off", "--checkpoint-every", "0.05"]
    drivers.start([*command, "--out", str(tmp_path / "whole")], tmp_path / "whole.log")
    assert drivers.ended(600) == 0, (tmp_path / "whole.log").read_text()
    whole = by_trial(tmp_path / "whole" / "tiny")
    assert sorted(whole) == list(range(24))
    fire = Fire(drivers, [*command, "--out", str(tmp_path / "killed")], tmp_path / "killed" / "tiny", random.Random(7))
    (tmp_path / "killed").mkdir()
    num_finished = 0
    while any(fire.counts[kind] < number for kind, number in KILLS.items()):
        if fire.live() == 0:  # done before all was tried
            num_finished += 1
            fire.look(whole)
            assert by_trial(fire.folder) == whole
            os.rename(fire.folder, tmp_path / f"finished{num_finished}")
            fire.attempts_of_done = {}
        else:
            fire.look(whole)
    drivers.start(fire.command, fire.log)
    assert drivers.ended(600) == 0, fire.log.read_text()
    fire.look(whole)
    assert by_trial(fire.folder) == whole
    assert list(told_of(fire.folder / "study.journal").values()) == [1] * 24
    print(f"{fire.counts}, {num_finished + 1} sweeps, trials lost 0, computed twice {fire.num_computed_twice}")
    assert fire.num_computed_twice == 0
    said = fire.log.read_text()
    assert "Traceback" not in said, said[said.index("Traceback") - 500 :][:3000]
