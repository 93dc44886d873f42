"""``harness figure``: figure and claims once more from the run folders; nothing is optimised."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.claims import claims_table, judge, write_claims
from harness.cli.console import make_console
from harness.cli.opening import open_picture
from harness.cli.tables import line, num_of, short_path, written_line
from harness.config.commands import harness_command
from harness.driver.earlier import file_command_back
from harness.errors import StorageError, UsageError
from harness.figures.results import draw_results, with_figure
from harness.results import Run, load_whole
from harness.runs.store import Status


def draw_again(words: Sequence[str], opens: bool = False) -> None:
    """Draw and judge experiments and sweeps as far as they have come.

    Args:
        words: their folders, and ``figure.…=value`` for how they are drawn this once.
        opens: open each figure, too.

    Raises:
        UsageError: a path is no such folder, or none of its runs is done.
        ConfigError: the figure has no such fields, or not for these experiments.
        StorageError: a file cannot be read or written.
    """
    console = make_console()
    paths = [Path(word) for word in words if "=" not in word or Path(word).exists()]
    overrides = [word for word in words if "=" in word and not Path(word).exists()]
    if not paths:
        raise UsageError(
            f"{harness_command('figure', *words)}: which? Give a folder too, such as runs/relative_weight."
        )
    for results in [with_figure(load_whole(path), overrides) for path in paths]:
        num_done = sum(_is_done(run) for run in results.runs)
        if not num_done:
            raise UsageError(
                f"No run of {results.folder} is done, so there is nothing to draw yet; "
                f"see {harness_command('status', results.folder)}."
            )
        fault: Exception | None = None
        try:
            figures = draw_results(results)
            for drawn in figures:
                console.print(line(written_line(Path(short_path(drawn)))))
            if opens:
                console.print(line(open_picture(next(path for path in figures if path.suffix == ".png"))))
        except Exception as error:  # any kind: the claims do not need it
            fault = error
        if num_done < len(results.runs) and not results.is_sweep:
            left = len(results.runs) - num_done
            console.print(line(f"{num_of(left, 'run')} of {len(results.runs)} drawn as missing, with the reason."))
        verdicts = judge(results)
        if verdicts:
            written = write_claims(results, verdicts)
            console.print(claims_table(verdicts))
            for path in written:
                console.print(line(f"Claims: {short_path(path)}"))
        if fault is not None:
            raise fault
        if overrides:
            file = file_command_back(results).file
            console.print(line(f"To keep it so, in {file}: {_as_yaml(overrides)}"))
        told = f"Next:   {harness_command('compare', results.folder)}"
        console.print(told, soft_wrap=True, markup=False)  # never folded: commands are copied


def _as_yaml(overrides: Sequence[str]) -> str:
    """``figure.width=column figure.rows=`` as it stands in a file: ``figure: {width: column, rows: null}``."""
    fields = (word.removeprefix("figure.").partition("=") for word in overrides)
    return "figure: {" + ", ".join(f"{field}: {value or 'null'}" for field, _, value in fields) + "}"


def _is_done(run: Run) -> bool:
    try:
        return run.status is Status.DONE
    except StorageError:
        return False
