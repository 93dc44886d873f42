"""The noise from which a picture may start: white, or with a photograph's spectrum.

D. J. Field, "Relations between the statistics of natural images and the response properties of cortical cells",
J. Opt. Soc. Am. A 4 (1987): the amplitudes of photographs fall as 1/f, f the spatial frequency.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

MEAN = 0.5
"""Middle grey in [0, 1]."""

Spectrum = Literal["white", "pink"]


def noise(height: int, width: int, sigma: float, spectrum: Spectrum, generator: torch.Generator) -> Tensor:
    """0.5 + σ n, (3, H, W) float32, not clamped; n is independent in every channel.

    Args:
        height: px.
        width: px.
        sigma: standard deviation, in units of the pixel range [0, 1].
        spectrum: ``white``: n ~ N(0, 1) in every pixel; ``pink``: amplitude 1/f, each channel's mean 0 and standard
            deviation 1 exactly.
        generator: of the CPU, the row's own.
    """
    white = torch.randn(3, height, width, generator=generator)
    return MEAN + sigma * (white if spectrum == "white" else _pink(white))


def _pink(white: Tensor) -> Tensor:
    """White noise divided by f in Fourier space, without the mean, each channel at standard deviation 1."""
    height, width = white.shape[1:]
    vertical = torch.fft.fftfreq(height, dtype=torch.float64)
    horizontal = torch.fft.rfftfreq(width, dtype=torch.float64)
    frequency = torch.hypot(vertical[:, None], horizontal[None, :])
    frequency[0, 0] = torch.inf  # no mean
    pink: Tensor = torch.fft.irfft2(torch.fft.rfft2(white.double()) / frequency, s=(height, width))
    return (pink / pink.std((1, 2), correction=0, keepdim=True)).float()
