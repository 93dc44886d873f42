"""A VGG forwards and backwards, both written out: autograd begins where the maps are.

Autograd could do it as well, but has no way to Winograd's kernels, adds a map's two gradients into a third tensor, and
knows only the general convolution for the first layer (``tests/benchmarks/evaluation.py`` measures it). One pass
serves every device and precision; in single precision on a CPU the wide layers go by ``harness.features.winograd``,
chosen by the layer's shape alone, so that a run has the same bits on each machine of a kind, after a resume and in each
worker.

Shapes: B rows, N filters of a layer that takes C, h × w positions; maps are channels-last in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from harness.features import winograd

if TYPE_CHECKING:
    from harness.features.vgg import VGG

LEAST_FILTERS, LEAST_PRODUCTS, LEAST_TILES = 64, 64 * 128, 16
"""From where Winograd's kernels win: both widths, N · C, and the map's tiles; see tests/benchmarks/convolutions.py."""

CACHED_NUMBERS = 2**18
"""How much of a map the first layer's gradient is taken from at a time, about a megabyte."""


class Pass(torch.autograd.Function):
    """Images to the maps of some layers after the ReLU, all filters: ``Pass.apply(images, network, layers)``.

    The gradient is exact but for rounding; it has none itself.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, network: VGG, layers: Sequence[str]) -> tuple[Tensor, ...]:
        """(B, 3, H, W) sRGB to the (B, N, h, w) map of each of ``layers``, which are in the network's order."""
        colours, offset = network.weight("input").flatten(1), network.bias("input")[:, None]
        x = (colours @ images.flatten(2) + offset).view_as(images).contiguous(memory_format=torch.channels_last)
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
        for place, layer in reversed(list(enumerate(ctx.held))):
            g = _joined(g, own.get(layer), maps[place])
            if g is not None:
                g = _input_gradient(g, maps[place], network, layer)
            if network.is_pooled_before(layer):
                indices = largest.pop() if largest else None
                if g is not None:
                    g = _unpooled(g, maps[place - 1].shape[2:], indices)
        if g is None:
            return None, None, None
        return torch.einsum("nchw,cd->ndhw", g, network.weight("input")[:, :, 0, 0]), None, None


def fed(x: Tensor, weight: Tensor) -> Tensor:
    """The channels of a map (B, N, h, w) that the next layer (N', C, 3, 3) takes: the first C.

    Those behind them are compared alone; a distilled network has such filters.
    """
    num = weight.shape[1]
    return x if num == x.shape[1] else x[:, :num].contiguous(memory_format=torch.channels_last)


def by_winograd(network: VGG, layer: str, height: int, width: int) -> bool:
    """Whether a layer's kernel on an (h, w) map is Winograd's: a function of shapes alone.

    Never in inference mode, in which pictures are measured: for one pass the transformed weights, four times the
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


def _activated(x: Tensor, network: VGG, layer: str) -> Tensor:
    """A layer's map after the ReLU, (B, N, h, w)."""
    weight, bias = network.weight(layer), network.bias(layer)
    height, width = x.shape[2:]
    if by_winograd(network, layer, height, width):
        weights = network.transformed_weights(layer)
        y = x.new_empty(len(x), height, width, len(bias))
        for of_row, out in zip(x.permute(0, 2, 3, 1), y, strict=True):
            winograd.convolve(of_row, weights, bias, out)
        return y.permute(0, 3, 1, 2)
    if network.padding == "reflect":
        x = functional.pad(x, (1, 1, 1, 1), mode="reflect")
    return functional.conv2d(x, weight, bias, padding=0 if network.padding == "reflect" else 1).relu_()


