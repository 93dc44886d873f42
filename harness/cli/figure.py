"""``harness figure``: figure and claims once more from the run folders; nothing is optimised."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.claims import claims_table, judge, write_claims
from harness.cli.console import make_console
from harness.cli.opening import open_picture
from harness.cli.tables import line, num_of, short_path
from harness.config.commands import harness_command
from harness.errors import StorageError, UsageError
from harness.figures.results import draw_results
from harness.results import Run, load_whole
from harness.runs.store import Status


def draw_again(paths: Sequence[Path], opens: bool = False) -> None:
    """Draw and judge experiments and sweeps as far as they have come.

    Args:
        paths: their folders.
        opens: open each figure, too.

    Raises:
        UsageError: a path is no such folder, or none of its runs is done.
        StorageError: a file cannot be read or written.
    """
    console = make_console()
    for results in [load_whole(path) for path in paths]:
        num_done = sum(_is_done(run) for run in results.runs)
        if not num_done:
            raise UsageError(
                f"No run of {results.folder} is done, so there is nothing to draw yet; "
                f"see {harness_command('status', results.folder)}."
            )
        figures = draw_results(results)
        for drawn in figures:
            console.print(line(f"Figure: {short_path(drawn)}"))
        if opens:
            console.print(line(open_picture(next(path for path in figures if path.suffix == ".png"))))
        if num_done < len(results.runs) and not results.is_sweep:
            left = len(results.runs) - num_done
            console.print(line(f"{num_of(left, 'run')} of {len(results.runs)} drawn as missing, with the reason."))
        verdicts = judge(results)
        if verdicts:
            paths = write_claims(results, verdicts)
            console.print(claims_table(verdicts))
            for path in paths:
                console.print(line(f"Claims: {short_path(path)}"))
        told = f"Next:   {harness_command('compare', results.folder)}"
        console.print(told, soft_wrap=True, markup=False)  # never folded: commands are copied


def _is_done(run: Run) -> bool:
    try:
        return run.status is Status.DONE
    except StorageError:
        return False
