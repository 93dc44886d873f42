"""Where everything in a grid of pictures goes, in whole pixels from the top left of the PNG.

    title
                              column    column    column
             ┌─────────┐       ┌──┐      ┌──┐      ┌──┐       sources of a column's own, half as high
             │ content │  row ┌─────┐   ┌─────┐   ┌─────┐
             └─────────┘      └─────┘   └─────┘   └─────┘
               caption        caption   caption   caption

The sources fill columns at the left, as many to a column as the grid has rows: beside one row they stand side by side,
beside several one above the other. Or they stand in a line above all. Every tile has its own pixels; only sources are
scaled, to their row's height or, above a tile, to half of it. Rows' labels that would be broken stand above their rows:

             ┌──┐ ┌──┐
             └──┘ └──┘                     sources in a line
           caption caption
      column    column    column
    row
     ┌─────┐   ┌─────┐   ┌─────┐
     └─────┘   └─────┘   └─────┘
     caption   caption   caption
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.figures.headings import Heads, Sides, heads_of, sides_of
from harness.figures.layout import Box, Label, Layout, Tile, Tiles, size_within
from harness.figures.sizes import Sizes, size_of
from harness.figures.text import LINE_HEIGHT, TextBlock, fit
from harness.results.pictures import Pixels

CAPTION_LINES, TITLE_LINES = 3, 3
"""At most; of captions, in print, where columns are narrow, twice as many."""


def lay_out(
    tiles: Tiles,
    column_labels: Sequence[str],
    row_labels: Sequence[str],
    sources: Sequence[Tile | None],
    title: str,
    sizes: Sizes,
) -> Layout:
    """Lay out a grid whose sizes are known; see ``harness.figures.panels.draw_grid`` for the arguments."""
    texts = _texts(tiles, column_labels, row_labels, sources, sizes)
    columns = _columns(texts, bool(sources), sizes)
    layout = Layout(width=columns.end + sizes.margin, font_px=sizes.font, least_px=sizes.least)
    y, is_line = sizes.margin, sizes.way.are_sources_above and bool(sources)
    y = _place_line(layout, sources, texts, columns, sizes) if is_line else y
    y = _place_heads(layout, texts.heads, columns, _place_title(layout, title, y, sizes), sizes)
    ends = [y] * len(columns.sources)
    for i, row in enumerate(tiles):
        if texts.sides.stance == "above":
            y = _place_label(layout, texts.sides.blocks[i], columns.tiles[0], y + sizes.gap * bool(i)) + sizes.pad
        strip = sizes.above_heights[i]
        y += 2 * sizes.gap if strip and i else 0  # so that it does not seem to belong to the captions above
        bottom = y + (strip + sizes.gap if strip else 0) + sizes.row_heights[i]
        _place_side(layout, texts.sides, i, columns, bottom, sizes)
        for tile, text, left, cell, width in zip(
            row, texts.captions[i], columns.tiles, sizes.cell_widths, sizes.tile_widths, strict=True
        ):
            if tile is None:
                continue
            own = (width, sizes.row_heights[i]) if tile.image is None else size_of(tile.image, sizes.scale)
            layout.place(tile, _standing(left, cell, bottom, own), sizes.font)
            layout.labels.append(Label(text, left + cell / 2, bottom + sizes.pad))
            _place_above(layout, tile.above, Box(left, y, cell, strip), sizes)
        if not is_line:
            _place_beside(layout, sources, texts, columns, i, bottom, ends, sizes)
        y = _below(bottom, texts.captions[i], sizes)
    layout.height = max([y, *ends]) + sizes.margin - sizes.gap
    return layout


@dataclass(frozen=True)
class _Texts:
    """All texts of a grid but its title: their heights move what is below them and what is beside them."""

    captions: Sequence[Sequence[TextBlock]]
    of_sources: Sequence[TextBlock]
    heads: Heads
    sides: Sides


def _texts(
    tiles: Tiles,
    column_labels: Sequence[str],
    row_labels: Sequence[str],
    sources: Sequence[Tile | None],
    sizes: Sizes,
) -> _Texts:
    num_rows, widths = len(tiles), sizes.cell_widths
    of_sources = [sizes.source_widths[k // sizes.num_stacked] for k in range(len(sources))]
    captions = [t.caption if t else "" for row in tiles for t in row] + [s.caption if s else "" for s in sources]
    blocks = fit(captions, [*widths * num_rows, *of_sources], sizes.font, CAPTION_LINES * sizes.lines, sizes.least)
    rows = [blocks[k * len(widths) : (k + 1) * len(widths)] for k in range(num_rows)]
    sides = sides_of(row_labels, sizes, sum(widths) + sizes.gap * (len(widths) - 1))
    return _Texts(rows, blocks[num_rows * len(widths) :], heads_of(column_labels, sizes), sides)


@dataclass(frozen=True)
class _Columns:
    """Left edges, of the sources' columns or line, of the rows' labels, of the columns; and where the last one ends."""

    sources: Sequence[int]
    side: int
    side_width: int
    tiles: Sequence[int]
    end: int


def _columns(texts: _Texts, has_sources: bool, sizes: Sizes) -> _Columns:
    gap, is_line = sizes.gap, sizes.way.are_sources_above
    source_lefts, side = _in_line(sizes.source_widths, sizes.margin, gap)
    end_of_line = side - gap if is_line else 0
    side = sizes.margin if is_line else side + (round(1.6 * sizes.font) - gap if has_sources else 0)
    side_width = math.ceil(texts.sides.width_px)
    lefts, end = _in_line(sizes.cell_widths, side + (side_width + sizes.pad if side_width else 0), gap)
    return _Columns(source_lefts, side, side_width, lefts, max(end - gap, end_of_line))


def _place_line(layout: Layout, sources: Sequence[Tile | None], texts: _Texts, columns: _Columns, sizes: Sizes) -> int:
    """The sources in a line in the middle of the page; gives where what is below begins."""
    bottom = sizes.margin + max(height for _, height in sizes.sources)
    left = (layout.width - sum(sizes.source_widths) - sizes.gap * (len(sources) - 1)) // 2 - sizes.margin
    for k, (source, start, width) in enumerate(zip(sources, columns.sources, sizes.source_widths, strict=True)):
        if source is not None:
            layout.place(source, _standing(left + start, width, bottom, sizes.sources[k]), sizes.font)
            layout.labels.append(Label(texts.of_sources[k], left + start + width / 2, bottom + sizes.pad))
    return _below(bottom, texts.of_sources, sizes) + sizes.gap


def _place_title(layout: Layout, title: str, y: int, sizes: Sizes) -> int:
    size_px = sizes.font if sizes.paper else 1.15 * sizes.font
    (block,) = fit([title], [layout.width - 2 * sizes.margin], size_px, TITLE_LINES, sizes.least)
    if not block.lines:
        return y
    layout.labels.append(Label(block, layout.width / 2, y))
    return y + math.ceil(block.height_px) + 2 * sizes.pad


def _place_heads(layout: Layout, heads: Heads, columns: _Columns, y: int, sizes: Sizes) -> int:
    """Columns' labels, on one ground, under what they have in common."""
    if heads.common.lines:
        layout.labels.append(Label(heads.common, (columns.tiles[0] + columns.tiles[-1] + sizes.cell_widths[-1]) / 2, y))
        y += math.ceil(heads.common.height_px)
    if not heads.height_px:
        return y
    for head, left, width in zip(heads.blocks, columns.tiles, sizes.cell_widths, strict=True):
        layout.labels.append(Label(head, left + width / 2, y + heads.height_px - head.height_px))
    return y + math.ceil(heads.height_px) + sizes.pad // 2


