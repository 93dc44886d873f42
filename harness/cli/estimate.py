"""``--dry-run``: cells, done and left, batches, memory, disk, time."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.table import Table

from harness.driver import Options, Plan
from harness.features.vgg import map_shape
from harness.jobs import Job
from harness.objective.rows import Objective
from harness.runs.module import is_log_spaced
from harness.runs.prepare import load_network, row_objective_of
from harness.runs.progress import duration

MEMORY_SHARE = 0.5
"""Part of the free memory that a batch may take."""


def row_bytes(job: Job) -> int:
    """Memory of one row beside the network's pass: image, gradient, best and next point, optimiser's history."""
    optimiser = job.row.transfer["optimiser"]
    num_vectors = 6 + (2 * optimiser["history"] if optimiser["name"] == "lbfgs" else 2)
    return num_vectors * _image_bytes(job)


def _image_bytes(job: Job) -> int:
    return 3 * job.height * job.width * (8 if job.row.transfer["precision"] == "float64" else 4)


class MaxRows:
    """How many rows like a job's a batch may have on a device: its free memory over a row's, at least one.

    Args:
        device: ``cpu`` or ``cuda:N``.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self._found: dict[str, int] = {}

    def __call__(self, job: Job) -> int:
        """Measured once for all jobs that can share a batch."""
        if job.batch_key not in self._found:
            one_pass = pass_bytes(job)
            if self.device.startswith("cuda"):
                free, needed = torch.cuda.mem_get_info(self.device)[0], row_bytes(job) + one_pass
            else:
                free, needed = available_bytes() - one_pass, row_bytes(job)
            self._found[job.batch_key] = max(1, int(MEMORY_SHARE * free / needed))
        return self._found[job.batch_key]


def available_bytes() -> int:
    """The main memory that can be had without swapping."""
    try:
        text = Path("/proc/meminfo").read_text()
        return int(text.split("MemAvailable:")[1].split()[0]) * 1024
    except (OSError, IndexError, ValueError):  # not Linux
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def pass_bytes(job: Job) -> int:
    """Memory of one row's pass through the network: each map twice (convolution, ReLU), kept for the gradient."""
    objective = row_objective_of(job.row.transfer)
    layers = (*objective.weighed_content(), *objective.weighed_style())
    network = load_network(job.row.transfer, layers)
    num_values = 0
    for layer in network.layers:
        height, width = map_shape(layer, job.height, job.width)
        num_values += 2 * network.weight(layer).shape[0] * height * width
    return num_values * (8 if job.row.transfer["precision"] == "float64" else 4)


def evaluation_seconds(job: Job, options: Options) -> float:
    """Time of one evaluation of one row, measured: the second of two, on noise."""
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    objective = row_objective_of(job.row.transfer)
    network = load_network(job.row.transfer, (*objective.weighed_content(), *objective.weighed_style())).to(device)
    noise = torch.rand(3, job.height, job.width, generator=torch.Generator().manual_seed(0)).to(device)
    evaluate = Objective([objective], network, [noise], [noise])
    elapsed = 0.0
    for _ in range(2):
        started = time.monotonic()
        images = noise[None].clone().requires_grad_()
        torch.autograd.grad(evaluate(network, images, [0]).total.sum(), images)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        elapsed = time.monotonic() - started
    return elapsed


def estimate(plan: Plan, options: Options) -> Table:
    """The answer to ``--dry-run``; nothing is written."""
    table = Table(box=None, pad_edge=False, show_header=False)
    left = [job for batch in plan.batches for job in batch]
    table.add_row("cells", str(len(plan.jobs)))
    table.add_row("done", f"{len(plan.done)}" + (f", {len(plan.linked)} of them elsewhere" if plan.linked else ""))
    table.add_row(
        "failed before", f"{len(plan.failed)}" + (" (--retry-failed computes them again)" if plan.failed else "")
    )
    begun = [job for job in left if _behind(job)]
    at = ", ".join(f"{job.row.id} at evaluation {_behind(job)}" for job in begun)
    table.add_row("left", str(len(left)) + (f", {len(begun)} of them begun: {at}" if begun else ""))
    for number, batch in enumerate(plan.batches, 1):
        size = f"{batch[0].width}×{batch[0].height} px, {batch[0].row.transfer['steps']} evaluations"
        rows = "1 row" if len(batch) == 1 else f"{len(batch)} rows"
        table.add_row(f"batch {number}", f"{rows}, {size}")
        table.add_row("", ", ".join(job.row.id for job in batch))
    if left:
        memory = max(len(batch) * row_bytes(batch[0]) + pass_bytes(batch[0]) for batch in plan.batches)
        table.add_row("memory", f"about {memory / 2**20:.0f} MiB for the largest batch, and 1 GiB for Python and torch")
        table.add_row(
            "disk",
            f"about {_disk_bytes(left) / 2**20:.0f} MiB, and {_checkpoint_bytes(plan) / 2**20:.0f} MiB while it runs",
        )
        seconds = sum(
            evaluation_seconds(batch[0], options) * sum(job.row.transfer["steps"] - _behind(job) for job in batch)
            for batch in plan.batches
        )
        table.add_row("time", f"about {duration(seconds)} on {options.device} (one evaluation measured just now)")
    table.add_row("folder", str(plan.folder))
    return table


def _behind(job: Job) -> int:
    """Evaluations that a begun run need not do again."""
    manifest = job.folder.manifest()
    return manifest.attempts[-1].last if manifest and manifest.attempts and job.folder.checkpoint_path.exists() else 0


def _disk_bytes(jobs: Sequence[Job]) -> int:
    """Iterates and pictures as PNG (noise hardly compresses), twice with W&B's copies, 100 bytes a history line."""
    total = 0
    for job in jobs:
        steps = job.row.transfer["steps"]
        num_images = 1 + sum(is_log_spaced(evaluation, steps) for evaluation in range(1, steps + 1))
        total += 2 * num_images * 3 * job.height * job.width + 100 * steps
    return total


def _checkpoint_bytes(plan: Plan) -> int:
    return max(len(batch) * row_bytes(batch[0]) for batch in plan.batches)
