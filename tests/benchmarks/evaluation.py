"""An evaluation with its optimiser against textbook code and against the network's bare convolutions, in one run.

    python tests/benchmarks/evaluation.py                       VGG-16, VGG-19 and the embedded network, 256 and 512 px
    python tests/benchmarks/evaluation.py --network vgg16 --size 256 --threads 2

VGG-16 has its published weights (``harness fetch weights vgg16``), VGG-19 random ones of its widths: the arithmetic is
the same. What is compared takes turns, and the medians of the turns' ratios are printed. Both optimisers have 21
evaluations behind them, so that the harness's history of 20 is full; textbook's goes on to 100. Peak memory is
of a process of its own for each, above what its imports take.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import torch
from full_vgg import full_width
from textbook import bare_convolutions, textbook_loss, textbook_step
from torch import Tensor

from harness.distillation.on_policy import objective_of
from harness.engines.process import ALLOCATION
from harness.features.normalise import normalised_state
from harness.features.vgg import VGG
from harness.features.weights import load_state
from harness.images.library import find_image
from harness.images.noise import noise
from harness.images.resize import photograph_of
from harness.optim import BatchedLBFGS
from harness.runs.style_transfer import StyleTransfer

ALPHA = 1e-2
WARM = 21


def as_a_worker() -> None:
    """Begin this process again with a worker's allocation of memory; what the harness is compared with has the same."""
    if os.environ.get("GLIBC_TUNABLES") is None:
        os.environ.update(ALLOCATION)
        os.execv(sys.executable, [sys.executable, *sys.argv])


def network_named(name: str) -> VGG:
    """``vgg16``, ``vgg19`` or ``embedded``, to conv5_1."""
    if name == "vgg19":
        return VGG(full_width())
    return VGG(normalised_state(load_state(name)), "conv5_1")


def images_of(size_px: int) -> tuple[Tensor, Tensor]:
    """The square photograph and a painting as large."""
    content, style = (photograph_of(str(find_image(name)), (size_px, size_px)) for name in ("astronaut", "strokes"))
    return content, style


def harness_step(
    network: VGG, content: Tensor, style: Tensor, start: Tensor, history: int = 20, alpha: float = ALPHA
) -> tuple[Callable[[], object], StyleTransfer]:
    """One evaluation with its optimiser, as a run makes it, with the defaults of a run; and the module it is of."""
    box = style.amin((1, 2))[None, :, None, None], style.amax((1, 2))[None, :, None, None]
    module = StyleTransfer(
        start[None].clone(),  # which the module moves
        objective_of(network, content, style, alpha),
        network,
        lambda images: BatchedLBFGS(
            images, line_search="backtracking", bounds=box, initial_hessian="fourier", history=history
        ),
        10**6,
    )

    def step() -> object:
        module.take_records()
        return module.optimizer.step(module.evaluate_active)

    return step, module


def steps_of(kind: str, network: VGG, size_px: int) -> Callable[[], object]:
    """What is timed: ``harness``, ``textbook`` or ``floor``."""
    content, style = images_of(size_px)
    if kind == "floor":
        return bare_convolutions(network, *content.shape[1:])
    start = noise(*content.shape[1:], 0.02, "white", torch.Generator().manual_seed(0))
    if kind == "harness":
        return harness_step(network, content, style, start)[0]
    return textbook_step(textbook_loss(network, content, style, ALPHA), start)[0]


def seconds_of(step: Callable[[], object]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def peak_mib(kind: str, name: str, size_px: int, threads: int) -> float:
    """Of a process of its own."""
    command = [sys.executable, __file__, "--only", kind, "--network", name, "--size", str(size_px)]
    told = subprocess.run([*command, "--threads", str(threads)], check=True, capture_output=True, text=True).stdout
    return float(told)


def tell_peak(kind: str, name: str, size_px: int) -> None:
    """Print this process's own peak above what it had with the network loaded, in MiB."""
    network = network_named(name)
    ctypes.CDLL(None).malloc_trim(0)  # what loading has freed goes back to the system
    Path("/proc/self/clear_refs").write_text("5")  # and its peak is forgotten
    before = own_memory("VmRSS")
    step = steps_of(kind, network, size_px)
    for _ in range(WARM + 1):
        step()
    print((own_memory("VmHWM") - before) / 1024)


def own_memory(which: str) -> int:
    """Of this process in KiB: ``VmRSS`` now, ``VmHWM`` at most so far (``getrusage`` counts the parent's too)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{which}:"))


def measure(name: str, size_px: int, threads: int, turns: int, with_memory: bool) -> str:
    """A line of the table."""
    torch.set_num_threads(threads)
    network = network_named(name)
    steps = {kind: steps_of(kind, network, size_px) for kind in ("harness", "textbook", "floor")}
    for kind in ("harness", "textbook"):
        for _ in range(WARM):
            steps[kind]()
    steps["floor"]()
    taken: dict[str, list[float]] = {kind: [] for kind in steps}
    for _ in range(turns):
        for kind, step in steps.items():
            taken[kind].append(seconds_of(step))
    times = {kind: statistics.median(seconds) for kind, seconds in taken.items()}
    of_floor, of_textbook = (
        statistics.median(a / b for a, b in zip(taken["harness"], taken[other], strict=True))
        for other in ("floor", "textbook")
    )
    del steps
    memory = ""
    if with_memory:
        own, textbook = (peak_mib(kind, name, size_px, threads) for kind in ("harness", "textbook"))
        memory = f"{own:.0f} | {textbook:.0f} | {own / textbook:.2f}"
    numbers = " | ".join(f"{1e3 * seconds:.0f}" for seconds in times.values())
    return f"| {name} | {size_px} | {threads} | {numbers} | {of_floor:.2f} | {of_textbook:.2f} | {memory} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", action="append", choices=["vgg16", "vgg19", "embedded"])
    parser.add_argument("--size", action="append", type=int)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--only", choices=["harness", "textbook"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    as_a_worker()
    if given.only:
        torch.set_num_threads(given.threads)
        tell_peak(given.only, given.network[0], given.size[0])
        return
    print(machine())
    print("| network | px | threads | harness, ms | textbook, ms | floor, ms | of floor | of textbook ", end="")
    print("| harness, MiB | textbook, MiB | ratio |")
    print("| --- " * 11 + "|")
    for name in given.network or ["vgg16", "vgg19", "embedded"]:
        for size_px in given.size or [256, 512]:
            threads = given.threads or (1 if name == "embedded" else 2)
            print(measure(name, size_px, threads, given.turns, not given.no_memory), flush=True)


def machine() -> str:
    """Hardware, versions and date, for the head of a table."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    flags = next((line for line in lines if line.startswith("flags")), "")
    vectors = "AVX-512" if "avx512f" in flags else "AVX2" if "avx2" in flags else "no AVX2"
    today = datetime.now(UTC).date()
    return f"{model} ({vectors}), Python {platform.python_version()}, torch {torch.__version__}, {today}\n"


if __name__ == "__main__":
    main()
