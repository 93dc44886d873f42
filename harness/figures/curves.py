"""Loss curves: total, content and style against evaluations and against seconds, a line per cell, logarithmic axes.

Of a cell with several seeds the line is their mean, and each seed a thin one of the same colour.

Colours are Okabe & Ito's, told apart by colour-blind readers (jfly.uni-koeln.de/color, 2008); line styles tell the
rounds of the palette apart.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.config.figure import Font
from harness.figures.axes import MANY_DECADES, say_instead, set_scale
from harness.figures.files import figure_style, save
from harness.figures.layout import Paper
from harness.figures.text import DPI, fit
from harness.figures.text import font as font_of

ALONG = ("evaluation", "seconds")
"""The horizontal axes, a row of panels for each."""

OF_A_SEED = {"linewidth": 0.6, "alpha": 0.5}
"""How the line of one seed is drawn, under the mean of all."""

History = Sequence[Mapping[str, float]]
"""The lines of a run's history.csv."""

NO_SEEDS: Mapping[str, Sequence[History]] = MappingProxyType({})

Look = tuple[int, int]
"""Numbers of a line's colour and of its line style."""


@dataclass(frozen=True)
class Labelled:
    """Which lines are labelled in print, where all are too many, and what is said of the others.

    Attributes:
        places: of the lines, rising.
        others: how the others differ from them; may be empty.
    """

    places: Sequence[int]
    others: str = ""


LOSSES = ("total", "content", "style")

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe & Ito without yellow, which is too light for a thin line on white."""

LINE_STYLES: tuple[str | tuple[int, tuple[float, ...]], ...] = ("-", (0, (5, 2)), (0, (1.2, 1.4)), (0, (6, 2, 1.2, 2)))

OTHERS: Mapping[str, Any] = {"color": "#bdbdbd", "linestyle": "-", "zorder": 1.5}
"""Lines without a label, below the others."""

MAX_LABELLED = 8
"""In print, the others' label included."""

WIDTH_PX, PANELS_PX = 1280, 384
NARROW_PX = 640
"""In print, 5 in: on less, two panels to a line; PROPORTION is the height of a panel's axes by its width."""

PROPORTION = 0.62
SIZE_PX = 14.0
HANDLE, SPACING = 2.4, 1.6
"""Length of a line in the legend and distance of its columns, in font sizes."""


