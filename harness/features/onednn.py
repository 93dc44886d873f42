"""Convolutions and matrix products by oneDNN, in single precision on a CPU.

Why not torch's own calls: a convolution of theirs lays its weights out anew each time, and their matrix products are
MKL's, which on an AMD processor is far from oneDNN's rate. ``packed`` and ``convolved`` are two operators that
torch's compiler (inductor) uses; where they are missing, in other precisions and on other devices, torch's own serve.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

BY_ONEDNN = 2
"""A dilation, which means nothing to a 1 × 1 kernel: without one torch leaves it to MKL on a single thread. Inputs of
20480 numbers and fewer it does not hand to oneDNN either way."""


def is_for(weight: Tensor) -> bool:
    """Whether weights of that precision and place can be packed."""
    return (
        weight.dtype == torch.float32
        and weight.device.type == "cpu"
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    )


def packed(weight: Tensor, shape: Sequence[int], padding: int, groups: int = 1) -> Tensor:
    """(N, C, k, k) weights for ``convolved``, opaque; best for inputs of that shape, right for all."""
    found: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
        weight, [padding] * 2, [1, 1], [1, 1], groups, list(shape)
    )
    return found


def by_rows(work: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """``work`` of a batch's (1, …) rows, one behind the other, so that each row's result is its own to the bit."""
    return work(x) if len(x) == 1 else torch.cat([work(of_row) for of_row in x.split(1)])


def is_packed(weights: Tensor) -> bool:
    """Whether they are from ``packed``."""
    return weights.layout != torch.strided


def convolved(x: Tensor, weights: Tensor, bias: Tensor | None, padding: int, groups: int = 1) -> Tensor:
    """(B, C, h, w) in channels-last memory to (B, N, h', w'), with zeros around x.

    Without the ReLU that oneDNN could take with it: it makes 0 of NaN, and a run that has gone astray would go on.
    """
    found: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x, weights, bias, [padding] * 2, [1, 1], [1, 1], groups, "none", [], ""
    )
    return found


def gram(x: Tensor) -> Tensor:
    """F Fᵀ of one (1, N, h, w) map in channels-last memory: (N, N), symmetric but for rounding.

    It is the gradient of a 1 × 1 convolution's weights where the map is both input and output's gradient.
    """
    like = x.new_empty(1).expand(x.shape[1], x.shape[1], 1, 1)  # only its shape is read
    found: Tensor = torch.ops.aten.convolution_backward(
        x, x, like, None, [1, 1], [0, 0], [BY_ONEDNN, BY_ONEDNN], False, [0, 0], 1, [False, True, False]
    )[1]
    return found[:, :, 0, 0]


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """``torch.nn.functional.linear`` of (M, K) and (N, K) in single precision on a CPU: x weightᵀ, (M, N)."""
    positions = x.contiguous().view(1, len(x), 1, -1).permute(0, 3, 1, 2)
    found = functional.conv2d(positions, weight[:, :, None, None], dilation=BY_ONEDNN)
    return found[0, :, :, 0].T
