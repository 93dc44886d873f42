"""How low the loss comes on a full-width VGG-16 at equal cost: sizes and initial inverse Hessians side by side.

    python tests/benchmarks/preconditioners.py                            astronaut, strokes, 192 px: about 20 min
    python tests/benchmarks/preconditioners.py photo.jpg painting.jpg 192 others

Cost is counted in evaluations at the full size: one at half the size counts a quarter. Every line has α/β = 1e-2 in the
default convention, σ = 0.02, backtracking, bounds of the painting, history 20, one thread.
"""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Literal
from unittest.mock import patch

import torch
from torch import Tensor

from harness.cli.distill_evaluate import parse_pair
from harness.distillation.on_policy import Levels, objective_of, optimise
from harness.distillation.teacher import load_teacher
from harness.images.resize import fit_area, resize
from harness.optim.preconditioner import COLOUR_POWER, LOWEST_FREQUENCY, FourierFilter

ALPHA = 1e-2

Knows = Literal["grey", "colours", "the painting's colours", "the painting's colours and spectrum"]

THREE_SIZES = ((1 / 4, 150), (1 / 2, 150), (1, 130))
TWO_SIZES = ((1 / 2, 142), (1, 142))
WAYS: tuple[tuple[str, Knows, Levels], ...] = (
    ("one size", "grey", ((1, 177),)),
    ("one size", "colours", ((1, 177),)),
    ("1/4, 1/2, 1", "grey", THREE_SIZES),
    ("1/4, 1/2, 1", "colours", THREE_SIZES),
    ("1/2, 1", "colours", TWO_SIZES),
    ("1/2, 1", "the painting's colours", TWO_SIZES),
    ("1/2, 1", "the painting's colours and spectrum", TWO_SIZES),
)
"""Sizes in words, what the filter knows, and the levels. All cost 177 but for rounding."""


def main(content: str, style: str, size_px: int) -> None:
    """Print a line for each way."""
    torch.set_num_threads(1)
    network = load_teacher("vgg16").network(torch.device("cpu"))
    photograph, painting = parse_pair(f"{content}:{style}").images(size_px, torch.device("cpu"))
    height, width = photograph.shape[1:]
    print(f"{content}, {style}, {width} × {height} px, torch {torch.__version__}")
    for sizes, knows, levels in WAYS:
        started = time.perf_counter()
        with ExitStack() as patches:
            for patched in filter_that(knows, painting):
                patches.enter_context(patched)
            picture = optimise(network, photograph, painting, ALPHA, levels, 0)
        with torch.no_grad():
            total = float(objective_of(network, photograph, painting, ALPHA)(network, picture[None], [0]).total)
        cost = sum(num * part**2 for part, num in levels)
        name = f"{sizes}, {knows}"
        print(f"{name:45} total {total:.5f}   cost {cost:.1f}   {time.perf_counter() - started:.0f} s", flush=True)


def filter_that(knows: Knows, painting: Tensor) -> list[AbstractContextManager[Any]]:
    """What puts the filter in the place of the one that the optimiser makes.

    Args:
        knows: what it knows: ``colours`` is the filter as it is.
        painting: (3, H, W).
    """
    if knows == "colours":
        return []
    colours = torch.eye(3, dtype=torch.float64) if knows == "grey" else own_colours(painting)
    patches = [patch("harness.optim.preconditioner.colour_factor", lambda: colours)]
    if knows == "the painting's colours and spectrum":

        class OwnSpectrum(FourierFilter):
            def __init__(self, shape: tuple[int, ...]) -> None:
                super().__init__(shape)
                here = resize(painting, *fit_area(*painting.shape[1:], shape[1] * shape[2], 1.0))  # as the level has it
                self.gain = own_gain(self.gain, here)

        patches.append(patch("harness.optim.preconditioner.FourierFilter", OwnSpectrum))
    return patches


def own_colours(painting: Tensor) -> Tensor:
    """``colour_factor`` from the painting's pixels."""
    covariance = torch.cov(painting.double().flatten(1))
    values, vectors = torch.linalg.eigh(covariance)
    return vectors @ torch.diag((values / values.max()).clamp_min(1e-3) ** COLOUR_POWER) @ vectors.T


def own_gain(gain: Tensor, painting: Tensor) -> Tensor:
    """The painting's mean amplitude at every frequency in the place of 1/f, scaled to be as large as it in the mean.

    Args:
        gain: (H, W//2 + 1), 1 / max(f, 1/64).
        painting: (3, H_s, W_s).
    """
    channels = painting.double() - painting.double().mean((1, 2), keepdim=True)
    power = torch.fft.rfft2(channels).abs().square().mean(0)
    vertical = torch.fft.fftfreq(painting.shape[1], dtype=torch.float64)
    horizontal = torch.fft.rfftfreq(painting.shape[2], dtype=torch.float64)
    ring = (torch.hypot(vertical[:, None], horizontal[None]).clamp_min(LOWEST_FREQUENCY) / LOWEST_FREQUENCY).long()
    sums, counts = (torch.zeros(64).double().index_add(0, ring.flatten(), of.flatten()) for of in (power, power**0))
    amplitude = (sums / counts.clamp_min(1)).sqrt()
    found = amplitude[(1 / gain / LOWEST_FREQUENCY).long()]
    return found * (gain.mean() / found.mean())


if __name__ == "__main__":
    main(*(sys.argv[1:3] or ["astronaut", "strokes"]), int(sys.argv[3]) if len(sys.argv) > 3 else 192)
