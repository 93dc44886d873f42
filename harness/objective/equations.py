"""The equations of Gatys, Ecker & Bethge (CVPR 2016), one home each, per row of a batch.

Legend: B rows, N = N_l filters, M = M_l positions, F a row's map after its ReLU (N × M), P the content image's map,
G = F Fᵀ its Gram matrix, A the style image's; α, β, w_l the weights. Gradients are autograd's: equations 2 and 6, which
are gradients with respect to the ReLU's input, stand in the tests as the check on it.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def content_loss(features: Tensor, target: Tensor) -> Tensor:
    """Equation 1: L_content = ½ Σ_ij (F_ij − P_ij)².

    Args:
        features: (B, N, h, w) maps of the pictures.
        target: (B, N, h, w) or (1, N, h, w) maps of the photograph.

    Returns:
        (B,) losses.
    """
    return (features - target).square().sum((1, 2, 3)) / 2


def gram(features: Tensor) -> Tensor:
    """Equation 3: G_ij = Σ_k F_ik F_jk.

    Args:
        features: (B, N, h, w).

    Returns:
        (B, N, N), symmetric positive semi-definite.
    """
    positions = features.permute(0, 2, 3, 1).flatten(1, 2)  # (B, M, N); a view where memory is channels-last
    return positions.transpose(1, 2) @ positions


def gram_per_position(features: Tensor) -> Tensor:
    """G / M, the Gram matrix divided by its own map's number of positions: comparable between sizes of image."""
    return gram(features) / (features.shape[2] * features.shape[3])


def style_layer_loss(gram_per_position: Tensor, target: Tensor) -> Tensor:
    """Equation 4: E_l = 1/(4 N² M²) Σ_ij (G_ij − A_ij)².

    # Deviates from Gatys et al. 2016, eq. 4: G is divided by its own M and A by the style image's M_s, since the style
    # keeps its proportions; where M_s = M the two are the same.

    Args:
        gram_per_position: (B, N, N), G / M.
        target: (B, N, N) or (1, N, N), A / M_s.

    Returns:
        (B,) losses.
    """
    num_filters = gram_per_position.shape[-1]
    return (gram_per_position - target).square().sum((1, 2)) / (4 * num_filters**2)


def style_loss(layer_losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Equation 5: L_style = Σ_l w_l E_l, over the layers given; their weights must all be there."""
    return torch.stack([weights[layer] * loss for layer, loss in layer_losses.items()]).sum(0)


def total_loss(content: Tensor, style: Tensor, alpha: float | Tensor, beta: float | Tensor) -> Tensor:
    """Equation 7: L_total = α L_content + β L_style; α and β are numbers, or (B,) one for each row."""
    return alpha * content + beta * style
