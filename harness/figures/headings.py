"""The labels of a grid's rows and columns, set to the room that there is: what would be broken stands another way."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from harness.figures.sizes import Sizes
from harness.figures.text import LINE_HEIGHT, SHRINKING, TextBlock, fit, fits

Stance = Literal["upwards", "level", "above"]
"""How rows' labels stand: beside their row, reading upwards or level, or each on lines of its own above it."""

WIDEST_SIDE_FONTS = 12
"""Width that rows' labels take at most where they stand level, in font sizes."""

HEAD_LINES, SIDE_LINES = 2, 3
"""At most, of columns' labels and rows' labels; in print, where columns are narrow, twice as many."""

_VALUE = re.compile(r"([^=\n]+[ \N{NO-BREAK SPACE}]=)[ \N{NO-BREAK SPACE}]([^=\n]+)")


@dataclass(frozen=True)
class Heads:
    """Columns' labels: what they have in common stands once, above all of them."""

    blocks: Sequence[TextBlock] = ()
    common: TextBlock = field(default_factory=TextBlock)

    @property
    def height_px(self) -> float:
        """Of the highest of the columns' own."""
        return max((block.height_px for block in self.blocks), default=0.0)


def heads_of(labels: Sequence[str], sizes: Sizes) -> Heads:
    """Columns' labels; of ``α/β = 0.1``, ``α/β = 8`` that do not fit on one line, ``α/β =`` once, then the values."""
    if not labels:
        return Heads()
    widths, lines = sizes.cell_widths, HEAD_LINES * sizes.lines
    named = [match for text in labels if (match := _VALUE.fullmatch(text))]
    is_common = len(named) == len(labels) > 1 and len({match[1] for match in named}) == 1
    if is_common and not fits(labels, min(widths), sizes.font, 1):
        values = fit([match[2] for match in named], widths, sizes.font, lines, sizes.least)
        (common,) = fit([named[0][1]], [sum(widths)], values[0].size_px, 1, sizes.least)
        return Heads(values, common)
    return Heads(fit(labels, widths, sizes.font, lines, sizes.least))


def _smallest(sizes: Sizes) -> float:
    """Size of the smallest type that labels may have."""
    return max(sizes.least, SHRINKING[-1] * sizes.font)


@dataclass(frozen=True)
class Sides:
    """Rows' labels, and how they stand."""

    blocks: Sequence[TextBlock]
    stance: Stance

    @property
    def width_px(self) -> float:
        """Of the column at the left that they take."""
        if self.stance == "above":
            return 0.0
        widths = [block.height_px if self.stance == "upwards" else block.width_px for block in self.blocks]
        return max(widths, default=0.0)


def sides_of(labels: Sequence[str], sizes: Sizes, grid_px: float) -> Sides:
    """Rows' labels beside their rows where they fit whole, upwards or else level; above them where they do not.

    Args:
        labels: one for each row, or none.
        sizes: the grid's.
        grid_px: width of all columns.
    """
    if not labels:
        return Sides((), "upwards")
    lines = SIDE_LINES * sizes.lines
    if not sizes.way.are_labels_above:
        lowest, least = min(sizes.row_heights), _smallest(sizes)
        if fits(labels, lowest, least, lines):
            return Sides(fit(labels, sizes.row_heights, sizes.font, lines, sizes.least), "upwards")
        for width in (num * sizes.font for num in range(4, WIDEST_SIDE_FONTS + 1)):
            for size in (sizes.font, least):
                room = int(lowest / (LINE_HEIGHT * size))
                if fits(labels, width, size, room):
                    return Sides(fit(labels, [width] * len(labels), size, room, size), "level")
    return Sides(fit(labels, [grid_px] * len(labels), sizes.font, lines, sizes.least), "above")
