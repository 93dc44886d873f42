"""Runs that have not settled: the number, the rule, and every place that must say so."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_rows import history_of, make_rows
from results_folder import make_results_folder, picture
from rich.console import Console
from test_figures import page_of, pdf_text
from typer.testing import CliRunner

from harness.claims import judge, write_claims
from harness.cli.app import app
from harness.cli.measured import MeasuredRun, measured
from harness.config import Transfer
from harness.config.claims import LOSSES
from harness.figures.results import draw_results
from harness.measures.names import METRICS
from harness.results import Results, load
from harness.runs.batch import Execution, run_batch
from harness.runs.settled import EXPLAINED, settled, still_falling, why_unsettled
from harness.runs.store import Manifest, Status
from harness.studies.artifacts import describe_trial
from harness.tracking.records import summary_record
from harness.tracking.summary import table_of_runs

BASE = {"content": "astronaut", "style": "strokes", "size": 64, "steps": 30, "start": "content"}
EARLY = {"evaluations": 30, "kept_evaluation": 5, "still_falling": 0.0, "ssim": 0.996}
FALLING = {"evaluations": 30, "kept_evaluation": 30, "still_falling": 0.125, "ssim": 0.5}
FLAT = {"evaluations": 30, "kept_evaluation": 29, "still_falling": 0.02, "ssim": 0.25}


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.setattr("harness.cli.console.WIDTH_WITHOUT_TERMINAL", 250)


def command(*words: object) -> str:
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 0, result.output
    return result.output


# ---- the number


@pytest.mark.parametrize(
    ("totals", "fall"),
    [
        ([8.0] * 18 + [7.0, 6.0], 0.25),  # the last tenth of twenty are two
        ([8.0] * 17 + [6.0, 7.0, 7.5], -1 / 7),  # lowest before
        ([8.0] * 8 + [2.0, 8.0], -0.75),
        ([9.0] + [8.0] * 8 + [6.0], 0.25),
        ([8.0, math.nan] + [8.0] * 7 + [6.0], 0.25),  # what is no number is passed over
        ([5.0] * 40, 0.0),
        ([0.0] * 10, 0.0),
        ([-6.0] * 9 + [-8.0], 0.25),  # a user's term may be below 0
        ([2.0] * 9 + [0.0], 1.0),
    ],
)
def test_fall_over_the_last_tenth_by_hand(totals: list[float], fall: float) -> None:
    assert still_falling(totals) == fall


@pytest.mark.parametrize("totals", [[], [1.0], [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0], [math.nan] * 20])
def test_of_fewer_than_ten_and_of_no_losses_nothing_is_said(totals: list[float]) -> None:
    assert math.isnan(still_falling(totals))


def test_loss_that_falls_as_one_over_n_is_just_at_the_bound() -> None:
    assert still_falling([1 / n for n in range(1, 1001)]) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("words", "num_final"),
    [
        (("transfer.steps=24",), 24),
        (("transfer.steps=12", "transfer.pyramid=[{size: 32, steps: 20}]"), 12),
        (("transfer.steps=9",), 0),
    ],
)
def test_run_keeps_the_fall_of_its_final_size(tmp_path: Path, words: tuple[str, ...], num_final: int) -> None:
    (row,) = make_rows(tmp_path, "axes=null", *words)
    (manifest,) = run_batch([row], Execution())
    totals = [float(line["total"]) for line in history_of(row.folder)]
    if not num_final:
        assert manifest.metrics["still_falling"] is None and settled(manifest, row.transfer) is None
        return
    own = totals[-num_final:]
    tail = num_final // 10
    before, latest = min(own[:-tail]), min(own[-tail:])
    assert manifest.metrics["still_falling"] == (before - latest) / max(before, latest)
    assert settled(manifest, row.transfer) is (abs(manifest.metrics["still_falling"]) <= 0.1)


def test_quilting_minimises_nothing_that_could_settle(tmp_path: Path) -> None:
    (row,) = make_rows(tmp_path, "axes=null", "transfer.method=quilting", "transfer.quilting.block=9")
    (manifest,) = run_batch([row], Execution())
    assert manifest.metrics["evaluations"] >= 10
    assert manifest.metrics["still_falling"] is None and settled(manifest, row.transfer) is None


# ---- the rule


def verdict(reason: str = "", status: Status = Status.DONE, **metrics: Any) -> str | None:
    transfer = Transfer(content="a", style="b", steps=30, pyramid=())
    return why_unsettled(Manifest("id", "x", status, reason, metrics={**FLAT, **metrics}), transfer)


def test_what_is_settled_and_what_is_not() -> None:
    assert verdict() == ""
    assert verdict(**EARLY) == "its picture is that of evaluation 5 of 30; the loss never was as low again"
    assert verdict(**FALLING) == "its loss still fell by 12% over the last tenth of its evaluations"
    assert verdict(still_falling=0.1) == "" and verdict(still_falling=0.1001)
    assert verdict(still_falling=-0.1) == "" and "never came as low again" in (verdict(still_falling=-0.1001) or "")
    assert verdict(kept_evaluation=23, still_falling=0.0) == "" and verdict(kept_evaluation=22, still_falling=0.0)
    assert verdict(still_falling=None) is None, "fewer than ten evaluations: no noise about tests"


def test_run_that_its_optimiser_ended_or_that_is_not_done_is_not_called_unsettled() -> None:
    assert verdict(reason="No lower loss was found.", **{**EARLY, "evaluations": 12}) == ""
    assert verdict(status=Status.PRUNED, **EARLY) is None and verdict(status=Status.FAILED, **EARLY) is None


def test_evaluations_of_smaller_sizes_do_not_count() -> None:
    """5 of 30 at the final size, after 70 at smaller ones."""
    transfer = Transfer(content="a", style="b", steps=30, pyramid=[{"size": 64, "steps": 70}])
    late = {**EARLY, "evaluations": 100, "kept_evaluation": 93}
    assert settled(Manifest("id", "x", Status.DONE, metrics=late), transfer) is True
    assert settled(Manifest("id", "x", Status.DONE, metrics={**late, "kept_evaluation": 75}), transfer) is False


# ---- where it is said


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Three cells: one that kept an early picture, one that was falling, one that had settled; and an early repeat."""
    labels = {"aaaaaaaaaaaa": EARLY, "bbbbbbbbbbbb": FALLING, "cccccccccccc": FLAT}
    cells = [
        {"id": name, "label": {"alpha": 10.0**k}, "metrics": metrics}
        for k, (name, metrics) in enumerate(labels.items())
    ]
    claim = {"says": "It falls.", "where": "fig. 4", "measure": "ssim", "along": "alpha", "expect": "falls"}
    experiment = {"transfer": BASE, "axes": {"alpha": [1.0, 10.0, 100.0]}, "claims": [{**claim, "because": "x"}]}
    return load(make_results_folder(tmp_path / "grid", cells, experiment))


