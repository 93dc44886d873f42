"""A VGG of the original's widths for the benchmarks: random weights take the same time and memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from harness.features.vgg import VGG19, layers_of, layers_until


def full_width(blocks: Sequence[int] = VGG19) -> dict[str, torch.Tensor]:
    """A full-width VGG-19, or VGG-16, to conv5_1 with random weights."""
    generator = torch.Generator().manual_seed(0)
    state = {"input.weight": torch.eye(3)[:, :, None, None].clone(), "input.bias": torch.zeros(3)}
    num_in = 3
    for layer in layers_until("conv5_1", layers_of(blocks)):
        num_out = (64, 128, 256, 512, 512)[int(layer[4]) - 1]
        state[f"{layer}.weight"] = torch.randn(num_out, num_in, 3, 3, generator=generator) * (2 / (9 * num_in)) ** 0.5
        state[f"{layer}.bias"] = torch.zeros(num_out)
        num_in = num_out
    return state
