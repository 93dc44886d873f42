"""``mosaic``: tiles of stone and glass laid along the contours of flowers.

After Hausner 2001 ("Simulating decorative mosaics"): a centroidal Voronoi diagram whose metric is a square turned into
the contours' direction gives square tiles in curved rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.images.drawn.canvas import (
    CANVAS_PX,
    Floats,
    between,
    cos_sin,
    grid,
    noise,
    reduce_colours,
    relief,
    shrink,
    steady,
    to_bytes,
    turns_of,
)

SEED = 11
TILE_PX = 27.0
NUM_ROUNDS = 5  # of moving each seed to the middle of its tile
# Centre x, y, radius in picture widths, petals, angle in turns.
FLOWERS = (
    (0.42, 0.44, 0.33, 7, 0.02),
    (0.88, 0.82, 0.21, 5, 0.10),
    (0.88, 0.13, 0.17, 6, 0.00),
    (0.10, 0.90, 0.17, 6, 0.05),
)
GROUT = (58, 48, 44)
PETALS = (
    ((120, 14, 20), (196, 36, 28), (236, 96, 36), (250, 190, 120)),
    ((110, 20, 84), (190, 50, 120), (238, 130, 160), (252, 220, 214)),
    ((160, 84, 8), (232, 160, 20), (250, 206, 60), (255, 240, 176)),
    ((40, 44, 130), (80, 92, 196), (150, 170, 236), (230, 236, 250)),
)
HEART = ((255, 214, 66), (214, 150, 20), (120, 70, 16))
SEA = ((8, 40, 76), (10, 82, 118), (20, 128, 140), (64, 172, 150), (190, 214, 160))
RIM = (244, 236, 214)


def draw() -> NDArray[np.uint8]:
    """The picture, (512, 512, 3)."""
    rng = np.random.RandomState(SEED)
    x, y = grid()
    design, along_x, along_y = _design(rng, x, y)
    side = int(CANVAS_PX / TILE_PX)
    cells = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)
    seeds = (cells + 0.5 + (rng.random_sample(cells.shape) - 0.5) * 0.7) * (CANVAS_PX / side)
    for _ in range(NUM_ROUNDS):
        seeds = _centred(seeds, _tiles(seeds, along_x, along_y, step=4)[0])
    tile, gap = _tiles(seeds, along_x, along_y, step=1)
    at = np.clip(np.floor(seeds), 0, CANVAS_PX - 1).astype(np.int64)
    stone = design[at[:, 1], at[:, 0]] + (rng.random_sample((len(seeds), 1)) - 0.5) * 56
    stone = stone + (rng.random_sample((len(seeds), 3)) - 0.5) * 30
    tilt = (rng.random_sample((len(seeds), 2)) - 0.5) * 1.6
    slope = (x * CANVAS_PX - seeds[tile, 0]) * tilt[tile, 0] + (y * CANVAS_PX - seeds[tile, 1]) * tilt[tile, 1]
    laid = (gap > 3.2)[..., None]
    edge = np.clip(relief(np.clip(gap, 0, 9.0)) * 7, -46, 60)
    grain = noise(rng, 6, 2) * 15 + noise(rng, 40, 2) * 10
    picture = np.where(laid, stone[tile] + (slope + edge)[..., None], np.array(GROUT, dtype=np.float64))
    return reduce_colours(to_bytes(shrink(picture + grain[..., None])))


def _design(rng: np.random.RandomState, x: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    """Colours (H, W, 3) and the direction of the tile rows: across the gradient of the distance to the flowers."""
    nearest = np.full_like(x, 9.0)
    colours = np.zeros((*x.shape, 3))
    wobble = noise(rng, 160, 2)
    for (centre_x, centre_y, radius, petals, angle), palette in zip(FLOWERS, PETALS, strict=True):
        dx, dy = x - centre_x, y - centre_y
        distance = np.sqrt(dx * dx + dy * dy)
        wave, _ = cos_sin(petals * (turns_of(dx, dy) + angle))
        outline = radius * (0.80 + 0.22 * wave)
        level = (distance - outline) * 0.9
        share = distance / outline
        inside = level < 0
        petal = between(palette, share * 1.1 - 0.25 + 0.18 * wave)
        petal = np.where((share < 0.34)[..., None], between(HEART, share / 0.34), petal)
        petal = np.where((np.abs(share - 0.37) < 0.035)[..., None], np.array(PETALS[0][0]), petal)
        colours = np.where(inside[..., None], petal, colours)
        nearest = np.minimum(nearest, level)
    bands = 0.5 + 0.5 * steady(np.sin(2 * np.pi * (nearest * 9.5 + 0.25 * wobble)))
    sea = between(SEA, np.clip(bands * 0.9 + 0.25 * wobble, 0, 1))
    rim = (nearest >= 0) & (nearest < 0.022)
    colours = np.where((nearest >= 0)[..., None], np.where(rim[..., None], np.array(RIM), sea), colours)
    gradient_y, gradient_x = np.zeros_like(x), np.zeros_like(x)
    gradient_y[1:-1], gradient_x[:, 1:-1] = nearest[2:] - nearest[:-2], nearest[:, 2:] - nearest[:, :-2]
    norm = np.sqrt(gradient_x * gradient_x + gradient_y * gradient_y)
    flat = norm < 1e-9
    norm = np.where(flat, 1.0, norm)
    return colours, np.where(flat, 1.0, gradient_x / norm), np.where(flat, 0.0, gradient_y / norm)


def _tiles(seeds: Floats, along_x: Floats, along_y: Floats, step: int) -> tuple[NDArray[np.int64], Floats]:
    """For every ``step``-th pixel the nearest seed, and how much farther the second nearest is, in canvas pixels."""
    num = CANVAS_PX // step
    first, second = np.full((num, num), 1e9), np.full((num, num), 1e9)
    tile = np.zeros((num, num), dtype=np.int64)
    reach = 2.1 * TILE_PX
    for number, (seed_x, seed_y) in enumerate(seeds):
        column, row = int(np.clip(seed_x, 0, CANVAS_PX - 1)), int(np.clip(seed_y, 0, CANVAS_PX - 1))
        ux, uy = along_x[row, column], along_y[row, column]
        left, right = max(0, int((seed_x - reach) / step)), min(num, int((seed_x + reach) / step) + 1)
        top, bottom = max(0, int((seed_y - reach) / step)), min(num, int((seed_y + reach) / step) + 1)
        dx = (np.arange(left, right) + 0.5) * step - seed_x
        dy = ((np.arange(top, bottom) + 0.5) * step - seed_y)[:, None]
        distance = np.maximum(np.abs(dx * ux + dy * uy), np.abs(dx * uy - dy * ux))
        best, next_best = first[top:bottom, left:right], second[top:bottom, left:right]
        closer = distance < best
        next_best[:] = np.where(closer, best, np.minimum(next_best, distance))
        best[closer] = distance[closer]
        tile[top:bottom, left:right][closer] = number
    return tile, second - first


def _centred(seeds: Floats, tile: NDArray[np.int64]) -> Floats:
    """The middle of each tile (whole-number sums: exact); a tile that lost all its pixels stays where it is."""
    num, step = len(tile), CANVAS_PX // len(tile)
    row, column = np.divmod(np.arange(num * num), num)
    flat = tile.reshape(-1)
    count = np.bincount(flat, minlength=len(seeds))
    sums = np.stack([np.bincount(flat, column, len(seeds)), np.bincount(flat, row, len(seeds))], axis=1)
    middle = (sums / np.maximum(count, 1)[:, None] + 0.5) * step
    return np.where((count > 0)[:, None], middle, seeds)
