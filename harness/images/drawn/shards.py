"""``shards``: a town of translucent planes, each bright along one sharp edge and fading away from it."""

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
    smooth,
    to_bytes,
)

SEED = 31
EDGE = 1.5 / CANVAS_PX
LIGHT = ((250, 232, 180), (246, 196, 104), (222, 226, 214), (176, 212, 214), (244, 210, 180), (250, 244, 222))
DARK = ((26, 50, 78), (84, 44, 40), (40, 84, 92), (122, 62, 34), (52, 44, 70), (20, 30, 44), (150, 88, 30))
GROUND = ((44, 72, 96), (96, 122, 128), (178, 150, 104), (206, 174, 120), (118, 84, 62))
# Gables as x of the ridge, y of its top, half width and whether the light comes from the left.
GABLES = (
    (0.22, 0.34, 0.13, 1),
    (0.78, 0.28, 0.12, 0),
    (0.50, 0.06, 0.085, 1),
    (0.36, 0.48, 0.12, 0),
    (0.66, 0.52, 0.15, 1),
    (0.10, 0.60, 0.12, 0),
    (0.90, 0.62, 0.12, 1),
    (0.50, 0.70, 0.13, 0),
)


def draw() -> NDArray[np.uint8]:
    """The picture, (512, 512, 3)."""
    rng = np.random.RandomState(SEED)
    x, y = grid()
    picture = between(GROUND, 0.25 + 0.5 * y + 0.30 * noise(rng, 420, 2))
    height = np.zeros_like(x)
    for number in range(34):
        picture, height = _plane(rng, x, y, picture, height, 0.95 if number % 2 else 0.75)
    for gable in GABLES:
        picture, height = _gable(rng, x, y, picture, height, gable)
        for _ in range(4):
            picture, height = _plane(rng, x, y, picture, height, 0.60)
    for _ in range(16):
        picture, height = _plane(rng, x, y, picture, height, 0.55)
    weave = noise(rng, 4, 1) * 8 + noise(rng, 12, 3) * 11 + noise(rng, 90, 3) * 10
    brushed = noise(rng, 7, 2)
    light = np.clip(relief(height + 0.9 * brushed) * 10, -26, 30)
    # Glazes grey each other: bring back contrast, and colour as the distance from grey.
    picture = (picture - 138) * 1.28 + 130
    grey = (picture[..., 0] + picture[..., 1] + picture[..., 2])[..., None] / 3
    picture = grey + (picture - grey) * 1.55
    return reduce_colours(to_bytes(shrink(picture + (weave + light)[..., None])))


def _side(x: Floats, y: Floats, through: tuple[float, float], turn: float) -> Floats:
    """Signed distance from a line, in picture widths."""
    cos, sin = cos_sin(turn)
    side: Floats = (x - through[0]) * cos + (y - through[1]) * sin
    return side


def _plane(
    rng: np.random.RandomState, x: Floats, y: Floats, picture: Floats, height: Floats, strength: float
) -> tuple[Floats, Floats]:
    """One translucent plane: a corner cut by two lines, fading away from its first edge."""
    through = (rng.random_sample(), rng.random_sample())
    # Mostly steep and diagonal edges, in a few directions, so that the planes belong together.
    turn = (0.0, 0.5, 0.08, 0.43, -0.13, 0.62, 0.25)[int(7 * rng.random_sample())] + (rng.random_sample() - 0.5) * 0.05
    other = turn + 0.16 + 0.18 * rng.random_sample()
    reach = 0.10 + 0.22 * rng.random_sample()
    depth = _side(x, y, through, turn)
    cover = smooth(depth, -EDGE, EDGE) * smooth(_side(x, y, through, other), -EDGE, EDGE)
    cover = cover * (1 - smooth(_side(x, y, through, turn + 0.25), 0.22, 0.225 + 0.3 * rng.random_sample()))
    fade = np.clip(1 - depth / reach, 0, 1)
    palette = LIGHT if rng.random_sample() < 0.5 else DARK
    first, second = (palette[int(len(palette) * rng.random_sample())] for _ in range(2))
    colour = between([second, first], fade)
    alpha = cover * (0.12 + strength * fade * fade * (1.4 - 0.4 * fade))
    return picture * (1 - alpha[..., None]) + colour * alpha[..., None], height + cover * fade * 2.2


def _gable(
    rng: np.random.RandomState,
    x: Floats,
    y: Floats,
    picture: Floats,
    height: Floats,
    gable: tuple[float, float, float, int],
) -> tuple[Floats, Floats]:
    """A house front: a lit and a dark half under a steep roof, with windows."""
    ridge, top, half, lit_left = gable
    dx = x - ridge
    roof = y - top - np.abs(dx) * 1.7
    wall = smooth(half - np.abs(dx), -EDGE, EDGE) * smooth(roof, -EDGE, EDGE)
    fall = np.clip((y - top) / 0.62, 0, 1)
    light, dark = (LIGHT[int(6 * rng.random_sample())], DARK[int(7 * rng.random_sample())])
    sunny = (dx < 0) == bool(lit_left)
    face = np.where(
        sunny[..., None], between([light, (190, 140, 80)], fall), between([dark, (120, 112, 112)], fall * 1.2)
    )
    fading = wall * (0.92 - 0.80 * fall)
    picture = picture * (1 - fading[..., None]) + face * fading[..., None]
    roofline = wall * (1 - smooth(roof, 0.030, 0.034))
    colour = np.where(sunny[..., None], np.array((206, 92, 40.0)), np.array((72, 26, 34.0)))
    picture = picture * (1 - 0.8 * roofline[..., None]) + colour * 0.8 * roofline[..., None]
    column, row = np.abs(dx) / (half * 0.42), (y - top) / (half * 0.62)
    window = (np.abs(column % 1.0 - 0.5) < 0.20) & (np.abs(row % 1.0 - 0.5) < 0.26) & (roof > 0.07) & (fall < 0.62)
    pane = (wall * window * 0.75)[..., None]
    glow = np.where(sunny[..., None], np.array((60, 60, 84.0)), np.array((250, 206, 96.0)))
    return picture * (1 - pane) + glow * pane, height + wall * 3.0 + pane[..., 0] * 2