def test_compare_marks_the_kept_evaluation_and_explains_the_mark(results: Results, tmp_path: Path) -> None:
    output = command("compare", results.folder, "--csv", tmp_path / "table.csv")
    rows = {words[0]: words for words in map(str.split, output.splitlines()) if words and len(words[0]) == 12}
    shown = {name[0]: " ".join(words[-5:-1]) for name, words in rows.items()}
    assert shown == {"a": "5† of 30 0", "b": "30† of 30 0.125", "c": "29 of 30 0.02"}
    assert output.count("† not settled: ") == 1 and EXPLAINED in output
    read = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert [row["settled"] for row in read] == ["False", "False", "True"]
    assert [row["kept_evaluation"] for row in read] == ["5", "30", "29"]
    assert [row["still_falling"] for row in read] == ["0.0", "0.125", "0.02"]
    assert "†" not in command("compare", results.folder / "cccccccccccc")


def test_table_at_the_end_of_a_run_says_how_many_had_not_settled(results: Results) -> None:
    runs = [MeasuredRun(run.id, run.label, run.part, run.status, run.metrics, run.settled) for run in results.runs]
    console = Console(file=io.StringIO(), width=200)
    console.print(measured([*runs, runs[0]._replace(part="repeat")], console))
    assert isinstance(console.file, io.StringIO)
    *_, sentence, rest, repeats = map(str.strip, console.file.getvalue().splitlines())
    assert f"{sentence} {rest}" == f"† 2 of 3 runs are {EXPLAINED}" and repeats.startswith("and 1 of 1 repeats")


@pytest.mark.parametrize("width", [60, 80, 140, 250])
def test_every_run_has_a_line_of_its_own_at_the_end(results: Results, width: int) -> None:
    console = Console(file=io.StringIO(), width=width)
    label = {"alpha": 0.001, "style_layers": {"conv1_1": 0.2}, "start": "noise"}
    numbers = dict.fromkeys((*LOSSES, *METRICS), 12345.678)
    runs = [MeasuredRun(run.id, label, "grid", Status.DONE, numbers, run.settled) for run in results.runs]
    console.print(measured(runs, console))
    assert isinstance(console.file, io.StringIO)
    told = [line for line in console.file.getvalue().splitlines() if line[:12] in {run.id for run in results.runs}]
    marks = ["†", "†", ""]
    assert [line.split()[1:5] for line in told] == [["0.001", "conv1_1", "noise", f"1.235e+04{mark}"] for mark in marks]
    assert "style_layers" in console.file.getvalue()


def test_table_says_what_had_settled(results: Results) -> None:
    rows = results.table()
    assert [(row["settled"], row["kept_evaluation"], row["still_falling"]) for row in rows] == [
        (False, 5, 0.0), (False, 30, 0.125), (True, 29, 0.02),
    ]  # fmt: skip
    assert [run.settled for run in results.runs] == [False, False, True]


