"""``ink``: hills, trees and water in pen hatching on warm paper, a red sun washed in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.images.drawn.brush import pen, trace
from harness.images.drawn.canvas import (
    CANVAS_PX,
    Floats,
    cos_sin,
    grid,
    noise,
    reduce_colours,
    shrink,
    smooth,
    steady,
    to_bytes,
)

SEED = 5
PAPER = (243, 231, 205)
INK = (20, 22, 38)
WASH = (206, 44, 30)
SUN = (0.66, 0.25, 0.135)
# The tone from which a layer is drawn, its turn against the form in turns, spacing, half length and width in canvas px.
LAYERS = (
    (0.10, 0.00, 11.0, 52, 2.6),
    (0.38, 0.12, 11.0, 40, 2.6),
    (0.60, -0.13, 10.0, 34, 3.0),
    (0.80, 0.05, 8.0, 40, 4.2),
)


def draw() -> NDArray[np.uint8]:
    """The picture, (512, 512, 3)."""
    rng = np.random.RandomState(SEED)
    x, y = grid()
    tone, turns, outlines = _scene(rng, x, y)
    ink = np.ones_like(x)
    for threshold, turn, spacing_px, half_length, width_px in LAYERS:
        direction_x, direction_y = cos_sin(turns + turn)
        side = int(CANVAS_PX / spacing_px)
        cells = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)
        starts = (cells + rng.random_sample(cells.shape)) * (CANVAS_PX / side)
        starts = starts[rng.random_sample(len(starts)) < 0.55]
        at = starts.astype(np.int64)
        darkness = tone[at[:, 1], at[:, 0]] + (rng.random_sample(len(starts)) - 0.5) * 0.12
        starts, darkness = starts[darkness > threshold], darkness[darkness > threshold]
        paths = trace(starts, direction_x, direction_y, half_length)
        for path, dark in zip(paths, darkness, strict=True):
            reach = int(half_length * (0.45 + 0.55 * rng.random_sample()))
            line = path[half_length - reach : half_length + reach + 1]
            column, row = np.clip(np.floor(line[:, :2]), 0, CANVAS_PX - 1).astype(np.int64).T
            line = line[tone[row, column] > threshold - 0.12]  # a hatching line stops where its form ends
            if len(line) > 8:
                pen(ink, rng, line, width_px * (0.7 + 0.6 * dark), 0.80)
    ink = np.minimum(ink, 1 - 0.92 * outlines)
    grain = noise(rng, 5, 2) * 5 + noise(rng, 260, 3) * 9
    paper = np.array(PAPER, dtype=np.float64) + grain[..., None]
    dx, dy = x - SUN[0], y - SUN[1]
    distance = np.sqrt(dx * dx + dy * dy) + 0.006 * noise(rng, 60, 3)
    pool = 0.78 + 0.16 * noise(rng, 120, 4) + 0.20 * smooth(distance, SUN[2] - 0.03, SUN[2])
    wash = ((1 - smooth(distance, SUN[2] - 0.004, SUN[2])) * np.clip(pool, 0, 1))[..., None]
    paper = paper * (1 - wash) + np.array(WASH, dtype=np.float64) * wash
    picture = np.array(INK, dtype=np.float64) * (1 - ink[..., None]) + paper * ink[..., None]
    return reduce_colours(to_bytes(shrink(picture)), 96)


def _scene(rng: np.random.RandomState, x: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    """Tone (0 paper to 1 black), direction of the form in turns, and outlines (0 to 1)."""
    cloud = noise(rng, 260, 4)
    tone = smooth(cloud, 0.02, 0.55) * 0.62 * (1 - smooth(y, 0.30, 0.50)) + 0.14 * (1 - smooth(y, 0.0, 0.35))
    turns = 0.03 * noise(rng, 200, 2) + 0.10 * cloud
    outlines = np.zeros_like(x)
    line = x[0]
    for number in range(5):
        depth = number / 4
        wavy = noise(rng, 420 - 60 * number, 4)[number * 7]
        ridge = (
            0.40
            + 0.135 * number
            + (0.10 - 0.045 * depth)
            * (1.6 * wavy + steady(np.sin(2 * np.pi * (line * (0.8 + 0.5 * depth) + 0.31 * number))) * 0.6)
        )
        below = y - ridge
        here = below > 0
        fold = noise(rng, 150, 3)
        slope = 0.05 * noise(rng, 260, 2) + (0.10 if number % 2 else -0.10)
        shade = 0.24 + 0.22 * depth + 0.85 * fold * (0.6 + 0.4 * depth)
        shade = shade + 0.55 * (1 - smooth(below, 0.0, 0.055)) * (1 if number % 2 == 0 else 0.45)
        shade = shade - 0.40 * smooth(below, 0.07, 0.15)
        tone = np.where(here, np.clip(shade, 0, 1), tone)
        turns = np.where(here, slope + 0.16 * fold, turns)
        thickness = (1.2 + 2.2 * depth) / CANVAS_PX
        outlines = np.where(here, 0.0, outlines)
        outlines = np.where(np.abs(below) < thickness, 1.0, outlines)
    return _trees(rng, x, y, tone, turns, outlines)


def _trees(
    rng: np.random.RandomState, x: Floats, y: Floats, tone: Floats, turns: Floats, outlines: Floats
) -> tuple[Floats, Floats, Floats]:
    """Dark round crowns on thin trunks, their hatching turning about them."""
    for centre_x, base, size in ((0.15, 0.80, 0.15), (0.30, 0.86, 0.11), (0.88, 0.90, 0.17), (0.56, 0.74, 0.06)):
        crown_y = base - 1.15 * size
        dx, dy = x - centre_x, (y - crown_y) * 0.85
        ragged = noise(rng, 46, 3)
        distance = np.sqrt(dx * dx + dy * dy) / size + 0.28 * ragged
        trunk = (np.abs(dx) < 0.05 * size + 0.02 * size * np.abs(ragged)) & (y > crown_y) & (y < base)
        crown = distance < 0.8
        lit = (dx - dy) / size
        tone = np.where(crown, np.clip(0.62 - 0.55 * lit + 0.7 * ragged, 0.05, 1), tone)
        turns = np.where(crown, 0.16 + 0.20 * lit + 0.15 * ragged, turns)
        tone = np.where(trunk & ~crown, 1.0, tone)
        turns = np.where(trunk & ~crown, 0.25, turns)
        outlines = np.where(crown, 0.0, outlines)
        outlines = np.where((np.abs(distance - 0.8) < 0.018) | (trunk & ~crown), 1.0, outlines)
    return tone, turns, outlines
