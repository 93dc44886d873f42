"""An objective of which more is better: in the file, the study, the sampler's and the pruner's view, the figures."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState
from results_folder import picture
from test_figures import page_of, positions
from test_front import sweep as sweep_folder
from test_front import trial
from test_sweep import harness_sweep, study_of
from typer.testing import CliRunner

import harness
from harness.cli.app import app
from harness.config import load_sweep
from harness.config.dimensions import Log
from harness.config.samplers import Budget, MedianPruner, Tpe
from harness.errors import ConfigError
from harness.figures.axes import scale_for
from harness.figures.files import figure_style
from harness.figures.front import _INCHES, Figure, _axes, _pixels, _rooms, _thumbnails, draw_front
from harness.figures.layout import Box, fitted
from harness.figures.outcomes import non_dominated, objective_label, outcomes, sweep_of
from harness.figures.placing import _cross, nearest_point
from harness.figures.text import DPI
from harness.results import load
from harness.studies.search import open_search

REST = "size: 48, steps: 6, pyramid: [], content_layers: {conv1_1: 1}, style_layers: {conv1_1: 1}"
SWEEP = f"""\
transfer: {{content: astronaut, style: strokes, {REST}}}
space: {{alpha: {{log: [1e-5, 10]}}}}
sampler: {{name: tpe, startup: 2}}
budget: {{trials: 4, parallel: 2}}
"""


def _rows(start: int) -> slice:
    """Those of a caption, beside its picture's frame."""
    return slice(start, start + 28)


NAMES = ("reference_content", "reference_style")


def faults_of(folder: Path, objectives: str) -> list[str]:
    path = folder / "a.yaml"
    path.write_text(f"{SWEEP}objectives: {objectives}\n")
    with pytest.raises(ConfigError) as caught:
        load_sweep(path)
    return [str(fault).replace(str(path), "FILE") for fault in caught.value.faults]


def test_direction_is_said_beside_the_measure(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"{SWEEP}objectives: [reference_style, {{maximise: ssim}}, {{minimise: pixel_distance}}]\n")
    loaded = load_sweep(path)
    assert loaded.sweep.objective_names == ("reference_style", "ssim", "pixel_distance")
    assert loaded.sweep.maximised == ("ssim",) and loaded.sweep.costs((1, 2, 3)) == (1, -2, 3)
    assert loaded.data["objectives"] == ["reference_style", {"maximise": "ssim"}, "pixel_distance"]


@pytest.mark.parametrize(
    ("objectives", "sentence"),
    [
        ("reference_style", "such as [reference_style, {maximise: ssim}]; did you mean [reference_style]?"),
        ("reference_stile", "did you mean [reference_style]?"),
        ("{maximise: ssim}", "did you mean [{maximise: ssim}]?"),
        ("[{maximise: sim}]", "FILE:5: objectives: got 'sim'; allowed: "),
        ("[{maximize: ssim}]", "there is no field 'maximize'; did you mean maximise?"),
        ("[3]", "FILE:5: objectives: got 3; allowed: a list of one or more"),
        ("[ssim]", "ssim grows with likeness, and objectives are minimised; write {maximise: ssim}"),
        ("[{maximise: ssim}, {maximise: ssim}]", "FILE:5: objectives: ssim stands there twice; keep one"),
    ],
)  # fmt: skip
def test_faulty_objective_is_one_sentence(tmp_path: Path, objectives: str, sentence: str) -> None:
    [fault] = faults_of(tmp_path, objectives)
    assert sentence in fault


@pytest.mark.usefixtures("undrawn")
def test_study_is_told_what_is_maximised_and_comes_back_so(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"{SWEEP}objectives: [{{maximise: ssim}}]\n")
    told = harness_sweep(path, "--out", tmp_path / "runs")
    assert told.exit_code == 0, told.output
    folder = tmp_path / "runs" / "a"
    study, values = study_of(folder), {run.id: run.metrics["ssim"] for run in harness.load(folder).runs}
    assert study.direction is StudyDirection.MAXIMIZE and study.best_value == max(values.values())
    lines = [line.split() for line in told.output.splitlines() if line.split()[-1:] and line.split()[-1] in values]
    assert [words[-1] for words in lines] == sorted(values, key=lambda run: -values[run]), "the best comes first"
    assert f"Best ssim so far: {max(values.values()):.4g}," in CliRunner().invoke(app, ["status", str(folder)]).output
    minimised = harness_sweep(path, "objectives=[pixel_distance]", "--dry-run", "--out", tmp_path / "runs")
    assert "done    0" in minimised.output, "another direction is another study"
    before = [(trial.params, trial.values) for trial in study.trials]
    (folder / "study.journal").unlink()
    assert harness_sweep(path, "--out", tmp_path / "runs").exit_code == 0
    again = study_of(folder)
    assert again.direction is StudyDirection.MAXIMIZE
    assert [(trial.params, trial.values) for trial in again.trials] == before


