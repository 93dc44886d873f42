"""Training crops: of photographs and paintings, and of what a picture looks like while it is optimised.

Optimisation begins at a grey, goes through blurred forms and blends, and ends at neither photograph nor painting: a
student that has seen photographs alone is wrong there, and the optimiser finds where. Few images have the pure colours
of some paintings: a quarter of the crops get other ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from harness.images.resize import resize

PLAIN, BLENDED, GREY, BLURRED = 0.5, 0.65, 0.8, 0.9
"""Cumulative shares of the crops: as they are, two blended, low in contrast, blurred; the rest are with noise."""

RECOLOURED = 0.25
"""Share of the crops and of pictures' photographs and paintings that get other colours."""


def make_crop(images: Sequence[Tensor], side_px: int, seed: int, index: int) -> Tensor:
    """The crop number ``index``: a function of the images, the seed and the index alone.

    Args:
        images: (3, H, W) uint8, no side shorter than the crop's.
        side_px: of the square crop.
        seed: of the whole set.
        index: which crop.

    Returns:
        (3, side, side) uint8.
    """
    random = np.random.default_rng((seed, index))
    crop = recoloured(cut(images, side_px, random, index), random)
    kind = random.random()
    if kind >= PLAIN:
        if kind < BLENDED:
            crop = crop.lerp(cut(images, side_px, random), float(random.uniform(0.2, 0.8)))
        elif kind < GREY:
            crop = (crop - 0.5) * float(random.uniform(0.02, 0.8)) + 0.5
        elif kind < BLURRED:
            small = side_px // int(random.choice([2, 4]))
            crop = resize(resize(crop, small, small), side_px, side_px)
        noise = torch.from_numpy(random.standard_normal(crop.shape, dtype=np.float32))
        crop = crop + (float(random.uniform(0, 0.1)) if kind >= BLURRED else 0.01) * noise
    return as_bytes(crop)


def cut(images: Sequence[Tensor], side_px: int, random: np.random.Generator, index: int | None = None) -> Tensor:
    """A random position, scale and mirroring of the image that is ``index``'s turn, or of any.

    Returns:
        (3, side, side) float32 in [0, 1].
    """
    image = images[int(random.integers(len(images))) if index is None else index % len(images)]
    longest = min(image.shape[1:])
    side = int(random.integers(side_px, longest + 1)) if random.random() < 0.5 and longest > side_px else side_px
    top, left = (int(random.integers(length - side + 1)) for length in image.shape[1:])
    crop = image[:, top : top + side, left : left + side].float() / 255
    if side != side_px:
        crop = resize(crop, side_px, side_px)
    return crop.flip(2) if random.random() < 0.5 else crop


def recoloured(crop: Tensor, random: np.random.Generator) -> Tensor:
    """At times with other colours: channels in another order, and another contrast around each one's mean.

    Returns:
        (3, H, W) float32 in [0, 1]; ``crop`` itself where the draw says so.
    """
    if random.random() >= RECOLOURED:
        return crop
    crop = crop[random.permutation(3)]
    mean = crop.mean((1, 2), keepdim=True)
    return (mean + float(random.uniform(0.7, 2.5)) * (crop - mean)).clamp(0, 1)


def as_bytes(picture: Tensor) -> Tensor:
    """A picture in [0, 1] (values outside are clamped) as uint8."""
    return (picture * 255).round().clamp(0, 255).to(torch.uint8)
