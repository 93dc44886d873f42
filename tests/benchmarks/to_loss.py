"""How long until the loss that textbook code has after 500 evaluations from noise: seconds and evaluations.

    python tests/benchmarks/to_loss.py                                VGG-16, 256 px, three pairs, two seeds: 45 min
    python tests/benchmarks/to_loss.py --pair astronaut:strokes --seeds 1 --pictures /tmp/pictures

Both begin with the same noise and minimise the same objective (α/β = 1e-2, default units); textbook is without bounds,
at one size, with a history of 100. The harness goes as a run does: half the size first, the painting's range as bounds,
backtracking, the Fourier filter. Seconds are of evaluations and optimiser; what is compared takes turns, pair by pair.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from evaluation import ALPHA, harness_step, machine, network_named
from textbook import textbook_loss, textbook_step
from torch import Tensor

from harness.features.vgg import VGG
from harness.images.files import write_png
from harness.images.library import find_image
from harness.images.noise import noise
from harness.images.resize import photograph_of, resize, to_array

PAIRS = ("astronaut:strokes", "coffee:mosaic", "chelsea:waves")
NUM_TEXTBOOK = 500
NUM_HALF = 120
"""Evaluations at half the size."""

MAX_FULL = 500


def textbook_run(network: VGG, content: Tensor, style: Tensor, start: Tensor) -> tuple[float, float, Tensor]:
    """Its lowest loss, its seconds, and its picture (3, H, W)."""
    step, image = textbook_step(textbook_loss(network, content, style, ALPHA), start)
    began = time.perf_counter()
    lowest = min(step() for _ in range(NUM_TEXTBOOK))
    return lowest, time.perf_counter() - began, image.detach()[0].clamp(0, 1)


def harness_run(
    network: VGG, content: Tensor, style: Tensor, start: Tensor, target: float
) -> tuple[int | None, float, float, Tensor]:
    """Evaluations at full size until the target (None: not reached), its seconds, lowest loss, picture (3, H, W)."""
    height, width = content.shape[1:]
    half = [resize(image, height // 2, width // 2) for image in (content, style, start)]
    began = time.perf_counter()
    step, module = harness_step(network, *half)
    for _ in range(NUM_HALF):
        step()
    picture = resize(module.best_image(0), height, width)
    step, module = harness_step(network, content, style, picture)
    reached = None
    for number in range(1, MAX_FULL + 1):
        step()
        if float(module.optimizer.best_losses[0]) <= target:
            reached = number
            break
    seconds = time.perf_counter() - began
    return reached, seconds, float(module.optimizer.best_losses[0]), module.best_image(0)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="vgg16", choices=["vgg16", "embedded"])
    parser.add_argument("--pair", action="append", help="content:style")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pictures", type=Path, help="a folder for the pictures, beside each other")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    network = network_named(given.network)
    print(f"{machine()}\n{given.network}, {given.size} px, {given.threads} threads\n")
    print("| pair | seed | textbook's loss | s | harness: evaluations at half and full size | s | of textbook's time |")
    print("| --- " * 7 + "|")
    for pair in given.pair or PAIRS:
        content, style = (photograph_of(str(find_image(name)), (given.size, given.size)) for name in pair.split(":"))
        for seed in range(given.seeds):
            start = noise(given.size, given.size, 0.02, "white", torch.Generator().manual_seed(seed))
            target, seconds, picture = textbook_run(network, content, style, start)
            reached, own_seconds, lowest, own = harness_run(network, content, style, start, target)
            told = f"{NUM_HALF} + {reached}" if reached else f"not reached: {lowest:.4g} after {NUM_HALF} + {MAX_FULL}"
            ratio = f"{own_seconds / seconds:.2f}" if reached else "–"
            print(
                f"| {pair} | {seed} | {target:.4g} | {seconds:.0f} | {told} | {own_seconds:.0f} | {ratio} |", flush=True
            )
            if given.pictures:
                given.pictures.mkdir(parents=True, exist_ok=True)
                beside = torch.cat([picture, own], dim=2)
                write_png(given.pictures / f"{pair.replace(':', '-')}-{seed}.png", to_array(beside))


if __name__ == "__main__":
    main()
