"""How many rows fit a device: a row's memory, a pass's through the network, and what is free."""

from __future__ import annotations

import math
import os
from collections.abc import Hashable, Sequence
from functools import lru_cache
from pathlib import Path

import torch

from harness.config.methods import QUILTING, has_network
from harness.config.styles import paintings_of
from harness.config.transfer_parts import Lbfgs
from harness.driver.jobs import Job
from harness.features.networks import PluginNetwork
from harness.features.vgg import VGG
from harness.images.masks import read_regions
from harness.objective.memory import BOUND_BYTES, plain_pass_bytes, tiled_pass_bytes
from harness.runs.prepare import load_network, row_objective_of, tile_px_of

MOST_ROWS = 256
"""Rows of a batch at most: a bound where the memory is not known. On no GPU has it been tried yet."""

QUILTING_BYTES_PER_PIXEL = 250
"""Of source and picture, measured at 256 and 512 px: the search's transforms are in double precision."""

MEMORY_SHARE = 0.5
"""Part of the free memory that a batch may take."""


def row_bytes(job: Job) -> int:
    """Memory of one row beside its pass: image, gradient, best and next point, optimiser's history.

    Of a quilted one, its canvases and the transformed source; of a plugin's method, its images alone.
    """
    if job.transfer.method == QUILTING:
        return QUILTING_BYTES_PER_PIXEL * (source_pixels(job) + job.height * job.width)
    if is_of_pixels(job):
        return _image_bytes(job) + 3 * itemsize_of(job) * source_pixels(job)
    optimiser = job.transfer.optimiser
    num_vectors = 6 + (2 * optimiser.history if isinstance(optimiser, Lbfgs) else 2)
    regulariser = 12 if job.transfer.photorealism.weight else 0  # the Laplacian's twelve maps
    return num_vectors * _image_bytes(job) + regulariser * _image_bytes(job) // 3


def is_of_pixels(job: Job) -> bool:
    """Whether a job is carried out without a network."""
    return not has_network(job.transfer.method)


def source_pixels(job: Job) -> int:
    """About how many pixels the painting has that a picture is made of."""
    return round(job.height * job.width * job.transfer.style_scale**2)


def _image_bytes(job: Job) -> int:
    return 3 * job.height * job.width * itemsize_of(job)


def itemsize_of(job: Job) -> int:
    """Bytes of a number."""
    return 8 if job.transfer.precision == "float64" else 4


class MaxRows:
    """How many rows like a job's a batch may have on a worker: its device's free memory over a row's, at least one.

    All rows of a batch go through the network together on a GPU, one by one on the CPU and where they go in tiles.
    Rows without a network are computed in main memory and one after another on any worker: they are given out one at a
    time.

    Args:
        workers: all workers' names; two on one card share its memory.
    """

    def __init__(self, workers: Sequence[str]) -> None:
        self.workers = workers
        self._found: dict[tuple[Hashable, int, str], int] = {}

    def __call__(self, job: Job, worker: str) -> int:
        """Measured once for all jobs that can share a batch and have as many regions."""
        if is_of_pixels(job):
            return 1
        key = (job.batch_key, num_regions_of(job), worker)
        if key not in self._found:
            one_pass, needed = pass_bytes(job), row_bytes(job)
            device = worker.split("#")[0]
            is_gpu = device.startswith("cuda")
            if is_gpu:
                free = free_bytes(device) / sum(other.split("#")[0] == device for other in self.workers)
            else:
                free = available_bytes() / len(self.workers) - weights_bytes(job)
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
    """Memory of one row's pass through the network, in tiles where it goes in tiles; without one there is none."""
    if is_of_pixels(job):
        return 0
    (network, layers), num_regions = network_of(job), num_regions_of(job)
    if isinstance(network, VGG) and (tile_px := tile_of(job)) is not None:
        return tiled_pass_bytes(network, layers, job.height, job.width, tile_px, itemsize_of(job), num_regions)
    return plain_pass_bytes(network, layers, job.height, job.width, itemsize_of(job), num_regions)


def weights_bytes(job: Job) -> int:
    """Memory of a network's weights, laid out for its kernels; of a plugin's network not known, so none."""
    network, _ = network_of(job)
    return network.laid_out_bytes(job.height, job.width) if isinstance(network, VGG) else 0


def num_regions_of(job: Job) -> int:
    """Over how many parts of the picture a row's style is matched: distinct masks, or a segmentation's regions.

    Everywhere counts as one. It is an upper reckoning: in a layer where hardly anything is left of a mask it is not
    matched.
    """
    if is_of_pixels(job):
        return 1
    files = job.row.files
    if "segmentation.content" in files:
        return _num_regions(files["segmentation.content"], files["segmentation.style"])
    return len({painting.mask and files[painting.mask] for painting in paintings_of(job.transfer)})


@lru_cache(maxsize=256)
def _num_regions(content_segmentation: str, style_segmentation: str) -> int:
    """Of a pair of files; the size of the masks does not change which there are."""
    return len(read_regions(content_segmentation, style_segmentation, (1, 1), (1, 1)))


def tile_of(job: Job) -> int | None:
    """The longest side of the tiles in which a row's passes go; None where they go as a whole."""
    if is_of_pixels(job):
        return None
    return tile_px_of(network_of(job)[0], job.transfer, job.height, job.width)


def tiles_told(job: Job) -> str:
    """Why a row's passes go in tiles, and in which, or why large ones do not; empty where they need none."""
    if is_of_pixels(job):
        return ""
    network, layers = network_of(job)
    whole = plain_pass_bytes(network, layers, job.height, job.width, itemsize_of(job))
    if (tile_px := tile_of(job)) is not None:
        return f"a pass would take {whole / 2**20:.0f} MiB as a whole: it goes in tiles of at most {tile_px} px"
    if whole <= BOUND_BYTES:
        return ""
    if isinstance(network, PluginNetwork):
        why = f"tiles are for a VGG, and {network.name} is a plugin's network"
    else:
        why = f"the style statistic {job.transfer.style_statistic} is not additive"
    return f"a pass takes about {whole / 2**20:.0f} MiB, and does not go in tiles: {why}"


def network_of(job: Job) -> tuple[VGG | PluginNetwork, list[str]]:
    """The network that a job needs, and the layers that it compares."""
    objective = row_objective_of(job.transfer)
    layers = sorted({*objective.weighed_content(), *objective.weighed_style()})
    return load_network(job.transfer, layers), layers
