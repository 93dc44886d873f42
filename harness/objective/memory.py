"""How much memory an evaluation takes beside its images, and which tile keeps it bounded.

A pass of one row holds, until its gradient has come back: the image twice, every map up to the deepest layer after its
ReLU, and with max pooling its 64-bit indices; for each layer weighed its read-out where it has one, and the difference,
gradient or product with a mask of what is compared of it, as often as there are masks; and three more of the largest
map (five with reflections) for what is on its way. In tiles, all that for one crop, and each weighed layer's own
positions once more, since a part of a map must be copied. In single precision, for the usual layers (conv4_2; conv1_1
to conv5_1), average pooling and zeros around the maps:

                        one pass, MiB per        in tiles of     MiB, for a picture of any size
                        million pixels
    embedded network    1217                      688 px          920
    full-width VGG-19   2357                      432 px          919
    full-width VGG-16   2266                      496 px         1004

``tests/benchmarks/memory.py`` measures it. What allocators and libraries keep for themselves comes on top, and so do
the weights as the kernels want them (``VGG.laid_out_bytes``: 305 MiB for VGG-16 from 256 px on) and what does not
depend on the layers: optimiser, targets, regularisers. On the CPU the choice depends on the transfer alone, never on
the memory that is free: tiles change a picture by rounding, and a run must have the same bits wherever it is carried
out. A GPU promises no bits, and tiles cost it half of its time or more: there they are for what its memory does not
hold (not measured on a GPU yet).
"""

from __future__ import annotations

import math
from collections.abc import Collection

from harness.features.networks import PluginNetwork
from harness.features.vgg import GRID_PX, VGG, deepest_of, map_shape
from harness.objective.tiles import spans_of

BOUND_BYTES = 2**30
"""What one row's pass may take on the CPU: above it, tiles are used, as few as stay below."""

GPU_SHARE = 0.25
"""Which part of a GPU's free memory one row's pass may take: rows, targets and the allocator need theirs."""


def bound_of(device: str, free_bytes: float) -> float | None:
    """What one row's pass may take on a device; None for ``BOUND_BYTES``, also where a GPU's memory is not known."""
    return GPU_SHARE * free_bytes if device.startswith("cuda") and math.isfinite(free_bytes) else None


def plain_pass_bytes(
    network: VGG | PluginNetwork,
    layers: Collection[str],
    height: int,
    width: int,
    itemsize: int = 4,
    num_regions: int = 1,
) -> int:
    """Memory of one row's evaluation in one pass, in bytes; of a plugin's network about, from a measured pass.

    Args:
        network: frozen.
        layers: the layers weighed, at least one.
        height: of the picture, in pixels.
        width: of the picture, in pixels.
        itemsize: bytes of a number: 4 or 8.
        num_regions: different masks of the row's style parts; none, everywhere, counts as one.
    """
    if isinstance(network, PluginNetwork):
        return network.pass_bytes(layers, height, width, itemsize)
    kept, transient = 2 * 3 * height * width * itemsize, 0
    num_between = (
        5 if network.padding == "reflect" else 3
    )  # a map's gradients before and after its ReLU and convolution
    for layer in network.layers_until(deepest_of(layers)):
        h, w = map_shape(layer, height, width)
        num_filters, num_in = network.weight(layer).shape[:2]
        if network.is_pooled_before(layer) and network.pooling == "max":
            kept += num_in * h * w * 8
        kept += num_filters * h * w * itemsize
        transient = max(transient, num_between * num_filters * h * w * itemsize)
    kept += sum(
        network.num_filters(layer) * math.prod(map_shape(layer, height, width)) * itemsize
        for layer in layers
        if network.readout(layer) is not None
    )
    return kept + max(1, num_regions) * _weighed_bytes(network, layers, height, width, itemsize) + transient


def tiled_pass_bytes(
    network: VGG,
    layers: Collection[str],
    height: int,
    width: int,
    tile_px: int,
    itemsize: int = 4,
    num_regions: int = 1,
) -> int:
    """Memory of one row's evaluation in tiles of at most ``tile_px``, in bytes; see ``plain_pass_bytes``."""
    axes = [spans_of(length, tile_px, network.halo_px(deepest_of(layers))) for length in (height, width)]
    crop_height, crop_width = (max(span.last - span.first for span in axis) for axis in axes)
    own_height, own_width = (max(span.stop - span.start for span in axis) for axis in axes)
    return plain_pass_bytes(network, layers, crop_height, crop_width, itemsize, num_regions) + _weighed_bytes(
        network, layers, own_height, own_width, itemsize
    )


def choose_tile(
    network: VGG,
    layers: Collection[str],
    height: int,
    width: int,
    itemsize: int = 4,
    bound_bytes: float | None = None,
) -> int | None:
    """The longest side of a transfer's tiles in pixels, reckoned without masks; see ``plain_pass_bytes``.

    Args:
        network: frozen.
        layers: the layers weighed, at least one.
        height: of the picture, in pixels.
        width: of the picture, in pixels.
        itemsize: bytes of a number: 4 or 8.
        bound_bytes: what a pass may take; ``BOUND_BYTES`` when left out.

    Returns:
        None where one pass stays within the bound; else a multiple of ``GRID_PX`` that gives as few tiles as can
        be within it, the least one that does.
    """
    bound = BOUND_BYTES if bound_bytes is None else bound_bytes
    if plain_pass_bytes(network, layers, height, width, itemsize) <= bound:
        return None
    fitting = [
        tile_px
        for tile_px in range(GRID_PX, max(height, width) + GRID_PX, GRID_PX)
        if tiled_pass_bytes(network, layers, height, width, tile_px, itemsize) <= bound
    ]
    return min(fitting, key=lambda tile_px: -(-height // tile_px) * -(-width // tile_px), default=GRID_PX)


def _weighed_bytes(network: VGG, layers: Collection[str], height: int, width: int, itemsize: int) -> int:
    """What is compared of the layers weighed, once."""
    shapes = {layer: map_shape(layer, height, width) for layer in layers}
    return sum(network.num_filters(layer) * h * w * itemsize for layer, (h, w) in shapes.items())
