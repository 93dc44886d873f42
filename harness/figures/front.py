"""The front of a sweep with several objectives: every trial a dot, the best compromises shown by their pictures."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from harness.config.sweep import Sweep
from harness.errors import ImageError
from harness.figures.axes import SOFT_INK, dot, say_instead, scale_for, set_scale
from harness.figures.curves import PALETTE
from harness.figures.experiment import shared_sources
from harness.figures.files import both, figure_style
from harness.figures.labels import escape
from harness.figures.layout import Box, Label, Layout, Tile, size_within
from harness.figures.outcomes import (
    TrialOutcome,
    caption_lines,
    counted,
    non_dominated,
    objective_label,
    outcomes,
    sweep_of,
)
from harness.figures.panels import draw, save_drawn
from harness.figures.placing import Mirror, Points, capacity, nearest_point, place, spread
from harness.figures.text import DPI, TextBlock, fit, font
from harness.results import Results
from harness.results.pictures import Pixels

WIDTH_PX, HEIGHT_PX = 1568, 1088
PLOT = Box(132, 62, 1166, 920)
SOURCE_PX = 216
SIZE_PX, SMALL_PX = 21.0, 16.5
"""Font sizes; 14 and 11 px where the figure is shown 1,000 pixels wide."""

MAX_THUMBNAILS = 12
THUMBNAILS_PX = (216, 200, 184, 168, 152, 136, 120, 104)
"""Longer sides of the pictures: the largest is taken at which as many find room as at the smallest."""

GAP_PX, FRAME_PX = 8, 2
INSET_PX = 10
"""From the plot's axes to the pictures."""

CLEAR_PX = 44
"""From the points to the pictures, and to the plot's other two sides."""

FRONT, BEATEN, LEADER = PALETTE[0], "#9a9a9a", SOFT_INK
CAPTION_PX, CAPTION_GAP_PX = 138, 5
"""Width of a caption, a little more than the smallest picture's; distance from its picture, which is nearer to the
front."""

Rooms = tuple[int, int]
"""Pixels of the plot left free at the side and at the end where better would be, for the pictures."""


