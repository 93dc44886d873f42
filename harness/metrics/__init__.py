"""The numbers every run reports, comparable across α/β, optimisers and networks.

Whatever was optimised, a finished picture is measured on the embedded network in the units of the paper's printed
equations (Gatys et al. 2016, eqs 1, 4, 5), and in pixels; where VGG-16 is on the machine, on that as well. All three
pictures are measured as their files hold them: clamped to [0, 1] and rounded to 8 bits.

    names                 what they are called
    of_pixels             ssim, pixel_distance, colour_distance, total_variation
    reference             reference_content, reference_style, heldout_style, and those of the pixels
    lpips                 lpips, the perceptual distance to the photograph
    sliced_wasserstein    style_swd, the distance to the painting that is not of Gram matrices
    perceptual            those two on VGG-16, in tiles where a picture is large

The names can be had without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from harness.metrics.names import (
    COLOUR_DISTANCE,
    EVALUATIONS,
    HELDOUT_STYLE,
    HELDOUT_STYLE_OPTIMISED,
    LPIPS,
    MEASURED,
    METRICS,
    ON_EMBEDDED,
    ON_VGG16,
    PIXEL_DISTANCE,
    REFERENCE_CONTENT,
    REFERENCE_STYLE,
    SECONDS,
    SSIM,
    STYLE_SWD,
    TOTAL_VARIATION,
)

if TYPE_CHECKING:
    from harness.metrics.of_pixels import (
        as_saved,
        colour_histogram,
        histogram_distance,
        pixel_distance,
        ssim,
        total_variation,
    )
    from harness.metrics.perceptual import Perceptual, PerceptualNetworks
    from harness.metrics.reference import (
        CONTENT_LAYER,
        HELDOUT_WEIGHTS,
        MINIMUM_SIDE_PX,
        STYLE_WEIGHTS,
        Reference,
        measure,
    )

__all__ = [
    "COLOUR_DISTANCE", "CONTENT_LAYER", "EVALUATIONS", "HELDOUT_STYLE", "HELDOUT_STYLE_OPTIMISED", "HELDOUT_WEIGHTS",
    "LPIPS", "MEASURED", "METRICS", "MINIMUM_SIDE_PX", "ON_EMBEDDED", "ON_VGG16", "PIXEL_DISTANCE", "Perceptual",
    "PerceptualNetworks", "REFERENCE_CONTENT", "REFERENCE_STYLE", "Reference", "SECONDS", "SSIM", "STYLE_SWD",
    "STYLE_WEIGHTS", "TOTAL_VARIATION", "as_saved", "colour_histogram", "histogram_distance", "measure",
    "pixel_distance", "ssim", "total_variation",
]  # fmt: skip

_OF_PIXELS = ("as_saved", "colour_histogram", "histogram_distance", "pixel_distance", "ssim", "total_variation")
_PERCEPTUAL = ("Perceptual", "PerceptualNetworks")


def __getattr__(name: str) -> Any:
    """What needs torch is imported when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    module = "of_pixels" if name in _OF_PIXELS else "perceptual" if name in _PERCEPTUAL else "reference"
    return getattr(import_module(f"{__name__}.{module}"), name)
