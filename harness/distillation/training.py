"""How the student is trained: recipe, loss, optimisers, and a loop that resumes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from harness.distillation.muon import Muon
from harness.distillation.selection import LayerStart
from harness.distillation.store import TargetStore
from harness.distillation.student import Student
from harness.distillation.targets import Directions


@dataclass(frozen=True)
class Recipe:
    """How the student is trained; it is stored in the checkpoint and on the card.

    Attributes:
        steps: optimisation steps.
        crop_px: side of the square training crops.
        batch: crops per step.
        muon_rate: Muon's relative step: ‖ΔW‖ / ‖W‖ of a convolution, per step.
        adam_rate: Adam's learning rate, for biases and read-outs.
        warmup: steps of linear warm-up of both rates, which then fall linearly to 0.
        seed: of the order of the crops.
    """

    steps: int = 5000
    crop_px: int = 160
    batch: int = 4
    muon_rate: float = 0.006
    adam_rate: float = 2e-3
    warmup: int = 100
    seed: int = 7

    def rate_at(self, step: int) -> float:
        """Share of the learning rates at a step: warm-up, then linear to 0."""
        return min((step + 1) / self.warmup, (self.steps - step) / self.steps)


def layer_loss(read: Tensor, target: Tensor, directions: Directions) -> Tensor:
    """Σ_k of the mean squared error of T_k, over Σ_k of T_k's variance: 1 for a layer of which only means are known.

    Args:
        read: (B, M, K), what the student gives for T / √energy.
        target: (B, M, K), T / √energy.
        directions: of the layer.
    """
    energy = directions.energy.to(read)
    return ((read - target).square().mean((0, 1)) * energy).sum() / directions.variance.sum().to(read)


def train(
    start: Mapping[str, LayerStart],
    input_convolution: tuple[Tensor, Tensor],
    stores: Sequence[TargetStore],
    directions: Mapping[str, Directions],
    recipe: Recipe,
    checkpoint: Path,
    device: torch.device,
    on_step: Callable[[int, dict[str, float]], None],
    save_every_s: float = 60.0,
    report_every: int = 20,
) -> Student:
    """Train a student, going on from ``checkpoint`` where it exists.

    Args:
        start: the first weights.
        input_convolution: weight and bias of the teacher's.
        stores: crops with their targets; steps take turns between them.
        directions: the teacher's, of every layer.
        recipe: how to train.
        checkpoint: written atomically every ``save_every_s`` seconds and at the end.
        device: where to train.
        on_step: called with the number of steps done and each layer's mean loss since the last call.
        save_every_s: seconds between checkpoints.
        report_every: steps between calls of ``on_step``.
    """
    student = Student(start, *input_convolution).to(device)
    optimizers: dict[str, torch.optim.Optimizer] = {
        "muon": Muon(student.weights.values(), recipe.muon_rate),
        "adam": torch.optim.Adam(
            [*student.biases.values(), *student.readouts.values()], recipe.adam_rate, betas=(0.9, 0.99)
        ),
    }
    first = 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True, map_location=device)
        student.load_state_dict(saved["student"])
        for name, optimizer in optimizers.items():
            optimizer.load_state_dict(saved[name])
        first = int(saved["step"])
    sums, saved_at = dict.fromkeys(student.layers, 0.0), time.monotonic()
    for step in range(first, recipe.steps):
        for optimizer, rate in zip(optimizers.values(), (recipe.muon_rate, recipe.adam_rate), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * recipe.rate_at(step)
        store = stores[step % len(stores)]
        random = np.random.default_rng((recipe.seed, step))
        indices = sorted(random.choice(store.num_done, recipe.batch, replace=False).tolist())
        maps = student(store.crops(indices).to(device).contiguous(memory_format=torch.channels_last))
        losses = {
            layer: layer_loss(student.read(layer, S), store.targets(layer, indices).to(device), directions[layer])
            for layer, S in maps.items()
        }
        student.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).mean().backward()
        for optimizer in optimizers.values():
            optimizer.step()
        for layer, loss in losses.items():
            sums[layer] += float(loss.detach()) / report_every
        if (step + 1) % report_every == 0:
            on_step(step + 1, sums)
            sums = dict.fromkeys(student.layers, 0.0)
        if time.monotonic() - saved_at > save_every_s or step + 1 == recipe.steps:
            _save(checkpoint, student, optimizers, step + 1, recipe)
            saved_at = time.monotonic()
    return student


def _save(
    checkpoint: Path, student: Student, optimizers: Mapping[str, torch.optim.Optimizer], step: int, recipe: Recipe
) -> None:
    temporary = checkpoint.with_suffix(".tmp")
    states = {name: optimizer.state_dict() for name, optimizer in optimizers.items()}
    torch.save({"student": student.state_dict(), **states, "step": step, "recipe": asdict(recipe)}, temporary)
    temporary.replace(checkpoint)
