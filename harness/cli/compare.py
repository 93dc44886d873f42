"""``harness compare``: a table of finished runs over the comparable numbers, and what differs between them."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness import latex
from harness.cli.compare_lines import (
    COLUMNS,
    SEEDS,
    Line,
    by_size,
    differing,
    find_runs,
    lines_over_seeds,
    make_lines,
    sort_lines,
)  # fmt: skip
from harness.cli.console import make_console
from harness.cli.tables import (
    MISSING,
    NARROWER,
    check_folder_of,
    header,
    line,
    num_of,
    shown,
    tables_of_width,
    width_of,
)
from harness.config.claims import LOSSES
from harness.config.file_names import FileNames
from harness.config.identity import canonical_json
from harness.measures.names import EVALUATIONS, HELDOUT_STYLE_OPTIMISED, KEPT_EVALUATION, ON_VGG16
from harness.results import Part
from harness.results.alike import MeasuredAlike
from harness.results.spread import EXPLAINED as SD_EXPLAINED
from harness.runs.settled import EXPLAINED, MARK
from harness.runs.store import write_durably

WHOLE_FIELDS = ("content_layers", "style_layers", "style")
"""A terminal shows these mappings whole; a CSV file has a column for each layer or painting, to be plotted."""


NAMES = ("experiment", "earlier", "cases", "trial", SEEDS)
"""What a run is called by; beside the numbers they stand alone where everything that differs is too wide."""

KEPT_OF = "kept of\nevaluations"
"""The header of ``kept_evaluation`` and ``evaluations``, in one column: 28 of 30."""

WIDEST_FIELDS = 2 / 3
"""Of the terminal; where they are wider, they have a table of their own before the numbers."""


PAGE_PT, COLUMN_PT, LETTER_PT = 496, 234, 4.6
"""Of a page and a column of CVPR, and of a letter in small type."""


def compare_runs(
    paths: Sequence[Path],
    csv_path: Path | None,
    *,
    sort: str | None,
    all_runs: bool,
    over_seeds: bool,
    latex_path: Path | None = None,
) -> None:
    """Print the table, one for each size of pictures, and write it as CSV or for LaTeX where that is asked for.

    Args:
        paths: folders of experiments, sweeps or single runs.
        csv_path: also written there.
        sort: a number or a field, with ``-`` in front from the largest.
        all_runs: also the repeats, which have no panel.
        over_seeds: one line for the runs that differ in nothing but their seed, second computations left out.
        latex_path: also written there, for LaTeX.

    Raises:
        UsageError: a path is no such folder, nothing is done, or there is no such number to sort by.
        StorageError: a file cannot be written.
    """
    console = make_console()
    parts: tuple[Part, ...] = ("grid", "repeat", "again") if all_runs else ("grid",)
    if over_seeds:
        parts = ("grid", "repeat")  # a second computation of the same transfer is no further seed
    runs, notes = find_runs(paths, parts)
    lines = lines_over_seeds(runs) if over_seeds else make_lines(runs)
    if sort is not None:
        lines = sort_lines(lines, sort)
    tables = by_size(lines)
    if len(tables) > 1:
        sizes = ", ".join(f"{size} px" for size in tables)
        console.print(line(f"Numbers compare at one size only; there are {sizes}, so each has a table of its own.\n"))
    for size, some in tables.items():
        console.print(line(f"{num_of(len(some), 'line' if over_seeds else 'run')} at {size} px"))
        fields = _fields(some)
        if (whole := _in_one_line(console, some, fields)) is not None:
            console.print(whole)
            console.print()
            continue
        if width_of(console, _table(some, (), fields)) > WIDEST_FIELDS * console.width:
            for table in tables_of_width(console, fields, partial(_table, some, ())):
                console.print(table)
            console.print()
            fields = [name for name in fields if name in NAMES]
        for table in tables_of_width(console, _columns(some), partial(_table, some, fields=fields)):
            console.print(table)
        console.print()
    _explain(console, lines, [*notes, *filter(None, [MeasuredAlike(runs).sentence])])
    if csv_path is not None:
        _write_csv(csv_path, [one for some in tables.values() for one in some])
        size_note = " (all sizes, in the column size: compare within one only)" if len(tables) > 1 else ""
        console.print(line(f"Written: {csv_path}{size_note}"))
    if latex_path is not None:
        check_folder_of(latex_path, "--latex")
        written = [_latex(some, size, "lines" if over_seeds else "runs") for size, some in tables.items()]
        write_durably(latex_path, latex.PACKAGES + "\n".join(written))
        console.print(line(f"Written: {latex_path}"))


def _explain(console: Console, lines: Sequence[Line], notes: Sequence[str]) -> None:
    for note in (*_remarks(lines), *notes):
        console.print(line(note))


def _remarks(lines: Sequence[Line]) -> Iterator[str]:
    """What the signs beside numbers mean."""
    if any(one.is_optimised for one in lines):
        yield "* the run optimised one of these layers: not held out."
    if any(one.settled is False for one in lines):
        yield f"{MARK} {EXPLAINED}"
    if any(one.sds for one in lines):
        yield f"{SD_EXPLAINED}, n in the column seeds."


def _latex(lines: Sequence[Line], size_px: int, noun: str) -> str:
    """The lines of one size as a table for LaTeX, without the runs' ids where something else tells them apart."""
    fields = _fields(lines)
    names = _file_names(lines)
    beside = [["", name.replace("_", " "), *(_field(one, name, names) for one in lines)] for name in fields]
    beside = beside or [["", "run", *(one.runs[0].id for one in lines)]]
    numbers = [[*_two_lines(name), *(_number(one, name) for one in lines)] for name in _columns(lines)]
    rest, tabulars = numbers, []
    while rest:
        num = next((n for n in range(len(rest), 1, -1) if _width_pt(beside + rest[:n]) <= PAGE_PT), 1)
        rows = [[latex.of_numbers(text) for text in row] for row in zip(*beside, *rest[:num], strict=True)]
        tabulars.append(latex.tabular("l" * len(beside) + "r" * num, rows[:2], rows[2:]))
        rest = rest[num:]
    told = " ".join([f"{len(lines)} {noun} at {size_px} px.", *_remarks(lines)])
    return latex.table(tabulars, latex.escape(told), is_wide=_width_pt(beside + numbers) > COLUMN_PT)


