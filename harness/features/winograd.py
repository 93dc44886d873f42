"""3 × 3 convolutions by Winograd's minimal filtering, and their exact adjoints: a quarter of the products.

S. Winograd, *Arithmetic Complexity of Computations* (1980); A. Lavin & S. Gray, "Fast Algorithms for Convolutional
Neural Networks" (CVPR 2016), F(4 × 4, 3 × 3): tiles of 4 × 4 outputs, each from 6 × 6 inputs,

    Y = Aᵀ [(G w Gᵀ) ∘ (Bᵀ d B)] A,

at the points 0, 1, −1, 2, −2, ∞. The products are 36 matrix products over the filters; Bᵀ and Aᵀ are additions of whole
vectors of filters, made along the picture's columns and then its rows. The input's gradient is the transposed
operation, with the same transformed weights: dᵀ → A g Aᵀ, products with the transposed weights, B (…) Bᵀ, overlapping
tiles added. Some rows of tiles are worked on at a time, so that what is between stays in the cache.

The relative error of a convolution is about 3e-6 in single precision. Shapes: one map in channels-last memory is
(H, W, C), a convolution's output (H, W, N); T tiles at a time, in t_h rows of t_w.
"""

from __future__ import annotations

import math
import threading

import torch
from torch import Tensor

TILE = 4
"""Outputs of a tile along an axis."""

POINTS = TILE + 2
"""Inputs of a tile along an axis, and values in between."""

CACHED_BYTES = 2_400_000
"""How large the transformed tiles may be that are worked on at a time, about what a core's own cache holds."""

LEAST_TILES = 64
"""A matrix product with fewer rows is slow whatever its size."""

G = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
"""Lavin & Gray 2016, equation 15: from 3 weights along an axis to 6."""


