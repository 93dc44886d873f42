"""3 × 3 convolutions by Winograd's minimal filtering, and their input's gradients: a quarter of the products.

S. Winograd, *Arithmetic Complexity of Computations* (1980); A. Lavin & S. Gray, "Fast Algorithms for Convolutional
Neural Networks" (CVPR 2016), F(4 × 4, 3 × 3): tiles of 4 × 4 outputs, each from 6 × 6 inputs,

    Y = Aᵀ [(G w Gᵀ) ∘ (Bᵀ d B)] A,

at the points 0, 1, −1, 2, −2, ∞. Bᵀ and Aᵀ are additions of whole vectors of filters, along the picture's rows and then
its columns. The products are 36 matrix products over the filters, in one call: a grouped 1 × 1 convolution by oneDNN,
whose weights are laid out once (why not ``torch.bmm``: see ``harness.features.onednn``). The input's gradient is such a
convolution too, with the weights turned round. Some rows of tiles are worked on at a time, so that what is between
stays in the caches; views of it are made once for each shape.

The relative error of a convolution is about 3e-6 in single precision. Shapes: one map in channels-last memory is
(H, W, C), a convolution's output (H, W, N); T tiles at a time, in t_h rows of t_w.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence

import torch
from torch import Tensor

from harness.features import onednn

TILE = 4
"""Outputs of a tile along an axis."""

POINTS = TILE + 2
"""Inputs of a tile along an axis, and values in between."""

LEAST_TILES = 64
"""Tiles that are worked on at a time by one thread: a matrix product with fewer rows is slow."""

LEAST_SHARED = 128
"""The same for each of several threads: torch gives no second one a part of a short addition."""

MOST_SHAPES = 64
"""How many shapes' views are kept, some 50 KiB each."""

PACKED_FILTERS = 64
"""How many filters' weights are transformed at a time, in double precision."""

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


def is_small(height: int, width: int) -> bool:
    """Whether a map has so few tiles that their products want weights laid out otherwise."""
    return num_tiles(height, width) < LEAST_TILES


def map_weights(weight: Tensor, small: bool = False) -> Tensor:
    """G w Gᵀ of (N, C, 3, 3) weights, computed in double precision, for ``convolve``; opaque where it is packed.

    Args:
        weight: of any strides.
        small: see ``is_small``.
    """
    num_out, num_in = weight.shape[:2]
    of_axis = torch.tensor(G, dtype=torch.float64, device=weight.device)
    found = weight.new_empty(POINTS, POINTS, num_out, num_in)
    for some, into in zip(weight.split(PACKED_FILTERS), found.split(PACKED_FILTERS, dim=2), strict=True):
        into.copy_(torch.einsum("ai,ncij,bj->banc", of_axis, some.double(), of_axis))
    if not onednn.is_for(weight):
        return found.flatten(0, 1).mT.contiguous()
    of_groups = found.view(POINTS**2 * num_out, num_in, 1, 1)
    shape = 1, POINTS**2 * num_in, LEAST_TILES // 2 if small else LEAST_TILES, 1
    return onednn.packed(of_groups, shape, padding=0, groups=POINTS**2)


def gradient_weights(weight: Tensor, small: bool = False) -> Tensor:
    """``map_weights`` of the weights turned round, for ``input_gradient``."""
    return map_weights(turned_round(weight), small)


def turned_round(weight: Tensor) -> Tensor:
    """The (C, N, 3, 3) weights of the convolution that takes an output's gradient to the input's."""
    return weight.flip(2, 3).transpose(0, 1)


def convolve(x: Tensor, weights: Tensor, bias: Tensor, out: Tensor) -> None:
    """ReLU(w ∗ x + bias), with zeros around x.

    Args:
        x: (H, W, C).
        weights: ``map_weights`` of (N, C, 3, 3).
        bias: (N,).
        out: (H, W, N), written.
    """
    tiles = _memory.tiles(x, out)
    tiles.bias[1, 1] = bias  # the point 1 along both axes: there Aᵀ has nothing but ones
    for first in range(0, len(x), TILE * tiles.down):
        rows, around = x, first - 1
        if not tiles.is_inside(first):
            inside, own = tiles.inside(first)
            inside.copy_(x[own])
            rows, around = tiles.padded, 0
        done = tiles.outputs(rows, around, weights, tiles.bias, out[first : first + TILE * tiles.down])
        torch.clamp_min(done, 0, out=out[first : first + len(done)])