def draw_curves(
    histories: Mapping[str, History],
    path_png: Path,
    path_pdf: Path,
    looks: Sequence[Look] | None = None,
    seeds: Mapping[str, Sequence[History]] = NO_SEEDS,
    paper: Paper | None = None,
    font: Font = "sans",
    labelled: Labelled | None = None,
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
        paper: how wide they are printed and how large type is there. At most ``MAX_LABELLED`` lines are then labelled,
            and the others grey.
        font: of all texts.
        labelled: those that are labelled in print where there are more; by default they are evenly spread.

    Raises:
        ValueError: no runs.
        StorageError: a file that cannot be written.
    """
    if not histories:
        raise ValueError("Curves need at least one run.")
    with figure_style(font):
        figure = _curves(histories, looks or default_looks(len(histories)), seeds, paper, labelled)
        save(figure, path_png, path_pdf, png_dpi=2 * DPI if paper else DPI)


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
    histories: Mapping[str, History],
    looks: Sequence[Look],
    seeds: Mapping[str, Sequence[History]] = NO_SEEDS,
    paper: Paper | None = None,
    labelled: Labelled | None = None,
) -> Figure:
    page = _Page.of(paper)
    if not paper or len(histories) <= MAX_LABELLED:
        labelled = Labelled(range(len(histories)))
    labelled = labelled or Labelled(evenly(len(histories)))
    is_labelled = [k in labelled.places for k in range(len(histories))]
    told = [name for name, is_told in zip(histories, is_labelled, strict=True) if is_told]
    num_others = len(histories) - len(told)
    told += [f"the other {num_others}{labelled.others}"] if num_others else []
    blocks = fit(told, [page.width_px - 6 * page.size_px] * len(told), page.size_px, 1, page.least_px)
    labels = [" ".join(block.lines) for block in blocks]
    entry_px = max(block.width_px for block in blocks) + (HANDLE + SPACING + 0.8) * page.size_px
    num_columns = max(1, min(len(labels), int(page.width_px / entry_px)))
    legend_px = math.ceil(len(labels) / num_columns) * 1.75 * page.size_px
    figure = Figure(
        figsize=(page.width_px / DPI, (page.height_px + legend_px) / DPI), facecolor="white", layout="constrained"
    )
    panels = figure.subplots(len(LOSSES), len(ALONG)).T if page.is_narrow else figure.subplots(len(ALONG), len(LOSSES))
    shown = [look if is_told else None for look, is_told in zip(looks, is_labelled, strict=True)]
    for (along, loss), axes in zip(itertools.product(ALONG, LOSSES), panels.flat, strict=True):
        for label, look in zip(histories, shown, strict=True):
            for history in seeds.get(label, ()):
                _draw_line(axes, history, along, loss, look, **OF_A_SEED)
        drawn = [
            _draw_line(axes, history, along, loss, look)
            for history, look in zip(histories.values(), shown, strict=True)
        ]
        _dress(axes, loss, along, page, empty=not any(drawn))
    named = [look for look in shown if look is not None] + [None] * (num_others > 0)
    handles = [
        Line2D([], [], linewidth=1.8, label=label, **_style(look)) for label, look in zip(labels, named, strict=True)
    ]
    figure.legend(
        handles=handles,
        loc="outside lower center", ncols=num_columns, prop=font_of(blocks[0].size_px, "".join(labels)), frameon=False,
        handlelength=HANDLE, columnspacing=SPACING,
    )  # fmt: skip
    return figure


@dataclass(frozen=True)
class _Page:
    """Lengths in pixels of the whole but its legend, and of its type."""

    width_px: float = WIDTH_PX
    height_px: float = len(ALONG) * PANELS_PX
    size_px: float = SIZE_PX
    least_px: float = 0.0
    title: float = 1.05
    few_decades: float = MANY_DECADES

    @classmethod
    def of(cls, paper: Paper | None) -> _Page:
        """The page of a screen, or as it is printed: a pixel is then 1/128 in."""
        if paper is None:
            return cls()
        width_px, size_px = paper.width_in * DPI, paper.size_pt / 72 * DPI
        rows, columns = (len(LOSSES), len(ALONG)) if width_px < NARROW_PX else (len(ALONG), len(LOSSES))
        height_px = rows * (PROPORTION * width_px / columns + 3 * size_px)
        return cls(width_px, height_px, size_px, paper.smallest * size_px, 1.0, 1.0)

    @property
    def is_narrow(self) -> bool:
        """Whether there is room for two panels to a line alone."""
        return self.width_px < NARROW_PX

    @property
    def tick_px(self) -> float:
        """Size of the numbers along the axes."""
        return max(self.least_px, 0.85 * self.size_px)


def evenly(num: int) -> list[int]:
    """Places of as many lines as a reader tells apart beside a label for the others, first and last among them."""
    num_told = min(num, MAX_LABELLED - 1)
    return sorted({round(k * (num - 1) / max(1, num_told - 1)) for k in range(num_told)})


def _draw_line(axes: Axes, history: History, along: str, loss: str, look: Look | None, **more: Any) -> bool:
    """Draw one run; False where it has nothing that a logarithmic axis can show."""
    x = np.array([row.get(along, np.nan) for row in history], dtype=np.float64)
    y = np.array([row.get(loss, np.nan) for row in history], dtype=np.float64)
    shown = np.isfinite(x) & np.isfinite(y) & (x > 0) & (y > 0)
    style = {"linewidth": 1.4, **_style(look), **more}
    axes.plot(np.where(shown, x, np.nan), np.where(shown, y, np.nan), **style)
    return bool(shown.any())


def _style(look: Look | None) -> dict[str, Any]:
    return dict(OTHERS) if look is None else {"color": PALETTE[look[0]], "linestyle": LINE_STYLES[look[1]]}


def _dress(axes: Axes, loss: str, along: str, page: _Page, empty: bool) -> None:
    """Axes, ticks and names of one panel."""
    axes.set_title(loss, fontproperties=font_of(page.title * page.size_px))
    axes.set_xlabel(along, fontproperties=font_of(page.size_px))
    axes.grid(True, which="major", color="#e4e4e4", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", width=0.6, labelsize=font_of(page.tick_px).get_size_in_points())
    if empty:
        say_instead(axes, "nothing to show", page.size_px)
        axes.set_xticks([])
        axes.set_yticks([])
    else:
        set_scale(axes.xaxis, "log", many_decades=page.few_decades)
        set_scale(axes.yaxis, "log", many_decades=page.few_decades)
