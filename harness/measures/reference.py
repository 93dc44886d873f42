"""Pictures against a photograph and a painting: what every run reports, on the embedded network and in pixels.

Equation 1 is a sum over positions, so tables compare one size only.
Shapes: image and content (3, H, W), style (3, H_s, W_s), sRGB in [0, 1].
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from harness.features.vgg import VGG, block_of, map_shape
from harness.measures.names import (
    COLOUR_DISTANCE,
    HELDOUT_STYLE,
    HELDOUT_STYLE_OPTIMISED,
    PIXEL_DISTANCE,
    REFERENCE_CONTENT,
    REFERENCE_STYLE,
    SSIM,
    TOTAL_VARIATION,
)
from harness.measures.of_pixels import (
    as_saved,
    colour_histogram,
    histogram_distance,
    pixel_distance,
    ssim,
    total_variation,
)
from harness.objective.equations import content_loss, gram_per_position, style_layer_loss, style_loss
from harness.objective.memory import choose_tile
from harness.objective.targets import measured_maps

CONTENT_LAYER = "conv4_2"
STYLE_WEIGHTS: dict[str, float] = {f"conv{block}_1": 1 / 5 for block in (1, 2, 3, 4, 5)}
HELDOUT_WEIGHTS: dict[str, float] = dict.fromkeys(("conv1_2", "conv2_2", "conv3_3", "conv4_3"), 1 / 4)

MINIMUM_SIDE_PX = 2 ** (max(block_of(layer) for layer in STYLE_WEIGHTS) - 1)
"""The shortest side that leaves conv5_1 a position: 16 px."""


class Reference:
    """What pictures are measured against: one photograph and one style image, their features computed once.

    Args:
        content: (3, H, W), the photograph at the pictures' size.
        style: (3, H_s, W_s), the style image at the size to measure against; for runs to be comparable, the content's
            area whatever the ``style_scale``.
        network: the embedded network, to conv5_1 or deeper.

    Raises:
        ValueError: an image of another shape, or with a side shorter than ``MINIMUM_SIDE_PX``.
    """

    def __init__(self, content: Tensor, style: Tensor, network: VGG) -> None:
        self._network = network
        self._pixels = network.bias("input")
        self._content = self._prepared(content, "content image")
        self._style = self._prepared(style, "style image")
        with torch.inference_mode():
            self._content_map = self._measured(self._content, [CONTENT_LAYER], [])[0]
            self._style_grams = self._measured(self._style, [], [*STYLE_WEIGHTS, *HELDOUT_WEIGHTS])[1]
            self._style_colours = colour_histogram(self._style)

    def measure(self, image: Tensor, optimised_layers: Collection[str]) -> dict[str, float | bool]:
        """Measure one picture.

        Args:
            image: (3, H, W), the content's size; values outside [0, 1] are clamped, as when it is saved.
            optimised_layers: the layers whose Gram matrices the run optimised (style layers with a weight above 0).

        Returns:
            ``reference_content``: eq. 1 on conv4_2, ≥ 0.
            ``reference_style``: eqs 4 and 5 on conv1_1 … conv5_1, w_l = 1/5, each Gram by its own M, ≥ 0.
            ``heldout_style``: the same on conv1_2, conv2_2, conv3_3, conv4_3, w_l = 1/4, ≥ 0.
            ``heldout_style_optimised``: True where those are not held out, for the run optimised one of them.
            ``ssim``: structural similarity to the content (Wang et al. 2004: 11 × 11, σ 1.5), mean of R, G, B, −1 to 1.
            ``pixel_distance``: root mean squared difference from the content, 0 to 1.
            ``colour_distance``: between the colour histograms of picture and style, 0 to 1.
            ``total_variation``: mean absolute difference between neighbours, 0 to below 2.

        Raises:
            ValueError: the picture is not the content's size, or has a value that is not finite.
        """
        image = self._prepared(image, "picture")
        check_same_size(image, self._content)
        with torch.inference_mode():
            content_map, grams = self._measured(image, [CONTENT_LAYER], [*STYLE_WEIGHTS, *HELDOUT_WEIGHTS])
            return {
                REFERENCE_CONTENT: content_loss(content_map, self._content_map).item(),
                REFERENCE_STYLE: self._style_distance(grams, STYLE_WEIGHTS),
                HELDOUT_STYLE: self._style_distance(grams, HELDOUT_WEIGHTS),
                HELDOUT_STYLE_OPTIMISED: not HELDOUT_WEIGHTS.keys().isdisjoint(optimised_layers),
                SSIM: ssim(image, self._content),
                PIXEL_DISTANCE: pixel_distance(image, self._content),
                COLOUR_DISTANCE: histogram_distance(colour_histogram(image), self._style_colours),
                TOTAL_VARIATION: total_variation(image),
            }

    def _measured(
        self, image: Tensor, content: Collection[str], style: Collection[str]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """One layer's map (an empty one where none is asked for) and others' G / M; a large image's in tiles."""
        height, width = image.shape[1:]
        tile_px = choose_tile(self._network, [CONTENT_LAYER, *STYLE_WEIGHTS], height, width)
        whole = image.new_empty(0)
        grams: dict[str, Tensor] = {}
        for tile, maps in measured_maps(self._network, image, [*content, *style], tile_px):
            for layer in content:
                if tile is None:
                    whole = maps[layer]
                    continue
                if not whole.numel():
                    whole = image.new_empty(1, maps[layer].shape[1], *map_shape(layer, height, width))
                tile.own(layer, whole).copy_(maps[layer])
            for layer in style:
                h, w = map_shape(layer, height, width)
                G = gram_per_position(maps[layer], h * w)
                grams[layer] = grams[layer] + G if layer in grams else G
        return whole, grams

    def _style_distance(self, grams: Mapping[str, Tensor], weights: Mapping[str, float]) -> float:
        """Equations 4 and 5 over the layers of ``weights``."""
        losses = {layer: style_layer_loss(grams[layer], self._style_grams[layer]) for layer in weights}
        return style_loss(losses, weights).item()

    def _prepared(self, image: Tensor, what: str) -> Tensor:
        return prepared(image, what).to(self._pixels)


def prepared(image: Tensor, what: str) -> Tensor:
    """An image as its file holds it, once it is known to be measurable.

    Args:
        image: (3, H, W).
        what: what it is called in a sentence.

    Returns:
        (3, H, W) float64, multiples of 1/255.

    Raises:
        ValueError: it has another shape, a side shorter than ``MINIMUM_SIDE_PX``, or a value that is not finite.
    """
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"The {what} has the shape {tuple(image.shape)}; (3, H, W) is needed.")
    if min(image.shape[1:]) < MINIMUM_SIDE_PX:
        raise ValueError(
            f"The {what} is {_size(image)}; the comparable numbers need at least {MINIMUM_SIDE_PX} px a side: "
            "choose a larger size."
        )
    if not image.isfinite().all():
        raise ValueError(f"The {what} has values that are not finite; it cannot be measured.")
    return as_saved(image)


def check_same_size(image: Tensor, content: Tensor) -> None:
    """Refuse a picture that has not the photograph's size.

    Raises:
        ValueError: it has not.
    """
    if image.shape != content.shape:
        raise ValueError(
            f"The picture is {_size(image)} and the content image {_size(content)}; "
            "both need the same size: resize one."
        )


def _size(image: Tensor) -> str:
    """Width and height for a sentence."""
    return f"{image.shape[2]} × {image.shape[1]} px"
