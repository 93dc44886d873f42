"""``waves``: breaking waves in bands of blue under a striped sky, as if cut in wood and printed by hand."""

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
    shrink,
    smooth,
    steady,
    to_bytes,
    turns_of,
)

SEED = 3
EDGE = 1.2 / CANVAS_PX
NIGHT, INDIGO, BLUE, SKY, FOAM = (14, 24, 58), (24, 52, 112), (44, 104, 166), (140, 186, 204), (246, 239, 220)
PAPER = ((238, 222, 184), (244, 214, 160), (236, 166, 116), (214, 110, 84))
RED = (200, 44, 34)
SUN = (0.30, 0.235, 0.125)
# Crests from the back to the front: x, y of the curl's centre, its radius, and the height of the wave's back.
CRESTS = (
    (0.72, 0.43, 0.060),
    (0.20, 0.50, 0.050),
    (0.95, 0.53, 0.070),
    (0.48, 0.55, 0.085),
    (0.10, 0.66, 0.090),
    (0.80, 0.67, 0.115),
    (0.40, 0.79, 0.125),
    (0.98, 0.88, 0.120),
    (0.08, 0.93, 0.120),
    (0.66, 0.98, 0.125),
)


def draw() -> NDArray[np.uint8]:
    """The picture, (512, 512, 3)."""
    rng = np.random.RandomState(SEED)
    x, y = grid()
    wood = noise(rng, 90, 2)
    picture = _sky(rng, x, y)
    for centre_x, centre_y, radius in CRESTS:
        picture = _wave(rng, x, y, picture, centre_x, centre_y, radius)
    # The block's grain, long across and short along, and paper showing where ink did not take.
    rings = steady(np.sin(2 * np.pi * (y * 70 + 2.2 * wood + 5 * noise(rng, 500, 2))))
    grain = rings * 5 + noise(rng, 4, 1) * 7 + noise(rng, 30, 3) * 8
    bare = smooth(noise(rng, 7, 3) + 0.25 * rings, 0.60, 0.72)[..., None] * 0.55
    picture = picture * (1 - bare) + np.array(FOAM) * bare
    return reduce_colours(to_bytes(shrink(picture + grain[..., None])), 192)


def _over(picture: Floats, cover: Floats, colour: object) -> Floats:
    alpha = cover[..., None]
    mixed: Floats = picture * (1 - alpha) + np.asarray(colour, dtype=np.float64) * alpha
    return mixed


def _sky(rng: np.random.RandomState, x: Floats, y: Floats) -> Floats:
    """A graded sky (bokashi) with a red sun and clouds drawn as bundles of lines."""
    picture = between(PAPER, 0.05 + 1.6 * np.abs(y - 0.12))
    picture = _over(picture, 1 - smooth(y, 0.0, 0.13), BLUE)
    swell = noise(rng, 330, 2)
    cloud = smooth(1.2 * noise(rng, 300, 3) - 2.2 * np.abs(y - 0.20) + 0.20, 0.0, 0.012)
    level = (y + 0.055 * swell) * 46
    line = np.abs(level % 1.0 - 0.5)
    picture = _over(picture, cloud * 0.85, FOAM)
    picture = _over(picture, cloud * (1 - smooth(line, 0.13, 0.19)), BLUE)
    dx, dy = x - SUN[0], y - SUN[1]
    distance = np.sqrt(dx * dx + dy * dy)
    picture = _over(picture, 1 - smooth(distance, SUN[2] - EDGE, SUN[2] + EDGE), RED)
    veil = smooth(y, SUN[1] + 0.03, SUN[1] + 0.032) * (1 - smooth(line, 0.13, 0.19)) * (distance < SUN[2])
    return _over(picture, veil, FOAM)


