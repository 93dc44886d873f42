"""The initial inverse Hessian H⁰ of L-BFGS: the identity, or a filter that favours low spatial frequencies.

The loss of a picture is far stiffer along fine detail than along broad colour, so that a step −g barely moves the
latter. Optimising u with x = P u, P the Fourier multiplier 1 / max(f, 1/64)^½ (f in cycles per pixel), is L-BFGS on x
with H⁰ = γ P², P² = 1 / max(f, 1/64): a third fewer evaluations from noise (quarter-width network, 192×256).
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from harness.optim.two_loop import Preconditioner

InitialHessian = Literal["scaled_identity", "fourier"]

LOWEST_FREQUENCY = 1.0 / 64.0  # cycles per pixel below which the filter is flat


class FourierFilter:
    """P² = 1 / max(f, 1/64) over height and width of a row (..., H, W), for vectors (n,) or (A, n)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        height, width = shape[-2:]
        vertical, horizontal = (
            torch.fft.fftfreq(height, dtype=torch.float64),
            torch.fft.rfftfreq(width, dtype=torch.float64),
        )
        frequency = torch.hypot(vertical[:, None], horizontal[None, :])
        self.gain = frequency.clamp_min(LOWEST_FREQUENCY).reciprocal()  # (H, W//2 + 1)

    def __call__(self, v: Tensor) -> Tensor:
        """P² v, a new tensor of v's shape."""
        if self.gain.device != v.device or self.gain.dtype != v.dtype:
            self.gain = self.gain.to(v)  # once
        spectrum = torch.fft.rfft2(v.view(*v.shape[:-1], *self.shape))
        filtered = torch.fft.irfft2(spectrum.mul_(self.gain), s=self.shape[-2:])
        return filtered.reshape(v.shape)


def initial_hessian_of(name: InitialHessian, row_shape: tuple[int, ...]) -> Preconditioner | None:
    """H⁰ / γ for rows of a shape; None for the identity.

    Raises:
        ValueError: an unknown name, or rows without height and width.
    """
    if name not in get_args(InitialHessian):
        raise ValueError(f"initial_hessian is {name!r}; choose one of {', '.join(get_args(InitialHessian))}.")
    if name == "scaled_identity":
        return None
    if len(row_shape) < 2:
        raise ValueError(f"initial_hessian fourier needs rows with height and width; these are {row_shape}.")
    return FourierFilter(row_shape)
