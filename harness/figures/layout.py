"""Where everything in a grid of pictures goes, in whole pixels from the top left of the PNG.

    title
             ┌─────────┐      column    column    column
             │ content │  row ┌─────┐   ┌─────┐   ┌─────┐
             └─────────┘      └─────┘   └─────┘   └─────┘
               caption        caption   caption   caption

The sources fill columns at the left, as many to a column as the grid has rows: beside one row they stand side by side,
beside several one above the other. Every tile has its own pixels; only sources are scaled, to their row's height.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.figures.text import ASCENT, LINE_HEIGHT, TextBlock, fit

Pixels = NDArray[np.uint8]

EMPTY_TILE_PX = 192
"""Side of a tile where no picture says how large tiles are."""

MAX_SIDE_PX = 65_535
"""matplotlib draws no larger image (2^16)."""

FONT_SHARE = 0.066
"""Font size as a share of a tile's side: readable still when six tiles are shown 1,000 pixels wide."""

SMALLEST_FONT_PX = 11.0
MAX_CAPTION_LINES = 3
WIDEST_SOURCE = 1.8
"""A source wider than this many tiles is fitted to that width instead of its row's height."""


@dataclass(frozen=True)
class Tile:
    """One panel: a picture, or the reason why there is none.

    Attributes:
        image: (H, W, 3) uint8 sRGB, or None where the picture is missing.
        caption: stands under the panel; matplotlib text.
        reason: stands in the grey box of a missing picture.
    """

    image: Pixels | None
    caption: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        image: Any = self.image
        if image is not None and (image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size):
            raise ValueError(f"A tile needs an (H, W, 3) uint8 image, not {image.dtype} of the shape {image.shape}.")


@dataclass(frozen=True)
class Box:
    """A rectangle of whole pixels."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class Panel:
    """A picture in its place: ``shown`` are the PNG's pixels, ``native`` those of the PDF; None is a grey box."""

    box: Box
    shown: Pixels | None
    native: Pixels | None


@dataclass(frozen=True)
class Label:
    """Lines around ``centre_px`` that begin at ``start_px``: to the right of it where they are rotated, else below."""

    text: TextBlock
    centre_px: float
    start_px: float
    rotated: bool = False
    grey: bool = False


@dataclass
class Layout:
    """A figure, ready to be drawn."""

    width: int = 0
    height: int = 0
    panels: list[Panel] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)

    def place(self, tile: Tile, box: Box, size_px: float) -> None:
        """Put a picture of the box's size into it, or a grey box with the reason."""
        shown = fitted(tile.image, box.width, box.height) if tile.image is not None else None
        self.panels.append(Panel(box, shown, tile.image))
        if tile.image is None:
            inset = round(size_px / 2)
            lines = max(1, int((box.height - 2 * inset) / (LINE_HEIGHT * size_px)))
            (text,) = fit([tile.reason or "missing"], [box.width - 2 * inset], size_px, lines)
            self.labels.append(
                Label(text, box.left + box.width / 2, box.top + (box.height - text.height_px) / 2, grey=True)
            )


def fitted(image: Pixels, width: int, height: int) -> Pixels:
    """The image at a size: its own pixels, whole repeats of them where the size is a multiple, else by Lanczos."""
    if image.shape[:2] == (height, width):
        return image
    factor = height // image.shape[0]
    if factor and (image.shape[0] * factor, image.shape[1] * factor) == (height, width):
        return np.repeat(np.repeat(image, factor, axis=0), factor, axis=1)
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))


@dataclass(frozen=True)
class _Sizes:
    """Lengths in pixels; everything but the pictures follows from the font size."""

    font: float
    row_heights: list[int]
    tile_widths: list[int]
    sources: list[tuple[int, int]]
    num_stacked: int

    @property
    def gap(self) -> int:
        """Between pictures."""
        return max(4, round(0.35 * self.font))

    @property
    def pad(self) -> int:
        """Between a picture and its caption."""
        return round(0.3 * self.font)

    @property
    def margin(self) -> int:
        """Around everything."""
        return round(0.5 * self.font)

    @property
    def cell_widths(self) -> list[int]:
        """A column is never narrower than a short caption."""
        return [max(width, round(7 * self.font)) for width in self.tile_widths]

    @property
    def source_widths(self) -> list[int]:
        """Of the sources' columns."""
        columns = [self.sources[k : k + self.num_stacked] for k in range(0, len(self.sources), self.num_stacked)]
        return [max(round(5 * self.font), *(width for width, _ in column)) for column in columns]


def _sizes(tiles: Sequence[Sequence[Tile]], sources: Sequence[Tile], scale: int) -> _Sizes:
    shapes = [t.image.shape for row in tiles for t in row if t.image is not None]
    shapes = shapes or [s.image.shape for s in sources if s.image is not None]
    width = round(statistics.median(s[1] for s in shapes)) * scale if shapes else EMPTY_TILE_PX
    height = round(statistics.median(s[0] for s in shapes)) * scale if shapes else EMPTY_TILE_PX
    row_heights = [max((_size(t.image, scale)[1] for t in row if t.image is not None), default=height) for row in tiles]
    return _Sizes(
        font=max(SMALLEST_FONT_PX, FONT_SHARE * math.sqrt(width * height)),
        row_heights=row_heights,
        tile_widths=[
            max((_size(t.image, scale)[0] for t in column if t.image is not None), default=width)
            for column in zip(*tiles, strict=True)
        ],
        sources=[_source_size(source, row_heights[k % len(tiles)], width) for k, source in enumerate(sources)],
        num_stacked=len(tiles),
    )


