"""Where the student starts: some of the teacher's own filters, chosen so that they best predict the others.

Of a layer's N filters K are chosen one after another, each the one that explains most of what is left of F Fᵀ (a
pivoted Cholesky factorisation whose pivots are chosen by the explained energy: greedy column subset selection). With
F ≈ W S, S the chosen filters' maps, the next layer's convolution of F is a convolution of S with weights Σ_n A_on W_nk:
so the student computes the teacher's layers but for what W leaves out, before any training. Begun from there, training
for 300 steps came to 0.48 of the variance unexplained, where 700 steps from random weights with BatchNorm came to 0.58.

Legend: N, K filters of teacher and student, C = F Fᵀ / M (N × N), A a convolution's weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.distillation.targets import Directions, Moments
from harness.features.vgg import VGG

NOTHING_LEFT = 1e-9
"""A filter of which this share of the largest energy is left is explained: what remains is rounding."""

RIDGE = 1e-6
"""Of a filter's own energy, added where least squares is solved: filters may be copies of each other."""


def choose_filters(second_moment: Tensor, num: int) -> list[int]:
    """The ``num`` filters that together explain most of C, by greedy choice, in the order of choice.

    Args:
        second_moment: C (N, N), float64, symmetric positive semi-definite.
        num: K ≤ N.
    """
    left, floor = second_moment.clone(), NOTHING_LEFT * float(second_moment.diagonal().max())
    chosen: list[int] = []
    for _ in range(num):
        own = left.diagonal()
        gain = torch.where(own > floor, left.square().sum(0) / own.clamp_min(1e-300), -1.0)
        gain[chosen] = -2.0
        best = int(gain.argmax())
        chosen.append(best)
        if float(own[best]) > floor:
            left = left - torch.outer(left[:, best], left[best]) / left[best, best]
    return chosen


@dataclass(frozen=True)
class LayerStart:
    """One layer's first weights.

    Attributes:
        weight: (K, K before, 3, 3).
        bias: (K,).
        readout: V / √energy (K, K): what takes S to T / √energy.
    """

    weight: Tensor
    bias: Tensor
    readout: Tensor


@torch.no_grad()
def continued_start(
    teacher: VGG, moments: Mapping[str, Moments], directions: Mapping[str, Directions], state: Mapping[str, Tensor]
) -> dict[str, LayerStart]:
    """A distilled network's own weights, ``Student.state`` backwards.

    Where it is to be wider, some of the teacher's filters more; their read-outs are 0: ``fit_readouts`` finds them.

    Args:
        teacher: normalised, its maps with all filters.
        moments: layer to C and means, of all filters.
        directions: layer to its principal directions; the network's own, of the same teacher and crops, come first.
        state: the network, with read-outs, nowhere wider than the directions.
    """
    start: dict[str, LayerStart] = {}
    previous: Tensor | None = None  # W (N, K) of the layer before: F ≈ W S
    for layer, own in directions.items():
        held = state[f"{layer}.readout"].double()
        V = held * (own.num_compared / len(held)) ** 0.5
        weight, bias = state[f"{layer}.weight"].double(), state[f"{layer}.bias"].double()
        if own.num > len(held):
            C, U = moments[layer].second, own.basis[:, : len(held)]
            left = C - U @ (U.T @ C)  # (1 − U Uᵀ) C (1 − U Uᵀ): U are eigenvectors of the compared filters
            left = left - (left @ U) @ U.T
            chosen = choose_filters(left, own.num - len(held))
            A = teacher.weight(layer).double().cpu()[chosen]
            if previous is not None:
                A = torch.einsum("onhw,nk->okhw", A, previous[:, : weight.shape[1]])
            weight = torch.cat([weight, A])
            bias = torch.cat([bias, teacher.bias(layer).double().cpu()[chosen]])
            V = torch.nn.functional.pad(V, (0, len(chosen), 0, len(chosen)))
        previous = own.basis @ V
        readout = V / own.energy.sqrt()[:, None]
        start[layer] = LayerStart(weight.float().contiguous(), bias.float(), readout.float())
    return start


@torch.no_grad()
def selected_start(
    teacher: VGG, moments: Mapping[str, Moments], directions: Mapping[str, Directions], feeding: Mapping[str, int]
) -> dict[str, LayerStart]:
    """The student's first weights, layer by layer.

    Args:
        teacher: normalised, its maps with all filters.
        moments: layer to C and means, of all filters.
        directions: layer to its principal directions, as many as the student has filters there.
        feeding: layer to how many of these filters, the first ones, the next layer takes.
    """
    start: dict[str, LayerStart] = {}
    readout_before: Tensor | None = None
    for layer, own in directions.items():
        C, K = moments[layer].second, own.num
        by_choice, num_fed = choose_filters(C, K), feeding[layer]
        chosen = sorted(by_choice[:num_fed]) + sorted(by_choice[num_fed:])
        A = teacher.weight(layer).double().cpu()[chosen]
        if readout_before is not None:
            A = torch.einsum("onhw,nk->okhw", A, readout_before)
        bias = teacher.bias(layer).cpu()[chosen].clone()
        readout = own.scaled_basis().T @ _prediction(C, chosen)
        start[layer] = LayerStart(A.float().contiguous(), bias, readout.float())
        readout_before = _prediction(C, chosen[:num_fed])
    return start


def _prediction(C: Tensor, chosen: list[int]) -> Tensor:
    """W (N, K), the least squares of F ≈ W S from the chosen filters' maps S."""
    own_energy = C.diagonal()[chosen]
    ridge = torch.diag(RIDGE * own_energy.clamp_min(NOTHING_LEFT * float(C.diagonal().max())))
    return torch.linalg.solve(C[chosen][:, chosen] + ridge, C[chosen]).T
