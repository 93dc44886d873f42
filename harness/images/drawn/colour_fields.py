"""``colour_fields``: overlapping discs, wedges, arcs, chequers and lines over drifting colour, in grainy paint."""

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
    pick,
    reduce_colours,
    relief,
    shrink,
    smooth,
    to_bytes,
    turns_of,
)

SEED = 23
EDGE = 1.2 / CANVAS_PX
GROUND = ((248, 226, 170), (240, 186, 110), (226, 120, 96), (150, 110, 160), (92, 150, 190), (190, 214, 190))
PAINTS = (
    (214, 34, 40), (240, 120, 24), (252, 204, 36), (30, 120, 84), (24, 72, 168), (86, 42, 130),
    (230, 90, 140), (20, 150, 180), (250, 240, 214), (20, 18, 30), (150, 30, 60), (130, 180, 60),
)  # fmt: skip
BLACK = np.array((18.0, 16.0, 26.0))


class Sheet:
    """The picture so far, with the brushwork that every shape carries."""

    def __init__(self, rng: np.random.RandomState) -> None:
        """Paint the ground: colours that drift into each other."""
        self.rng = rng
        self.x, self.y = grid()
        drift = 0.5 + 0.75 * noise(rng, 380, 3)
        self.picture = between(GROUND, drift)
        self.dabs = noise(rng, 14, 3)
        self.height = 2.5 * noise(rng, 10, 3)

    def lay(self, cover: Floats, colour: Floats, strength: float) -> None:
        """Lay a colour where ``cover`` (0 to 1) is; it lightens and darkens with the dabs and stands up a little."""
        alpha = (cover * strength * np.clip(0.93 + 0.25 * self.dabs, 0, 1))[..., None]
        self.picture = self.picture * (1 - alpha) + colour * alpha
        self.height = self.height + cover * 2.0

    def shaded(self, first: Floats, second: Floats, turn: float, centre: tuple[float, float], size: float) -> Floats:
        """A gradient between two colours across a shape."""
        cos, sin = cos_sin(turn)
        along = ((self.x - centre[0]) * cos + (self.y - centre[1]) * sin) / (2 * size) + 0.5
        return between([first, 0.55 * first + 0.45 * second], along + 0.12 * self.dabs)

    def distance(self, centre: tuple[float, float]) -> Floats:
        """From a point, in picture widths."""
        dx, dy = self.x - centre[0], self.y - centre[1]
        return np.sqrt(dx * dx + dy * dy)

    def along(self, centre: tuple[float, float], turn: float) -> tuple[Floats, Floats]:
        """Coordinates along and across a direction through a point."""
        cos, sin = cos_sin(turn)
        dx, dy = self.x - centre[0], self.y - centre[1]
        return dx * cos + dy * sin, dy * cos - dx * sin


def draw() -> NDArray[np.uint8]:
    """The picture, (512, 512, 3)."""
    rng = np.random.RandomState(SEED)
    sheet = Sheet(rng)
    for number in range(12):
        _wedge(sheet, 0.20 + 0.30 * rng.random_sample(), 0.72 if number % 3 else 0.92)
    for number in range(9):
        _disc(sheet, (0.19, 0.12, 0.15, 0.07)[number % 4] * (0.7 + 0.6 * rng.random_sample()))
    for _ in range(3):
        _chequer(sheet)
    for number in range(12):
        _disc(sheet, (0.05, 0.03, 0.02)[number % 3] * (0.8 + 0.6 * rng.random_sample()))
    for _ in range(9):
        _arcs(sheet)
    for number in range(26):
        _bar(sheet, (0.0022, 0.004, 0.009)[number % 3])
    for _ in range(4):
        _comb(sheet)
    grain = noise(rng, 4, 2) * 9 + noise(rng, 34, 2) * 7
    light = np.clip(relief(sheet.height) * 9, -32, 36)
    return reduce_colours(to_bytes(shrink(sheet.picture + (grain + light)[..., None])))


def _place(rng: np.random.RandomState) -> tuple[float, float]:
    return 0.04 + 0.92 * rng.random_sample(), 0.04 + 0.92 * rng.random_sample()


