"""``--dry-run``: cells, done and left, batches, memory, disk, time."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import torch
from rich.table import Table

from harness.cli.tables import duration
from harness.config.levels import levels_of
from harness.config.methods import QUILTING
from harness.config.styles import paintings_of
from harness.engines.devices import DeviceSpec
from harness.features.vgg import VGG
from harness.fitting import block_levels
from harness.images.masks import read_regions
from harness.images.resize import fit_longer_side
from harness.jobs import Job
from harness.objective.gradient import evaluate
from harness.objective.memory import plain_pass_bytes, tiled_pass_bytes
from harness.objective.rows import Objective
from harness.planning import Plan
from harness.quilting import Quilting
from harness.runs.iterates import is_log_spaced
from harness.runs.prepare import load_network, row_objective_of, tile_px_of

MOST_ROWS = 256
"""Rows of a batch at most: a bound where the memory is not known. On no GPU has it been tried yet."""

QUILTING_BYTES_PER_PIXEL = 250
"""Of source and picture, measured at 256 and 512 px: the search's transforms are in double precision."""

Measure = Callable[[Job, DeviceSpec, tuple[int, int]], float]

MEMORY_SHARE = 0.5
"""Part of the free memory that a batch may take."""


def row_bytes(job: Job) -> int:
    """Memory of one row beside its pass: image, gradient, best and next point, optimiser's history.

    Of a quilted one, its canvases and the transformed source.
    """
    if _is_quilted(job):
        return QUILTING_BYTES_PER_PIXEL * (source_pixels(job) + job.height * job.width)
    optimiser = job.row.transfer["optimiser"]
    num_vectors = 6 + (2 * optimiser["history"] if optimiser["name"] == "lbfgs" else 2)
    regulariser = 12 if job.row.transfer["photorealism"]["weight"] else 0  # the Laplacian's twelve maps
    return num_vectors * _image_bytes(job) + regulariser * _image_bytes(job) // 3


def _is_quilted(job: Job) -> bool:
    return bool(job.row.transfer["method"] == QUILTING)


def source_pixels(job: Job) -> int:
    """About how many pixels a quilted picture's source has."""
    return round(job.height * job.width * job.row.transfer["style_scale"] ** 2)


def _image_bytes(job: Job) -> int:
    return 3 * job.height * job.width * _itemsize(job)


def _itemsize(job: Job) -> int:
    return 8 if job.row.transfer["precision"] == "float64" else 4


class MaxRows:
    """How many rows like a job's a batch may have on a worker: its device's free memory over a row's, at least one.

    All rows of a batch go through the network together on a GPU, one by one on the CPU and where they go in tiles.
    Quilted rows are computed in main memory and one after another on any worker: they are given out one at a time.

    Args:
        workers: all workers' names; two on one card share its memory.
    """

    def __init__(self, workers: Sequence[str]) -> None:
        self.workers = workers
        self._found: dict[tuple[str, int, str], int] = {}

    def __call__(self, job: Job, worker: str) -> int:
        """Measured once for all jobs that can share a batch and have as many regions."""
        if _is_quilted(job):
            return 1
        key = (job.batch_key, num_regions_of(job), worker)
        if key not in self._found:
            one_pass, needed = pass_bytes(job), row_bytes(job)
            device = worker.split("#")[0]
            is_gpu = device.startswith("cuda")
            if is_gpu:
                free = free_bytes(device) / sum(other.split("#")[0] == device for other in self.workers)
            else:
                free = available_bytes() / len(self.workers)
            if is_gpu and tile_of(job) is None:
                needed += one_pass
            else:
                free -= one_pass
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
    """Memory of one row's pass through the network, in tiles where it goes in tiles; a quilted one has none."""
    if _is_quilted(job):
        return 0
    (network, layers), num_regions = _network_of(job), num_regions_of(job)
    if (tile_px := tile_of(job)) is not None:
        return tiled_pass_bytes(network, layers, job.height, job.width, tile_px, _itemsize(job), num_regions)
    return plain_pass_bytes(network, layers, job.height, job.width, _itemsize(job), num_regions)


def num_regions_of(job: Job) -> int:
    """Over how many parts of the picture a row's style is matched: distinct masks, or a segmentation's regions.

    Everywhere counts as one. It is an upper reckoning: in a layer where hardly anything is left of a mask it is not
    matched.
    """
    if _is_quilted(job):
        return 1
    files = job.row.files
    if "segmentation.content" in files:
        return _num_regions(files["segmentation.content"], files["segmentation.style"])
    return len({painting.mask and files[painting.mask] for painting in paintings_of(job.row.transfer)})


@lru_cache(maxsize=256)
def _num_regions(content_segmentation: str, style_segmentation: str) -> int:
    """Of a pair of files; the size of the masks does not change which there are."""
    return len(read_regions(content_segmentation, style_segmentation, (1, 1), (1, 1)))


def tile_of(job: Job) -> int | None:
    """The longest side of the tiles in which a row's passes go; None where they go as a whole."""
    if _is_quilted(job):
        return None
    return tile_px_of(_network_of(job)[0], job.row.transfer["precision"], job.height, job.width)


def tiles_told(job: Job) -> str:
    """Why a row's passes go in tiles, and in which; empty where they do not."""
    if (tile_px := tile_of(job)) is None:
        return ""
    whole = plain_pass_bytes(*_network_of(job), job.height, job.width, _itemsize(job))
    return f"a pass would take {whole / 2**20:.0f} MiB as a whole: it goes in tiles of at most {tile_px} px"


def _network_of(job: Job) -> tuple[VGG, list[str]]:
    objective = row_objective_of(job.row.transfer)
    layers = sorted({*objective.weighed_content(), *objective.weighed_style()})
    return load_network(job.row.transfer, layers), layers


