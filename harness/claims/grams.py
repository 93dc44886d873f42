"""Gram distances between pictures and paintings on the embedded network, as ``reference_style`` measures them.

D(x, s) = Σ_l w_l E_l, eqs 4 and 5 of Gatys, Ecker & Bethge 2016 on conv1_1 … conv5_1 with w_l = 1/5, each Gram matrix
divided by its own number of positions. Gram matrices are computed once for each file.

Shapes: pixels (3, H, W) in [0, 1]; a layer's maps F (1, N, h, w), its Gram matrix (1, N, N).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from harness.claims.checks import CannotMeasureError, Floats, ImageFile
from harness.features.vgg import VGG, block_of
from harness.images.colour import grey, matched_luminance
from harness.metrics import MINIMUM_SIDE_PX, STYLE_WEIGHTS
from harness.objective.equations import gram_per_position, guided_gram_per_position, style_layer_loss, style_loss
from harness.objective.guidance import Guidance
from harness.runs.prepare import embedded_network

COARSE = 4
"""Times smaller: a unit of conv5_1 sees 156 px, so at 1024 px about a sixth of a side, and here more than half."""

Grams = Mapping[str, Tensor]


class GramDistances:
    """Distances between image files; their Gram matrices are kept."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Path, str], Grams] = {}

    def plain(self, picture: ImageFile, painting: ImageFile) -> float:
        """D(x, s)."""
        return distance(self._of(picture, as_it_is), self._of(painting, as_it_is))

    def coarse(self, picture: ImageFile, painting: ImageFile) -> float:
        """D of both, made ``COARSE`` times smaller."""
        return distance(self._of(picture, coarse), self._of(painting, coarse))

    def of_luminance(self, picture: ImageFile, painting: ImageFile) -> float:
        """D of both in grey, the picture's luminance with the mean and standard deviation of the painting's."""
        matched = matched_luminance(_pixels(picture), _pixels(painting))
        return distance(self._computed(matched, picture.path.name), self._of(painting, grey))

    def inside(self, picture: ImageFile, mask: Floats, paintings: Sequence[ImageFile]) -> list[float]:
        """D between the picture's guided Gram matrices inside a mask, (H, W) in [0, 1], and each whole painting's."""
        with torch.inference_mode():
            maps = self._maps(_pixels(picture), picture.path.name)
            guidance = Guidance([torch.from_numpy(mask).to(self._network.bias("input"))])
            if lacking := [layer for layer in maps if not guidance.says_enough(0, layer)]:
                raise CannotMeasureError(f"A mask of {picture.path.name} leaves less than a position of {lacking[0]}.")
            guided = {layer: guided_gram_per_position(F, guidance.at(0, block_of(layer))) for layer, F in maps.items()}
        return [distance(guided, self._of(painting, as_it_is)) for painting in paintings]

    def _of(self, image: ImageFile, prepare: Callable[[Tensor], Tensor]) -> Grams:
        """The Gram matrices of a file, prepared."""
        key = (image.path, prepare.__name__)
        if key not in self._kept:
            self._kept[key] = self._computed(prepare(_pixels(image)), image.path.name)
        return self._kept[key]

    def _computed(self, pixels: Tensor, name: str) -> Grams:
        """G/M, eq. 3."""
        with torch.inference_mode():
            return {layer: gram_per_position(F) for layer, F in self._maps(pixels, name).items()}

    def _maps(self, pixels: Tensor, name: str) -> Mapping[str, Tensor]:
        if min(pixels.shape[1:]) < MINIMUM_SIDE_PX:
            raise CannotMeasureError(f"{name} has a side below {MINIMUM_SIDE_PX} px: the network needs more.")
        maps: Mapping[str, Tensor] = self._network(pixels.to(self._network.bias("input"))[None], list(STYLE_WEIGHTS))
        return maps

    @cached_property
    def _network(self) -> VGG:
        return embedded_network()


def distance(grams: Grams, targets: Grams) -> float:
    """D = Σ_l w_l E_l of two images' Gram matrices."""
    losses = {layer: style_layer_loss(G, targets[layer]) for layer, G in grams.items()}
    return float(style_loss(losses, STYLE_WEIGHTS))


def as_it_is(pixels: Tensor) -> Tensor:
    """The image."""
    return pixels


def coarse(pixels: Tensor) -> Tensor:
    """The means of the ``COARSE`` × ``COARSE`` squares; what is left over at the right and below is dropped."""
    least_px = COARSE * MINIMUM_SIDE_PX
    if min(pixels.shape[1:]) < least_px:
        raise CannotMeasureError(f"A side is below {least_px} px: {COARSE} times smaller, the network needs more.")
    return avg_pool2d(pixels[None], COARSE)[0]


def _pixels(image: ImageFile) -> Tensor:
    """(3, H, W) float64, the values that the 8-bit file holds."""
    return torch.from_numpy(image.pixels.transpose(2, 0, 1) / 255)
