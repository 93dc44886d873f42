"""Gram distances between pictures and paintings on the embedded network, as ``reference_style`` measures them.

D(x, s) = Σ_l w_l E_l, eqs 4 and 5 of Gatys, Ecker & Bethge 2016 on conv1_1 … conv5_1 with w_l = 1/5, each Gram matrix
divided by its own number of positions.

Shapes: pixels (3, H, W) in [0, 1]; a layer's maps F (1, N, h, w), its Gram matrix (1, N, N).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from harness.errors import CannotMeasureError
from harness.features.normalise import embedded_network
from harness.features.vgg import block_of
from harness.measures.arrays import Floats
from harness.measures.of_pictures import tensor_of
from harness.measures.reference import MINIMUM_SIDE_PX, STYLE_WEIGHTS
from harness.objective.equations import gram_per_position, guided_gram_per_position, style_layer_loss, style_loss
from harness.objective.guidance import Guidance

COARSE = 4
"""Times smaller: a unit of conv5_1 sees 156 px, so at 1024 px about a sixth of a side, and here more than half."""

KEPT = 64
"""Images whose Gram matrices are kept: half a megabyte each."""

Grams = Mapping[str, Tensor]

_kept: dict[str, Grams] = {}


def distance(grams: Grams, targets: Grams) -> float:
    """D = Σ_l w_l E_l of two images' Gram matrices."""
    losses = {layer: style_layer_loss(G, targets[layer]) for layer, G in grams.items()}
    return float(style_loss(losses, STYLE_WEIGHTS))


def of_image(image: Floats) -> Grams:
    """The Gram matrices of an image, (H, W, 3); those of the last ones are kept, by their pixels."""
    key = hashlib.sha256(f"{image.shape}".encode() + image.tobytes()).hexdigest()
    if key not in _kept:
        if len(_kept) >= KEPT:
            del _kept[next(iter(_kept))]
        _kept[key] = of_pixels(tensor_of(image))
    return _kept[key]


def of_pixels(pixels: Tensor) -> Grams:
    """G/M, eq. 3."""
    with torch.inference_mode():
        return {layer: gram_per_position(F) for layer, F in _maps(pixels).items()}


def inside(image: Floats, mask: Floats) -> Grams:
    """The guided Gram matrices of an image inside a mask, (H, W) in [0, 1]."""
    with torch.inference_mode():
        maps = _maps(tensor_of(image))
        guidance = Guidance([torch.from_numpy(mask).to(next(iter(maps.values())))])
        if lacking := [layer for layer in maps if not guidance.says_enough(0, layer)]:
            raise CannotMeasureError(f"A mask leaves less than a position of {lacking[0]}.")
        return {layer: guided_gram_per_position(F, guidance.at(0, block_of(layer))) for layer, F in maps.items()}


def coarse(pixels: Tensor) -> Tensor:
    """The means of the ``COARSE`` × ``COARSE`` squares; what is left over at the right and below is dropped."""
    least_px = COARSE * MINIMUM_SIDE_PX
    if min(pixels.shape[1:]) < least_px:
        raise CannotMeasureError(f"A side is below {least_px} px: {COARSE} times smaller, the network needs more.")
    return avg_pool2d(pixels[None], COARSE)[0]


def _maps(pixels: Tensor) -> Mapping[str, Tensor]:
    if min(pixels.shape[1:]) < MINIMUM_SIDE_PX:
        raise CannotMeasureError(f"It has a side below {MINIMUM_SIDE_PX} px: the network needs more.")
    network = embedded_network()
    maps: Mapping[str, Tensor] = network(pixels.to(network.bias("input"))[None], list(STYLE_WEIGHTS))
    return maps
