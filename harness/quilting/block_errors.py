"""How well each block of the source would fit: weighted squared differences at every position at once, by FFT.

The block search of Efros & Freeman (SIGGRAPH 2001), section 2; symbols: S source, B what the block should look like,
W how much each pixel counts (0 outside the overlap). Σ W (S − B)² = Σ W S² − 2 Σ W B S + Σ W B²: two correlations with
the source, whose transforms are computed once.

Shapes: S (K, Hs, Ws), K features of a pixel (its colours, its luminance); B and W (K, h, w).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NOISE = 1e-8
"""Below it an error is 0. One pixel off by one 8-bit level makes 1.5e-5, the transforms' rounding less than 1e-9."""

_MAX_WEIGHTS = 16
"""How many Σ W S² are kept; a picture needs nine at most: first, middle and last blocks, each way."""


class BlockSearch:
    """The errors of all the source's blocks.

    Args:
        source: S (K, Hs, Ws), finite, of values around 1.
    """

    def __init__(self, source: Floats) -> None:
        self._size = source.shape[1:]
        self._padded = tuple(_fast_length(length) for length in self._size)
        self._source = np.fft.rfft2(source, self._padded)
        self._squares = np.fft.rfft2(source * source, self._padded)
        self._weighted_squares: dict[bytes, Floats] = {}

    def errors(self, comparisons: Sequence[tuple[Floats, Floats]]) -> Floats:
        """Σ W (S − B)², summed over all pairs (B, W), for the block of the source that begins at each position.

        Costs K + 1 transforms of the source's size, whatever the number of pairs: about 3 ms at 256 px.

        Args:
            comparisons: B (K, h, w), finite also where W is 0, and W (K, h, w), ≥ 0; all of one size.

        Returns:
            (Hs − h + 1, Ws − w + 1), ≥ 0; exactly 0 where below ``NOISE``.
        """
        shape = comparisons[0][1].shape
        kernel, weight, constant = np.zeros(shape), np.zeros(shape), 0.0
        for B, W in comparisons:
            kernel -= 2 * W * B
            weight += W
            constant += float((W * B * B).sum())
        errors = self._correlate(self._source, kernel)
        errors += self._squares_of(weight)
        errors += constant
        errors[errors < NOISE] = 0
        return errors

    def _squares_of(self, weight: Floats) -> Floats:
        """Σ W S², from memory where these weights have been seen."""
        key = repr(weight.shape).encode() + weight.tobytes()
        if key not in self._weighted_squares:
            if len(self._weighted_squares) == _MAX_WEIGHTS:
                self._weighted_squares.clear()
            self._weighted_squares[key] = self._correlate(self._squares, weight)
        return self._weighted_squares[key]

    def _correlate(self, transformed: NDArray[np.complex128], kernel: Floats) -> Floats:
        """Σ_k Σ_x kernel_k(x) S_k(x + position); axis by axis, so that rows of zeros are not transformed."""
        height, width = kernel.shape[1:]
        across = np.fft.rfft(kernel, self._padded[1], axis=2)
        product = np.einsum("kyx,kyx->yx", transformed, np.fft.fft(across, self._padded[0], axis=1).conj())
        valid = np.fft.ifft(product, axis=0)[: self._size[0] - height + 1]
        correlation: Floats = np.fft.irfft(valid, self._padded[1], axis=1)[:, : self._size[1] - width + 1]
        return correlation


def _fast_length(length: int) -> int:
    """The next number without a prime factor above 5, whose transform is fast."""
    while True:
        rest = length
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return length
        length += 1
