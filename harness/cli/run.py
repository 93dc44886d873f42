"""``harness run``: carry out an experiment and say what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from harness.cli.console import make_console
from harness.cli.devices import choose_device
from harness.cli.downloads import DownloadProgress
from harness.cli.estimate import MaxRows, estimate
from harness.config import load_experiment
from harness.driver import Options, Plan, make_plan, open_experiment, run_plan
from harness.figures.experiment import draw_experiment
from harness.jobs import fault_of_image
from harness.runs.batch import Execution, run_batch
from harness.runs.keeper import Keeper
from harness.runs.prepare import Row
from harness.runs.progress import Progress, duration
from harness.runs.store import Manifest, Status
from harness.runs.tracking import open_tracker, resolve_mode

COLUMNS = ("total", "content", "style", "ssim", "reference_content", "reference_style", "heldout_style", "seconds")


@dataclass(frozen=True)
class Request:
    """The command line of ``harness run``."""

    file: Path
    overrides: tuple[str, ...] = ()
    out: Path = Path("runs")
    profile: str | None = None
    devices: str = "auto"
    wandb: str | None = None
    dry_run: bool = False
    retry_failed: bool = False
    fresh: bool = False
    checkpoint_every_s: float = 30.0


def run_experiment(request: Request) -> int:
    """Carry out a request.

    Returns:
        How many of the experiment's runs are not done.
    """
    console = make_console()
    loaded = load_experiment(request.file, request.overrides, request.profile, fault_of_image)
    device, threads = choose_device(request.devices)
    options = Options(
        request.out, device, threads, request.retry_failed, request.fresh, request.checkpoint_every_s
    )  # fmt: skip
    with DownloadProgress(console) as downloads:
        progress = partial(downloads.advance, "weights")
        plan = make_plan(loaded, options, MaxRows(device), progress)
    if request.dry_run:
        console.print(estimate(plan, options))
        return 0
    mode = resolve_mode(request.wandb, plan.folder / "wandb")
    earlier = open_experiment(loaded, plan, options)
    if earlier is not None:
        console.print(f"This is another grid than last time; its figure is kept in {earlier}.", soft_wrap=True)
    left = sum(len(batch) for batch in plan.batches)
    if plan.done:
        linked = f" ({len(plan.linked)} of them linked from other experiments)" if plan.linked else ""
        console.print(f"{len(plan.done)} of {len(plan.jobs)} runs are done already{linked}; {left} to compute.")
    if left:
        tracker = open_tracker(mode, plan.folder / "wandb")

        def run(rows: Sequence[Row], title: str) -> list[Manifest]:
            names = [_name(row.manifest.label) for row in rows]
            execution = Execution(device, threads, checkpoint_every_s=options.checkpoint_every_s)

            def callbacks(keeper: Keeper) -> list[Any]:
                return [Progress(console, keeper, names, title)]

            return run_batch(rows, execution, callbacks, tracker)

        try:
            list(run_plan(plan, options, run))
        finally:
            warning = tracker.close()
        for note in filter(None, (mode.note, warning)):
            console.print(note, soft_wrap=True, markup=False)
    figure = draw_experiment(loaded.experiment, plan.jobs, plan.folder)
    _report(console, plan, figure)
    return sum(job.status is not Status.DONE for job in plan.jobs)


def _report(console: Console, plan: Plan, figure: Sequence[Path]) -> None:
    """The table of what was measured, the figure, and what to do next."""
    table = Table(box=None, pad_edge=False)
    table.add_column("run")
    for column in ("", *COLUMNS):
        table.add_column(column, justify="right" if column else "left")
    for job in plan.jobs:
        manifest = job.folder.manifest()
        metrics = manifest.metrics if manifest else {}
        values = [_number(column, metrics.get(column)) for column in COLUMNS]
        table.add_row(job.row.id, _name(job.cell.label), *values)
    console.print(table)
    failed = [job for job in plan.jobs if job.status is Status.FAILED]
    for job in failed:
        manifest = job.folder.manifest()
        console.print(f"{job.row.id} ({_name(job.cell.label)}) failed: {manifest.reason if manifest else ''}")
    for job in plan.jobs:
        if job.status in (Status.WAITING, Status.RUNNING):
            console.print(f"{job.row.id} ({_name(job.cell.label)}) {job.status.value}; run the same command again.")
    if failed:
        console.print("Add --retry-failed to compute failed runs again.")
    for path in figure:
        console.print(f"Figure: {path}", soft_wrap=True)
    console.print(f"Runs:   {plan.folder}", soft_wrap=True)


def _name(label: Any) -> str:
    return (
        ", ".join(f"{value}" if field == "cases" else f"{field}={value}" for field, value in label.items()) or "single"
    )


def _number(column: str, value: float | None) -> str:
    if value is None:
        return "–"
    return duration(value) if column == "seconds" else f"{value:.4g}"
