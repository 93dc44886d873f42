"""The spread of a number over seeds: one definition for tables, files and claims."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

EXPLAINED = "± is the standard deviation over n seeds (of a sample: n − 1)"
"""What stands beside numbers that have one; the n is said there."""


def standard_deviation(values: Sequence[float]) -> float | None:
    """Of a sample: √(Σ (x − mean)² / (n − 1)); None for fewer than two values, which have none."""
    return statistics.stdev(values) if len(values) > 1 else None
