"""How low the loss comes on a full-width VGG-16 at equal cost: sizes and initial inverse Hessians side by side.

    python tests/benchmark_evaluations.py                                  astronaut and strokes, 192 px: about 10 min
    python tests/benchmark_evaluations.py photo.jpg painting.jpg 192       others

Cost is counted in evaluations at the full size: one at half the size counts a quarter. Every line has α/β = 1e-2 in the
default convention, σ = 0.02, backtracking, bounds of the painting, history 20, one thread.
"""

from __future__ import annotations

import sys
import time

import torch
from torch import Tensor

from harness.features.normalise import normalised_state
from harness.features.vgg import VGG
from harness.features.weights import load_state
from harness.images.files import read_image
from harness.images.library import find_image
from harness.images.resize import fit_area, fit_longer_side, resize, to_tensor
from harness.objective.gradient import evaluate
from harness.objective.row_objective import RowObjective
from harness.objective.rows import Objective
from harness.optim import BatchedLBFGS
from harness.optim.preconditioner import FourierFilter

ALPHA, SIGMA = 1e-2, 0.02
STYLE_LAYERS = {f"conv{block}_1": 1 / 5 for block in (1, 2, 3, 4, 5)}

WAYS: dict[str, tuple[str, tuple[tuple[float, int], ...]]] = {
    "one size, grey filter": ("grey", ((1, 177),)),
    "1/4, 1/2, 1, grey filter": ("grey", ((1 / 4, 150), (1 / 2, 150), (1, 130))),
    "1/4, 1/2, 1, filter with colours": ("colours", ((1 / 4, 150), (1 / 2, 150), (1, 130))),
    "1/2, 1, filter with colours": ("colours", ((1 / 2, 142), (1, 142))),
}
"""Name to the filter and the levels: part of the size, evaluations. All cost 177 but for rounding."""


def optimise(network: VGG, content: Tensor, style: Tensor, kind: str, levels: tuple[tuple[float, int], ...]) -> float:
    """The total at the end of the last level."""
    picture, total = None, float("nan")
    for part, num_evaluations in levels:
        here, painting = (
            resize(image, *(round(side * part) for side in image.shape[1:])) for image in (content, style)
        )
        noise = SIGMA * torch.randn(here.shape, generator=torch.Generator().manual_seed(0))
        picture = 0.5 + noise if picture is None else resize(picture, *here.shape[1:])
        objective = Objective([RowObjective(ALPHA, 1.0, {"conv4_2": 1.0}, STYLE_LAYERS)], network, [here], [painting])
        images = torch.nn.Parameter(picture[None].contiguous())
        bounds = painting.amin((1, 2), keepdim=True)[None], painting.amax((1, 2), keepdim=True)[None]
        optimizer = BatchedLBFGS([images], line_search="backtracking", bounds=bounds, initial_hessian="fourier")
        if kind == "grey":
            filter_of_it = optimizer._plan.precondition
            assert isinstance(filter_of_it, FourierFilter)
            filter_of_it.colours = None

        def closure(images: Tensor = images, objective: Objective = objective) -> Tensor:
            evaluation = evaluate(objective, network, images.data, [0])
            images.grad = evaluation.gradient
            return evaluation.losses.total

        for _ in range(num_evaluations):
            optimizer.step(closure)
        picture, total = optimizer.best_images[0].detach(), float(optimizer.best_losses[0])
    return total


def main(content: str, style: str, size_px: int) -> None:
    """Print a line for each way."""
    torch.set_num_threads(1)
    network = VGG(normalised_state(load_state("vgg16")), "conv5_1")
    photograph, painting = (to_tensor(read_image(find_image(name))) for name in (content, style))
    photograph = resize(photograph, *fit_longer_side(*photograph.shape[1:], size_px))
    height, width = photograph.shape[1:]
    painting = resize(painting, *fit_area(*painting.shape[1:], height * width, 1.0))
    print(f"{content}, {style}, {width} × {height} px, torch {torch.__version__}")
    for name, (kind, levels) in WAYS.items():
        started = time.perf_counter()
        total = optimise(network, photograph, painting, kind, levels)
        cost = sum(num * part**2 for part, num in levels)
        print(f"{name:36} total {total:.5f}   cost {cost:.1f}   {time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main(*(sys.argv[1:3] or ["astronaut", "strokes"]), int(sys.argv[3]) if len(sys.argv) > 3 else 192)
