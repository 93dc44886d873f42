"""The numbers every run reports, comparable across α/β, optimisers and networks.

Whatever was optimised, a finished picture is measured on the embedded network in the units of the paper's printed
equations (Gatys et al. 2016, eqs 1, 4, 5), and in pixels. All three pictures are measured as their files hold them:
clamped to [0, 1] and rounded to 8 bits. Equation 1 is a sum over positions, so tables compare one size only.

Shapes: image and content (3, H, W), style (3, H_s, W_s), sRGB in [0, 1].
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from harness.features.vgg import VGG, block_of, map_shape
from harness.objective.equations import content_loss, gram_per_position, style_layer_loss, style_loss
from harness.objective.memory import choose_tile
from harness.objective.targets import measured_maps

REFERENCE_CONTENT = "reference_content"
REFERENCE_STYLE = "reference_style"
HELDOUT_STYLE = "heldout_style"
HELDOUT_STYLE_OPTIMISED = "heldout_style_optimised"
SSIM = "ssim"
PIXEL_DISTANCE = "pixel_distance"
COLOUR_DISTANCE = "colour_distance"
TOTAL_VARIATION = "total_variation"
EVALUATIONS = "evaluations"
SECONDS = "seconds"

MEASURED: tuple[str, ...] = (
    REFERENCE_CONTENT, REFERENCE_STYLE, HELDOUT_STYLE, HELDOUT_STYLE_OPTIMISED,
    SSIM, PIXEL_DISTANCE, COLOUR_DISTANCE, TOTAL_VARIATION,
)  # fmt: skip
"""What ``measure`` returns, in the order of the tables."""

METRICS: tuple[str, ...] = (*MEASURED, EVALUATIONS, SECONDS)
"""Every comparable number; the last two are counted by the run itself."""

CONTENT_LAYER = "conv4_2"
STYLE_WEIGHTS: dict[str, float] = {f"conv{block}_1": 1 / 5 for block in (1, 2, 3, 4, 5)}
HELDOUT_WEIGHTS: dict[str, float] = dict.fromkeys(("conv1_2", "conv2_2", "conv3_3", "conv4_3"), 1 / 4)

MINIMUM_SIDE_PX = 2 ** (max(block_of(layer) for layer in STYLE_WEIGHTS) - 1)
"""The shortest side that leaves conv5_1 a position: 16 px."""

BINS_PER_CHANNEL = 8


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
            ``ssim``: structural similarity to the content (Wang et al. 2004: 11 × 11 Gaussian, σ 1.5), −1 to 1.
            ``pixel_distance``: root mean squared difference from the content, 0 to 1.
            ``colour_distance``: between the colour histograms of picture and style, 0 to 1.
            ``total_variation``: mean absolute difference between neighbours, 0 to below 2.

        Raises:
            ValueError: the picture is not the content's size, or has a value that is not finite.
        """
        image = self._prepared(image, "picture")
        if image.shape != self._content.shape:
            raise ValueError(
                f"The picture is {_size(image)} and the content image {_size(self._content)}; "
                "both need the same size: resize one."
            )
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
        """The image as its file holds it, on the network's device, once it is known to be measurable."""
        if image.ndim != 3 or image.shape[0] != 3:
            raise ValueError(f"The {what} has the shape {tuple(image.shape)}; (3, H, W) is needed.")
        if min(image.shape[1:]) < MINIMUM_SIDE_PX:
            raise ValueError(
                f"The {what} is {_size(image)}; the comparable numbers need at least {MINIMUM_SIDE_PX} px a side: "
                "choose a larger size."
            )
        if not image.isfinite().all():
            raise ValueError(f"The {what} has values that are not finite; it cannot be measured.")
        return as_saved(image).to(self._pixels)


def measure(
    image: Tensor, content: Tensor, style: Tensor, network: VGG, optimised_layers: Collection[str]
) -> dict[str, float | bool]:
    """Measure one picture against one pair of images; see ``Reference``, which does it for many.

    Args:
        image: (3, H, W), the picture.
        content: (3, H, W), the photograph.
        style: (3, H_s, W_s), the style image.
        network: the embedded network.
        optimised_layers: the layers whose Gram matrices the run optimised.

    Returns:
        The numbers of ``MEASURED``, as ``Reference.measure`` gives them.

    Raises:
        ValueError: see ``Reference`` and ``Reference.measure``.
    """
    return Reference(content, style, network).measure(image, optimised_layers)


