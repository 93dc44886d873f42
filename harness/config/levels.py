"""The levels of a run: sizes that grow, and the two stages of a photorealistic one. A level is a fit of its own.

Between levels the picture is enlarged and the optimiser starts anew: curvature pairs and averages of one size, or of
one objective, say nothing about the next. A method without levels has one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.config.methods import is_used
from harness.config.transfer import Transfer
from harness.config.transfer_parts import PyramidLevel
from harness.config.values import MINIMUM_SIZE_PX

AUTO = "auto"
AUTO_SIZES = (1 / 4, 1 / 2)
"""The sizes before the last one under ``pyramid: auto``, as parts of ``size``; each has as many ``steps`` as that."""

AUTO_SIDE_PX = 72
"""The shorter side of the smallest size under ``pyramid: auto``, chosen by looking at pictures.

On VGG-16 a level of 40 × 30 or of 64 × 64 px made pictures that copy the arrangement of their painting, one of
96 × 72 px did not: of conv5_1's few positions most lie beside the zero padding, so that its Gram matrix knows where
things are.
"""


@dataclass(frozen=True)
class Level:
    """One level.

    Attributes:
        size_px: the longer side.
        last_evaluation: at which a row leaves it, counted from the run's beginning.
        is_last: whether its result is the run's picture.
        is_regularised: whether the photorealism regulariser counts.
    """

    size_px: int
    last_evaluation: int
    is_last: bool = True
    is_regularised: bool = True


def auto_pyramid(transfer: Transfer, fits: Callable[[int], bool]) -> tuple[PyramidLevel, ...]:
    """The smaller sizes of a transfer that leaves them to us: ``AUTO_SIZES`` where its start is noise, else none.

    Args:
        transfer: the transfer.
        fits: whether the photograph and the paintings are large enough at a size; those at which not are left out.
    """
    if transfer.start != "noise" or not is_used(transfer.method, "pyramid"):
        return ()
    sizes = [round(part * transfer.size) for part in AUTO_SIZES]
    return tuple(
        PyramidLevel(size=size_px, steps=transfer.steps)
        for size_px in sizes
        if size_px >= MINIMUM_SIZE_PX and fits(size_px)
    )


def sizes_of(transfer: Transfer) -> tuple[PyramidLevel, ...]:
    """The sizes of a resolved transfer with the evaluations at each; the last one is the picture's."""
    assert not isinstance(transfer.pyramid, str), "auto is resolved where the images' sizes are known: driver.sizes"
    return (*transfer.pyramid, PyramidLevel(size=transfer.size, steps=transfer.steps))


def levels_of(transfer: Transfer) -> tuple[Level, ...]:
    """The levels of a resolved transfer, smallest size first; with a first stage, only the last one is regularised."""
    first_stage = transfer.photorealism.first_stage
    *smaller, last = [(level.size, level.steps) for level in sizes_of(transfer)]
    stages = [(last[0], first_stage)] if first_stage else []
    shares = [*smaller, *stages, (last[0], last[1] - first_stage)]
    levels, behind = [], 0
    for k, (size_px, steps) in enumerate(shares):
        behind += steps
        is_last = k == len(shares) - 1
        levels.append(Level(size_px, behind, is_last, is_last or not first_stage))
    return tuple(levels)


def num_evaluations(transfer: Transfer) -> int:
    """Loss evaluations of a whole run, over all its levels."""
    return sum(level.steps for level in sizes_of(transfer))
