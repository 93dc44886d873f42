"""What the student is to learn: the teacher's normalised maps, in their principal directions.

A map of K channels cannot hold one of N = 4K, but a linear read-out W (N × K) of the student's map S gives the best it
can, F ≈ W S. Distances between maps W S need only R with RᵀR = WᵀW (K × K): |W S − W S'|² = |R S − R S'|², and the same
holds of Gram matrices. So the student's maps R S are compared in place of the teacher's F, in the teacher's units.
W is sought in the K largest principal directions U of F (N × K, uncentred: a Gram matrix is uncentred too): W = U V.

Legend: N = N_l teacher's filters, K student's, M positions; F (N × M) the teacher's map, T = Uᵀ F (K × M).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from harness.features.vgg import VGG
from harness.images.files import read_image
from harness.images.resize import resize, to_tensor

HELD_OUT_OF = 20
"""One image in this many is held out, by the hash of its file name."""


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
class Directions:
    """One layer's principal directions over some images.

    Attributes:
        basis: U (N, K), orthonormal columns, the largest energy first.
        energy: (K,) mean over positions of T_k².
        mean: (K,) mean over positions of T_k.
        share: the part of the layer's whole energy that lies in these directions, 0 to 1.
    """

    basis: Tensor
    energy: Tensor
    mean: Tensor
    share: float

    @property
    def variance(self) -> Tensor:
        """(K,) of T_k over positions."""
        return (self.energy - self.mean.square()).clamp_min(0)


@torch.no_grad()
def principal_directions(teacher: VGG, images: Iterable[Tensor], widths: Mapping[str, int]) -> dict[str, Directions]:
    """The directions of every layer in ``widths`` that hold most of the teacher's energy.

    Args:
        teacher: normalised.
        images: (1, 3, H, W) whole images, sRGB in [0, 1].
        widths: layer to K.
    """
    second = {layer: torch.zeros(2 * (teacher.num_filters(layer),), dtype=torch.float64) for layer in widths}
    first = {layer: torch.zeros(teacher.num_filters(layer), dtype=torch.float64) for layer in widths}
    count = dict.fromkeys(widths, 0)
    for image in images:
        for layer, features in teacher(image, widths).items():
            F = features[0].flatten(1)  # (N, M)
            second[layer] += (F @ F.T).double().cpu()
            first[layer] += F.sum(1).double().cpu()
            count[layer] += F.shape[1]
    found = {}
    for layer, K in widths.items():
        energies, vectors = torch.linalg.eigh(second[layer] / count[layer])  # the smallest first
        basis = vectors.flip(1)[:, :K]
        mean = basis.T @ first[layer] / count[layer]
        energy = energies.flip(0)[:K].clamp_min(1e-12)
        found[layer] = Directions(basis.float(), energy.float(), mean.float(), float(energy.sum() / energies.sum()))
    return found
