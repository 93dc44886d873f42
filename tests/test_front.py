"""A sweep's figures: the front is what nothing beats, its pictures stand apart and whole, what failed is counted."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from results_folder import make_results_folder, picture
from test_figures import page_of, pdf_text, positions

from harness.figures.axes import SOFT_INK
from harness.figures.layout import Box, fitted
from harness.figures.outcomes import caption_lines, non_dominated, outcomes, weights_line
from harness.figures.placing import apart, capacity, nearest_point, place, spread
from harness.figures.results import draw_results
from harness.results import load

OBJECTIVES = ["reference_content", "reference_style"]
BASE = {"content": "astronaut", "style": "strokes", "size": 24, "steps": 300}
AREA, CELL, GAP = Box(40, 30, 1100, 800), (140, 160), 8


def record(number: int, state: str, values: Sequence[float] | None, intermediate: dict | None = None, **other) -> dict:
    return {
        "study": "sweep-00000000", "number": number, "params": {}, "distributions": {}, "objectives": OBJECTIVES,
        "user_attrs": {}, "state": state, "values": values, "intermediate": intermediate or {}, **other,
    }  # fmt: skip


def sweep(path: Path, cells: Sequence[dict], objectives: Sequence[str] = OBJECTIVES, **other) -> Path:
    """A sweep's folder and its figure's files."""
    for cell in cells:
        cell.setdefault("history", [])
    folder = make_results_folder(
        path / "sweep", cells,
        {"transfer": BASE, "space": {"alpha": {"log": [1e-5, 1e-1]}}, "objectives": list(objectives), **other},
    )  # fmt: skip
    return folder


def trial(number: int, *values: float, **other) -> dict:
    """A complete trial's cell."""
    return {
        "label": {"trial": number, "alpha": 10.0**-number}, "image": picture(number, 24, 24),
        "trials": [record(number, "COMPLETE", values)], **other,
    }  # fmt: skip


def drawn(folder: Path) -> tuple[np.ndarray, str]:
    png, pdf, _ = draw_results(load(folder))
    return page_of(png), re.sub(r"\s|\xa0", "", pdf_text(pdf))


@settings(max_examples=25, deadline=None)
@given(
    num=st.integers(1, 3).flatmap(
        lambda n: st.lists(st.tuples(*[st.integers(0, 4).map(float) | st.floats(-1e6, 1e6)] * n), max_size=25)
    )
)
def test_the_front_is_that_of_a_double_loop(num):
    def beats(a, b):
        return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))

    expected = [k for k, own in enumerate(num) if not any(beats(other, own) for other in num)]
    assert non_dominated(num) == expected


def test_equal_trials_are_all_on_the_front():
    assert non_dominated([(1, 2), (2, 2), (1, 2), (0, 3)]) == [0, 2, 3]


@settings(max_examples=25, deadline=None)
@given(wanted=st.lists(st.floats(-50, 150), min_size=1, max_size=8).map(sorted), distance=st.floats(1, 14))
def test_positions_are_apart_within_limits_and_where_they_were_wanted_if_they_can_be(wanted, distance):
    found = apart(wanted, distance, 0, 100)
    assert all(b - a >= distance - 1e-6 for a, b in itertools.pairwise(found))
    assert found[0] >= -1e-6 and found[-1] <= 100 + 1e-6
    if all(b - a >= distance for a, b in itertools.pairwise(wanted)) and 0 <= wanted[0] and wanted[-1] <= 100:
        assert found == pytest.approx(wanted, abs=1e-6)


def test_crowded_positions_give_way_evenly():
    assert apart([50, 50, 50, 90], 10, 0, 100) == pytest.approx([40, 50, 60, 90])
    assert apart([98, 99], 10, 0, 100) == pytest.approx([90, 100])


FRONTS = st.lists(st.tuples(st.integers(200, 1100), st.integers(40, 640)), min_size=0, max_size=10).map(
    lambda points: np.array(
        list(zip(sorted(x for x, _ in points), sorted(y for _, y in points), strict=True)), dtype=float
    ).reshape(-1, 2)
)


@settings(max_examples=25, deadline=None)
@given(points=FRONTS)
def test_cells_keep_apart_within_the_area_in_the_fronts_order(points):
    boxes = place(points, CELL, AREA, GAP, np.zeros((0, 2)))
    for a, b in itertools.combinations(boxes, 2):
        across = max(a.left, b.left) - min(a.left, b.left) - CELL[0]
        down = max(a.top, b.top) - min(a.top, b.top) - CELL[1]
        assert max(across, down) >= GAP - 1  # rounding to whole pixels
    for box in boxes:
        assert AREA.left <= box.left and box.left + CELL[0] <= AREA.left + AREA.width
        assert AREA.top <= box.top and box.top + CELL[1] <= AREA.top + AREA.height
    assert [box.top for box in boxes] == sorted(box.top for box in boxes)


