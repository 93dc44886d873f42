"""What measures compute of images, as arrays: luminance, colour, fine structure, edges, autocorrelation.

Luminance is Rec. ITU-R BT.709 luma, Y' = 0.2126 R' + 0.7152 G' + 0.0722 B', of the sRGB values as they are: the network
sees those too, and on linear light the shadows' structure would hardly count.

Letters: Y luminance (H, W) in [0, 1]; images (H, W, 3) in [0, 1].
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import CannotMeasureError

Floats = NDArray[np.float64]

LUMA = (0.2126, 0.7152, 0.0722)
SIGMA_PX = 2.0
"""Of the blur that separates fine structure: it halves periods of about 11 px, and leaves less than 1% of 4 px."""
LAGS_PX = (8, 32)
"""Lags over which larger structures are compared: below lies what neighbouring pixels share in every image, above the
quick size of 256 px has too few independent pairs."""


def luminance(image: Floats) -> Floats:
    """Rec. 709 luma of an (H, W, 3) image, (H, W) in [0, 1]."""
    Y: Floats = image @ np.array(LUMA)
    return Y


def chroma(image: Floats) -> Floats:
    """I and Q of NTSC's YIQ, (H, W, 2): |I| ≤ 0.5959, |Q| ≤ 0.5229; 0 for greys. By scikit-image."""
    from skimage.color import rgb2yiq

    IQ: Floats = rgb2yiq(image)[..., 1:]
    return IQ


def blurred(Y: Floats) -> Floats:
    """Gaussian blur with σ = 2 px, cut off at 4 σ, the image mirrored at its borders. By scipy."""
    from scipy.ndimage import gaussian_filter

    smooth: Floats = gaussian_filter(Y, SIGMA_PX, mode="reflect", truncate=4.0)
    return smooth


def edge_strength(Y: Floats) -> Floats:
    """√((S_x² + S_y²)/2), S_x and S_y Sobel's differences of neighbours 2 px apart, smoothed by (1, 2, 1)/4 across.

    The image is mirrored at its borders; in [0, 1]. By scikit-image.
    """
    from skimage.filters import sobel

    strength: Floats = sobel(Y)
    return strength


def correlation(first: Floats, second: Floats) -> float:
    """Pearson's, over all positions.

    Raises:
        CannotMeasureError: one of them is constant.
    """
    centred = [values.ravel() - values.mean() for values in (first, second)]
    norms = [math.sqrt(float(values @ values)) for values in centred]
    if min(norms) < 1e-9 * math.sqrt(first.size):  # rounding of a flat image is 1e-16 a pixel, one 8-bit step 4e-3
        raise CannotMeasureError("A flat image has no correlation.")
    return float(centred[0] @ centred[1]) / (norms[0] * norms[1])


def autocorrelation(Y: Floats, radius_px: int) -> Floats:
    """ρ(d) = mean_p Z(p) Z(p + d) / mean_p Z(p)², Z = Y − mean Y, over the positions at which both lie in the image.

    Dividing by their number makes images of different sizes comparable. By a zero-padded FFT.

    Args:
        Y: (H, W), sides > ``radius_px``.
        radius_px: the largest lag down or across.

    Returns:
        (2 r + 1, 2 r + 1), lag (0, 0), where ρ = 1, in the middle.

    Raises:
        CannotMeasureError: a flat image has no autocorrelation.
    """
    Z = Y - Y.mean()
    if float((Z * Z).mean()) < 1e-18:
        raise CannotMeasureError("A flat image has no autocorrelation.")
    height, width = Y.shape
    shape = (height + radius_px, width + radius_px)  # no lag up to the radius wraps around
    power = np.abs(np.fft.rfft2(Z, shape)) ** 2
    sums = np.fft.irfft2(power, shape)
    lags = np.arange(-radius_px, radius_px + 1)
    counts = np.outer(height - np.abs(lags), width - np.abs(lags))
    ρ: Floats = sums[np.ix_(lags, lags)] / counts / float((Z * Z).mean())
    return ρ


def compared_lags() -> NDArray[np.bool_]:
    """The lags of ``LAGS_PX`` among those of ``autocorrelation``."""
    lags = np.arange(-LAGS_PX[1], LAGS_PX[1] + 1)
    squares = lags[:, None] ** 2 + lags**2
    return (squares >= LAGS_PX[0] ** 2) & (squares <= LAGS_PX[1] ** 2)


def root_mean_square(difference: NDArray[Any]) -> float:
    """√mean of the squares, in float64."""
    return math.sqrt(float(np.mean(np.square(difference, dtype=np.float64))))
