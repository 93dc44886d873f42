"""``harness sweep``: search with Optuna, and say what was found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from harness.cli.estimate import add_cost
from harness.cli.tables import line, shown_label
from harness.cli.telling import ConsoleTelling
from harness.config.commands import FileCommand, harness_command
from harness.config.file_names import FileNames
from harness.config.loaded import LoadedSweep
from harness.driver.carrying import local_devices
from harness.driver.request import Request
from harness.driver.sweep import SweepPlan, plan_sweep, run_sweep
from harness.engines.devices import DeviceSpec
from harness.figures.outcomes import TrialOutcome, non_dominated, outcomes, sweep_of
from harness.results import Results
from harness.runs.settled import EXPLAINED, MARK

NUM_SHOWN = 12
"""Trials in the table at the end."""


def command_sweep(request: Request, loaded: LoadedSweep, is_dry: bool, opens: bool = False) -> int:
    """Carry out a search.

    Args:
        request: the command line.
        loaded: its sweep.
        is_dry: only say what would be done.
        opens: open the figure at the end.

    Returns:
        How many of its trials failed or are not told.
    """
    telling = ConsoleTelling()
    plan = plan_sweep(request, loaded, telling)
    if is_dry:
        budget = loaded.sweep.budget
        telling.console.print(_estimate(plan, local_devices(request, min(budget.parallel, budget.trials))))
        return 0
    done = run_sweep(request, plan, telling)
    telling.concluded(done.conclusion, opens)
    _report(telling.console, done.conclusion.results)
    return done.num_unfinished


def _estimate(plan: SweepPlan, devices: Sequence[DeviceSpec]) -> Table:
    """The answer to ``--dry-run``; nothing is written."""
    sweep, num_told = plan.loaded.sweep, plan.num_told
    left = max(0, sweep.budget.trials - num_told)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_row("trials", f"{sweep.budget.trials}, {sweep.budget.parallel} at a time")
    table.add_row("done", str(num_told))
    table.add_row("left", str(left))
    for number, (field, dimension) in enumerate(sweep.space.items()):
        table.add_row("" if number else "space", f"{field}: {dimension}")
    add_cost(table, [[plan.examples[0]] * left] if left else [], devices)
    table.add_row("folder", str(plan.folder.path))
    return table


def _report(console: Console, results: Results) -> None:
    """The best trials: the front, or those with the best values; ↑ marks what is maximised."""
    sweep, trials = sweep_of(results), outcomes(results)
    objectives = [f"{name} ↑" if name in sweep.maximised else name for name in sweep.objective_names]
    best = [trial for trial in trials if trial.state == "complete"]
    title = f"{len(best)} trials are done"
    if len(objectives) > 1:
        on_front = [best[index] for index in non_dominated([trial.costs for trial in best])]
        best, title = on_front, f"{len(on_front)} of {len(best)} trials are on the front"
    best.sort(key=lambda trial: trial.costs)
    counts = {state: sum(trial.state == state for trial in trials) for state in ("pruned", "failed")}
    title += "".join(f", {number} {state}" for state, number in counts.items() if number)
    table = Table(box=None, pad_edge=False, title=title, title_justify="left")
    table.add_column("trial", justify="right")
    for column in (*objectives, "what it is", "run"):
        table.add_column(column, justify="right" if column in objectives else "left")
    names = FileNames(trial.run.label for trial in trials)
    shown = _some(best) if len(objectives) > 1 else best[:NUM_SHOWN]
    for trial in shown:
        label: dict[str, Any] = {key: value for key, value in trial.run.label.items() if key != "trial"}
        numbers = [f"{value:.4g}" for value in trial.values]
        number = f"{trial.number}{MARK * (not trial.is_settled)}"
        table.add_row(number, *numbers, shown_label(names.label(label)), trial.run.id)
    console.print(table)
    if num_more := len(best) - len(shown):
        console.print(line(f"… and {num_more} more: {harness_command('compare', results.folder)}"))
    if not all(trial.is_settled for trial in shown):
        console.print(line(f"{MARK} {EXPLAINED}"))
    if best:
        run = best[0].run
        again = FileCommand.read(results.command).of_cell(run.overrides, run.devices, run.id)
        console.print(f"The first of them again: {again}", soft_wrap=True, markup=False)


def _some(best: Sequence[TrialOutcome]) -> Sequence[TrialOutcome]:
    """Of a long front both ends, and as many between them as there is room for."""
    if len(best) <= NUM_SHOWN:
        return best
    return [best[round(k * (len(best) - 1) / (NUM_SHOWN - 1))] for k in range(NUM_SHOWN)]
