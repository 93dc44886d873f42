"""What the comparable numbers are called; nothing here imports torch."""

from __future__ import annotations

from harness.config.claims import COMPARABLE

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
SECONDS = "seconds"

ON_EMBEDDED: tuple[str, ...] = (REFERENCE_CONTENT, REFERENCE_STYLE, HELDOUT_STYLE)
"""What is measured on the embedded network: of another one the same picture has other numbers."""

ON_VGG16: tuple[str, ...] = (LPIPS, STYLE_SWD)
"""What is measured on VGG-16: a run has it where ``weights: vgg16`` was on the machine, and not elsewhere."""

METRICS: tuple[str, ...] = (*COMPARABLE, HELDOUT_STYLE_OPTIMISED, EVALUATIONS, SECONDS)
"""What every run's manifest may have beside its losses; the last two are counted by the run itself."""
