"""The first layer's further filters and its read-out in closed form: it sees the picture itself.

The directions of most energy in photographs are those of colours and coarse edges. Of flat ground with weak ribs of 2
to 7 px against the same ground without them, a read-out that is best on photographs holds 0.57 of the distance with 16
of 64 filters and 0.87 with 32; and what the loss does not see stays in a picture, as a weave in its flat and dark
parts. So teacher's filters are chosen, and the least squares solved, over photographs and such ribs together.

Legend: N the teacher's compared filters, T their maps; S the student's own filters' maps; Z = [S; T].
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from harness.distillation.teacher import Teacher

LAYER, NEXT = "conv1_1", "conv1_2"
NUM_FILTERS = 32
"""K: the student's own, which feed the next layer, and as many of the teacher's as are missing."""

RIBS = 400
RIBS_SIDE_PX = 64
RIBS_AMPLITUDE = 0.04
"""In [0, 1]: a weave at the edge of what an eye sees, 10 of 255."""

RIBS_WEIGHT = 0.1
"""What the ribs' energy counts beside the photographs': 0.92 of the one is held then, and 0.979 of the other."""

RIDGE = 1e-9
"""Of the mean energy, added where least squares is solved: filters may be copies of each other."""


def own_filters(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A network whose first layer has the filters alone that feed the next, read out as they are."""
    num = state[f"{NEXT}.weight"].shape[1]
    return {
        **state,
        f"{LAYER}.weight": state[f"{LAYER}.weight"][:num],
        f"{LAYER}.bias": state[f"{LAYER}.bias"][:num],
        f"{LAYER}.readout": torch.eye(num),
    }


@torch.no_grad()
def with_first_layer(state: Mapping[str, Tensor], teacher: Teacher, crops: Iterable[Tensor]) -> dict[str, Tensor]:
    """A distilled network with the teacher's filters behind its own in the first layer, and the read-out of all.

    With T ≈ W Z over the K filters, RᵀR = (K / N) WᵀW, so that mean-squared distances between R Z are those between T.

    Args:
        state: of the network; only the first layer's own filters are used of that layer.
        teacher: normalised.
        crops: (1, 3, H, W), sRGB in [0, 1].
    """
    own = own_filters(state)
    compared = teacher.compared.get(LAYER, torch.arange(teacher.num_compared(LAYER)))
    weight, bias = (
        torch.cat([own[f"{LAYER}.{part}"].float(), teacher.state[f"{LAYER}.{part}"].cpu().float()[compared]])
        for part in ("weight", "bias")
    )
    num, N = state[f"{NEXT}.weight"].shape[1], len(compared)

    def maps(images: Tensor) -> Tensor:
        """Z (filters, positions) away from the border."""
        x = functional.conv2d(images.cpu(), own["input.weight"].float(), own["input.bias"].float())
        return functional.relu(functional.conv2d(x, weight, bias)).transpose(0, 1).flatten(1).double()

    photographs = _second_moment(maps(crop) for crop in crops)
    ribs = _second_moment(maps(ribbed) - maps(flat) for flat, ribbed in map(flat_and_ribbed, range(RIBS)))
    energies = [float(of[num:, num:].trace()) for of in (photographs, ribs)]
    C = photographs / energies[0] + RIBS_WEIGHT * ribs / energies[1]
    chosen = list(range(num))
    while len(chosen) < min(NUM_FILTERS, num + N):
        chosen.append(_most_explaining(C, chosen, num))
    W = _solve(C, chosen)[:, num:].T
    energy, U = torch.linalg.eigh(W.T @ W * (len(chosen) / N))
    return {
        **state,
        f"{LAYER}.weight": weight[chosen],
        f"{LAYER}.bias": bias[chosen],
        f"{LAYER}.readout": (U * energy.clamp_min(0).sqrt()).T.float(),
    }


def flat_and_ribbed(seed: int) -> tuple[Tensor, Tensor]:
    """A ground of one colour, dark more often than bright, and the same with weak ribs; both (1, 3, side, side)."""
    generator = torch.Generator().manual_seed(seed)
    frequency = 0.15 + 0.35 * float(torch.rand(1, generator=generator))  # cycles per pixel
    angle = math.pi * float(torch.rand(1, generator=generator))
    colour = 0.9 * torch.rand(3, generator=generator).square()
    direction = 0.7 + 0.5 * functional.normalize(torch.randn(3, generator=generator), dim=0)  # mostly of brightness
    x = torch.arange(RIBS_SIDE_PX)
    ribs = torch.sin(2 * math.pi * frequency * (x * math.cos(angle) + x[:, None] * math.sin(angle)))
    flat = colour[None, :, None, None].expand(1, 3, RIBS_SIDE_PX, RIBS_SIDE_PX)
    return flat, flat + RIBS_AMPLITUDE * direction[None, :, None, None] * ribs


def _second_moment(all_maps: Iterable[Tensor]) -> Tensor:
    """The mean of Z Zᵀ over all positions."""
    total, num = torch.zeros(()), 0
    for Z in all_maps:
        total, num = total + Z @ Z.T, num + Z.shape[1]
    return total / num


def _solve(C: Tensor, chosen: list[int]) -> Tensor:
    """(K, filters): the least squares of all filters' maps from the chosen ones'."""
    own = C[chosen][:, chosen]
    solved: Tensor = torch.linalg.solve(own + RIDGE * own.diagonal().mean() * torch.eye(len(own)), C[chosen])
    return solved


def _most_explaining(C: Tensor, chosen: list[int], num: int) -> int:
    """Of the teacher's filters, behind the first ``num``, the one that explains most of what the chosen ones leave."""
    left = C - C[:, chosen] @ _solve(C, chosen)
    own = left.diagonal()[num:]
    gain = left[num:, num:].square().sum(0) / own.clamp_min(RIDGE)
    gain[[index - num for index in chosen if index >= num]] = -1
    return num + int(gain.argmax())