def input_gradient(gradient: Tensor, activated: Tensor, weights: Tensor, out: Tensor) -> None:
    """The gradient with respect to x of ⟨gradient, ReLU(w ∗ x + bias)⟩.

    Args:
        gradient: (H, W, N).
        activated: (H, W, N), what ``convolve`` gave.
        weights: ``gradient_weights`` of the same.
        out: (H, W, C), written.
    """
    tiles = _memory.tiles(gradient, out)
    for first in range(0, len(gradient), TILE * tiles.down):
        inside, own = tiles.inside(first)
        torch.ops.aten.threshold_backward.grad_input(gradient[own], activated[own], 0, grad_input=inside)
        into = out[first : first + TILE * tiles.down]
        done = tiles.outputs(tiles.padded, 0, weights, None, into)
        if done is not into:
            into.copy_(done)


class _Memory(threading.local):
    """What lies between, kept from call to call: fresh memory costs as much as what is done with it."""

    def __init__(self) -> None:
        self._whole = torch.empty(0)
        self._tiles: dict[tuple[object, ...], _Tiles] = {}

    def tiles(self, x: Tensor, out: Tensor) -> _Tiles:
        """For an (H, W, C) map on its way to an (H, W, N) one, and the threads there are."""
        shape = (*x.shape, out.shape[2], torch.get_num_threads())
        if x.dtype != self._whole.dtype:
            self._whole, self._tiles = torch.empty(0, dtype=x.dtype), {}
        if shape not in self._tiles:
            if len(self._tiles) >= MOST_SHAPES:
                self._tiles.clear()
            with torch.inference_mode(False):  # they outlive the mode of whoever asks first
                self._tiles[shape] = _Tiles(self, *shape)
        return self._tiles[shape]

    def take(self, *shapes: tuple[int, ...]) -> list[Tensor]:
        """Tensors of those shapes with anything in them, their starts aligned as torch's own are."""
        lengths = [-(-math.prod(shape) // 16) * 16 for shape in shapes]
        if sum(lengths) > len(self._whole):
            self._whole, self._tiles = self._whole.new_empty(0), {}
            self._whole = self._whole.new_empty(sum(lengths))
        pieces = self._whole[: sum(lengths)].split(lengths)
        return [piece[: math.prod(shape)].view(shape) for piece, shape in zip(pieces, shapes, strict=True)]


_memory = _Memory()


class _Tiles:
    """What lies between for some rows of tiles of an (H, W, C) map on its way to N channels, and every view of it.

    In memory a tile's 36 points follow one another, by column and then row, as a grouped convolution takes them.

    Attributes:
        down: t_h.
        padded: (4 t_h + 2, W, C), the map's rows that the tiles take, where not all of them are its own.
        bias: (6, 6, N), zeros but for [1, 1], which is its caller's.
    """

    def __init__(self, memory: _Memory, height: int, width: int, num_in: int, num_out: int, num_threads: int) -> None:
        self.height, self.width = height, width
        rows, across = -(-height // TILE), -(-width // TILE)
        least = LEAST_TILES if num_threads == 1 else LEAST_SHARED * num_threads
        self.down = down = -(-rows // max(1, rows * across // least))
        columns = TILE * across + 2
        sums = (down * width * num_in, down * across * POINTS * max(num_in, num_out))
        self.padded, self._by_row, points, halves, pixels, spare = memory.take(
            (TILE * down + 2, width, num_in),
            (down, columns, POINTS * num_in),
            (down, across, POINTS, POINTS * num_in),
            (down, across, POINTS, TILE, num_out),
            (TILE * down, TILE * across, num_out),
            (2, max(sums)),
        )
        self._pixels, self.bias = pixels, pixels.new_zeros(POINTS, POINTS, num_out)
        self._points = points.view(1, down * across, 1, -1).permute(0, 3, 1, 2)
        self._products = down, across, POINTS, POINTS, num_out

        def like(some: Tensor) -> list[Tensor]:
            return [part[: some.numel()].view(some.shape) for part in spare]

        own_columns = self._by_row[:, 1 : 1 + width].unflatten(2, (POINTS, -1)).unbind(2)
        self._down_to_points = own_columns, like(own_columns[0])
        tile_columns = [self._by_row[:, k : TILE * (across - 1) + k + 1 : TILE] for k in range(POINTS)]
        self._across_to_points = tile_columns, points.unbind(2), like(tile_columns[0])
        self._across_from_points = halves.unbind(3), like(halves[:, :, :, 0])
        by_half = halves.flatten(3).unbind(2)
        self._down_from_points = by_half, like(by_half[0])

    def is_inside(self, first: int) -> bool:
        """Whether the map has all rows that the tiles from its row ``first`` on take."""
        return first > 0 and first + TILE * self.down < self.height

    def inside(self, first: int) -> tuple[Tensor, slice]:
        """Where in ``padded`` the map's rows around those from ``first`` on belong, and which; zeros around them."""
        top = first - 1
        before, num = max(0, -top), min(len(self.padded), self.height - top)
        self.padded[:before].zero_()
        self.padded[num:].zero_()
        return self.padded[before:num], slice(top + before, top + num)

    def outputs(self, x: Tensor, around: int, weights: Tensor, bias: Tensor | None, into: Tensor) -> Tensor:
        """What the tiles give, (≤ 4 t_h, W, N): ``into`` if it has room for all of them, else memory of its own.

        Args:
            x: (H', W, C), a row above and one below the tiles included, from row ``around`` on.
            around: see ``x``.
            weights: see ``convolve``.
            bias: (6, 6, N).
            into: (≤ 4 t_h, W, N).
        """
        if around == 0:  # nothing writes there between a map's first rows and its last
            self._by_row[:, 0].zero_()
            self._by_row[:, 1 + self.width :].zero_()
        whole = into.shape[:2] == self._pixels.shape[:2]
        pixels = into if whole else self._pixels
        down, across = self._products[:2]
        tile_rows = [x[around + k : around + TILE * (down - 1) + k + 1 : TILE] for k in range(POINTS)]
        _to_points(tile_rows, *self._down_to_points)
        _to_points(*self._across_to_points)
        products = _products(self._points, weights, None if bias is None else bias.flatten())
        _from_points(products.view(self._products).unbind(2), *self._across_from_points)
        halves, spare = self._down_from_points
        _from_points(halves, pixels.view(down, TILE, across, -1).unbind(1), spare)
        return into if whole else pixels[: len(into), : self.width]


def _products(points: Tensor, weights: Tensor, bias: Tensor | None) -> Tensor:
    """(1, 36 C, T, 1) times the weights: (T, 36 N)."""
    if onednn.is_packed(weights):
        found = onednn.convolved(points, weights, bias, padding=0, groups=POINTS**2)
        return found.permute(0, 2, 3, 1).flatten(0, 2)
    by_point = points[0, :, :, 0].unflatten(0, (POINTS**2, -1)).transpose(1, 2)
    found = torch.bmm(by_point, weights).transpose(0, 1).flatten(1)
    return found if bias is None else found.add_(bias)


# In what follows every operation is on one value of the axis's: all at once leave the cache before they are used again.


def _to_points(d: Sequence[Tensor], v: Sequence[Tensor], spare: Sequence[Tensor]) -> None:
    """Take 6 inputs to 6 points, v = Bᵀ d."""
    even, odd = spare
    torch.sub(d[4], d[2], alpha=4, out=even)
    torch.sub(d[3], d[1], alpha=4, out=odd)
    torch.add(even, odd, out=v[1])
    torch.sub(even, odd, out=v[2])
    torch.sub(d[4], d[2], out=even)
    torch.sub(d[3], d[1], out=odd)
    torch.add(even, odd, alpha=2, out=v[3])
    torch.sub(even, odd, alpha=2, out=v[4])
    torch.sub(d[0], d[2], out=v[0])
    torch.add(even, v[0], alpha=4, out=v[0])
    torch.sub(d[5], d[3], out=v[5])
    v[5].sub_(odd, alpha=4)


def _from_points(m: Sequence[Tensor], y: Sequence[Tensor], spare: Sequence[Tensor]) -> None:
    """Take 6 points to 4 outputs, y = Aᵀ m."""
    one, two = spare
    torch.add(m[1], m[2], out=one)
    torch.add(m[3], m[4], out=two)
    torch.add(one, two, alpha=4, out=y[2])
    torch.add(one, two, out=y[0])
    y[0].add_(m[0])
    torch.sub(m[1], m[2], out=one)
    torch.sub(m[3], m[4], out=two)
    torch.add(one, two, alpha=2, out=y[1])
    torch.add(one, two, alpha=8, out=y[3])
    y[3].add_(m[5])
