"""The arithmetic that decides claims: bounds, ties, ratios, spreads."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.claims.expectations import changes, equal, greater, within
from harness.errors import CannotMeasureError


def test_direction_needs_every_step_and_the_whole() -> None:
    assert changes("rises", [1, 2, 3], None, None).holds
    assert changes("falls", [3, 2, 1], None, None).holds
    assert not changes("rises", [1, 3, 2], None, None).holds
    assert changes("rises", [1, 2, 3], 2, None).holds  # ≥
    assert not changes("rises", [1, 2, 3], 2.001, None).holds
    assert changes("falls", [8, 4, 2], None, 4).holds
    assert not changes("falls", [8, 4, 2], None, 4.001).holds
    assert changes("falls", [8, 4, 2], None, 3).margin == pytest.approx(math.log(4 / 3))
    assert changes("rises", [1, 3, 2], 0.5, None).margin == -1
    assert "step 2 of 2" in changes("rises", [1, 3, 2], 0.5, None).remark


def test_the_margin_is_the_least_of_the_steps_and_of_the_whole_beyond_its_bound() -> None:
    """In the measure's unit, and of factors in logarithms, so that what fails by a step and by its bound compare."""
    assert changes("rises", [0, 5, 6], 2, None).margin == 1  # the second step; the whole exceeds 2 by 4
    assert changes("rises", [0, 5, 10], 9, None).margin == 1  # the whole exceeds 9 by 1
    assert changes("rises", [0, 5, 4], 10, None).margin == -6
    assert changes("rises", [0, 5, 1], 2, None).margin == -4
    assert changes("rises", [1, 8, 16], None, 2).margin == pytest.approx(math.log(2))
    assert changes("rises", [1, 4, 2], None, 8).margin == pytest.approx(math.log(2 / 8))
    assert changes("falls", [2, 4, 1], None, 2).margin == pytest.approx(-math.log(2))
    assert changes("falls", [2, 2, 1], None, 2).margin == 0
    backwards = changes("falls", [2, 0, 1], None, 1.5)  # from 0 to 1 is no ratio
    assert not backwards.holds and backwards.margin is None


def test_a_tie_is_no_rise() -> None:
    assert not changes("rises", [1, 1, 2], None, None).holds
    assert not changes("falls", [2, 1, 1], None, None).holds
    assert not greater(1, 1, None, None).holds
    assert not greater(1, 0, 1, None).holds
    assert equal([1], [1], 0).holds


def test_ratios_across_zero_are_not_decided_by_their_sign() -> None:
    with pytest.raises(CannotMeasureError, match="no meaning"):
        changes("rises", [-1, 2, 3], None, 2)
    with pytest.raises(CannotMeasureError, match="no meaning"):
        greater(-1, -3, None, 2)
    unbounded = changes("falls", [2, 1, 0], None, 5)
    assert unbounded.holds and unbounded.quantity is None and unbounded.margin is None
    assert not greater(0, 0, None, 2).holds
    assert greater(1e300, 1e-300, None, 2).quantity is None


def test_spread_is_relative_to_the_size_of_the_median() -> None:
    assert within([9, 10, 11], 0.2).holds
    assert not within([9, 10, 11.1], 0.2).holds
    assert not within([-9, -10, -11.1], 0.2).holds  # a negative median must not make every spread small
    assert within([0, 0], 0).holds
    with pytest.raises(CannotMeasureError, match="median is 0"):
        within([-1, 0, 1], 0.2)
    with pytest.raises(CannotMeasureError, match="at least two"):
        within([1], 0.2)


def test_equality_is_that_of_single_runs_not_of_means() -> None:
    assert not equal([0.5, -0.5], None, 0).holds
    assert equal([0.5, -0.5], None, 0.5).holds
    assert equal([1, 3], [2], 0.5).margin == -0.5


@settings(deadline=None, max_examples=25)
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=6), st.floats(0, 1e6))
def test_falling_is_rising_backwards_and_margins_have_the_verdicts_sign(values: list[float], by: float) -> None:
    rising, falling = changes("rises", values, by, None), changes("falls", values[::-1], by, None)
    assert rising == falling or rising.remark != falling.remark and rising.holds == falling.holds
    assert rising.margin is not None and (rising.margin >= 0 if rising.holds else rising.margin <= 0)
