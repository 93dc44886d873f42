"""Train the embedded network: a student VGG-19 that computes a teacher's normalised feature maps.

The student has the teacher's widths, but Gatys et al.'s average pooling and VGG's zero padding, and starts from random
weights. BatchNorm stands between convolution and ReLU while training and is folded into the convolution afterwards, so
that the result is a plain VGG-19. Only the teacher's firing channels are targets; the student's other channels are
free, helpers of the next layer.

Shapes: B crops, N filters, h × w positions.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.features.vgg import LAYERS, VGG19, block_of, with_all_filters
from harness.images.files import read_image
from harness.images.resize import resize, to_tensor

HELD_OUT_OF = 20
"""One image in this many is held out, by the hash of its file name."""

FIRING = 1e-3
"""A teacher's channel fires when its mean activation is above this share of its layer's largest (a third never do)."""


@dataclass(frozen=True)
class Recipe:
    """How the student is trained; it is stored in the checkpoint and on the card.

    Attributes:
        steps: optimisation steps.
        crop_px: side of the square training crops.
        batch: crops per step.
        muon_rate: Muon's relative step: ‖ΔW‖ / ‖W‖ of a convolution, per step.
        adam_rate: Adam's learning rate, for BatchNorm's scales and offsets.
        warmup: steps of linear warm-up of both rates, which then fall linearly to 0.
        frozen: share of the steps, at the end, in which BatchNorm uses its running statistics: batch statistics are
            noise that the student cannot fit.
        float32: share of the steps, at the end, in which the student runs in float32 instead of bfloat16.
        seed: of the weights and of the order of the crops.
    """

    steps: int = 18_000
    crop_px: int = 192
    batch: int = 4
    muon_rate: float = 0.015
    adam_rate: float = 3e-3
    warmup: int = 200
    frozen: float = 0.6
    float32: float = 0.1
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """Share of the learning rates at a step: warm-up, then linear to 0."""
        return min((step + 1) / self.warmup, (self.steps - step) / self.steps)

    def is_frozen_at(self, step: int) -> bool:
        """Whether BatchNorm's statistics no longer change."""
        return step >= (1 - self.frozen) * self.steps

    def dtype_at(self, step: int) -> torch.dtype:
        """What the student's convolutions run in."""
        return torch.float32 if step >= (1 - self.float32) * self.steps else torch.bfloat16


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised by five Newton-Schulz iterations (Jordan et al. 2024, "Muon").

    After 900 steps of the default recipe it left 0.22 of the variance unexplained where Adam left 0.42.

    # Deviates from Muon: the step is relative to the norm of the weights, which BatchNorm makes free of scale.
    """

    def __init__(self, parameters: Iterable[Tensor], learning_rate: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": learning_rate, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every (N, C, 3, 3) parameter."""
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state[parameter]
                average = state.setdefault("average", torch.zeros_like(parameter))
                average.lerp_(parameter.grad, 1 - group["momentum"])
                x = parameter.grad.lerp(average, group["momentum"]).flatten(1)
                x = x / x.norm().clamp_min(1e-12)
                for _ in range(5):
                    square = x @ x.T
                    x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
                relative = group["lr"] * parameter.norm() / min(x.shape) ** 0.5
                parameter.sub_(x.view_as(parameter) * relative)


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


