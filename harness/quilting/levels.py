"""The iterations of image quilting: how large their blocks are, how they overlap, and what α weighs.

A. Efros & W. Freeman, "Image quilting for texture synthesis and transfer" (SIGGRAPH 2001), sections 2 and 3.
"""

from __future__ import annotations

import math
from typing import NamedTuple

MINIMUM_BLOCK_PX = 3


class Iteration(NamedTuple):
    """One iteration.

    Attributes:
        block_px: side of its blocks.
        overlap_px: of neighbouring blocks, less than half a block.
        alpha: α, the texture's share of the error; the correspondence map has 1 − α.
        num_rows: rows of blocks.
        num_columns: blocks in a row.
    """

    block_px: int
    overlap_px: int
    alpha: float
    num_rows: int
    num_columns: int

    @property
    def stride_px(self) -> int:
        """From one block to the next."""
        return self.block_px - self.overlap_px


def default_overlap_px(block_px: int) -> int:
    """A sixth of the block (section 2), rounded, at least 1."""
    return max(1, round(block_px / 6))


def overlap_px(block_px: int, overlap: float) -> int:
    """The overlap in pixels: a part of the block, at least 1 and less than half of it."""
    return max(1, min(round(overlap * block_px), (block_px - 1) // 2))


def check(
    source_height: int, source_width: int, block_px: int, overlap_px: int | None = None, num_iterations: int = 1
) -> None:
    """Whether a source can be quilted with these blocks.

    Args:
        source_height: in pixels.
        source_width: in pixels.
        block_px: of the first iteration.
        overlap_px: of the first iteration; None for ``default_overlap_px``.
        num_iterations: N.

    Raises:
        ValueError: it cannot; the sentence says why, and what is possible.
    """
    if block_px < MINIMUM_BLOCK_PX:
        raise ValueError(f"A block of {block_px} px is too small: it needs at least {MINIMUM_BLOCK_PX} px a side.")
    if block_px > min(source_height, source_width):
        raise ValueError(
            f"A block of {block_px} px does not fit into the source of {source_width} × {source_height} px "
            f"(width × height): take blocks of at most {min(source_height, source_width)} px, or a larger source."
        )
    if overlap_px is not None and not 1 <= overlap_px <= (block_px - 1) // 2:
        raise ValueError(
            f"An overlap of {overlap_px} px is not possible with blocks of {block_px} px: "
            f"from 1 to {(block_px - 1) // 2} px (less than half a block) are allowed."
        )
    if num_iterations < 1:
        raise ValueError(f"{num_iterations} iterations are not possible: at least 1 is needed.")
    last_px = _shrunk(block_px, num_iterations - 1)
    if last_px < MINIMUM_BLOCK_PX:
        raise ValueError(
            f"Blocks of {block_px} px shrink to {last_px} px within {num_iterations} iterations, below "
            f"{MINIMUM_BLOCK_PX} px: begin with larger blocks or take fewer iterations."
        )


def synthesis_level(height: int, width: int, block_px: int, overlap_px: int | None = None) -> Iteration:
    """Texture synthesis: one iteration, in which the texture is all that counts (α = 1)."""
    return _level(height, width, block_px, overlap_px or default_overlap_px(block_px), 1.0)


def transfer_levels(
    height: int, width: int, block_px: int, overlap_px: int | None = None, num_iterations: int = 1
) -> list[Iteration]:
    """Texture transfer: iteration i of N has α_i = 0.8 · (i − 1)/(N − 1) + 0.1, each with blocks by a third smaller.

    A single iteration has the formula's α_1 = 0.1. The overlap keeps its share of the block.
    """
    overlap_px = overlap_px or default_overlap_px(block_px)
    levels = []
    for i in range(1, num_iterations + 1):
        # Deviates from Efros & Freeman 2001, section 3: its α_i divides by N − 1; N = 1 has α_1 = 0.1 here.
        alpha_i = 0.8 * (i - 1) / max(num_iterations - 1, 1) + 0.1
        block_i = _shrunk(block_px, i - 1)
        # Deviates from Efros & Freeman 2001, section 3: it shrinks the blocks and says nothing of their overlap, which
        # shrinks with them here, rounded, at least 1 px and less than half a block.
        overlap_i = min(max(1, round(overlap_px * block_i / block_px)), (block_i - 1) // 2)
        levels.append(_level(height, width, block_i, overlap_i, alpha_i))
    return levels


def _shrunk(block_px: int, times: int) -> int:
    """The block's side, reduced by a third so many times, rounded."""
    return round(block_px * (2 / 3) ** times)


def _level(height: int, width: int, block_px: int, overlap_px: int, alpha: float) -> Iteration:
    stride_px = block_px - overlap_px
    rows, columns = (max(1, math.ceil((length - overlap_px) / stride_px)) for length in (height, width))
    return Iteration(block_px, overlap_px, alpha, rows, columns)
