r"""How values stand in a figure: ratios as powers of ten, layers by the paper's names.

Texts are matplotlib's: ``$…$`` is mathematics, ``\$`` a dollar.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from harness.config.layers import LAYERS

_DOLLAR = re.compile(r"(?<!\\)\$")


def escape(text: str) -> str:
    """The text with its dollars shown as dollars, none of it taken for mathematics."""
    return _DOLLAR.sub(r"\\$", text)


def format_value(value: Any) -> str:
    r"""A value of a transfer as a label.

    Args:
        value: a number (1e-4 is ``$10^{-4}$``, 8e-4 is ``$8\cdot10^{-4}$``, 0.25 is ``0.25``), a text (kept), a mapping
            of layers to weights (``conv1_1, 2_1, 3_1``; the weights stand there where they are not equal shares of 1),
            another mapping, a list, or None.

    Returns:
        Text for a figure.
    """
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, Mapping):
        if value and all(key in LAYERS for key in value):
            return _layers(value)
        return ", ".join(f"{escape(str(key))}: {format_value(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(format_value(item) for item in value) or "none"
    return escape(str(value))


def _number(value: float) -> str:
    """Four significant digits; a power of ten where one is shorter to read."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    mantissa, exponent = f"{value:.3e}".split("e")
    mantissa, power = mantissa.rstrip("0").rstrip("."), int(exponent)
    if mantissa in ("1", "-1") and (power < 0 or power > 3):
        return f"${mantissa[:-1]}10^{{{power}}}$"
    if power < -2 or power > 5:
        return rf"${mantissa}\cdot10^{{{power}}}$"
    return f"{value}" if isinstance(value, int) else f"{float(f'{value:.4g}'):.6g}".replace("-", "\N{MINUS SIGN}")


def _layers(weights: Mapping[str, float]) -> str:
    """``conv`` once, then the numbers; weights only where they say something."""
    used = {layer: weights[layer] for layer in LAYERS if weights.get(layer)}
    if not used:
        return "none"
    short = {layer: layer if k == 0 else layer.removeprefix("conv") for k, layer in enumerate(used)}
    share = next(iter(used.values()))
    if all(math.isclose(weight, share) for weight in used.values()):
        names = ", ".join(short.values())
        if math.isclose(share * len(used), 1):
            return names
        return f"{names}: {_number(share)}" if len(used) == 1 else f"{names}: {_number(share)} each"
    return ", ".join(f"{short[layer]}: {_number(weight)}" for layer, weight in used.items())
