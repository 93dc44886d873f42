"""A brush: strokes along a direction field, with bristles, ragged ends and thickness of paint.

After Hertzmann 1998 ("Painterly rendering with curved brush strokes of multiple sizes"): layers from large to small,
each stroke following the field from its start. Here the field and colours are invented, not an image's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from harness.images.drawn.canvas import CANVAS_PX, Floats

SPACING_PX = 0.7  # between samples of a stroke: below 1/√2, so that no pixel inside is missed


@dataclass
class OilPainting:
    """Wet canvas: colour (H, W, 3) and thickness (H, W) of what lies on top."""

    ground: Floats
    colour: Floats = field(init=False)
    thickness: Floats = field(init=False)

    def __post_init__(self) -> None:
        """Begin with the ground colour everywhere."""
        self.colour = np.empty((CANVAS_PX, CANVAS_PX, 3))
        self.colour[:] = self.ground
        self.thickness = np.zeros((CANVAS_PX, CANVAS_PX))


def trace(starts: Floats, direction_x: Floats, direction_y: Floats, num_steps: int) -> Floats:
    """Paths that follow a direction field both ways from their starts.

    Args:
        starts: (S, 2) x, y in canvas pixels; the middle of each path.
        direction_x: (H, W) of unit vectors.
        direction_y: (H, W).
        num_steps: in each direction, ``SPACING_PX`` each.

    Returns:
        (S, 2 · num_steps + 1, 4): x, y and the direction there.
    """
    halves = []
    for sign in (-1.0, 1.0):
        x, y = starts[:, 0].copy(), starts[:, 1].copy()
        points = []
        for _ in range(num_steps + 1):
            column = np.clip(np.floor(x), 0, CANVAS_PX - 1).astype(np.int64)
            row = np.clip(np.floor(y), 0, CANVAS_PX - 1).astype(np.int64)
            dx, dy = direction_x[row, column], direction_y[row, column]
            points.append(np.stack([x, y, dx, dy], axis=1))
            x = x + sign * SPACING_PX * dx
            y = y + sign * SPACING_PX * dy
        halves.append(points)
    return np.stack(halves[0][:0:-1] + halves[1], axis=1)


def stroke(
    painting: OilPainting, rng: np.random.RandomState, path: Floats, width_px: float, colour: Floats, streaks: float
) -> None:
    """Lay one stroke: bristles vary in lightness across it, its ends are ragged, its edges stand up.

    Args:
        painting: changed in place.
        rng: for the bristles.
        path: (K, 4) from :func:`trace`.
        width_px: of the brush, in canvas pixels.
        colour: (3,) sRGB 0 to 255.
        streaks: how much the bristles differ, in levels of lightness.
    """
    num_steps, num_bristles = len(path), max(2, int(width_px / SPACING_PX) + 1)
    across = (np.arange(num_bristles) + 0.5) / num_bristles * 2 - 1
    coarse = rng.random_sample(num_bristles // 3 + 2) * 2 - 1
    at = np.arange(num_bristles) / 3
    low = at.astype(np.int64)
    bristle = coarse[low] * (1 - (at - low)) + coarse[low + 1] * (at - low)
    # Round ends: bristles away from the middle start later and stop earlier, each a little differently.
    along = np.arange(num_steps)[:, None]
    raggedness = (across * across * 0.5 * width_px + (1 + bristle) * 0.25 * width_px) / SPACING_PX
    laid = (along >= 0.6 * raggedness) & (along < num_steps - raggedness)
    x = path[:, 0, None] - path[:, 3, None] * across * (width_px / 2)
    y = path[:, 1, None] + path[:, 2, None] * across * (width_px / 2)
    column, row = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    laid &= (column >= 0) & (column < CANVAS_PX) & (row >= 0) & (row < CANVAS_PX)
    which_step, which_bristle = np.nonzero(laid)
    rows, columns = row[which_step, which_bristle], column[which_step, which_bristle]
    shade = bristle[which_bristle] * streaks
    painting.colour[rows, columns] = colour + shade[:, None]
    edge = across * across
    profile = 0.5 + 0.35 * bristle + 0.5 * edge * edge
    run = (along[:, 0] / num_steps)[which_step]
    painting.thickness[rows, columns] = (profile[which_bristle] * (0.75 + 0.5 * run)) * min(width_px, 14.0)


def pen(ink: Floats, rng: np.random.RandomState, path: Floats, width_px: float, strength: float) -> None:
    """Draw one pen line that swells in its middle and thins towards its ends.

    Args:
        ink: (H, W), how much light the ink leaves, 1 to 0; multiplied in place, so that crossing lines darken.
        rng: for the hand's tremor.
        path: (K, 4) from :func:`trace`.
        width_px: at the thickest, in canvas pixels.
        strength: how much light one line takes away, 0 to 1.
    """
    num_steps = len(path)
    run = (np.arange(num_steps) + 0.5) / num_steps
    width = width_px * (0.35 + 2.6 * run * (1 - run))
    num_across = int(width_px / SPACING_PX) + 2
    across = (np.arange(num_across) + 0.5) / num_across * 2 - 1
    bow = (rng.random_sample() - 0.5) * 4 * run * (1 - run) * 6.0
    offset = bow[:, None] + across * width[:, None] / 2
    column = np.floor(path[:, 0, None] - path[:, 3, None] * offset).astype(np.int64)
    row = np.floor(path[:, 1, None] + path[:, 2, None] * offset).astype(np.int64)
    inside = (column >= 0) & (column < CANVAS_PX) & (row >= 0) & (row < CANVAS_PX)
    touched = np.unique(row[inside] * CANVAS_PX + column[inside])
    ink.reshape(-1)[touched] *= 1 - strength
