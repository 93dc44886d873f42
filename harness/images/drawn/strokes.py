"""``strokes``: a whirling sky with suns over hills and a wheat field, in curved strokes of thick paint."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.images.drawn.brush import OilPainting, stroke, trace
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
    turns_of,
)

SEED = 7
# Centre x, y and radius in picture widths, sense of rotation.
WHIRLS = ((0.40, 0.33, 0.17, 1.0), (0.70, 0.45, 0.11, -1.0), (0.10, 0.52, 0.09, -1.0))
SUNS = ((0.83, 0.15, 0.085), (0.13, 0.13, 0.045), (0.57, 0.09, 0.030), (0.95, 0.42, 0.032), (0.30, 0.57, 0.026))
SKY = ((14, 22, 74), (22, 44, 128), (30, 74, 176), (52, 120, 206), (104, 176, 218), (178, 220, 204), (246, 236, 150))
SUN = ((255, 238, 130), (255, 214, 40), (252, 160, 22), (226, 96, 24))
HALO = ((255, 206, 60), (250, 236, 150), (140, 205, 190), (60, 130, 200))
HILLS = ((24, 22, 84), (30, 62, 116), (36, 110, 112), (70, 60, 140))
FIELD = ((122, 44, 26), (196, 84, 20), (236, 142, 24), (250, 190, 44), (255, 226, 112), (120, 140, 50))
# Stroke width and length in canvas pixels, and how many: from the ground up, as a painter would.
LAYERS = ((40.0, 170, 600), (25.0, 135, 1300), (16.0, 105, 2300), (9.0, 66, 1500))


def draw() -> NDArray[np.uint8]:
    """The picture, (512, 512, 3)."""
    rng = np.random.RandomState(SEED)
    x, y = grid()
    direction_x, direction_y, tone, region = _plan(rng, x, y)
    painting = OilPainting(np.array([24.0, 34.0, 92.0]))
    for width_px, length_px, num_strokes in LAYERS:
        starts = rng.random_sample((num_strokes, 2)) * CANVAS_PX
        paths = trace(starts, direction_x, direction_y, int(length_px / 1.4))
        for path, start in zip(paths, starts.astype(np.int64), strict=True):
            here = int(region[start[1], start[0]])
            shorter = 0.55 if here in (1, 2) and width_px > 10 else 1.0
            middle = len(path) // 2
            reach = int(middle * shorter * (0.6 + 0.4 * rng.random_sample()))
            width = width_px * (0.75 + 0.5 * rng.random_sample()) * (0.7 if here == 1 else 1.0)
            shift = (rng.random_sample() - 0.5) * 0.30
            colour = between((SKY, SUN, HALO, HILLS, FIELD)[here], tone[start[1], start[0]] + shift)
            colour = colour + (rng.random_sample(3) - 0.5) * 26
            if rng.random_sample() < 0.03 and here not in (
                1,
                2,
            ):  # a stroke of the other side's colour keeps the picture together
                colour = between(FIELD if here == 0 else SKY, rng.random_sample())
            stroke(painting, rng, path[middle - reach : middle + reach + 1], width, colour, streaks=22.0)
    light = np.clip(relief(painting.thickness) * 3.0, -42, 52)
    return reduce_colours(to_bytes(shrink(painting.colour + light[..., None])))


def _plan(rng: np.random.RandomState, x: Floats, y: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Direction (unit vectors), tone (0 to 1 along the palette) and region (index of the palette) everywhere."""
    large, small = noise(rng, 300, 2), noise(rng, 90, 2)
    flow_x = 1.0 + 0.0 * x
    flow_y = 0.55 * large + 0.15 * small
    tone = 0.36 + 0.30 * large + 0.22 * small - 0.16 * (0.5 - y)
    for centre_x, centre_y, radius, sense in WHIRLS:
        dx, dy = x - centre_x, y - centre_y
        distance = np.sqrt(dx * dx + dy * dy)
        share = (distance / radius) * (distance / radius)
        pull = 7.0 / (1 + share * share)
        away = np.maximum(distance, 1e-3)
        flow_x = flow_x + sense * pull * (-dy + 0.25 * dx) / away
        flow_y = flow_y + sense * pull * (dx + 0.25 * dy) / away
        arms = steady(np.sin(2 * np.pi * (turns_of(dx, dy) * 2 * sense - distance / radius * 1.7)))
        inside = 1 - smooth(distance, radius * 0.9, radius * 1.6)
        tone = tone * (1 - inside) + inside * (0.55 + 0.36 * arms)
    region = np.zeros_like(x)
    for centre_x, centre_y, radius in SUNS:
        dx, dy = x - centre_x, y - centre_y
        distance = np.sqrt(dx * dx + dy * dy)
        share = (distance / (2.2 * radius)) * (distance / (2.2 * radius))
        pull = 14.0 / (1 + share * share * share)
        away = np.maximum(distance, 1e-3)
        flow_x, flow_y = flow_x - pull * dy / away, flow_y + pull * dx / away
        halo, disc = distance < 2.3 * radius, distance < radius
        region = np.where(disc, 1.0, np.where(halo, 2.0, region))
        rings = 0.10 * steady(np.sin(2 * np.pi * distance / radius * 2.2))
        tone = np.where(halo, (distance / radius - 1) / 1.3 + rings, tone)
        tone = np.where(disc, distance / radius, tone)
    ridge = 0.655 + 0.035 * steady(np.sin(2 * np.pi * (1.3 * x + 0.1))) + 0.02 * steady(np.sin(2 * np.pi * 3.1 * x))
    edge = 0.745 + 0.03 * steady(np.sin(2 * np.pi * (0.9 * x + 0.55)))
    hills, wheat = (y > ridge) & (y <= edge), y > edge
    region = np.where(hills, 3.0, np.where(wheat, 4.0, region))
    rows = steady(np.sin(2 * np.pi * (7.0 * (y + 0.18 * x * x) + 1.2 * large)))
    tone = np.where(hills, 0.5 + 0.45 * small + 0.2 * large, np.where(wheat, 0.50 + 0.30 * rows + 0.25 * small, tone))
    flow_x = np.where(hills, 1.0, np.where(wheat, 1.0, flow_x))
    flow_y = np.where(hills, 0.6 * large + 0.5 * (x - 0.5), np.where(wheat, -0.36 * x * 2 + 0.9 * large + 0.3, flow_y))
    norm = np.sqrt(flow_x * flow_x + flow_y * flow_y)
    return flow_x / norm, flow_y / norm, np.clip(tone, 0, 1), region
