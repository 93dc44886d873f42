"""Whole sweeps, small but real: the same trials on any number of workers, killed, deleted, repeated, pruned."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from processes import workers_of
from test_run import runs_of, snapshot
from typer.testing import CliRunner, Result

import harness
from harness.cli.app import app
from harness.config import load_sweep
from harness.driver.jobs import JobMaker
from harness.driver.sweep import example_cells, name_of_study
from harness.studies.storage import open_storage

SWEEP = """\
transfer: {content: astronaut, style: strokes, size: 48, steps: STEPS, pyramid: [], content_layers: {conv1_1: 1},
           style_layers: {conv1_1: 0.5, conv2_1: 0.5}}
space:
  alpha: {log: [1e-5, 1e-1]}
  style_layers: {simplex: [conv1_1, conv2_1]}
  start: {choice: [content, noise]}
objectives: [reference_content, reference_style]
sampler: {name: tpe, seed: 3, startup: 3}
budget: {trials: 8, parallel: 3}
"""


def harness_sweep(*words: str | Path, devices: str = "cpu") -> Result:
    """``harness sweep`` in this process."""
    return CliRunner().invoke(app, ["sweep", *map(str, words), "--devices", devices, "--wandb", "off"])


def write_sweep(folder: Path, steps: int = 6, extra: str = "") -> Path:
    path = folder / "tiny_sweep.yaml"
    path.write_text(SWEEP.replace("STEPS", str(steps)) + extra)
    return path


def study_of(folder: Path) -> optuna.Study:
    results = harness.load(folder)
    return optuna.load_study(study_name=results.study, storage=open_storage(results.storage, folder))


def trials_of(folder: Path) -> list[tuple[Any, ...]]:
    return [(t.number, t.state.name, t.params, t.values) for t in study_of(folder).trials]


def images_of(folder: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in sorted(folder.glob("*/image.png"))}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sweep above, carried out once: its file and its folder."""
    folder = tmp_path_factory.mktemp("swept")
    path = write_sweep(folder)
    result = harness_sweep(path, "--out", folder / "runs")
    assert result.exit_code == 0, result.output
    return path, folder / "runs" / "tiny_sweep"


def test_every_trial_is_one_done_folder_and_its_values_are_the_metrics(swept: tuple[Path, Path]) -> None:
    _, folder = swept
    trials = study_of(folder).trials
    manifests = [json.loads(path.read_text()) for path in folder.glob("*/manifest.json")]
    by_number = {manifest["trials"][0]["number"]: manifest for manifest in manifests}
    assert len(trials) == len(manifests) == 8 and set(by_number) == set(range(8))
    for trial in trials:
        record, metrics = by_number[trial.number]["trials"][0], by_number[trial.number]["metrics"]
        assert trial.state.name == record["state"] == "COMPLETE" and by_number[trial.number]["status"] == "done"
        assert trial.values == record["values"] == [metrics["reference_content"], metrics["reference_style"]]
        assert trial.params == record["params"]
        weights = harness.load(folder).run(trial=trial.number).transfer.style_layers
        assert trial.user_attrs == record["user_attrs"] == {f"style_layers.{k}": w for k, w in weights.items()}
        assert set(trial.params) == {"alpha", "start", "u(style_layers.conv1_1)", "u(style_layers.conv2_1)"}
    assert (folder / "front.png").stat().st_size > 0 and (folder / "front.pdf").stat().st_size > 0


@pytest.mark.usefixtures("undrawn")
def test_same_seed_asks_the_same_trials_and_makes_the_same_images_on_one_worker_and_on_two(
    swept: tuple[Path, Path], tmp_path: Path
) -> None:
    path, folder = swept
    assert harness_sweep(path, "--out", tmp_path, devices="cpu:2").exit_code == 0
    assert trials_of(tmp_path / "tiny_sweep") == trials_of(folder)
    assert images_of(tmp_path / "tiny_sweep") == images_of(folder)


@pytest.mark.usefixtures("undrawn")
def test_second_sweep_does_no_work_and_a_larger_budget_goes_on(swept: tuple[Path, Path], tmp_path: Path) -> None:
    path, folder = swept
    copy = tmp_path / "tiny_sweep"
    shutil.copytree(folder, copy)
    before, trials = snapshot(copy), trials_of(copy)
    again = harness_sweep(path, "--out", tmp_path)
    assert again.exit_code == 0 and "8 of 8 trials are done already; 0 to go." in again.output
    assert snapshot(copy) == before
    more = harness_sweep(path, "budget.trials=10", "--out", tmp_path)
    assert more.exit_code == 0 and "another search" not in more.output, more.output
    assert not (copy / "earlier").exists()
    assert trials_of(copy)[:8] == trials and len(trials_of(copy)) == 10
    other = harness_sweep(path, "sampler.seed=4", "budget.trials=1", "--out", tmp_path)
    assert other.exit_code == 0 and "another search" in other.output, other.output
    assert (copy / "earlier").exists()


