"""What the rows of a batch are compared with: maps of photographs, statistics of paintings, each measured once.

A painting larger than a tile is measured tile by tile, so that no pass of its size is needed. A photograph's map is
stored whole.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from harness.features.networks import Network
from harness.features.vgg import VGG, block_of, deepest_of, map_shape
from harness.images.colour import grey
from harness.objective.equations import guided_gram_per_position
from harness.objective.guidance import Guidance
from harness.objective.row_objective import GRAM, RowObjective, StylePart
from harness.objective.style_statistics import StyleStatistic
from harness.objective.tiles import Tile, tiles_of


def content_name(layer: str, image: int, luminance: bool) -> str:
    """The name of a photograph's map among the targets."""
    return f"content_{layer}_{image}{'_luminance' if luminance else ''}"


def style_name(layer: str, part: StylePart, row: RowObjective) -> str:
    """The name of a painting's statistic among the targets: where in the picture it goes does not change it."""
    region = "" if part.own_mask is None else f"_mask{part.own_mask}"
    statistic = "" if row.statistic == GRAM else f"_{row.statistic}"
    return f"style_{layer}_{part.image}{region}{'_luminance' if row.luminance else ''}{statistic}"


def measured_maps(
    network: Network, image: Tensor, layers: Collection[str], tile_px: int | None, all_filters: bool = False
) -> Iterator[tuple[Tile | None, dict[str, Tensor]]]:
    """An image's maps: at once, or each tile's own positions of them.

    Args:
        network: frozen; a VGG where there are tiles.
        image: (3, H, W).
        layers: which; without any there is no pass.
        tile_px: a tile's longest side; None: one pass over the whole image.
        all_filters: the maps before what is compared is read out of them.
    """
    maps_of = network.maps if all_filters else network
    if tile_px is None and layers:
        yield None, maps_of(image[None], layers)
    elif tile_px is not None and layers:
        assert isinstance(network, VGG), "tiles are chosen for a VGG alone"
        for tile in tiles_of(image.shape[1], image.shape[2], tile_px, network.halo_px(deepest_of(layers))):
            maps = maps_of(tile.crop(image)[None], layers)
            yield tile, {layer: tile.own_of_crop(layer, features) for layer, features in maps.items()}


def content_targets(
    network: Network, image: Tensor, layers: Collection[str], luminance: bool, tile_px: int | None
) -> dict[str, Tensor]:
    """Layer to the photograph's (1, N, h, w) map P, with all filters."""
    targets: dict[str, Tensor] = {}
    for tile, maps in measured_maps(network, grey(image) if luminance else image, layers, tile_px, all_filters=True):
        if tile is None:
            return maps
        for layer, features in maps.items():
            if layer not in targets:
                shape = 1, features.shape[1], *map_shape(layer, image.shape[1], image.shape[2])
                targets[layer] = torch.empty(
                    shape, dtype=features.dtype, device=features.device, memory_format=torch.channels_last
                )
            tile.own(layer, targets[layer]).copy_(features)
    return targets


def style_targets(
    network: Network,
    image: Tensor,
    wanted: Sequence[tuple[str, StylePart, RowObjective]],
    statistics: Mapping[str, StyleStatistic],
    guidance: Guidance,
    luminance: bool,
    tile_px: int | None,
) -> dict[str, Tensor]:
    """Name to the (1, …) statistic of a painting, or to the Gram matrix of a region of it, per position: A / M_s.

    Gram matrices are those of all filters (see ``StyleStatistic.measure``).

    Args:
        network: frozen; a VGG where there are tiles.
        image: (3, H_s, W_s) the painting.
        wanted: layers, the parts whose target is to be measured there, and whose they are.
        statistics: those of the rows, by name.
        guidance: the distinct masks over paintings.
        luminance: whether the painting's luminance is measured.
        tile_px: a tile's longest side; None: one pass over the whole painting.
    """
    targets: dict[str, Tensor] = {}
    layers = {layer for layer, _, _ in wanted}
    named = {style_name(layer, part, row): (layer, part.own_mask, row.statistic) for layer, part, row in wanted}
    for tile, maps in measured_maps(network, grey(image) if luminance else image, layers, tile_px, all_filters=True):
        for name, (layer, own_mask, statistic) in named.items():
            if own_mask is None:
                shape = maps[layer].shape[2:] if tile is None else map_shape(layer, *image.shape[1:])
                read_out = network.read_out(layer)
                A = statistics[statistic].measure(maps[layer], math.prod(shape), read_out)
                statistics[statistic].check(maps[layer], A, math.prod(shape), read_out)
            else:
                t = guidance.at(own_mask, block_of(layer))
                own = t if tile is None else tile.own(layer, t)
                A = guided_gram_per_position(maps[layer], own, t.square().sum())
            targets[name] = targets[name] + A if name in targets else A
    return targets
