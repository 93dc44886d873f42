"""``harness compare``: a table of finished runs over the comparable numbers, and what differs between them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness import latex
from harness.cli.compare_columns import (
    all_columns,
    chosen_columns,
    field_text,
    fields_of,
    file_names,
    further,
    marked_column,
    number_header,
    number_text,
    of_spread,
    printed_columns,
    remarks,
    terms,
)
from harness.cli.compare_latex import printed
from harness.cli.compare_lines import (
    COLUMNS,
    SEEDS,
    Line,
    by_size,
    differing,
    experiment_of,
    find_runs,
    lines_over_seeds,
    make_lines,
    sort_lines,
)  # fmt: skip
from harness.cli.console import make_console
from harness.cli.tables import NARROWER, check_folder_of, line, num_of, tables_of_width, width_of
from harness.config.claims import LOSSES, loss_name
from harness.config.identity import canonical_json
from harness.measures.names import HELDOUT_STYLE, HELDOUT_STYLE_OPTIMISED
from harness.results import Part, Run
from harness.results.alike import ADVICE, MeasuredAlike
from harness.runs.store import write_durably

NAMES = ("experiment", "earlier", "cases", "trial", SEEDS)
"""What a run is called by; beside the numbers they stand alone where everything that differs is too wide."""

WIDEST_FIELDS = 2 / 3
"""Of the terminal; where they are wider, they have a table of their own before the numbers."""


class Choice(NamedTuple):
    """Which runs are compared, and how.

    Attributes:
        sort: a number or a field, with ``-`` in front from the largest.
        all_runs: also the repeats, which have no panel.
        over_seeds: one line for the runs that differ in nothing but their seed, second computations left out.
        columns: the numbers that are shown, such as ``ssim,loss/total``.
        latest: only the grid, or the search, that was asked for last.
    """

    sort: str | None = None
    all_runs: bool = False
    over_seeds: bool = False
    columns: str | None = None
    latest: bool = False


def compare_runs(
    paths: Sequence[Path], choice: Choice, csv_path: Path | None = None, latex_path: Path | None = None
) -> None:
    """Print the table, one for each size of pictures, and write it as CSV or for LaTeX where that is asked for.

    Args:
        paths: folders of experiments, sweeps or single runs.
        choice: which runs, and how.
        csv_path: also written there.
        latex_path: also written there, for LaTeX.

    Raises:
        UsageError: a path is no such folder, nothing is done, or there is no such number to show or to sort by.
        StorageError: a file cannot be written.
    """
    console = make_console()
    parts: tuple[Part, ...] = ("grid", "repeat", "again") if choice.all_runs else ("grid",)
    if choice.over_seeds:
        parts = ("grid", "repeat")  # a second computation of the same transfer is no further seed
    runs, notes = find_runs(paths, parts, choice.latest)
    lines = lines_over_seeds(runs) if choice.over_seeds else make_lines(runs)
    if choice.sort is not None:
        lines = sort_lines(lines, choice.sort)
    columns = chosen_columns(choice.columns, lines)
    tables = by_size(lines)
    if len(tables) > 1:
        sizes = ", ".join(f"{size} px" for size in tables)
        console.print(line(f"Numbers compare at one size only; there are {sizes}, so each has a table of its own.\n"))
    for size, some in tables.items():
        console.print(line(f"{num_of(len(some), 'line' if choice.over_seeds else 'run')} at {size} px"))
        _print(console, some, columns or all_columns(some))
        console.print()
    for note in (*remarks(lines, columns or COLUMNS), *of_spread(lines), *notes, *_mixed(runs, columns)):
        console.print(line(note))
    if csv_path is not None:
        _write_csv(csv_path, [one for some in tables.values() for one in some], columns)
        size_note = " (all sizes, in the column size: compare within one only)" if len(tables) > 1 else ""
        console.print(line(f"Written: {csv_path}{size_note}"))
    if latex_path is not None:
        check_folder_of(latex_path, "--latex")
        label = "-".join(dict.fromkeys(experiment_of(run) for run in runs))
        written = [
            printed(
                some,
                columns or printed_columns(some),
                label,
                latex_path.stem + (f"-{size}px" if len(tables) > 1 else ""),
                MeasuredAlike(runs).told(columns or printed_columns(some)),
                has_all=bool(columns),
            )
            for size, some in tables.items()
        ]
        write_durably(latex_path, latex.PACKAGES + "\n".join(each.text for each in written))
        console.print(line(f"Written: {latex_path}"))
        if left_out := list(dict.fromkeys(name for each in written for name in each.left_out)):
            console.print(line(f"Left out of it, a page being too narrow: {', '.join(left_out)}; --columns chooses."))


def _mixed(runs: Sequence[Run], columns: Sequence[str] | None) -> list[str]:
    """Why some of the numbers that are shown are left out, where they are."""
    told = MeasuredAlike(runs).told(columns)
    return [" ".join([*told, ADVICE])] if told else []


def _print(console: Console, lines: Sequence[Line], columns: Sequence[str]) -> None:
    """The table of lines of one size, or several of them where the terminal is too narrow for one."""
    fields, marked = fields_of(lines), marked_column(columns)
    for widest in (None, *NARROWER):  # what differs is folded as far as the terminal asks for it
        table = _table(lines, columns, fields, marked, widest)
        if width_of(console, table) <= console.width:
            console.print(table)
            return
    if width_of(console, _table(lines, (), fields, marked)) > WIDEST_FIELDS * console.width:
        for table in tables_of_width(console, fields, lambda some: _table(lines, (), some, marked)):
            console.print(table)
        console.print()
        fields = [name for name in fields if name in NAMES]
    for table in tables_of_width(console, columns, lambda some: _table(lines, some, fields, marked)):
        console.print(table)


def _table(
    lines: Sequence[Line], columns: Sequence[str], fields: Sequence[str], marked: str, widest: int | None = None
) -> Table:
    table = Table(box=None, pad_edge=False)
    for field in ("run", *fields):
        table.add_column(Text(field), overflow="fold", max_width=None if field == "run" else widest)
    for name in columns:
        table.add_column(Text(number_header(name)), justify="right", no_wrap=True, vertical="bottom")
    names = file_names(lines)
    for one in lines:
        values = [Text(field_text(one, name, names)) for name in fields]
        table.add_row(one.runs[0].id, *values, *(number_text(one, name, marked) for name in columns))
    return table


def _write_csv(path: Path, lines: Sequence[Line], columns: Sequence[str] | None) -> None:
    """Every line with its numbers, all of them or those chosen, and their standard deviations.

    What a run does not have is blank.
    """
    check_folder_of(path, "--csv")
    fields = [*differing(lines), *(["size"] if len(by_size(lines)) > 1 else [])]
    numbers = columns or [*COLUMNS, *map(loss_name, LOSSES), *terms(lines), *further(lines)]
    rows: list[dict[str, Any]] = []
    for one in lines:
        row: dict[str, Any] = {"id": " ".join(run.id for run in one.runs)}
        row |= {name: _plain(one.fields.get(name)) if one.uses(name) else None for name in fields}
        for name in numbers:
            row[name] = one.numbers.get(name)
            if any(other.sds for other in lines):
                row[f"{name}_sd"] = one.sds.get(name)
        signs = {"settled": one.settled} | (
            {HELDOUT_STYLE_OPTIMISED: one.is_optimised} if HELDOUT_STYLE in numbers else {}
        )
        rows.append(row | signs)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_durably(path, text.getvalue())


def _plain(value: Any) -> Any:
    return canonical_json(value) if isinstance(value, dict | list) else value
