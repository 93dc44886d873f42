"""``harness distill``: train the embedded network again, or measure it against its teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors.torch
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from torch import Tensor

from harness.cli.console import make_console
from harness.distillation.targets import (
    HELD_OUT_OF,
    Targets,
    is_held_out,
    measure_targets,
    read_photograph,
    unexplained,
)
from harness.distillation.training import Recipe, train
from harness.engines.devices import parse_device
from harness.errors import ImageError, UsageError
from harness.features.normalise import mean_activations, rescale
from harness.features.sources import WeightsFile
from harness.features.vgg import VGG
from harness.features.weights import load_state
from harness.runs.store import write_atomically

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
NUM_CALIBRATION = 300
"""The first so many training images are those over which the teacher's means and variances are measured."""

TARGET_MEAN, TARGET_LAYER = 0.10, 0.20
"""What the embedded network is meant to reach: unexplained variance, mean over layers and in any layer."""


@dataclass(frozen=True)
class Training:
    """The command line of ``harness distill``."""

    teacher: Path
    images: tuple[Path, ...]
    work: Path
    steps: int
    evaluate: bool
    weights: Path | None
    device: str


def run_distillation(request: Training) -> None:
    """Train a student and write it to the work folder with its card, or measure one.

    Raises:
        UsageError: there are no images, or the checkpoint is another recipe's.
        WeightsError: the teacher cannot be read.
    """
    console = make_console()
    spec = parse_device(request.device)
    device_name, threads = spec.device, spec.threads
    torch.set_num_threads(threads)
    device = torch.device(device_name)
    paths = find_images(request.images)
    training = [path for path in paths if not is_held_out(path.name)]
    held_out = [path for path in paths if is_held_out(path.name)]
    if not training or not held_out:
        raise UsageError(
            f"{len(paths)} images were found, of which {len(held_out)} are held out by the hash of their names; "
            "give folders with a few hundred images at least."
        )
    recipe = Recipe(steps=request.steps)
    loaded = load_state(WeightsFile(request.teacher))
    calibration = training[:NUM_CALIBRATION]
    teacher = VGG(loaded.state, pooling="max", padding="reflect").to(device)
    with console.status(f"measuring the teacher on {len(calibration)} images"):
        means, targets = measure_targets(teacher, (_whole(path, device) for path in calibration))
    teacher = VGG(rescale(loaded.state, means), pooling="max", padding="reflect").to(device)
    if request.evaluate:
        state = load_state(WeightsFile(request.weights) if request.weights else "embedded").state
    else:
        request.work.mkdir(parents=True, exist_ok=True)
        state = _train(console, request, recipe, teacher, targets, training, device)
    output = None
    if not request.evaluate:
        output = save_network(request.work, state, targets, [_whole(path, device) for path in calibration])
        state = load_state(WeightsFile(output)).state  # the numbers on the card are those of the file, float16
    state = {name: tensor.to(device) for name, tensor in state.items()}
    with console.status(f"measuring on {len(held_out)} held-out images"):
        result = unexplained(state, teacher, [_whole(path, device) for path in held_out], targets)
    console.print(_table(result, targets))
    if output is not None:
        card = make_card(recipe, result, targets, loaded.sha256, len(training), [path.name for path in held_out])
        write_atomically(request.work / "embedded.md", card)
        console.print(f"Wrote {output} and its card. To embed it, copy both into harness/features/.", soft_wrap=True)


def find_images(folders: Sequence[Path]) -> list[Path]:
    """Every image in some folders, by name.

    Raises:
        ImageError: a folder that is not there or has no image.
    """
    found: list[Path] = []
    for folder in folders:
        here = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES) if folder.is_dir() else []
        if not here:
            raise ImageError(f"{folder} is not a folder with images ({', '.join(SUFFIXES)}).")
        found += here
    return found


def _whole(path: Path, device: torch.device) -> Tensor:
    return read_photograph(path)[None].to(device).float() / 255


