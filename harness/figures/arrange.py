"""A grid of pictures for a screen or for paper: its pictures' pixels, and whether what is beside them goes above.

``grid`` says where everything goes once that is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from harness.config.figure import SMALLEST_PT
from harness.errors import UsageError
from harness.figures.grid import lay_out
from harness.figures.layout import Layout, Paper, Tile, Tiles
from harness.figures.sizes import Sizes, Way, sizes_of

MAX_SIDE_PX, MAX_AREA_PX = 65_535, 89_000_000
"""matplotlib draws no larger image (2^16 a side), and Pillow warns of a larger one (2^30 / 12) when it is opened."""

MAX_PART = 64
"""Pictures are drawn at no smaller part of their pixels where a figure would be too large."""

PRINTED_DPI = 200
"""Pixels per inch that the PNG of a printed figure has at least."""

NARROWEST_FONTS = 2.0
"""Width of the narrowest picture in print, in font sizes."""

WIDE_SHARE = 1 / 6
"""Of the page's width: pictures that wide in print are large enough. Where they would be smaller, sources and rows'
labels go above, if that makes them larger."""

NEARLY = 0.9
"""Share of the largest width that is worth no other way."""

FILLED = 0.97
"""Share of the page's width that is taken at least."""

MAX_ROUNDS = 100


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

    def laid_out(scale: float, way: Way) -> Layout:
        own = [source for source in sources if source] if way.are_sources_above else sources
        lay = partial(lay_out, tiles, column_labels, row_labels, own, title)
        sizes = sizes_of(tiles, own, scale, paper, way)
        return _for_paper(lay, sizes, paper) if paper else lay(sizes)

    way = Way()
    if paper and len(tiles) > 1:
        ways = [
            Way(in_line, above)
            for above in sorted({False, any(row_labels)})
            for in_line in sorted({False, any(sources)})
        ]
        way = _best(partial(laid_out, scale), ways, min(sizes_of(tiles, sources, scale, paper, way).tile_widths))
    whole = scale
    while paper and (dpi := laid_out(whole, way).width / paper.width_in) < PRINTED_DPI:
        whole = max(whole + scale, scale * math.floor(whole / scale * PRINTED_DPI / dpi))
    part = 1
    while True:
        layout = laid_out(whole / part, way)
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


def _best(laid_out: Callable[[Way], Layout], ways: Sequence[Way], picture_px: int) -> Way:
    """The first way in which the narrowest picture is wide enough in print, or nearly as wide as in any."""
    shares: dict[Way, float] = {}
    for way in ways:
        try:
            shares[way] = picture_px / laid_out(way).width
        except UsageError:
            shares[way] = 0.0
        if shares[way] >= WIDE_SHARE:
            return way
    widest = max(shares.values())
    return next(way for way in ways if shares[way] >= NEARLY * widest)


def _for_paper(lay: Callable[[Sizes], Layout], sizes: Sizes, paper: Paper) -> Layout:
    """Lay out so that type has its size where the page is printed.

    What is not pictures grows with the type, and so does the width that the type is a share of: from below, until the
    two agree. Where labels that stood beside their rows do not fit there any more, it begins anew with them above.
    """
    smallest = sizes
    for _ in range(MAX_ROUNDS):
        narrowest_pt = min(sizes.tile_widths) / sizes.font * paper.size_pt
        if narrowest_pt < NARROWEST_FONTS * paper.size_pt:
            break
        layout = lay(sizes)
        if paper.share * layout.width < FILLED * sizes.font and not sizes.way.are_labels_above:
            return _for_paper(lay, replace(smallest, way=replace(sizes.way, are_labels_above=True)), paper)
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
