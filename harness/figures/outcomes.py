"""What a sweep's trials came to, as figures need it: numbers, values, states."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from harness.config.sweep import Sweep
from harness.figures.labels import format_value, label, weight_caption
from harness.results import Results, Run
from harness.runs.store import Status

OutcomeState = Literal["complete", "pruned", "failed", "not ended"]

_STATE_OF_RECORD: dict[str, OutcomeState] = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
_STATE_OF_RUN: dict[Status, OutcomeState] = {Status.DONE: "complete", Status.PRUNED: "pruned", Status.FAILED: "failed"}


@dataclass(frozen=True)
class TrialOutcome:
    """One trial.

    Attributes:
        number: Optuna's.
        run: its run.
        state: ``complete`` only with ``values``.
        values: one for each objective, finite; empty unless complete.
        costs: the same, of each of which the smaller is the better one (see ``Sweep.costs``).
        intermediate: value by evaluation, measured on the way; rising.
    """

    number: int
    run: Run
    state: OutcomeState
    values: tuple[float, ...] = ()
    intermediate: Mapping[int, float] = field(default_factory=dict)
    costs: tuple[float, ...] = ()

    @property
    def is_settled(self) -> bool:
        """Whether nothing tells that it is complete and yet had not settled (``harness.runs.settled``)."""
        return self.state != "complete" or self.run.settled is not False


def outcomes(results: Results) -> list[TrialOutcome]:
    """A sweep's trials by number.

    A trial's record in the run's manifest says what was told to the study; a run without one, as of a study that linked
    a finished run, is taken by its own comparable numbers.

    Raises:
        ValueError: not a sweep's results.
    """
    sweep = sweep_of(results)
    found = (_outcome(run, k, results.study, sweep) for k, run in enumerate(results.runs))
    return sorted(found, key=lambda trial: trial.number)


def sweep_of(results: Results) -> Sweep:
    """What was searched.

    Raises:
        ValueError: it is an experiment.
    """
    if not isinstance(results.definition, Sweep):
        raise ValueError(f"{results.name} is an experiment; harness.figures.results.draw_results draws either.")
    return results.definition


def non_dominated(values: Sequence[Sequence[float]]) -> list[int]:
    """Places of the values that no other is at least as good as everywhere and better somewhere; all are minimised.

    Args:
        values: finite numbers, equally many for each trial. Equal ones are all kept.

    Returns:
        Places in ``values``, rising.
    """
    order = sorted(range(len(values)), key=lambda k: tuple(values[k]))
    front: list[int] = []  # in lexicographic order nothing later dominates anything earlier
    for k in order:
        kept = np.array([values[j] for j in front], dtype=np.float64).reshape(len(front), len(values[k]))
        own = np.array(values[k], dtype=np.float64)
        if not ((kept <= own).all(axis=1) & (kept < own).any(axis=1)).any():
            front.append(k)
    return sorted(front)


def counted(trials: Sequence[TrialOutcome]) -> str:
    """``40 trials: 36 complete, 3 pruned, 1 failed``."""
    counts = Counter(trial.state for trial in trials)
    states: tuple[OutcomeState, ...] = ("complete", "pruned", "failed", "not ended")
    parts = ", ".join(f"{counts[state]} {state}" for state in states if counts[state])
    return f"{len(trials)} trial{'s' * (len(trials) != 1)}" + (f": {parts}" if parts else "")


def caption_lines(trial: TrialOutcome) -> list[str]:
    """What a picture of a sweep says of itself: number and content layer, α/β, and what else was chosen by name."""
    own = trial.run.label
    layer = (
        label(("content_layers",), (own["content_layers"],), {}).split(maxsplit=2) if "content_layers" in own else []
    )
    names = [label((part,), (own[part],), {}) for part in ("start", "content", "style") if part in own]
    short = ", ".join(names).replace("the photograph", "photo").replace("the painting", "painting")
    return [
        f"trial {trial.number}" + (f": {layer[-1]}" if layer else ""),
        weight_caption(trial.run.transfer, 2),
        *([short] if short else []),
    ]


def weights_line(trial: TrialOutcome) -> str:
    r"""The style layers' weights, ``$w_l$ (%): 31, 2, 40, 10, 17``; empty where they do not vary."""
    if not any(part.startswith("style_layers") for part in trial.run.label):
        return ""
    weights = trial.run.transfer.style_layers.values()
    total = sum(weights)
    return f"$w_l$ (%): {', '.join(f'{100 * weight / total:.0f}' for weight in weights)}" if total else ""


def objective_label(objective: str, sweep: Sweep) -> str:
    """An objective as an axis says it."""
    return f"{objective.replace('_', ' ')} ({'larger' if objective in sweep.maximised else 'smaller'} is better)"


def short_number(value: float) -> str:
    """Three significant digits."""
    return format_value(float(f"{value:.3g}"))


def _outcome(run: Run, place: int, study: str, sweep: Sweep) -> TrialOutcome:
    number = int(run.label.get("trial", place))
    own = [record for record in (run.manifest.trials if run.manifest else ()) if record["study"] == study]
    record: Mapping[str, Any] = next((record for record in own if record["number"] == number), own[0] if own else {})
    state = _STATE_OF_RECORD.get(record.get("state") or "") or _STATE_OF_RUN.get(run.status, "not ended")
    found: Sequence[Any] = ()
    if state == "complete":
        found = record.get("values") or [run.metrics.get(objective) for objective in sweep.objective_names]
        if not all(isinstance(value, int | float) and math.isfinite(value) for value in found):
            found, state = (), "failed"
    intermediate = {
        int(evaluation): float(value)
        for evaluation, value in sorted((record.get("intermediate") or {}).items(), key=lambda item: int(item[0]))
        if value is not None and math.isfinite(value)
    }
    values = tuple(map(float, found))
    return TrialOutcome(number, run, state, values, intermediate, sweep.costs(values) if values else ())
