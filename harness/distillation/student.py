"""The student in training: a VGG with BatchNorm, which is folded away at the end."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.features.vgg import block_of


class Student(nn.Module):
    """A VGG in training: convolution, BatchNorm, ReLU, with 2×2 average pooling between the blocks.

    Args:
        widths: N_l of every layer, in order, conv1_1 first.
        input_weight: (3, 3, 1, 1), kept from the teacher: the units of the image, not learned.
        input_bias: (3,).
    """

    def __init__(self, widths: Mapping[str, int], input_weight: Tensor, input_bias: Tensor) -> None:
        super().__init__()
        self.layers = tuple(widths)
        self.register_buffer("input_weight", input_weight)
        self.register_buffer("input_bias", input_bias)
        self.convolutions = nn.ModuleDict()
        self.norms = nn.ModuleDict()
        num_in = 3
        for layer, num_out in widths.items():
            convolution = nn.Conv2d(num_in, num_out, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            self.convolutions[layer] = convolution
            norm = nn.BatchNorm2d(num_out, momentum=0.02)
            self.norms[layer] = norm
            nn.init.constant_(norm.bias, 0.5)
            num_in = num_out

    def forward(self, images: Tensor, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        """Maps **before** the ReLU, for (B, 3, H, W) sRGB in [0, 1]; all but the first convolution run in ``dtype``."""
        x = functional.conv2d(images, self.get_buffer("input_weight"), self.get_buffer("input_bias"))
        maps: dict[str, Tensor] = {}
        block = 1
        for layer in self.layers:
            if block_of(layer) != block:
                block = block_of(layer)
                x = functional.avg_pool2d(x, 2)
            if layer == self.layers[0]:
                z = self.convolutions[layer](x)  # float32 also in autocast: it takes small differences of large numbers
                x = z.to(dtype)
            with torch.autocast(images.device.type, torch.bfloat16, enabled=dtype != torch.float32):
                maps[layer] = self.norms[layer](x if layer == self.layers[0] else self.convolutions[layer](x))
            x = functional.relu(maps[layer])
        return maps

    @torch.no_grad()
    def folded(self) -> dict[str, Tensor]:
        """The plain state with BatchNorm's running statistics folded into weights and biases."""
        state = {
            "input.weight": self.get_buffer("input_weight").clone(),
            "input.bias": self.get_buffer("input_bias").clone(),
        }
        for layer in self.layers:
            norm = self.norms[layer]
            assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            weight = self.convolutions[layer].weight
            assert isinstance(weight, Tensor)
            state[f"{layer}.weight"] = (weight * scale[:, None, None, None]).float().contiguous()
            state[f"{layer}.bias"] = (norm.bias - norm.running_mean * scale).float()
        return state
