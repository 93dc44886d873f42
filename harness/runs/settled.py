"""Whether a finished run had settled: one rule for tables, W&B, claims and figures. Nothing here imports torch.

A run that made all its evaluations is done, and yet its picture may be one of its first iterates, or one of a loss that
was still falling. Two of its numbers tell: ``kept_evaluation``, whose picture was kept, and ``still_falling``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.config.transfer import Transfer
from harness.measures.names import EVALUATIONS, KEPT_EVALUATION, STILL_FALLING
from harness.runs.store import Manifest, Metrics, Status

LATEST = 10
"""One in so many of the evaluations at the final size are the latest ones; with fewer there are none."""

FALLING = 0.1
"""Part of itself by which a settled run's loss changes over them at most; one that goes as 1/n falls by so much."""

KEPT_LATE = 0.25
"""Part of its evaluations at the final size that a settled run was above its lowest loss at most, at the end."""

EXPLAINED = (
    "not settled: over its last tenth the loss still fell, or stood above its lowest, by more than "
    f"{FALLING:.0%} (still_falling), or the picture is from before the last {KEPT_LATE:.0%}; such numbers are of a "
    "picture on its way."
)
"""What stands below marks."""

MARK = "†"
"""Stands behind a number of a run that had not settled."""


def still_falling(totals: Sequence[float]) -> float:
    """By which part of itself the lowest total loss fell over the last tenth of the evaluations at the final size.

    Args:
        totals: the total loss at each of them, in order; NaN where there is none.

    Returns:
        (before − latest) / max(|before|, |latest|), the lowest loss before the last tenth and the lowest in it; in
        [−1, 1] for losses ≥ 0. 0: flat; below 0: it was lower before. NaN for fewer than ten evaluations, of which
        nothing can be said, and where there is no loss.
    """
    num_latest = len(totals) // LATEST
    if not num_latest:
        return math.nan
    before, latest = _lowest(totals[:-num_latest]), _lowest(totals[-num_latest:])
    if math.isinf(before) or math.isinf(latest):  # nothing there was a number
        return math.nan
    return (before - latest) / (max(abs(before), abs(latest)) or 1.0)


def _lowest(totals: Sequence[float]) -> float:
    return min((total for total in totals if not math.isnan(total)), default=math.inf)


def why_unsettled(manifest: Manifest, transfer: Transfer) -> str | None:
    """What tells that a run had not settled.

    Returns:
        A sentence without its full stop; empty where it had, as one that the optimiser itself ended (converged,
        stalled); None where nothing can be said: it is not done, minimises no loss, or had fewer than ten evaluations.
    """
    if manifest.status is not Status.DONE:
        return None
    if manifest.reason:  # of a run that is done: the optimiser's own
        return ""
    falling = manifest.metrics.get(STILL_FALLING)
    if falling is None:
        return None
    if early := _early_picture(manifest.metrics, transfer):
        return early
    if falling < -FALLING:
        return "over the last tenth of its evaluations its loss never came as low again as before"
    return f"its loss still fell by {falling:.0%} over the last tenth of its evaluations" if falling > FALLING else ""


def settled(manifest: Manifest, transfer: Transfer) -> bool | None:
    """Whether a run had settled; None where nothing can be said, see ``why_unsettled``."""
    why = why_unsettled(manifest, transfer)
    return None if why is None else not why


def early_picture(manifest: Manifest, transfer: Transfer) -> str:
    """The sentence where an unsettled run's lowest loss was long before its end: it diverged; else empty."""
    return _early_picture(manifest.metrics, transfer) if settled(manifest, transfer) is False else ""


def _early_picture(metrics: Metrics, transfer: Transfer) -> str:
    kept, last = metrics.get(KEPT_EVALUATION), metrics.get(EVALUATIONS)
    num_final = transfer.steps - transfer.photorealism.first_stage
    if kept is None or last is None or last - kept <= KEPT_LATE * num_final:
        return ""
    return f"its picture is that of evaluation {kept:.0f} of {last:.0f}; the loss never was as low again"
