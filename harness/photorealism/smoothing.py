"""The photorealistic smoothing step: a finished picture made to vary as the photograph does, whatever painted it.

Li, Liu, Li, Yang & Kautz, *A Closed-form Solution to Photorealistic Image Stylization* (ECCV 2018), section 3.2: the
picture is the query of a manifold ranking on the photograph's pixels, R = (1 − α)(I − αS)⁻¹ Y.

Legend: Y the picture, R the smoothed one; α in [0, 1) the strength, 1/(1 + λ) of the paper's λ; W the matting affinity
of the photograph, D its row sums, M = D − W the matting Laplacian (see ``laplacian``); S = D^-½ W D^-½.

I − αS is positive definite although W has negative entries: I − S = D^-½ M D^-½ and 0 ≤ M ≤ D, so that the eigenvalues
of I − αS lie in [1 − α, 1]. Conjugate gradients converge, in a number of steps that grows as 1/√(1 − α): on one core a
picture of 384 × 256 px takes 0.2 s at α = 0.8 and 6 s at α = 0.9999.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from harness.photorealism.laplacian import MattingLaplacian, matting_laplacian

LARGEST_STRENGTH = 0.9999
"""Beyond, the solve takes minutes, for pictures that already look the same."""

TOLERANCE = 1e-8
"""The error's norm relative to the picture's, both weighted by D: far below an 8-bit file's 1/255."""


def smooth(stylised: Tensor, content: Tensor, strength: float = 0.8, epsilon: float = 1e-7) -> Tensor:
    """R = (1 − α)(D − αW)⁻¹ D Y, channel by channel, in float64.

    That is the (1 − α)(I − αS)⁻¹ Y of Li et al. 2018, section 3.2, applied to √D Y and divided by √D: the two are the
    same where D is constant, which it is but for the border.

    Linear in the picture, so not clamped: near strong edges R may leave Y's range by a little, as files clamp anyway.
    A constant channel stays as it is, bit for bit.

    Args:
        stylised: (3, H, W), the picture, any range.
        content: (3, H, W), its photograph, sRGB in [0, 1], sides ≥ 3.
        strength: α, 0 to 0.9999; 0 returns the picture bit for bit. The larger, the farther W carries: 0.8 evens out
            grain, 0.9999 gives distorted outlines the photograph's straight lines back.
        epsilon: ε of the matting Laplacian.

    Returns:
        (3, H, W) on the device and in the precision of ``stylised``; its error at most ``TOLERANCE`` of its norm.

    Raises:
        ValueError: a strength out of range, a picture of another size than the photograph or not finite, or a
            photograph without a matting Laplacian.
    """
    if not 0 <= strength <= LARGEST_STRENGTH:
        raise ValueError(f"The smoothing's strength is {strength}; it must be between 0 and {LARGEST_STRENGTH}.")
    if stylised.shape != content.shape:
        raise ValueError(
            f"The picture has the shape {tuple(stylised.shape)} and the content image {tuple(content.shape)}; "
            "both need the same: resize one."
        )
    if not stylised.isfinite().all():
        raise ValueError("The picture has values that are not finite; it cannot be smoothed.")
    if strength == 0:
        return stylised.detach().clone()
    laplacian = matting_laplacian(content.to(stylised.device, torch.float64), epsilon)
    with torch.no_grad():
        return torch.stack([_solve(Y, laplacian, strength) for Y in stylised.double()]).to(stylised)


def _solve(Y: Tensor, laplacian: MattingLaplacian, alpha: float) -> Tensor:
    """One channel, (H, W), by conjugate gradients from Y, with D as the preconditioner."""
    # Deviates from Li et al. 2018, section 3.2: their S weighs each pixel by √D_ii, so that a constant picture stays
    # one only where D is constant, and the border, in fewer windows, darkens (the outermost pixels by 16% at α = 0.8,
    # 38% at 0.9999). Here √D Y is smoothed and divided by √D: R = (1 − α)(D − αW)⁻¹ D Y, the same where D is constant.
    D = laplacian.windows()
    R = Y.clone()
    # D − αW = (1 − α) D + αM, so that the first residual, (1 − α) D Y − (D − αW) Y, is −αMY.
    residual = -alpha * laplacian.product(Y)
    # The least eigenvalue of D^-½ (D − αW) D^-½ is 1 − α: this residual is that error.
    target = TOLERANCE * (1 - alpha) * (D * Y * Y).sum().sqrt()
    direction, previous = torch.zeros_like(Y), 1.0
    for _ in range(_most_steps(alpha)):
        preconditioned = residual / D
        squared = float((residual * preconditioned).sum())
        if math.sqrt(squared) <= target:
            return R
        direction = preconditioned + squared / previous * direction
        image = (1 - alpha) * D * direction + alpha * laplacian.product(direction)
        step = squared / float((direction * image).sum())
        R += step * direction
        residual -= step * image
        previous = squared
    raise AssertionError("conjugate gradients did not converge within twice their bound")


def _most_steps(alpha: float) -> int:
    """Twice the bound on conjugate gradients' steps: ½ √κ ln(2 κ / tolerance), condition number κ ≤ 1/(1 − α)."""
    condition = 1 / (1 - alpha)
    return 10 + math.ceil(math.sqrt(condition) * math.log(2 * condition / TOLERANCE))
