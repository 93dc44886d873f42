"""Distances between pictures that are measured on their pixels, as their 8-bit files hold them.

Shapes: image and content (3, H, W), sRGB in [0, 1].
"""

from __future__ import annotations

import torch
from torch import Tensor

BINS_PER_CHANNEL = 8


def as_saved(image: Tensor) -> Tensor:
    """The values an 8-bit file holds: clamped to [0, 1], rounded to multiples of 1/255, halves to even.

    Args:
        image: any shape, finite.

    Returns:
        The same shape, float64, in which the file's values are computed too.
    """
    return (image.detach().double().clamp(0, 1) * 255).round() / 255


def ssim(image: Tensor, content: Tensor) -> float:
    """Structural similarity: Wang, Bovik, Sheikh & Simoncelli 2004, eq. 13, per channel, then the mean.

    With the authors' constants: a Gaussian window of 11 × 11 pixels and σ = 1.5, K₁ = 0.01, K₂ = 0.03, only where the
    window lies inside the image. Ours rather than torchmetrics', whose treatment of the border depends on its version
    and whose flat areas (clamped variances) are not exactly similar to themselves. Agrees with scikit-image.

    Args:
        image: (3, H, W) in [0, 1], sides ≥ 11.
        content: (3, H, W).

    Returns:
        −1 to 1; exactly 1 for equal images.
    """
    channels = zip(image.double(), content.double(), strict=True)  # one after another: a third of the memory
    return torch.stack([_ssim_map(x, y) for x, y in channels]).mean().item()


def _ssim_map(x: Tensor, y: Tensor) -> Tensor:
    """Wang et al. 2004, eq. 13, at every position of one channel's (H − 10, W − 10) windows."""
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = _window_means(torch.stack([x, y, x * x, y * y, x * y]))
    variances = (mean_xx - mean_x * mean_x) + (mean_yy - mean_y * mean_y)
    covariance = mean_xy - mean_x * mean_y
    luminance = (2 * (mean_x * mean_y) + 0.01**2) / (mean_x * mean_x + mean_y * mean_y + 0.01**2)
    found: Tensor = luminance * (2 * covariance + 0.03**2) / (variances + 0.03**2)
    return found


def _window_means(maps: Tensor) -> Tensor:
    """(…, H, W) to (…, H − 10, W − 10): Gaussian means, by sums of shifted maps so that equal maps give equal bits."""
    offsets = torch.arange(-5, 6, dtype=torch.float64)
    weights = torch.softmax(-(offsets**2) / (2 * 1.5**2), dim=0).tolist()
    for dim in (-1, -2):
        length = maps.shape[dim] - 10
        means = torch.zeros_like(maps.narrow(dim, 0, length))
        for k, weight in enumerate(weights):
            means += weight * maps.narrow(dim, k, length)
        maps = means
    return maps


def pixel_distance(image: Tensor, content: Tensor) -> float:
    """Root of the mean squared difference over all pixels and channels, in units of the range [0, 1]."""
    return (image.double() - content.double()).square().mean().sqrt().item()


def colour_histogram(image: Tensor) -> Tensor:
    """Share of the pixels in each of 8 × 8 × 8 equal boxes of the RGB cube.

    Args:
        image: (3, H, W) in [0, 1], multiples of 1/255.

    Returns:
        (512,) float64, ≥ 0, sums to 1.
    """
    levels = (image * 255).round().long() // (256 // BINS_PER_CHANNEL)
    boxes = (levels[0] * BINS_PER_CHANNEL + levels[1]) * BINS_PER_CHANNEL + levels[2]
    counts = torch.bincount(boxes.flatten(), minlength=BINS_PER_CHANNEL**3)
    return counts.double() / boxes.numel()


def histogram_distance(first: Tensor, second: Tensor) -> float:
    """Total variation distance ½ Σ |p − q| of two histograms that sum to 1: 0 equal, 1 no box in common."""
    return (first - second).abs().sum().item() / 2


def total_variation(image: Tensor) -> float:
    """Anisotropic total variation of a (3, H, W) image: Σ |differences down and across| / (3 H W).

    A mean, unlike torchmetrics' sum, so that it hardly depends on the size.
    """
    image = image.double()
    return ((image.diff(dim=1).abs().sum() + image.diff(dim=2).abs().sum()) / image.numel()).item()