def _input_gradient(g: Tensor, activated: Tensor, network: VGG, layer: str) -> Tensor:
    """From the gradient of a layer's map (B, N, h, w) to that of what the layer takes, (B, C, h, w)."""
    weight = network.weight(layer)
    rows, _, height, width = activated.shape
    if by_winograd(network, layer, height, width):
        weights = network.transformed_weights(layer)
        found = g.new_empty(rows, height, width, weight.shape[1])
        for of_row, y, out in zip(g.permute(0, 2, 3, 1), activated.permute(0, 2, 3, 1), found, strict=True):
            winograd.input_gradient(of_row, y, weights, out)
        return found.permute(0, 3, 1, 2)
    if weight.shape[1] == 3 and network.padding == "zeros" and weight.device.type == "cpu":
        return _of_few_channels(g, activated, weight)
    before = torch.ops.aten.threshold_backward(g, activated, 0)
    margin = 2 if network.padding == "reflect" else 0
    taken = weight.new_empty(1).expand(rows, weight.shape[1], height + margin, width + margin)  # only its shape is read
    padding = [0, 0] if margin else [1, 1]
    taken_gradient: Tensor = torch.ops.aten.convolution_backward(
        before, taken, weight, None, [1, 1], padding, [1, 1], False, [0, 0], 1, [True, False, False]
    )[0]
    if margin:
        inside = weight.new_empty(1).expand(rows, weight.shape[1], height, width)
        taken_gradient = torch.ops.aten.reflection_pad2d_backward(taken_gradient, inside, [1, 1, 1, 1])
    return taken_gradient


def _of_few_channels(g: Tensor, activated: Tensor, weight: Tensor) -> Tensor:
    """``_input_gradient`` of a convolution (N, C, 3, 3) with few C: a matrix product, then nine shifted sums.

    Some rows of pixels at a time, so that what is between stays in the cache.
    """
    num_out, num_in = weight.shape[:2]
    rows, _, height, width = g.shape
    of_each = weight.permute(2, 3, 1, 0).reshape(9 * num_in, num_out)
    at_once = max(1, CACHED_NUMBERS // (num_out * width))
    found = g.new_zeros(rows, num_in, height + 2, width + 2)
    for of_row, y, out in zip(g.permute(0, 2, 3, 1), activated.permute(0, 2, 3, 1), found, strict=True):
        for first in range(0, height, at_once):
            own = slice(first, first + at_once)
            before = torch.ops.aten.threshold_backward(of_row[own], y[own], 0)
            num = len(before)
            shares = (of_each @ before.reshape(-1, num_out).T).view(3, 3, num_in, num, width)
            for i in range(3):
                for j in range(3):
                    out[:, first + i : first + i + num, j : j + width] += shares[i, j]
    return found[:, :, 1:-1, 1:-1]


def _joined(g: Tensor | None, own: Tensor | None, like: Tensor) -> Tensor | None:
    """A map's gradient: g (B, C, h, w) of its first C filters, by the next layer, and its own losses', (B, N, h, w)."""
    if own is not None and not own.is_contiguous(memory_format=torch.channels_last):
        own = own.contiguous(memory_format=torch.channels_last)
    if g is None or g.shape == like.shape:
        return own if g is None else g if own is None else g.add_(own)
    joined = torch.zeros_like(like) if own is None else torch.ops.aten.threshold_backward(own, like, 0)
    joined[:, : g.shape[1]] += g
    return joined


def _unpooled(g: Tensor, size: Sequence[int], indices: Tensor | None) -> Tensor:
    """The gradient before 2 × 2 pooling of a map of that size, from the one after it, (B, C, h, w)."""
    (rows, num, height, width), (full_height, full_width) = g.shape, size
    is_whole = (2 * height, 2 * width) == (full_height, full_width)
    found = (g.new_empty if is_whole else g.new_zeros)(rows, full_height, full_width, num)
    if indices is not None:
        like = found.permute(0, 3, 1, 2)
        spread: Tensor = torch.ops.aten.max_pool2d_with_indices_backward(
            g, like, [2, 2], [2, 2], [0, 0], [1, 1], False, indices
        )
        return spread
    quarters = found[:, : 2 * height, : 2 * width].unflatten(1, (height, 2)).unflatten(3, (width, 2))
    quarters.copy_((g / 4).permute(0, 2, 3, 1)[:, :, None, :, None])
    return found.permute(0, 3, 1, 2)
