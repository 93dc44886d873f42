"""The sliced Wasserstein distance of Heitz, Vanhoey, Chambon & Belcour 2021, "A Sliced Wasserstein Loss for Neural
Texture Synthesis", eqs 2 and 3.

Two maps are taken as sets of points, one for each position, in a space of N filters; where in the picture a point is
does not count. Projected on a direction V, both sets are sorted, and the mean squared difference of what then stands at
equal ranks is the squared Wasserstein distance in one dimension; the distance is its mean over directions.

Shapes: N filters, M positions, K directions.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

MAX_DIRECTIONS = 128
MAX_POSITIONS = 2**18
"""512 × 512: up to this many positions of a map are all taken."""

SEED = 2021


def directions(num_filters: int, seed: int) -> Tensor:
    """(K, N) unit vectors, uniform on the sphere: K = N, at most ``MAX_DIRECTIONS``.

    # Deviates from Heitz et al. 2021, eq. 3: the directions are drawn once, by a seed, where theirs are new in every
    # step of an optimisation; and there are at most 128. So one picture always has one number.
    """
    generator = torch.Generator().manual_seed(SEED + seed)
    num = min(num_filters, MAX_DIRECTIONS)
    drawn = torch.randn(num, num_filters, dtype=torch.float64, generator=generator)
    lengths: Tensor = drawn.norm(dim=1, keepdim=True)
    return (drawn / lengths).float()


def kept_positions(height: int, width: int) -> Tensor | None:
    """Which positions of a map are taken, (height, width) booleans; None for all.

    # Deviates from Heitz et al. 2021, eq. 3: of more than ``MAX_POSITIONS`` that many, drawn once for each number of
    # positions: sorting all of a large picture's would take gigabytes.
    """
    if height * width <= MAX_POSITIONS:
        return None
    generator = torch.Generator().manual_seed(SEED)
    kept = torch.zeros(height * width, dtype=torch.bool)
    kept[torch.randperm(height * width, generator=generator)[:MAX_POSITIONS]] = True
    return kept.reshape(height, width)


def sort_projections(projections: Tensor) -> Tensor:
    """(K, M) projections with each direction's in rising order; in place."""
    projections.numpy().sort(axis=1)  # torch's sort makes 64-bit indices as well, and takes several times as long
    return projections


def sorted_distance(first: Tensor, second: Tensor) -> float:
    """Mean over directions and ranks of the squared difference, eq. 3.

    # Deviates from Heitz et al. 2021, eq. 3, where both have equally many positions (theirs are repeated until they
    # have): the quantiles of the one with fewer, known at (k + ½)/M, are interpolated linearly, and constant beyond.

    Args:
        first: (K, M), each row rising.
        second: (K, M'), likewise.

    Returns:
        ≥ 0; exactly 0 for equal ones, and the same in either order.
    """
    num = max(first.shape[1], second.shape[1])
    rows = zip(first, second, strict=True)  # one after another: double precision of all would be several times as much
    squares = [(_quantiles(a, num) - _quantiles(b, num)).square().mean() for a, b in rows]
    return torch.stack(squares).mean().item()


def _quantiles(values: Tensor, num: int) -> Tensor:
    """(M,) sorted values at ``num`` ranks, float64."""
    if len(values) == num:
        return values.double()
    return functional.interpolate(values.double()[None, None], num, mode="linear", align_corners=False)[0, 0]