def test_lines_of_an_even_front_cross_nothing():
    x = np.linspace(260, 1100, 9)
    points = np.stack([x, 50 + 540 * (1 - np.exp(-(x - 260) / 300))], axis=1)
    boxes = place(points, CELL, AREA, GAP, points)
    lines = [(p, np.array(nearest_point(p, box))) for p, box in zip(points, boxes, strict=True)]
    grids = [a + np.linspace(0, 1, 400)[:, None] * (b - a) for a, b in lines]
    for a, b in itertools.combinations(grids, 2):
        assert np.linalg.norm(a[:, None] - b[None], axis=-1).min() > 3


def test_more_pictures_than_there_is_room_for_are_refused():
    num = capacity(CELL, AREA, GAP)
    assert num == 4 + 6
    with pytest.raises(ValueError, match="room for 10 pictures, not for 11"):
        place(np.zeros((num + 1, 2)), CELL, AREA, GAP, np.zeros((0, 2)))


def test_a_spread_choice_has_the_ends_and_no_neighbours():
    points = np.array([[0, 0], [0.01, 0], [0.02, 0], [0.5, 0], [0.51, 0], [1, 0]])
    assert spread(points, 3) == [0, 3, 5]
    assert spread(points, 9) == [0, 1, 2, 3, 4, 5]
    assert spread(np.zeros((5, 2)), 3) == [0, 1, 4]


def test_a_front_shows_the_unbeaten_trials_by_their_pictures_and_counts_the_rest(tmp_path):
    cells = [
        trial(0, 1.0, 100.0), trial(1, 10.0, 10.0), trial(2, 100.0, 1.0), trial(3, 20.0, 20.0),
        {"label": {"trial": 4, "alpha": 1e-2}, "status": "failed", "trials": [record(4, "FAIL", None)]},
        {"label": {"trial": 5, "alpha": 1e-2}, "status": "pruned", "trials": [record(5, "PRUNED", None)]},
        {"label": {"trial": 6, "alpha": 1e-2}, "status": "running", "trials": []},
    ]  # fmt: skip
    page, text = drawn(sweep(tmp_path, cells))
    for number, expected in enumerate([1, 1, 1, 0]):
        assert len(positions(fitted(picture(number, 24, 24), 216, 216), page)) == expected
        assert (f"trial{number}" in text) == bool(expected)
    assert "7trials:4complete,1pruned,1failed,1notended;3onthefront" in text
    assert "content" in text and "style" in text and "referencecontent(smallerisbetter)" in text.replace("\\", "")
    pdf = (tmp_path / "sweep" / "front.pdf").read_bytes()
    assert len(re.findall(rb"/Subtype /Image[^\n]*", pdf)) == 5 and b"/Width 216" not in pdf


def test_too_many_trials_on_the_front_are_shown_by_a_spread_choice(tmp_path):
    folder = sweep(tmp_path, [trial(k, 2.0**k, 2.0**-k) for k in range(20)])
    page, text = drawn(folder)
    shown = {int(number) for number in re.findall(r"trial(\d+)", text)}
    assert {0, 19} < shown and 10 <= len(shown) <= 12 and f"20onthefront,{len(shown)}ofthemshown" in text
    assert page.shape[1] == 1568
    first = [(folder / f"front.{ending}").read_bytes() for ending in ("png", "pdf")]
    assert [path.read_bytes() for path in draw_results(load(folder))[:2]] == first


@pytest.mark.parametrize(
    "cells",
    [
        [],
        [trial(0, 3.0, 0.0)],
        [trial(0, 3.0, 4.0), trial(1, 3.0, 4.0)],
        [{"label": {"trial": 0}, "status": "waiting"}],
    ],
)
def test_a_front_of_next_to_nothing_is_drawn(tmp_path, cells):
    page, text = drawn(sweep(tmp_path, [dict(cell) for cell in cells]))
    num = sum(cell.get("status") is None for cell in cells)
    assert f"{num}onthefront" in text and ("notrialiscomplete" in text) == (num == 0)
    assert num or (page == int(SOFT_INK[1:3], 16)).all(axis=-1).any()


