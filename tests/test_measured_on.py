"""Numbers of two networks never stand beside each other: noted, measured again, or left out; and those of VGG-16."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_rows import counted, make_rows, manifest_of, with_trial
from results_folder import make_results_folder
from safetensors.torch import save_file
from tiny_vgg import tiny_state
from typer.testing import CliRunner

from harness.claims import judge
from harness.claims.records import State
from harness.cli.app import app
from harness.features.vgg import VGG16
from harness.measures.lpips import LPIPS_LAYERS
from harness.measures.names import MEASURED, ON_EMBEDDED, ON_VGG16
from harness.results import load
from harness.runs.batch import Execution, run_batch
from harness.runs.keeper import Listener
from harness.runs.measured import is_outdated, measured_on, measured_on_for
from harness.runs.signals import Orders
from harness.runs.store import Manifest, RunFolder, Status

OTHER, THIRD = {"embedded": "0" * 64}, {"embedded": "1" * 64}
NUMBERS = {"reference_content": 5.0, "reference_style": 6.0, "heldout_style": 7.0, "ssim": 0.5}
CELLS = [
    {"id": "aaaaaaaaaaaa", "label": {"alpha": 0.01}, "metrics": NUMBERS, "measured_on": OTHER},
    {"id": "bbbbbbbbbbbb", "label": {"alpha": 1.0}, "metrics": NUMBERS | {"ssim": 0.75}, "measured_on": THIRD},
]
GRID = {"axes": {"alpha": [0.01, 1.0]}}


@dataclass
class Rungs(Listener):
    """What is measured on the way; asks for the end at the first rung where it is told to."""

    numbers: list[Mapping[str, Any]] = field(default_factory=list)
    asked: Orders | None = None

    def measured(self, row_id: str, evaluation: int, metrics: Mapping[str, Any]) -> None:
        self.numbers.append(metrics)
        if self.asked is not None:
            self.asked.stop = True


@pytest.fixture
def vgg16(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A VGG-16 of three filters a layer in place of the registry's, as if it had been fetched."""
    path = tmp_path / "vgg16.safetensors"
    linear = {f"lpips.{layer}": torch.rand(3, generator=torch.Generator().manual_seed(0)) for layer in LPIPS_LAYERS}
    save_file(tiny_state(13, blocks=VGG16) | linear, path)
    for module in ("measures.comparable", "runs.again"):
        monkeypatch.setattr(f"harness.{module}.cached_vgg16", lambda: path)
    monkeypatch.setattr("harness.measures.comparable.fetch_vgg16", lambda: path)
    return path


def as_if_measured_on_another(run: Path, **changes: Any) -> None:
    """The manifest of a finished run as another version of the harness would have left it."""
    data = manifest_of(run)
    data |= {"measured_on": OTHER, "rungs": {"5": {"ssim": 0.1}}, **changes}
    data["metrics"] |= dict.fromkeys(ON_EMBEDDED, 123.0)
    (run / "manifest.json").write_text(json.dumps(data))


def test_every_manifest_notes_the_network_that_measured(tmp_path: Path) -> None:
    (row, _) = make_rows(tmp_path, "transfer.steps=2")
    (manifest,) = run_batch([row], Execution())
    assert manifest.measured_on == measured_on() and len(measured_on()["embedded"]) == 64
    assert not is_outdated(manifest)
    of_the_run = {"evaluations", "kept_evaluation", "still_falling", "seconds", "total", "content", "style"}
    assert set(manifest.metrics) == {*MEASURED, *of_the_run}, "no VGG-16 here"


def test_finished_run_of_another_network_is_measured_again_from_its_picture(tmp_path: Path) -> None:
    (row, _) = make_rows(tmp_path, "transfer.steps=2")
    (first,) = run_batch([row], Execution())
    as_if_measured_on_another(row.folder)
    picture = (row.folder / "image.png").read_bytes()
    history = (row.folder / "history.csv").read_bytes()
    (again,) = run_batch([with_trial(row, 3, "reference_style")], Execution())
    assert again.metrics == first.metrics and again.measured_on == measured_on() and again.rungs == {}
    assert again.trials[0]["values"] == [first.metrics["reference_style"]]
    assert (row.folder / "image.png").read_bytes() == picture, "measured, not computed"
    assert (row.folder / "history.csv").read_bytes() == history and again.attempts == first.attempts


def test_one_whose_picture_was_deleted_is_computed_again(tmp_path: Path) -> None:
    (row, _) = make_rows(tmp_path, "transfer.steps=2")
    (first,) = run_batch([row], Execution())
    as_if_measured_on_another(row.folder)
    (row.folder / "image.png").unlink()
    (again,) = run_batch([row], Execution())
    seconds = {"seconds": 0.0}
    assert again.metrics | seconds == first.metrics | seconds and (row.folder / "image.png").exists()


