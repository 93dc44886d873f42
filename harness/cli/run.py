"""``harness run``: carry out an experiment and say what came of it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from harness.cli.estimate import estimate
from harness.cli.tables import duration, shown_label
from harness.cli.telling import ConsoleTelling
from harness.config.loaded import LoadedExperiment
from harness.driver.carrying import local_devices
from harness.driver.experiment import plan_experiment, run_experiment
from harness.driver.folder import ExperimentFolder
from harness.driver.jobs import Job
from harness.driver.request import Request
from harness.measures.names import ON_VGG16
from harness.runs.store import Metrics, Status

COLUMNS = ("total", "content", "style", "ssim", "reference_content", "reference_style", "heldout_style", "seconds")


def command_run(request: Request, loaded: LoadedExperiment, is_dry: bool) -> int:
    """Carry out a request.

    Args:
        request: the command line.
        loaded: its experiment.
        is_dry: only say what would be done.

    Returns:
        How many of the experiment's runs are not done.
    """
    telling = RunTelling()
    plan = plan_experiment(request, loaded, telling)
    if is_dry:
        folder = ExperimentFolder(loaded, request.out).path
        telling.console.print(estimate(plan, folder, local_devices(request, len(plan.left))))
        return 0
    done = run_experiment(request, loaded, plan, telling)
    if done.conclusion is not None:
        telling.concluded(done.conclusion)
    else:
        for job in plan.jobs:
            telling.says(f"Picture: {job.folder.image_path}")
        telling.says(f"Next:    harness compare {done.folder.path}, with the sweep's other trials")
    return done.num_unfinished


class RunTelling(ConsoleTelling):
    """Tells what was measured, too."""

    def computed(self, jobs: Sequence[Job]) -> None:
        """Print the table of what was measured, and what to do about what was not."""
        _report(self.console, jobs)
        super().computed(jobs)
        for job in jobs:
            if job.status in (Status.WAITING, Status.RUNNING, Status.PRUNED):
                name = shown_label(job.cell.label)
                self.says(f"{job.row.id} ({name}) {job.status.value}; run the same command again.")
        if any(job.status is Status.FAILED for job in jobs):
            self.says("Add --retry-failed to compute failed runs again.")


def _report(console: Console, jobs: Sequence[Job]) -> None:
    """The table of what was measured."""
    grid = [job for job in jobs if job.part == "grid"]
    manifests = [job.folder.manifest() for job in grid]
    of_grid: list[Metrics] = [manifest.metrics if manifest else {} for manifest in manifests]
    on_vgg16 = [name for name in ON_VGG16 if any(metrics.get(name) is not None for metrics in of_grid)]
    columns = (*COLUMNS[:-1], *on_vgg16, COLUMNS[-1])
    table = Table(box=None, pad_edge=False)
    table.add_column("run")
    for column in ("", *columns):
        table.add_column(column, justify="right" if column else "left")
    for metrics, job in zip(of_grid, grid, strict=True):
        values = [_number(column, metrics.get(column)) for column in columns]
        table.add_row(job.row.id, shown_label(job.cell.label), *values)
    console.print(table)
    others = len(jobs) - len(grid)
    if others:
        done = sum(job.status is Status.DONE for job in jobs if job.part != "grid")
        console.print(f"and {done} of {others} repeats of these, for the claims' spread")


def _number(column: str, value: float | None) -> str:
    if value is None:
        return "–"
    return duration(value) if column == "seconds" else f"{value:.4g}"
