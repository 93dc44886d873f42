"""A sweep's trials in the terminal: the best so far, and the last ones."""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from harness.cli.signs import cell, named
from harness.cli.tables import MISSING, line, num_of, shown, shown_label
from harness.config.sweep import Sweep
from harness.figures.outcomes import non_dominated
from harness.results.standing import Overall, Stage, Standing

NUM_LAST_TRIALS = 8


def trials(one: Overall, sweep: Sweep) -> list[RenderableType]:
    """The best so far, and the last trials."""
    valued = [(standing, values) for standing in one.grid if (values := _values(standing, sweep)) is not None]
    parts: list[RenderableType] = []
    if not valued:
        parts.append(line("No trial has a value yet."))
    elif len(sweep.objectives) == 1:
        best, values = min(valued, key=lambda pair: pair[1])
        parts.append(line(f"Best {sweep.objectives[0]} so far: {shown(values[0])}, {named(best)}"))
    else:
        all_values = [values for _, values in valued]
        front = [all_values[index] for index in non_dominated(all_values)]
        least = ", ".join(f"{name} {shown(min(v[k] for v in front))}" for k, name in enumerate(sweep.objectives))
        parts.append(line(f"Front so far: {num_of(len(front), 'trial')} of {len(valued)}; least {least}"))
    table = Table(box=None, pad_edge=False)
    for header in ("last trials", "", *sweep.objectives, "fields"):
        table.add_column(header, justify="right" if header in sweep.objectives else "left", overflow="fold")
    for standing in one.grid[-NUM_LAST_TRIALS:]:
        sign = cell(standing)
        sign.append("" if standing.stage in (Stage.RUNNING, Stage.INTERRUPTED) else f" {standing.stage.value}")
        values_told = _values(standing, sweep)
        numbers = [shown(value) for value in values_told] if values_told else [MISSING] * len(sweep.objectives)
        fields = {part: value for part, value in standing.run.label.items() if part != "trial"}
        trial = str(standing.run.label.get("trial", standing.run.id))
        table.add_row(trial, sign, *numbers, Text(shown_label(fields)))
    return [*parts, *([table] if one.grid else [])]


def _values(standing: Standing, sweep: Sweep) -> list[float] | None:
    """What a finished trial was told to the study."""
    if standing.stage is not Stage.DONE:
        return None
    values = [standing.run.metrics.get(name) for name in sweep.objectives]
    return [value for value in values if value is not None] if None not in values else None
