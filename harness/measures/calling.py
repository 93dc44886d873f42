"""A measure is given what it asks for; a fault in a user's comes with its own line, and its answer is a finite number.

Nothing here imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.config.transfer import Transfer
from harness.errors import CannotMeasureError
from harness.measures.arrays import Floats
from harness.registries import asked_by, blame, blamed, measure


@dataclass(frozen=True)
class OfOneRun:
    """What every run has.

    Attributes:
        content: (H, W, 3), the photograph at the picture's size.
        styles: (H_s, W_s, 3) each, the paintings at the picture's area.
        transfer: what it was told.
    """

    content: Floats
    styles: tuple[Floats, ...]
    transfer: Transfer


def call_measure(name: str, picture: Any, given: object) -> float:
    """What a registered measure says of a picture.

    Args:
        name: of the measure.
        picture: (H, W, 3) float64 in [0, 1]; of a measure of a set, several of them.
        given: has what the measure asks for, as attributes.

    Raises:
        UsageError: there is no such measure.
        CannotMeasureError: it has no meaning here, or is not finite.
        PluginError: a user's measure fails, or gives no number.
    """
    registered = measure.registered(name)
    what: Callable[..., Any] = registered.what
    asked = {asked: getattr(given, asked) for asked in asked_by(what)}
    with blamed(registered.plugin, f"in the measure {name!r}"):
        value = what(picture, **asked)
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise blame(registered.plugin, what, f"the measure {name!r} gave {value!r:.60}; a number is needed.") from None
    if not math.isfinite(number):
        sentence = f"{name} is {number}, which decides nothing."
        raise blame(registered.plugin, what, sentence) if registered.plugin else CannotMeasureError(sentence)
    return number