def _disc(sheet: Sheet, radius: float) -> None:
    """Rings around a centre, the outermost often dark, a halo of thin colour around the large ones."""
    rng, centre = sheet.rng, _place(sheet.rng)
    distance = sheet.distance(centre)
    if radius > 0.08:
        sheet.lay(1 - smooth(distance, radius, 1.35 * radius), pick(rng, PAINTS), 0.55)
    reach = radius
    for ring in range(2 + int(3 * rng.random_sample())):
        cover = 1 - smooth(distance, reach - EDGE, reach + EDGE)
        colour = BLACK if ring == 0 and rng.random_sample() < 0.5 else pick(rng, PAINTS)
        sheet.lay(cover, sheet.shaded(colour, pick(rng, PAINTS), rng.random_sample(), centre, 2 * radius), 0.94)
        reach *= 0.88 if ring == 0 else 0.45 + 0.35 * rng.random_sample()


def _wedge(sheet: Sheet, size: float, strength: float) -> None:
    """A triangle with a shaded face."""
    rng, centre, turn = sheet.rng, _place(sheet.rng), sheet.rng.random_sample()
    inside = np.ones_like(sheet.x)
    for spread in (0.0, 0.28 + 0.1 * rng.random_sample(), 0.60 + 0.1 * rng.random_sample()):
        along, _ = sheet.along(centre, turn + spread)
        inside = inside * (1 - smooth(along, size * 0.34 - EDGE, size * 0.34 + EDGE))
    sheet.lay(inside, sheet.shaded(pick(rng, PAINTS), pick(rng, PAINTS), turn, centre, size), strength)


def _chequer(sheet: Sheet) -> None:
    """A tilted board of squares in two paints."""
    rng, centre, turn = sheet.rng, _place(sheet.rng), sheet.rng.random_sample()
    along, across = sheet.along(centre, turn)
    cell, light, dark = 0.022 + 0.012 * rng.random_sample(), pick(rng, PAINTS), pick(rng, PAINTS)
    board = (np.abs(along) < 3 * cell) & (np.abs(across) < 2 * cell)
    odd = (np.floor(along / cell) + np.floor(across / cell)) % 2 == 1
    sheet.lay(board.astype(np.float64), np.where(odd[..., None], light, dark), 0.95)


def _arcs(sheet: Sheet) -> None:
    """Two to four parallel arcs of black or colour."""
    rng, centre = sheet.rng, _place(sheet.rng)
    distance, start = sheet.distance(centre), rng.random_sample()
    turn = (turns_of(sheet.x - centre[0], sheet.y - centre[1]) + start) % 1.0
    part = smooth(turn, 0.0, 0.01) * (1 - smooth(turn, 0.3, 0.31 + 0.2 * rng.random_sample()))
    radius, colour = 0.07 + 0.16 * rng.random_sample(), BLACK if rng.random_sample() < 0.6 else pick(rng, PAINTS)
    for ring in range(2 + int(3 * rng.random_sample())):
        width = 0.0045 if ring == 0 else 0.0022
        near = np.abs(distance - radius - 0.016 * ring)
        sheet.lay(part * (1 - smooth(near, width - EDGE, width + EDGE)), colour, 0.95)


def _bar(sheet: Sheet, width: float) -> None:
    """A straight line that tapers."""
    rng, centre = sheet.rng, _place(sheet.rng)
    along, across = sheet.along(centre, rng.random_sample())
    length = 0.10 + 0.24 * rng.random_sample()
    taper = width * np.clip(0.35 + 0.65 * (along + length) / (2 * length), 0.2, 1)
    cover = (1 - smooth(np.abs(across), taper - EDGE, taper + EDGE)) * (np.abs(along) < length)
    sheet.lay(cover, BLACK if rng.random_sample() < 0.65 else pick(rng, PAINTS), 0.96)


def _comb(sheet: Sheet) -> None:
    """A row of short parallel lines."""
    rng, centre = sheet.rng, _place(sheet.rng)
    along, across = sheet.along(centre, rng.random_sample())
    pitch, length = 0.011 + 0.006 * rng.random_sample(), 0.03 + 0.04 * rng.random_sample()
    near = np.abs((along / pitch) % 1.0 - 0.5) * pitch
    cover = (1 - smooth(near, 0.0022 - EDGE, 0.0022 + EDGE)) * (np.abs(across) < length) * (np.abs(along) < 4.5 * pitch)
    sheet.lay(cover, BLACK, 0.95)