class Student(nn.Module):
    """VGG-19 in training: convolution, BatchNorm, ReLU, with 2×2 average pooling between the blocks.

    Args:
        widths: N_l of every layer, in order, conv1_1 first.
        input_weight: (3, 3, 1, 1), kept from the teacher: the units of the image, not learned.
        input_bias: (3,).
    """

    def __init__(self, widths: Mapping[str, int], input_weight: Tensor, input_bias: Tensor) -> None:
        super().__init__()
        self.layers = tuple(widths)
        self.register_buffer("input_weight", input_weight)
        self.register_buffer("input_bias", input_bias)
        self.convolutions = nn.ModuleDict()
        self.norms = nn.ModuleDict()
        num_in = 3
        for layer, num_out in widths.items():
            convolution = nn.Conv2d(num_in, num_out, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            self.convolutions[layer] = convolution
            norm = nn.BatchNorm2d(num_out, momentum=0.02)
            self.norms[layer] = norm
            nn.init.constant_(norm.bias, 0.5)
            num_in = num_out

    def forward(self, images: Tensor, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        """Maps **before** the ReLU, for (B, 3, H, W) sRGB in [0, 1]; all but the first convolution run in ``dtype``."""
        x = functional.conv2d(images, self.get_buffer("input_weight"), self.get_buffer("input_bias"))
        maps: dict[str, Tensor] = {}
        block = 1
        for layer in self.layers:
            if block_of(layer) != block:
                block = block_of(layer)
                x = functional.avg_pool2d(x, 2)
            if layer == self.layers[0]:
                z = self.convolutions[layer](x)  # float32 also in autocast: it takes small differences of large numbers
                x = z.to(dtype)
            with torch.autocast(images.device.type, torch.bfloat16, enabled=dtype != torch.float32):
                maps[layer] = self.norms[layer](x if layer == self.layers[0] else self.convolutions[layer](x))
            x = functional.relu(maps[layer])
        return maps

    @torch.no_grad()
    def folded(self) -> dict[str, Tensor]:
        """The plain VGG-19 state with BatchNorm's running statistics folded into weights and biases."""
        state = {
            "input.weight": self.get_buffer("input_weight").clone(),
            "input.bias": self.get_buffer("input_bias").clone(),
        }
        for layer in self.layers:
            norm = self.norms[layer]
            assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            weight = self.convolutions[layer].weight
            assert isinstance(weight, Tensor)
            state[f"{layer}.weight"] = (weight * scale[:, None, None, None]).float().contiguous()
            state[f"{layer}.bias"] = (norm.bias - norm.running_mean * scale).float()
        return state


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
def measure_targets(teacher: VGG19, photographs: Iterable[Tensor]) -> tuple[dict[str, Tensor], Targets]:
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


class _LayerLoss(torch.autograd.Function):
    """Σ_c weight_c · mean error_c², with its gradient in closed form: six passes over the map instead of twenty."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        # Where the teacher fires the error is z − t, also below 0: it bounds the error after the ReLU from above, and
        # its gradient revives units that would otherwise stay dead. Elsewhere it is relu(z) = max(z − t, 0). Both are
        # max(z − t, −K t) with K beyond any z.
        error = torch.maximum(z - target, target * -1e4)
        count = z.shape[0] * z.shape[2] * z.shape[3]
        ctx.save_for_backward(error, weight * (2 / count))
        return (error.square().sum((0, 2, 3), dtype=torch.float32) * (weight / count)).sum()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        error, scale = ctx.saved_tensors
        return error * (scale * gradients[0]).to(error.dtype)[:, None, None], None, None


def distillation_loss(maps: Mapping[str, Tensor], teacher_maps: Mapping[str, Tensor], targets: Targets) -> Tensor:
    """Mean over layers and firing channels of squared error over variance.

    Args:
        maps: layer to the student's (B, N, h, w) before the ReLU.
        teacher_maps: layer to the normalised teacher's (B, N, h, w) after the ReLU.
        targets: the variances and firing channels of the normalised teacher.
    """
    losses = [_LayerLoss.apply(z, teacher_maps[layer], targets.weight(layer)) for layer, z in maps.items()]
    return torch.stack(losses).mean()


@torch.no_grad()
def unexplained(
    state: Mapping[str, Tensor], teacher: VGG19, photographs: Sequence[Tensor], targets: Targets
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
    student = VGG19(with_all_filters(state)).to(photographs[0].device)
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


class Crops:
    """Random crops of photographs: position and mirror; a function of seed and step alone."""

    def __init__(self, photographs: Sequence[Tensor], recipe: Recipe) -> None:
        self.photographs = [p for p in photographs if min(p.shape[1:]) >= recipe.crop_px]
        self.recipe = recipe

    def __call__(self, step: int) -> Tensor:
        """The (B, 3, crop, crop) batch of a step, sRGB in [0, 1]."""
        random = np.random.default_rng((self.recipe.seed, step))
        side = self.recipe.crop_px
        crops = []
        for _ in range(self.recipe.batch):
            photograph = self.photographs[random.integers(len(self.photographs))]
            top = random.integers(photograph.shape[1] - side + 1)
            left = random.integers(photograph.shape[2] - side + 1)
            crop = photograph[:, top : top + side, left : left + side].float() / 255
            if random.random() < 0.5:
                crop = crop.flip(2)
            crops.append(crop)
        return torch.stack(crops).contiguous(memory_format=torch.channels_last)


def train(
    teacher: VGG19,
    photographs: Sequence[Tensor],
    targets: Targets,
    recipe: Recipe,
    checkpoint: Path,
    device: torch.device,
    on_step: Callable[[int, float], None],
    save_every_s: float = 60.0,
) -> dict[str, Tensor]:
    """Train a student, going on from ``checkpoint`` where it exists.

    Args:
        teacher: frozen, with its own pooling and padding.
        photographs: (3, H, W) uint8 training images.
        targets: the teacher's means, variances and firing channels over the training images.
        recipe: how to train.
        checkpoint: written atomically every ``save_every_s`` seconds and at the end.
        device: where to train.
        on_step: called with the number of steps done and the loss (every 20 steps: reading it waits for the device).
        save_every_s: seconds between checkpoints.

    Returns:
        The student's folded state, float32, on the CPU.
    """
    torch.manual_seed(recipe.seed)
    widths = {layer: teacher.num_filters(layer) for layer in LAYERS if layer in teacher.layers}
    student = (
        Student(widths, teacher.weight("input"), teacher.bias("input")).to(device).to(memory_format=torch.channels_last)
    )
    convolutions = [p for p in student.parameters() if p.ndim == 4]
    optimizers: dict[str, torch.optim.Optimizer] = {
        "muon": Muon(convolutions, recipe.muon_rate),
        "adam": torch.optim.Adam([p for p in student.parameters() if p.ndim < 4], recipe.adam_rate, betas=(0.9, 0.99)),
    }
    start = 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True, map_location=device)
        student.load_state_dict(saved["student"])
        for name, optimizer in optimizers.items():
            optimizer.load_state_dict(saved[name])
        start = int(saved["step"])
    targets = Targets(*({layer: t.to(device) for layer, t in part.items()} for part in asdict(targets).values()))
    crops = Crops(photographs, recipe)
    saved_at = time.monotonic()
    for step in range(start, recipe.steps):
        student.train(not recipe.is_frozen_at(step))
        for optimizer, rate in zip(optimizers.values(), (recipe.muon_rate, recipe.adam_rate), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * recipe.rate_at(step)
        batch = crops(step).to(device)
        with torch.no_grad():
            theirs = teacher(batch, teacher.layers)
        loss = distillation_loss(student(batch, recipe.dtype_at(step)), theirs, targets)
        student.zero_grad(set_to_none=True)
        loss.backward()
        for optimizer in optimizers.values():
            optimizer.step()
        if (step + 1) % 20 == 0:
            on_step(step + 1, float(loss.detach()))
        if time.monotonic() - saved_at > save_every_s or step + 1 == recipe.steps:
            _save(checkpoint, student, optimizers, step + 1, recipe)
            saved_at = time.monotonic()
    return {name: tensor.cpu() for name, tensor in student.folded().items()}


def _save(
    checkpoint: Path, student: Student, optimizers: Mapping[str, torch.optim.Optimizer], step: int, recipe: Recipe
) -> None:
    temporary = checkpoint.with_suffix(".tmp")
    states = {name: optimizer.state_dict() for name, optimizer in optimizers.items()}
    torch.save({"student": student.state_dict(), **states, "step": step, "recipe": asdict(recipe)}, temporary)
    temporary.replace(checkpoint)
