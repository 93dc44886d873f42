"""Pictures optimised on the student itself, and how good pictures optimised on a network are.

The optimiser ends where its network is wrong: training on pictures that it made on an earlier student, with the
teacher's maps of them, takes that from it (imitation learning's DAgger: Ross, Gordon & Bagnell 2011).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from harness.distillation.crops import as_bytes, cut, recoloured
from harness.features.vgg import VGG
from harness.images.noise import noise
from harness.images.resize import resize
from harness.objective.gradient import evaluate
from harness.objective.row_objective import RowObjective
from harness.objective.rows import Objective
from harness.optim import BatchedLBFGS

NOISE_SIGMA = 0.02
CONTENT_LAYERS = {"conv4_2": 1.0}
STYLE_LAYERS = {f"conv{block}_1": 1 / 5 for block in (1, 2, 3, 4, 5)}
COMPARED = frozenset(CONTENT_LAYERS | STYLE_LAYERS)

KEPT_AFTER = (5, 15, 30, 60)
"""Evaluations at full size after which a picture is kept to train on: the student is wrong otherwise early and late."""

Levels = Sequence[tuple[float, int]]
"""Part of the full size, and evaluations there; the last one is the full size."""


def objective_of(network: VGG, content: Tensor, style: Tensor, alpha: float) -> Objective:
    """The paper's objective on a network, β = 1, for (3, H, W) images."""
    return Objective([RowObjective(alpha, 1.0, CONTENT_LAYERS, STYLE_LAYERS)], network, [content], [style])


def optimise(network: VGG, content: Tensor, style: Tensor, alpha: float, levels: Levels, seed: int) -> Tensor:
    """The last of ``trajectory``."""
    return deque(trajectory(network, content, style, alpha, levels, seed), maxlen=1).pop()


def trajectory(
    network: VGG, content: Tensor, style: Tensor, alpha: float, levels: Levels, seed: int
) -> Iterator[Tensor]:
    """Pictures (3, H, W) optimised from noise, coarse to fine, as a run does it: the best after each evaluation of the
    last level.

    Args:
        network: frozen.
        content: (3, H, W), which is also the picture's size, on the network's device, as is the style.
        style: (3, H_s, W_s).
        alpha: α, for β = 1 in the default convention.
        levels: sizes and evaluations.
        seed: of the noise.
    """
    picture: Tensor | None = None
    for part, num_evaluations in levels:
        here, painting = (
            image if part == 1 else resize(image, *(max(16, round(side * part)) for side in image.shape[1:]))
            for image in (content, style)
        )
        if picture is None:
            generator = torch.Generator().manual_seed(seed)
            picture = noise(here.shape[1], here.shape[2], NOISE_SIGMA, "white", generator).to(here)
        else:
            picture = resize(picture, *here.shape[1:])
        objective = objective_of(network, here, painting, alpha)
        images = torch.nn.Parameter(picture[None].contiguous())
        bounds = (painting.amin((1, 2), keepdim=True)[None], painting.amax((1, 2), keepdim=True)[None])
        optimizer = BatchedLBFGS([images], line_search="backtracking", bounds=bounds, initial_hessian="fourier")

        def closure(images: Tensor = images, objective: Objective = objective) -> Tensor:
            evaluation = evaluate(objective, network, images.data, [0])
            images.grad = evaluation.gradient
            return evaluation.losses.total

        for _ in range(num_evaluations):
            optimizer.step(closure)
            if part == 1:
                yield optimizer.best_images[0].detach()
        picture = optimizer.best_images[0].detach()


def make_pictures(
    network: VGG, photographs: Sequence[Tensor], paintings: Sequence[Tensor], side_px: int, seed: int, index: int
) -> tuple[Tensor, ...]:
    """Optimisation number ``index`` of random crops at a random ratio: (3, side, side) uint8 after ``KEPT_AFTER``.

    A quarter of the styles are photographs.
    """
    random = np.random.default_rng((seed, index))
    device = network.bias("input").device
    content = recoloured(cut(photographs, side_px, random), random).to(device)
    styles = paintings if random.random() < 0.75 else photographs
    style = recoloured(cut(styles, side_px, random), random).to(device)
    alpha = float(10 ** random.uniform(-2.5, 0.5))
    levels = ((1 / 2, 40), (1, KEPT_AFTER[-1]))
    pictures = enumerate(trajectory(network, content, style, alpha, levels, index), 1)
    return tuple(as_bytes(picture).cpu() for num, picture in pictures if num in KEPT_AFTER)


@dataclass(frozen=True)
class Comparison:
    """One pair at one ratio: the teacher's own total of the picture optimised on it, and of the student's picture."""

    pair: str
    alpha: float
    own: float
    students: float

    @property
    def ratio(self) -> float:
        """How much worse the student's picture is."""
        return self.students / self.own


def total_of_picture(network: VGG, teacher: VGG, content: Tensor, style: Tensor, alpha: float, levels: Levels) -> float:
    """Optimise a picture on a network and measure it by the teacher's objective.

    It is measured as its file holds it: 8 bits in [0, 1].
    """
    saved = as_bytes(optimise(network, content, style, alpha, levels, 0)).float() / 255
    with torch.no_grad():
        losses = objective_of(teacher, content, style, alpha)(teacher, saved[None], [0])
    return float(losses.total)


def compare_pictures(
    student: VGG,
    teacher: VGG,
    pair: str,
    content: Tensor,
    style: Tensor,
    alpha: float,
    levels: Levels,
    own: float | None = None,
) -> Comparison:
    """Optimise one picture on each of two networks at equal evaluations; both measured by the teacher's objective.

    Args:
        student: the network in question.
        teacher: what it stands for.
        pair: what the two images are called.
        content: (3, H, W) in [0, 1].
        style: (3, H_s, W_s).
        alpha: α, for β = 1.
        levels: sizes and evaluations.
        own: the total of the teacher's own picture, where it is known.
    """
    if own is None:
        own = total_of_picture(teacher, teacher, content, style, alpha, levels)
    return Comparison(pair, alpha, own, total_of_picture(student, teacher, content, style, alpha, levels))


def geometric_mean(comparisons: Sequence[Comparison]) -> float:
    """Of the ratios: 1 where the student's pictures are as good as the teacher's own."""
    return math.exp(sum(math.log(comparison.ratio) for comparison in comparisons) / len(comparisons))
