"""What ``harness run`` prints of an experiment's runs; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table

from harness.cli.tables import MISSING, line, num_of, shown, shown_label
from harness.config.file_names import FileNames
from harness.measures.names import ON_VGG16
from harness.runs.settled import EXPLAINED
from harness.runs.store import Metrics, Status

COLUMNS = ("total", "content", "style", "ssim", "reference_content", "reference_style", "heldout_style", "seconds")


class MeasuredRun(NamedTuple):
    """A run as the table has it: id, label, part of the experiment, what its manifest says, whether it had settled."""

    id: str
    label: Mapping[str, Any]
    part: str
    status: Status
    metrics: Metrics
    settled: bool | None


def measured(runs: Iterable[MeasuredRun]) -> Group:
    """The table of what was measured of the grid, a sentence where some had not settled, a line on its repeats."""
    all_runs = list(runs)
    grid = [run for run in all_runs if run.part == "grid"]
    on_vgg16 = [name for name in ON_VGG16 if any(run.metrics.get(name) is not None for run in grid)]
    columns = (*COLUMNS[:-1], *on_vgg16, COLUMNS[-1])
    table = Table(box=None, pad_edge=False)
    table.add_column("run")
    for column in ("", *columns):
        table.add_column(column, justify="right" if column else "left")
    names = FileNames(run.label for run in grid)
    for run in grid:
        table.add_row(
            run.id, shown_label(names.label(run.label)), *(_number(run.metrics.get(column)) for column in columns)
        )
    parts: list[RenderableType] = [table]
    if num_unsettled := sum(run.settled is False for run in grid):
        is_or_are = "is" if num_unsettled == 1 else "are"
        parts.append(line(f"{num_unsettled} of {num_of(len(grid), 'run')} {is_or_are} {EXPLAINED}"))
    others = [run for run in all_runs if run.part != "grid"]
    if others:
        done = sum(run.status is Status.DONE for run in others)
        parts.append(line(f"and {done} of {len(others)} repeats of these, for the claims' spread"))
    return Group(*parts)


def _number(value: float | None) -> str:
    return MISSING if value is None else shown(float(value))