@dataclass(frozen=True)
class _Thumbnails:
    """The pictures of some trials of the front, all in cells of one size, each above its caption."""

    trials: Sequence[TrialOutcome]
    images: Sequence[Pixels]
    side_px: int
    captions: Sequence[TextBlock]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Width and height of each picture."""
        return [size_within(image, self.side_px, self.side_px) for image in self.images]

    @property
    def cell(self) -> tuple[int, int]:
        """Width and height that a picture and its caption take."""
        texts = self.captions
        width = max([*(width for width, _ in self.sizes), *(math.ceil(text.width_px) for text in texts)], default=0)
        heights = [h + math.ceil(text.height_px) for (_, h), text in zip(self.sizes, texts, strict=True)]
        return width, max(heights, default=0) + 6


def draw_front(results: Results) -> list[Path]:
    """Draw ``front`` as PNG and PDF: a sweep's complete trials over its first two objectives.

    A trial that had not settled (``harness.runs.settled``) is a hollow dot: more steps may move it. The trials that no
    other beats in all objectives are joined by a line and shown by their pictures, with a thin line
    to the exact point; where there are too many of them, those that lie far from one another. What is maximised rises.

    Args:
        results: of a sweep with at least two objectives.

    Returns:
        The files written.

    Raises:
        ValueError: fewer objectives, or an experiment's results.
        StorageError: a file cannot be written.
    """
    sweep = sweep_of(results)
    objectives = sweep.objective_names
    if len(objectives) < 2:
        raise ValueError(f"A front needs two objectives, {results.name} has {len(objectives)}.")
    trials = outcomes(results)
    complete = [trial for trial in trials if trial.state == "complete"]
    on_front = [complete[k] for k in non_dominated([trial.costs for trial in complete])]
    on_front.sort(key=lambda trial: (trial.costs, trial.number))
    png, pdf = both(results.folder, "front")
    with figure_style():
        thumbnails = _thumbnails(on_front, sweep)
        axes = _axes(Figure(figsize=_INCHES, dpi=DPI), complete, sweep, _rooms(thumbnails))
        points, mirror = _pixels(axes, thumbnails.trials), _mirror(sweep)
        path = _staircase(mirror.points(_pixels(axes, on_front)), objectives)
        boxes = place(mirror.points(points), thumbnails.cell, _AREA, GAP_PX, path)
        pictures = [mirror.box(_picture(size, box)) for size, box in zip(thumbnails.sizes, boxes, strict=True)]
        layout = Layout(WIDTH_PX, HEIGHT_PX, SIZE_PX)
        for image, picture, caption, box in zip(thumbnails.images, pictures, thumbnails.captions, boxes, strict=True):
            layout.place(Tile(image), picture, SMALL_PX)
            below, above = (
                picture.top + picture.height + CAPTION_GAP_PX,
                picture.top - caption.height_px - CAPTION_GAP_PX,
            )
            cell = mirror.box(box)
            layout.labels.append(Label(caption, cell.left + cell.width / 2, above if mirror.is_y else below))
        end = _write_beside(layout, results, _title(trials, on_front, thumbnails))
        figure, images = draw(layout)
        axes = _axes(figure, complete, sweep, _rooms(thumbnails))
        _plot(axes, complete, on_front, end)
        for point, picture in zip(points, pictures, strict=True):
            _join(figure, point, picture)
        save_drawn(figure, images, png, pdf)
    return [png, pdf]


_INCHES = (WIDTH_PX / DPI, HEIGHT_PX / DPI)
_AREA = Box(PLOT.left + INSET_PX, PLOT.top, PLOT.width - INSET_PX, PLOT.height - INSET_PX)


def _mirror(sweep: Sweep) -> Mirror:
    """What turns better to the left and below."""
    x, y = (objective in sweep.maximised for objective in sweep.objective_names[:2])
    return Mirror(_AREA, x, y)


def _thumbnails(on_front: Sequence[TrialOutcome], sweep: Sweep) -> _Thumbnails:
    """As many pictures as find room at the smallest size, as large as they can then be."""
    found = [(trial, image) for trial in on_front if (image := _image(trial)) is not None]
    if not found:
        return _Thumbnails([], [], 0, [])
    unit = _unit([trial for trial, _ in found], sweep)
    places = spread(unit, MAX_THUMBNAILS)
    smallest = _captioned([found[k] for k in places], THUMBNAILS_PX[-1])
    num = min(capacity(smallest.cell, _AREA, GAP_PX), len(places))
    chosen = [found[k] for k in spread(unit, num)]
    sets = (_captioned(chosen, side_px) for side_px in THUMBNAILS_PX)
    return next((each for each in sets if capacity(each.cell, _AREA, GAP_PX) >= num), smallest)


def _captioned(chosen: Sequence[tuple[TrialOutcome, Pixels]], side_px: int) -> _Thumbnails:
    lines = [caption_lines(trial) for trial, _ in chosen]
    num_lines = sum(map(len, lines))
    flat = fit([line for own in lines for line in own], [CAPTION_PX] * num_lines, SMALL_PX, 1)
    blocks = iter(flat)
    captions = [
        TextBlock(tuple(line for _ in own for line in next(blocks).lines), min(block.size_px for block in flat))
        for own in lines
    ]
    return _Thumbnails([trial for trial, _ in chosen], [image for _, image in chosen], side_px, captions)


def _rooms(thumbnails: _Thumbnails) -> Rooms:
    width, height = thumbnails.cell
    return (INSET_PX + width, INSET_PX + height) if thumbnails.trials else (0, 0)


def _unit(trials: Sequence[TrialOutcome], sweep: Sweep) -> Points:
    """Trials' values as shares of their range, on the axes' own scales."""
    columns = []
    for k, values in enumerate(zip(*(trial.values[:2] for trial in trials), strict=True)):
        scale = scale_for(values, sweep.objective_names[k] in sweep.maximised)
        shown = np.log(values) if scale == "log" else np.array(values)
        columns.append((shown - shown.min()) / (np.ptp(shown) or 1.0))
    return np.stack(columns, axis=1)


def _axes(figure: Figure, complete: Sequence[TrialOutcome], sweep: Sweep, rooms: Rooms) -> Axes:
    """The plot's axes with their limits, under everything else, and room for the pictures where better would be."""
    objectives = sweep.objective_names[:2]
    bottom = HEIGHT_PX - PLOT.top - PLOT.height
    axes = figure.add_axes(
        (PLOT.left / WIDTH_PX, bottom / HEIGHT_PX, PLOT.width / WIDTH_PX, PLOT.height / HEIGHT_PX), zorder=-1
    )
    axes.patch.set_visible(False)
    for axis, objective in ((axes.xaxis, objectives[0]), (axes.yaxis, objectives[1])):
        axis.set_label_text(objective_label(objective, sweep), fontproperties=font(SIZE_PX))
    axes.tick_params(which="both", width=0.6, labelsize=font(0.85 * SIZE_PX).get_size_in_points())
    setters = (axes.set_xlim, axes.set_ylim)
    for k, (shown, room, length) in enumerate(
        zip((axes.xaxis, axes.yaxis), rooms, (PLOT.width, PLOT.height), strict=True)
    ):
        values = [trial.values[k] for trial in complete]
        if not values:
            shown.set_ticks([])
            continue
        is_maximised = objectives[k] in sweep.maximised
        scale = scale_for(values, is_maximised)
        shares = ((room + CLEAR_PX) / length, CLEAR_PX / length)
        limits = _limits(values, shares[::-1] if is_maximised else shares, log=scale == "log")
        setters[k](limits)
        set_scale(shown, scale, 0.0 if min(values) >= 0 else -math.inf)
        setters[k](limits)
    return axes


