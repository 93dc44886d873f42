"""What the student is to learn: the teacher's normalised maps, in their principal directions.

A map of K channels cannot hold one of N = 4K, but a linear read-out W (N × K) of the student's map S gives the best it
can, F ≈ W S. Distances between maps W S need only R with RᵀR = WᵀW (K × K): |W S − W S'|² = |R S − R S'|², and the same
holds of Gram matrices. So the student's maps R S are compared in place of the teacher's F, in the teacher's units.
W is sought in the K largest principal directions U of F (N × K, uncentred: a Gram matrix is uncentred too): W = U V.

Legend: N = N_l teacher's filters, K student's, M positions; F (N × M) the teacher's map, T = Uᵀ F (K × M),
C = F Fᵀ / M over all images (N × N).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.features.vgg import VGG

ENERGY_FLOOR = 1e-9
"""Energies below this share of the layer's largest are raised to it: T is divided by their roots."""


@dataclass(frozen=True)
class Moments:
    """One layer's moments over all positions of some images, float64.

    Attributes:
        second: C (N, N), mean of F Fᵀ.
        first: (N,), mean of F.
    """

    second: Tensor
    first: Tensor


class MomentSums:
    """Adds up the moments of maps of N channels, image by image."""

    def __init__(self, num_channels: int) -> None:
        self._second = torch.zeros(num_channels, num_channels, dtype=torch.float64)
        self._first = torch.zeros(num_channels, dtype=torch.float64)
        self._num_positions = 0

    def add(self, F: Tensor) -> None:
        """Add a map (N, M)."""
        self._second += (F @ F.T).double().cpu()
        self._first += F.sum(1).double().cpu()
        self._num_positions += F.shape[1]

    def moments(self) -> Moments:
        """Of all maps added."""
        return Moments(self._second / self._num_positions, self._first / self._num_positions)


@torch.no_grad()
def measure_moments(teacher: VGG, images: Iterable[Tensor], layers: Iterable[str]) -> dict[str, Moments]:
    """Every layer's moments over some images, in one pass.

    Args:
        teacher: normalised, its maps with all filters.
        images: (1, 3, H, W), sRGB in [0, 1], on the teacher's device.
        layers: which.
    """
    sums = {layer: MomentSums(teacher.num_filters(layer)) for layer in layers}
    for image in images:
        for layer, features in teacher(image, sums).items():
            sums[layer].add(features[0].flatten(1))
    return {layer: of_layer.moments() for layer, of_layer in sums.items()}


@dataclass(frozen=True)
class Directions:
    """One layer's principal directions over some images, float64.

    Attributes:
        basis: U (N, K), orthonormal columns, the largest energy first; 0 in the rows of filters that are not compared.
        energy: (K,) mean over positions of T_k².
        mean: (K,) mean over positions of T_k.
        share: the part of the compared filters' whole energy that lies in these directions, 0 to 1.
        num_compared: how many filters the teacher compares: the N that its mean-squared units divide by.
    """

    basis: Tensor
    energy: Tensor
    mean: Tensor
    share: float
    num_compared: int

    @property
    def num(self) -> int:
        """K."""
        return self.basis.shape[1]

    @property
    def variance(self) -> Tensor:
        """(K,) of T_k over positions."""
        return (self.energy - self.mean.square()).clamp_min(0)

    def scaled_basis(self) -> Tensor:
        """U / √energy (N, K): what takes F to T / √energy."""
        return self.basis / self.energy.sqrt()


def principal_directions(
    moments: Mapping[str, Moments], widths: Mapping[str, int], compared: Mapping[str, Tensor] | None = None
) -> dict[str, Directions]:
    """The directions of every layer in ``widths`` that hold most of the teacher's energy.

    Args:
        moments: of all of the teacher's filters.
        widths: layer to K, at most the filters compared.
        compared: layer to the indices of the filters that are compared, for layers where these are not all.
    """
    found = {}
    for layer, K in widths.items():
        C, first = moments[layer].second, moments[layer].first
        of = (compared or {}).get(layer, torch.arange(len(C))).cpu()
        energies, vectors = torch.linalg.eigh(C[of][:, of])  # the smallest first
        energies, vectors = energies.flip(0).clamp_min(0), vectors.flip(1)
        basis = torch.zeros(len(C), K, dtype=C.dtype).index_copy(0, of, vectors[:, :K])
        energy = energies[:K].clamp_min(ENERGY_FLOOR * float(energies[0]))
        share = float(energies[:K].sum() / energies.sum())
        found[layer] = Directions(basis, energy, basis.T @ first, share, len(of))
    return found
