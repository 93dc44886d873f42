"""How the student is trained: schedule, loss, optimisers, and a loop that resumes."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from harness.distillation.muon import Muon
from harness.distillation.on_policy import COMPARED
from harness.distillation.selection import RIDGE
from harness.distillation.store import TargetStore
from harness.distillation.student import Student
from harness.distillation.targets import Directions
from harness.files import write_whole


@dataclass(frozen=True)
class Schedule:
    """How one phase is trained.

    Attributes:
        steps: optimisation steps.
        batch: crops per step.
        muon_rate: Muon's relative step: ‖ΔW‖ / ‖W‖ of a convolution, per step.
        adam_rate: Adam's learning rate, for biases and read-outs.
        warmup: steps of linear warm-up of both rates, which then fall linearly to 0.
        seed: of the order of the crops.
    """

    steps: int
    batch: int
    muon_rate: float
    adam_rate: float
    warmup: int
    seed: int

    def rate_at(self, step: int) -> float:
        """Share of the learning rates at a step: warm-up, then linear to 0."""
        return min((step + 1) / self.warmup, (self.steps - step) / self.steps)


def layer_weight(layer: str) -> float:
    """How much a layer's loss counts: the paper's objective compares six, the others serve single experiments."""
    return 1.0 if layer in COMPARED else 0.5


def layer_loss(read: Tensor, target: Tensor, directions: Directions) -> Tensor:
    """Σ_k of the mean squared error of T_k, over Σ_k of T_k's variance: 1 for a layer of which only means are known.

    Args:
        read: (B, M, K), what the student gives for T / √energy.
        target: (B, M, K), T / √energy.
        directions: of the layer.
    """
    energy = directions.energy.to(read)
    return ((read - target).square().mean((0, 1)) * energy).sum() / directions.variance.sum().to(read)


@torch.no_grad()
def best_readouts(
    student: Student,
    store: TargetStore,
    directions: Mapping[str, Directions],
    filters: Mapping[str, int],
    num: int,
    on_crop: Callable[[int], None] = lambda done: None,
) -> dict[str, Tensor]:
    """Layer to (K, C): the least squares of T / √energy from a layer's first C filters, over some crops.

    Args:
        student: whose maps.
        store: the first ``num`` of its crops are taken.
        directions: of every layer.
        filters: layer to C.
        num: crops.
        on_crop: called with how many are done.
    """
    device = student.get_buffer("input_bias").device
    nothing = torch.zeros((), dtype=torch.float64, device=device)
    sums = {layer: (nothing, nothing) for layer in filters}
    for index in range(num):
        maps = student(store.crops([index]).to(device))
        for layer, (own, shared) in sums.items():
            S = maps[layer][0, : filters[layer]].flatten(1).double()
            T = store.targets(layer, [index], directions[layer].num)[0].to(S)
            sums[layer] = own + S @ S.T, shared + S @ T
        on_crop(index + 1)
    found = {}
    for layer, (own, shared) in sums.items():
        energy = own.diagonal()
        ridge = torch.diag(RIDGE * energy.clamp_min(RIDGE * float(energy.max())))
        found[layer] = torch.linalg.solve(own + ridge, shared).T.float()
    return found


def train(
    student: Student,
    stores: Sequence[TargetStore],
    directions: Mapping[str, Directions],
    schedule: Schedule,
    checkpoint: Path,
    on_step: Callable[[int, dict[str, float]], None] = lambda step, losses: None,
    save_every_s: float = 60.0,
    report_every: int = 20,
) -> None:
    """Train a student in place, going on from ``checkpoint`` where it exists.

    Args:
        student: where this phase begins, on the device to train on.
        stores: crops with their targets, full; steps take turns between them.
        directions: the teacher's, of every layer.
        schedule: how to train.
        checkpoint: written whole every ``save_every_s`` seconds and at the end.
        on_step: called with the number of steps done and each layer's mean loss since the last call.
        save_every_s: seconds between checkpoints.
        report_every: steps between calls of ``on_step``.
    """
    device = student.get_buffer("input_bias").device
    optimizers: dict[str, torch.optim.Optimizer] = {
        "muon": Muon(student.weights.values(), schedule.muon_rate),
        "adam": torch.optim.Adam(
            [*student.biases.values(), *student.readouts.values()], schedule.adam_rate, betas=(0.9, 0.99)
        ),
    }
    first = 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True, map_location=device)
        student.load_state_dict(saved["student"])
        for name, optimizer in optimizers.items():
            optimizer.load_state_dict(saved[name])
        first = int(saved["step"])
    sums, num_summed, saved_at = _nothing(student, device), 0, time.monotonic()
    for step in range(first, schedule.steps):
        for optimizer, rate in zip(optimizers.values(), (schedule.muon_rate, schedule.adam_rate), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * schedule.rate_at(step)
        store = stores[step % len(stores)]
        random = np.random.default_rng((schedule.seed, step))
        indices = sorted(random.choice(store.num, schedule.batch, replace=False).tolist())
        maps = student(store.crops(indices).to(device).contiguous(memory_format=torch.channels_last))
        losses = {}
        for layer, S in maps.items():
            target = store.targets(layer, indices, directions[layer].num).to(device)
            losses[layer] = layer_loss(student.read(layer, S), target, directions[layer])
        student.zero_grad(set_to_none=True)
        weights = torch.tensor([layer_weight(layer) for layer in losses], device=device)
        (torch.stack(list(losses.values())) @ (weights / weights.sum())).backward()
        for optimizer in optimizers.values():
            optimizer.step()
        num_summed += 1
        for layer, loss in losses.items():
            sums[layer] += loss.detach()
        if (step + 1) % report_every == 0 or step + 1 == schedule.steps:
            on_step(step + 1, {layer: float(total) / num_summed for layer, total in sums.items()})
            sums, num_summed = _nothing(student, device), 0
        if time.monotonic() - saved_at > save_every_s or step + 1 == schedule.steps:
            _save(checkpoint, student, optimizers, step + 1)
            saved_at = time.monotonic()


def _nothing(student: Student, device: torch.device) -> dict[str, Tensor]:
    """Where a layer's losses are added up, so that nothing waits for them: float64, on the device."""
    return {layer: torch.zeros((), dtype=torch.float64, device=device) for layer in student.layers}


def _save(checkpoint: Path, student: Student, optimizers: Mapping[str, torch.optim.Optimizer], step: int) -> None:
    states = {name: optimizer.state_dict() for name, optimizer in optimizers.items()}
    content = io.BytesIO()
    torch.save({"student": student.state_dict(), **states, "step": step}, content)
    write_whole(checkpoint, content.getvalue())
