"""One picture's comparable numbers on the embedded network."""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor

from harness.features.vgg import VGG
from harness.measures.reference import Reference


def measure(
    image: Tensor, content: Tensor, style: Tensor, network: VGG, optimised_layers: Collection[str]
) -> dict[str, float | bool]:
    """``Reference``, of one pair of images and one picture."""
    return Reference(content, style, network).measure(image, optimised_layers)
