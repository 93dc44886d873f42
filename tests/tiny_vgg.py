"""Tiny VGG states for tests: the real structure, two or three filters a layer."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from harness.features.vgg import LAYERS, NETWORKS, VGG19, layers_of

VGG16_LAYERS = NETWORKS["VGG-16"]
VGG16_INDICES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
"""Where torchvision's VGG-16 has its convolutions."""


def tiny_state(num_layers: int = 16, width: int = 3, seed: int = 0, blocks: Sequence[int] = VGG19) -> dict[str, Tensor]:
    """Random weights with filters of different strength; filter 0 of every layer fires on any image in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    state = {"input.weight": torch.eye(3)[:, :, None, None].clone(), "input.bias": torch.tensor([-0.1, 0.0, 0.1])}
    num_in = 3
    for layer in layers_of(blocks)[:num_layers]:
        weight = normal(width, num_in, 3, 3) * (2 / (9 * num_in)) ** 0.5
        bias = 0.2 * normal(width)
        weight[0], bias[0] = weight[0].abs(), bias[0].abs() + 0.3
        strength = 10 ** (0.5 * normal(width))
        state[f"{layer}.weight"], state[f"{layer}.bias"] = weight * strength[:, None, None, None], bias * strength
        num_in = width
    return state


def photograph(height: int, width: int, seed: int = 0, rows: int = 1) -> Tensor:
    """Uniform noise, (rows, 3, height, width) in [0, 1]."""
    return torch.rand(rows, 3, height, width, generator=torch.Generator().manual_seed(seed))


def without_input(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The convolutions alone."""
    return {name: tensor for name, tensor in state.items() if not name.startswith("input")}


def renamed(state: Mapping[str, Tensor], names: Iterable[object]) -> dict[str, Tensor]:
    """The convolutions of a state with their layers called ``names`` instead."""
    calls = dict(zip([layer for layer in LAYERS if f"{layer}.weight" in state], names, strict=True))
    return {f"{calls[key.split('.')[0]]}.{key.split('.')[1]}": value for key, value in without_input(state).items()}
