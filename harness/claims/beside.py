"""The same claims of several folders beside each other: one network against another, three seeds against five."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from harness.claims.records import Verdict
from harness.claims.report import rows_for_table

MISSING = "–"

Judged = Sequence[tuple[Path, str, Sequence[Verdict]]]
"""Folder, experiment's name and verdicts."""


def claims_beside(judged: Judged) -> tuple[list[str], list[list[str]]]:
    """A row for each claim, a column for each folder that makes it.

    Experiments of one name in several folders of runs (``embedded/styles``, ``vgg16/styles``) have a column for each
    folder; otherwise each experiment has one. Claims are the same where sentence, place in the paper and bound are.

    Returns:
        The heads ``experiment, claim, paper, bound`` and the columns' own, and the rows: in a column's cells what was
        measured, and the verdict; a dash where a claim was not made there.
    """
    folders = [path.resolve().parent for path, _, _ in judged]
    are_folders = len(set(folders)) > 1
    columns = list(dict.fromkeys(_told(folders) if are_folders else [name for _, name, _ in judged]))
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for (_, name, verdicts), folder in zip(judged, _told(folders), strict=True):
        for says, where, measured, bound, verdict in rows_for_table(verdicts):
            row = rows.setdefault((name if are_folders else MISSING, says, where, bound), {})
            row[folder if are_folders else name] = f"{measured}: {verdict}"
    names = list(dict.fromkeys(name for name, *_ in rows))  # an experiment's rows together, in the order given
    ordered = sorted(rows.items(), key=lambda row: names.index(row[0][0]))
    heads = ["experiment", "claim", "paper", "bound", *columns]
    table = [[*claim, *(found.get(column, MISSING) for column in columns)] for claim, found in ordered]
    return (heads, table) if are_folders else (heads[1:], [row[1:] for row in table])


def beside_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """The same for the terminal."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, leading=1)
    for head in heads:
        table.add_column(Text(head), overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _told(folders: Sequence[Path]) -> list[str]:
    """Folders by their last parts, as few as tell them apart."""
    for num_parts in range(1, max(len(folder.parts) for folder in folders) + 1):
        told = ["/".join(folder.parts[-num_parts:]) for folder in folders]
        if len(set(told)) == len(set(folders)):
            return told
    return [str(folder) for folder in folders]
