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
    shapes = [t.image.shape for row in tiles for t in row if t.image is not None]
    shapes = shapes or [s.image.shape for s in sources if s.image is not None]
    typical_width = round(statistics.median(s[1] for s in shapes)) * scale if shapes else EMPTY_TILE_PX
    typical_height = round(statistics.median(s[0] for s in shapes)) * scale if shapes else EMPTY_TILE_PX

    size_px = max(11.0, 0.066 * math.sqrt(typical_width * typical_height))
    gap, pad = max(4, round(0.35 * size_px)), round(0.3 * size_px)
    margin, source_gap = round(0.5 * size_px), round(1.6 * size_px)
    row_heights = [
        max((t.image.shape[0] * scale for t in row if t.image is not None), default=typical_height) for row in tiles
    ]
    tile_widths = [
        max((t.image.shape[1] * scale for t in column if t.image is not None), default=typical_width)
        for column in zip(*tiles, strict=True)
    ]
    cell_widths = [max(width, round(7 * size_px)) for width in tile_widths]

    # Texts first: their heights move everything below them.
    sizes = [_source_size(s, row_heights[k % num_rows], typical_width) for k, s in enumerate(sources)]
    source_widths = [
        max(round(5 * size_px), *(width for width, _ in sizes[k : k + num_rows]))
        for k in range(0, len(sources), num_rows)
    ]
    captions = [t.caption for row in tiles for t in row] + [s.caption for s in sources]
    widths = [*cell_widths * num_rows, *(source_widths[k // num_rows] for k in range(len(sources)))]
    blocks = fit(captions, widths, size_px, MAX_CAPTION_LINES)
    source_blocks = blocks[num_rows * num_columns :]
    heads = fit(list(column_labels), cell_widths, size_px, 2) if column_labels else []
    sides = fit(list(row_labels), row_heights, size_px, 3) if row_labels else []
    side_width = math.ceil(max((side.height_px for side in sides), default=0))

    layout = Layout()
    x = margin
    source_lefts = []
    for width in source_widths:
        source_lefts.append(x)
        x += width + gap
    x += source_gap - gap if sources else 0
    side_left = x
    x += side_width + pad if side_width else 0
    column_lefts = []
    for width in cell_widths:
        column_lefts.append(x)
        x += width + gap
    layout.width = x - gap + margin

    y = margin
    (title_block,) = fit([title], [layout.width - 2 * margin], 1.15 * size_px, 3)
    if title_block.lines:
        layout.labels.append(Label(title_block, layout.width / 2, y))
        y += math.ceil(title_block.height_px) + 2 * pad
    head_height = max((head.height_px for head in heads), default=0)
    for head, left, width in zip(heads, column_lefts, cell_widths, strict=bool(heads)):
        layout.labels.append(Label(head, left + width / 2, y + head_height - head.height_px))
    y += math.ceil(head_height) + (pad // 2 if head_height else 0)

    source_end = [y] * len(source_widths)
    for i, row in enumerate(tiles):
        row_bottom = y + row_heights[i]
        row_blocks = blocks[i * num_columns : (i + 1) * num_columns]
        if sides:
            start = side_left + side_width - sides[i].height_px
            layout.labels.append(Label(sides[i], y + row_heights[i] / 2, start, rotated=True))
        for k, (tile, text) in enumerate(zip(row, row_blocks, strict=True)):
            own = (tile_widths[k], row_heights[i]) if tile.image is None else _size(tile.image, scale)
            layout.place(tile, _standing(column_lefts[k], cell_widths[k], row_bottom, own), size_px)
            layout.labels.append(Label(text, column_lefts[k] + cell_widths[k] / 2, row_bottom + pad))
        for column, k in enumerate(range(i, len(sources), num_rows)):
            # Beside its row, unless the caption of the source above takes more room than the row's captions.
            left, width = source_lefts[column], source_widths[column]
            bottom = max(row_bottom, source_end[column] + sizes[k][1])
            layout.place(sources[k], _standing(left, width, bottom, sizes[k]), size_px)
            layout.labels.append(Label(source_blocks[k], left + width / 2, bottom + pad))
            source_end[column] = _below(bottom, [source_blocks[k]], pad, gap)
        y = _below(row_bottom, row_blocks, pad, gap)
    layout.height = max(y, *source_end) if sources else y
    layout.height += margin - gap
    if max(layout.width, layout.height) > MAX_SIDE_PX:
        raise ValueError(
            f"The figure would be {layout.width} × {layout.height} px; at most {MAX_SIDE_PX} px a side can be drawn: "
            "give it fewer columns or rows, or smaller pictures."
        )
    return layout


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


def _below(bottom: int, captions: Sequence[TextBlock], pad: int, gap: int) -> int:
    """Where the next row begins under a row of pictures and its captions."""
    height = max(caption.height_px for caption in captions)
    return bottom + gap + (pad + math.ceil(height) if height else 0)


def baselines(label: Label) -> list[float]:
    """Where each line's baseline lies: x from the left for rotated labels, else y from the top."""
    size_px = label.text.size_px
    return [label.start_px + (ASCENT + LINE_HEIGHT * k) * size_px for k in range(len(label.text.lines))]
