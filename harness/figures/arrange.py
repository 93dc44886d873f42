"""Where everything in a grid of pictures goes, in whole pixels from the top left of the PNG.

    title
                              column    column    column
             ┌─────────┐       ┌──┐      ┌──┐      ┌──┐       sources of a column's own, half as high
             │ content │  row ┌─────┐   ┌─────┐   ┌─────┐
             └─────────┘      └─────┘   └─────┘   └─────┘
               caption        caption   caption   caption

The sources fill columns at the left, as many to a column as the grid has rows: beside one row they stand side by side,
beside several one above the other. Every tile has its own pixels; only sources are scaled, to their row's height or,
above a tile, to half of it.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from harness.figures.layout import Box, Label, Layout, Tile, Tiles
from harness.figures.text import TextBlock, fit
from harness.results.pictures import Pixels

EMPTY_TILE_PX = 192
"""Side of a tile where no picture says how large tiles are."""

MAX_SIDE_PX = 65_535
"""matplotlib draws no larger image (2^16)."""

FONT_SHARE, FONT_SHARE_OF_PAGE, LARGEST_FONT_SHARE = 0.066, 0.0112, 0.105
"""Font size as a share of a tile's side; of the page's width, if that is more: 11 px when it is shown 1,000 pixels
wide; and of a tile's side again, which a caption such as α/β = 8·10⁻⁴ must not outgrow."""

SMALLEST_FONT_PX = 11.0

MAX_CAPTION_LINES = 3

WIDEST_SOURCE = 1.8
"""A source wider than this many tiles is fitted to that width instead of its row's height."""

ABOVE_SHARE = 0.5
"""Height of the sources above a tile, as a share of its row's."""


@dataclass(frozen=True)
class _Sizes:
    """Lengths in pixels; everything but the pictures follows from the font size."""

    font: float
    row_heights: list[int]
    above_heights: list[int]
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
        columns = _columns(self.sources, self.num_stacked)
        return [max(round(5 * self.font), *(width for width, _ in column)) for column in columns]


def _columns(sources: Sequence[tuple[int, int]], num_stacked: int) -> list[Sequence[tuple[int, int]]]:
    """The sources' sizes, a column of them after the other."""
    return [sources[k : k + num_stacked] for k in range(0, len(sources), num_stacked)]


def _sizes(tiles: Tiles, sources: Sequence[Tile | None], scale: int) -> _Sizes:
    shapes = [t.image.shape for row in tiles for t in row if t and t.image is not None]
    shapes = shapes or [s.image.shape for s in sources if s and s.image is not None]
    width = round(statistics.median(s[1] for s in shapes)) * scale if shapes else EMPTY_TILE_PX
    height = round(statistics.median(s[0] for s in shapes)) * scale if shapes else EMPTY_TILE_PX
    row_heights = [
        max((_size(t.image, scale)[1] for t in row if t and t.image is not None), default=height) for row in tiles
    ]
    tile_widths = [
        max((_size(t.image, scale)[0] for t in column if t and t.image is not None), default=width)
        for column in zip(*tiles, strict=True)
    ]
    source_sizes = [_source_size(source, row_heights[k % len(tiles)], width) for k, source in enumerate(sources)]
    page_width = sum(tile_widths) + sum(max(w for w, _ in c) for c in _columns(source_sizes, len(tiles)))
    side = math.sqrt(width * height)
    share = min(LARGEST_FONT_SHARE * side, max(FONT_SHARE * side, FONT_SHARE_OF_PAGE * page_width))
    above = [max((len(tile.above) for tile in row if tile), default=0) for row in tiles]
    return _Sizes(
        font=max(SMALLEST_FONT_PX, share),
        row_heights=row_heights,
        above_heights=[round(ABOVE_SHARE * h) if n else 0 for h, n in zip(row_heights, above, strict=True)],
        tile_widths=tile_widths,
        sources=source_sizes,
        num_stacked=len(tiles),
    )


