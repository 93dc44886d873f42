"""The same claims of several folders beside each other: one network against another, three seeds against five."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from harness.claims.records import Verdict
from harness.claims.report import rows_for_table
from harness.config.yaml_source import flow
from harness.results import Results
from harness.results.named_alike import contents_told

MISSING = "–"
MAX_FIELDS = 6
"""So many fields, and values, are named."""

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


def differences(results: Sequence[Results]) -> list[str]:
    """A sentence for each experiment whose folders ask for other things: the fields, and their values in each."""
    told = []
    for name in dict.fromkeys(each.name for each in results):
        same = [each for each in results if each.name == name]
        contents = iter(contents_told(run for each in same for run in each.all_runs))
        said = [[{**run.fields, **next(contents)} for run in each.all_runs] for each in same]
        fields = dict.fromkeys(field for each in said for run in each for field in run)
        values = {field: [_values(each, field) for each in said] for field in fields}
        differing = [f"{field} ({' | '.join(of)})" for field, of in values.items() if len(set(of)) > 1]
        if differing:
            more = f" and {len(differing) - MAX_FIELDS} more" if len(differing) > MAX_FIELDS else ""
            told.append(f"{name} differs, from folder to folder, in {', '.join(differing[:MAX_FIELDS])}{more}.")
    return told


def _values(runs: Sequence[Mapping[str, Any]], field: str) -> str:
    """``0.001, 0.1``: a field's values in one folder, in the order of its runs."""
    values = list(dict.fromkeys(flow(run.get(field)) for run in runs))
    return ", ".join(values) if len(values) <= MAX_FIELDS else f"{values[0]} … {values[-1]}"


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