def num_tiles(height: int, width: int) -> int:
    """T of a whole map."""
    return -(-height // TILE) * -(-width // TILE)


def transformed_weights(weight: Tensor) -> Tensor:
    """G w Gᵀ of (N, C, 3, 3) weights, as (36, C, N), computed in double precision."""
    of_axis = torch.tensor(G, dtype=torch.float64, device=weight.device)
    found = torch.einsum("ai,ncij,bj->abcn", of_axis, weight.double(), of_axis)
    return found.flatten(0, 1).to(weight.dtype).contiguous()


def convolve(x: Tensor, weights: Tensor, bias: Tensor, out: Tensor) -> None:
    """ReLU(w ∗ x + bias), with zeros around x.

    Args:
        x: (H, W, C).
        weights: (36, C, N), ``transformed_weights``.
        bias: (N,).
        out: (H, W, N), written.
    """
    height, width, num_in = x.shape
    tiles = _Tiles(x, num_in, weights.shape[2])
    down, across = tiles.down, tiles.across
    padded = _memory.take(TILE * down + 2, TILE * across + 2, num_in).zero_()
    by_rows = _memory.take(POINTS, down, TILE * across + 2, num_in)
    inputs = _overlapping(padded, 0, down).movedim(1, 0), _overlapping(by_rows, 2, across).movedim(3, 0)
    spare = [_memory.take(4, *of_input.shape[1:]) for of_input in inputs]
    for first in range(0, height, TILE * down):
        _fill(padded, x, first - 1)
        _to_points(inputs[0], by_rows, spare[0])
        _to_points(inputs[1], tiles.before.transpose(0, 1), spare[1])
        torch.bmm(tiles.before.view(POINTS**2, -1, num_in), weights, out=tiles.after.view(POINTS**2, -1, len(bias)))
        _from_points(tiles.after, tiles.halves.transpose(0, 1), tiles.spare[0])
        _from_points(tiles.halves, tiles.outputs, tiles.spare[1])
        own = out[first : first + TILE * down]
        torch.add(tiles.pixels[: len(own), :width], bias, out=own)
        own.relu_()


def input_gradient(gradient: Tensor, activated: Tensor, weights: Tensor, out: Tensor) -> None:
    """The gradient with respect to x of ⟨gradient, ReLU(w ∗ x + bias)⟩.

    Args:
        gradient: (H, W, N).
        activated: (H, W, N), what ``convolve`` gave.
        weights: (36, C, N), ``transformed_weights``.
        out: (H, W, C), written.
    """
    height, width, num_out = gradient.shape
    num_in = weights.shape[1]
    tiles = _Tiles(gradient, num_in, num_out)
    down, across = tiles.down, tiles.across
    by_rows = _memory.take(POINTS, down, across, TILE, num_in)
    found = _memory.take(down, TILE, TILE * across, num_in)
    spare = _memory.take(3, POINTS, down, across, num_in), _memory.take(3, down, TILE * across, num_in)
    v, columns = tiles.before.transpose(0, 1), by_rows.movedim(3, 0)
    v_rows, rows = by_rows.flatten(2, 3), found.transpose(0, 1)
    above = _memory.take(TILE * across, num_in).zero_()
    tiles.pixels.zero_()
    for first in range(0, height, TILE * down):
        own = slice(first, first + TILE * down)
        num = len(gradient[own])
        tiles.pixels[num:].zero_()
        torch.ops.aten.threshold_backward.grad_input(
            gradient[own], activated[own], 0, grad_input=tiles.pixels[:num, :width]
        )
        _from_points_adjoint(tiles.outputs, tiles.halves, tiles.spare[1])
        _from_points_adjoint(tiles.halves.transpose(0, 1), tiles.after, tiles.spare[0])
        torch.bmm(
            tiles.after.view(POINTS**2, -1, num_out),
            weights.transpose(1, 2),
            out=tiles.before.view(POINTS**2, -1, num_in),
        )
        _to_points_adjoint(v, columns, spare[0])
        columns[3, :, :, :-1].add_(v[0, :, :, 1:], alpha=4)
        columns[0, :, :, 1:].add_(v[5, :, :, :-1])
        _to_points_adjoint(v_rows, rows, spare[1])
        rows[3, :-1].add_(v_rows[0, 1:], alpha=4)
        rows[0, 1:].add_(v_rows[5, :-1])
        rows[0, 0].add_(above)
        above.copy_(v_rows[5, -1])
        if first:
            out[first - 1].add_(v_rows[0, 0, :width], alpha=4)
        out[own] = found.view(TILE * down, TILE * across, num_in)[:num, :width]


class _Memory(threading.local):
    """What lies between, kept from call to call: fresh memory costs as much as what is done with it."""

    def __init__(self) -> None:
        self._whole = torch.empty(0)
        self._taken = 0

    def begin(self, like: Tensor) -> None:
        """Everything taken so far is free again."""
        self._taken = 0
        if self._whole.dtype != like.dtype:
            self._whole = torch.empty(0, dtype=like.dtype)

    def take(self, *shape: int) -> Tensor:
        """A tensor of that shape with anything in it, its start aligned as torch's own are."""
        num = math.prod(shape)
        if self._taken + num > len(self._whole):
            with torch.inference_mode(False):  # it outlives the mode of whoever asks first
                self._whole = torch.empty(2 * (self._taken + num), dtype=self._whole.dtype)  # taken ones keep theirs
        taken = self._whole[self._taken : self._taken + num].view(shape)
        self._taken += -(-num // 16) * 16
        return taken


_memory = _Memory()


class _Tiles:
    """What lies between for a number of rows of tiles."""

    def __init__(self, like: Tensor, num_in: int, num_out: int) -> None:
        _memory.begin(like)
        height, width = like.shape[:2]
        self.num_in, self.num_out = num_in, num_out
        self.across, rows = -(-width // TILE), -(-height // TILE)
        of_row = POINTS**2 * self.across * max(num_in, num_out) * like.element_size()
        at_once = max(1, CACHED_BYTES // of_row, -(-LEAST_TILES // self.across))
        self.down = -(-rows // -(-rows // at_once))  # the last ones as many as the others, nearly
        self.before = _memory.take(POINTS, POINTS, self.down, self.across, num_in)
        self.after = _memory.take(POINTS, POINTS, self.down, self.across, num_out)
        self.halves = _memory.take(POINTS, TILE, self.down, self.across, num_out)
        outputs = _memory.take(self.down, TILE, self.across, TILE, num_out)
        self.pixels = outputs.view(TILE * self.down, TILE * self.across, num_out)
        self.outputs = outputs.permute(3, 1, 0, 2, 4)  # by column and row within the tile
        self.spare = _memory.take(4, *self.after.shape[1:]), _memory.take(4, TILE, self.down, self.across, num_out)


def _overlapping(x: Tensor, dim: int, num: int) -> Tensor:
    """The six inputs of each of ``num`` tiles along a dimension, as one more dimension behind it; a view."""
    shape, stride = list(x.shape), list(x.stride())
    shape[dim : dim + 1], stride[dim : dim + 1] = [num, POINTS], [TILE * stride[dim], stride[dim]]
    return x.as_strided(shape, stride)


def _fill(padded: Tensor, x: Tensor, top: int) -> None:
    """Copy the rows of x from ``top`` on, with zeros where it has none; the columns around them are zeros already."""
    before, num = max(0, -top), min(len(padded), len(x) - top)
    padded[:before].zero_()
    padded[num:].zero_()
    padded[before:num, 1 : 1 + x.shape[1]] = x[top + before : top + num]


# In what follows every operation is on one value of the axis's: all at once leave the cache before they are used again.


def _to_points(d: Tensor, v: Tensor, spare: Tensor) -> None:
    """Along the first axis v = Bᵀ d, 6 inputs to 6 points."""
    t, w, e, f = spare[:4]
    torch.sub(d[4], d[2], alpha=4, out=t)
    torch.sub(d[3], d[1], alpha=4, out=w)
    torch.add(t, w, out=v[1])
    torch.sub(t, w, out=v[2])
    torch.sub(d[4], d[2], out=e)
    torch.sub(d[3], d[1], out=f)
    torch.add(e, f, alpha=2, out=v[3])
    torch.sub(e, f, alpha=2, out=v[4])
    torch.sub(d[0], d[2], out=t)
    torch.add(e, t, alpha=4, out=v[0])
    torch.sub(d[5], d[3], out=t)
    torch.sub(t, f, alpha=4, out=v[5])


def _to_points_adjoint(v: Tensor, d: Tensor, spare: Tensor) -> None:
    """Along the first axis d = B v, of 6 points, but for what goes to neighbouring tiles: inputs 1 to 4 as outputs."""
    s, t, x = spare[:3]
    torch.add(v[1], v[2], out=s)
    torch.add(v[3], v[4], out=t)
    torch.add(v[0], s, out=x)
    torch.add(x, t, out=d[3])
    torch.mul(v[0], -5, out=x)
    x.sub_(t)
    torch.sub(x, s, alpha=4, out=d[1])
    u, w = s, t
    torch.sub(v[2], v[1], out=u)
    torch.sub(v[4], v[3], out=w)
    torch.add(u, v[5], out=x)
    x.mul_(4)
    torch.add(x, w, alpha=2, out=d[0])
    torch.mul(v[5], -5, out=x)
    x.sub_(u)
    torch.sub(x, w, alpha=2, out=d[2])


def _from_points(m: Tensor, y: Tensor, spare: Tensor) -> None:
    """Along the first axis y = Aᵀ m, 6 points to 4 outputs."""
    p, q, r, s = spare[:4]
    torch.add(m[1], m[2], out=p)
    torch.sub(m[1], m[2], out=q)
    torch.add(m[3], m[4], out=r)
    torch.sub(m[3], m[4], out=s)
    torch.add(q, s, alpha=2, out=y[1])
    torch.add(p, r, alpha=4, out=y[2])
    q.add_(s, alpha=8)
    torch.add(q, m[5], out=y[3])
    p.add_(r)
    torch.add(p, m[0], out=y[0])


def _from_points_adjoint(g: Tensor, m: Tensor, spare: Tensor) -> None:
    """Along the first axis m = A g, 4 outputs to 6 points."""
    e, f = spare[:2]
    m[0].copy_(g[0])
    torch.add(g[0], g[2], out=e)
    torch.add(g[1], g[3], out=f)
    torch.add(e, f, out=m[1])
    torch.sub(e, f, out=m[2])
    torch.add(g[0], g[2], alpha=4, out=e)
    torch.add(g[1], g[3], alpha=4, out=f)
    torch.add(e, f, alpha=2, out=m[3])
    torch.sub(e, f, alpha=2, out=m[4])
    m[5].copy_(g[3])
