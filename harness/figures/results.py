"""The figures and the explorer of an experiment or a sweep, whichever it is."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.config.commands import FileCommand
from harness.config.experiment import Experiment
from harness.config.overrides import figure_over
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
        draw = draw_experiment
    else:
        draw = draw_front if len(results.definition.objectives) > 1 else draw_search
    try:
        drawn = draw(results)
    finally:  # the page shows what is too much for a figure
        page = write_explorer(results)
    return [*drawn, page]


def with_figure(results: Results, overrides: Sequence[str]) -> Results:
    """Results that are drawn another way, for this once.

    Args:
        results: as ``harness.results.load`` gives them.
        overrides: words such as ``figure.width=column``.

    Raises:
        UsageError: a sweep's results.
        ConfigError: the figure has no such fields, or not for this experiment.
    """
    if not overrides:
        return results
    if not isinstance(results.definition, Experiment):
        raise UsageError(
            f"{results.name} is a sweep, whose front is drawn in one way; leave {shlex.join(overrides)} out."
        )
    figure = figure_over(results.definition, overrides)
    command = results.command
    if command:
        made = FileCommand.read(command)
        command = str(replace(made, overrides=(*made.overrides, *overrides)))
    return replace(results, definition=results.definition.model_copy(update={"figure": figure}), command=command)
