"""What is known of a claim: its numbers, what came of it in each group of runs, and the verdict."""

from __future__ import annotations

import enum
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from harness.config.claims import Claim
from harness.results.spread import standard_deviation


class State(enum.Enum):
    """What is known of a claim; the value is the word for the user."""

    HOLDS = "holds"
    DOES_NOT_HOLD = "does not hold"
    NOT_MEASURED = "not measured"


def counted_verdicts(verdicts: Iterable[str]) -> str:
    """``3 hold, 1 does not hold``, of the values of states."""
    plural = {"holds": "hold", "does not hold": "do not hold"}
    counts = Counter(verdicts)
    return ", ".join(f"{num} {plural.get(verdict, verdict) if num > 1 else verdict}" for verdict, num in counts.items())


_UNBOUNDED = {State.HOLDS: math.inf, State.NOT_MEASURED: math.inf, State.DOES_NOT_HOLD: -math.inf}
"""What stands for a margin where there is none."""


@dataclass(frozen=True)
class Number:
    """A cell's number.

    Attributes:
        label: the cell's, without the seed; of a set of runs what they share.
        values: one for each run, or one for the set.
        run_ids: the runs, in the same order.
    """

    label: Mapping[str, Any]
    values: tuple[float, ...]
    run_ids: tuple[str, ...]

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return fmean(self.values)

    @property
    def sd(self) -> float | None:
        """Standard deviation over the seeds (``harness.results.spread``); None where there is one."""
        return standard_deviation(self.values)

    @property
    def num_seeds(self) -> int:
        """How many runs it was measured on."""
        return len(self.run_ids)


@dataclass(frozen=True)
class Finding:
    """What came of a claim in one group of runs.

    Attributes:
        group: the label parts that the claim does not name; empty where it names all.
        of: the numbers, in order; those of a claim's steps along its axis.
        than: the numbers they are compared with.
        state: the group's verdict.
        quantity: what was held against the bound; None where nothing was, or a ratio is unbounded.
        margin: by how much it holds or fails.
        remark: why nothing was measured, or where it fails; empty otherwise.
        name: the group's on one line, files in it by their names among all runs'.
    """

    group: Mapping[str, Any]
    state: State
    of: tuple[Number, ...] = ()
    than: tuple[Number, ...] = ()
    quantity: float | None = None
    margin: float | None = None
    remark: str = ""
    name: str = ""


@dataclass(frozen=True)
class Verdict:
    """A claim and what came of it.

    Attributes:
        claim: as the experiment states it.
        findings: one for each group.
        notes: what a reader must know to weigh the verdict.
    """

    claim: Claim
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def worst(self) -> Finding:
        """The finding that decides: one that fails, else one that is not measured, else one that holds.

        Of several the one with the smallest margin; one whose margin nothing bounds holds, or fails, by the most.
        """
        order = (State.DOES_NOT_HOLD, State.NOT_MEASURED, State.HOLDS)
        return min(
            self.findings,
            key=lambda finding: (
                order.index(finding.state),
                finding.margin if finding.margin is not None else _UNBOUNDED[finding.state],
            ),
        )

    @property
    def state(self) -> State:
        """The verdict: one group in which it fails refutes a claim; it holds only where every group was measured."""
        return self.worst.state

    @property
    def bound(self) -> str:
        """The bound in words."""
        return bound_text(self.claim)


def bound_text(claim: Claim) -> str:
    """A claim's bound on one line, e.g. ``falls at every step, in all by ≥ 0.05``."""
    by = f"{claim.by:g}" if claim.by is not None else ""
    factor = f"{claim.factor:g}" if claim.factor is not None else ""
    match claim.expect:
        case "rises" | "falls":
            total = f", in all by ≥ {by}" if by else f", in all ≥ {factor} times" if factor else ""
            return f"{claim.expect} at every step{total}"
        case "within":
            return f"(max − min)/median ≤ {by or 0}"
        case "equal":
            if claim.by:
                return f"differ by ≤ {by}" if claim.than is not None else f"≤ {by} from 0"
            return "exactly equal" if claim.than is not None else "exactly 0"
        case "greater_than":
            if claim.than is None:
                return f"> {by or 0}"
            return f"greater, by > {by}" if by else f"greater, > {factor} times" if factor else "greater in every run"
