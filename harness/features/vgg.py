"""VGG-19 by the paper's layer names, up to conv5_4 (Simonyan & Zisserman 2015, table 1, column E).

``conv4_2`` means the feature map after that convolution's ReLU: the F of Gatys et al. 2016, equation 1.
Shapes: B rows, N = N_l filters, h × w positions (M = M_l = h·w).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Pooling = Literal["average", "max"]
Padding = Literal["zeros", "reflect"]

BLOCKS = (2, 2, 4, 4, 4)
LAYERS: tuple[str, ...] = tuple(f"conv{b}_{i}" for b, num in enumerate(BLOCKS, 1) for i in range(1, num + 1))

GRID_PX = 2 ** (len(BLOCKS) - 1)
"""A crop whose corner is at a multiple of this has the whole image's pooling windows, in every block."""


def block_of(layer: str) -> int:
    """The block of a layer, 1 to 5: the image has been pooled ``block - 1`` times before it."""
    return int(layer[4])


def layers_until(deepest: str) -> tuple[str, ...]:
    """All layers up to and including ``deepest``, in order."""
    return LAYERS[: LAYERS.index(deepest) + 1]


def deepest_of(layers: Iterable[str]) -> str:
    """The last of some layers in the network's order."""
    return max(layers, key=LAYERS.index)


def minimum_size_px(deepest: str) -> int:
    """The shortest image side in pixels for which ``deepest`` still has a 2 × 2 map (reflection needs two pixels)."""
    return 2 * 2 ** (block_of(deepest) - 1)


def map_shape(layer: str, height: int, width: int) -> tuple[int, int]:
    """Height and width of a layer's map for an image of that size (each pooling halves, rounding down)."""
    factor = 2 ** (block_of(layer) - 1)
    return height // factor, width // factor


def halo_px(deepest: str) -> int:
    """How far in pixels a position of ``deepest`` can see beyond its own pixels, up to a multiple of ``GRID_PX``.

    Each 3×3 convolution adds one position, of 2^(block − 1) pixels: 70 pixels for conv5_1, so 80.
    """
    reach = sum(2 ** (block_of(layer) - 1) for layer in layers_until(deepest))
    return -(-reach // GRID_PX) * GRID_PX


class VGG19(nn.Module):
    """The convolutional part of VGG-19, frozen, truncated after the deepest layer asked for.

    Args:
        state: ``convB_I.weight`` (N, C, 3, 3) and ``convB_I.bias`` (N,) for every layer up to the deepest, and
            ``input.weight`` (3, 3, 1, 1), ``input.bias`` (3,): the 1×1 convolution that takes sRGB in [0, 1] to the
            network's own input. Widths are read from the shapes. ``convB_I.compared`` (K,), where it is there, names
            the filters that the maps have: the others only help the next layer.
        deepest: the last layer to compute; the state's last layer when left out.
        pooling: ``average`` (the paper's choice for its images) or ``max``; 2×2, stride 2.
        padding: what surrounds each map before a 3×3 convolution: ``zeros`` (VGG) or ``reflect``.
    """

    def __init__(
        self,
        state: Mapping[str, Tensor],
        deepest: str | None = None,
        pooling: Pooling = "average",
        padding: Padding = "zeros",
    ) -> None:
        super().__init__()
        held = tuple(layer for layer in LAYERS if f"{layer}.weight" in state)
        self.layers = layers_until(deepest) if deepest else held
        self.pooling: Pooling = pooling
        self.padding: Padding = padding
        for name in ("input", *self.layers):
            weight = state[f"{name}.weight"].clone(memory_format=torch.channels_last)
            self.register_buffer(f"{name}_weight", weight)
            self.register_buffer(f"{name}_bias", state[f"{name}.bias"].clone())
            compared = state.get(f"{name}.compared")
            if compared is not None and compared.tolist() == list(range(weight.shape[0])):
                compared = None  # all of them, in order: no copy of the map is needed
            self.register_buffer(f"{name}_compared", None if compared is None else compared.long())

    def weight(self, layer: str) -> Tensor:
        """The (N, C, 3, 3) weights of a layer, or the (3, 3, 1, 1) of ``input``."""
        return self.get_buffer(f"{layer}_weight")

    def bias(self, layer: str) -> Tensor:
        """The (N,) biases of a layer."""
        return self.get_buffer(f"{layer}_bias")

    def num_filters(self, layer: str) -> int:
        """N_l: the filters of the layer's map."""
        compared = self._buffers[f"{layer}_compared"]
        return self.weight(layer).shape[0] if compared is None else len(compared)

    def forward(self, images: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Feature maps after the ReLU.

        Args:
            images: (B, 3, H, W) sRGB in [0, 1] (values outside are allowed and meaningful).
            layers: which maps to return; nothing deeper is computed.

        Returns:
            Layer name to (B, N, h, w), channels-last in memory.
        """
        wanted = set(layers)
        x = images.contiguous(memory_format=torch.channels_last)
        x = functional.conv2d(x, self.weight("input"), self.bias("input"))
        maps: dict[str, Tensor] = {}
        block = 1
        for layer in layers_until(deepest_of(wanted)) if wanted else ():
            if block_of(layer) != block:
                block = block_of(layer)
                x = functional.avg_pool2d(x, 2) if self.pooling == "average" else functional.max_pool2d(x, 2)
            if self.padding == "reflect":
                padded = functional.pad(x, (1, 1, 1, 1), mode="reflect")
                x = functional.conv2d(padded, self.weight(layer), self.bias(layer))
            else:
                x = functional.conv2d(x, self.weight(layer), self.bias(layer), padding=1)
            x = functional.relu_(x)  # in place: a convolution's gradient does not need its output
            if layer in wanted:
                maps[layer] = self._compared(layer, x)
        return maps

    def _compared(self, layer: str, x: Tensor) -> Tensor:
        """The filters that are compared, still channels-last."""
        compared = self._buffers[f"{layer}_compared"]
        if compared is None:
            return x
        return x.permute(0, 2, 3, 1).index_select(3, compared).permute(0, 3, 1, 2)


def with_all_filters(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same network, whose maps have every filter."""
    return {name: tensor for name, tensor in state.items() if not name.endswith(".compared")}
