"""What the student is to learn (a teacher's normalised maps), and how much of it a network has learned."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from harness.features.vgg import VGG, with_all_filters
from harness.images.files import read_image
from harness.images.resize import resize, to_tensor

HELD_OUT_OF = 20
"""One image in this many is held out, by the hash of its file name."""

FIRING = 1e-3
"""A teacher's channel fires when its mean activation is above this share of its layer's largest (a third never do)."""


def is_held_out(name: str) -> bool:
    """Whether an image is kept from training: by the SHA-256 of its file name, so that the split needs no list."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % HELD_OUT_OF == 0


def read_photograph(path: Path, shorter_side_px: int = 256) -> Tensor:
    """One image as (3, H, W) uint8 with its shorter side at most that long (a byte a value: all stay in memory)."""
    image = to_tensor(read_image(path))
    shorter = min(image.shape[1:])
    if shorter > shorter_side_px:
        height, width = (round(side * shorter_side_px / shorter) for side in image.shape[1:])
        image = resize(image, height, width)
    return (image * 255).round().clamp(0, 255).to(torch.uint8)


@dataclass(frozen=True)
class Targets:
    """What the normalised teacher's channels look like on photographs.

    Attributes:
        variance: layer to (N,) variance of the normalised activation (1 where the channel does not fire).
        firing: layer to (N,) 1 where the channel fires, else 0.
    """

    variance: dict[str, Tensor]
    firing: dict[str, Tensor]

    def weight(self, layer: str) -> Tensor:
        """(N,) weight of each channel's mean squared error, so that they add up to a mean over the firing channels."""
        return self.firing[layer] / self.variance[layer] / self.firing[layer].sum()


@torch.no_grad()
def measure_targets(teacher: VGG, photographs: Iterable[Tensor]) -> tuple[dict[str, Tensor], Targets]:
    """Mean, variance and firing channels of a teacher over whole (1, 3, H, W) photographs.

    Returns:
        Layer to (N,) mean activation (1 where a channel does not fire), and the targets of the teacher divided by it.
    """
    total = {layer: torch.zeros(teacher.num_filters(layer), dtype=torch.float64) for layer in teacher.layers}
    square = {layer: torch.zeros_like(total[layer]) for layer in teacher.layers}
    count = dict.fromkeys(teacher.layers, 0)
    for photograph in photographs:
        for layer, features in teacher(photograph, teacher.layers).items():
            total[layer] += features.sum((0, 2, 3)).double().cpu()
            square[layer] += features.square().sum((0, 2, 3)).double().cpu()
            count[layer] += features.shape[2] * features.shape[3]
    mean, variance, firing = {}, {}, {}
    for layer in teacher.layers:
        m = total[layer] / count[layer]
        fires = m > FIRING * m.max()
        v = square[layer] / count[layer] - m.square()
        mean[layer] = torch.where(fires, m, 1.0).float()
        variance[layer] = torch.where(fires, v / m.square(), 1.0).float()
        firing[layer] = fires.float()
    return mean, Targets(variance, firing)


@torch.no_grad()
def unexplained(
    state: Mapping[str, Tensor], teacher: VGG, photographs: Sequence[Tensor], targets: Targets
) -> dict[str, float]:
    """Share of the teacher's variance that the student leaves unexplained, per layer.

    Args:
        state: the folded student.
        teacher: the teacher.
        photographs: held-out (1, 3, H, W) whole photographs.
        targets: the teacher's means and firing channels.

    Returns:
        Layer to the mean over firing channels of Σ error² / Σ (target − its mean)², over all positions of all.
    """
    student = VGG(with_all_filters(state)).to(photographs[0].device)
    sums = {layer: torch.zeros(3, student.num_filters(layer), dtype=torch.float64) for layer in student.layers}
    count = dict.fromkeys(student.layers, 0)
    for photograph in photographs:
        theirs = teacher(photograph, teacher.layers)
        for layer, features in student(photograph, student.layers).items():
            target = theirs[layer]
            error = features - target
            parts = (error.square().sum((0, 2, 3)), target.sum((0, 2, 3)), target.square().sum((0, 2, 3)))
            sums[layer] += torch.stack(parts).double().cpu()
            count[layer] += target.shape[2] * target.shape[3]
    return {
        layer: float(
            (error / (square - total.square() / count[layer]).clamp_min(1e-12))[targets.firing[layer] > 0].mean()
        )
        for layer, (error, total, square) in sums.items()
    }