def _train(
    console: Console,
    request: Training,
    recipe: Recipe,
    teacher: VGG,
    targets: Targets,
    paths: Sequence[Path],
    device: torch.device,
) -> dict[str, Tensor]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        reading = progress.add_task("reading images", total=len(paths))
        photographs = []
        for path in paths:
            photographs.append(read_photograph(path))
            progress.advance(reading)
        task = progress.add_task("training", total=recipe.steps)

        def on_step(step: int, loss: float) -> None:
            progress.update(task, completed=step, description=f"training, loss {loss:.4f}")
            if step % 500 == 0 and not console.is_terminal:
                console.print(f"step {step} of {recipe.steps}: loss {loss:.4f}")

        return train(teacher, photographs, targets, recipe, request.work / "checkpoint.pt", device, on_step)


def save_network(work: Path, state: Mapping[str, Tensor], targets: Targets, photographs: Sequence[Tensor]) -> Path:
    """Write the student as ``embedded.safetensors``, float16, every channel's mean activation 1 on the photographs.

    Its free channels, which follow no channel of the teacher, are scaled as well and left out of the maps: they only
    help the next layer, and on noise, where stylisation starts, they would outweigh everything (seen).
    """
    means = mean_activations(dict(state), photographs, "average", "zeros")
    halved = {name: tensor.half().contiguous().cpu() for name, tensor in rescale(dict(state), means).items()}
    halved |= {f"{layer}.compared": fires.nonzero()[:, 0].cpu() for layer, fires in targets.firing.items()}
    output = work / "embedded.safetensors"
    write_atomically(output, safetensors.torch.save(halved, {"normalised": "average/zeros"}))
    return output


def _table(result: Mapping[str, float], targets: Targets) -> Table:
    table = Table(box=None, pad_edge=False)
    for header in ("layer", "unexplained variance", "firing channels"):
        table.add_column(header, justify="left" if header == "layer" else "right")
    for layer, share in result.items():
        table.add_row(layer, f"{share:.4f}", str(int(targets.firing[layer].sum())))
    mean, worst = sum(result.values()) / len(result), max(result.values())
    table.add_row("mean", f"{mean:.4f}", f"target {TARGET_MEAN:.2f}: {_verdict(mean <= TARGET_MEAN)}")
    table.add_row("worst", f"{worst:.4f}", f"target {TARGET_LAYER:.2f}: {_verdict(worst <= TARGET_LAYER)}")
    return table


def _verdict(reached: bool) -> str:
    return "reached" if reached else "not reached"


def make_card(
    recipe: Recipe,
    result: Mapping[str, float],
    targets: Targets,
    teacher_sha256: str,
    num_training: int,
    held_out: Sequence[str],
) -> str:
    """The card that stands beside the network: how it was made, on what, from whom, and how good it is."""
    lines = [
        "# The embedded network",
        "",
        "A quarter-width VGG-19 to conv5_1 (16-16, 32-32, 64×4, 128×4, 128 channels; average pooling, zero padding),",
        "float16, already normalised to mean activation 1. Trained from random weights by `harness distill`; part of",
        "this package, MIT licence.",
        "",
        "**Teacher**: the encoder of Wang, Li, Wang, Hu, Yang, *Collaborative Distillation for Ultra-Resolution",
        "Universal Style Transfer* (CVPR 2020, MIT licence), `vgg19_16x` as safetensors, SHA-256",
        f"`{teacher_sha256}`; max pooling, reflection padding.",
        "The targets are its maps divided by their means; channels that never fire on photographs are no targets.",
        "",
        f"**Images**: {num_training} for training (BSDS500 train and val, a sample of ImageNet, and paintings),",
        f"{len(held_out)} held out: those whose file name's SHA-256 is divisible by {HELD_OUT_OF}.",
        "",
        "**Recipe**: " + ", ".join(f"{name} {value}" for name, value in asdict(recipe).items()) + ".",
        "",
        "**Held-out share of the teacher's variance left unexplained** (Σ error² / Σ variance per channel over all",
        "positions of whole photographs, mean over the teacher's firing channels; `harness distill --evaluate`):",
        "",
        "| layer | unexplained | firing channels |",
        "| --- | --- | --- |",
    ]
    lines += [f"| {layer} | {share:.4f} | {int(targets.firing[layer].sum())} |" for layer, share in result.items()]
    mean = sum(result.values()) / len(result)
    lines += [f"| mean | {mean:.4f} | |", "", "**Held out**: " + ", ".join(sorted(held_out)) + ".", ""]
    return "\n".join(lines)
