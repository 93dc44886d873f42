"""The levels of a run: sizes that grow, and the two stages of a photorealistic one. A level is a fit of its own.

Between levels the picture is enlarged and the optimiser starts anew: curvature pairs and averages of one size, or of
one objective, say nothing about the next. A method without levels has one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.config.methods import is_used
from harness.config.strict import MINIMUM_SIZE_PX

AUTO = "auto"
AUTO_LEVELS = ((1 / 4, 1.0), (1 / 2, 1.0))
"""The sizes before the last one under ``pyramid: auto``, each as a part of ``size`` and of ``steps``."""

AUTO_SIDE_PX = 72
"""The shorter side of the smallest size under ``pyramid: auto``.

Below it conv5_1 has 4 × 4 positions or fewer, nearly all of them beside the zero padding, so that its Gram matrix knows
where things are: on VGG-16 a level of 40 × 30 px made pictures that copy the arrangement of The Starry Night (seen).
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


def auto_pyramid(transfer: Mapping[str, Any], fits: Callable[[int], bool]) -> list[dict[str, int]]:
    """The smaller sizes of a transfer that leaves them to us: ``AUTO_LEVELS`` where its start is noise, else none.

    Args:
        transfer: as plain data.
        fits: whether the photograph and the paintings are large enough at a size; those at which not are left out.

    Returns:
        As the field ``pyramid`` says them, each size with one evaluation at least.
    """
    if transfer["start"] != "noise" or not is_used(transfer["method"], "pyramid"):
        return []
    levels = [
        {"size": round(of_size * transfer["size"]), "steps": max(1, round(of_steps * transfer["steps"]))}
        for of_size, of_steps in AUTO_LEVELS
    ]
    return [level for level in levels if level["size"] >= MINIMUM_SIZE_PX and fits(level["size"])]


def levels_of(transfer: Mapping[str, Any]) -> tuple[Level, ...]:
    """The levels of a resolved transfer, smallest size first; with a first stage, only the last one is regularised."""
    assert transfer["pyramid"] != AUTO, "auto is resolved where the images' sizes are known: harness.fitting.resolve"
    first_stage = transfer["photorealism"]["first_stage"]
    shares = [(level["size"], level["steps"]) for level in transfer["pyramid"]]
    if first_stage:
        shares.append((transfer["size"], first_stage))
    shares.append((transfer["size"], transfer["steps"] - first_stage))
    levels, behind = [], 0
    for k, (size_px, steps) in enumerate(shares):
        behind += steps
        is_last = k == len(shares) - 1
        levels.append(Level(size_px, behind, is_last, is_last or not first_stage))
    return tuple(levels)


def num_evaluations(transfer: Mapping[str, Any]) -> int:
    """Loss evaluations of a whole run, over all its levels."""
    return levels_of(transfer)[-1].last_evaluation