def _wave(
    rng: np.random.RandomState, x: Floats, y: Floats, picture: Floats, centre_x: float, centre_y: float, radius: float
) -> Floats:
    """A wave that rises from the right, curls over to the left and ends in claws of foam."""
    dx, dy = (x - centre_x) / radius, (y - centre_y) / radius
    distance = np.sqrt(dx * dx + dy * dy)
    turn = turns_of(dx, -dy)  # 0 to the right, 0.25 up, 0.5 to the left
    # The back: a hump about the curl that runs out to both sides into the sea.
    sway = 0.20 * steady(np.sin(2 * np.pi * (0.11 * dx + centre_x)))
    back = -1.75 / (1 + (dx - 0.35) * (dx - 0.35) * 0.30) + 0.9 + sway
    depth = dy - back
    body = smooth(depth, -EDGE / radius, EDGE / radius)
    # Bands follow the hump near its top and the curl near its hollow.
    hollow = 1 - smooth(distance, 1.05, 1.75)
    spiral = distance * 1.9 + turn * 0.8  # times 1.25: one whole band a turn, no seam
    band = ((depth * 1.55 + 0.10 * dx) * (1 - hollow) + spiral * hollow) * 1.25
    phase = band % 1.0
    bands = np.where(
        (phase < 0.36)[..., None],
        np.array(INDIGO),
        np.where(
            (phase < 0.62)[..., None],
            np.array(BLUE),
            np.where((phase < 0.84)[..., None], np.array(SKY), np.array(FOAM)),
        ),
    ).astype(np.float64)
    fine = np.abs((band * 6) % 1.0 - 0.5)
    bands = np.where(((phase < 0.62) & (fine < 0.12))[..., None], np.array(NIGHT), bands)
    bands = np.where(((phase >= 0.62) & (phase < 0.84) & (fine < 0.14))[..., None], np.array(BLUE), bands)
    alpha = body[..., None]
    picture = picture * (1 - alpha) + bands * alpha
    outline = 1 - smooth(np.abs(depth), 0.030, 0.030 + 2 * EDGE / radius)
    picture = _over(picture, outline, NIGHT)
    return _foam(rng, x, y, picture, centre_x, centre_y, radius)


def _foam(
    rng: np.random.RandomState, x: Floats, y: Floats, picture: Floats, centre_x: float, centre_y: float, radius: float
) -> Floats:
    """Claws: chains of shrinking discs that leave the crest and curl inwards; spray above them."""
    discs = []
    for step in range(26):
        share = step / 25
        angle = 0.08 + 0.52 * share
        cos, sin = cos_sin(angle)
        reach = radius * (1.12 - 0.30 * share)
        base_x, base_y = centre_x + float(cos) * reach, centre_y - float(sin) * reach
        discs.append((base_x, base_y, radius * (0.10 + 0.08 * share)))
        if step % 2 == 0 and share > 0.2:
            for link in range(1, 5):
                bend_cos, bend_sin = cos_sin(angle + 0.10 + 0.055 * link)
                out = radius * 0.105 * link
                discs.append(
                    (base_x + float(bend_cos) * out, base_y - float(bend_sin) * out, radius * (0.115 - 0.02 * link))
                )
    for _ in range(26):
        cos, sin = cos_sin(0.20 + 0.42 * rng.random_sample())
        reach = radius * (1.25 + 0.85 * rng.random_sample())
        discs.append(
            (centre_x + float(cos) * reach, centre_y - float(sin) * reach, radius * (0.02 + 0.04 * rng.random_sample()))
        )
    for colour, grow in ((NIGHT, 2.6 / CANVAS_PX), (FOAM, 0.0)):
        for disc_x, disc_y, size in discs:
            reach_px = int((size + grow) * CANVAS_PX) + 3
            column, row = int(disc_x * CANVAS_PX), int(disc_y * CANVAS_PX)
            top, left = max(0, row - reach_px), max(0, column - reach_px)
            window = np.s_[top : max(top, row + reach_px), left : max(left, column + reach_px)]
            dx, dy = x[window] - disc_x, y[window] - disc_y
            distance = np.sqrt(dx * dx + dy * dy)
            picture[window] = _over(
                picture[window], 1 - smooth(distance, size + grow - EDGE, size + grow + EDGE), colour
            )
    return picture
