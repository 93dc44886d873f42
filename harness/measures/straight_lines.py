"""Straight edges of a photograph, and how many of them a picture still has at the same place.

Lines are found by Canny's edges (1986) and the progressive probabilistic Hough transform (Galamhos, Matas & Kittler
1999), both scikit-image's, with a fixed seed. Whether an edge goes through a point is read from the colour structure
tensor (Di Zenzo 1986), to which an edge between two colours of equal luminance is one too.

Letters: p a point of a line, n the line's unit normal, k a distance along it in px; J(p) = Σ over R, G, B of ∇ ∇ᵀ.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.measures.arrays import Floats, luminance

CANNY: dict[str, float] = {"sigma": 2.0, "low_threshold": 0.1, "high_threshold": 0.2}
"""Of luminance: an edge begins where it steps by an eighth of the range, and goes on down to a sixteenth."""
SIGMA_PX = 1.5
"""Of the blur before the gradient: a stroke of 1 px is noise, an edge is not moved."""
MIN_LENGTH_PX = 32
MIN_LENGTH_SHARE = 0.1
"""Of the longer side, or ``MIN_LENGTH_PX`` if that is more: what is shorter bends before it can be seen."""
GAP_PX = 3
REACH_PX = 3
"""How far from the line the strongest edge is looked for; with ``TOLERANCE_PX``, chance alone finds 5 of 13 places."""
TOLERANCE_PX = 1.0
MAX_ANGLE_DEG = 15.0
"""Between an edge and the line; chance finds one in six."""
LEAST_GRADIENT = 1 / 255 / 4
"""Of an edge, per px: below lies what rounding to 8 bits leaves."""
LEAST_PIXELS = 100


class Points(NamedTuple):
    """Points of straight lines.

    Attributes:
        positions: (P, 2), down and across, px.
        normals: (P, 2), of length 1.
    """

    positions: Floats
    normals: Floats


def straight_share(picture: Floats, photograph: Floats) -> float | None:
    """The share of the photograph's straight-edge pixels at which the picture has an edge like it.

    At a point p of a line, an image's edge is where nᵀ J(p + k n) n is largest over |k| ≤ 3 px, and counts if its
    gradient lies within 15° of n; points at which the photograph itself has none do not count. The picture keeps an
    edge that is at most 1 px from the photograph's.

    Args:
        picture: (H, W, 3).
        photograph: (H, W, 3).

    Returns:
        0 to 1; None where the photograph has fewer than ``LEAST_PIXELS`` such pixels.
    """
    points = straight_points(photograph)
    places, edges = _strongest(photograph, points)
    if edges.sum() < LEAST_PIXELS:
        return None
    places_x, edges_x = _strongest(picture, points)
    kept = edges_x & (np.abs(places_x - places) <= TOLERANCE_PX)
    return float(kept[edges].mean())


def straight_points(image: Floats) -> Points:
    """The pixels along an image's straight lines."""
    from skimage.feature import canny
    from skimage.transform import probabilistic_hough_line

    length_px = round(max(MIN_LENGTH_PX, MIN_LENGTH_SHARE * max(image.shape[:2])))
    edges = canny(luminance(image), **CANNY)
    found = probabilistic_hough_line(edges, line_length=length_px, line_gap=GAP_PX, rng=0)
    positions, normals = [np.empty((0, 2))], [np.empty((0, 2))]
    for ends in found:
        begin, end = (np.array(point[::-1], float) for point in ends)  # they come as (across, down)
        down, across = end - begin
        count = int(max(abs(down), abs(across))) + 1
        positions.append(np.linspace(begin, end, count))
        normals.append(np.tile(np.array([-across, down]) / np.hypot(down, across), (count, 1)))
    return Points(np.concatenate(positions), np.concatenate(normals))


def _strongest(image: Floats, points: Points) -> tuple[Floats, NDArray[np.bool_]]:
    """Where along its normal the strongest edge of each point is, px, and whether it is one along the line."""
    from scipy.ndimage import gaussian_filter, map_coordinates

    channels = [gaussian_filter(channel, SIGMA_PX) for channel in np.moveaxis(image, 2, 0)]
    gradients = np.array([np.gradient(channel) for channel in channels])  # (3, 2, H, W)
    offsets = np.arange(-2 * REACH_PX, 2 * REACH_PX + 1) / 2
    offsets = offsets[np.argsort(np.abs(offsets), kind="stable")]  # of equal ones the nearest is taken
    places = points.positions + offsets[:, None, None] * points.normals  # (K, P, 2)
    n = points.normals
    along_normal, trace = np.zeros(places.shape[:2]), np.zeros(places.shape[:2])
    for i, j in ((0, 0), (0, 1), (1, 1)):
        J_ij = map_coordinates((gradients[:, i] * gradients[:, j]).sum(0), np.moveaxis(places, 2, 0), order=1)
        along_normal += (1 if i == j else 2) * n[:, i] * n[:, j] * J_ij
        trace += J_ij if i == j else 0
    best = along_normal.argmax(0)
    strength, whole = (np.take_along_axis(values, best[None], 0)[0] for values in (along_normal, trace))
    is_along = strength >= np.cos(np.radians(MAX_ANGLE_DEG)) ** 2 * whole
    return offsets[best], is_along & (strength >= LEAST_GRADIENT**2)
