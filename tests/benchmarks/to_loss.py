"""How long until the loss that textbook code has after 500 evaluations from noise: seconds and evaluations.

    python tests/benchmarks/to_loss.py                                VGG-16, 256 px, three pairs, two seeds: 45 min
    python tests/benchmarks/to_loss.py --pair astronaut:strokes --seeds 1 --pictures /tmp/pictures

Both begin with the same noise and minimise the same objective (α/β = 1e-2, default units); textbook is without bounds,
at one size, with a history of 100. The harness goes as a run does: half the size first, the painting's range as bounds,
backtracking, the Fourier filter. Seconds are of evaluations and optimiser; what is compared takes turns, pair by pair.

Two targets: the lowest loss of textbook's iterates, which lie outside what a picture can show, and the loss of its last
picture as it is saved, in [0, 1]. The harness's are within the painting's range all the while.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

import torch
from evaluation import ALPHA, as_a_worker, harness_step, machine, network_named
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


def textbook_run(network: VGG, content: Tensor, style: Tensor, start: Tensor) -> tuple[list[float], float, Tensor]:
    """The loss of its last picture as it is saved and its lowest one, its seconds, and that picture (3, H, W)."""
    loss = textbook_loss(network, content, style, ALPHA)
    step, image = textbook_step(loss, start)
    began = time.perf_counter()
    lowest = min(step() for _ in range(NUM_TEXTBOOK))
    seconds, picture = time.perf_counter() - began, image.detach()[0].clamp(0, 1)
    with torch.no_grad():
        return [float(loss(picture[None])), lowest], seconds, picture


def harness_run(
    network: VGG, content: Tensor, style: Tensor, start: Tensor, targets: Sequence[float]
) -> tuple[list[tuple[int, float]], float, Tensor]:
    """Evaluations at full size and seconds until each target that was reached, falling; lowest loss; picture."""
    height, width = content.shape[1:]
    half = [resize(image, height // 2, width // 2) for image in (content, style, start)]
    began = time.perf_counter()
    step, module = harness_step(network, *half)
    for _ in range(NUM_HALF):
        step()
    step, module = harness_step(network, content, style, resize(module.best_image(0), height, width))
    reached: list[tuple[int, float]] = []
    for number in range(1, MAX_FULL + 1):
        step()
        while len(reached) < len(targets) and float(module.optimizer.best_losses[0]) <= targets[len(reached)]:
            reached.append((number, time.perf_counter() - began))
        if len(reached) == len(targets):
            break
    return reached, float(module.optimizer.best_losses[0]), module.best_image(0)


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
    as_a_worker()
    torch.set_num_threads(given.threads)
    network = network_named(given.network)
    print(f"{machine()}\n{given.network}, {given.size} px, {given.threads} threads\n")
    print("| pair | seed | textbook's loss | s | harness: evaluations at half and full size | s | of textbook's time |")
    print("| --- " * 7 + "|")
    for pair in given.pair or PAIRS:
        content, style = (photograph_of(str(find_image(name)), (given.size, given.size)) for name in pair.split(":"))
        for seed in range(given.seeds):
            start = noise(given.size, given.size, 0.02, "white", torch.Generator().manual_seed(seed))
            targets, seconds, picture = textbook_run(network, content, style, start)
            reached, lowest, own = harness_run(network, content, style, start, targets)
            for what, target, found in zip_longest(("as saved", "lowest"), targets, reached):
                head = f"| {pair} | {seed} | {target:.4g}, {what} | {seconds:.0f} "
                told = f"| {NUM_HALF} + {found[0]} | {found[1]:.0f} | {found[1] / seconds:.2f} |" if found else ""
                print(head + (told or f"| not reached: {lowest:.4g} | – | – |"), flush=True)
            if given.pictures:
                given.pictures.mkdir(parents=True, exist_ok=True)
                beside = torch.cat([picture, own], dim=2)
                write_png(given.pictures / f"{pair.replace(':', '-')}-{seed}.png", to_array(beside))


if __name__ == "__main__":
    main()
