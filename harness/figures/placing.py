"""Pictures around a front: a column at the left and a row at the bottom, in the front's order, so that lines to the
points do not cross.

A front of two minimised values falls from the upper left to the lower right and has nothing below it. Its first
pictures go into a column at the left, top down, the others into a row at the bottom; where the column ends is decided
by trying: the fewest crossings, then the shortest lines. Coordinates are pixels from the top left; a front whose better
side is the right or the top is mirrored before and after (``Mirror``).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.figures.layout import Box

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Mirror:
    """Turns a plot around so that better is at its left and bottom; and, applied again, back.

    Attributes:
        area: the plot's.
        is_x, is_y: whether larger values of the axis are better.
    """

    area: Box
    is_x: bool = False
    is_y: bool = False

    def points(self, points: Points) -> Points:
        """Points, (N, 2), on the other side of the area's middle."""
        return np.stack([self._across(points[:, 0], 0), self._across(points[:, 1], 1)], axis=1)

    def box(self, box: Box) -> Box:
        """A rectangle, the same way."""
        left = self._across(box.left, 0) - box.width * self.is_x
        top = self._across(box.top, 1) - box.height * self.is_y
        return Box(int(left), int(top), box.width, box.height)

    def _across(self, value: Any, axis: int) -> Any:
        start, length = (self.area.left, self.area.width) if axis == 0 else (self.area.top, self.area.height)
        return 2 * start + length - value if (self.is_x, self.is_y)[axis] else value


def capacity(cell: tuple[int, int], area: Box, gap_px: int) -> int:
    """How many cells find room in a column at the left of an area and a row at its bottom."""
    return sum(_rooms(cell, area, gap_px))


def place(anchors: Points, cell: tuple[int, int], area: Box, gap_px: int, path: Points) -> list[Box]:
    """Find a place for each picture.

    Args:
        anchors: (K, 2), the pictures' points along the front: x rises, y (downwards) rises.
        cell: width and height that a picture takes, caption included.
        area: the cells lie within it, at its left and bottom.
        gap_px: between cells.
        path: (N, 2), corners of the front's line, which the lines to the pictures should not cross.

    Returns:
        K boxes of the cell's size.

    Raises:
        ValueError: more pictures than ``capacity``.
    """
    in_column, in_row = _rooms(cell, area, gap_px)
    num = len(anchors)
    if num > in_column + in_row:
        raise ValueError(f"There is room for {in_column + in_row} pictures, not for {num}.")
    best: tuple[tuple[int, float], list[Box]] | None = None
    for num_left in range(max(0, num - in_row), min(num, in_column) + 1):
        boxes = _column_and_row(anchors, num_left, cell, area, gap_px)
        cost = _cost(anchors, boxes, path)
        if best is None or cost < best[0]:
            best = cost, boxes
    assert best is not None
    return best[1]


def nearest_point(anchor: Any, box: Box) -> tuple[float, float]:
    """The point of a box to which a line from its anchor is shortest."""
    x = min(max(float(anchor[0]), box.left), box.left + box.width)
    y = min(max(float(anchor[1]), box.top), box.top + box.height)
    return x, y


def spread(points: Points, num: int) -> list[int]:
    """Places of at most ``num`` points that lie far from one another: the ends, then always the farthest one."""
    if len(points) <= num:
        return list(range(len(points)))
    chosen = [0, len(points) - 1][:num]
    while len(chosen) < num:
        distances = np.linalg.norm(points[:, None] - points[chosen][None], axis=-1).min(axis=1)
        distances[chosen] = -1.0  # equal points are still chosen one by one
        chosen.append(int(distances.argmax()))
    return sorted(chosen)


def apart(wanted: Sequence[float], distance: float, low: float, high: float) -> list[float]:
    """Rising positions at least a distance apart within limits, as near to the wanted ones as can be (least squares).

    Pool adjacent violators on wanted − k · distance (Ayer et al. 1955).
    """
    pools: list[tuple[float, int]] = []
    for k, value in enumerate(wanted):
        mean, num = value - k * distance, 1
        while pools and pools[-1][0] >= mean:
            before, num_before = pools.pop()
            mean, num = (mean * num + before * num_before) / (num + num_before), num + num_before
        pools.append((mean, num))
    flat = [mean for mean, num in pools for _ in range(num)]
    highest = high - distance * (len(wanted) - 1)
    return [min(max(mean, low), highest) + k * distance for k, mean in enumerate(flat)]


def _rooms(cell: tuple[int, int], area: Box, gap_px: int) -> tuple[int, int]:
    """How many cells the column holds, and the row beside it."""
    width, height = cell
    return (area.height + gap_px) // (height + gap_px), max(0, area.width - width) // (width + gap_px)


def _column_and_row(anchors: Points, num_left: int, cell: tuple[int, int], area: Box, gap_px: int) -> list[Box]:
    width, height = cell
    bottom, right = area.top + area.height - height, area.left + area.width - width
    # The picture stands at the top of its cell: a little below its point, so that the line does not rise to the right.
    tops = apart([y - 0.25 * height for y in anchors[:num_left, 1]], height + gap_px, area.top, bottom)
    first = area.left + (width + gap_px if num_left else 0)
    lefts = apart([x - 0.5 * width for x in anchors[num_left:, 0]], width + gap_px, first, right)
    return [Box(area.left, round(top), width, height) for top in tops] + [
        Box(round(left), bottom, width, height) for left in lefts
    ]


def _cost(anchors: Points, boxes: Sequence[Box], path: Points) -> tuple[int, float]:
    """Crossings of the lines with one another and with the path, and their length."""
    lines = [(anchor, np.array(nearest_point(anchor, box))) for anchor, box in zip(anchors, boxes, strict=True)]
    steps = list(itertools.pairwise(path))
    crossings = sum(_cross(*a, *b) for a, b in itertools.combinations(lines, 2))
    crossings += sum(_cross(*line, *step) for line in lines for step in steps)
    return crossings, float(sum(np.linalg.norm(end - start) for start, end in lines))


def _cross(a: Points, b: Points, c: Points, d: Points) -> bool:
    """Whether the insides of two segments cross; touching does not count."""

    def side(p: Points, q: Points, r: Points) -> float:
        return float((q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]))

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0