def arrange(
    tiles: Tiles,
    column_labels: Sequence[str],
    row_labels: Sequence[str],
    sources: Sequence[Tile | None],
    title: str,
    scale: int,
) -> Layout:
    """Lay out a grid; see ``harness.figures.panels.draw_grid`` for the arguments and errors."""
    num_rows, num_columns = len(tiles), len(tiles[0])
    sizes = _sizes(tiles, sources, scale)
    gap, pad, margin, cell_widths = sizes.gap, sizes.pad, sizes.margin, sizes.cell_widths

    # Texts first: their heights move what is below them, the row labels' heights what is beside them.
    blocks = fit(
        [t.caption if t else "" for row in tiles for t in row] + [s.caption if s else "" for s in sources],
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
    layout = Layout(width=x - gap + margin, font_px=sizes.font)

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
        strip_height = sizes.above_heights[i]
        y += 2 * sizes.gap if strip_height and i else 0  # so that it does not seem to belong to the captions above
        strip_bottom = y + strip_height
        row_bottom = (strip_bottom + gap if strip_height else y) + sizes.row_heights[i]
        if sides:
            start = side_left + side_width - sides[i].height_px
            layout.labels.append(Label(sides[i], row_bottom - sizes.row_heights[i] / 2, start, rotated=True))
        row_blocks = blocks[i * num_columns : (i + 1) * num_columns]
        for tile, text, left, cell, width in zip(
            row, row_blocks, column_lefts, cell_widths, sizes.tile_widths, strict=True
        ):
            if tile is None:
                continue
            own = (width, sizes.row_heights[i]) if tile.image is None else _size(tile.image, scale)
            layout.place(tile, _standing(left, cell, row_bottom, own), sizes.font)
            layout.labels.append(Label(text, left + cell / 2, row_bottom + pad))
            _place_above(layout, tile.above, Box(left, strip_bottom - strip_height, cell, strip_height), sizes)
        for column, k in enumerate(range(i, len(sources), num_rows)):
            source = sources[k]
            if source is None:
                continue
            # Beside its row, unless the caption of the source above takes more room than the row's captions.
            left, width = source_lefts[column], sizes.source_widths[column]
            bottom = max(row_bottom, source_end[column] + sizes.sources[k][1])
            layout.place(source, _standing(left, width, bottom, sizes.sources[k]), sizes.font)
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


def _place_above(layout: Layout, images: Sequence[Pixels], strip: Box, sizes: _Sizes) -> None:
    """Put small images beside one another into the middle of a strip, on its ground."""
    room = (strip.width - sizes.gap * (len(images) - 1)) // max(1, len(images))
    own = [size_within(image, room, strip.height) for image in images]
    left = strip.left + (strip.width - sum(w for w, _ in own) - sizes.gap * (len(own) - 1)) // 2
    for image, (width, height) in zip(images, own, strict=True):
        layout.place(Tile(image), Box(left, strip.top + strip.height - height, width, height), sizes.font)
        left += width + sizes.gap


def _in_line(widths: Sequence[int], start: int, gap: int) -> tuple[list[int], int]:
    """The left edges of columns one after another, and where the next would begin."""
    ends = list(itertools.accumulate((width + gap for width in widths), initial=start))
    return ends[:-1], ends[-1]


def _size(image: Pixels, scale: int) -> tuple[int, int]:
    """Width and height of a picture as it is drawn."""
    return image.shape[1] * scale, image.shape[0] * scale


def _source_size(source: Tile | None, row_height: int, typical_width: int) -> tuple[int, int]:
    """Width and height of a source with its proportions, in its row's height and not much wider than a tile."""
    if source is None:
        return 0, 0
    if source.image is None:
        return typical_width, row_height
    return size_within(source.image, WIDEST_SOURCE * typical_width, row_height)


def size_within(image: Pixels, width: float, height: float) -> tuple[int, int]:
    """Width and height of an image with its proportions, as large as there is room."""
    factor = min(height / image.shape[0], width / image.shape[1])
    return max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor))


def _standing(left: int, width: int, bottom: int, own: tuple[int, int]) -> Box:
    """A rectangle of its own size in the middle of a cell and on its ground, next to the caption."""
    return Box(left + (width - own[0]) // 2, bottom - own[1], *own)


def _below(bottom: int, captions: Sequence[TextBlock], sizes: _Sizes) -> int:
    """Where the next row begins under a row of pictures and its captions."""
    height = max(caption.height_px for caption in captions)
    return bottom + sizes.gap + (sizes.pad + math.ceil(height) if height else 0)
