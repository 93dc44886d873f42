"""A sweep with one objective: the best value so far, every trial's way there, and pictures of the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.config.sweep import Sweep
from harness.figures.arrange import arrange
from harness.figures.axes import dot, say_instead, scale_for, set_scale
from harness.figures.curves import PALETTE
from harness.figures.experiment import shared_sources, tile
from harness.figures.files import both, figure_style
from harness.figures.labels import escape, weight_caption
from harness.figures.layout import Label, Layout, Panel, Tile
from harness.figures.outcomes import (
    TrialOutcome,
    counted,
    objective_label,
    outcomes,
    short_number,
    sweep_of,
    weights_line,
)
from harness.figures.panels import draw, save_drawn
from harness.figures.text import fit, font
from harness.results import Results

RANKS = ("best", "2nd", "3rd", "4th", "5th")
NARROWEST_PX = 1100
BEST, PRUNED, OTHERS = PALETTE[0], PALETTE[1], "#a6a6a6"

PLOT_FONTS = 21.0
"""Height of the plots, in font sizes."""


LEGEND_FONTS = 11.4
"""Width of an entry of the legend, in font sizes."""


def draw_search(results: Results) -> list[Path]:
    """Draw ``search`` as PNG and PDF: values by trial number and by evaluation, the best and the first picture.

    Args:
        results: of a sweep with one objective.

    Returns:
        The files written.

    Raises:
        ValueError: more objectives, or an experiment's results.
        StorageError: a file cannot be written.
    """
    sweep = sweep_of(results)
    if len(sweep.objectives) != 1:
        raise ValueError(f"A search has one objective, {results.name} has {len(sweep.objectives)}.")
    trials = outcomes(results)
    png, pdf = both(results.folder, "search")
    with figure_style():
        layout = _layout(results, trials)
        figure, images = draw(layout)
        by_number, by_evaluation = _axes(figure, layout)
        _plot_numbers(by_number, trials, sweep, layout.font_px)
        _plot_evaluations(by_evaluation, trials, sweep, layout.font_px)
        figure.legend(
            handles=_handles(trials), loc="upper right", ncols=4, frameon=False, prop=font(0.9 * layout.font_px),
            bbox_to_anchor=(1 - layout.font_px / layout.width, 1.0),
        )  # fmt: skip
        save_drawn(figure, images, png, pdf)
    return [png, pdf]


def _handles(trials: Sequence[TrialOutcome]) -> list[Line2D]:
    """The entries of the legend."""
    handles = [
        Line2D([], [], color=BEST, linewidth=2.0, label="best"),
        Line2D([], [], color=OTHERS, marker="o", linewidth=1.0, markersize=5, label="complete"),
        Line2D([], [], color=PRUNED, marker="x", linewidth=1.0, markersize=6, label="pruned"),
    ]
    if not all(trial.is_settled for trial in trials):
        handles.append(Line2D([], [], **dot(OTHERS, 6, is_settled=False), label="not settled"))
    return handles


def _layout(results: Results, trials: Sequence[TrialOutcome]) -> Layout:
    """The title, room for the plots, and the pictures below."""
    complete = sorted((trial for trial in trials if trial.state == "complete"), key=lambda t: (t.costs, t.number))
    tiles: list[Tile] = []
    if complete:
        best = complete[: len(RANKS)]
        first = min(complete, key=lambda trial: trial.number)
        tiles = [_tile(first, "first")] if first not in best else []
        tiles += [_tile(trial, rank) for trial, rank in zip(best, RANKS, strict=False)]
    shared = shared_sources(results.runs, results.definition.figure.show) if results.runs else {}
    sources = [tile for tiles in shared.values() for tile in tiles]
    layout = arrange([tiles or [Tile(None, "no trial is complete")]], (), (), sources, "", 1)
    size_px = layout.font_px = min(max(layout.font_px, 0.0112 * NARROWEST_PX), 24.0)
    widened = max(0, NARROWEST_PX - layout.width)
    height = round(PLOT_FONTS * size_px)
    layout.panels = [_moved_panel(panel, widened // 2, height) for panel in layout.panels]
    layout.labels = [_moved_label(text, widened // 2, height) for text in layout.labels]
    layout.width, layout.height = layout.width + widened, layout.height + height
    title = f"{escape(results.name)} \N{EM DASH} {counted(trials)}"
    legend_px = LEGEND_FONTS * len(_handles(trials)) * size_px
    (block,) = fit([title], [layout.width - legend_px], size_px, 2)
    layout.labels.append(Label(block, size_px + block.width_px / 2, 0.4 * size_px))
    return layout


def _moved_panel(panel: Panel, right_px: int, down_px: int) -> Panel:
    box = panel.box
    return replace(panel, box=replace(box, left=box.left + right_px, top=box.top + down_px))


def _moved_label(text: Label, right_px: int, down_px: int) -> Label:
    """A label that is not rotated, elsewhere."""
    return replace(text, centre_px=text.centre_px + right_px, start_px=text.start_px + down_px)


def _tile(trial: TrialOutcome, rank: str) -> Tile:
    value = f"{rank}: trial {trial.number}, {short_number(trial.values[0])}"
    return tile(
        trial.run, "\n".join(filter(None, (value, weights_line(trial) or weight_caption(trial.run.transfer, 2))))
    )


def _axes(figure: Figure, layout: Layout) -> tuple[Axes, Axes]:
    """Two plots side by side above the pictures."""
    size_px, width, height = layout.font_px, layout.width, layout.height
    left, between = 7.5 * size_px, 6 * size_px
    plot_width = (width - left - between - 2 * size_px) / 2
    bottom = height - (PLOT_FONTS - 4.2) * size_px
    panels = [
        figure.add_axes((x / width, bottom / height, plot_width / width, (PLOT_FONTS - 6.8) * size_px / height))
        for x in (left, left + plot_width + between)
    ]
    for axes in panels:
        axes.tick_params(which="both", width=0.6, labelsize=font(0.85 * size_px).get_size_in_points())
    return panels[0], panels[1]


def _plot_numbers(axes: Axes, trials: Sequence[TrialOutcome], sweep: Sweep, size_px: float) -> None:
    """Values by trial number, hollow for what had not settled, and the best of the complete ones so far."""
    ended = [trial for trial in trials if trial.state == "complete"]
    complete = [(trial.number, trial.values[0]) for trial in ended]
    for is_settled in (True, False):
        some = [point for point, trial in zip(complete, ended, strict=True) if trial.is_settled is is_settled]
        axes.plot(*_columns(some), **dot(OTHERS, 5, is_settled))
    pruned = [(t.number, list(t.intermediate.values())[-1]) for t in trials if t.state == "pruned" and t.intermediate]
    axes.plot(*_columns(pruned), "x", color=PRUNED, markersize=6)
    if complete:
        numbers, best = _columns(complete)
        better = max if sweep.maximised else min
        for k in range(1, len(best)):
            best[k] = better(best[k], best[k - 1])
        axes.step([*numbers, trials[-1].number], [*best, best[-1]], where="post", color=BEST, linewidth=2.0)
    axes.set_xlabel("trial", fontproperties=font(size_px))
    axes.set_ylabel(objective_label(sweep.objective_names[0], sweep), fontproperties=font(0.9 * size_px))
    axes.set_xlim(-0.7, max((trial.number for trial in trials), default=0) + 0.7)
    set_scale(axes.xaxis, "whole", 0)
    _scale_values(axes, [value for _, value in complete + pruned], sweep)


def _plot_evaluations(axes: Axes, trials: Sequence[TrialOutcome], sweep: Sweep, size_px: float) -> None:
    """Values measured on the way, by evaluation; a complete trial's last one is its value."""
    ways = [(trial, _way(trial)) for trial in trials]
    complete = [trial for trial in trials if trial.state == "complete"]
    best = min(complete, key=lambda trial: (trial.costs, trial.number), default=None)
    for trial, way in ways:
        if not way:
            continue
        colour = BEST if trial is best else PRUNED if trial.state == "pruned" else OTHERS
        width, order = (2.0, 4) if trial is best else (1.0, 3 if trial.state == "pruned" else 2)
        axes.plot(*_columns(way), color=colour, linewidth=width, zorder=order)
        cross = {"color": colour, "marker": "x", "markersize": 5}
        end = cross if trial.state == "pruned" else dot(colour, 5, trial.is_settled)
        axes.plot(*_columns(way[-1:]), **end, zorder=order)
    axes.set_xlabel("evaluation", fontproperties=font(size_px))
    if not any(way for _, way in ways):
        axes.set_xticks([])
    else:
        set_scale(axes.xaxis, scale_for([evaluation for _, way in ways for evaluation, _ in way]), 0)
    _scale_values(axes, [value for _, way in ways for _, value in way], sweep)


def _way(trial: TrialOutcome) -> list[tuple[float, float]]:
    way = [(float(evaluation), value) for evaluation, value in trial.intermediate.items()]
    steps = float(trial.run.num_evaluations)
    if trial.state == "complete" and (not way or way[-1][0] < steps):
        way.append((steps, trial.values[0]))
    return way


def _scale_values(axes: Axes, values: Sequence[float], sweep: Sweep) -> None:
    if values:
        set_scale(axes.yaxis, scale_for(values, bool(sweep.maximised)), 0.0 if min(values) >= 0 else -math.inf)
    else:
        say_instead(axes, "nothing to show", 18)
        axes.set_yticks([])


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]
