"""The matting Laplacian of a photograph, and the loss of a picture that is not locally affine in its colours.

Levin, Lischinski & Weiss, *A Closed-Form Solution to Natural Image Matting* (PAMI 2008), eq. 12; Luan, Paris,
Shechtman & Bala, *Deep Photo Style Transfer* (CVPR 2017), eq. 2. Over every 3 × 3 window, each channel of the picture
is fitted as affine in the photograph's three colours; what the best fits leave, squared and summed, is Vᵀ M V.

Legend: w_k the window around pixel k, |w_k| = 9; I the photograph; μ_k, Σ_k the mean and covariance of its colours in
w_k; U the 3 × 3 identity; V one channel of a picture, as a vector of its pixels; M = D − W the matting Laplacian, with
W_ij = Σ_{k : i, j ∈ w_k} (1 + (I_i − μ_k)ᵀ (Σ_k + ε/|w_k| U)⁻¹ (I_j − μ_k)) / |w_k| the matting affinity, of either
sign, and D_ii = Σ_j W_ij = the number of windows that hold pixel i. As quadratic forms 0 ≤ M ≤ D.

M has 25 diagonals, is symmetric, and its rows sum to 0, so it is kept as the twelve maps of W_ij for which j is ahead
of i: (M V)_i = Σ_j W_ij (V_i − V_j), and constants cost exactly 0 in any precision. Against torch's sparse CSR: about
its speed on one core (loss and gradient of a 384 × 256 picture: 3 ms), a sixth of its memory (48 B a pixel in float32),
and shifted maps and sums only, so that no two runs differ in a bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

OFFSETS: tuple[tuple[int, int], ...] = (
    *((0, dx) for dx in (1, 2)),
    *((dy, dx) for dy in (1, 2) for dx in range(-2, 3)),
)
"""(rows down, columns right) from pixel i to each j ahead of it that shares a window."""

# Windows per chunk of the assembly, whose 9 × 9 affinities in float64 are the peak: 2¹⁵ · 81 · 8 B = 21 MB.
_WINDOWS_PER_CHUNK = 2**15

# Below, a window of one grey has a Σ_k + ε/9 U that is singular in float64: colours are in [0, 1].
_SMALLEST_EPSILON = 1e-12


@dataclass(frozen=True, eq=False)
class MattingLaplacian:
    """M of one photograph.

    Attributes:
        affinity: (12, H, W): W_ij of each pixel i and the pixel j at ``OFFSETS`` from it; 0 where no window holds both.
    """

    affinity: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the photograph, in pixels."""
        return self.affinity.shape[1], self.affinity.shape[2]

    def to(self, device: torch.device | str, dtype: torch.dtype) -> MattingLaplacian:
        """The same matrix on another device, in another precision."""
        return MattingLaplacian(self.affinity.to(device, dtype))

    def windows(self) -> Tensor:
        """D_ii: (H, W), the number of windows that hold each pixel, 1 at a corner to 9 inside."""
        counts = [torch.ones(n - 2).to(self.affinity) for n in self.size]
        rows, columns = (F.pad(c, (2, 0)) + F.pad(c, (1, 1)) + F.pad(c, (0, 2)) for c in counts)
        return rows[:, None] * columns

    def product(self, V: Tensor) -> Tensor:
        """M V for a (…, H, W) V, channel by channel."""
        return self._product_and_form(V)[0]

    def _product_and_form(self, V: Tensor) -> tuple[Tensor, Tensor]:
        """M V and Vᵀ M V = Σ_{j ahead of i} W_ij (V_i − V_j)², summed over all of V."""
        product, form = torch.zeros_like(V), V.new_zeros(())
        for W, (dy, dx) in zip(self.affinity, OFFSETS, strict=True):
            i, j = _pair(self.size, dy, dx)
            difference = V[..., *i] - V[..., *j]
            weighted = W[*i] * difference
            product[..., *i] += weighted
            product[..., *j] -= weighted
            form += weighted.mul_(difference).sum()
        return product, form