def _limits(values: Sequence[float], rooms: tuple[float, float], log: bool) -> tuple[float, float]:
    """An axis's limits: the values' range with shares of the axis left free before and after it."""
    low, high = (math.log10(v) if log else v for v in (min(values), max(values)))
    span = (high - low) or (1.0 if log else abs(high) or 1.0)
    whole = span / (1 - sum(rooms))
    start, end = low - rooms[0] * whole, low - rooms[0] * whole + whole
    return (10**start, 10**end) if log else (start, end)


def _pixels(axes: Axes, trials: Sequence[TrialOutcome]) -> Points:
    """Trials' points in pixels from the figure's top left, (N, 2)."""
    if not trials:
        return np.zeros((0, 2))
    points = axes.transData.transform([trial.values[:2] for trial in trials])
    return np.stack([points[:, 0], HEIGHT_PX - points[:, 1]], axis=1)


def _staircase(points: Points, objectives: Sequence[str]) -> Points:
    """The corners of the line between what is beaten and what is not; with more objectives no line is drawn."""
    if not len(points) or len(objectives) > 2:
        return np.zeros((0, 2))
    corners = [[point, [following[0], point[1]]] for point, following in itertools.pairwise(points)]
    return np.array([corner for pair in corners for corner in pair] + [points[-1]])


