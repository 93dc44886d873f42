"""Sizes and resampling: which size an image gets, and its pixels at that size (torch).

Lengths are pixels, areas pixels squared; images are (3, H, W) tensors of sRGB in [0, 1]. Resampling happens on the
sRGB values as they are (as Pillow and every other style-transfer project do), not on linear light.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from harness.errors import ImageError
from harness.images.files import MAX_PIXELS, read_image, read_picture


def to_tensor(image: NDArray[Any]) -> Tensor:
    """(H, W, 3) array to a (3, H, W) float32 tensor that shares no memory with it."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32).copy())


def to_array(image: Tensor) -> NDArray[np.float32]:
    """(3, H, W) tensor, on any device, to an (H, W, 3) float32 array; with alpha, four channels."""
    array: NDArray[np.float32] = image.detach().to("cpu", torch.float32).permute(1, 2, 0).contiguous().numpy()
    return array


def resize(image: Tensor, height: int, width: int) -> Tensor:
    """Resample by cubic convolution (Keys 1981, a = -0.5), its kernel widened when shrinking: no aliasing.

    Args:
        image: (3, H, W) in [0, 1].
        height: ≥ 1, in pixels.
        width: ≥ 1, in pixels.

    Returns:
        (3, height, width), clamped to [0, 1] because the kernel overshoots at edges; the image itself when it has
        that size already.

    Raises:
        ImageError: the size is below one pixel or above what is allowed.
    """
    _check_size(height, width)
    if image.shape[-2:] == (height, width):
        return image
    resized = functional.interpolate(
        image[None], size=(height, width), mode="bicubic", align_corners=False, antialias=True
    )
    return resized[0].clamp(0, 1)


def fit_longer_side(height: int, width: int, size_px: int) -> tuple[int, int]:
    """The size with these proportions whose longer side is ``size_px``; the other is rounded, halves up.

    Raises:
        ImageError: a side would be below one pixel.
    """
    longer = max(height, width)
    fitted = ((2 * height * size_px + longer) // (2 * longer), (2 * width * size_px + longer) // (2 * longer))
    _check_size(*fitted)
    return fitted


def fit_area(height: int, width: int, area_px: int, scale: float) -> tuple[int, int]:
    """The size with these proportions and the area ``area_px`` · scale²: what a style image gets.

    ``scale`` multiplies lengths: at 2 the brush strokes are twice as long as at 1, where the style image has the
    content image's area. Sides are rounded, halves up.

    # Deviates from Gatys et al. 2016, section 2: the style keeps its proportions; there it is resized to the
    # content image's size.

    Args:
        height: of the style image.
        width: of the style image.
        area_px: the content image's height · width.
        scale: > 0.

    Raises:
        ImageError: a side would be below one pixel, or the image too large.
    """
    if not (math.isfinite(scale) and scale > 0):
        raise ImageError(f"A style scale of {scale} is not possible: it multiplies lengths and must be above 0.")
    factor = scale * math.sqrt(area_px / (height * width))
    fitted = math.floor(height * factor + 0.5), math.floor(width * factor + 0.5)
    _check_size(*fitted)
    return fitted


def photograph_of(path: str, size: int | tuple[int, int]) -> Tensor:
    """A photograph (3, H, W) with that longer side, or that height and width."""
    image = to_tensor(read_image(path))
    return resize(image, *(fit_longer_side(image.shape[1], image.shape[2], size) if isinstance(size, int) else size))


def alpha_at(path: str, size: tuple[int, int]) -> Tensor:
    """A photograph's alpha (H, W) at that height and width; 1 everywhere where it is opaque.

    Resampled linearly, over the area of a target pixel when shrinking.
    """
    alpha = read_picture(path).alpha
    if alpha is None:
        return torch.ones(size)
    resized = functional.interpolate(
        torch.from_numpy(alpha)[None, None], size=size, mode="bilinear", align_corners=False, antialias=True
    )
    return resized[0, 0].clamp(0, 1)


def painting_of(path: str, size: tuple[int, int], scale: float) -> Tensor:
    """A painting (3, H_s, W_s) with the area of a picture of that height and width, its lengths times ``scale``."""
    image = to_tensor(read_image(path))
    return resize(image, *fit_area(image.shape[1], image.shape[2], size[0] * size[1], scale))


def _check_size(height: int, width: int) -> None:
    if height < 1 or width < 1:
        raise ImageError(
            f"An image of {width}×{height} px (width × height) is not possible: each side needs at least 1 px. "
            "Ask for a larger size, or crop the image to less extreme proportions."
        )
    if height * width > MAX_PIXELS:
        raise ImageError(
            f"An image of {width}×{height} px (width × height) is too large: at most {MAX_PIXELS // 1_000_000} million "
            "pixels are allowed. Ask for a smaller size or scale."
        )