def _place_label(layout: Layout, block: TextBlock, left: int, y: int) -> int:
    """A row's label above it, its lines beginning where the pictures do; gives where it ends."""
    for k, line in enumerate(block.lines):
        own = TextBlock((line,), block.size_px)
        layout.labels.append(Label(own, left + own.width_px / 2, y + k * LINE_HEIGHT * block.size_px))
    return y + math.ceil(block.height_px)


def _place_side(layout: Layout, sides: Sides, i: int, columns: _Columns, bottom: int, sizes: Sizes) -> None:
    """A row's label beside it, if there it stands."""
    if sides.stance == "above" or not sides.blocks:
        return
    middle, block = bottom - sizes.row_heights[i] / 2, sides.blocks[i]
    if sides.stance == "upwards":
        start = columns.side + columns.side_width - block.height_px
        layout.labels.append(Label(block, middle, start, rotated=True))
    else:
        layout.labels.append(Label(block, columns.side + columns.side_width / 2, middle - block.height_px / 2))


def _place_beside(
    layout: Layout,
    sources: Sequence[Tile | None],
    texts: _Texts,
    columns: _Columns,
    i: int,
    row_bottom: int,
    ends: list[int],
    sizes: Sizes,
) -> None:
    """The sources at the left of row ``i``; ``ends``, where those above end in each of their columns, move down."""
    for column, k in enumerate(range(i, len(sources), sizes.num_stacked)):
        source = sources[k]
        if source is None:
            continue
        # Beside its row, unless the caption of the source above takes more room than the row's captions.
        left, width = columns.sources[column], sizes.source_widths[column]
        bottom = max(row_bottom, ends[column] + sizes.sources[k][1])
        layout.place(source, _standing(left, width, bottom, sizes.sources[k]), sizes.font)
        layout.labels.append(Label(texts.of_sources[k], left + width / 2, bottom + sizes.pad))
        ends[column] = _below(bottom, [texts.of_sources[k]], sizes)


def _place_above(layout: Layout, images: Sequence[Pixels], strip: Box, sizes: Sizes) -> None:
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


def _standing(left: int, width: int, bottom: int, own: tuple[int, int]) -> Box:
    """A rectangle of its own size in the middle of a cell and on its ground, next to the caption."""
    return Box(left + (width - own[0]) // 2, bottom - own[1], *own)


def _below(bottom: int, captions: Sequence[TextBlock], sizes: Sizes) -> int:
    """Where the next row begins under a row of pictures and its captions."""
    height = max(caption.height_px for caption in captions)
    return bottom + sizes.gap + (sizes.pad + math.ceil(height) if height else 0)
