"""How far runs have come, read from their folders: nothing is computed, nothing is changed."""

from __future__ import annotations

import enum
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.config.sweep import Sweep
from harness.errors import StorageError
from harness.results import Results, Run
from harness.runs.store import Status

TAIL_BYTES = 1 << 14
"""About the last 100 lines of a history; reading whole ones would take a second for a hundred runs of 500 steps."""

NUM_LINES_OF_SPEED = 20
"""Over so many evaluations the present speed is taken."""


class Condition(enum.Enum):
    """What a run is about right now; the value is what a legend says."""

    DONE = "done"
    RUNNING = "being computed"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    PRUNED = "pruned"
    WAITING = "not begun"
    GONE = "gone with another experiment"
    DAMAGED = "damaged"


ENDED = (Condition.DONE, Condition.FAILED, Condition.PRUNED)


@dataclass(frozen=True)
class Standing:
    """How far one run has come.

    Attributes:
        run: the run.
        condition: what it is about right now.
        why: the reason of a failure, an early end or a loss; empty otherwise.
        num_evaluations: loss evaluations behind it.
        steps: all it is to do, over all sizes and stages.
        used_s: seconds computed, interruptions left out.
        batch: with how many runs it shared those seconds, itself included.
        age_s: seconds since its history's last line; None without one.
        speed_s: seconds an evaluation takes at present; None where that cannot be told.
    """

    run: Run
    condition: Condition
    why: str
    num_evaluations: int
    steps: int
    used_s: float
    batch: int
    age_s: float | None
    speed_s: float | None

    @property
    def left_s(self) -> float | None:
        """Seconds left at the present speed."""
        return None if self.speed_s is None else (self.steps - self.num_evaluations) * self.speed_s

    @property
    def is_unsettled(self) -> bool:
        """Whether it is done, and its loss had not settled (``harness.runs.settled``)."""
        return self.condition is Condition.DONE and self.run.settled is False


def standing(run: Run) -> Standing:
    """Look at one run's folder."""
    lines, age_s = last_lines(run.folder.history_path)
    num_evaluations, used_s = lines[-1] if lines else (0, 0.0)
    first = lines[-NUM_LINES_OF_SPEED:][0] if lines else (0, 0.0)
    speed_s = (used_s - first[1]) / (num_evaluations - first[0]) if num_evaluations > first[0] else None
    condition, why = _condition(run)
    batch = 1 if condition is Condition.DAMAGED or not run.manifest else run.manifest.provenance.get("batch", 1)
    return Standing(run, condition, why, num_evaluations, run.num_evaluations, used_s, batch, age_s, speed_s)


def _condition(run: Run) -> tuple[Condition, str]:
    try:
        status, why = run.status, run.reason
    except StorageError as error:
        return Condition.DAMAGED, str(error)
    if status in (Status.DONE, Status.FAILED, Status.PRUNED, Status.GONE):
        return Condition[status.name], why
    if run.is_in_use():
        return Condition.RUNNING, ""
    if status is Status.RUNNING and why:  # it was done, and has lost its picture
        return Condition.DAMAGED, why
    return (Condition.INTERRUPTED if status is Status.RUNNING else Condition.WAITING), ""


def last_lines(path: Path) -> tuple[list[tuple[int, float]], float | None]:
    """Evaluation and seconds of a history's last whole lines, and how many seconds ago it was written."""
    try:
        with open(path, "rb") as file:
            header = file.readline()
            size_bytes = file.seek(0, 2)
            file.seek(max(len(header), size_bytes - TAIL_BYTES))
            text = file.read()
        age_s = max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return [], None
    whole = text[: text.rfind(b"\n") + 1].splitlines()
    if len(text) == TAIL_BYTES:
        whole = whole[1:]  # it may begin in the middle of a line
    lines = []
    for line in whole:
        evaluation, _, rest = line.partition(b",")
        try:
            lines.append((int(evaluation), float(rest.partition(b",")[0])))
        except ValueError:
            continue  # a torn line; the next attempt rolls it back
    return lines, age_s if lines else None


@dataclass(frozen=True)
class Overall:
    """How far an experiment or a sweep has come.

    Attributes:
        results: the experiment or sweep.
        standings: of all its runs, in their order.
    """

    results: Results
    standings: Sequence[Standing]

    @property
    def grid(self) -> list[Standing]:
        """Those that have a panel."""
        return [standing for standing in self.standings if standing.run.part == "grid"]

    @property
    def num_planned(self) -> int:
        """How many runs there are to be: the cells, or a sweep's budget."""
        definition = self.results.definition
        return max(len(self.grid), definition.budget.trials) if isinstance(definition, Sweep) else len(self.grid)

    @property
    def is_ended(self) -> bool:
        """Whether there is nothing left to compute."""
        return len(self.grid) >= self.num_planned and all(standing.condition in ENDED for standing in self.standings)

    @property
    def num_failed(self) -> int:
        """Runs that failed or cannot be read."""
        return sum(standing.condition in (Condition.FAILED, Condition.DAMAGED) for standing in self.standings)

    @property
    def used_s(self) -> float:
        """About how many seconds were computed: a run's time is its batch's, so each counts its share of that."""
        return sum(standing.used_s / standing.batch for standing in self.standings)

    @property
    def left_s(self) -> float | None:
        """Seconds left if what is being computed now goes on as fast and the others follow at that rate."""
        running = [s for s in self.standings if s.condition is Condition.RUNNING and s.speed_s]
        if not running:
            return None
        rate_per_s = sum(1 / standing.speed_s for standing in running if standing.speed_s)
        num_unbegun = self.num_planned - len(self.grid)
        steps = [s.steps for s in self.grid] or [0]
        open_ = [s.steps - s.num_evaluations for s in self.standings if s.condition not in ENDED]
        by_rate_s = (sum(open_) + num_unbegun * sum(steps) / len(steps)) / rate_per_s
        return max([by_rate_s, *(standing.left_s or 0.0 for standing in running)])


def overall(results: Results) -> Overall:
    """Look at all runs' folders."""
    return Overall(results, [standing(run) for run in results.all_runs])


def counted(standings: Iterable[Standing]) -> str:
    """``2 done (1 not settled), 1 failed``."""
    some = list(standings)
    counts = Counter(standing.condition for standing in some)
    told = {condition: f"{counts[condition]} {condition.value}" for condition in Condition if counts[condition]}
    if num_unsettled := sum(standing.is_unsettled for standing in some):
        told[Condition.DONE] += f" ({num_unsettled} not settled)"
    return ", ".join(told.values()) or "none yet"
