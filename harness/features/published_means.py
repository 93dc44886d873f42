"""Mean activations of a published network over many natural photographs, which come with this package.

Gatys et al. 2016, section 2, take means over images; a sparse filter's mean needs hundreds of them. The file
``vgg16_means.safetensors`` holds what this writes, to rounding:

    python -m harness.distillation.means vgg16 FOLDER

over 120 photographs (shorter side 256 px) of BSDS500 and ImageNet, drawn by a seeded shuffle from a folder of 1,300,
with max pooling (why: ``harness.features.normalise``).
"""

from __future__ import annotations

from pathlib import Path

from safetensors import safe_open
from torch import Tensor

FILES = (Path(__file__).with_name("vgg16_means.safetensors"),)


def published_means(network: str) -> dict[str, Tensor] | None:
    """Layer to (N,) float64 of the network with that hash; None where the package has none.

    Args:
        network: its hash over the canonical tensors (``harness.features.fingerprint``).
    """
    for path in FILES:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("network") == network:
                return {layer: file.get_tensor(layer).double() for layer in file.keys()}  # noqa: SIM118
    return None
