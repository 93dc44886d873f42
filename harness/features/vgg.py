"""VGG-19 and VGG-16 by the paper's layer names (Simonyan & Zisserman 2015, table 1, columns E and D).

``conv4_2`` means the feature map after that convolution's ReLU: the F of Gatys et al. 2016, equation 1.
The two differ in the lengths of their blocks alone: VGG-16 has no conv3_4, conv4_4 and conv5_4. What walks a network
takes the layers that it holds, in order; where only the order matters, ``LAYERS`` has both networks'.
Shapes: B rows, N = N_l filters, h × w positions (M = M_l = h·w).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.features import onednn, winograd
from harness.features.passes import Pass, by_winograd

Pooling = Literal["average", "max"]
Padding = Literal["zeros", "reflect"]

VGG19 = (2, 2, 4, 4, 4)
VGG16 = (2, 2, 3, 3, 3)


def layers_of(blocks: Sequence[int]) -> tuple[str, ...]:
    """The layers of blocks of so many convolutions, in order."""
    return tuple(f"conv{block}_{i}" for block, num in enumerate(blocks, 1) for i in range(1, num + 1))


LAYERS = layers_of(VGG19)
"""Every layer of either network, in order."""

NETWORKS = {"VGG-19": LAYERS, "VGG-16": layers_of(VGG16)}
"""Layers by the network's name; VGG-19, which has all, comes first."""

GRID_PX: int = 2 ** (len(VGG19) - 1)
"""A crop whose corner is at a multiple of this has the whole image's pooling windows, in every block."""


def block_of(layer: str) -> int:
    """The block of a layer, 1 to 5: the image has been pooled ``block - 1`` times before it."""
    return int(layer[4])


def layers_in(state: Collection[str]) -> tuple[str, ...]:
    """The layers of which a state has the weights, in order."""
    return tuple(layer for layer in LAYERS if f"{layer}.weight" in state)


def network_of(layers: Collection[str]) -> str:
    """Which network some layers are the first ones of: without a gap they belong to VGG-16 or to VGG-19.

    conv3_4 or conv4_4 make it VGG-19, conv4_1 without conv3_4 makes it VGG-16; up to conv3_3 the two are the same, and
    VGG-19 is the name for both.
    """
    fits = {name for name, of_network in NETWORKS.items() if set(layers) <= set(of_network[: len(layers)])}
    return "VGG-16" if fits == {"VGG-16"} else "VGG-19"


def layers_until(deepest: str, layers: Sequence[str]) -> tuple[str, ...]:
    """All of a network's layers up to and including ``deepest``, in order."""
    return tuple(layers[: layers.index(deepest) + 1])


def deepest_of(layers: Iterable[str]) -> str:
    """The last of some layers in the order of both networks."""
    return max(layers, key=LAYERS.index)


def minimum_size_px(deepest: str) -> int:
    """The shortest image side in pixels for which ``deepest`` still has a 2 × 2 map (reflection needs two pixels)."""
    side_px: int = 2 * 2 ** (block_of(deepest) - 1)
    return side_px


def map_shape(layer: str, height: int, width: int) -> tuple[int, int]:
    """Height and width of a layer's map for an image of that size (each pooling halves, rounding down)."""
    factor = 2 ** (block_of(layer) - 1)
    return height // factor, width // factor


