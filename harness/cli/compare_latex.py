"""A comparison as a table for LaTeX: the numbers that a page has room for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from harness import latex
from harness.cli.compare_columns import (
    field_text,
    fields_of,
    file_names,
    marked_column,
    number_header,
    number_text,
    remarks,
)
from harness.cli.compare_lines import SEEDS, Line
from harness.cli.tables import num_of
from harness.results.spread import OF_SAMPLE

FOLDED_PT = (200, 150, 110, 80, 60, 45, 35)
"""Widths at which what differs is folded, so that it leaves room for numbers."""

SHARE_OF_FIELDS = 0.6
"""Of a page, for what differs, at most."""


class Printed(NamedTuple):
    """A table, and the numbers for which its page has no room."""

    text: str
    left_out: list[str]


def printed(
    lines: Sequence[Line],
    columns: Sequence[str],
    experiment: str,
    reference: str,
    notes: Sequence[str] = (),
    has_all: bool = False,
) -> Printed:
    """The lines of one size; as many of the numbers, from the first, as a page is wide for.

    Runs' ids are left out where something else tells them apart, and the number of seeds where all have as many.

    Args:
        lines: of the table, at least one.
        columns: the numbers, the most important first.
        experiment: whose runs they are.
        reference: what the table's label is behind ``tab:``.
        notes: sentences for the end of the caption.
        has_all: whether all of the numbers are shown, as they were asked for by name, however wide a page is.
    """
    beside = _beside(lines)
    marked = marked_column(columns)
    numbers = [[*_two_lines(name), *(number_text(one, name, marked) for one in lines)] for name in columns]
    before, widths = _columns_beside(beside), [latex.Column(_widest(texts), "r") for texts in numbers]
    fewest = len(columns) if has_all else 1
    num = next(
        (n for n in range(len(columns), fewest, -1) if latex.width_of([*before, *widths[:n]]) <= latex.PAGE_PT), fewest
    )
    shown = columns[:num]
    if marked not in shown:  # the kept evaluation has no room
        numbers[0][2:] = [number_text(one, columns[0], columns[0]) for one in lines]
    rows = [list(row) for row in zip(*beside, *numbers[:num], strict=True)]
    head = [one for one in rows[:2] if any(one)]
    caption = " ".join([_what_it_is(lines, experiment), *remarks(lines, shown), *notes])
    table = latex.tables([*before, *widths[:num]], head, rows[2:], caption, f"tab:{reference}")
    return Printed(table, list(columns[num:]))


def _what_it_is(lines: Sequence[Line], experiment: str) -> str:
    """The caption's first sentences: whose numbers, at which size, over how many seeds."""
    head = f"{experiment} at {lines[0].size_px} px: "
    counts = sorted({len(one.runs) for one in lines})
    if not any(SEEDS in one.fields for one in lines):
        return f"{head}{num_of(len(lines), 'run')}."
    over = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    cells = num_of(len(lines), "setting")
    if counts[-1] == 1:
        return f"{head}{cells}, each from one seed."
    return f"{head}{cells}, means over {over} seeds ± the standard deviation over them ({OF_SAMPLE})."


def _beside(lines: Sequence[Line]) -> list[list[str]]:
    """What stands before the numbers, a list for each column: two lines of the head, then the lines' texts."""
    has_one_count = len({len(one.runs) for one in lines}) == 1
    fields = [name for name in fields_of(lines) if name != SEEDS or not has_one_count]
    names = file_names(lines)
    beside = [["", name.replace("_", " "), *(field_text(one, name, names) for one in lines)] for name in fields]
    return beside or [["", "run", *(one.runs[0].id for one in lines)]]


def _columns_beside(beside: Sequence[Sequence[str]]) -> list[latex.Column]:
    """What differs in columns of one line, or the widest folded so far that numbers have room."""
    columns = [latex.Column(_widest(texts), "l") for texts in beside]
    for folded_pt in FOLDED_PT:
        if latex.width_of(columns) <= SHARE_OF_FIELDS * latex.PAGE_PT:
            break
        columns = [latex.Column(folded_pt, "p") if one.width_pt > folded_pt else one for one in columns]
    return columns


def _two_lines(name: str) -> list[str]:
    """A number's name as two lines of a table's head."""
    first, _, second = number_header(name).partition("\n")
    return [first, second.replace("_", " ")] if second else ["", first]


def _widest(texts: Sequence[str]) -> float:
    return max(map(latex.width_pt, texts))
