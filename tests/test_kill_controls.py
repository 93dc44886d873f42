"""``kill -9``, again and again, of an experiment that has every method and control: the pictures are the same."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from engine_rows import history_of, manifest_of, pictures_of
from processes import kill_all
from typer.testing import CliRunner

import harness
from harness.cli.app import app

EXPERIMENT = """
transfer: {content: coffee, style: mosaic, size: 64, steps: 120, pyramid: [],
           content_layers: {conv2_1: 1},
           style_layers: {conv1_1: 0.5, conv2_1: 0.5}}
cases:
  guided: {style: {mosaic: {mask: coffee_cup}, waves: {mask: coffee_table, scale: 0.5}}, total_variation: 0.1}
  pyramid: {pyramid: [{size: 32, steps: 60}, {size: 48, steps: 60}], colours: luminance}
  photorealistic: {start: content, photorealism: {weight: 10, first_stage: 60}, smoothing: 0.5}
  quilting: {method: quilting, quilting: {block: 8, iterations: 2}}
"""


def folders(out: Path) -> dict[str, Path]:
    return {manifest_of(path.parent)["label"]["cases"]: path.parent for path in out.glob("*/*/manifest.json")}


def num_lines(out: Path) -> int:
    return sum(path.read_bytes().count(b"\n") - 1 for path in out.glob("*/*/history.csv"))  # but for the heading


@pytest.mark.usefixtures("undrawn")
@pytest.mark.long
def test_killed_runs_of_every_method_go_on_to_the_bits_of_the_uninterrupted_ones(tmp_path: Path) -> None:
    path = tmp_path / "controls.yaml"
    path.write_text(EXPERIMENT)
    words = ["run", str(path), "--devices", "cpu:1", "--wandb", "off"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    uninterrupted = CliRunner().invoke(app, [*words, "--out", str(whole)])
    assert uninterrupted.exit_code == 0, uninterrupted.output
    in_all, kills = num_lines(whole), 0
    # Killed three times, each time a quarter of the evaluations farther: within the rows, wherever that is.
    for part in range(1, 4):
        process = subprocess.Popen(
            [sys.executable, "-m", "harness", *words, "--checkpoint-every", "0.2", "--out", str(killed)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        while num_lines(killed) < part * in_all // 4 and process.poll() is None:
            time.sleep(0.02)
        kills += process.poll() is None
        kill_all(process)
    assert kills == 3
    finished = CliRunner().invoke(app, [*words, "--out", str(killed)])
    assert finished.exit_code == 0, finished.output
    attempts = [len(manifest_of(run)["attempts"]) for run in folders(killed).values()]
    assert sum(attempts) > len(attempts) + 1, attempts
    for label, run in folders(whole).items():
        again = folders(killed)[label]
        assert history_of(again) == history_of(run), label
        assert pictures_of(again) == pictures_of(run), label
        assert manifest_of(again)["metrics"].keys() == manifest_of(run)["metrics"].keys()


def test_every_method_is_in_the_study_the_grid_and_wandb(tmp_path: Path) -> None:
    path = tmp_path / "controls.yaml"
    path.write_text(
        EXPERIMENT.replace("steps: 120", "steps: 5")
        .replace("steps: 60", "steps: 3")
        .replace("first_stage: 60", "first_stage: 2")
    )
    words = ["run", str(path), "--devices", "cpu:1", "--wandb", "offline", "--out", str(tmp_path / "runs")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    folder = tmp_path / "runs" / "controls"
    results = harness.load(folder)
    assert {run.label["cases"] for run in results.runs} == {"guided", "pyramid", "photorealistic", "quilting"}
    assert (folder / "figure.png").exists() and (folder / "curves.png").exists()
    states = {run.id: run.manifest.trials[0]["state"] for run in results.runs if run.manifest}
    assert list(states.values()) == ["COMPLETE"] * 4
    mirrored = {match.name.split("-")[-2] for match in (folder / "wandb").glob("**/offline-run-*")}
    assert {run_id for run_id in states if any(run_id in name for name in mirrored)} == set(states)
    by_label = {run.label["cases"]: run for run in results.runs}
    assert by_label["quilting"].metrics["evaluations"] == len(by_label["quilting"].history())
    assert json.loads((folder / "cells.json").read_text())["study"].startswith("controls")


pytestmark = pytest.mark.timeout(300)
