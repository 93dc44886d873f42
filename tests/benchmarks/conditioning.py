"""Why the last part of an optimisation is slow on a network, and what would help: curvature, and variants side by side.

    python tests/benchmarks/conditioning.py                        VGG-16, 256 px, astronaut:strokes: about 5 min
    python tests/benchmarks/conditioning.py --network embedded

First, where a picture stands after 120 evaluations at half the size and 20, 100, 300 at the full one: total, content's
and style's share. Then the objective's curvature there, by spatial frequency and colour direction (those of
photographs: green against magenta, red against blue, grey): v·Hv of white noise v, by differences of gradients. Then,
from the picture after 20, a hundred evaluations with each variant: the loss, and how much of the picture's energy is in
its finest detail (the measure ``finest_share``), beside the painting's.

The rows' norms of the Hessian, ``measured``, are those of the same noise: ‖(Hv)_k‖ / ‖v_k‖ in a band of frequencies k.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import torch
from evaluation import ALPHA, as_a_worker, harness_step, machine, network_named
from to_loss import NUM_HALF
from torch import Tensor

from harness.distillation.on_policy import objective_of
from harness.features.vgg import VGG
from harness.images.library import find_image
from harness.images.noise import noise
from harness.images.resize import photograph_of, resize, to_array
from harness.measures.of_pictures import finest_share
from harness.objective.gradient import evaluate
from harness.objective.rows import Objective
from harness.optim.preconditioner import COLOUR_COVARIANCE, FourierFilter

EDGES = (0.0, 1 / 64, 1 / 32, 1 / 16, 3 / 32, 1 / 8, 3 / 16, 1 / 4, 5 / 16, 3 / 8, 1 / 2, 0.8)
"""Bands of frequency, cycles per pixel."""

STEP = 1e-3
COLOURS = torch.linalg.eigh(torch.tensor(COLOUR_COVARIANCE)).eigenvectors


class ByBand:
    """A symmetric filter with a gain for each colour direction and frequency, (3, H, W)."""

    def __init__(self, gain: Tensor) -> None:
        self.gain = gain

    def __call__(self, v: Tensor) -> Tensor:
        spectrum = torch.fft.fft2(directions(v.view(self.gain.shape)))
        filtered = torch.fft.ifft2(spectrum * self.gain).real
        return torch.einsum("ck,khw->chw", COLOURS, filtered).reshape(v.shape)


def directions(image: Tensor) -> Tensor:
    """(3, H, W) in the colour directions of photographs."""
    return torch.einsum("ck,chw->khw", COLOURS, image)


def bands(height: int, width: int) -> Tensor:
    """Each frequency's band, (H, W)."""
    frequency = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None])
    return torch.bucketize(frequency, torch.tensor(EDGES), right=True) - 1


def curvature(objective: Objective, network: VGG, image: Tensor) -> tuple[Tensor, Tensor]:
    """v·Hv / v·v and ‖Hv‖ / ‖v‖ by colour direction and band, (3, bands) each."""
    v = torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    after, before = (evaluate(objective, network, (image + s * STEP * v)[None], [0]).gradient[0] for s in (1, -1))
    of_v, of_hv = (torch.fft.fft2(directions(x)).flatten(1) for x in (v, (after - before) / (2 * STEP)))
    band = bands(*image.shape[1:]).flatten()

    def summed(x: Tensor) -> Tensor:
        return torch.zeros(3, len(EDGES) - 1).index_add_(1, band, x)

    energy = summed(of_v.abs().square())
    return summed((of_v.conj() * of_hv).real) / energy, (summed(of_hv.abs().square()) / energy).sqrt()


def optimised(
    network: VGG,
    pair: Sequence[Tensor],
    start: Tensor,
    num: int,
    history: int = 20,
    precondition: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, float]:
    """A picture after so many evaluations, as a run has it but for what is given, and its loss."""
    content, style = pair
    step, module = harness_step(network, content, style, start, history)
    if precondition is not None:
        object.__setattr__(module.optimizer._plan, "precondition", precondition)
    for _ in range(num):
        step()
    return module.best_image(0), float(module.optimizer.best_losses[0])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="vgg16", choices=["vgg16", "embedded"])
    parser.add_argument("--pair", default="astronaut:strokes", help="content:style")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    as_a_worker()
    torch.set_num_threads(given.threads)
    network, size = network_named(given.network), given.size
    print(f"{machine()}\n{given.network}, {given.pair}, {size} px\n")
    content, style = (photograph_of(str(find_image(name)), (size, size)) for name in given.pair.split(":"))
    half = [resize(image, size // 2, size // 2) for image in (content, style)]
    start = noise(size // 2, size // 2, 0.02, "white", torch.Generator().manual_seed(0))
    image, _ = optimised(network, half, start, NUM_HALF)
    objective = objective_of(network, content, style, ALPHA)
    image = begun = resize(image, size, size)

    print("| evaluations | total | of it content | of it style |\n" + "| --- " * 4 + "|")
    behind = 0
    for num in (20, 100, 300):
        image, total = optimised(network, (content, style), image, num - behind)
        losses, behind = evaluate(objective, network, image[None], [0]).losses, num
        print(f"| {num} | {total:.4f} | {ALPHA * float(losses.content):.4f} | {float(losses.style):.4f} |", flush=True)
        begun = image if num == 20 else begun
    along, _ = curvature(objective, network, image)
    print("\n| curvature there, frequency from | green, magenta | red, blue | grey |\n" + "| --- " * 4 + "|")
    for band, edge in enumerate(EDGES[:-1]):
        print(f"| {edge:.3f} | {' | '.join(f'{float(of):.1e}' for of in along[:, band])} |")

    _, norms = curvature(objective, network, begun)
    measured = norms[2, 8] / norms[:, bands(size, size)]
    variants: dict[str, tuple[int, Callable[[Tensor], Tensor] | None]] = {
        "as a run has it": (20, None),
        "40 pairs": (40, None),
        "100 pairs": (100, None),
        "the identity": (20, lambda v: v.clone()),
        "1/√f": (20, FourierFilter(tuple(content.shape), exponent=0.5)),
        "measured, its root": (20, ByBand(measured.sqrt())),
        "measured": (20, ByBand(measured)),
    }
    print("\n| 100 evaluations more with | total | finest detail |\n" + "| --- " * 3 + "|")
    for name, (history, precondition) in variants.items():
        picture, total = optimised(network, (content, style), begun, 100, history, precondition)
        print(f"| {name} | {total:.4f} | {finest_share(to_array(picture)):.4f} |", flush=True)
    print(f"| the painting itself | | {finest_share(to_array(style)):.4f} |")


if __name__ == "__main__":
    main()
