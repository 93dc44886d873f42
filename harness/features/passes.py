"""A VGG forwards and backwards, both written out: autograd begins where the maps are.

Autograd could do it as well, but has no way to Winograd's kernels, adds a map's two gradients into a third tensor and
lays weights out anew each time (``tests/benchmarks/evaluation.py`` measures it). One pass serves every device and
precision; in single precision on a CPU the wide layers go by ``harness.features.winograd``, chosen by the layer's shape
alone, so that a run has the same bits on each machine of a kind, after a resume and in each worker. A convolution's
gradient is a convolution with the weights turned round, by the same kernels.

Shapes: B rows, N filters of a layer that takes C, h × w positions; maps are channels-last in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from harness.features import onednn, winograd

if TYPE_CHECKING:
    from harness.features.vgg import VGG

LEAST_FILTERS, LEAST_PRODUCTS, LEAST_TILES = 64, 64 * 64, 16
"""From where Winograd's kernels win: both widths, N · C, and the map's tiles; see tests/benchmarks/convolutions.py."""

PACKED_PX = 64
"""The side of the maps for which direct kernels' weights are laid out; they serve all."""


class Pass(torch.autograd.Function):
    """Images to the maps of some layers after the ReLU, all filters: ``Pass.apply(images, network, layers)``.

    The gradient is exact but for rounding; it has none itself.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, network: VGG, layers: Sequence[str]) -> tuple[Tensor, ...]:
        """(B, 3, H, W) sRGB to the (B, N, h, w) map of each of ``layers``, which are in the network's order."""
        colours, offset = network.weight("input").flatten(1), network.bias("input")[:, None]
        x = (colours @ images.flatten(2) + offset).view_as(images)
        x = x.to(network.weight(network.layers[0]).dtype, memory_format=torch.channels_last)
        maps: dict[str, Tensor] = {}
        largest: list[Tensor] = []
        for layer in network.layers_until(layers[-1]):
            x = fed(x, network.weight(layer))
            if network.is_pooled_before(layer):
                if network.pooling == "average":
                    x = functional.avg_pool2d(x, 2)
                else:
                    x, indices = functional.max_pool2d(x, 2, return_indices=True)
                    largest.append(indices)
            x = _activated(x, network, layer)
            if ctx.needs_input_grad[0] or layer in layers:
                maps[layer] = x
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(*maps.values(), *largest)
        ctx.network, ctx.layers, ctx.held = network, layers, tuple(maps)
        ctx.set_materialize_grads(False)
        return tuple(maps[layer] for layer in layers)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator, unused-ignore]
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, None, None]:
        """From the maps' gradients to the images'."""
        network: VGG = ctx.network
        own = dict(zip(ctx.layers, gradients, strict=True))
        saved: tuple[Tensor, ...] = ctx.saved_tensors
        maps, largest = saved[: len(ctx.held)], list(saved[len(ctx.held) :])
        g: Tensor | None = None
        is_masked = False
        for place, layer in reversed(list(enumerate(ctx.held))):
            is_ours, is_masked = g is not None, is_masked and own.get(layer) is None
            g = _joined(g, own.get(layer), maps[place])
            if g is not None:
                before = _Before(g, maps[place], is_masked, is_ours)
                g = _input_gradient(before, network, layer)
            is_masked = network.is_pooled_before(layer) and not largest
            if network.is_pooled_before(layer):
                indices = largest.pop() if largest else None
                if g is not None:
                    g = _unpooled(g, maps[place - 1], indices)
        if g is None:
            return None, None, None
        colours = network.weight("input")[:, :, 0, 0]
        return torch.einsum("nchw,cd->ndhw", g.to(colours.dtype), colours), None, None


def fed(x: Tensor, weight: Tensor) -> Tensor:
    """The channels of a map (B, N, h, w) that the next layer (N', C, 3, 3) takes: the first C.

    Those behind them are compared alone; a distilled network has such filters.
    """
    num = weight.shape[1]
    return x if num == x.shape[1] else x[:, :num].contiguous(memory_format=torch.channels_last)


def by_winograd(network: VGG, layer: str, height: int, width: int) -> bool:
    """Whether a layer's kernel on an (h, w) map is Winograd's: a function of shapes alone.

    Never in inference mode, in which pictures are measured: for one pass the transformed weights, eight times the
    weights in memory, do not pay.
    """
    weight = network.weight(layer)
    num_out, num_in = weight.shape[:2]
    return (
        weight.device.type == "cpu"
        and not torch.is_inference_mode_enabled()
        and weight.dtype == torch.float32
        and network.padding == "zeros"
        and min(num_in, num_out) >= LEAST_FILTERS
        and num_in * num_out >= LEAST_PRODUCTS
        and winograd.num_tiles(height, width) >= LEAST_TILES
    )


@dataclass(frozen=True)
class _Before:
    """The gradient before an activation.

    Attributes:
        after: (B, N, h, w), the one after it.
        activated: (B, N, h, w), the map.
        is_masked: whether ``after`` is 0 already where the map is.
        is_ours: whether ``after`` may be written to.
    """

    after: Tensor
    activated: Tensor
    is_masked: bool
    is_ours: bool

    def whole(self) -> Tensor:
        """Computed, (B, N, h, w)."""
        if self.is_masked:
            return self.after
        if not self.is_ours:
            found: Tensor = torch.ops.aten.threshold_backward(self.after, self.activated, 0)
            return found
        torch.ops.aten.threshold_backward.grad_input(self.after, self.activated, 0, grad_input=self.after)
        return self.after


