"""The figures and the explorer of an experiment or a sweep, whichever it is."""

from __future__ import annotations

from pathlib import Path

from harness.config.sweep import Sweep
from harness.errors import UsageError
from harness.figures.experiment import draw_experiment
from harness.figures.explorer import write_explorer
from harness.figures.front import draw_front
from harness.figures.single_objective import draw_search
from harness.results import Results


def draw_results(results: Results) -> list[Path]:
    """Draw what there is to draw into the results' folder, and write the explorer; nothing is computed.

    An experiment's pictures and loss curves; a sweep's front where it has several objectives, else its search: each as
    PNG and PDF.

    Args:
        results: as ``harness.results.load`` gives them.

    Returns:
        The files written, the explorer's page last.

    Raises:
        UsageError: some of the runs were left out: the figure of all would be lost.
        StorageError: a file cannot be written.
    """
    if results.is_part:
        raise UsageError(
            f"These are {len(results.runs)} of {results.name}'s runs, and its figure would be replaced by theirs; "
            f"draw harness.load({str(results.folder)!r})."
        )
    if not isinstance(results.definition, Sweep):
        drawn = draw_experiment(results)
    else:
        drawn = draw_front(results) if len(results.definition.objectives) > 1 else draw_search(results)
    return [*drawn, write_explorer(results)]
