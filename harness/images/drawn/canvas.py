"""A canvas for painting with numpy so that every machine gets the same pixels.

Only additions, products, divisions, square roots and roundings of doubles decide a pixel: IEEE 754 fixes their last
bit. Other functions go through :func:`steady`, sums are of integers, and random numbers are ``RandomState``'s, whose
stream NumPy has frozen (NEP 19). Positions are canvas pixels, x to the right, y down; colours are sRGB, 0 to 255.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

SIZE_PX = 512
FINENESS = 2  # canvas pixels per picture pixel and direction, averaged at the end: antialiasing
CANVAS_PX = SIZE_PX * FINENESS


def steady(values: Floats) -> Floats:
    """Round to multiples of 2^-20, so that a function's last bit, which differs between machines, plays no part."""
    rounded: Floats = np.rint(values * 2.0**20) / 2.0**20
    return rounded


def cos_sin(turns: ArrayLike) -> tuple[Floats, Floats]:
    """Cosine and sine of an angle in turns."""
    angle = np.asarray(turns, dtype=np.float64) * (2 * np.pi)
    return steady(np.cos(angle)), steady(np.sin(angle))


def turns_of(dx: Floats, dy: Floats) -> Floats:
    """The angle of a vector in turns, -0.5 to 0.5."""
    return steady(np.arctan2(dy, dx) / (2 * np.pi))


def smooth(values: Floats, low: float | Floats, high: float | Floats) -> Floats:
    """0 below ``low``, 1 above ``high``, 3t² - 2t³ between."""
    t = np.clip((values - low) / (high - low), 0, 1)
    result: Floats = t * t * (3 - 2 * t)
    return result


def grid(size_px: int = CANVAS_PX) -> tuple[Floats, Floats]:
    """Coordinates x, y of every pixel centre, in picture widths: 0 to 1."""
    line = (np.arange(size_px) + 0.5) / size_px
    y, x = np.meshgrid(line, line, indexing="ij")
    return x, y


def noise(rng: np.random.RandomState, cell_px: float, octaves: int = 1, size_px: int = CANVAS_PX) -> Floats:
    """Value noise, -1 to 1: random values on a lattice, smoothly interpolated; each octave half as large and strong."""
    total, weight = np.zeros((size_px, size_px)), 0.0
    for octave in range(octaves):
        cell = cell_px / 2**octave
        at = np.arange(size_px) / cell
        low = np.floor(at).astype(np.int64)
        t = at - low
        t = t * t * (3 - 2 * t)
        lattice = rng.random_sample((int(low[-1]) + 2, int(low[-1]) + 2)) * 2 - 1
        rows = lattice[low] * (1 - t)[:, None] + lattice[low + 1] * t[:, None]
        total += (rows[:, low] * (1 - t) + rows[:, low + 1] * t) / 2**octave
        weight += 1 / 2**octave
    return total / weight


def between(palette: ArrayLike, position: ArrayLike) -> Floats:
    """The colour at a position (0 to 1) along a list of colours, linearly interpolated: (…, 3)."""
    colours = np.asarray(palette, dtype=np.float64)
    at = np.clip(np.asarray(position, dtype=np.float64), 0, 1) * (len(colours) - 1)
    low = np.minimum(np.floor(at).astype(np.int64), len(colours) - 2)
    t = (at - low)[..., None]
    mixed: Floats = colours[low] * (1 - t) + colours[low + 1] * t
    return mixed


def shrink(canvas: Floats, factor: int = FINENESS) -> Floats:
    """Average blocks of ``factor`` × ``factor`` pixels, (H, W, …)."""
    total: Floats = np.zeros_like(canvas[::factor, ::factor])
    for row in range(factor):
        for column in range(factor):
            total = total + canvas[row::factor, column::factor]
    return total / (factor * factor)


def relief(height: Floats) -> Floats:
    """Light from the upper left on a height map: slope towards the light, positive where it is lit."""
    slope: Floats = np.zeros_like(height)
    slope[1:-1, 1:-1] = height[2:, 1:-1] - height[:-2, 1:-1] + 0.7 * (height[1:-1, 2:] - height[1:-1, :-2])
    return slope


def to_bytes(picture: Floats) -> NDArray[np.uint8]:
    """Clamp and round to 8 bits."""
    return np.floor(np.clip(picture, 0, 255) + 0.5).astype(np.uint8)


def reduce_colours(picture: NDArray[np.uint8], num_colours: int = 256) -> NDArray[np.uint8]:
    """Reduce to a palette by median cut (Heckbert 1982) in whole numbers, refined by four rounds of k-means.

    256 colours keep a textured picture's look and make its PNG a third of the size.
    """
    colours, inverse, counts = np.unique(
        picture.reshape(-1, 3).astype(np.int64), axis=0, return_inverse=True, return_counts=True
    )
    boxes = [np.arange(len(colours))]
    spans = [_span(colours, counts, boxes[0])]
    while len(boxes) < num_colours and max(spans) > 0:
        widest = int(np.argmax(spans))
        box = boxes.pop(widest)
        spans.pop(widest)
        axis = int(np.argmax(np.ptp(colours[box], axis=0)))
        box = box[np.argsort(colours[box, axis], kind="stable")]
        cumulated = np.cumsum(counts[box])
        cut = int(np.clip(np.searchsorted(cumulated, cumulated[-1] // 2), 1, len(box) - 1))
        boxes += [box[:cut], box[cut:]]
        spans += [_span(colours, counts, half) for half in boxes[-2:]]
    nearest = np.zeros(len(colours), dtype=np.int64)
    for number, box in enumerate(boxes):
        nearest[box] = number
    for _ in range(4):
        palette = _means(colours, counts, nearest, len(boxes))
        nearest = _nearest(colours, palette)
    return palette[nearest][inverse.reshape(-1)].reshape(picture.shape).astype(np.uint8)


def _span(colours: NDArray[np.int64], counts: NDArray[np.int64], box: NDArray[np.int64]) -> int:
    """How much a box needs cutting: its longest side times its pixels."""
    return int(np.ptp(colours[box], axis=0).max() * counts[box].sum())


def _means(
    colours: NDArray[np.int64], counts: NDArray[np.int64], group: NDArray[np.int64], num_groups: int
) -> NDArray[np.int64]:
    """The rounded mean colour of each group; black for a group that has become empty."""
    total = np.maximum(np.bincount(group, counts, num_groups), 1)
    sums = [np.bincount(group, counts * colours[:, axis], num_groups) for axis in range(3)]
    return np.floor(np.stack(sums, axis=1) / total[:, None] + 0.5).astype(np.int64)


def _nearest(colours: NDArray[np.int64], palette: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each colour the nearest of the palette, the first of several; exact, since the doubles hold integers."""
    points, targets = colours.astype(np.float64), palette.astype(np.float64)
    squares = (targets * targets).sum(axis=1)
    chunks = np.array_split(points, max(1, len(points) // 8192))
    return np.concatenate([np.argmin(squares - 2 * (chunk @ targets.T), axis=1) for chunk in chunks])


def pick(rng: np.random.RandomState, options: Sequence[Sequence[float]]) -> Floats:
    """One of several colours, all as likely."""
    return np.asarray(options[int(rng.random_sample() * len(options))], dtype=np.float64)
