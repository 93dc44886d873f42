"""How many rows fit a device, by what they need and what is free; and what is said of it."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence

from harness.driver.jobs import Job
from harness.driver.losses import card_of
from harness.driver.needs import (
    Needs,
    bytes_together,
    is_of_pixels,
    itemsize_of,
    needs_of,
    network_of,
    tile_of,
)
from harness.engines.devices import DeviceSpec, available_bytes, free_bytes
from harness.features.networks import PluginNetwork
from harness.features.vgg import VGG
from harness.objective.memory import BOUND_BYTES, bound_of, plain_pass_bytes

MOST_ROWS = 256
"""Rows of a batch at most: a bound where the memory is not known. On no GPU has it been tried yet."""

MEMORY_SHARE = 0.5
"""Part of the free memory that a batch may take."""


class MaxRows:
    """How many rows a batch may have on a worker, at least one: as many as its device's free memory holds together.

    All rows of a batch go through the network together on a GPU, one by one on the CPU and where they go in tiles.
    Rows without a network are computed in main memory and one after another on any worker: they are given out one at a
    time.

    Args:
        workers: all workers' names; two on one card share its memory.
        free_bytes: asks a worker what is free on its GPU: this process opens no context there.
    """

    def __init__(self, workers: Sequence[str], free_bytes: Callable[[str], float]) -> None:
        self.workers, self._free_bytes = workers, free_bytes
        self._needs: dict[tuple[str, float | None], Needs] = {}
        self._free: dict[str, float] = {}

    def __call__(self, jobs: Sequence[Job], worker: str) -> int:
        """How many of these jobs, which can share a batch, from the first one on."""
        if is_of_pixels(jobs[0]):
            return 1
        is_gpu = worker.startswith("cuda")
        room = MEMORY_SHARE * (self._free_of(worker) - weights_bytes(jobs[0], is_gpu))
        needs = [self._needs_of(job, self.pass_bound_bytes(worker)) for job in jobs[:MOST_ROWS]]
        counts = range(1, len(needs) + 1)
        return max(1, bisect_right(counts, room, key=lambda num: bytes_together(needs[:num], is_gpu)))

    def pass_bound_bytes(self, worker: str) -> float | None:
        """Above what a row's pass goes in tiles on a worker; None: the CPU's bound."""
        is_gpu = worker.startswith("cuda")
        return bound_of(worker, self._free_of(worker)) if is_gpu else None

    def _needs_of(self, job: Job, bound_bytes: float | None) -> Needs:
        key = job.row.id, bound_bytes
        if key not in self._needs:
            self._needs[key] = needs_of(job, bound_bytes)
        return self._needs[key]

    def _free_of(self, worker: str) -> float:
        """A worker's part of its device's free memory, as it was before any worker held something there.

        One that could not tell is asked again.
        """
        is_gpu = worker.startswith("cuda")
        device = card_of(worker) if is_gpu else "cpu"
        if not math.isfinite(self._free.get(device, math.inf)):
            self._free[device] = self._free_bytes(worker) if is_gpu else available_bytes()
        return self._free[device] / sum(not is_gpu or card_of(other) == device for other in self.workers)


def weights_bytes(job: Job, is_gpu: bool = False) -> int:
    """Memory of a network's weights, laid out for its kernels; of a plugin's network not known, so none.

    On a GPU they are had as they are, and turned round for the gradient.
    """
    network, _ = network_of(job)
    if not isinstance(network, VGG):
        return 0
    if is_gpu:
        return 2 * itemsize_of(job) * sum(network.weight(layer).numel() for layer in network.layers)
    return network.laid_out_bytes(job.height, job.width)


def pass_bound_bytes(devices: Sequence[DeviceSpec]) -> float | None:
    """The same for the first of some workers' devices, looked at from this process: on a GPU that opens a context."""
    first = devices[0].device
    if first == "cpu":
        return None
    return bound_of(first, free_bytes(first) / sum(spec.device == first for spec in devices))


def tiles_told(job: Job, bound_bytes: float | None = None) -> str:
    """Why a row's passes go in tiles, and in which, or why large ones do not; empty where they need none."""
    if is_of_pixels(job):
        return ""
    network, layers = network_of(job)
    whole = plain_pass_bytes(network, layers, job.height, job.width, itemsize_of(job))
    if (tile_px := tile_of(job, bound_bytes)) is not None:
        return f"a pass would take {whole / 2**20:.0f} MiB as a whole: it goes in tiles of at most {tile_px} px"
    if whole <= (bound_bytes or BOUND_BYTES):
        return ""
    if isinstance(network, PluginNetwork):
        why = f"tiles are for a VGG, and {network.name} is a plugin's network"
    else:
        why = f"the style statistic {job.transfer.style_statistic} is not additive"
    return f"a pass takes about {whole / 2**20:.0f} MiB, and does not go in tiles: {why}"
