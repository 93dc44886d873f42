"""``harness claims``: the claims of one experiment or several in one table, for the terminal or for a README."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness import latex
from harness.claims import Verdict, claims_table, judge, rows_for_table
from harness.claims.beside import beside_table, claims_beside, differences
from harness.claims.report import COLUMNS, OF_NUMBERS, OF_SPREAD, notes_of
from harness.cli.console import make_console
from harness.cli.tables import check_folder_of, line
from harness.config.kept import EARLIER
from harness.errors import UsageError
from harness.odd_names import escaped_text
from harness.results import Results, load_whole
from harness.runs.store import write_durably

SHARES = (0.25, 0.12, 0.28, 0.15, 0.13)
"""Widths of the columns for LaTeX, as shares of a page's; the gaps between them take the rest."""


def show_claims(
    paths: Sequence[Path], markdown: bool, latex_path: Path | None = None, are_beside: bool = False
) -> None:
    """Judge experiments' claims by their run folders and print them.

    Args:
        paths: the experiments' folders.
        markdown: as one table of Markdown.
        latex_path: also written there, as a table for LaTeX.
        are_beside: the same claims of several folders in one row.

    Raises:
        UsageError: a path is no experiment's folder, none of them has claims, or options exclude each other.
        StorageError: the file cannot be written.
    """
    if are_beside and latex_path is not None:
        raise UsageError("--latex writes one column of numbers; leave out --beside, or write --markdown.")
    loaded = [load_whole(path) for path in paths]
    found = [(results.folder, _called(results), judge(results)) for results in loaded]
    judged = [(name, verdicts) for _, name, verdicts in found if verdicts]
    if not judged:
        raise UsageError(
            f"{', '.join(map(str, paths))}: no claims; an experiment lists them under claims: in its file."
        )
    console = make_console()
    if latex_path is not None:
        check_folder_of(latex_path, "--latex")
        write_durably(latex_path, latex.PACKAGES + _latex(judged, latex_path.stem))
    if are_beside:
        heads, rows = claims_beside([one for one in found if one[2]])
        notes = differences(loaded)
        notes += [f"{folder}, {note}" for folder, _, verdicts in found for note in notes_of(verdicts)]
        if markdown:
            return _print_markdown(heads, rows, notes)
        console.print(beside_table(heads, rows))
        return console.print(*map(line, notes), sep="\n")
    if markdown:
        rows = [[name, *row] for name, verdicts in judged for row in rows_for_table(verdicts)]
        return _print_markdown(["experiment", *COLUMNS], rows, _notes(judged))
    for name, verdicts in judged:
        console.print(name, style="bold")
        console.print(claims_table(verdicts))
    if latex_path is not None:
        console.print(line(f"Written: {latex_path}"))


def _called(results: Results) -> str:
    """An experiment's name; of an earlier grid with the folder in which it is kept."""
    is_earlier = results.home != results.folder
    return f"{results.name} ({EARLIER}/{results.folder.name})" if is_earlier else results.name


def _notes(judged: Sequence[tuple[str, Sequence[Verdict]]]) -> list[str]:
    """What weakens the verdicts, with the experiments' names where there are several."""
    return [f"{name}, {note}" if len(judged) > 1 else note for name, verdicts in judged for note in notes_of(verdicts)]


def _print_markdown(heads: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]) -> None:
    """A table, and each note as a paragraph below it."""
    for texts in (heads, ["---"] * len(heads), *rows):
        print(escaped_text("| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"))
    for note in notes:
        print(escaped_text(f"\n{note}"))


def _latex(judged: Sequence[tuple[str, Sequence[Verdict]]], label: str) -> str:
    """One table of all claims, each experiment's below its name."""
    columns = [latex.Column(share * latex.PAGE_PT, "p") for share in SHARES]
    rows: list[latex.Row] = []
    for name, verdicts in judged:
        rows += [name] if len(judged) > 1 else []
        rows += rows_for_table(verdicts)
    names = [name for name, _ in judged]
    has_spread = any("±" in text for row in rows if not isinstance(row, str) for text in row)
    said = [f"Claims of {', '.join(names)}.", *[OF_SPREAD] * has_spread, OF_NUMBERS, *_notes(judged)]
    caption = " ".join(said)
    return latex.tables(columns, [COLUMNS], rows, caption, f"tab:{label}")
