"""What a claim expects of numbers: the arithmetic that decides, each expectation from plain floats to an outcome.

A bound is compared as it stands: no tolerance, no rounding, ties as the sign says (``>`` fails at equality, ``≥`` and
``≤`` hold). Where the arithmetic has no meaning (a ratio of negative numbers, a spread relative to 0) nothing is
decided.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.errors import CannotMeasureError


@dataclass(frozen=True)
class Decision:
    """What came of comparing numbers with a bound.

    Attributes:
        holds: whether the expectation is met.
        quantity: the number that was held against the bound; None where a ratio is unbounded (its divisor is 0).
        margin: by how much it holds (> 0, or 0 where equality suffices) or fails, in one unit for all groups of a
            claim, so that the least one is the worst; None where nothing bounds it, as where a ratio is unbounded.
        remark: what the quantity alone does not say; empty otherwise.
    """

    holds: bool
    quantity: float | None
    margin: float | None
    remark: str = ""


def changes(
    direction: Literal["rises", "falls"], means: Sequence[float], by: float | None, factor: float | None
) -> Decision:
    """Strictly in one direction at every step, and from first to last by ≥ ``by`` or ≥ ``factor`` times.

    The margin is the least of the steps and of what the whole change exceeds its bound by: ≤ 0 where it fails. Of a
    ``factor`` these are natural logarithms of ratios.

    Raises:
        CannotMeasureError: fewer than two steps, or a ratio of numbers below 0.
    """
    if len(means) < 2:
        raise CannotMeasureError("There is one value along the axis; a direction needs at least two.")
    sign = 1 if direction == "rises" else -1
    steps = [sign * (after - before) for before, after in zip(means, means[1:], strict=False)]
    smallest = min(steps)
    low, high = (means[0], means[-1]) if sign > 0 else (means[-1], means[0])
    total = _exceeds(high, low, by, factor, equality_suffices=True)
    margin = _margin_of_factor(means, sign, total.quantity, factor) if factor else min(smallest, high - low - (by or 0))
    if smallest <= 0:
        wrong = "stands still" if smallest == 0 else "goes the other way"
        places = [str(k) for k, step in enumerate(steps, 1) if (step == 0 if smallest == 0 else step < 0)]
        at = f"steps {', '.join(places[:-1])} and {places[-1]}" if len(places) > 1 else f"step {places[0]}"
        return Decision(False, total.quantity, margin, f"{wrong} at {at} of {len(steps)}")
    if by is None and factor is None:
        return Decision(True, smallest, margin, "the smallest step")
    return replace(total, margin=margin)


def _margin_of_factor(means: Sequence[float], sign: int, ratio: float | None, factor: float) -> float | None:
    """The least of the steps' ratios and of how often the whole one has the factor, as logarithms.

    None where the whole ratio is unbounded, or a step the wrong way is.
    """
    if ratio is None:
        return None
    wholes = [math.log(ratio) - math.log(factor) if ratio else -math.inf]
    margin = min([*(_log_of_step(*step, sign) for step in zip(means, means[1:], strict=False)), *wholes])
    return margin if math.isfinite(margin) else None


def _log_of_step(before: float, after: float, sign: int) -> float:
    """The logarithm of after/before in the direction that is wanted; unbounded where one of them is 0 or less."""
    if before == after:
        return 0.0
    if min(before, after) <= 0:
        return math.copysign(math.inf, sign * (after - before))
    return sign * (math.log(after) - math.log(before))


def within(values: Sequence[float], by: float) -> Decision:
    """(max − min)/|median| ≤ ``by``; the median of an even number is the mean of the middle two.

    Raises:
        CannotMeasureError: fewer than two values, or a median of 0 with values that differ.
    """
    if len(values) < 2:
        raise CannotMeasureError("There is one number; a spread needs at least two.")
    spread, median = max(values) - min(values), statistics.median(values)
    if median == 0 and spread > 0:
        raise CannotMeasureError("The median is 0: a spread relative to it has no meaning.")
    quantity = spread / abs(median) if spread else 0.0
    return Decision(quantity <= by, quantity, by - quantity)


def greater(of: float, than: float | None, by: float | None, factor: float | None) -> Decision:
    """``of`` > ``than`` + ``by``, or ``of`` > ``than`` · ``factor``; without ``than``, ``of`` > ``by``.

    Raises:
        CannotMeasureError: a ratio of numbers below 0, or without ``than``.
    """
    if than is None:
        if factor is not None:
            raise CannotMeasureError("A factor needs something to be a multiple of: name it as than.")
        return Decision(of > (by or 0.0), of, of - (by or 0.0))
    return _exceeds(of, than, by, factor, equality_suffices=False)


def equal(of: Sequence[float], than: Sequence[float] | None, by: float) -> Decision:
    """Every value of ``of`` is within ``by`` of every value of ``than``, or of 0: single runs, for means can cancel."""
    quantity = max(abs(a - b) for a in of for b in (than if than is not None else (0.0,)))
    return Decision(quantity <= by, quantity, by - quantity)


def _exceeds(high: float, low: float, by: float | None, factor: float | None, *, equality_suffices: bool) -> Decision:
    """``high`` against ``low``: by a ratio where there is a factor, else by a difference."""
    if factor is None:
        quantity, bound = high - low, by or 0.0
        return Decision(quantity >= bound if equality_suffices else quantity > bound, quantity, quantity - bound)
    if min(high, low) < 0:
        raise CannotMeasureError(f"A ratio of {high:.3g} to {low:.3g} has no meaning; bound the difference instead.")
    if low == 0:
        return Decision(high > 0, None, None, "the ratio is unbounded, its divisor is 0")
    ratio = high / low
    if math.isinf(ratio):
        return Decision(True, None, None, "the ratio is unbounded, its divisor is nearly 0")
    return Decision(ratio >= factor if equality_suffices else ratio > factor, ratio, ratio - factor)
