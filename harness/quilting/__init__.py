"""Image quilting (Efros & Freeman, SIGGRAPH 2001): texture synthesis and texture transfer by blocks and cuts.

The baseline that Gatys et al. 2016 are compared with: no network, no optimiser, pixels of the style image only.
"""

from harness.quilting.levels import check, default_overlap_px
from harness.quilting.quilting import Errors, Quilting

__all__ = ["Errors", "Quilting", "check", "default_overlap_px"]