@pytest.mark.usefixtures("undrawn")
def test_trials_overrides_behind_run_are_the_same_run_and_no_work(swept: tuple[Path, Path]) -> None:
    path, folder = swept
    before = snapshot(folder)
    definition = (folder / "experiment.yaml").read_bytes()
    for run in harness.load(folder).runs[::3]:
        words = ["run", str(path), *run.overrides, "--out", str(folder.parent), "--devices", "cpu", "--wandb", "off"]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0 and "1 of 1 runs are done already; 0 to compute." in result.output, result.output
        assert run.id in result.output
    assert snapshot(folder) == before and (folder / "experiment.yaml").read_bytes() == definition


@pytest.mark.usefixtures("undrawn")
def test_printed_words_of_a_trial_can_be_pasted_into_a_shell(swept: tuple[Path, Path]) -> None:
    path, folder = swept
    result = harness_sweep(path, "--out", folder.parent)
    (line,) = [line for line in result.output.splitlines() if "again: harness run" in line]
    words = shlex.split(line.split("again: harness ")[1])
    pasted = CliRunner().invoke(app, [*words, "--out", str(folder.parent), "--devices", "cpu", "--wandb", "off"])
    assert pasted.exit_code == 0 and "0 to compute" in pasted.output, pasted.output


@pytest.mark.usefixtures("undrawn")
def test_deleted_study_comes_back_from_the_run_folders(swept: tuple[Path, Path], tmp_path: Path) -> None:
    path, folder = swept
    copy = tmp_path / "tiny_sweep"
    shutil.copytree(folder, copy)
    (copy / "study.journal").unlink()
    before = snapshot(copy)
    result = harness_sweep(path, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert trials_of(copy) == trials_of(folder) and snapshot(copy) == before
    assert "8 of 8 trials are done already; 0 to go." in result.output and "tiny_sweep on " not in result.output
    shutil.copytree(folder, tmp_path / "kept" / "tiny_sweep")
    for out in (tmp_path, tmp_path / "kept"):
        assert harness_sweep(path, "budget.trials=10", "--out", out).exit_code == 0
    assert trials_of(copy) == trials_of(tmp_path / "kept" / "tiny_sweep")


@pytest.mark.usefixtures("undrawn")
def test_deleted_run_folder_is_computed_again_to_the_same_bits(swept: tuple[Path, Path], tmp_path: Path) -> None:
    path, folder = swept
    copy = tmp_path / "tiny_sweep"
    shutil.copytree(folder, copy)
    run = sorted(runs_of(copy).values())[0]
    shutil.rmtree(run)
    result = harness_sweep(path, "--out", tmp_path)
    assert result.exit_code == 0 and images_of(copy) == images_of(folder)
    assert trials_of(copy) == trials_of(folder)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.long
def test_killed_sweep_ends_as_the_uninterrupted_one(tmp_path: Path) -> None:
    """A worker and then the driver are killed; in the end the study and the pictures are the same."""
    path = write_sweep(tmp_path, steps=60)
    words = [str(path), "--devices", "cpu:2", "--wandb", "off", "--checkpoint-every", "0.2"]
    command = [sys.executable, "-m", "harness", "sweep", *words, "--out", str(tmp_path / "killed")]
    chosen = random.Random(5)
    kills = 0
    while True:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        begun = time.monotonic()
        while kills < 2 and process.poll() is None:
            started = list((tmp_path / "killed").glob("*/*/history.csv"))
            if time.monotonic() - begun < 2 or len(started) < kills:
                time.sleep(0.05)
                continue
            time.sleep(chosen.uniform(0, 1))
            kills += 1
            if kills % 2 and (workers := workers_of(process.pid)):
                os.kill(chosen.choice(workers), signal.SIGKILL)
            else:
                process.kill()
        output, _ = process.communicate()
        if process.returncode != -signal.SIGKILL:
            break
    assert process.returncode == 0, output
    assert kills == 2
    assert harness_sweep(path, "--out", tmp_path / "whole", devices="cpu:2").exit_code == 0
    assert trials_of(tmp_path / "killed/tiny_sweep") == trials_of(tmp_path / "whole/tiny_sweep")
    assert images_of(tmp_path / "killed/tiny_sweep") == images_of(tmp_path / "whole/tiny_sweep")
    for manifest in (tmp_path / "killed/tiny_sweep").glob("*/manifest.json"):
        attempts = json.loads(manifest.read_text())["attempts"]
        assert attempts[0]["from"] == 1 and attempts[-1]["to"] == 60
        assert all(b["from"] <= a["to"] + 1 for a, b in zip(attempts, attempts[1:], strict=False))


PRUNED = """\
transfer: {content: astronaut, style: strokes, size: 48, steps: 30, pyramid: [], content_layers: {conv1_1: 1},
           style_layers: {conv1_1: 1}}
space: {alpha: {log: [1e-6, 1e3]}}
objectives: [heldout_style]
sampler: {name: random, seed: 0}
budget: {trials: 8, parallel: 1}
pruner: {name: median, startup: 2, warmup: 5, rungs: [5, 10]}
"""


def test_pruned_trials_stop_costing_and_their_runs_can_be_carried_to_the_end(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = tmp_path / "pruned.yaml"
    path.write_text(PRUNED)
    result = harness_sweep(path, "--out", tmp_path / "runs")
    assert result.exit_code == 0, result.output
    folder = tmp_path / "runs/pruned"
    states = [trial.state.name for trial in study_of(folder).trials]
    assert states.count("PRUNED") >= 2 and set(states) == {"COMPLETE", "PRUNED"}
    for trial, run in zip(study_of(folder).trials, harness.load(folder).runs, strict=True):
        assert run.manifest is not None
        if trial.state.name == "PRUNED":
            assert len(run.history()) in (5, 10) and run.manifest.status.name == "PRUNED"
            assert set(trial.intermediate_values) <= {5, 10}
        else:
            assert len(run.history()) == 30 and set(trial.intermediate_values) == {5, 10}
    assert (folder / "search.png").stat().st_size > 0
    request.getfixturevalue("undrawn")  # once is enough
    pruned = next(run for run in harness.load(folder).runs if run.status.name == "PRUNED")
    words = ["run", str(path), *pruned.overrides, "--out", str(tmp_path / "runs"), "--devices", "cpu", "--wandb", "off"]
    before = trials_of(folder)
    carried = CliRunner().invoke(app, words)
    assert carried.exit_code == 0, carried.output
    finished = next(run for run in harness.load(folder).runs if run.id == pruned.id)
    assert finished.status.name == "DONE" and len(finished.history()) == 30
    assert trials_of(folder) == before


def test_dry_run_of_a_sweep_writes_nothing(tmp_path: Path) -> None:
    result = harness_sweep(write_sweep(tmp_path), "--dry-run", "--out", tmp_path / "runs")
    assert result.exit_code == 0 and not (tmp_path / "runs").exists()
    for word in ("trials", "left", "space", "memory", "disk", "time"):
        assert word in result.output
    told = " ".join(result.output.split())
    assert re.search(r"about \d+:\d\d of evaluations on .* besides, not counted: starting the workers, measuring", told)


def test_name_of_a_plain_sweep_is_pinned(tmp_path: Path) -> None:
    """Whoever changes a default, the embedded network or what is hashed sees here that every study begins anew."""
    loaded = load_sweep(write_sweep(tmp_path))
    examples = [JobMaker(loaded, tmp_path).make(cell) for cell in example_cells(loaded)]
    assert name_of_study(loaded, examples) == "tiny_sweep-8cc00b5b"


def test_second_driver_is_refused_with_a_sentence(swept: tuple[Path, Path]) -> None:
    from harness.studies.storage import hold_study

    path, folder = swept
    with hold_study(folder):
        result = harness_sweep(path, "--out", folder.parent)
    assert result.exit_code == 1 and "is in use by another harness process" in result.output


@pytest.mark.usefixtures("undrawn")
def test_study_in_sqlite_is_the_same_study(swept: tuple[Path, Path], tmp_path: Path) -> None:
    path, folder = swept
    result = harness_sweep(path, "--out", tmp_path / "runs", "--storage", f"sqlite:///{tmp_path}/studies.db")
    assert result.exit_code == 0, result.output
    assert not (tmp_path / "runs/tiny_sweep/study.journal").exists()
    assert trials_of(tmp_path / "runs/tiny_sweep") == trials_of(folder)
    assert images_of(tmp_path / "runs/tiny_sweep") == images_of(folder)  # one worker, twice
