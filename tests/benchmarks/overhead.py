"""What Lightning, logging and tracking cost on top of evaluations and optimiser: both measured side by side in one run.

    python tests/benchmarks/overhead.py           the embedded network at 256 px
    python tests/benchmarks/overhead.py --full    a full-width VGG-19 (random weights: the arithmetic is the same)

A bare loop (network, objective, gradient, L-BFGS) and the whole run (Lightning, history, iterates, checkpoints, W&B
offline) alternate; the medians over the repetitions are compared. On a noisy machine that difference is rough, so the
time that the whole run spends outside evaluations and optimiser is counted as well.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import safetensors.torch
import torch
from full_vgg import full_width

from harness.config import Transfer
from harness.images.library import find_image
from harness.objective.rows import Objective
from harness.optim import BatchedLBFGS
from harness.runs.batch import Execution, run_batch
from harness.runs.module_makers import make_optimizer
from harness.runs.prepare import Row, load_network, prepare_images, row_objective_of, start_image
from harness.runs.store import Manifest
from harness.runs.style_transfer import StyleTransfer
from harness.tracking.mode import resolve_mode
from harness.tracking.wandb_tracker import open_tracker


def full_width_file(folder: Path) -> Path:
    """The weights of a full-width VGG-19 as a file."""
    path = folder / "full.safetensors"
    safetensors.torch.save_file(full_width(), path)
    return path


def make_row(folder: Path, identity: str, weights: object, steps: int) -> Row:
    """One run of the flagship experiment."""
    transfer = Transfer.model_validate(
        {"content": "astronaut", "style": "strokes", "size": 256, "steps": steps, "pyramid": [], "weights": weights}
    )
    files = {name: str(find_image(getattr(transfer, name))) for name in ("content", "style")}
    return Row(identity, folder / "runs" / identity, transfer, files, Manifest(identity, "benchmark"))


def bare(row: Row) -> float:
    """Seconds an evaluation of the bare loop."""
    prepared = prepare_images([row])
    objective = row_objective_of(row.transfer)
    network = load_network(row.transfer, (*objective.weighed_content(), *objective.weighed_style()))
    module = StyleTransfer(
        start_image(row, prepared, 0)[None],
        Objective([objective], network, prepared.contents, prepared.styles),
        network,
        lambda parameters: make_optimizer(row.transfer.optimiser, None, parameters),
        row.transfer.steps,
    )
    module.optimizer.step(module.evaluate_active)
    started = time.perf_counter()
    for _ in range(row.transfer.steps - 1):
        module.optimizer.step(module.evaluate_active)
    return (time.perf_counter() - started) / (row.transfer.steps - 1)


@contextmanager
def timed_steps() -> Iterator[list[float]]:
    """The seconds of every optimiser's step, evaluation included."""
    seconds: list[float] = []
    original = BatchedLBFGS.step

    def step(self: BatchedLBFGS, closure: Callable[[], torch.Tensor]) -> torch.Tensor:
        started = time.perf_counter()
        losses = original(self, closure)
        seconds.append(time.perf_counter() - started)
        return losses

    BatchedLBFGS.step = step  # type: ignore[method-assign]
    try:
        yield seconds
    finally:
        BatchedLBFGS.step = original  # type: ignore[method-assign]


def whole(row: Row, folder: Path, threads: int) -> tuple[float, float]:
    """Seconds an evaluation of the whole run, by its own history (the first left out), and those of its steps."""
    directory = folder / "wandb"
    tracker = open_tracker(resolve_mode("offline", directory), directory)
    with timed_steps() as steps:
        run_batch([row], Execution("cpu", threads), tracker=tracker)
    tracker.close()
    lines = (row.folder / "history.csv").read_text().splitlines()[1:]
    seconds = [float(line.split(",")[1]) for line in lines]
    return (seconds[-1] - seconds[0]) / (len(seconds) - 1), statistics.fmean(steps[1:])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="a full-width VGG-19")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights: object = {"file": str(full_width_file(folder))} if given.full else "embedded"
        ratios, plain, outside = [], [], []
        for number in range(given.repeat):
            row = make_row(folder, f"{number:012x}", weights, given.steps)
            without = bare(row)
            total, steps = whole(row, folder, given.threads)
            ratios.append(total / without - 1)
            plain.append(without)
            outside.append(total / steps - 1)
            told = f"whole {ratios[-1]:+.1%} of that, outside the steps {outside[-1]:.2%}"
            print(f"bare {without * 1e3:.1f} ms an evaluation, {told}", flush=True)
    kind = "full VGG-19" if given.full else "embedded"
    print(f"{kind}, 256 px, {given.threads} threads: {statistics.median(plain) * 1e3:.1f} ms an evaluation, ", end="")
    print(f"overhead {statistics.median(ratios):+.1%}, outside the steps {statistics.median(outside):.2%} ", end="")
    print(f"(medians of {given.repeat})")


if __name__ == "__main__":
    main()
