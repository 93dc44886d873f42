"""LPIPS, VGG variant, version 0.1: Zhang, Isola, Efros, Shechtman & Wang 2018, "The Unreasonable Effectiveness of Deep
Features as a Perceptual Metric", eq. 1.

    d(x, x₀) = Σ_l 1/(H_l W_l) Σ_hw ‖w_l ⊙ (ŷ_hw − ŷ₀_hw)‖²

with y_l VGG-16's map after the last ReLU of each block (max pooling, not normalised), ŷ the same divided by its length
at each position, and w_l² ≥ 0 the weights of a linear layer that was fitted to what people call alike.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

LPIPS_LAYERS: tuple[str, ...] = ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3")

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""The published scaling layer's, of pixels in [−1, 1]; it is torchvision's input."""

EPSILON = 1e-10
"""Added to a position's length, as published."""


def with_scaling_layer(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A network whose input is LPIPS's scaling layer, for pixels in [0, 1]: ((2x − 1) − shift) / scale."""
    shift, scale = torch.tensor(SHIFT, dtype=torch.float64), torch.tensor(SCALE, dtype=torch.float64)
    weight, bias = torch.diag(2 / scale)[:, :, None, None], (-1 - shift) / scale
    return {**state, "input.weight": weight.float(), "input.bias": bias.float()}


def lpips_sum(F: Tensor, P: Tensor, weights: Tensor) -> Tensor:
    """One layer's term, summed over positions.

    Args:
        F: (N, h, w), a picture's map, or a tile of it.
        P: (N, h, w), the other's.
        weights: (N,), the linear layer's, ≥ 0.

    Returns:
        Scalar, float64, ≥ 0: exactly 0 for equal maps.
    """
    difference = (_unit(F) - _unit(P)).square_()
    return torch.einsum("n,nhw->hw", weights, difference).sum(dtype=torch.float64)


def _unit(F: Tensor) -> Tensor:
    return F / (F.square().sum(0).sqrt() + EPSILON)
