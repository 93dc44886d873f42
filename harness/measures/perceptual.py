"""Two numbers on the full-width VGG-16, where it is on the machine: lpips and style_swd.

Both are taken once for a finished picture: a pass at full width takes as long as several evaluations with the embedded
network. A large picture goes through the network in tiles, so that memory is bounded as it is for an evaluation.

Shapes: image and content (3, H, W), style (3, H_s, W_s), sRGB in [0, 1].
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import torch
from torch import Tensor

from harness.features.normalise import normalised_state
from harness.features.sources import VGG16_SHA256, LocalWeights
from harness.features.vgg import VGG, block_of, deepest_of, map_shape
from harness.features.weights import load_local
from harness.features.weights_file import read_tensors
from harness.measures.lpips import LPIPS_LAYERS, lpips_sum, with_scaling_layer
from harness.measures.names import LPIPS, STYLE_SWD
from harness.measures.reference import STYLE_WEIGHTS, check_same_size, prepared
from harness.measures.sliced_wasserstein import directions, kept_positions, sort_projections, sorted_distance
from harness.objective.memory import choose_tile
from harness.objective.targets import measured_maps
from harness.objective.tiles import Tile, tiles_of


@dataclass(frozen=True)
class PerceptualNetworks:
    """VGG-16 as each of the two numbers needs it.

    Attributes:
        of_lpips: not normalised, max pooling, LPIPS's input.
        linear: (N,) weights ≥ 0 for each of ``LPIPS_LAYERS``.
        of_style: normalised to mean activation 1, average pooling: as a transfer with ``weights: vgg16`` has it.
    """

    of_lpips: VGG
    linear: Mapping[str, Tensor]
    of_style: VGG


@lru_cache(maxsize=1)
def load_networks(path: Path) -> PerceptualNetworks:
    """The networks from the file that ``harness.features.registry`` has fetched; kept, 120 MB, for the next picture.

    Raises:
        WeightsError: it cannot be read.
    """
    loaded = load_local("vgg16", LocalWeights(path, VGG16_SHA256))
    tensors, _ = read_tensors(path)
    return PerceptualNetworks(
        VGG(with_scaling_layer(loaded.state), pooling="max"),
        {layer: tensors[f"lpips.{layer}"] for layer in LPIPS_LAYERS},
        VGG(normalised_state(loaded), deepest_of(STYLE_WEIGHTS)),
    )


class Perceptual:
    """What pictures are measured against on VGG-16: one photograph and one painting.

    Args:
        content: (3, H, W), the photograph at the pictures' size.
        style: (3, H_s, W_s), the painting at the size to measure against, as for ``Reference``.
        networks: VGG-16.

    Raises:
        ValueError: an image of another shape, or with a side shorter than ``MINIMUM_SIDE_PX``.
    """

    def __init__(self, content: Tensor, style: Tensor, networks: PerceptualNetworks) -> None:
        self._networks = networks
        self._content = prepared(content, "content image").float()
        self._style = prepared(style, "style image").float()

    def measure(self, image: Tensor) -> dict[str, float]:
        """Measure one picture.

        Args:
            image: (3, H, W), the content's size; values outside [0, 1] are clamped, as when it is saved.

        Returns:
            ``lpips``: to the content (Zhang et al. 2018, VGG, v0.1), ≥ 0, about 0.7 for unrelated photographs.
            ``style_swd``: sliced Wasserstein distance to the style on conv1_1 … conv5_1, w_l = 1/5 (Heitz et al. 2021,
            eqs 2 and 3), ≥ 0.

        Raises:
            ValueError: the picture is not the content's size, or has a value that is not finite.
        """
        return {LPIPS: self.lpips(image), STYLE_SWD: self.style_swd(image)}

    @torch.inference_mode()
    def lpips(self, image: Tensor) -> float:
        """Zhang et al. 2018, eq. 1; the photograph's maps are computed beside the picture's, and not kept.

        Args:
            image: as for ``measure``.

        Raises:
            ValueError: as ``measure``.
        """
        image, network = self._prepared(image), self._networks.of_lpips
        height, width = image.shape[1:]
        sums = dict.fromkeys(LPIPS_LAYERS, torch.zeros((), dtype=torch.float64))
        for tile in _tiles(network, LPIPS_LAYERS, height, width):
            of_picture, of_content = (
                network((tile.crop(x) if tile else x)[None], LPIPS_LAYERS) for x in (image, self._content)
            )
            for layer in LPIPS_LAYERS:
                F, P = (
                    (tile.own_of_crop(layer, maps[layer]) if tile else maps[layer])[0]
                    for maps in (of_picture, of_content)
                )
                sums[layer] = sums[layer] + lpips_sum(F, P, self._networks.linear[layer])
        num_positions = {layer: h * w for layer in LPIPS_LAYERS for h, w in [map_shape(layer, height, width)]}
        return sum(sums[layer].item() / num_positions[layer] for layer in LPIPS_LAYERS)

    @torch.inference_mode()
    def style_swd(self, image: Tensor) -> float:
        """Heitz et al. 2021, eq. 2.

        Args:
            image: as for ``measure``.

        Raises:
            ValueError: as ``measure``.

        # Deviates from Heitz et al. 2021, eq. 2: VGG-16's five layers of the paper's style, normalised, where theirs
        # are the first twelve of VGG-19; and their mean in place of their sum.
        """
        found, wanted = self._projections(self._prepared(image)), self._style_projections
        return sum(w * sorted_distance(found[layer], wanted[layer]) for layer, w in STYLE_WEIGHTS.items())

    def _prepared(self, image: Tensor) -> Tensor:
        image = prepared(image, "picture").float()
        check_same_size(image, self._content)
        return image

    @cached_property
    def _style_projections(self) -> dict[str, Tensor]:
        return self._projections(self._style)

    def _projections(self, image: Tensor) -> dict[str, Tensor]:
        """Each style layer's (K, M) projections, sorted."""
        network, layers = self._networks.of_style, list(STYLE_WEIGHTS)
        height, width = image.shape[1:]
        kept = {layer: kept_positions(*map_shape(layer, height, width)) for layer in layers}
        V = {layer: directions(network.num_filters(layer), block_of(layer)) for layer in layers}
        parts: dict[str, list[Tensor]] = {layer: [] for layer in layers}
        for tile, maps in measured_maps(network, image, layers, choose_tile(network, layers, height, width)):
            for layer, F in maps.items():
                parts[layer].append(V[layer] @ _points(F[0], kept[layer], tile, layer))
        return {layer: sort_projections(torch.cat(some, dim=1)) for layer, some in parts.items()}


def _points(F: Tensor, kept: Tensor | None, tile: Tile | None, layer: str) -> Tensor:
    """(N, m): what of a map, or of a tile of it, is taken."""
    if kept is None:
        return F.flatten(1)
    return F[:, kept if tile is None else tile.own(layer, kept)]


def _tiles(network: VGG, layers: Collection[str], height: int, width: int) -> list[Tile | None]:
    """The tiles of a picture; one None where a pass over the whole of it takes no more memory than a pass may."""
    tile_px = choose_tile(network, layers, height, width)
    return [None] if tile_px is None else [*tiles_of(height, width, tile_px, network.halo_px(deepest_of(layers)))]