def arrange(
    tiles: Sequence[Sequence[Tile]],
    column_labels: Sequence[str],
    row_labels: Sequence[str],
    sources: Sequence[Tile],
    title: str,
    scale: int,
) -> Layout:
    """Lay out a grid; see ``harness.figures.grid.draw_grid`` for the arguments and errors."""
    num_rows, num_columns = len(tiles), len(tiles[0])
    sizes = _sizes(tiles, sources, scale)
    gap, pad, margin, cell_widths = sizes.gap, sizes.pad, sizes.margin, sizes.cell_widths

    # Texts first: their heights move what is below them, the row labels' heights what is beside them.
    blocks = fit(
        [t.caption for row in tiles for t in row] + [s.caption for s in sources],
        [*cell_widths * num_rows, *(sizes.source_widths[k // num_rows] for k in range(len(sources)))],
        sizes.font,
        MAX_CAPTION_LINES,
    )
    source_blocks = blocks[num_rows * num_columns :]
    heads = fit(list(column_labels), cell_widths if column_labels else [], sizes.font, 2)
    sides = fit(list(row_labels), sizes.row_heights if row_labels else [], sizes.font, 3)
    side_width = math.ceil(max((side.height_px for side in sides), default=0))

    source_lefts, x = _in_line(sizes.source_widths, margin, gap)
    side_left = x + (round(1.6 * sizes.font) - gap if sources else 0)
    column_lefts, x = _in_line(cell_widths, side_left + (side_width + pad if side_width else 0), gap)
    layout = Layout(width=x - gap + margin)

    y = margin
    (title_block,) = fit([title], [layout.width - 2 * margin], 1.15 * sizes.font, 3)
    if title_block.lines:
        layout.labels.append(Label(title_block, layout.width / 2, y))
        y += math.ceil(title_block.height_px) + 2 * pad
    if head_height := max((head.height_px for head in heads), default=0):
        for head, left, width in zip(heads, column_lefts, cell_widths, strict=True):
            layout.labels.append(Label(head, left + width / 2, y + head_height - head.height_px))
        y += math.ceil(head_height) + pad // 2

    source_end = [y] * len(source_lefts)
    for i, row in enumerate(tiles):
        row_bottom = y + sizes.row_heights[i]
        if sides:
            start = side_left + side_width - sides[i].height_px
            layout.labels.append(Label(sides[i], y + sizes.row_heights[i] / 2, start, rotated=True))
        row_blocks = blocks[i * num_columns : (i + 1) * num_columns]
        for k, (tile, text) in enumerate(zip(row, row_blocks, strict=True)):
            own = (sizes.tile_widths[k], sizes.row_heights[i]) if tile.image is None else _size(tile.image, scale)
            layout.place(tile, _standing(column_lefts[k], cell_widths[k], row_bottom, own), sizes.font)
            layout.labels.append(Label(text, column_lefts[k] + cell_widths[k] / 2, row_bottom + pad))
        for column, k in enumerate(range(i, len(sources), num_rows)):
            # Beside its row, unless the caption of the source above takes more room than the row's captions.
            left, width = source_lefts[column], sizes.source_widths[column]
            bottom = max(row_bottom, source_end[column] + sizes.sources[k][1])
            layout.place(sources[k], _standing(left, width, bottom, sizes.sources[k]), sizes.font)
            layout.labels.append(Label(source_blocks[k], left + width / 2, bottom + pad))
            source_end[column] = _below(bottom, [source_blocks[k]], sizes)
        y = _below(row_bottom, row_blocks, sizes)
    layout.height = max([y, *source_end]) + margin - gap
    if max(layout.width, layout.height) > MAX_SIDE_PX:
        raise ValueError(
            f"The figure would be {layout.width} × {layout.height} px; at most {MAX_SIDE_PX} px a side can be drawn: "
            "give it fewer columns or rows, or smaller pictures."
        )
    return layout


def _in_line(widths: Sequence[int], start: int, gap: int) -> tuple[list[int], int]:
    """The left edges of columns one after another, and where the next would begin."""
    ends = list(itertools.accumulate((width + gap for width in widths), initial=start))
    return ends[:-1], ends[-1]


def _size(image: Pixels, scale: int) -> tuple[int, int]:
    """Width and height of a picture as it is drawn."""
    return image.shape[1] * scale, image.shape[0] * scale


def _source_size(source: Tile, row_height: int, typical_width: int) -> tuple[int, int]:
    """Width and height of a source with its proportions, in its row's height and not much wider than a tile."""
    if source.image is None:
        return typical_width, row_height
    height, width = source.image.shape[:2]
    factor = min(row_height / height, WIDEST_SOURCE * typical_width / width)
    return max(1, round(width * factor)), max(1, round(height * factor))


def _standing(left: int, width: int, bottom: int, own: tuple[int, int]) -> Box:
    """A rectangle of its own size in the middle of a cell and on its ground, next to the caption."""
    return Box(left + (width - own[0]) // 2, bottom - own[1], *own)


def _below(bottom: int, captions: Sequence[TextBlock], sizes: _Sizes) -> int:
    """Where the next row begins under a row of pictures and its captions."""
    height = max(caption.height_px for caption in captions)
    return bottom + sizes.gap + (sizes.pad + math.ceil(height) if height else 0)


def baselines(label: Label) -> list[float]:
    """Where each line's baseline lies: x from the left for rotated labels, else y from the top."""
    size_px = label.text.size_px
    return [label.start_px + (ASCENT + LINE_HEIGHT * k) * size_px for k in range(len(label.text.lines))]
