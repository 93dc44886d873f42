"""Axes whose numbers can be read: logarithmic ones with 1, 2 and 5 × powers of ten, in the figures' own spelling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from harness.figures.labels import format_value
from harness.figures.text import font

Scale = Literal["log", "linear", "whole"]
"""``whole``: linear, of whole numbers."""

SOFT_INK = "#6e6e6e"
"""Of what is beside the data: a sentence in their place, a line from a point to its picture."""

FEW_DECADES, MANY_DECADES = 0.6, 3
"""Below the first the ticks are evenly spaced numbers; from the second on only powers of ten are named."""


def scale_for(values: Sequence[float], is_maximised: bool = False) -> Scale:
    """Logarithmic where values are positive and span more than a decade; linear for a likeness, which 1 bounds."""
    if is_maximised and values and max(map(abs, values)) <= 1:
        return "linear"
    return "log" if values and min(values) > 0 and max(values) / min(values) > 10 else "linear"


def set_scale(axis: Axis, scale: Scale, least: float = -math.inf, many_decades: float = MANY_DECADES) -> None:
    """Give an axis its scale, ticks and their numbers; call it when everything is drawn and the limits stand.

    Args:
        axis: one of a plot's two.
        scale: of its numbers.
        least: a linear axis names no number below it.
        many_decades: a logarithmic one names only powers of ten from so many on.
    """
    setter = axis.axes.set_xscale if isinstance(axis, XAxis) else axis.axes.set_yscale
    setter("log" if scale == "log" else "linear")
    if scale != "log":
        locator = MaxNLocator(6, steps=[1, 2, 5, 10], integer=scale == "whole")
        low, high = axis.get_view_interval()
        ticks = [tick for tick in locator.tick_values(low, high) if tick >= least]
        axis.set_major_locator(FixedLocator([tick for tick in ticks if scale != "whole" or tick == round(tick)]))
    else:
        low, high = axis.get_view_interval()
        decades = math.log10(high / low)
        if decades < FEW_DECADES:
            axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        else:
            digits = (1, 2, 5) if decades < many_decades else (1,)
            axis.set_major_locator(LogLocator(subs=tuple(map(float, digits)), numticks=99))
        axis.set_minor_locator(LogLocator(subs=tuple(map(float, range(2, 10))), numticks=99))
        axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value)))


def say_instead(axes: Axes, text: str, size_px: float) -> None:
    """Write into the middle of axes that have nothing to show."""
    axes.text(
        0.5,
        0.5,
        text,
        transform=axes.transAxes,
        ha="center",
        va="center",
        color=SOFT_INK,
        fontproperties=font(size_px),
    )


def _tick(value: float) -> str:
    """A round number, plain where that is short."""
    value = float(f"{value:.6g}")
    plain = value == 0 or 1e-3 <= abs(value) < 1e6
    return f"{value:,g}".replace("-", "\N{MINUS SIGN}") if plain else format_value(value)


def dot(colour: str, size: float, is_settled: bool = True) -> dict[str, Any]:
    """How a trial's dot is drawn, as keywords of ``Axes.plot``: hollow where its run had not settled."""
    fill = {"markeredgewidth": 0.0} if is_settled else {"markeredgewidth": 1.6, "markerfacecolor": "white"}
    return {"color": colour, "marker": "o", "linestyle": "none", "markersize": size, **fill}