def _picture(size: tuple[int, int], box: Box) -> Box:
    """Where a picture lies in its cell: at the top, and at the right in the column, where the line to its point is."""
    at_left = box.left == _AREA.left and box.top + box.height < _AREA.top + _AREA.height
    return Box(box.left + (box.width - size[0]) // (1 if at_left else 2), box.top, *size)


def _image(trial: TrialOutcome) -> Pixels | None:
    try:
        return trial.run.colours()
    except ImageError:
        return None


def _plot(axes: Axes, complete: Sequence[TrialOutcome], on_front: Sequence[TrialOutcome], legend_top: float) -> None:
    """The dots, hollow for what had not settled, and the line through those that are not dominated."""
    beaten = [trial for trial in complete if trial not in on_front]
    handles = []
    for trials, colour, size, name in ((beaten, BEATEN, 7, "beaten by another"), (on_front, FRONT, 9, "on the front")):
        for is_settled in (True, False):
            some = [trial for trial in trials if trial.is_settled is is_settled]
            axes.plot(*_columns(some), **dot(colour, size, is_settled), zorder=3)
        handles += [Line2D([], [], **dot(colour, size), label=name)] if trials else []
    if not all(trial.is_settled for trial in complete):
        handles.append(Line2D([], [], **dot(SOFT_INK, 8, is_settled=False), label="not settled"))
    if on_front and len(on_front[0].values) == 2:
        x, y = zip(*(trial.values for trial in on_front), strict=True)
        axes.step(x, y, where="post", color=FRONT, linewidth=1.3, zorder=2)
    if complete:
        place_of_legend = (1 + 22 / PLOT.width, 1 - (legend_top - PLOT.top) / PLOT.height)
        axes.legend(
            handles=handles, loc="upper left", prop=font(SMALL_PX), frameon=False, bbox_to_anchor=place_of_legend
        )
    else:
        say_instead(axes, "no trial is complete", SIZE_PX)


def _columns(trials: Sequence[TrialOutcome]) -> tuple[list[float], list[float]]:
    return [trial.values[0] for trial in trials], [trial.values[1] for trial in trials]


def _join(figure: Figure, point: Points, picture: Box) -> None:
    """A thin line from a trial's point to its picture, and a frame around the picture's own pixels."""
    x, y = nearest_point(point, picture)
    figure.add_artist(
        Line2D(
            [point[0] / WIDTH_PX, x / WIDTH_PX], [1 - point[1] / HEIGHT_PX, 1 - y / HEIGHT_PX],
            color=LEADER, linewidth=0.8, zorder=-2,
        )
    )  # fmt: skip
    frame = Rectangle(
        ((picture.left - FRAME_PX) / WIDTH_PX, 1 - (picture.top + picture.height + FRAME_PX) / HEIGHT_PX),
        (picture.width + 2 * FRAME_PX) / WIDTH_PX, (picture.height + 2 * FRAME_PX) / HEIGHT_PX,
        color=FRONT, linewidth=0, transform=figure.transFigure, zorder=-0.5,
    )  # fmt: skip
    frame.set_antialiased(False)
    figure.add_artist(frame)


def _title(trials: Sequence[TrialOutcome], on_front: Sequence[TrialOutcome], thumbnails: _Thumbnails) -> str:
    num = len(thumbnails.trials)
    shown = f", {num} of them shown" if num < len(on_front) else ""
    return f"{counted(trials)}; {len(on_front)} on the front{shown}"


def _write_beside(layout: Layout, results: Results, title: str) -> float:
    """The title above the plot, the photograph and the painting at its right; gives where they end."""
    (name,) = fit([f"{escape(results.name)} \N{EM DASH} {title}"], [WIDTH_PX - PLOT.left - 30], SIZE_PX, 1)
    layout.labels.append(Label(name, PLOT.left + name.width_px / 2, 16))
    shared = shared_sources(results.runs, results.definition.figure.show) if results.runs else {}
    left, top = PLOT.left + PLOT.width + 30, float(PLOT.top)
    for tile in [tile for tiles in shared.values() for tile in tiles]:
        size = (SOURCE_PX, SOURCE_PX) if tile.image is None else size_within(tile.image, SOURCE_PX, 1.4 * SOURCE_PX)
        if top + size[1] > PLOT.top + PLOT.height:
            break  # more paintings than there is room for
        layout.place(tile, Box(left + (SOURCE_PX - size[0]) // 2, round(top), *size), SIZE_PX)
        (caption,) = fit([tile.caption], [SOURCE_PX], SIZE_PX, 1)
        layout.labels.append(Label(caption, left + SOURCE_PX / 2, round(top) + size[1] + 6))
        top = round(top) + size[1] + 26 + math.ceil(caption.height_px)
    return top
