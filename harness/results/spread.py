"""A number and its spread over seeds: one definition, and one way to write them, for tables, files and claims."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

OF_SAMPLE = "of a sample: n − 1"
EXPLAINED = f"± is the standard deviation over n seeds ({OF_SAMPLE})"
"""What stands beside numbers that have one; the n is said there."""

NUM_DIGITS_OF_SD = 2
"""Significant digits of a standard deviation: of so few seeds it is known no better."""

NUM_DIGITS = 15
"""Significant decimal digits that every float keeps."""

PLAIN_POWERS = range(-4, 6)
"""Powers of ten of numbers that are written out; others have their power behind them."""


def standard_deviation(values: Sequence[float]) -> float | None:
    """Of a sample: √(Σ (x − mean)² / (n − 1)); None for fewer than two values, which have none."""
    return statistics.stdev(values) if len(values) > 1 else None


def number_text(value: float, num_digits: int) -> str:
    """A number with so many significant digits, no zeros behind its last one: ``0.0123``, ``12300``, ``1.23e-05``."""
    text = f"{value:.{num_digits}g}"
    return f"{float(text):.0f}" if "e" in text and _power(value, num_digits) in PLAIN_POWERS else text


def spread_text(mean: float, sd: float | None, num_digits: int, is_beside_others: bool = False) -> str:
    """A mean and its standard deviation, both to the same decimal place: ``0.103 ± 0.010``.

    The deviation has two significant digits. Where both are very small or very large they share their power of ten:
    ``(9.10 ± 0.20)e-05``.

    Args:
        mean: the number.
        sd: its standard deviation; where there is none, or it is 0, the number stands alone.
        num_digits: significant digits of a number that stands alone.
        is_beside_others: whether means with other deviations stand beside it, so that it keeps ``num_digits`` of its
            own: rounded by their deviations 0.0526 and 0.0525 would be 0.0526 and 0.053.
    """
    if not sd or not math.isfinite(mean) or not math.isfinite(sd):
        return number_text(mean, num_digits)
    place = _power(sd, NUM_DIGITS_OF_SD) - NUM_DIGITS_OF_SD + 1
    if is_beside_others and mean:
        place = min(place, _power(mean, num_digits) - num_digits + 1)
    rounded = round(mean, -place)
    power = max(_power(sd, NUM_DIGITS_OF_SD), _power(rounded or sd, NUM_DIGITS))
    if power in PLAIN_POWERS:
        return f"{_to_place(mean, place)} ± {_to_place(sd, place)}"
    both = f"{_to_place(mean, place, power)} ± {_to_place(sd, place, power)}"
    return f"({both})e{'-' if power < 0 else '+'}{abs(power):02d}"


def _power(value: float, num_digits: int) -> int:
    """The power of ten of a number that is rounded to so many significant digits: -2 of 0.0123, -1 of 0.0999."""
    return int(f"{value:.{num_digits - 1}e}".partition("e")[2]) if value else 0


def _to_place(value: float, place: int, power: int = 0) -> str:
    """A number rounded to a power of ten, ``place``, in units of another one."""
    num_decimals = max(0, power - place)
    rounded = round(value, -place) if place > 0 else value
    return f"{rounded * 10.0**-power:.{num_decimals}f}"
