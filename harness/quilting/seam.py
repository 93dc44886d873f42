"""The minimum error boundary cut: along which pixels a new block replaces what is there already.

A. Efros & W. Freeman, "Image quilting for texture synthesis and transfer" (SIGGRAPH 2001), section 2.1; symbols:
e squared difference of the two blocks at a pixel, E cost of the cheapest path from the overlap's far end to it. A path
has one pixel a row (a column, where the overlap lies above), the next one straight on or one to a side.

Shapes: error (h, w), one block's pixels; the overlap is its first ``overlap_px`` columns, rows, or both.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def kept_pixels(error: Floats, overlap_px: int, *, left: bool, top: bool) -> NDArray[np.bool_]:
    """Which pixels of a new block go into the picture: those on and beyond the cheapest cut through the overlap.

    Where the block overlaps on two sides, the cut from below and the cut from the right meet in a pixel of the corner
    that both overlaps share: the one that makes the whole cheapest, its own error counted once.

    Args:
        error: e (h, w), finite, ≥ 0; only the overlap is read. h > ``overlap_px`` if ``top``, w likewise if ``left``.
        overlap_px: ≥ 1.
        left: the block overlaps with what lies to its left.
        top: the block overlaps with what lies above it.

    Returns:
        (h, w); everything where it overlaps on no side.
    """
    height, width = error.shape
    first_column, first_row = np.zeros(height, np.intp), np.zeros(width, np.intp)
    down = path_costs(error[:, :overlap_px]) if left else None
    across = path_costs(error[:overlap_px].T) if top else None
    if down is not None and across is not None:
        # Deviates from Efros & Freeman 2001, section 2.1: "the minimal paths meet in the middle and the overall minimum
        # is chosen for the cut", with no word on where. Here in any pixel of the shared corner, its error counted once.
        corner = error[:overlap_px, :overlap_px]
        meeting = down[:overlap_px] + across[:overlap_px].T - corner
        row, column = divmod(int(meeting.argmin()), overlap_px)
        first_column[:row], first_column[row:] = column, cheapest_path(down[row:], column)
        first_row[column:] = cheapest_path(across[column:], row)
    elif down is not None:
        first_column = cheapest_path(down, int(down[0].argmin()))
    elif across is not None:
        first_row = cheapest_path(across, int(across[0].argmin()))
    rows, columns = np.arange(height)[:, None], np.arange(width)
    return (columns >= first_column[:, None]) & (rows >= first_row)


def path_costs(e: Floats) -> Floats:
    """E_ij = e_ij + min(E_i+1,j−1, E_i+1,j, E_i+1,j+1), from the last row (section 2.1, there from the first).

    Args:
        e: (n, o).

    Returns:
        E (n, o): what the cheapest path from the last row to each pixel costs, both ends included.
    """
    E = np.full((e.shape[0], e.shape[1] + 2), np.inf)
    E[:, 1:-1] = e
    for i in range(len(e) - 2, -1, -1):
        below = E[i + 1]
        E[i, 1:-1] += np.minimum(np.minimum(below[:-2], below[1:-1]), below[2:])
    return E[:, 1:-1]


def cheapest_path(E: Floats, column: int) -> NDArray[np.intp]:
    """Follow the path that ``path_costs`` priced.

    Args:
        E: (n, o).
        column: where it begins in the first row.

    Returns:
        (n,), its column in every row; of equal ones the leftmost.
    """
    path = np.empty(len(E), np.intp)
    costs = E.tolist()
    for i, row in enumerate(costs):
        if i:
            near = range(max(column - 1, 0), min(column + 2, len(row)))
            column = min(near, key=row.__getitem__)
        path[i] = column
    return path
