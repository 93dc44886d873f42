"""``harness claims``: the claims of one experiment or several in one table, for the terminal or for a README."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness import latex
from harness.claims import Verdict, claims_table, judge, rows_for_table
from harness.claims.report import COLUMNS, OF_NUMBERS
from harness.cli.console import make_console
from harness.cli.tables import check_folder_of, line
from harness.errors import UsageError
from harness.results import load_whole
from harness.runs.store import write_durably

SHARES = (0.25, 0.12, 0.28, 0.15, 0.13)
"""Widths of the columns for LaTeX, as shares of a page's; the gaps between them take the rest."""


def show_claims(paths: Sequence[Path], markdown: bool, latex_path: Path | None = None) -> None:
    """Judge experiments' claims by their run folders and print them.

    Args:
        paths: the experiments' folders.
        markdown: as one table of Markdown.
        latex_path: also written there, as a table for LaTeX.

    Raises:
        UsageError: a path is no experiment's folder, or none of them has claims.
        StorageError: the file cannot be written.
    """
    judged = [(results.name, judge(results)) for results in [load_whole(path) for path in paths]]
    judged = [(name, verdicts) for name, verdicts in judged if verdicts]
    if not judged:
        raise UsageError(
            f"{', '.join(map(str, paths))}: no claims; an experiment lists them under claims: in its file."
        )
    console = make_console()
    if latex_path is not None:
        check_folder_of(latex_path, "--latex")
        write_durably(latex_path, latex.PACKAGES + _latex(judged))
    if markdown:
        print("| experiment | claim | paper | measured | bound | verdict |\n| --- | --- | --- | --- | --- | --- |")
        for name, verdicts in judged:
            for row in rows_for_table(verdicts):
                print("| " + " | ".join([name, *(text.replace("|", "\\|") for text in row)]) + " |")
        return
    for name, verdicts in judged:
        console.print(name, style="bold")
        console.print(claims_table(verdicts))
    if latex_path is not None:
        console.print(line(f"Written: {latex_path}"))


def _latex(judged: Sequence[tuple[str, Sequence[Verdict]]]) -> str:
    """One table of all claims, each experiment's below its name."""
    columns = [latex.Column(share * latex.PAGE_PT, "p") for share in SHARES]
    rows: list[latex.Row] = []
    for name, verdicts in judged:
        rows += [name] if len(judged) > 1 else []
        rows += rows_for_table(verdicts)
    names = [name for name, _ in judged]
    caption = f"Claims of {', '.join(names)}. {OF_NUMBERS}"
    return latex.tables(columns, [COLUMNS], rows, caption, f"tab:{'-'.join(names)}-claims")
