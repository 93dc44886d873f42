"""How large everything in a grid of pictures is, in whole pixels of the PNG; ``arrange`` says where it goes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from harness.figures.layout import Paper, Tile, Tiles, size_within
from harness.results.pictures import Pixels

EMPTY_TILE_PX = 192
"""Side of a tile where no picture says how large tiles are."""

FONT_SHARE, FONT_SHARE_OF_PAGE, LARGEST_FONT_SHARE = 0.066, 0.0112, 0.105
"""Font size as a share of a tile's side; of the page's width, if that is more: 11 px when it is shown 1,000 pixels
wide; and of a tile's side again, which a caption such as α/β = 8·10⁻⁴ must not outgrow."""

SMALLEST_FONT_PX = 11.0

WIDEST_SOURCE = 1.8
"""A source wider than this many tiles is fitted to that width instead of its row's height."""

ABOVE_SHARE = 0.5
"""Height of the sources above a tile, as a share of its row's."""

LINE_SHARE = 0.8
"""Height of sources that stand in a line above the grid, as a share of the lowest row's."""


@dataclass(frozen=True)
class Way:
    """Where what is not pictures stands.

    Attributes:
        are_sources_above: the sources stand in a line above the grid, else in columns at its left.
        are_labels_above: rows' labels stand above their rows also where they would fit beside them.
    """

    are_sources_above: bool = False
    are_labels_above: bool = False


@dataclass(frozen=True)
class Sizes:
    """Lengths in pixels; everything but the pictures follows from the font size."""

    font: float
    row_heights: list[int]
    above_heights: list[int]
    tile_widths: list[int]
    sources: list[tuple[int, int]]
    num_stacked: int
    scale: float
    paper: Paper | None
    way: Way

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
        """A column is never narrower than a short caption, but in print, where the page has its width."""
        return self.tile_widths if self.paper else [max(width, round(7 * self.font)) for width in self.tile_widths]

    @property
    def source_widths(self) -> list[int]:
        """Of the sources' columns; in a line each has its own."""
        least = round((4 if self.paper else 5) * self.font)
        columns = _columns(self.sources, self.num_stacked)
        return [max(least, *(width for width, _ in column)) for column in columns]

    @property
    def lines(self) -> int:
        """What the numbers of lines that texts may have are multiplied by."""
        return 2 if self.paper else 1

    @property
    def least(self) -> float:
        """The smallest type."""
        return self.paper.smallest * self.font if self.paper else 0.0


def _columns(sources: Sequence[tuple[int, int]], num_stacked: int) -> list[Sequence[tuple[int, int]]]:
    """The sources' sizes, a column of them after the other."""
    return [sources[k : k + num_stacked] for k in range(0, len(sources), num_stacked)]


def sizes_of(tiles: Tiles, sources: Sequence[Tile | None], scale: float, paper: Paper | None, way: Way) -> Sizes:
    """A grid's sizes; see ``harness.figures.panels.draw_grid`` for the arguments, of which the scale may be below 1.

    In print the font is that beside pictures alone; what else there is makes the page wider, and the font larger.
    """
    shapes = [t.image.shape for row in tiles for t in row if t and t.image is not None]
    shapes = shapes or [s.image.shape for s in sources if s and s.image is not None]
    empty = round(EMPTY_TILE_PX * min(1.0, scale))
    width = max(1, round(round(statistics.median(s[1] for s in shapes)) * scale)) if shapes else empty
    height = max(1, round(round(statistics.median(s[0] for s in shapes)) * scale)) if shapes else empty
    row_heights = [
        max((size_of(t.image, scale)[1] for t in row if t and t.image is not None), default=height) for row in tiles
    ]
    tile_widths = [
        max((size_of(t.image, scale)[0] for t in column if t and t.image is not None), default=width)
        for column in zip(*tiles, strict=True)
    ]
    num_stacked = 1 if way.are_sources_above else len(tiles)
    if way.are_sources_above:
        source_sizes = _in_a_line(sources, LINE_SHARE * min(row_heights), width, sum(tile_widths))
        page_width = sum(tile_widths)
    else:
        source_sizes = [_source_size(source, row_heights[k % len(tiles)], width) for k, source in enumerate(sources)]
        page_width = sum(tile_widths) + sum(max(w for w, _ in c) for c in _columns(source_sizes, num_stacked))
    side = math.sqrt(width * height)
    share = min(LARGEST_FONT_SHARE * side, max(FONT_SHARE * side, FONT_SHARE_OF_PAGE * page_width))
    above = [max((len(tile.above) for tile in row if tile), default=0) for row in tiles]
    return Sizes(
        font=paper.share * page_width if paper else max(SMALLEST_FONT_PX, share),
        row_heights=row_heights,
        above_heights=[round(ABOVE_SHARE * h) if n else 0 for h, n in zip(row_heights, above, strict=True)],
        tile_widths=tile_widths,
        sources=source_sizes,
        num_stacked=num_stacked,
        scale=scale,
        paper=paper,
        way=way,
    )


def size_of(image: Pixels, scale: float) -> tuple[int, int]:
    """Width and height of a picture as it is drawn."""
    return max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))


def _in_a_line(
    sources: Sequence[Tile | None], height: float, typical_width: int, page_width: int
) -> list[tuple[int, int]]:
    """Widths and heights of sources beside one another, of one height; smaller where the page is not wide enough."""
    whole = [_source_size(source, height, typical_width) for source in sources]
    factor = min(1.0, page_width / max(1, sum(width for width, _ in whole)))
    return [_source_size(source, factor * height, factor * typical_width) for source in sources]


def _source_size(source: Tile | None, row_height: float, typical_width: float) -> tuple[int, int]:
    """Width and height of a source with its proportions, in its row's height and not much wider than a tile."""
    if source is None:
        return 0, 0
    if source.image is None:
        return max(1, round(typical_width)), max(1, round(row_height))
    return size_within(source.image, WIDEST_SOURCE * typical_width, row_height)
