"""What ``harness run`` prints of an experiment's runs; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.cli.tables import MISSING, NARROWER, header, line, num_of, shown, width_of
from harness.config.claims import LOSS, LOSSES
from harness.config.file_names import FileNames
from harness.measures.names import ON_VGG16
from harness.runs.settled import EXPLAINED, MARK
from harness.runs.store import Metrics, Status

COLUMNS = (*LOSSES, "ssim", "reference_content", "reference_style", "heldout_style")
"""The last of them are left out where the terminal is too narrow for a run on one line; ``harness compare`` has all."""

FEWEST = 4
"""Columns for which labels are folded before one of them is left out."""


class MeasuredRun(NamedTuple):
    """A run as the table has it: id, label, part of the experiment, what its manifest says, whether it had settled."""

    id: str
    label: Mapping[str, Any]
    part: str
    status: Status
    metrics: Metrics
    settled: bool | None


def measured(runs: Iterable[MeasuredRun], console: Console) -> Group:
    """The table of what was measured of the grid, a sentence where some had not settled, a line on its repeats."""
    all_runs = list(runs)
    grid = [run for run in all_runs if run.part == "grid"]
    parts: list[RenderableType] = [_fitting(grid, console)]
    if num_unsettled := sum(run.settled is False for run in grid):
        is_or_are = "is" if num_unsettled == 1 else "are"
        parts.append(line(f"{MARK} {num_unsettled} of {num_of(len(grid), 'run')} {is_or_are} {EXPLAINED}"))
    others = [run for run in all_runs if run.part != "grid"]
    if others:
        done = sum(run.status is Status.DONE for run in others)
        parts.append(line(f"and {done} of {len(others)} repeats of these, for the claims' spread"))
    return Group(*parts)


def _fitting(grid: Sequence[MeasuredRun], console: Console) -> Table:
    """A line for each run: in a narrow terminal fewer numbers, then folded labels, then still fewer numbers."""
    on_vgg16 = [name for name in ON_VGG16 if any(run.metrics.get(name) is not None for run in grid)]
    terms = dict.fromkeys(name for run in grid for name in run.metrics if name.startswith(LOSS))
    losses = COLUMNS[: len(LOSSES)]
    columns = (*losses, *terms, *COLUMNS[len(losses) :], *on_vgg16, "seconds")
    kept: list[tuple[int, int | None]] = [(num, None) for num in range(len(columns), FEWEST, -1)]
    kept += [(num, widest) for num in range(FEWEST, 0, -1) for widest in (None, *NARROWER)]
    tables = (_table(grid, columns[:num], widest) for num, widest in kept)
    return next((table for table in tables if width_of(console, table) <= console.width), _table(grid, columns[:1], 10))


def _table(grid: Sequence[MeasuredRun], columns: Sequence[str], widest: int | None = None) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("run", no_wrap=True, vertical="bottom")
    fields = list(dict.fromkeys(part for run in grid for part in run.label))
    for name in fields:
        table.add_column(Text("" if name == "cases" else name), overflow="fold", max_width=widest)
    for name in columns:
        table.add_column(Text(header(name)), justify="right", no_wrap=True)
    names = FileNames(run.label for run in grid)
    for run in grid:
        label = names.label(run.label)
        table.add_row(
            run.id,
            *(Text(shown(label[name]) if name in label else MISSING) for name in fields),
            *(_number(run, name) for name in columns),
        )
    return table


def _number(run: MeasuredRun, name: str) -> str:
    value = run.metrics.get(name)
    mark = MARK if name == "total" and run.settled is False else ""
    return MISSING if value is None else shown(float(value)) + mark