def _header(name: str) -> str:
    """What stands above a number, in a line or two."""
    return KEPT_OF if name == KEPT_EVALUATION else header(name)


def _two_lines(name: str) -> list[str]:
    """A number's name as two lines of a table's head."""
    first, _, second = _header(name).partition("\n")
    return [first, second.replace("_", " ")] if second else ["", first]


def _width_pt(columns: Sequence[Sequence[str]]) -> float:
    """About how wide columns of text are in LaTeX's small type."""
    return sum(LETTER_PT * max(map(len, column)) + 6 for column in columns)


def _in_one_line(console: Console, lines: Sequence[Line], fields: Sequence[str]) -> Table | None:
    """The whole table, what differs folded as far as the terminal asks for it; None where it is too narrow for that."""
    for widest in (None, *NARROWER):
        table = _table(lines, _columns(lines), fields, widest)
        if width_of(console, table) <= console.width:
            return table
    return None


def _table(lines: Sequence[Line], columns: Sequence[str], fields: Sequence[str], widest: int | None = None) -> Table:
    table = Table(box=None, pad_edge=False)
    for field in ("run", *fields):
        table.add_column(Text(field), overflow="fold", max_width=None if field == "run" else widest)
    for name in columns:
        table.add_column(Text(_header(name)), justify="right", no_wrap=True, vertical="bottom")
    names = _file_names(lines)
    for one in lines:
        values = [Text(_field(one, name, names)) for name in fields]
        table.add_row(one.runs[0].id, *values, *(_number(one, name) for name in columns))
    return table


def _columns(lines: Sequence[Line]) -> list[str]:
    """The numbers; those of VGG-16 where a run has them, since without it all lack them; further measures.

    The evaluations stand beside the one that was kept.
    """
    own = [name for name in COLUMNS if name != EVALUATIONS]
    known = [name for name in own if name not in ON_VGG16 or any(one.numbers[name] is not None for one in lines)]
    return [*known, *_further(lines)]


def _further(lines: Sequence[Line]) -> list[str]:
    """Measures that some sweep or experiment asked for, beside what every run has."""
    names = dict.fromkeys(name for one in lines for name in one.numbers)
    return [name for name in names if name not in COLUMNS and not name.startswith("loss/")]


def _fields(lines: Sequence[Line]) -> list[str]:
    """What differs; layers and paintings whole, where more than one of them does, and so what runs are labelled by."""
    names = differing(lines)
    num_of_head = Counter(name.split(".")[0] for name in names)
    whole = {head for head, num in num_of_head.items() if num > 1 and (head in WHOLE_FIELDS or _labels(lines, head))}
    return list(dict.fromkeys(head if (head := name.split(".")[0]) in whole else name for name in names))


def _labels(lines: Sequence[Line], name: str) -> bool:
    """Whether every run is labelled by a field: an axis of its experiment."""
    return all(name in one.runs[0].label for one in lines)


def _file_names(lines: Sequence[Line]) -> FileNames:
    return FileNames([*(one.fields for one in lines), *(one.runs[0].whole_fields for one in lines)])


def _field(one: Line, name: str, names: FileNames) -> str:
    if not one.uses(name):
        return MISSING
    run = one.runs[0]
    whole = run.whole_fields.get(name) if name in WHOLE_FIELDS else run.label.get(name)
    return shown(names.of(name, one.fields.get(name, whole)))


def _number(one: Line, name: str) -> str:
    value = one.numbers.get(name)
    if value is None:
        return MISSING
    text = f"{value:.4g}"
    if name in one.sds:
        text += f" ± {one.sds[name]:.2g}"
    if name == KEPT_EVALUATION:
        mark = MARK if one.settled is False else ""
        return f"{text}{mark} of {one.numbers[EVALUATIONS] or 0:.4g}"
    return f"{text}*" if name == "heldout_style" and one.is_optimised else text


def _write_csv(path: Path, lines: Sequence[Line]) -> None:
    """Every line with all its numbers, and their standard deviations; what a run does not have is blank."""
    check_folder_of(path, "--csv")
    fields = [*differing(lines), *(["size"] if len(by_size(lines)) > 1 else [])]
    numbers = [*COLUMNS, *(f"loss/{loss}" for loss in LOSSES), *_further(lines)]
    rows: list[dict[str, Any]] = []
    for one in lines:
        row: dict[str, Any] = {"id": " ".join(run.id for run in one.runs)}
        row |= {name: _plain(one.fields.get(name)) if one.uses(name) else None for name in fields}
        for name in numbers:
            row[name] = one.numbers.get(name)
            if any(other.sds for other in lines):
                row[f"{name}_sd"] = one.sds.get(name)
        rows.append(row | {"settled": one.settled, HELDOUT_STYLE_OPTIMISED: one.is_optimised})
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_durably(path, text.getvalue())


def _plain(value: Any) -> Any:
    return canonical_json(value) if isinstance(value, dict | list) else value
