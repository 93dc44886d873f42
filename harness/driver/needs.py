"""What rows take of a device's memory: what each holds, what is on its way, and what a batch has once for several.

Counted are tensors; what allocators and libraries keep for themselves comes on top. ``tests/test_needs.py`` compares
it with every allocation of torch's. Shapes: N = N_l filters, h × w positions.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from harness.config.methods import QUILTING, has_network
from harness.config.styles import Painting, paintings_of
from harness.config.transfer_parts import Lbfgs
from harness.driver.jobs import Job
from harness.features.networks import PluginNetwork
from harness.features.vgg import VGG
from harness.images.masks import read_regions
from harness.objective.memory import plain_pass_bytes, tiled_pass_bytes
from harness.runs.prepare import is_guided_by_alpha, load_network, row_objective_of, tile_px_of

QUILTING_BYTES_PER_PIXEL = 250
"""Of source and picture, measured at 256 and 512 px: the search's transforms are in double precision."""

VECTORS = 4
"""Of a picture's size, in every row: the picture, its gradient, the best one, an iterate that waits to be written."""

SEARCH_VECTORS = {"none": 2, "backtracking": 3, "strong_wolfe": 4}
"""Of L-BFGS beside its pairs: gradient and direction, with a search its base, with strong Wolfe the low gradient."""

STEP_VECTORS = 12
"""On their way in a step of L-BFGS: 11 with strong Wolfe, bounds and the Fourier filter; parts of pairs besides."""

MASK_MAPS = 4 / 3
"""A mask at the sizes of all blocks' maps, in maps of the picture's size."""


@dataclass(frozen=True)
class Needs:
    """What one row takes, in bytes.

    Attributes:
        held: as long as it is in its batch.
        stepping: on its way while the optimiser takes a step.
        evaluating: of its pass through the network; in tiles where it goes in tiles.
        is_tiled: whether it does: rows then go through the network one by one.
        shared: of what rows of a batch may have in common (targets, masks, …), by what it is made from.
    """

    held: int
    stepping: int = 0
    evaluating: int = 0
    is_tiled: bool = False
    shared: Mapping[Hashable, int] = field(default_factory=dict)

    @property
    def own(self) -> int:
        """What it takes in a batch of its own, beside its pass."""
        return self.held + sum(self.shared.values())


def bytes_together(rows: Sequence[Needs], is_batched: bool) -> int:
    """Memory of rows in one batch.

    Args:
        rows: at least one.
        is_batched: whether all go through the network, and take their steps, at once; else one after another.
    """
    shared: dict[Hashable, int] = {}
    for row in rows:
        shared.update(row.shared)
    steps = len(rows) if is_batched else 1
    passes = 1 if rows[0].is_tiled else steps
    on_the_way = max(passes * max(row.evaluating for row in rows), steps * max(row.stepping for row in rows))
    return sum(row.held for row in rows) + sum(shared.values()) + on_the_way


def needs_of(job: Job, bound_bytes: float | None = None) -> Needs:
    """What a job's row takes, in tiles where its pass would take more than a device's bound (None: the CPU's).

    A quilted one has its canvases and the transformed source; one of a plugin's method its images alone.
    """
    if job.transfer.method == QUILTING:
        return Needs(QUILTING_BYTES_PER_PIXEL * (source_pixels(job) + job.height * job.width))
    if is_of_pixels(job):
        return Needs(_image_bytes(job) + 3 * itemsize_of(job) * source_pixels(job))
    optimiser = job.transfer.optimiser
    if isinstance(optimiser, Lbfgs):
        num_vectors = VECTORS + 2 * optimiser.history + SEARCH_VECTORS[optimiser.line_search]
        stepping = STEP_VECTORS + optimiser.history
    else:
        num_vectors, stepping = VECTORS + 2, 4
    return Needs(
        num_vectors * _image_bytes(job),
        stepping * _image_bytes(job),
        pass_bytes(job, bound_bytes),
        tile_of(job, bound_bytes) is not None,
        dict(_shared_by(job)),
    )


