"""Image quilting by plain loops: what the vectorised search is held against."""

from __future__ import annotations

import numpy as np


def error_map(source: np.ndarray, comparisons: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Σ W (S − B)² by a double loop over the positions; source (K, Hs, Ws), B and W (K, h, w)."""
    h, w = comparisons[0][0].shape[1:]
    errors = np.zeros((source.shape[1] - h + 1, source.shape[2] - w + 1))
    for y, x in np.ndindex(errors.shape):
        errors[y, x] = sum((W * (source[:, y : y + h, x : x + w] - B) ** 2).sum() for B, W in comparisons)
    return errors
