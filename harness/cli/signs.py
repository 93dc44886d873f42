"""The signs that stand for how far runs have come."""

from __future__ import annotations

from rich.text import Text

from harness.cli.tables import duration, shown_label
from harness.results.standing import Stage, Standing

SIGNS = {
    Stage.DONE: ("✓", "green"),
    Stage.RUNNING: ("▶", "cyan"),
    Stage.INTERRUPTED: ("‖", "yellow"),
    Stage.FAILED: ("✗", "red"),
    Stage.PRUNED: ("✂", "magenta"),
    Stage.WAITING: ("·", "dim"),
    Stage.DAMAGED: ("!", "red"),
}
"""What stands in a cell, and its colour on a terminal; also readable without."""


def cell(standing: Standing | None) -> Text:
    """A sign and how far it is."""
    if standing is None:
        return Text("")
    sign, style = SIGNS[standing.stage]
    text = {
        Stage.DONE: duration(standing.used_s),
        Stage.RUNNING: f"{standing.num_evaluations}/{standing.steps}",
        Stage.INTERRUPTED: f"{standing.num_evaluations}/{standing.steps}",
        Stage.PRUNED: f"at {standing.num_evaluations}",
    }.get(standing.stage, "")
    return Text(f"{sign} {text}".strip(), style=style)


def named(standing: Standing) -> str:
    """Id and label."""
    return f"{standing.run.id} ({shown_label(standing.run.label)})"
