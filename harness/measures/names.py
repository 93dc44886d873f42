"""What the comparable numbers are called; nothing here imports torch."""

from __future__ import annotations

REFERENCE_CONTENT = "reference_content"
REFERENCE_STYLE = "reference_style"
HELDOUT_STYLE = "heldout_style"
HELDOUT_STYLE_OPTIMISED = "heldout_style_optimised"
SSIM = "ssim"
PIXEL_DISTANCE = "pixel_distance"
COLOUR_DISTANCE = "colour_distance"
TOTAL_VARIATION = "total_variation"
LPIPS = "lpips"
STYLE_SWD = "style_swd"
EVALUATIONS = "evaluations"
KEPT_EVALUATION = "kept_evaluation"
STILL_FALLING = "still_falling"
SECONDS = "seconds"

MEASURED: tuple[str, ...] = (
    REFERENCE_CONTENT, REFERENCE_STYLE, HELDOUT_STYLE, HELDOUT_STYLE_OPTIMISED,
    SSIM, PIXEL_DISTANCE, COLOUR_DISTANCE, TOTAL_VARIATION,
)  # fmt: skip
"""What ``measure`` returns, in the order of the tables: what every run has."""

ON_EMBEDDED: tuple[str, ...] = (REFERENCE_CONTENT, REFERENCE_STYLE, HELDOUT_STYLE)
"""Of these, what is measured on the embedded network: of another one the same picture has other numbers."""

ON_VGG16: tuple[str, ...] = (LPIPS, STYLE_SWD)
"""What ``Perceptual.measure`` returns: a run has it where ``weights: vgg16`` was on the machine, and not elsewhere."""

METRICS: tuple[str, ...] = (*MEASURED, *ON_VGG16, EVALUATIONS, KEPT_EVALUATION, STILL_FALLING, SECONDS)
"""Every comparable number; the last four are counted by the run itself. ``kept_evaluation`` is the one whose picture
was kept: where the loss of the final size was lowest; ``still_falling`` is by which part of itself that loss fell over
the last tenth of the evaluations there, below 0 where it was lower before (``harness.runs.settled``)."""