def matting_laplacian(content: Tensor, epsilon: float = 1e-7) -> MattingLaplacian:
    """M of Levin et al. 2008, eq. 12, over the 3 × 3 windows that lie inside the photograph.

    Args:
        content: (3, H, W) sRGB in [0, 1], sides ≥ 3.
        epsilon: ε ≥ 1e-12, the cost of the fits' slopes; the published experiments use 1e-7.

    Returns:
        M on the content's device and in its precision; assembled in float64.

    Raises:
        ValueError: content of another shape, smaller than a window, of integers or not finite; ε too small.
    """
    _check(content, epsilon)
    height, width = content.shape[1:]
    photograph = content.detach().double()
    affinity = photograph.new_zeros(len(OFFSETS), height, width)
    step = max(1, _WINDOWS_PER_CHUNK // (width - 2))
    for top in range(0, height - 2, step):
        band = photograph[:, top : top + step + 2]
        of_windows = _window_affinity(band, epsilon)  # (9, 9, h, w)
        h = of_windows.shape[2]
        for p in range(9):
            for q in range(p + 1, 9):
                offset = OFFSETS.index((q // 3 - p // 3, q % 3 - p % 3))
                y, x = top + p // 3, p % 3
                affinity[offset, y : y + h, x : x + width - 2] += of_windows[p, q]
    return MattingLaplacian(affinity.to(content.dtype))


def _window_affinity(band: Tensor, epsilon: float) -> Tensor:
    """What each window adds to W: a (3, h + 2, w + 2) band of the photograph to (9, 9, h, w)."""
    h, w = band.shape[1] - 2, band.shape[2] - 2
    colours = F.unfold(band[None], 3)[0].view(3, 9, h * w).permute(2, 0, 1)
    centred = colours - colours.mean(2, keepdim=True)
    covariance = centred @ centred.transpose(1, 2) / 9
    regularised = covariance + epsilon / 9 * torch.eye(3).to(band)
    # With Σ = L Lᵀ, aᵀ Σ⁻¹ b = (L⁻¹ a)ᵀ (L⁻¹ b): M stays positive semidefinite where Σ is nearly singular.
    whitened: Tensor = torch.linalg.solve_triangular(torch.linalg.cholesky(regularised), centred, upper=False)
    return ((1 + whitened.transpose(1, 2) @ whitened) / 9).permute(1, 2, 0).reshape(9, 9, h, w)


def affine_loss(images: Tensor, laplacian: MattingLaplacian) -> Tensor:
    """L_m = Σ_c V_c[O]ᵀ M V_c[O] (Luan et al. 2017, eq. 2), whose gradient is 2 M V_c.

    Row by row: a row's loss and gradient are bit-equal to those it has alone, at an equal number of threads.

    Args:
        images: (b, 3, H, W) pictures O; the loss grows with the square of their range (sRGB in [0, 1] or 0 to 255).
        laplacian: M of the photograph of the same size, on the same device, in the same precision.

    Returns:
        (b,) losses ≥ 0 (up to rounding), differentiable once.

    Raises:
        ValueError: a picture of another size than the photograph, or in another precision.
    """
    if images.ndim != 4 or images.shape[2:] != laplacian.size:
        height, width = laplacian.size
        raise ValueError(
            f"The pictures have the shape {tuple(images.shape)} and the photograph is {width} × {height} px; "
            f"(b, 3, {height}, {width}) is needed: resize one."
        )
    if images.dtype != laplacian.affinity.dtype:
        raise ValueError(
            f"The pictures are {images.dtype} and the Laplacian is {laplacian.affinity.dtype}; both need the same: "
            "convert the Laplacian with to()."
        )
    loss: Tensor = _AffineLoss.apply(images, laplacian)
    return loss


class _AffineLoss(torch.autograd.Function):
    """Vᵀ M V of each row; keeps M V, of the images' size, where autograd would keep twelve maps of differences."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, laplacian: MattingLaplacian) -> Tensor:
        rows = [laplacian._product_and_form(row.contiguous()) for row in images]
        ctx.save_for_backward(torch.stack([product for product, _ in rows]))
        return torch.stack([form for _, form in rows])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (product,) = ctx.saved_tensors
        return 2 * gradient[:, None, None, None] * product, None


def _pair(size: tuple[int, int], dy: int, dx: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where the pixels i lie that have a pixel j at (dy, dx) from them, and where those j lie."""
    height, width = size
    i = slice(0, height - dy), slice(max(0, -dx), width - max(0, dx))
    j = slice(dy, height), slice(max(0, dx), width - max(0, -dx))
    return i, j


def _check(content: Tensor, epsilon: float) -> None:
    """Raise a ValueError unless ``content`` and ``epsilon`` have a matting Laplacian."""
    if content.ndim != 3 or content.shape[0] != 3:
        raise ValueError(f"The content image has the shape {tuple(content.shape)}; (3, H, W) is needed.")
    if min(content.shape[1:]) < 3:
        raise ValueError(
            f"The content image is {content.shape[2]} × {content.shape[1]} px; the matting Laplacian needs at least "
            "3 px a side: choose a larger size."
        )
    if not content.is_floating_point():
        raise ValueError(f"The content image is {content.dtype}; floating-point values in [0, 1] are needed.")
    if not content.isfinite().all():
        raise ValueError("The content image has values that are not finite; it has no matting Laplacian.")
    if not (_SMALLEST_EPSILON <= epsilon and math.isfinite(epsilon)):
        raise ValueError(f"ε is {epsilon}; it must be finite and at least {_SMALLEST_EPSILON}, such as 1e-7.")