def as_saved(image: Tensor) -> Tensor:
    """The values an 8-bit file holds: clamped to [0, 1], rounded to multiples of 1/255, halves to even.

    Args:
        image: any shape, finite.

    Returns:
        The same shape, float64, in which the file's values are computed too.
    """
    return (image.detach().double().clamp(0, 1) * 255).round() / 255


def ssim(image: Tensor, content: Tensor) -> float:
    """Structural similarity: Wang, Bovik, Sheikh & Simoncelli 2004, eq. 13, per channel, then the mean.

    With the authors' constants: a Gaussian window of 11 × 11 pixels and σ = 1.5, K₁ = 0.01, K₂ = 0.03, only where the
    window lies inside the image. Ours rather than torchmetrics', whose treatment of the border depends on its version
    and whose flat areas (clamped variances) are not exactly similar to themselves. Agrees with scikit-image.

    Args:
        image: (3, H, W) in [0, 1], sides ≥ 11.
        content: (3, H, W).

    Returns:
        −1 to 1; exactly 1 for equal images.
    """
    channels = zip(image.double(), content.double(), strict=True)  # one after another: a third of the memory
    return torch.stack([_ssim_map(x, y) for x, y in channels]).mean().item()


def _ssim_map(x: Tensor, y: Tensor) -> Tensor:
    """Wang et al. 2004, eq. 13, at every position of one channel's (H − 10, W − 10) windows."""
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = _window_means(torch.stack([x, y, x * x, y * y, x * y]))
    variances = (mean_xx - mean_x * mean_x) + (mean_yy - mean_y * mean_y)
    covariance = mean_xy - mean_x * mean_y
    luminance = (2 * (mean_x * mean_y) + 0.01**2) / (mean_x * mean_x + mean_y * mean_y + 0.01**2)
    return luminance * (2 * covariance + 0.03**2) / (variances + 0.03**2)


def _window_means(maps: Tensor) -> Tensor:
    """(…, H, W) to (…, H − 10, W − 10): Gaussian means, by sums of shifted maps so that equal maps give equal bits."""
    offsets = torch.arange(-5, 6, dtype=torch.float64)
    weights = torch.softmax(-(offsets**2) / (2 * 1.5**2), dim=0).tolist()
    for dim in (-1, -2):
        length = maps.shape[dim] - 10
        means = torch.zeros_like(maps.narrow(dim, 0, length))
        for k, weight in enumerate(weights):
            means += weight * maps.narrow(dim, k, length)
        maps = means
    return maps


def pixel_distance(image: Tensor, content: Tensor) -> float:
    """Root of the mean squared difference over all pixels and channels, in units of the range [0, 1]."""
    return (image.double() - content.double()).square().mean().sqrt().item()


def colour_histogram(image: Tensor) -> Tensor:
    """Share of the pixels in each of 8 × 8 × 8 equal boxes of the RGB cube.

    Args:
        image: (3, H, W) in [0, 1], multiples of 1/255.

    Returns:
        (512,) float64, ≥ 0, sums to 1.
    """
    levels = (image * 255).round().long() // (256 // BINS_PER_CHANNEL)
    boxes = (levels[0] * BINS_PER_CHANNEL + levels[1]) * BINS_PER_CHANNEL + levels[2]
    counts = torch.bincount(boxes.flatten(), minlength=BINS_PER_CHANNEL**3)
    return counts.double() / boxes.numel()


def histogram_distance(first: Tensor, second: Tensor) -> float:
    """Total variation distance ½ Σ |p − q| of two histograms that sum to 1: 0 equal, 1 no box in common."""
    return (first - second).abs().sum().item() / 2


def total_variation(image: Tensor) -> float:
    """Anisotropic total variation of a (3, H, W) image: Σ |differences down and across| / (3 H W).

    A mean, unlike torchmetrics' sum, so that it hardly depends on the size.
    """
    image = image.double()
    return ((image.diff(dim=1).abs().sum() + image.diff(dim=2).abs().sum()) / image.numel()).item()


def _size(image: Tensor) -> str:
    """Width and height for a sentence."""
    return f"{image.shape[2]} × {image.shape[1]} px"
