"""``dots``: a lake at sunset in dots of pure colour that mix in the eye (divisionism)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.images.drawn.canvas import (
    CANVAS_PX,
    Floats,
    between,
    grid,
    noise,
    reduce_colours,
    relief,
    shrink,
    smooth,
    steady,
    to_bytes,
)

SEED = 17
PURE = (
    (238, 70, 36), (248, 140, 24), (252, 212, 50), (255, 246, 200), (150, 196, 60), (30, 130, 80), (18, 84, 92),
    (30, 70, 170), (90, 150, 220), (92, 50, 150), (196, 84, 160), (248, 170, 170), (34, 24, 70), (140, 40, 40),
)  # fmt: skip
SKY = ((58, 84, 180), (130, 130, 204), (236, 140, 160), (252, 178, 90), (255, 226, 120))
SUN = (0.62, 0.40, 0.075)
SHORE = 0.52
# Diameter in canvas pixels and how many dots, as a share of what covers the canvas once.
LAYERS = ((17.0, 2.0), (13.0, 1.3), (9.0, 0.75))


def draw() -> NDArray[np.uint8]:
    """The picture, (512, 512, 3)."""
    rng = np.random.RandomState(SEED)
    x, y = grid()
    scene = _scene(rng, x, y)
    picture = np.empty((CANVAS_PX, CANVAS_PX, 3))
    picture[:] = (226.0, 206.0, 176.0)
    height = np.zeros((CANVAS_PX, CANVAS_PX))
    pure = np.array(PURE, dtype=np.float64)
    for diameter_px, share in LAYERS:
        side = int(CANVAS_PX / diameter_px * np.sqrt(share)) + 1
        cells = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)
        centres = (cells + 0.5 + (rng.random_sample(cells.shape) - 0.5) * 1.1) * (CANVAS_PX / side)
        centres = centres[np.argsort(rng.random_sample(len(centres)), kind="stable")]
        at = np.clip(np.floor(centres), 0, CANVAS_PX - 1).astype(np.int64)
        wanted = scene[at[:, 1], at[:, 0]]
        # The nearest of the pure colours to the wanted one after a random push: in the mean they mix to it.
        pushed = wanted + (rng.random_sample((len(at), 3)) - 0.5) * 150
        distance = ((pushed[:, None, :] - pure) ** 2).sum(axis=2)
        chosen = pure[np.argmin(distance, axis=1)] * 0.72 + wanted * 0.28
        chosen = chosen + (rng.random_sample((len(at), 1)) - 0.5) * 30
        size = diameter_px * (0.75 + 0.5 * rng.random_sample(len(at)))
        _dab(picture, height, centres, size, chosen, diameter_px)
    light = np.clip(relief(height) * 3.0, -26, 32)
    return reduce_colours(to_bytes(shrink(picture + light[..., None])))


def _dab(picture: Floats, height: Floats, centres: Floats, size: Floats, colours: Floats, diameter_px: float) -> None:
    """Lay all dots of a layer, slightly oval; where two share a pixel the later one is on top."""
    reach = int(diameter_px * 0.75) + 1
    offsets = np.stack(np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1)), axis=-1).reshape(-1, 2)
    pixels = np.floor(centres).astype(np.int64)[:, None, :] + offsets
    away = pixels + 0.5 - centres[:, None, :]
    distance = np.sqrt(away[..., 0] * away[..., 0] * 0.8 + away[..., 1] * away[..., 1] * 1.15) / (size[:, None] / 2)
    inside = (distance < 1) & (pixels >= 0).all(axis=2) & (pixels < CANVAS_PX).all(axis=2)
    which, offset = np.nonzero(inside)
    column, row = pixels[which, offset].T
    # One pixel may be named more than once: take the last by hand, NumPy promises no order for repeated indices.
    flat = row * CANVAS_PX + column
    last = np.full(CANVAS_PX * CANVAS_PX, -1, dtype=np.int64)
    np.maximum.at(last, flat, np.arange(len(flat)))
    on_top = last[last >= 0]
    picture.reshape(-1, 3)[flat[on_top]] = colours[which[on_top]]
    rise = distance[which[on_top], offset[on_top]]
    height.reshape(-1)[flat[on_top]] = (1 - rise * rise) * diameter_px * 0.5


def _scene(rng: np.random.RandomState, x: Floats, y: Floats) -> Floats:
    """What the dots add up to: sky and sun, a far shore, their reflection, a near tree and bank."""
    above = np.where(y < SHORE, y, 2 * SHORE - y)
    ripple = noise(rng, 60, 2) * 0.5
    water = y >= SHORE
    cloud = noise(rng, 220, 3)
    sky = between(SKY, np.clip(above / SHORE + 0.22 * cloud - 0.04, 0, 1))
    dx, dy = x - SUN[0], above - SUN[1]
    distance = np.sqrt(dx * dx + dy * dy)
    glow = 1 - smooth(distance, SUN[2], SUN[2] * 4.2)
    sky = sky + glow[..., None] * np.array((70.0, 40.0, -40.0))
    scene = np.where((distance < SUN[2])[..., None] & ~water[..., None], np.array((255.0, 236.0, 120.0)), sky)
    hill = SHORE - 0.075 - 0.05 * noise(rng, 300, 3)[3] - 0.03 * steady(np.sin(2 * np.pi * (1.5 * x + 0.2)))
    far = above > hill
    scene = np.where(far[..., None], between([(110, 60, 150), (40, 70, 150), (60, 110, 120)], 0.5 + cloud), scene)
    streak = steady(np.sin(2 * np.pi * (26 * (y - SHORE) * (1.3 - y) + 1.4 * ripple)))
    path = (1 - smooth(np.abs(dx) + 0.03 * streak, 0.02, 0.13)) * water
    scene = np.where(water[..., None], scene * (0.70 + 0.12 * streak[..., None]) + np.array((0.0, 14.0, 34.0)), scene)
    scene = scene * (1 - path[..., None]) + path[..., None] * np.array((255.0, 176.0, 60.0))
    bank = 0.90 - 0.16 * smooth(0.55 - x, 0.0, 0.6) + 0.03 * noise(rng, 120, 3)
    grass = between([(20, 60, 60), (40, 120, 60), (150, 180, 50), (230, 160, 60)], 0.45 + 0.6 * noise(rng, 70, 3))
    scene = np.where((y > bank)[..., None], grass, scene)
    tx, ty = x - 0.16, y - 0.30
    crown = np.sqrt(tx * tx * 1.1 + ty * ty) + 0.10 * noise(rng, 110, 3)
    trunk = (np.abs(x - 0.15 - 0.03 * ripple) < 0.020 + 0.05 * smooth(y, 0.7, 0.9)) & (y > 0.3) & (y < bank + 0.03)
    scene = np.where(trunk[..., None], np.array((62.0, 30.0, 66.0)), scene)
    leaves = between(
        [(18, 40, 70), (20, 90, 76), (60, 140, 60), (220, 150, 50)], 0.35 + 1.1 * tx + 0.7 * noise(rng, 60, 3)
    )
    return np.where((crown < 0.215)[..., None], leaves, scene)
