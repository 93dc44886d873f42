"""Evaluations per second on a GPU: one picture and twenty rows, with each of what may make them faster, and textbook.

    python tests/benchmarks/gpu.py                           VGG-16 and the embedded network, 512 px, on cuda:0
    python tests/benchmarks/gpu.py --device cpu --size 64 --rows 2 --network embedded --evaluations 2

Rows are one tensor that goes through the network together, with the optimiser of a run; they differ in α. ``plain`` is
what a run does: float32, channels-last maps, TF32 forbidden. Each of the others changes one thing: ``channels_first``
gives the convolutions what a notebook would; ``cudnn.benchmark`` has cuDNN try its algorithms; ``bf16`` and ``tf32``
are ``transfer.precision``; ``compiled`` is the network in torch's own operations, by autograd, under ``torch.compile``,
``cuda_graphs`` the same with ``mode="reduce-overhead"``. ``textbook`` is one picture with torch's defaults, which allow
TF32 in convolutions, and ``textbook, float32`` forbids it. The share is of the rate at which the same device multiplies
large bfloat16 matrices, by the arithmetic of the convolutions and Gram matrices alone, both ways.

No line of this has been measured on a GPU yet: none was at hand. On the CPU it shows only that the script runs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache

import torch
from evaluation import ALPHA, images_of, machine
from precisions import convolving
from textbook import CONTENT, STYLES, TextbookVGG, textbook_loss, textbook_step
from torch import Tensor

from harness.features.normalise import normalised_state
from harness.features.single_precision import multiply_as
from harness.features.vgg import VGG, map_shape
from harness.features.weights import load_state
from harness.images.noise import noise
from harness.objective.rows import Objective, RowObjective
from harness.optim import BatchedLBFGS
from harness.runs.style_transfer import StyleTransfer

PLAIN = "plain"
COMPILED, GRAPHS = "compiled", "cuda_graphs"
VARIANTS = (PLAIN, "channels_first", "cudnn.benchmark", "bf16", "tf32", COMPILED, GRAPHS)
ON_A_GPU = ("cudnn.benchmark", "tf32", GRAPHS)
"""What the CPU does not have."""

WARM = 3
"""Evaluations before those that are timed: kernels are chosen, or compiled, by then."""


class Compiled(VGG):
    """The same network in torch's own operations, compiled."""

    def compile_it(self, mode: str | None) -> None:
        """Call it when the network is where it stays."""
        textbook = TextbookVGG(self)
        textbook.compared, textbook.readouts = dict.fromkeys(self.layers), dict.fromkeys(self.layers)  # all filters
        torch._functorch.config.donated_buffer = False  # the gradient is had twice where the content's share is
        self._compiled = (torch.compile(textbook, mode=mode),)

    def maps(self, images: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """As ``VGG.maps``; before it is compiled, targets are measured by that."""
        if not torch.is_grad_enabled():
            return super().maps(images, layers)
        wanted = tuple(layer for layer in self.layers if layer in set(layers))
        found: dict[str, Tensor] = self._compiled[0](images, wanted)
        return found


@lru_cache
def state_of(name: str) -> Mapping[str, Tensor]:
    return normalised_state(load_state(name))


def network_of(name: str, variant: str, device: torch.device) -> VGG:
    """``vgg16`` or ``embedded``, to conv5_1."""
    state = state_of(name)
    if variant in (COMPILED, GRAPHS):
        network = Compiled(state, "conv5_1").to(device)
        network.compile_it("reduce-overhead" if variant == GRAPHS else None)
        return network
    return VGG(state, "conv5_1", convolved=torch.bfloat16 if variant == "bf16" else None).to(device)


def step_of(network: VGG, num_rows: int, size_px: int, device: torch.device) -> Callable[[], object]:
    """One evaluation of every row with the optimiser, as a GPU's runs make it."""
    content, style = images_of(size_px)
    start = noise(size_px, size_px, 0.02, "white", torch.Generator().manual_seed(0))
    share = 1 / len(STYLES)
    rows = [RowObjective(ALPHA * (1 + k), 1.0, {CONTENT: 1.0}, dict.fromkeys(STYLES, share)) for k in range(num_rows)]
    box = tuple(bound.repeat(num_rows, 1, 1, 1).to(device) for bound in (
        style.amin((1, 2))[None, :, None, None], style.amax((1, 2))[None, :, None, None]
    ))  # fmt: skip
    module = StyleTransfer(
        start.repeat(num_rows, 1, 1, 1).to(device),
        Objective(rows, network, [content.to(device)], [style.to(device)]),
        network,
        lambda images: BatchedLBFGS(
            images, line_search="backtracking", bounds=(box[0], box[1]), initial_hessian="fourier", row_by_row=False
        ),
        10**6,
        microbatch=num_rows,
    )

    def step() -> object:
        module.take_records()
        return module.optimizer.step(module.evaluate_active)

    return step


@contextmanager
def changed(variant: str, device: torch.device) -> Iterator[None]:
    """The settings of a variant, and back."""
    multiply_as("tf32" if variant == "tf32" else "float32", str(device))
    held, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, variant == "cudnn.benchmark"
    first: AbstractContextManager[None] = nullcontext()
    if variant == "channels_first":
        first = convolving(lambda x: x.contiguous())
    try:
        with first:
            yield
    finally:
        torch.backends.cudnn.benchmark = held


def rate_of(step: Callable[[], object], num: int, device: torch.device) -> float:
    """Calls per second, once it is warm."""
    for _ in range(WARM):
        step()
    _wait_for(device)
    began = time.perf_counter()
    for _ in range(num):
        step()
    _wait_for(device)
    return num / (time.perf_counter() - began)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def operations_of(network: VGG, size_px: int) -> float:
    """Multiplications and additions of one row's evaluation: 3 × 3 convolutions and Gram matrices, both ways."""
    total = 0
    for layer in network.layers:
        height, width = map_shape(layer, size_px, size_px)
        num_out, num_in = network.weight(layer).shape[:2]
        total += 2 * 2 * 9 * num_out * num_in * height * width
        if layer in STYLES:
            total += 2 * 2 * num_out**2 * height * width
    return float(total)


def bf16_rate(device: torch.device) -> float:
    """Operations per second of a large product in bfloat16 on the device."""
    side = 8192 if device.type == "cuda" else 512
    a = torch.rand(side, side, device=device).bfloat16()
    return 2 * side**3 * rate_of(lambda: a @ a, 20, device)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--network", action="append", choices=["vgg16", "embedded"])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--evaluations", type=int, default=50)
    parser.add_argument("--variant", action="append", choices=VARIANTS)
    given = parser.parse_args()
    device = torch.device(given.device)
    bf16 = bf16_rate(device)
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"
    print(f"{machine()}{card}: {bf16 / 1e12:.3g} T operations/s of large bfloat16 products; {given.size} px\n")
    print("| network | rows | variant | evaluations/s | of plain | of the bf16 rate |")
    print("| --- " * 6 + "|")
    for name in given.network or ["vgg16", "embedded"]:
        operations = operations_of(network_of(name, PLAIN, torch.device("cpu")), given.size)
        for num_rows in dict.fromkeys((1, given.rows)):
            plain = 0.0
            for variant, rate in rates(name, num_rows, given, device):
                plain = plain or rate
                told = (
                    f"{rate:.3g} | {rate / plain:.2f} | {rate * operations / bf16:.2g}"
                    if rate
                    else "not on this device | – | –"
                )
                print(f"| {name} | {num_rows} | {variant} | {told} |", flush=True)


def rates(name: str, num_rows: int, given: argparse.Namespace, device: torch.device) -> Iterator[tuple[str, float]]:
    """Variants, and the rows' evaluations per second with them; 0 where the device does not have one."""
    for variant in dict.fromkeys((PLAIN, *(given.variant or VARIANTS))):
        if variant in ON_A_GPU and device.type == "cpu":
            yield variant, 0.0
            continue
        with changed(variant, device):
            step = step_of(network_of(name, variant, device), num_rows, given.size, device)
            yield variant, num_rows * rate_of(step, given.evaluations, device)
    if num_rows > 1:
        return  # textbook code computes one after another
    network, (content, style) = network_of(name, PLAIN, device), (image.to(device) for image in images_of(given.size))
    start = noise(given.size, given.size, 0.02, "white", torch.Generator().manual_seed(0)).to(device)
    for variant in ("textbook", "textbook, float32"):
        torch.backends.cudnn.allow_tf32 = variant == "textbook"
        step, _ = textbook_step(textbook_loss(network, content, style, ALPHA), start)
        yield variant, rate_of(step, given.evaluations, device)


if __name__ == "__main__":
    main()
