"""What is left to do, in seconds and bytes; one evaluation of each size is measured."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import torch

from harness.config.levels import levels_of
from harness.config.methods import QUILTING
from harness.driver.capacity import pass_bound_bytes
from harness.driver.jobs import Job
from harness.driver.needs import bytes_together, is_of_pixels, needs_of, network_of, source_pixels
from harness.driver.sizes import block_levels
from harness.engines.devices import DeviceSpec
from harness.features.single_precision import multiply_as
from harness.images.resize import fit_longer_side
from harness.objective.gradient import evaluate
from harness.objective.rows import Objective
from harness.quilting import Quilting
from harness.runs.history import is_log_spaced
from harness.runs.prepare import PRECISIONS, row_objective_of, tile_px_of

Measure = Callable[[Job, Sequence[DeviceSpec], tuple[int, int]], float]


def seconds_left(jobs: Sequence[Job], devices: Sequence[DeviceSpec], measure: Measure | None = None) -> float:
    """Time of what is left of some jobs that can share a batch, one after the other on one device; 0 if not known.

    Args:
        jobs: alike; one evaluation at each size, or one row of blocks, is measured on the first.
        devices: the workers'; the first one is measured.
        measure: the time of one evaluation; ``evaluation_seconds`` if left out.
    """
    if is_of_pixels(jobs[0]):
        if jobs[0].transfer.method != QUILTING:
            return 0.0
        return quilting_seconds(jobs[0], devices[0]) * sum(1 - num_behind(job) / job.num_evaluations for job in jobs)
    seconds, began = 0.0, 0
    measured: dict[int, float] = {}
    for level in levels_of(jobs[0].transfer):
        left = sum(max(0, level.last_evaluation - max(began, num_behind(job))) for job in jobs)
        began = level.last_evaluation
        if left and level.size_px not in measured:
            size = fit_longer_side(jobs[0].height, jobs[0].width, level.size_px)
            measured[level.size_px] = (measure or evaluation_seconds)(jobs[0], devices, size)
        seconds += left * measured.get(level.size_px, 0.0)
    return seconds


def evaluation_seconds(job: Job, devices: Sequence[DeviceSpec], size: tuple[int, int]) -> float:
    """Time of one evaluation of one row at a size: the second of two, on noise, without masks and regularisers."""
    spec = devices[0]
    torch.set_num_threads(spec.threads)
    multiply_as(job.transfer.precision, spec.device)
    device, dtype = torch.device(spec.device), PRECISIONS[job.transfer.precision]
    numbers = row_objective_of(job.transfer, is_regularised=False)
    network, layers = network_of(job)
    network = network.to(device)
    noise = torch.rand(3, *size, generator=torch.Generator().manual_seed(0)).to(device, dtype)
    tile_px = tile_px_of(network, job.transfer, *size, pass_bound_bytes(devices))
    objective = Objective([numbers], network, [noise], [noise], tile_px=tile_px)
    elapsed = 0.0
    for _ in range(2):
        started = time.monotonic()
        evaluate(objective, network, noise[None].clone(), [0])
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        elapsed = time.monotonic() - started
    return elapsed


def quilting_seconds(job: Job, spec: DeviceSpec) -> float:
    """Time of a whole quilted picture, from its first row of blocks on noise: every block takes about as long."""
    torch.set_num_threads(spec.threads)
    numbers, side = job.transfer.quilting, math.isqrt(source_pixels(job))
    generator = torch.Generator().manual_seed(0)
    levels = block_levels(numbers, job.height, job.width)
    is_synthesis = numbers.task == "synthesis"
    quilting = Quilting(
        torch.rand(3, max(side, numbers.block), max(side, numbers.block), generator=generator),
        job.height,
        job.width,
        block_px=numbers.block,
        overlap_px=levels[0].overlap_px,
        target=None if is_synthesis else torch.rand(3, job.height, job.width, generator=generator),
        num_iterations=len(levels),
    )
    started = time.monotonic()
    quilting.advance()
    num_blocks = sum(level.num_rows * level.num_columns for level in levels)
    return (time.monotonic() - started) * num_blocks / levels[0].num_columns


def batch_bytes(jobs: Sequence[Job], devices: Sequence[DeviceSpec]) -> int:
    """Memory of what is had at a time: off the network or on several CPU workers a row each, else all on the first."""
    is_cpu = devices[0].device == "cpu"
    bound_bytes = pass_bound_bytes(devices)
    needs = [needs_of(job, bound_bytes) for job in jobs]
    if is_of_pixels(jobs[0]) or (len(devices) > 1 and is_cpu):
        alone = sorted((bytes_together([row], is_batched=False) for row in needs), reverse=True)
        return sum(alone[: len(devices)])
    return bytes_together(needs, is_batched=not is_cpu)


def num_behind(job: Job) -> int:
    """Evaluations that a begun run need not do again."""
    manifest = job.folder.readable_manifest()
    return manifest.attempts[-1].last if manifest and manifest.attempts and job.folder.checkpoint_path.exists() else 0


def disk_bytes(jobs: Sequence[Job]) -> int:
    """Iterates and pictures as PNG (noise hardly compresses), twice with W&B's copies, 100 bytes a history line."""
    total = 0
    for job in jobs:
        steps = job.num_evaluations
        num_images = 1 + sum(is_log_spaced(evaluation, steps) for evaluation in range(1, steps + 1))
        total += 2 * num_images * 3 * job.height * job.width + 100 * steps
    return total