def seconds_left(jobs: Sequence[Job], spec: DeviceSpec, measure: Measure | None = None) -> float:
    """Time of what is left of some jobs that can share a batch, one after the other on a device.

    Args:
        jobs: alike; one evaluation at each size, or one row of blocks, is measured on the first.
        spec: the device.
        measure: the time of one evaluation; ``evaluation_seconds`` if left out.
    """
    if _is_quilted(jobs[0]):
        return quilting_seconds(jobs[0], spec) * sum(1 - _behind(job) / job.num_evaluations for job in jobs)
    seconds, began = 0.0, 0
    measured: dict[int, float] = {}
    for level in levels_of(jobs[0].row.transfer):
        left = sum(max(0, level.last_evaluation - max(began, _behind(job))) for job in jobs)
        began = level.last_evaluation
        if left and level.size_px not in measured:
            size = fit_longer_side(jobs[0].height, jobs[0].width, level.size_px)
            measured[level.size_px] = (measure or evaluation_seconds)(jobs[0], spec, size)
        seconds += left * measured.get(level.size_px, 0.0)
    return seconds


def evaluation_seconds(job: Job, spec: DeviceSpec, size: tuple[int, int]) -> float:
    """Time of one evaluation of one row at a size: the second of two, on noise, without masks and regularisers."""
    torch.set_num_threads(spec.threads)
    device = torch.device(spec.device)
    numbers = row_objective_of(job.row.transfer, is_regularised=False)
    network, layers = _network_of(job)
    network = network.to(device)
    noise = torch.rand(3, *size, generator=torch.Generator().manual_seed(0)).to(device)
    tile_px = tile_px_of(network, job.row.transfer["precision"], *size)
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
    numbers, side = job.row.transfer["quilting"], math.isqrt(source_pixels(job))
    generator = torch.Generator().manual_seed(0)
    levels = block_levels(numbers, job.height, job.width)
    is_synthesis = numbers["task"] == "synthesis"
    quilting = Quilting(
        torch.rand(3, max(side, numbers["block"]), max(side, numbers["block"]), generator=generator),
        job.height,
        job.width,
        block_px=numbers["block"],
        overlap_px=levels[0].overlap_px,
        target=None if is_synthesis else torch.rand(3, job.height, job.width, generator=generator),
        num_iterations=len(levels),
    )
    started = time.monotonic()
    quilting.advance()
    num_blocks = sum(level.num_rows * level.num_columns for level in levels)
    return (time.monotonic() - started) * num_blocks / levels[0].num_columns


def estimate(plan: Plan, folder: Path, devices: Sequence[DeviceSpec]) -> Table:
    """The answer to ``--dry-run``; nothing is written."""
    table = Table(box=None, pad_edge=False, show_header=False)
    repeats = len(plan.jobs) - len(plan.grid)
    table.add_row("cells", str(len(plan.grid)) + (f", and {repeats} repeats for the claims" if repeats else ""))
    table.add_row("done", f"{len(plan.done)}" + (f", {len(plan.linked)} of them elsewhere" if plan.linked else ""))
    if plan.outdated:
        table.add_row("done, to be measured again", str(len(plan.outdated)))
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
        size = f"{jobs[0].width}×{jobs[0].height} px, {_evaluations(jobs[0])}"
        rows = "1 row" if len(jobs) == 1 else f"{len(jobs)} rows"
        table.add_row(f"batch {number}", f"{rows} that can share one, {size}")
        if told := tiles_told(jobs[0]):
            table.add_row("", told)
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
    seconds = sum(seconds_left(jobs, devices[0]) for jobs in kinds)
    workers = f"{devices[0].device}" if len(devices) == 1 else f"{len(devices)} workers"
    table.add_row(
        "time", f"about {duration(seconds / len(devices))} on {workers} (one evaluation of each size measured just now)"
    )


def _evaluations(job: Job) -> str:
    """``600 evaluations (100 at 128 px, 500 at 256 px)``, ``18 rows of blocks``."""
    if _is_quilted(job):
        return f"{job.num_evaluations} rows of blocks"
    pyramid, t = job.row.transfer["pyramid"], job.row.transfer
    levels = [*pyramid, {"size": t["size"], "steps": t["steps"]}]
    told = ", ".join(f"{level['steps']} at {level['size']} px" for level in levels)
    return f"{job.num_evaluations} evaluations{f' ({told})' if pyramid else ''}"


def _batch_bytes(jobs: Sequence[Job], devices: Sequence[DeviceSpec]) -> int:
    """Memory of what is had at a time: quilted or on several CPU workers a row each, else all rows on the first."""
    one_pass = pass_bytes(max(jobs, key=num_regions_of))
    if _is_quilted(jobs[0]) or (len(devices) > 1 and devices[0].device == "cpu"):
        return min(len(jobs), len(devices)) * (row_bytes(jobs[0]) + one_pass)
    return len(jobs) * row_bytes(jobs[0]) + one_pass


def _behind(job: Job) -> int:
    """Evaluations that a begun run need not do again."""
    manifest = job.folder.manifest()
    return manifest.attempts[-1].last if manifest and manifest.attempts and job.folder.checkpoint_path.exists() else 0


def _disk_bytes(jobs: Sequence[Job]) -> int:
    """Iterates and pictures as PNG (noise hardly compresses), twice with W&B's copies, 100 bytes a history line."""
    total = 0
    for job in jobs:
        steps = job.num_evaluations
        num_images = 1 + sum(is_log_spaced(evaluation, steps) for evaluation in range(1, steps + 1))
        total += 2 * num_images * 3 * job.height * job.width + 100 * steps
    return total