def halo_px(deepest: str, layers: Sequence[str]) -> int:
    """How far in pixels a position of ``deepest`` can see beyond its own pixels, up to a multiple of ``GRID_PX``.

    Each 3×3 convolution before it in ``layers``, its network, adds one position, of 2^(block − 1) pixels: for conv5_1
    of VGG-19 70 pixels, so 80; of VGG-16 58, so 64.
    """
    reach: int = sum(2 ** (block_of(layer) - 1) for layer in layers_until(deepest, layers))
    return -(-reach // GRID_PX) * GRID_PX


class VGG(nn.Module):
    """The convolutional part of VGG-19 or VGG-16, frozen, truncated after the deepest layer asked for.

    Args:
        state: ``convB_I.weight`` (N, C, 3, 3) and ``convB_I.bias`` (N,) for every layer up to the deepest, and
            ``input.weight`` (3, 3, 1, 1), ``input.bias`` (3,): the 1×1 convolution that takes sRGB in [0, 1] to the
            network's own input. Which network it is, is read from the layers, widths from the shapes. Two more may be
            there for a layer, never both: ``convB_I.compared`` (K,) names the filters that its map has (the others only
            help the next layer); with ``convB_I.readout`` (K, N) R the map is R F, K linear combinations of the
            filters, which may be negative. The next layer takes F itself either way, or its first channels, if it has
            weights for fewer: the filters behind them are compared alone.
        deepest: the last layer to compute; the state's last layer when left out.
        pooling: ``average`` (the paper's choice for its images) or ``max``; 2×2, stride 2.
        padding: what surrounds each map before a 3×3 convolution: ``zeros`` (VGG) or ``reflect``.
        convolved: the type in which maps are held and convolved; left out: the state's. What goes in, what comes out
            and read-outs have the state's, and it moves between devices only: ``to(dtype)`` would undo it.
    """

    def __init__(
        self,
        state: Mapping[str, Tensor],
        deepest: str | None = None,
        pooling: Pooling = "average",
        padding: Padding = "zeros",
        convolved: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        held = layers_in(state)
        self.layers = layers_until(deepest, held) if deepest else held
        self.pooling: Pooling = pooling
        self.padding: Padding = padding
        self._laid_out: dict[tuple[object, ...], tuple[Tensor, int, Tensor]] = {}
        for name in ("input", *self.layers):
            weight = state[f"{name}.weight"].clone(memory_format=torch.channels_last)
            bias = state[f"{name}.bias"].clone()
            if convolved is not None and name != "input":
                weight, bias = weight.to(convolved), bias.to(convolved)
            self.register_buffer(f"{name}_weight", weight)
            self.register_buffer(f"{name}_bias", bias)
            compared = state.get(f"{name}.compared")
            if compared is not None and compared.tolist() == list(range(weight.shape[0])):
                compared = None  # all of them, in order: no copy of the map is needed
            self.register_buffer(f"{name}_compared", None if compared is None else compared.long())
            readout = state.get(f"{name}.readout")
            self.register_buffer(f"{name}_readout", None if readout is None else readout.clone())

    def weight(self, layer: str) -> Tensor:
        """The (N, C, 3, 3) weights of a layer, or the (3, 3, 1, 1) of ``input``."""
        return self._held(f"{layer}_weight")

    def bias(self, layer: str) -> Tensor:
        """The (N,) biases of a layer."""
        return self._held(f"{layer}_bias")

    def _held(self, name: str) -> Tensor:
        """A buffer, without the search of ``get_buffer``: a pass asks for a hundred."""
        found = self._buffers[name]
        assert found is not None
        return found

    def readout(self, layer: str) -> Tensor | None:
        """The (K, N) read-out of a layer, where it has one."""
        return self._buffers[f"{layer}_readout"]

    def num_filters(self, layer: str) -> int:
        """N_l: the channels of the layer's map, of its filters those compared, or its read-out's K."""
        if (readout := self.readout(layer)) is not None:
            return readout.shape[0]
        compared = self._buffers[f"{layer}_compared"]
        return self.weight(layer).shape[0] if compared is None else len(compared)

    def shapes(self, layers: Iterable[str], height: int, width: int) -> dict[str, tuple[int, int, int]]:
        """Filters, height and width of layers' maps for an image of that size."""
        return {layer: (self.num_filters(layer), *map_shape(layer, height, width)) for layer in layers}

    def layers_until(self, deepest: str) -> tuple[str, ...]:
        """Its layers up to and including ``deepest``, in order."""
        return layers_until(deepest, self.layers)

    def halo_px(self, deepest: str) -> int:
        """How far a position of ``deepest`` sees: see ``harness.features.vgg.halo_px``."""
        return halo_px(deepest, self.layers)

    def forward(self, images: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Feature maps after the ReLU: what is compared of each.

        Args:
            images: (B, 3, H, W) sRGB in [0, 1] (values outside are allowed and meaningful).
            layers: which maps to return; nothing deeper is computed.

        Returns:
            Layer name to (B, N, h, w), channels-last in memory, N as ``num_filters`` says.
        """
        found = self.maps(images, layers)
        read_outs = {layer: self.read_out(layer) for layer in found}
        return {layer: x if (of := read_outs[layer]) is None else of.of_map(x) for layer, x in found.items()}

    def maps(self, images: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """The maps with all filters, F, from which what is compared is had; as ``forward``."""
        given = set(layers)
        wanted = tuple(layer for layer in self.layers if layer in given)
        found = Pass.apply(images, self, wanted) if wanted else ()
        return {layer: x.to(images.dtype) for layer, x in zip(wanted, found, strict=True)}

    def is_pooled_before(self, layer: str) -> bool:
        """Whether a layer is its block's first, but for the first block."""
        return layer.endswith("_1") and block_of(layer) > 1

    def laid_out(self, layer: str, lay_out: Callable[..., Tensor], *given: bool) -> Tensor:
        """A layer's weights as ``lay_out`` gives them, made once."""
        weight = self.weight(layer)
        version = 0 if weight.is_inference() else weight._version  # it may have been written over
        of, of_version, found = self._laid_out.get((layer, lay_out, given), (None, 0, weight))
        if of is not weight or of_version != version:  # none yet, or moved, or of another precision
            found = lay_out(weight, *given)
            self._laid_out[layer, lay_out, given] = weight, version, found
        return found

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles lay their weights out themselves."""
        return {**self.__dict__, "_laid_out": {}}

    def laid_out_bytes(self, height: int, width: int) -> int:
        """What ``laid_out`` takes for evaluations of an image of that size, in bytes; of several: more."""
        total = 0
        for layer in self.layers:
            weight = self.weight(layer)
            is_wide = by_winograd(self, layer, *map_shape(layer, height, width))
            of_each = winograd.POINTS**2 if is_wide else weight[0, 0].numel()
            total += 2 * of_each * weight[:, :, 0, 0].numel() * weight.element_size()
        return total

    def read_out(self, layer: str) -> ReadOut | None:
        """What is compared of a layer's map; None: the map itself."""
        indices, matrix = (self._buffers[f"{layer}_{kind}"] for kind in ("compared", "readout"))
        return None if indices is None and matrix is None else ReadOut(indices, matrix)


@dataclass(frozen=True)
class ReadOut:
    """What is compared of a layer's N filters: K of them, or K linear combinations R F, one of the two given.

    Of the first kind R selects. Squared distances need no map of K channels: ‖R D‖² = ⟨D, RᵀR D⟩, of Gram matrices
    ‖R D Rᵀ‖² = ⟨D, RᵀR D RᵀR⟩, and what stands behind D is half of the gradient.

    Attributes:
        indices: (K,) of the filters.
        matrix: (K, N), R.
    """

    indices: Tensor | None
    matrix: Tensor | None

    def of_map(self, features: Tensor) -> Tensor:
        """R F: (B, N, h, w) to (B, K, h, w), channels-last in memory."""
        positions = features.permute(0, 2, 3, 1)
        if self.matrix is not None:
            return linear(positions, self.matrix).permute(0, 3, 1, 2)
        assert self.indices is not None
        return positions.index_select(3, self.indices).permute(0, 3, 1, 2)

    @property
    def num_compared(self) -> int:
        """K."""
        compared = self.indices if self.matrix is None else self.matrix
        assert compared is not None
        return len(compared)

    def weighed_map(self, difference: Tensor) -> Tensor:
        """RᵀR D of two maps' difference, (B, N, h, w), channels-last in memory."""
        if self.matrix is None:
            return difference * self._is_compared(difference)[:, None, None]
        return linear(difference.permute(0, 2, 3, 1), self._square).permute(0, 3, 1, 2)

    def weighed_gram(self, difference: Tensor) -> Tensor:
        """RᵀR D RᵀR of two Gram matrices' difference, (B, N, N)."""
        if self.matrix is None:
            is_compared = self._is_compared(difference)
            return difference * (is_compared[:, None] * is_compared)
        return linear(linear(difference, self._square).mT, self._square)  # D = Dᵀ, so (D RᵀR)ᵀ = RᵀR D

    @cached_property
    def _square(self) -> Tensor:
        """RᵀR, (N, N), summed in double precision."""
        assert self.matrix is not None
        R = self.matrix.double()
        return (R.T @ R).to(self.matrix.dtype)

    def _is_compared(self, like: Tensor) -> Tensor:
        """(N,) 1 for each filter compared, 0 for the others; N from (B, N, …)."""
        assert self.indices is not None
        return like.new_zeros(like.shape[1]).index_fill_(0, self.indices, 1.0)


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """The products x weightᵀ of (B, …, N) and (K, N): (B, …, K)."""
    if not onednn.is_for(x):
        of_all: Tensor = functional.linear(x, weight)
        return of_all
    return onednn.by_rows(lambda of_row: onednn.linear(of_row.flatten(0, -2), weight)[None], x).view(
        *x.shape[:-1], len(weight)
    )


def with_all_filters(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same network, whose maps have every filter as it is."""
    return {name: tensor for name, tensor in state.items() if not name.endswith((".compared", ".readout"))}
