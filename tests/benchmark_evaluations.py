"""How low the loss comes on a full-width VGG-16 at equal cost: sizes and initial inverse Hessians side by side.

    python tests/benchmark_evaluations.py                                  astronaut and strokes, 192 px: about 10 min
    python tests/benchmark_evaluations.py photo.jpg painting.jpg 192       others

Cost is counted in evaluations at the full size: one at half the size counts a quarter. Every line has α/β = 1e-2 in the
default convention, σ = 0.02, backtracking, bounds of the painting, history 20, one thread.
"""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from unittest.mock import patch

import torch

from harness.cli.distill_evaluate import parse_pair
from harness.distillation.on_policy import Levels, objective_of, optimise
from harness.distillation.teacher import load_teacher

ALPHA = 1e-2

THREE_SIZES = ((1 / 4, 150), (1 / 2, 150), (1, 130))
WAYS: dict[str, tuple[bool, Levels]] = {
    "one size, grey filter": (False, ((1, 177),)),
    "one size, filter with colours": (True, ((1, 177),)),
    "1/4, 1/2, 1, grey filter": (False, THREE_SIZES),
    "1/4, 1/2, 1, filter with colours": (True, THREE_SIZES),
    "1/2, 1, filter with colours": (True, ((1 / 2, 142), (1, 142))),
}
"""Name to whether the filter knows the colours' covariance, and the levels. All cost 177 but for rounding."""


def main(content: str, style: str, size_px: int) -> None:
    """Print a line for each way."""
    torch.set_num_threads(1)
    network = load_teacher("vgg16").network(torch.device("cpu"))
    photograph, painting = parse_pair(f"{content}:{style}").images(size_px, torch.device("cpu"))
    height, width = photograph.shape[1:]
    print(f"{content}, {style}, {width} × {height} px, torch {torch.__version__}")
    for name, (has_colours, levels) in WAYS.items():
        started = time.perf_counter()
        with nullcontext() if has_colours else patch("harness.optim.preconditioner.colour_factor", _grey):
            picture = optimise(network, photograph, painting, ALPHA, levels, 0)
        with torch.no_grad():
            total = float(objective_of(network, photograph, painting, ALPHA)(network, picture[None], [0]).total)
        cost = sum(num * part**2 for part, num in levels)
        print(f"{name:36} total {total:.5f}   cost {cost:.1f}   {time.perf_counter() - started:.0f} s", flush=True)


def _grey() -> torch.Tensor:
    return torch.eye(3, dtype=torch.float64)


if __name__ == "__main__":
    main(*(sys.argv[1:3] or ["astronaut", "strokes"]), int(sys.argv[3]) if len(sys.argv) > 3 else 192)
