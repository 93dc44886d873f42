"""Where the tiles of an image lie, and whose the positions of a crop's maps are.

A tile is evaluated on a crop that goes the network's ``halo_px`` beyond it, so that what surrounds the crop reaches
none of the tile's own positions; at the image's border the crop ends too, and is padded as the image would be. Crops
begin at multiples of ``GRID_PX`` so that pooling pairs the same pixels. Every position of every map is one tile's own.
Units: pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from harness.features.vgg import GRID_PX, block_of


@dataclass(frozen=True)
class Span:
    """A tile along one axis: its own pixels ``start`` to ``stop``, its crop's ``first`` to ``last``."""

    start: int
    stop: int
    first: int
    last: int

    def own(self, layer: str) -> slice:
        """The own positions of a layer, within the whole image's map (pooling rounds down)."""
        factor = 2 ** (block_of(layer) - 1)
        return slice(self.start // factor, self.stop // factor)

    def own_of_crop(self, layer: str) -> slice:
        """The same positions within the crop's map."""
        own, before = self.own(layer), self.first // 2 ** (block_of(layer) - 1)
        return slice(own.start - before, own.stop - before)


@dataclass(frozen=True)
class Tile:
    """One tile of an image."""

    rows: Span
    columns: Span

    def crop(self, images: Tensor) -> Tensor:
        """The (…, h, w) pixels that the tile's own positions depend on, of (…, H, W); a view."""
        return images[..., self.rows.first : self.rows.last, self.columns.first : self.columns.last]

    def own(self, layer: str, features: Tensor) -> Tensor:
        """The tile's own positions of a map of the whole image; a view."""
        return features[..., self.rows.own(layer), self.columns.own(layer)]

    def own_of_crop(self, layer: str, features: Tensor) -> Tensor:
        """The tile's own positions of a map of its crop; a view."""
        return features[..., self.rows.own_of_crop(layer), self.columns.own_of_crop(layer)]


def spans_of(length: int, tile_px: int, halo: int) -> list[Span]:
    """An axis cut into the fewest spans of at most ``tile_px``, as equal as the grid allows."""
    num = -(-length // tile_px)
    step = -(-length // (num * GRID_PX)) * GRID_PX
    starts = range(0, length, step)
    return [
        Span(start, min(start + step, length), max(0, start - halo), min(start + step + halo, length))
        for start in starts
    ]


def tiles_of(height: int, width: int, tile_px: int, halo: int) -> Iterator[Tile]:
    """The tiles of an image.

    Args:
        height: of the image, in pixels.
        width: of the image, in pixels.
        tile_px: a tile's longest side, a multiple of ``GRID_PX``.
        halo: how far a crop goes beyond its tile: the network's ``halo_px`` of the deepest layer asked for.

    Raises:
        ValueError: ``tile_px`` is not a positive multiple of ``GRID_PX``.
    """
    if tile_px < GRID_PX or tile_px % GRID_PX:
        raise ValueError(f"Tiles of {tile_px} px are not possible: a multiple of {GRID_PX} px is needed, such as 512.")
    for rows in spans_of(height, tile_px, halo):
        for columns in spans_of(width, tile_px, halo):
            yield Tile(rows, columns)
