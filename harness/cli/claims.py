"""``harness claims``: the claims of one experiment or several in one table, for the terminal or for a README."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.claims import claims_table, judge, rows_for_table
from harness.cli.console import make_console
from harness.errors import UsageError
from harness.results import load_whole


def show_claims(paths: Sequence[Path], markdown: bool) -> None:
    """Judge experiments' claims by their run folders and print them; nothing is written.

    Raises:
        UsageError: a path is no experiment's folder, or none of them has claims.
    """
    judged = [(results.name, judge(results)) for results in [load_whole(path) for path in paths]]
    judged = [(name, verdicts) for name, verdicts in judged if verdicts]
    if not judged:
        raise UsageError(
            f"{', '.join(map(str, paths))}: no claims; an experiment lists them under claims: in its file."
        )
    console = make_console()
    if markdown:
        print("| experiment | claim | paper | measured | bound | verdict |\n| --- | --- | --- | --- | --- | --- |")
        for name, verdicts in judged:
            for row in rows_for_table(verdicts):
                print("| " + " | ".join([name, *(text.replace("|", "\\|") for text in row)]) + " |")
        return
    for name, verdicts in judged:
        console.print(name, style="bold")
        console.print(claims_table(verdicts))
