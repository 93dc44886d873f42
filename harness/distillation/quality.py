"""How much of the teacher's maps a network leaves unexplained.

Only distances between maps are compared, so maps that differ by a rotation are the same. With T = Uᵀ F in the principal
directions of the images at hand and X = √(N/K) R S, both (K × M), the share is

    min over orthogonal Q of Σ |T − Q X|²  /  Σ_k variance of T_k  =  (|T|² + |X|² − 2 ‖T Xᵀ‖_*) / Σ_k variance of T_k

(orthogonal Procrustes: Schönemann 1966; ‖·‖_* is the sum of the singular values). 0: the distances are the teacher's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.distillation.targets import Moments, MomentSums, principal_directions
from harness.features.vgg import VGG


@dataclass(frozen=True)
class LayerQuality:
    """One layer of a network beside its teacher's.

    Attributes:
        num: K, channels of its map.
        num_teachers: N, channels of the teacher's.
        share: of the teacher's energy, what lies in its K largest principal directions.
        unexplained: of the variance in these directions, what the network's map leaves.
    """

    num: int
    num_teachers: int
    share: float
    unexplained: float


@torch.no_grad()
def measure_quality(student: VGG, teacher: VGG, images: Iterable[Tensor]) -> dict[str, LayerQuality]:
    """Every layer that both networks have, over whole images.

    Args:
        student: with its read-outs.
        teacher: its maps as a run has them.
        images: (1, 3, H, W), sRGB in [0, 1], on the networks' device.
    """
    layers = [layer for layer in teacher.layers if layer in student.layers]
    sizes = {layer: (teacher.num_filters(layer), student.num_filters(layer)) for layer in layers}
    sums = {layer: MomentSums(N + K) for layer, (N, K) in sizes.items()}
    for image in images:
        theirs, own = teacher(image, layers), student(image, layers)
        for layer, (N, K) in sizes.items():
            X = own[layer][0].flatten(1) * (N / K) ** 0.5
            sums[layer].add(torch.cat([theirs[layer][0].flatten(1), X]))
    found = {}
    for layer, (N, K) in sizes.items():
        both = sums[layer].moments()
        of_teacher = Moments(both.second[:N, :N], both.first[:N])
        directions = principal_directions({layer: of_teacher}, {layer: min(N, K)})[layer]
        nuclear = torch.linalg.svdvals(directions.basis.T @ both.second[:N, N:]).sum()
        left = directions.energy.sum() + both.second.diagonal()[N:].sum() - 2 * nuclear
        unexplained = float(left.clamp_min(0) / directions.variance.sum())
        found[layer] = LayerQuality(K, N, directions.share, unexplained)
    return found
