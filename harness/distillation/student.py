"""The student in training: a narrow VGG and a linear read-out of every layer."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.distillation.selection import LayerStart
from harness.distillation.targets import Directions
from harness.features.passes import fed
from harness.features.vgg import block_of


class Student(nn.Module):
    """A VGG in training: convolution and ReLU, 2×2 average pooling between the blocks, a read-out of every layer.

    Args:
        start: every layer's first weights, in order, conv1_1 first.
        input_weight: (3, 3, 1, 1), kept from the teacher: the units of the image, not learned.
        input_bias: (3,).
    """

    def __init__(self, start: Mapping[str, LayerStart], input_weight: Tensor, input_bias: Tensor) -> None:
        super().__init__()
        self.layers = tuple(start)
        self.register_buffer("input_weight", input_weight.cpu().clone())
        self.register_buffer("input_bias", input_bias.cpu().clone())
        self.weights = nn.ParameterDict(
            {layer: nn.Parameter(of.weight.clone(memory_format=torch.channels_last)) for layer, of in start.items()}
        )
        self.biases = nn.ParameterDict({layer: nn.Parameter(of.bias.clone()) for layer, of in start.items()})
        self.readouts = nn.ParameterDict({layer: nn.Parameter(of.readout.clone()) for layer, of in start.items()})

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """The maps S after the ReLU, for (B, 3, H, W) sRGB in [0, 1]."""
        x = functional.conv2d(images, self.get_buffer("input_weight"), self.get_buffer("input_bias"))
        maps: dict[str, Tensor] = {}
        block = 1
        for layer in self.layers:
            x = fed(x, self.weights[layer])
            if block_of(layer) != block:
                block = block_of(layer)
                x = functional.avg_pool2d(x, 2)
            x = functional.relu(functional.conv2d(x, self.weights[layer], self.biases[layer], padding=1))
            maps[layer] = x
        return maps

    def read(self, layer: str, features: Tensor) -> Tensor:
        """What approximates T / √energy, position by position: (B, M, K)."""
        weights: Tensor = self.readouts[layer]
        return features.permute(0, 2, 3, 1).flatten(1, 2) @ weights.T

    @torch.no_grad()
    def state(self, directions: Mapping[str, Directions]) -> dict[str, Tensor]:
        """The network as ``VGG`` takes it, float32, with its read-outs.

        R = √(K/N) V, V the read-out into the K principal directions: distances between maps R S, averaged over K, are
        the teacher's, averaged over N (mean-squared units divide by N; over Gram matrices' differences D,
        1/K² Σ (R D Rᵀ)² = 1/N² Σ (W D Wᵀ)²).

        Args:
            directions: of every layer, and N.
        """
        found = {"input.weight": self.get_buffer("input_weight"), "input.bias": self.get_buffer("input_bias")}
        for layer in self.layers:
            own = directions[layer]
            V = own.energy.sqrt().to(self.readouts[layer])[:, None] * self.readouts[layer]
            found[f"{layer}.weight"] = self.weights[layer].contiguous()
            found[f"{layer}.bias"] = self.biases[layer]
            found[f"{layer}.readout"] = V * (own.num / own.num_compared) ** 0.5
        return {name: tensor.detach().cpu().clone() for name, tensor in found.items()}