def pass_bytes(job: Job, bound_bytes: float | None = None) -> int:
    """Memory of one row's pass through the network, in tiles where it goes in tiles; without one there is none."""
    if is_of_pixels(job):
        return 0
    (network, layers), num_regions = network_of(job), num_regions_of(job)
    if isinstance(network, VGG) and (tile_px := tile_of(job, bound_bytes)) is not None:
        return tiled_pass_bytes(network, layers, job.height, job.width, tile_px, itemsize_of(job), num_regions)
    return plain_pass_bytes(network, layers, job.height, job.width, itemsize_of(job), num_regions)


def _shared_by(job: Job) -> Iterator[tuple[Hashable, int]]:
    """The images, targets, masks and Laplacians of a row, by what they are made from, and the read-outs' squares."""
    network, layers = network_of(job)
    objective, files, itemsize = row_objective_of(job.transfer), job.row.files, itemsize_of(job)
    photograph, colours = files["content"], job.transfer.colours
    maps = _maps(network, layers, job.height, job.width)
    yield ("photograph", photograph), _image_bytes(job)
    for layer in objective.weighed_content():
        num_filters, h, w = maps[layer]
        yield ("content", photograph, objective.luminance, layer), num_filters * h * w * itemsize
    for painting in paintings_of(job.transfer):
        key = (files[painting.slot], painting.scale, colours, photograph if colours != "style" else "")
        size = round(painting.scale**2 * job.height * job.width)
        yield ("painting", *key), 3 * size * itemsize
        for region in _regions_of(painting, job):
            for layer in objective.weighed_style():
                yield ("style", *key, region, objective.statistic, layer), maps[layer][0] ** 2 * itemsize
    for mask in _masks_of(job):
        yield ("mask", mask), round(MASK_MAPS * job.height * job.width * itemsize)
    if job.transfer.photorealism.weight:
        yield ("laplacian", photograph), 12 * job.height * job.width * itemsize
    for layer in layers:
        if isinstance(network, VGG) and network.read_out(layer) is not None:
            yield ("read-out", layer), maps[layer][0] ** 2 * itemsize


def _maps(network: VGG | PluginNetwork, layers: Sequence[str], height: int, width: int) -> dict[str, tuple[int, ...]]:
    """All filters, height and width of the layers' maps."""
    shapes = network.shapes(layers, height, width)
    if isinstance(network, PluginNetwork):
        return {**shapes}
    return {layer: (network.weight(layer).shape[0], h, w) for layer, (_, h, w) in shapes.items()}


def _regions_of(painting: Painting, job: Job) -> Sequence[Hashable]:
    """Which parts of a painting have statistics of their own."""
    if "segmentation.content" in job.row.files:
        return [(job.row.files["segmentation.style"], k) for k in range(num_regions_of(job))]
    return [job.row.files[painting.own_mask] if painting.own_mask else ""]


def _masks_of(job: Job) -> set[Hashable]:
    """The distinct masks over the picture."""
    files = job.row.files
    if "segmentation.content" in files:
        pair = files["segmentation.content"], files["segmentation.style"]
        return {(*pair, k, job.row.keeps_alpha) for k in range(num_regions_of(job))}
    masks = {painting.mask and files[painting.mask] for painting in paintings_of(job.transfer)}
    if job.row.keeps_alpha and is_guided_by_alpha(job.transfer):
        return {(mask, files["content"]) for mask in masks}
    return {mask for mask in masks if mask}


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


def tile_of(job: Job, bound_bytes: float | None = None) -> int | None:
    """The longest side of the tiles in which a row's passes go; None where they go as a whole."""
    if is_of_pixels(job):
        return None
    return tile_px_of(network_of(job)[0], job.transfer, job.height, job.width, bound_bytes)


def network_of(job: Job) -> tuple[VGG | PluginNetwork, list[str]]:
    """The network that a job needs, and the layers that it compares."""
    objective = row_objective_of(job.transfer)
    layers = sorted({*objective.weighed_content(), *objective.weighed_style()})
    return load_network(job.transfer, layers), layers
