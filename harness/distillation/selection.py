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


def held_start(state: Mapping[str, Tensor], directions: Mapping[str, Directions]) -> dict[str, LayerStart]:
    """A distilled network's own weights; the read-outs 0, since other crops have other directions.

    Args:
        state: of the network.
        directions: that are to be read out.
    """
    return {
        layer: LayerStart(
            state[f"{layer}.weight"].float(),
            state[f"{layer}.bias"].float(),
            torch.zeros(own.num, len(state[f"{layer}.bias"])),
        )
        for layer, own in directions.items()
    }


@torch.no_grad()
def widened_start(
    teacher: VGG,
    moments: Mapping[str, Moments],
    directions: Mapping[str, Directions],
    held: Mapping[str, LayerStart],
    readouts: Mapping[str, Tensor],
) -> dict[str, LayerStart]:
    """A network with as many filters as there are directions: its own, then some of the teacher's. Read-outs are 0.

    Args:
        teacher: normalised, its maps with all filters.
        moments: layer to C and means, of all filters.
        directions: layer to its principal directions, no fewer than the network has filters there.
        held: the network.
        readouts: layer to (K, C), what takes the C filters that feed the next layer to T / √energy.
    """
    start: dict[str, LayerStart] = {}
    before: Tensor | None = None  # W (N, C) of the layer before: F ≈ W S
    for layer, own in directions.items():
        weight, bias = held[layer].weight, held[layer].bias
        num_more = own.num - len(bias)
        if num_more:
            C, U = moments[layer].second, own.basis[:, : len(bias)]
            rest = torch.eye(len(C), dtype=C.dtype) - U @ U.T
            chosen = choose_filters(rest @ C @ rest, num_more)
            A = teacher.weight(layer).double().cpu()[chosen]
            if before is not None:
                A = torch.einsum("onhw,nk->okhw", A, before)
            weight = torch.cat([weight, A.float()])
            bias = torch.cat([bias, teacher.bias(layer).cpu()[chosen]])
        before = own.basis @ (own.energy.sqrt()[:, None] * readouts[layer].double().cpu())
        start[layer] = LayerStart(weight.contiguous(), bias, torch.zeros(own.num, own.num))
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
    W_transposed: Tensor = torch.linalg.solve(C[chosen][:, chosen] + ridge, C[chosen])
    return W_transposed.T
