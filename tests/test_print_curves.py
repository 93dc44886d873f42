"""In print the labelled curves are those of one row, or of one column, so that their labels differ in one part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from results_folder import make_results_folder

from harness.figures.curves import MAX_LABELLED, OTHERS, Labelled, _curves, default_looks, evenly
from harness.figures.experiment_curves import draw_loss_curves
from harness.figures.files import figure_style
from harness.figures.layout import Paper
from harness.results import load

HISTORY = [{"evaluation": k, "seconds": 0.5 * k, "total": 3.0 / k, "content": 1.0, "style": 2.0 / k} for k in (1, 9)]
COLUMN = Paper(3.25, 8)


def legend_of(folder: Path, monkeypatch: pytest.MonkeyPatch, axes: dict[str, list[Any]], **figure: Any) -> list[str]:
    """The entries of the legend of a grid's curves in print, as they are drawn."""
    cells: list[dict[str, Any]] = [{}]
    for part, values in axes.items():
        cells = [{**cell, part: value} for cell in cells for value in values]
    rows = [{"label": cell, "history": HISTORY} for cell in cells]
    results = load(make_results_folder(folder, rows, {"axes": axes, "figure": {"width": "column", **figure}}))
    found: list[Any] = []
    monkeypatch.setattr("harness.figures.curves._curves", lambda *given: found.append(_curves(*given)) or found[0])
    draw_loss_curves(results, results.definition, COLUMN)
    lines = found[0].axes[0].get_lines()
    shown = [line for line in lines if line.get_color() != OTHERS["color"]]
    assert len({line.get_color() for line in shown}) == len(shown) and len(lines) == len(cells)
    return [text.get_text().replace("\N{NO-BREAK SPACE}", " ") for text in found[0].legends[0].get_texts()]


def test_the_first_rows_lines_are_labelled_and_the_others_said_to_differ(tmp_path, monkeypatch):
    axes = {"style": ["strokes", "ink"], "alpha": [0.1, 0.5, 2, 8], "start": ["content", "noise"]}
    assert legend_of(tmp_path / "a", monkeypatch, axes, columns="alpha", rows=["style", "start"]) == [
        *(rf"strokes, $\alpha$ = {value}, from the photograph" for value in ("0.1", "0.5", "2", "8")),
        "the other 12 (other style or start)",
    ]


def test_where_columns_are_few_the_first_columns_lines_are_labelled(tmp_path, monkeypatch):
    axes = {"style": ["strokes", "ink"], "noise_sigma": [0.02, 0.05, 0.1, 0.5, 1.0]}
    assert legend_of(tmp_path / "a", monkeypatch, axes, columns="style") == [
        *(rf"strokes, $\sigma$ = {value}" for value in ("0.02", "0.05", "0.1", "0.5", "1")),
        "the other 5 (other style)",
    ]


def test_of_a_long_row_the_labelled_ones_are_evenly_spread(tmp_path, monkeypatch):
    told = legend_of(tmp_path / "a", monkeypatch, {"noise_sigma": [k / 100 for k in range(1, 14)]})
    assert [text.split(" = ")[-1] for text in told[:-1]] == ["0.01", "0.03", "0.05", "0.07", "0.09", "0.11", "0.13"]
    assert told[-1] == "the other 6"


def test_where_all_can_be_told_apart_all_are_labelled():
    assert evenly(40) == [0, 6, 13, 20, 26, 32, 39] and evenly(3) == [0, 1, 2]
    with figure_style():
        histories = {f"run {k}": HISTORY for k in range(MAX_LABELLED)}
        figure = _curves(histories, default_looks(8), paper=COLUMN, labelled=Labelled([0], " (other)"))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(histories)
