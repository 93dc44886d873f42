"""The equations of Gatys, Ecker & Bethge (CVPR 2016), one home each, per row of a batch; and what was added to them.

Legend: B rows, N = N_l filters, M = M_l positions, F a row's map after its ReLU (N × M), P the content image's map,
G = F Fᵀ its Gram matrix, A the style image's; α, β, w_l the weights; t (M) a guidance channel. The gradients of
equations 1, 3 and 4 are written out: equations 2 and 6, which are gradients with respect to the ReLU's input, stand in
the tests as the check on them; the others are autograd's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from harness.features import onednn
from harness.features.vgg import ReadOut


def content_loss(features: Tensor, target: Tensor, read_out: ReadOut | None = None) -> Tensor:
    """Equation 1: L_content = ½ Σ_ij (F_ij − P_ij)².

    Args:
        features: (B, N, h, w) maps of the pictures.
        target: (B, N, h, w) or (1, N, h, w) maps of the photograph; it has no gradient.
        read_out: what is compared of both; None: they are.

    Returns:
        (B,) losses.
    """
    weigh = None if read_out is None else read_out.weighed_map
    squares: Tensor = _SquaredDistance.apply(features, target, weigh)
    return squares / 2


class _SquaredDistance(torch.autograd.Function):
    """Of each row ⟨D, W D⟩, D = X − Y, for a symmetric W; its gradient in X is 2 W D."""

    @staticmethod
    def forward(ctx: Any, X: Tensor, Y: Tensor, weigh: Callable[[Tensor], Tensor] | None) -> Tensor:
        D = X - Y
        WD = D if weigh is None else weigh(D)
        ctx.save_for_backward(WD)
        return (D * WD).sum(tuple(range(1, D.dim())))

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator, unused-ignore]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (WD,) = ctx.saved_tensors
        return WD * (2 * gradient).view(-1, *[1] * (WD.dim() - 1)), None, None


def gram(features: Tensor) -> Tensor:
    """Equation 3: G_ij = Σ_k F_ik F_jk.

    Args:
        features: (B, N, h, w).

    Returns:
        (B, N, N), symmetric positive semi-definite.
    """
    found: Tensor = _Gram.apply(features)
    return found


class _Gram(torch.autograd.Function):
    """F Fᵀ, its gradient with one product where autograd makes two: (D + Dᵀ) F for the gradient D of G."""

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        features = features.contiguous(memory_format=torch.channels_last)  # which maps are already
        ctx.save_for_backward(features)
        if onednn.is_for(features):
            return onednn.by_rows(lambda of_row: onednn.gram(of_row)[None], features)
        positions = features.permute(0, 2, 3, 1).flatten(1, 2)  # (B, M, N)
        return positions.transpose(1, 2) @ positions

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator, unused-ignore]
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (features,) = ctx.saved_tensors
        both = gradient + gradient.transpose(1, 2)
        if onednn.is_for(features):
            of_rows = zip(features.split(1), both, strict=True)
            found = [
                onednn.convolved(of_row, of_gram[:, :, None, None], None, padding=0) for of_row, of_gram in of_rows
            ]
            return found[0] if len(found) == 1 else torch.cat(found)
        positions = features.permute(0, 2, 3, 1)
        product: Tensor = positions.flatten(1, 2) @ both
        return product.view(positions.shape).permute(0, 3, 1, 2)


def gram_per_position(features: Tensor, num_positions: int | None = None) -> Tensor:
    """G / M, the Gram matrix divided by its own map's number of positions: comparable between sizes of image.

    Args:
        features: (B, N, h, w), a whole map or a part of one; the parts' sum is the whole's.
        num_positions: M of the whole map, where the features are a part of it.
    """
    return gram(features) / (num_positions or features.shape[2] * features.shape[3])


def guided_gram_per_position(features: Tensor, guidance: Tensor, squares: Tensor | None = None) -> Tensor:
    """G_r = (T_r ∘ F)(T_r ∘ F)ᵀ with Σ_k T_rk² = 1: Σ_k t_k² F_k F_kᵀ / Σ_k t_k², the Gram matrix of a region.

    Gatys, Ecker, Bethge, Hertzmann & Shechtman 2017, "Controlling Perceptual Factors in Neural Style Transfer",
    section 4 (guided Gram matrices). With t = 1 everywhere it is G / M.

    Args:
        features: (B, N, h, w), a whole map or a part of one; the parts' sum is the whole's.
        guidance: (h, w), t ≥ 0 at each of these positions, not all 0.
        squares: Σ t² of the whole map, where the features are a part of it.
    """
    return gram(features * guidance) / (guidance.square().sum() if squares is None else squares)


def style_layer_loss(gram_per_position: Tensor, target: Tensor, read_out: ReadOut | None = None) -> Tensor:
    """Equation 4: E_l = 1/(4 N² M²) Σ_ij (G_ij − A_ij)².

    # Deviates from Gatys et al. 2016, eq. 4: G is divided by its own M and A by the style image's M_s, since the style
    # keeps its proportions; where M_s = M the two are the same.

    Args:
        gram_per_position: (B, N, N), G / M.
        target: (B, N, N) or (1, N, N), A / M_s; it has no gradient.
        read_out: what is compared of the maps, whose number is then N in the equation; None: they are.

    Returns:
        (B,) losses.
    """
    num_compared = gram_per_position.shape[-1] if read_out is None else read_out.num_compared
    weigh = None if read_out is None else read_out.weighed_gram
    squares: Tensor = _SquaredDistance.apply(gram_per_position, target, weigh)
    return squares / (4 * num_compared**2)


def style_loss(layer_losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Equation 5: L_style = Σ_l w_l E_l, over the layers given; their weights must all be there."""
    return torch.stack([weights[layer] * loss for layer, loss in layer_losses.items()]).sum(0)


def total_loss(content: Tensor, style: Tensor, alpha: float | Tensor, beta: float | Tensor) -> Tensor:
    """Equation 7: L_total = α L_content + β L_style; α and β are numbers, or (B,) one for each row."""
    return alpha * content + beta * style


def total_variation_loss(images: Tensor) -> Tensor:
    """Mahendran & Vedaldi 2015, section 3 (R_Vβ with β = 2): Σ_ij (x_i,j+1 − x_ij)² + (x_i+1,j − x_ij)².

    # Deviates from Mahendran & Vedaldi 2015, section 3: divided by 3 H W, so that λ means the same at every size.

    Args:
        images: (B, 3, H, W).

    Returns:
        (B,) losses, 0 for an image of one colour.
    """
    squares = images.diff(dim=2).square().sum((1, 2, 3)) + images.diff(dim=3).square().sum((1, 2, 3))
    return squares / images[0].numel()
