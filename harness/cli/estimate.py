"""``--dry-run``: cells, done and left, batches, memory, disk, time."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.table import Table

from harness.cli.tables import duration
from harness.engines.devices import DeviceSpec
from harness.features.vgg import map_shape
from harness.jobs import Job
from harness.objective.rows import Objective
from harness.planning import Plan
from harness.runs.module import is_log_spaced
from harness.runs.prepare import load_network, row_objective_of

MOST_ROWS = 256
"""Rows of a batch at most: a bound where the memory is not known. On no GPU has it been tried yet."""

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
    """How many rows like a job's a batch may have on a worker: its device's free memory over a row's, at least one.

    Args:
        workers: all workers' names; two on one card share its memory.
    """

    def __init__(self, workers: Sequence[str]) -> None:
        self.workers = workers
        self._found: dict[tuple[str, str], int] = {}

    def __call__(self, job: Job, worker: str) -> int:
        """Measured once for all jobs that can share a batch."""
        key = (job.batch_key, worker)
        if key not in self._found:
            one_pass = pass_bytes(job)
            device = worker.split("#")[0]
            if device.startswith("cuda"):
                sharing = sum(other.split("#")[0] == device for other in self.workers)
                free, needed = free_bytes(device) / sharing, row_bytes(job) + one_pass
            else:
                free, needed = available_bytes() / len(self.workers) - one_pass, row_bytes(job)
            self._found[key] = max(1, int(min(MOST_ROWS, MEMORY_SHARE * free / needed)))
        return self._found[key]


def free_bytes(device: str) -> float:
    """The free memory of a GPU; of one in a cluster, which cannot be asked from here, no limit: batches are halved."""
    try:
        return torch.cuda.mem_get_info(device)[0]
    except (RuntimeError, AssertionError, ValueError):
        return math.inf


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


def evaluation_seconds(job: Job, spec: DeviceSpec) -> float:
    """Time of one evaluation of one row on a device, measured: the second of two, on noise."""
    torch.set_num_threads(spec.threads)
    device = torch.device(spec.device)
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


def estimate(plan: Plan, folder: Path, devices: Sequence[DeviceSpec]) -> Table:
    """The answer to ``--dry-run``; nothing is written."""
    table = Table(box=None, pad_edge=False, show_header=False)
    repeats = len(plan.jobs) - len(plan.grid)
    table.add_row("cells", str(len(plan.grid)) + (f", and {repeats} repeats for the claims" if repeats else ""))
    table.add_row("done", f"{len(plan.done)}" + (f", {len(plan.linked)} of them elsewhere" if plan.linked else ""))
    table.add_row(
        "failed before", f"{len(plan.failed)}" + (" (--retry-failed computes them again)" if plan.failed else "")
    )
    begun = [job for job in plan.left if _behind(job)]
    at = ", ".join(f"{job.row.id} at evaluation {_behind(job)}" for job in begun)
    table.add_row("left", str(len(plan.left)) + (f", {len(begun)} of them begun: {at}" if begun else ""))
    kinds: dict[str, list[Job]] = {}
    for job in plan.left:
        kinds.setdefault(job.batch_key, []).append(job)
    for number, jobs in enumerate(kinds.values(), 1):
        size = f"{jobs[0].width}×{jobs[0].height} px, {jobs[0].row.transfer['steps']} evaluations"
        rows = "1 row" if len(jobs) == 1 else f"{len(jobs)} rows"
        table.add_row(f"batch {number}", f"{rows} that can share one, {size}")
        table.add_row("", ", ".join(job.row.id for job in jobs))
    add_cost(table, list(kinds.values()), devices)
    table.add_row("folder", str(folder))
    return table


def add_cost(table: Table, kinds: Sequence[Sequence[Job]], devices: Sequence[DeviceSpec]) -> None:
    """Add memory, disk and time of jobs, given by what can share a batch."""
    if not kinds:
        return
    memory = max(_batch_bytes(jobs, devices) for jobs in kinds)
    table.add_row("memory", f"about {memory / 2**20:.0f} MiB for the largest batch, and 1 GiB for Python and torch")
    disk = sum(_disk_bytes(jobs) for jobs in kinds)
    table.add_row("disk", f"about {disk / 2**20:.0f} MiB, and {memory / 2**20:.0f} MiB while it runs")
    seconds = sum(
        evaluation_seconds(jobs[0], devices[0]) * sum(job.row.transfer["steps"] - _behind(job) for job in jobs)
        for jobs in kinds
    )
    workers = f"{devices[0].device}" if len(devices) == 1 else f"{len(devices)} workers"
    table.add_row("time", f"about {duration(seconds / len(devices))} on {workers} (one evaluation measured just now)")


def _batch_bytes(jobs: Sequence[Job], devices: Sequence[DeviceSpec]) -> int:
    """Memory of what the workers have at a time: a row each on several CPU workers, else all rows on the first."""
    if len(devices) > 1 and devices[0].device == "cpu":
        return len(devices) * (row_bytes(jobs[0]) + pass_bytes(jobs[0]))
    return len(jobs) * row_bytes(jobs[0]) + pass_bytes(jobs[0])


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