def test_with_three_objectives_the_first_two_are_the_axes(tmp_path):
    cells = [trial(0, 1.0, 1.0, 9.0), trial(1, 2.0, 2.0, 1.0), trial(2, 3.0, 3.0, 9.0)]
    _, text = drawn(sweep(tmp_path, cells, [*OBJECTIVES, "total_variation"]))
    assert "2onthefront" in text and "totalvariation" not in text


def test_values_are_those_told_to_this_study_else_the_runs_own_numbers(tmp_path):
    other = record(7, "COMPLETE", [9.0, 9.0], study="another")
    cells = [
        {"label": {"trial": 0}, "metrics": {name: 5.0 for name in OBJECTIVES},
         "trials": [other, record(0, "COMPLETE", [1.0, 2.0], {"100": 4.0, "20": 8.0})]},
        {"label": {"trial": 1}, "metrics": {name: 5.0 for name in OBJECTIVES}, "trials": [other]},
        {"label": {"trial": 3}, "metrics": {}, "trials": []},
        {"label": {"trial": 2}, "status": "pruned", "trials": [record(2, "PRUNED", None, {"20": 3.0})]},
    ]  # fmt: skip
    found = outcomes(load(sweep(tmp_path, cells)))
    assert [outcome.number for outcome in found] == [0, 1, 2, 3]
    assert [outcome.values for outcome in found] == [(1.0, 2.0), (5.0, 5.0), (), ()]
    assert [outcome.state for outcome in found] == ["complete", "complete", "pruned", "failed"]
    assert list(found[0].intermediate.items()) == [(20, 8.0), (100, 4.0)]


def test_captions_say_what_a_trial_is(tmp_path):
    label = {
        "trial": 3, "alpha": 2.346e-3, "content_layers": {"conv2_2": 1}, "start": "content",
        "style_layers": {"conv1_1": 0.25, "conv2_1": 0.75},
    }  # fmt: skip
    (outcome,) = outcomes(load(sweep(tmp_path, [{"label": label, "trials": [record(3, "COMPLETE", [1.0, 1.0])]}])))
    assert caption_lines(outcome) == ["trial 3: conv2_2", r"$\alpha/\beta$ = $2.3\cdot10^{-3}$", "from photo"]
    assert weights_line(outcome) == "$w_l$ (%): 25, 75"


def test_a_search_shows_the_best_and_the_first_and_marks_the_pruned(tmp_path):
    values = [9.0, 8.0, 3.0, 7.0, 2.0, 6.0, 5.0, 4.0]
    cells = [{**trial(k, v), "trials": [record(k, "COMPLETE", [v], {"50": 2 * v})]} for k, v in enumerate(values)]
    cells.append(
        {"label": {"trial": 8, "alpha": 1e-3}, "status": "pruned", "trials": [record(8, "PRUNED", None, {"50": 30.0})]}
    )
    folder = sweep(tmp_path, cells, ["heldout_style"])
    page, text = drawn(folder)
    lefts = {k: positions(picture(k, 24, 24), page) for k in range(8)}
    assert [k for k, found in lefts.items() if found] == [0, 2, 4, 5, 6, 7]
    in_order = [lefts[k][0][1] for k in (0, 4, 2, 7, 6, 5)]
    assert in_order == sorted(in_order)
    for words in (
        "rst:trial0,",  # the font may join f and i
        "best:",
        "5th:",
        "9trials:8complete,1pruned",
        "heldoutstyle(smallerisbetter)",
        "evaluation",
    ):
        assert words in text.replace("\\", "")
    first = [(folder / f"search.{ending}").read_bytes() for ending in ("png", "pdf")]
    assert [path.read_bytes() for path in draw_results(load(folder))[:2]] == first


@pytest.mark.parametrize("cells", [[], [trial(0, 3.0)], [{"label": {"trial": 0}, "status": "waiting"}]])
def test_a_search_of_next_to_nothing_is_drawn(tmp_path, cells):
    page, text = drawn(sweep(tmp_path, [dict(cell) for cell in cells], ["heldout_style"]))
    num_done = sum(cell.get("status") is None for cell in cells)
    assert len(positions(picture(0, 24, 24), page)) == num_done and ("notrialiscomplete" in text) == (num_done == 0)


def test_an_experiments_results_give_its_figure(tmp_path):
    folder = make_results_folder(tmp_path / "a", [{"label": {}, "history": []}])
    assert [path.name for path in draw_results(load(folder))] == ["figure.png", "figure.pdf", "explore.html"]