@pytest.mark.parametrize(("network", "num_told"), [(None, 1), (OTHER, 0)])
def test_rungs_of_another_network_are_forgotten_when_a_run_goes_on(
    tmp_path: Path, network: dict[str, str] | None, num_told: int
) -> None:
    (row, _) = make_rows(tmp_path, "transfer.steps=8")
    stopped = Rungs(asked=Orders())
    with pytest.raises(KeyboardInterrupt):
        run_batch([row], Execution(rungs=(5,)), asked=stopped.asked, listener=stopped)
    if network is not None:
        (row.folder / "manifest.json").write_text(json.dumps(manifest_of(row.folder) | {"measured_on": network}))
    told = Rungs()
    (manifest,) = run_batch([row], Execution(rungs=(5,)), listener=told)
    assert len(told.numbers) == num_told == len(manifest.rungs) and manifest.measured_on == measured_on()


def test_is_outdated_is_about_finished_runs_alone() -> None:
    done = Manifest("a", "b", Status.DONE, metrics={"ssim": 1.0}, measured_on=dict(measured_on()))
    assert not is_outdated(done) and not is_outdated(done, ["ssim"]) and is_outdated(done, ["lpips"])
    assert is_outdated(Manifest("a", "b", Status.DONE)) and is_outdated(
        Manifest("a", "b", Status.DONE, measured_on=OTHER)
    )
    for status in (Status.WAITING, Status.RUNNING, Status.FAILED, Status.PRUNED):
        assert not is_outdated(Manifest("a", "b", status, measured_on=OTHER), ["lpips"])


def test_a_study_is_of_one_network_where_its_objectives_are() -> None:
    assert measured_on_for(["ssim", "reference_style"]) == measured_on()
    assert measured_on_for(["ssim", "lpips"]) == {}


def test_where_vgg16_is_every_finished_picture_has_its_numbers_once(tmp_path: Path, vgg16: Path) -> None:
    (row, other) = make_rows(tmp_path, "transfer.steps=6")
    on_the_way = Rungs()
    (manifest,) = run_batch([row], Execution(rungs=(3,)), listener=on_the_way)
    assert all(manifest.metrics[name] > 0 for name in ON_VGG16)
    assert not any(name in numbers for numbers in on_the_way.numbers for name in ON_VGG16) and on_the_way.numbers
    asked_for = Rungs()
    run_batch([other], Execution(rungs=(3,), objectives=("lpips",)), listener=asked_for)
    assert all(numbers["lpips"] > 0 for numbers in asked_for.numbers) and asked_for.numbers


