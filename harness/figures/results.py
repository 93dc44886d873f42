"""The figures of an experiment or a sweep, whichever it is."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.config.experiment import Experiment
from harness.config.overrides import figure_over
from harness.config.sweep import Sweep
from harness.errors import UsageError
from harness.figures.experiment import draw_experiment
from harness.figures.front import draw_front
from harness.figures.single_objective import draw_search
from harness.results import Results


def draw_results(results: Results) -> list[Path]:
    """Draw what there is to draw, as PNG and PDF, into the results' folder; nothing is computed.

    An experiment's pictures and loss curves; a sweep's front where it has several objectives, else its search.

    Args:
        results: as ``harness.results.load`` gives them.

    Returns:
        The files written.

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
        return draw_experiment(results)
    return draw_front(results) if len(results.definition.objectives) > 1 else draw_search(results)


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
    command = shlex.join([*shlex.split(results.command), *overrides])
    return replace(results, definition=results.definition.model_copy(update={"figure": figure}), command=command)
