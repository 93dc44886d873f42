"""Which iterates of a run are kept."""

from __future__ import annotations


def is_log_spaced(evaluation: int, steps: int) -> bool:
    """Whether an evaluation is 1, 2 or 5 times a power of ten, or the last: where iterates are kept."""
    return evaluation == steps or str(evaluation).rstrip("0") in ("1", "2", "5")
