"""The initial inverse Hessian H⁰ of L-BFGS: the identity, or one that knows what photographs are like.

The loss of a picture is far stiffer along fine detail than along broad colour, and along differences between channels
than along what they share, so that a step −g barely moves what matters most. L-BFGS on u with x = P u is L-BFGS on x
with H⁰ = γ P Pᵀ. Here P Pᵀ = F ⊗ Cᵖ: F the Fourier multiplier 1 / max(f, 1/64) over height and width (f in cycles per
pixel), which takes a third fewer evaluations from noise (quarter-width network, 192×256); C the covariance of the
colours of photographs, p = ½. With C, what took 200 evaluations takes 150 (the same network); with p = 1 the first
steps on a full-width network overshoot.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from harness.optim.pairs import Preconditioner

InitialHessian = Literal["scaled_identity", "fourier"]

LOWEST_FREQUENCY = 1.0 / 64.0  # cycles per pixel below which the filter is flat
SPECTRUM_EXPONENT = 1.0  # of 1/f: 1.5 and 2 are no better
COLOUR_POWER = 0.5

COLOUR_COVARIANCE = ((0.4350, 0.3422, 0.2531), (0.3422, 0.3570, 0.3238), (0.2531, 0.3238, 0.3642))
"""C, rows R, G, B, its largest eigenvalue 1 (the others 0.146, 0.0105: red–blue, green–magenta, nearly).

Measured over scikit-image's astronaut, chelsea, coffee and rocket, all their sRGB pixels as they are: the mean of the
four covariances, each divided by its trace; ``tests/test_preconditioner.py`` measures it again.
"""


def colour_factor(power: float = COLOUR_POWER) -> Tensor:
    """Cᵖ, (3, 3) float64, symmetric positive definite."""
    values, vectors = torch.linalg.eigh(torch.tensor(COLOUR_COVARIANCE, dtype=torch.float64))
    factor: Tensor = vectors @ torch.diag(values**power) @ vectors.T
    return factor


class FourierFilter:
    """F ⊗ Cᵖ for rows (3, H, W), F = 1 / max(f, 1/64)ᵉ alone for other rows (..., H, W); on vectors (n,) or (A, n).

    A row's result does not depend on its neighbours: channels are mixed element by element, which rounds alike however
    many rows there are.

    Args:
        shape: of a row.
        exponent: e, of the spectrum.
        colours: (3, 3), symmetric positive definite, in the place of Cᵖ; ``colour_factor()`` when left out. Used only
            where a row has three channels.
    """

    def __init__(
        self, shape: tuple[int, ...], exponent: float = SPECTRUM_EXPONENT, colours: Tensor | None = None
    ) -> None:
        self.shape = shape
        height, width = shape[-2:]
        vertical, horizontal = (
            torch.fft.fftfreq(height, dtype=torch.float64),
            torch.fft.rfftfreq(width, dtype=torch.float64),
        )
        frequency = torch.hypot(vertical[:, None], horizontal[None, :])
        self.gain = frequency.clamp_min(LOWEST_FREQUENCY).pow(-exponent)  # (H, W//2 + 1)
        mixed = colour_factor() if colours is None else colours
        is_colour = len(shape) == 3 and shape[0] == 3
        # at k what channel k gives to each, (3, 1, 1)
        self.colours = mixed.T.reshape(3, 3, 1, 1) if is_colour else None

    def __call__(self, v: Tensor) -> Tensor:
        """(F ⊗ Cᵖ) v, a new tensor of v's shape."""
        if self.gain.device != v.device or self.gain.dtype != v.dtype:
            self.gain = self.gain.to(v)  # once
            self.colours = None if self.colours is None else self.colours.to(v)
        rows = v.view(*v.shape[:-1], *self.shape)
        spectrum = torch.fft.rfft2(rows if self.colours is None else _mixed(rows, self.colours))
        filtered: Tensor = torch.fft.irfft2(spectrum.mul_(self.gain), s=self.shape[-2:])
        return filtered.reshape(v.shape)


def _mixed(rows: Tensor, colours: Tensor) -> Tensor:
    """Σ_k C[:, k] v_k over the channels k of rows (..., 3, H, W).

    No matrix product: its order of summation may depend on the number of rows. No fused multiply-add either: vectorised
    or not, it rounds otherwise.
    """
    red, green, blue = (rows[..., k : k + 1, :, :] for k in range(3))
    return (colours[0] * red).add_(colours[1] * green).add_(colours[2] * blue)


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
