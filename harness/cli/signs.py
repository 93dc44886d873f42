"""The signs that stand for how far runs have come."""

from __future__ import annotations

from rich.text import Text

from harness.cli.tables import duration, shown_label
from harness.results.standing import Standing, State

SIGNS = {
    State.DONE: ("✓", "green"),
    State.RUNNING: ("▶", "cyan"),
    State.INTERRUPTED: ("‖", "yellow"),
    State.FAILED: ("✗", "red"),
    State.PRUNED: ("✂", "magenta"),
    State.WAITING: ("·", "dim"),
    State.DAMAGED: ("!", "red"),
}
"""What stands in a cell, and its colour on a terminal; also readable without."""


def cell(standing: Standing | None) -> Text:
    """A sign and how far it is."""
    if standing is None:
        return Text("")
    sign, style = SIGNS[standing.state]
    text = {
        State.DONE: duration(standing.used_s),
        State.RUNNING: f"{standing.num_evaluations}/{standing.steps}",
        State.INTERRUPTED: f"{standing.num_evaluations}/{standing.steps}",
        State.PRUNED: f"at {standing.num_evaluations}",
    }.get(standing.state, "")
    return Text(f"{sign} {text}".strip(), style=style)


def named(standing: Standing) -> str:
    """Id and label."""
    return f"{standing.run.id} ({shown_label(standing.run.label)})"
