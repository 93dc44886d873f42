"""What rounding within the network does to a picture's final losses: bfloat16 and TF32 beside float32.

    python tests/benchmarks/precisions.py                    the table: 128 px, 100 evaluations, three seeds: 15 min
    python tests/benchmarks/precisions.py --network embedded --alpha 1e-2 --seeds 1 --size 64 --evaluations 5

Every run begins with the same noise as the others of its seed and goes as the harness's runs do; the losses printed are
of its best picture, all measured by the same float32 network, with equal α and β, as shares of float32's (geometric
mean over the seeds, and their range). All of it is emulated on the CPU, in the precision but not by the kernels of a
GPU: ``bf16`` is the harness's own (``transfer.precision``); for ``tf32`` what goes into a convolution of 3 × 3 is
rounded to ten bits of mantissa behind the first, ties away from zero, and the rest is float32. Optimisation amplifies
any rounding: ``other sums`` is float32 by other kernels (no Winograd, no packed weights), and what it differs by is
what can be said of nothing else.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from unittest.mock import patch

import torch
from evaluation import as_a_worker, harness_step, images_of, machine
from torch import Tensor
from torch.nn import functional

from harness.distillation.on_policy import objective_of
from harness.features import passes
from harness.features.normalise import normalised_state
from harness.features.vgg import VGG
from harness.features.weights import load_state
from harness.images.noise import noise

PRECISIONS = ("float32", "other sums", "tf32", "bf16")
LOSSES = ("total", "content", "style")


def rounded_to_tf32(x: Tensor) -> Tensor:
    """Ten bits of mantissa behind the first, to the nearest, ties away from zero, as a GPU rounds."""
    return ((x.view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


@contextmanager
def convolving(round_: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Have the passes take torch's own convolutions, of rounded factors."""

    def conv2d(x: Tensor, weight: Tensor, *rest: Tensor | None, padding: int = 0) -> Tensor:
        return functional.conv2d(round_(x), round_(weight), *rest, padding=padding)

    own = SimpleNamespace(
        conv2d=conv2d, avg_pool2d=functional.avg_pool2d, max_pool2d=functional.max_pool2d, pad=functional.pad
    )
    turned = passes.winograd.turned_round
    with (
        patch.object(passes, "functional", own),
        patch.object(passes, "by_winograd", lambda *of: False),
        patch.object(passes, "map_weights", lambda weight: weight),
        patch.object(passes, "gradient_weights", lambda weight: turned(weight)),
    ):
        yield


def final_losses(precision: str, name: str, alpha: float, seed: int, size_px: int, num_evaluations: int) -> list[float]:
    """Total, content and style of the best picture of one run, measured in float32."""
    state = normalised_state(load_state(name))
    content, style = images_of(size_px)
    start = noise(size_px, size_px, 0.02, "white", torch.Generator().manual_seed(seed))
    convolved = torch.bfloat16 if precision == "bf16" else None
    kernels = {"tf32": convolving(rounded_to_tf32), "other sums": convolving(lambda x: x)}
    with kernels.get(precision, nullcontext()):
        network = VGG(state, "conv5_1", convolved=convolved)
        step, module = harness_step(network, content, style, start, alpha=alpha)
        for _ in range(num_evaluations):
            step()
        best = module.best_image(0)
    exact = VGG(state, "conv5_1")
    with torch.no_grad():
        losses = objective_of(exact, content, style, alpha)(exact, best[None], [0])
    return [float(getattr(losses, of)) for of in LOSSES]


def lines_of(name: str, alpha: float, given: argparse.Namespace) -> Iterator[str]:
    """The table's lines of a network and an α/β."""
    of_each = {
        precision: [
            final_losses(precision, name, alpha, seed, given.size, given.evaluations) for seed in range(given.seeds)
        ]
        for precision in PRECISIONS
    }
    exact = of_each.pop("float32")
    means = " | ".join(f"{sum(of_loss) / len(exact):.4g}" for of_loss in zip(*exact, strict=True))
    yield f"| {name} | {alpha:g} | float32 | {means} |"
    for precision, found in of_each.items():
        shares = [
            [a / b for a, b in zip(of_seed, of_exact, strict=True)]
            for of_seed, of_exact in zip(found, exact, strict=True)
        ]
        told = " | ".join(told_of(of_loss) for of_loss in zip(*shares, strict=True))
        yield f"| {name} | {alpha:g} | {precision} | {told} |"


def told_of(shares: Sequence[float]) -> str:
    mean = math.exp(sum(map(math.log, shares)) / len(shares))
    return f"× {mean:.3f} ({min(shares):.3f} to {max(shares):.3f})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", action="append", choices=["vgg16", "embedded"])
    parser.add_argument("--alpha", action="append", type=float, help="α/β")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--evaluations", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    as_a_worker()
    torch.set_num_threads(given.threads)
    print(machine())
    print(f"{given.size} px, {given.evaluations} evaluations, {given.seeds} seeds\n")
    print("| network | α/β | precision | total | content | style |")
    print("| --- " * 6 + "|")
    for name in given.network or ["embedded", "vgg16"]:
        for alpha in given.alpha or [1e-2, 1e-1]:
            for line in lines_of(name, alpha, given):
                print(line, flush=True)


if __name__ == "__main__":
    main()
