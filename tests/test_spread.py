"""How a number and its spread over seeds are written: digits that match, in every table alike."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.results.spread import number_text, spread_text, standard_deviation


@pytest.mark.parametrize(
    ("mean", "sd", "text"),
    [
        (0.1033, 0.01, "0.103 ± 0.010"),
        (0.3667, 0.04714, "0.367 ± 0.047"),
        (101.5, 2.1213, "101.5 ± 2.1"),
        (37091.0, 1234.0, "37100 ± 1200"),
        (0.5, 0.0996, "0.50 ± 0.10"),  # rounded up it has one decimal less
        (99.96, 1.4, "100.0 ± 1.4"),
        (0.0002, 0.0123, "0.000 ± 0.012"),
        (-0.25, 0.031, "-0.250 ± 0.031"),
        (457.2, 27.9, "457 ± 28"),
        (0.0, 0.02, "0.000 ± 0.020"),
        (0.000213, 2.1e-05, "0.000213 ± 0.000021"),
        (9.1e-05, 2e-06, "(9.10 ± 0.20)e-05"),
        (1.234e7, 1.5e5, "(1.234 ± 0.015)e+07"),
        (1e-08, 2e-06, "(0.0 ± 2.0)e-06"),
        (9.999e-05, 4e-07, "(9.999 ± 0.040)e-05"),
    ],
)
def test_mean_and_deviation_end_at_the_same_decimal_place(mean: float, sd: float, text: str) -> None:
    assert spread_text(mean, sd, 4) == text


@pytest.mark.parametrize("sd", [None, 0.0])
def test_a_number_without_a_spread_stands_alone(sd: float | None) -> None:
    assert spread_text(30.0, sd, 4) == "30" and spread_text(0.10333, sd, 3) == "0.103"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.01234, "0.0123"), (12345.0, "12300"), (1.234e-05, "1.23e-05"), (999999.0, "1e+06"), (30.0, "30"), (0.0, "0")],
)
def test_a_number_below_a_million_is_written_out(value: float, text: str) -> None:
    assert number_text(value, 3) == text


@settings(deadline=None, max_examples=100)
@given(st.floats(-1e9, 1e9), st.floats(1e-9, 1e9))
def test_what_is_written_is_what_was_measured(mean: float, sd: float) -> None:
    text = spread_text(mean, sd, 4)
    first, second, power = re.fullmatch(r"\(?(-?[\d.]+) ± ([\d.]+)(?:\)e([+-]\d+))?", text).groups()  # type: ignore[union-attr]
    unit = 10.0 ** int(power or 0)
    assert float(second) * unit == pytest.approx(sd, rel=0.051)
    assert float(first) * unit == pytest.approx(mean, rel=1e-9, abs=0.051 * sd)
    assert len(first.partition(".")[2]) == len(second.partition(".")[2])


def test_deviation_is_that_of_a_sample() -> None:
    assert standard_deviation([100, 103]) == pytest.approx(4.5**0.5) and standard_deviation([1]) is None