def test_a_blend_of_paintings_is_compared_with_its_photograph_once(
    tmp_path: Path, vgg16: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    for name in ("lpips", "style_swd"):
        counted(monkeypatch, f"harness.measures.perceptual.Perceptual.{name}", calls)
    blend, plain = make_rows(tmp_path, "transfer.steps=1", varied="axes: {style: [{strokes: 3, mosaic: 1}, strokes]}")
    manifests = run_batch([blend, plain], Execution())
    assert sorted(calls) == ["lpips"] * 2 + ["style_swd"] * 3
    assert all(manifest.metrics[name] > 0 for manifest in manifests for name in ON_VGG16)


def test_run_that_was_finished_without_vgg16_gets_its_numbers_later(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    (row, _) = make_rows(tmp_path, "axes={alpha: [1e-3, 1e-1]}", "transfer.style={strokes: 3, mosaic: 1}")
    (first,) = run_batch([row], Execution())
    assert not set(ON_VGG16) & first.metrics.keys()
    request.getfixturevalue("vgg16")
    (again,) = run_batch([row], Execution())
    assert all(again.metrics[name] > 0 for name in ON_VGG16)
    assert {name: again.metrics[name] for name in first.metrics} == first.metrics
    assert run_batch([row], Execution()) == [again], "nothing is left to do"


def test_objective_that_cannot_be_had_is_a_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "search.yaml"
    path.write_text(
        "transfer: {content: astronaut, style: strokes, size: 48, steps: 2}\n"
        "space: {alpha: {log: [1e-5, 1e-1]}}\nobjectives: [lpips]\nbudget: {trials: 1}\n"
    )
    words = ["sweep", str(path), "--out", str(tmp_path / "runs"), "--wandb", "off", "--devices", "cpu"]
    result = CliRunner().invoke(app, words)
    told = " ".join(result.output.split())
    assert result.exit_code == 1 and "objectives: lpips cannot be measured without VGG-16." in told
    assert "harness fetch weights vgg16 --from" in told and "reference_style" in told
    assert not (tmp_path / "runs").exists()


def test_tables_show_one_network_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    cells = [CELLS[0], CELLS[1] | {"measured_on": dict(measured_on())}]
    folder = make_results_folder(tmp_path / "grid", cells, GRID)
    result = CliRunner().invoke(app, ["compare", str(folder)])
    lines = {words[0]: words for line in result.output.splitlines() if (words := line.split())}
    assert lines["aaaaaaaaaaaa"][2:6] == ["–", "–", "–", "0.5"] and lines["bbbbbbbbbbbb"][2:6] == [
        "5",
        "6",
        "7",
        "0.75",
    ]
    assert "were measured on different embedded networks (00000000, " in " ".join(result.output.split())
    first, second = load(folder).table()
    assert [first[name] for name in ON_EMBEDDED] == [None] * 3 and first["ssim"] == 0.5
    assert [second[name] for name in ON_EMBEDDED] == [5.0, 6.0, 7.0]
    assert (first["measured_on"], second["measured_on"]) == (OTHER["embedded"], measured_on()["embedded"])


def test_numbers_by_two_contents_of_a_plugin_are_left_out_and_it_is_said(tmp_path: Path) -> None:
    plugins = [{**OTHER, "sharpness()": letter * 64} for letter in "ab"]
    cells = [
        cell | {"measured_on": by, "metrics": NUMBERS | {"sharpness": 3.0}}
        for cell, by in zip(CELLS, plugins, strict=True)
    ]
    rows = load(make_results_folder(tmp_path / "mixed", cells, GRID)).table()
    assert [row["sharpness"] for row in rows] == [None, None] and [row["reference_style"] for row in rows] == [6.0, 6.0]
    output = " ".join(CliRunner().invoke(app, ["compare", str(tmp_path / "mixed")]).output.split())
    assert "sharpness was measured by different contents of its plugin (aaaaaaaa, bbbbbbbb)" in output
    alike = [cell | {"measured_on": plugins[0]} for cell in cells]
    rows = load(make_results_folder(tmp_path / "alike", alike, GRID)).table()
    assert [row["sharpness"] for row in rows] == [3.0, 3.0]


@pytest.mark.parametrize("network", [OTHER, measured_on()])
def test_numbers_of_one_network_stand_beside_each_other_whichever_it_is(
    tmp_path: Path, network: Mapping[str, str]
) -> None:
    folder = make_results_folder(tmp_path / "grid", [cell | {"measured_on": network} for cell in CELLS], GRID)
    assert all(row["reference_style"] == 6.0 and "measured_on" not in row for row in load(folder).table())
    assert "different embedded networks" not in CliRunner().invoke(app, ["compare", str(folder)]).output


def test_claims_never_mix_and_say_what_is_missing(tmp_path: Path) -> None:
    claims = [
        {"says": "s", "where": "w", "measure": name, "along": "alpha", "expect": "rises", "because": "b"}
        for name in ("reference_style", "ssim", "lpips")
    ]
    cells = [CELLS[0], CELLS[1] | {"measured_on": dict(measured_on())}]
    mixed, ssim, lpips = judge(load(make_results_folder(tmp_path / "grid", cells, {**GRID, "claims": claims})))
    assert mixed.state is State.NOT_MEASURED and "on different embedded networks" in mixed.worst.remark
    assert ssim.state is State.HOLDS
    assert lpips.state is State.NOT_MEASURED
    assert "It needs VGG-16: `harness fetch weights vgg16`" in lpips.worst.remark


def test_experiment_whose_runs_are_of_another_network_measures_them_again(experiment: Path, tmp_path: Path) -> None:
    words = ["run", str(experiment), "--out", str(tmp_path / "runs"), "--wandb", "off", "--devices", "cpu"]
    words += ["transfer.steps=2", "transfer.seed=0", "transfer.alpha=1e-3"]
    assert CliRunner().invoke(app, words).exit_code == 0
    (run,) = (path.parent for path in (tmp_path / "runs" / "tiny").glob("*/manifest.json"))
    first = RunFolder(run).manifest()
    assert first is not None
    as_if_measured_on_another(run, trials=[])
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0 and "1 of 1 runs are done, but their numbers are of another" in result.output
    again = RunFolder(run).manifest()
    assert again is not None and again.metrics == first.metrics and again.measured_on == measured_on()
    assert "1 of 1 runs are done already; 0 to compute." in CliRunner().invoke(app, words).output