def test_status_marks_counts_names_and_explains(results: Results) -> None:
    output = command("status", results.folder)
    assert re.findall(r"✓ \S+", output) == ["✓ 0:00†", "✓ 0:00†", "✓ 0:00", "✓ done"]
    assert "3 runs: 3 done (2 not settled)" in output and output.count(EXPLAINED) == 1
    assert "aaaaaaaaaaaa (alpha=1) is done, but its picture is that of evaluation 5 of 30; the loss never was" in output
    assert "bbbbbbbbbbbb (alpha=10) is done, but its loss still fell by 12% over the last tenth" in output
    assert "cccccccccccc" not in output
    assert output.index("Compare the runs: ") < output.index("is done, but")
    assert re.search(r"grid +experiment +3 +3†", command("status", results.folder.parent))


def test_status_names_five_unsettled_ones_after_the_rest(tmp_path: Path) -> None:
    cells = [{"label": {"alpha": k}, "metrics": EARLY} for k in range(1, 9)]
    output = command("status", make_results_folder(tmp_path / "grid", cells, {"transfer": BASE}))
    assert "8 done (8 not settled)" in output
    told = output[output.index("Compare the runs: ") :]
    assert output.count("is done, but") == told.count("is done, but") == 5 and "… and 3 more\n" in told


def test_claims_that_rest_on_unsettled_runs_say_so_and_keep_their_verdict(results: Results) -> None:
    (judged,) = judge(results)
    assert judged.state.value == "holds"
    sentence = (
        "2 of the 3 runs had not settled (alpha=1.0: its picture is that of evaluation 5 of 30; the loss never was as "
        "low again); more steps may change what was measured."
    )
    assert judged.notes == (sentence,)
    write_claims(results, [judged])
    assert f"Note: {sentence}" in (results.folder / "claims.md").read_text()
    assert json.loads((results.folder / "claims.json").read_text())["claims"][0]["notes"] == [sentence]
    assert "1: 2 of the 3 runs had not settled" in command("claims", results.folder)


def test_wandb_is_told_which_evaluation_was_kept_and_whether_it_had_settled(results: Results) -> None:
    told = [summary_record(run.transfer, run.manifest) for run in results.runs if run.manifest]
    assert [(one["settled"], one["kept_evaluation"], one["still_falling"]) for one in told] == [
        (False, 5, 0.0), (False, 30, 0.125), (True, 29, 0.02),
    ]  # fmt: skip
    run = results.runs[0]
    assert run.manifest is not None
    assert "settled" not in summary_record(run.transfer, Manifest("id", "x", Status.RUNNING)), "nothing can be said"
    columns, rows = table_of_runs(results)
    assert [row[columns.index("settled")] for row in rows] == [False, False, True]


def test_dashboards_note_of_a_trial_says_so(results: Results) -> None:
    notes = [describe_trial(run, results.command).splitlines()[0] for run in results.runs]
    assert notes[0].endswith("But its picture is that of evaluation 5 of 30; the loss never was as low again.")
    assert "But" not in notes[2]


def sweep(path: Path, objectives: list[str], metrics: list[dict[str, Any]]) -> Path:
    values = [(10.0, 1.0), (1.0, 10.0), (20.0, 20.0)]
    cells = [
        {
            "label": {"trial": k, "alpha": 10.0**-k}, "image": picture(k, 24, 24),
            "metrics": {**own, "reference_content": values[k][0], "reference_style": values[k][1]},
        }
        for k, own in enumerate(metrics)
    ]  # fmt: skip
    space = {"alpha": {"log": [1e-5, 1.0]}}
    return make_results_folder(path, cells, {"transfer": BASE, "space": space, "objectives": objectives})


@pytest.mark.parametrize("objectives", [["reference_content", "reference_style"], ["reference_content"]])
def test_figure_of_a_sweep_has_hollow_dots_and_a_line_in_the_legend(tmp_path: Path, objectives: list[str]) -> None:
    pages, texts = [], []
    for name, metrics in (("a", [FLAT, FLAT, FLAT]), ("b", [EARLY, FLAT, FALLING])):
        png, pdf, _ = draw_results(load(sweep(tmp_path / name, objectives, metrics)))
        pages.append(page_of(png).astype(int))
        texts.append(re.sub(r"\s|\xa0", "", pdf_text(pdf)))
    assert ["notsettled" in text for text in texts] == [False, True]
    plot = np.s_[70:, :1300] if len(objectives) > 1 else np.s_[35:205]
    changed = (pages[0] != pages[1]).any(axis=-1)[plot]
    hollowed = changed & (pages[1] == 255).all(axis=-1)[plot]
    assert hollowed.sum() > 20, "the middle of two dots is white now"


def test_status_of_a_sweep_says_what_of_its_front_had_not_settled(tmp_path: Path) -> None:
    output = command("status", sweep(tmp_path / "a", ["reference_content", "reference_style"], [EARLY, FLAT, FALLING]))
    assert "Front so far: 2 trials of 3 (1 not settled); least" in output
    output = command("status", sweep(tmp_path / "b", ["reference_style"], [EARLY, FLAT, FALLING]))
    assert re.search(r"Best reference_style so far: 1, \S+ \(trial=0, alpha=1\), not settled", output)
