"""Parts of a picture: cut out, or framed and shown larger in its corners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from harness.config.figure import INSET_SHARE, Figure, Region
from harness.figures.curves import PALETTE
from harness.figures.layout import Tile, fitted
from harness.results.pictures import Pixels

FRAME_SHARE = 0.008
"""Width of a frame as a share of the picture's side."""

FRAMES = tuple(np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)], np.uint8) for colour in PALETTE)
"""A colour for each region: its frame, and its enlargement's."""


def as_shown(tile: Tile, figure: Figure) -> Tile:
    """A picture, or a photograph, as a figure shows it."""
    if tile.image is None or not (figure.crop or figure.zoom):
        return tile
    image = cut(tile.image, figure.crop) if figure.crop else tile.image
    return replace(tile, image=with_insets(image, figure.zoom))


def cut(image: Pixels, region: Region) -> Pixels:
    """The pixels of a region."""
    top, bottom, left, right = _edges(image, region)
    return np.ascontiguousarray(image[top:bottom, left:right])


def with_insets(image: Pixels, regions: Sequence[Region]) -> Pixels:
    """The picture with its regions framed and, each in the free corner farthest from it, enlarged.

    Every pixel becomes whole × whole pixels where that is at least twice as large, else they are interpolated.
    """
    shown, height, width = image.copy(), *image.shape[:2]
    frame = max(1, round(FRAME_SHARE * float(np.sqrt(height * width))))
    corners = [(x, y) for y in (1, 0) for x in (1, 0)]
    insets = []
    for region, colour in zip(regions, FRAMES, strict=False):
        top, bottom, left, right = _edges(image, region)
        factor = INSET_SHARE * min(width / (right - left), height / (bottom - top))
        factor = int(factor) if factor >= 2 else factor
        inset = fitted(image[top:bottom, left:right], round(factor * (right - left)), round(factor * (bottom - top)))
        centre = (region[0] + region[2] / 2, region[1] + region[3] / 2)
        corner = max(corners, key=lambda at: (at[0] - centre[0]) ** 2 + (at[1] - centre[1]) ** 2)
        corners.remove(corner)
        insets.append((inset, corner, colour))
        _frame(shown, top, bottom, left, right, frame, colour)
    for inset, (x, y), colour in insets:
        high, wide = inset.shape[:2]
        top, left = (height - high - frame if y else frame), (width - wide - frame if x else frame)
        top, left = max(0, top), max(0, left)
        shown[top : top + high, left : left + wide] = inset[: height - top, : width - left]
        _frame(shown, top, top + high, left, left + wide, frame, colour)
    return shown


def _edges(image: Pixels, region: Region) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of a region in pixels, at least one pixel apart."""
    left, top, width, height = region
    found = []
    for start, length, side in ((top, height, image.shape[0]), (left, width, image.shape[1])):
        first = min(round(start * side), side - 1)
        found += [first, max(first + 1, min(round((start + length) * side), side))]
    return found[0], found[1], found[2], found[3]


def _frame(image: Pixels, top: int, bottom: int, left: int, right: int, width: int, colour: Pixels) -> None:
    """Paint a frame around a region, as far as it lies in the picture; the region's own pixels stay."""
    inside = image[top:bottom, left:right].copy()
    image[max(0, top - width) : bottom + width, max(0, left - width) : right + width] = colour
    image[top:bottom, left:right] = inside
