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
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from harness.config.figure import SMALLEST_PT
from harness.errors import UsageError
from harness.figures.layout import Box, Label, Layout, Paper, Tile, Tiles, size_within
from harness.figures.sizes import Sizes, size_of, sizes_of
from harness.figures.text import LINE_HEIGHT, SHRINKING, TextBlock, fit, fits
from harness.results.pictures import Pixels

MAX_SIDE_PX, MAX_AREA_PX = 65_535, 89_000_000
"""matplotlib draws no larger image (2^16 a side), and Pillow warns of a larger one (2^30 / 12) when it is opened."""

MAX_PART = 64
"""Pictures are drawn at no smaller part of their pixels where a figure would be too large."""

PRINTED_DPI = 200
"""Pixels per inch that the PNG of a printed figure has at least."""

NARROWEST_FONTS = 2.0
"""Width of the narrowest picture in print, in font sizes."""

WIDEST_SIDE_FONTS = 12
"""Width that rows' labels take at most where they stand level, in font sizes."""

MAX_ROUNDS = 100

CAPTION_LINES, HEAD_LINES, SIDE_LINES = 3, 2, 3
"""At most, of captions, columns' labels and rows' labels; in print, where columns are narrow, twice as many."""


def arrange(
    tiles: Tiles,
    column_labels: Sequence[str],
    row_labels: Sequence[str],
    sources: Sequence[Tile | None],
    title: str,
    scale: int,
    paper: Paper | None = None,
) -> Layout:
    """Lay out a grid; see ``harness.figures.panels.draw_grid`` for the arguments and errors.

    Where the PNG would be too large, pictures are drawn in it at a half, a third … of their pixels.
    """
    lay = partial(_laid_out, tiles, column_labels, row_labels, sources, title)

    def laid_out(scale: float) -> Layout:
        sizes = sizes_of(tiles, sources, scale, paper)
        return _for_paper(lay, sizes, paper) if paper else lay(sizes)

    whole = scale
    while paper and (dpi := laid_out(whole).width / paper.width_in) < PRINTED_DPI:
        whole = max(whole + scale, scale * math.floor(whole / scale * PRINTED_DPI / dpi))
    part = 1
    while True:
        layout = laid_out(whole / part)
        area = layout.width * layout.height
        excess = max(layout.width / MAX_SIDE_PX, layout.height / MAX_SIDE_PX, math.sqrt(area / MAX_AREA_PX))
        if excess <= 1:
            return layout
        if part == MAX_PART:
            raise UsageError(
                f"The figure of {len(tiles)} × {len(tiles[0])} pictures would be {layout.width} × {layout.height} px, "
                f"however small they are; at most {MAX_SIDE_PX} px a side can be drawn: show fewer of them, by "
                "figure.cells, or more to a line or fewer, by figure.wrap."
            )
        part = min(MAX_PART, max(part + 1, math.ceil(part * excess)))


def _for_paper(lay: Callable[[Sizes], Layout], sizes: Sizes, paper: Paper) -> Layout:
    """Lay out so that type has its size where the page is printed.

    What is not pictures grows with the type, and so does the width that the type is a share of: from below, until the
    two agree.
    """
    for _ in range(MAX_ROUNDS):
        narrowest_pt = min(sizes.tile_widths) / sizes.font * paper.size_pt
        if narrowest_pt < NARROWEST_FONTS * paper.size_pt:
            break
        layout = lay(sizes)
        if paper.share * layout.width <= sizes.font:
            layout.width = max(layout.width, round(sizes.font / paper.share))
            for label in layout.labels:
                if label.text.size_px < 0.999 * sizes.least:
                    text = " ".join(label.text.lines)
                    raise UsageError(_too_narrow(f"{text!r} needs more than the {narrowest_pt:.0f} pt of a picture"))
            return layout
        sizes = replace(sizes, font=paper.share * layout.width)
    num = len(sizes.tile_widths)
    raise UsageError(_too_narrow(f"{num} columns of pictures do not fit into {paper.width_in:.3g} in"))


def _too_narrow(what: str) -> str:
    return (
        f"In print {what} beside type of {SMALLEST_PT} pt: show fewer, by figure.cells or figure.wrap, or print wider."
    )


def _laid_out(
    tiles: Tiles,
    column_labels: Sequence[str],
    row_labels: Sequence[str],
    sources: Sequence[Tile | None],
    title: str,
    sizes: Sizes,
) -> Layout:
    num_rows, num_columns = len(tiles), len(tiles[0])
    gap, pad, margin, cell_widths = sizes.gap, sizes.pad, sizes.margin, sizes.cell_widths

    # Texts first: their heights move what is below them, the row labels' heights what is beside them.
    blocks = fit(
        [t.caption if t else "" for row in tiles for t in row] + [s.caption if s else "" for s in sources],
        [*cell_widths * num_rows, *(sizes.source_widths[k // num_rows] for k in range(len(sources)))],
        sizes.font,
        CAPTION_LINES * sizes.lines,
        sizes.least,
    )
    source_blocks = blocks[num_rows * num_columns :]
    heads = fit(
        list(column_labels), cell_widths if column_labels else [], sizes.font, HEAD_LINES * sizes.lines, sizes.least
    )
    sides, is_rotated = _sides(row_labels, sizes)
    side_width = math.ceil(max((side.height_px if is_rotated else side.width_px for side in sides), default=0))

    source_lefts, x = _in_line(sizes.source_widths, margin, gap)
    side_left = x + (round(1.6 * sizes.font) - gap if sources else 0)
    column_lefts, x = _in_line(cell_widths, side_left + (side_width + pad if side_width else 0), gap)
    layout = Layout(width=x - gap + margin, font_px=sizes.font, least_px=sizes.least)

    y = margin
    title_px = sizes.font if sizes.paper else 1.15 * sizes.font
    (title_block,) = fit([title], [layout.width - 2 * margin], title_px, 3, sizes.least)
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
            middle, height_px = row_bottom - sizes.row_heights[i] / 2, sides[i].height_px
            if is_rotated:
                layout.labels.append(Label(sides[i], middle, side_left + side_width - height_px, rotated=True))
            else:
                layout.labels.append(Label(sides[i], side_left + side_width / 2, middle - height_px / 2))
        row_blocks = blocks[i * num_columns : (i + 1) * num_columns]
        for tile, text, left, cell, width in zip(
            row, row_blocks, column_lefts, cell_widths, sizes.tile_widths, strict=True
        ):
            if tile is None:
                continue
            own = (width, sizes.row_heights[i]) if tile.image is None else size_of(tile.image, sizes.scale)
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
    return layout


def _sides(row_labels: Sequence[str], sizes: Sizes) -> tuple[list[TextBlock], bool]:
    """The rows' labels, and whether they read upwards; level where they would be broken beside low rows."""
    lines = SIDE_LINES * sizes.lines
    lowest, least = min(sizes.row_heights), max(sizes.least, SHRINKING[-1] * sizes.font)
    if not fits(row_labels, lowest, least, lines):
        for width in (num * sizes.font for num in range(4, WIDEST_SIDE_FONTS + 1)):
            for size in (sizes.font, least):
                room = int(lowest / (LINE_HEIGHT * size))
                if fits(row_labels, width, size, room):
                    return fit(row_labels, [width] * len(row_labels), size, room, size), False
    return fit(row_labels, sizes.row_heights if row_labels else [], sizes.font, lines, sizes.least), True


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
