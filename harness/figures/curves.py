"""Loss curves: total, content and style against evaluations and against seconds, a line per cell, logarithmic axes.

Of a cell with several seeds the line is their mean, and each seed a thin one of the same colour.

Colours are Okabe & Ito's, told apart by colour-blind readers (jfly.uni-koeln.de/color, 2008); line styles tell the
rounds of the palette apart.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.figures.axes import say_instead, set_scale
from harness.figures.files import figure_style, save
from harness.figures.text import DPI, fit, font

ALONG = ("evaluation", "seconds")
"""The horizontal axes, a row of panels for each."""

OF_A_SEED = {"linewidth": 0.6, "alpha": 0.5}
"""How the line of one seed is drawn, under the mean of all."""

History = Sequence[Mapping[str, float]]
"""The lines of a run's history.csv."""

NO_SEEDS: Mapping[str, Sequence[History]] = MappingProxyType({})

Look = tuple[int, int]
"""Numbers of a line's colour and of its line style."""

LOSSES = ("total", "content", "style")

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe & Ito without yellow, which is too light for a thin line on white."""

LINE_STYLES: tuple[str | tuple[int, tuple[float, ...]], ...] = ("-", (0, (5, 2)), (0, (1.2, 1.4)), (0, (6, 2, 1.2, 2)))

WIDTH_PX, PANELS_PX = 1280, 384
SIZE_PX = 14.0
HANDLE, SPACING = 2.4, 1.6
"""Length of a line in the legend and distance of its columns, in font sizes."""


def draw_curves(
    histories: Mapping[str, History],
    path_png: Path,
    path_pdf: Path,
    looks: Sequence[Look] | None = None,
    seeds: Mapping[str, Sequence[History]] = NO_SEEDS,
) -> None:
    """Draw the losses of some runs and write PNG and PDF; the same arguments give the same bytes.

    Values that a logarithmic axis cannot show (0, NaN, not measured) are gaps. ``content`` and ``style`` are unweighted
    in history.csv, so they compare runs of different α/β; ``total`` does not.

    Args:
        histories: label of a run (matplotlib text) to the lines of its history.csv.
        path_png: where the PNG goes.
        path_pdf: where the PDF goes.
        looks: of each run; by default each has its own colour and, where there are more runs than colours, line style.
        seeds: label to the histories of several seeds, of which the run's own is the mean: thin lines of its colour.

    Raises:
        ValueError: no runs.
        StorageError: a file that cannot be written.
    """
    if not histories:
        raise ValueError("Curves need at least one run.")
    with figure_style():
        save(_curves(histories, looks or default_looks(len(histories)), seeds), path_png, path_pdf)


def default_looks(num_runs: int) -> list[Look]:
    """All colours with one line style, then with the next."""
    return [(k % len(PALETTE), k // len(PALETTE) % len(LINE_STYLES)) for k in range(num_runs)]


def mean_history(histories: Sequence[History]) -> list[dict[str, float]]:
    """The mean of several runs at every evaluation that all of them have; NaN where one was not measured."""
    lines = [{line["evaluation"]: line for line in history} for history in histories]
    common = [number for number in lines[0] if all(number in own for own in lines)]
    names = [name for name in histories[0][0] if all(name in history[0] for history in histories)]
    return [{name: math.fsum(own[number][name] for own in lines) / len(lines) for name in names} for number in common]


def _curves(
    histories: Mapping[str, History], looks: Sequence[Look], seeds: Mapping[str, Sequence[History]] = NO_SEEDS
) -> Figure:
    blocks = fit(list(histories), [WIDTH_PX - 6 * SIZE_PX] * len(histories), SIZE_PX, max_lines=1)
    labels = [" ".join(block.lines) for block in blocks]
    entry_px = max(block.width_px for block in blocks) + (HANDLE + SPACING + 0.8) * SIZE_PX
    num_columns = max(1, min(len(labels), int(WIDTH_PX / entry_px)))
    legend_px = math.ceil(len(labels) / num_columns) * 1.75 * SIZE_PX
    figure = Figure(
        figsize=(WIDTH_PX / DPI, (len(ALONG) * PANELS_PX + legend_px) / DPI), facecolor="white", layout="constrained"
    )
    panels = figure.subplots(len(ALONG), len(LOSSES))
    for (along, loss), axes in zip(itertools.product(ALONG, LOSSES), panels.flat, strict=True):
        for label, look in zip(histories, looks, strict=True):
            for history in seeds.get(label, ()):
                _draw_line(axes, history, along, loss, look, **OF_A_SEED)
        drawn = [
            _draw_line(axes, history, along, loss, look)
            for history, look in zip(histories.values(), looks, strict=True)
        ]
        _dress(axes, loss, along, empty=not any(drawn))
    handles = [
        Line2D([], [], linewidth=1.8, label=label, **_style(look)) for label, look in zip(labels, looks, strict=True)
    ]
    figure.legend(
        handles=handles,
        loc="outside lower center", ncols=num_columns, prop=font(blocks[0].size_px), frameon=False,
        handlelength=HANDLE, columnspacing=SPACING,
    )  # fmt: skip
    return figure


def _draw_line(axes: Axes, history: History, along: str, loss: str, look: Look, **more: Any) -> bool:
    """Draw one run; False where it has nothing that a logarithmic axis can show."""
    x = np.array([row.get(along, np.nan) for row in history], dtype=np.float64)
    y = np.array([row.get(loss, np.nan) for row in history], dtype=np.float64)
    shown = np.isfinite(x) & np.isfinite(y) & (x > 0) & (y > 0)
    style = {"linewidth": 1.4, **_style(look), **more}
    axes.plot(np.where(shown, x, np.nan), np.where(shown, y, np.nan), **style)
    return bool(shown.any())


def _style(look: Look) -> dict[str, Any]:
    return {"color": PALETTE[look[0]], "linestyle": LINE_STYLES[look[1]]}


def _dress(axes: Axes, loss: str, along: str, empty: bool) -> None:
    """Axes, ticks and names of one panel."""
    axes.set_title(loss, fontproperties=font(1.05 * SIZE_PX))
    axes.set_xlabel(along, fontproperties=font(SIZE_PX))
    axes.grid(True, which="major", color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", width=0.6, labelsize=font(0.85 * SIZE_PX).get_size_in_points())
    if empty:
        say_instead(axes, "nothing to show", SIZE_PX)
        axes.set_xticks([])
        axes.set_yticks([])
    else:
        set_scale(axes.xaxis, "log")
        set_scale(axes.yaxis, "log")