def test_pruner_gives_up_what_is_low() -> None:
    def answers(maximised: tuple[str, ...]) -> list[bool]:
        session = open_search(
            InMemoryStorage(), "s", {"alpha": Log(log=(1e-3, 1.0))}, ("ssim",), Tpe(), Budget(trials=4, parallel=1),
            MedianPruner(name="median", startup=1, warmup=0, rungs=(10,)), maximised=maximised,
        )  # fmt: skip
        found = []
        for value in (0.5, 0.1, 0.9):
            asked = session.ask()
            assert asked is not None
            found.append(session.report(asked.number, value, 10))
            if found[-1]:
                session.prune(asked.number)
            else:
                session.complete(asked.number, [value])
        assert [trial.state for trial in session.study.trials][:3].count(TrialState.PRUNED) == 1
        return found

    assert answers(("ssim",)) == [False, True, False] and answers(()) == [False, False, True]


def test_front_is_of_the_best_and_a_maximum_rises(tmp_path: Path) -> None:
    values = [(1.0, 0.2), (2.0, 0.5), (3.0, 0.4), (0.5, 0.01)]
    objectives = ["reference_style", {"maximise": "ssim"}]
    results = load(sweep_folder(tmp_path, [trial(k, *own) for k, own in enumerate(values)], objectives))
    trials = outcomes(results)
    assert non_dominated([one.costs for one in trials]) == [0, 1, 3], "trial 2 has more style loss and less likeness"
    assert objective_label("ssim", sweep_of(results)) == "ssim (larger is better)"
    assert objective_label("reference_style", sweep_of(results)) == "reference style (smaller is better)"
    with figure_style():
        axes = _axes(Figure(), trials, sweep_of(results), (100, 100))
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert left < 0.5 and right > 3 and bottom < 0.01 and top > 0.5
    assert axes.get_yscale() == "linear", "a likeness has its bound at 1"
    assert top - 0.5 > 0.01 - bottom, "there is room for the pictures on the side of the best"
    assert {path.name for path in harness.draw(results)} == {"front.png", "front.pdf", "explore.html"}


def test_a_likeness_is_linear_and_other_numbers_over_decades_are_not() -> None:
    assert scale_for([0.01, 0.9]) == scale_for([1.0, 90.0], is_maximised=True) == "log"
    assert scale_for([0.01, 0.9], is_maximised=True) == "linear"


@pytest.mark.parametrize("objectives", list(itertools.product(*[("min", "max")] * 2)))
def test_pictures_stand_on_the_better_side_of_the_front_and_nothing_crosses_it(
    tmp_path: Path, objectives: tuple[str, str]
) -> None:
    signs = [1 if one == "min" else -1 for one in objectives]
    given = [{"maximise": name} if sign < 0 else name for name, sign in zip(NAMES, signs, strict=True)]
    on_front = [(0.1 + 0.1 * k, 0.9 - 0.1 * k) for k in range(6)]
    values = [[2 + sign * value for sign, value in zip(signs, own, strict=True)] for own in [*on_front, (0.9, 0.95)]]
    results = load(sweep_folder(tmp_path, [trial(k, *own) for k, own in enumerate(values)], given))
    draw_front(results)
    page = page_of(tmp_path / "sweep" / "front.png")
    trials, sweep = outcomes(results), sweep_of(results)
    with figure_style():
        thumbnails = _thumbnails(trials[:6], sweep)
        points = _pixels(_axes(Figure(figsize=_INCHES, dpi=DPI), trials, sweep, _rooms(thumbnails)), trials)
    side = thumbnails.side_px
    steps = [(a, [b[0], a[1]], b) for a, b in itertools.pairwise(points[:6])]
    path = [pair for a, corner, b in steps for pair in ((a, corner), (corner, b))]
    for k in range(6):
        ((top, left),) = positions(fitted(picture(k, 24, 24), side, side), page)
        (x, y), box = points[k], Box(left, top, side, side)
        is_beside = left + side < x if signs[0] > 0 else left > x
        is_over = top > y if signs[1] > 0 else top + side < y
        assert is_beside or is_over, "where the front would have to be to be better"
        above, below = (
            (page[rows, left : left + side] < 60).all(-1).any() for rows in (_rows(top - 30), _rows(top + side + 2))
        )
        is_captioned = is_beside or (above, below) == (signs[1] < 0, signs[1] > 0)
        assert is_captioned, "in the row a caption stands on the side that no line comes from"
        assert not any(_cross(points[k], nearest_point(points[k], box), *step) for step in path)
    assert positions(fitted(picture(6, 24, 24), side, side), page) == []


def test_search_of_a_maximum_is_drawn(tmp_path: Path) -> None:
    cells = [trial(k, value) for k, value in enumerate((0.2, 0.5, 0.4))]
    results = load(sweep_folder(tmp_path, cells, [{"maximise": "ssim"}]))
    assert [one.number for one in sorted(outcomes(results), key=lambda one: one.costs)] == [1, 2, 0]
    assert {path.name for path in harness.draw(results)} == {"search.png", "search.pdf", "explore.html"}