def _activated(x: Tensor, network: VGG, layer: str) -> Tensor:
    """A layer's map after the ReLU, (B, N, h, w)."""
    bias = network.bias(layer)
    height, width = x.shape[2:]
    if by_winograd(network, layer, height, width):
        weights = network.laid_out(layer, winograd.map_weights, winograd.is_small(height, width))
        y = x.new_empty(len(x), height, width, len(bias))
        for of_row, out in zip(x.permute(0, 2, 3, 1), y, strict=True):
            winograd.convolve(of_row, weights, bias, out)
        return y.permute(0, 3, 1, 2)
    padding = 1 if network.padding == "zeros" else 0
    if not padding:
        x = functional.pad(x, (1, 1, 1, 1), mode="reflect")
    if torch.is_inference_mode_enabled():  # a picture is measured: nothing is laid out for it
        return functional.conv2d(x, network.weight(layer), bias, padding=padding).relu_()
    weights = network.laid_out(layer, map_weights)
    if onednn.is_packed(weights):
        return onednn.by_rows(lambda of_row: onednn.convolved(of_row, weights, bias, padding), x).relu_()
    return functional.conv2d(x, weights, bias, padding=padding).relu_()


def _input_gradient(before: _Before, network: VGG, layer: str) -> Tensor:
    """From the gradient of a layer's map (B, N, h, w) to that of what the layer takes, (B, C, h, w)."""
    weight = network.weight(layer)
    rows, _, height, width = before.activated.shape
    if by_winograd(network, layer, height, width):
        weights = network.laid_out(layer, winograd.gradient_weights, winograd.is_small(height, width))
        g, activated = (x.permute(0, 2, 3, 1) for x in (before.after, before.activated))
        found = g.new_empty(rows, height, width, weight.shape[1])
        for of_row, y, out in zip(g, activated, found, strict=True):
            winograd.input_gradient(of_row, y, weights, out)
        return found.permute(0, 3, 1, 2)
    turned = network.laid_out(layer, gradient_weights)
    padding = 1 if network.padding == "zeros" else 2
    if onednn.is_packed(turned):
        taken = onednn.by_rows(lambda of_row: onednn.convolved(of_row, turned, None, padding), before.whole())
    else:
        taken = functional.conv2d(before.whole(), turned, padding=padding)
    if padding == 1:
        return taken
    inside = weight.new_empty(1).expand(rows, weight.shape[1], height, width)  # only its shape is read
    unpadded: Tensor = torch.ops.aten.reflection_pad2d_backward(taken, inside, [1, 1, 1, 1])
    return unpadded


def map_weights(weight: Tensor) -> Tensor:
    """(N, C, 3, 3) weights laid out for the direct kernels."""
    if not onednn.is_for(weight):
        return weight
    return onednn.packed(weight, (1, weight.shape[1], PACKED_PX, PACKED_PX), padding=1)


def gradient_weights(weight: Tensor) -> Tensor:
    """The same for the convolution that takes an output's gradient to the input's."""
    return map_weights(winograd.turned_round(weight).contiguous(memory_format=torch.channels_last))


def _joined(g: Tensor | None, own: Tensor | None, like: Tensor) -> Tensor | None:
    """A map's gradient: g (B, C, h, w) of its first C filters, by the next layer, and its own losses', (B, N, h, w)."""
    if own is not None and not own.is_contiguous(memory_format=torch.channels_last):
        own = own.contiguous(memory_format=torch.channels_last)
    if g is None or g.shape == like.shape:
        return own if g is None else g if own is None else g.add_(own)
    joined = torch.zeros_like(like) if own is None else torch.ops.aten.threshold_backward(own, like, 0)
    joined[:, : g.shape[1]] += g
    return joined


def _unpooled(g: Tensor, activated: Tensor, indices: Tensor | None) -> Tensor:
    """The gradient before 2 × 2 pooling of a map, from the one after it, (B, C, h, w); of averages 0 where the map is.

    Of ``activated`` (B, N, H, W) the first C channels are meant.
    """
    (rows, num, height, width), size = g.shape, activated.shape[2:]
    is_whole = (2 * height, 2 * width) == tuple(size)
    found = (g.new_empty if is_whole else g.new_zeros)(rows, *size, num)
    if indices is not None:
        like = found.permute(0, 3, 1, 2)
        spread: Tensor = torch.ops.aten.max_pool2d_with_indices_backward(
            g, like, [2, 2], [2, 2], [0, 0], [1, 1], False, indices
        )
        return spread

    def quarters(x: Tensor) -> Tensor:
        inside: Tensor = x[:, : 2 * height, : 2 * width, :num]
        return inside.unflatten(1, (height, 2)).unflatten(3, (width, 2))  # type: ignore[no-any-return, unused-ignore]

    into = quarters(found)
    of_each = (g / 4).permute(0, 2, 3, 1)[:, :, None, :, None].expand_as(into)
    torch.ops.aten.threshold_backward.grad_input(of_each, quarters(activated.permute(0, 2, 3, 1)), 0, grad_input=into)
    return found.permute(0, 3, 1, 2)
