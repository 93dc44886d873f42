"""``--dry-run``: cells, done and left, batches, memory, disk, time."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path

from rich.table import Table

from harness.cli.tables import duration
from harness.config.levels import sizes_of
from harness.config.methods import QUILTING, has_network
from harness.driver.capacity import pass_bound_bytes, tiles_told
from harness.driver.estimate import batch_bytes, disk_bytes, num_behind, seconds_left
from harness.driver.jobs import Job
from harness.driver.plan import Plan
from harness.engines.devices import DeviceSpec
from harness.results.linking import told_sources


def estimate(plan: Plan, folder: Path, devices: Sequence[DeviceSpec]) -> Table:
    """The answer to ``--dry-run``; nothing is written."""
    table = Table(box=None, pad_edge=False, show_header=False)
    repeats = len(plan.jobs) - len(plan.grid)
    linked = told_sources(run.parent for run in plan.linked.values())
    table.add_row("cells", str(len(plan.grid)) + (f", and {repeats} repeats for the claims" if repeats else ""))
    table.add_row("done", f"{len(plan.done)}" + (f", {linked}" if linked else ""))
    if plan.outdated:
        table.add_row("done, to be measured again", str(len(plan.outdated)))
    table.add_row(
        "failed before", f"{len(plan.failed)}" + (" (--retry-failed computes them again)" if plan.failed else "")
    )
    begun = [job for job in plan.left if num_behind(job)]
    at = ", ".join(f"{job.row.id} at evaluation {num_behind(job)}" for job in begun)
    table.add_row("left", str(len(plan.left)) + (f", {len(begun)} of them begun: {at}" if begun else ""))
    kinds: dict[Hashable, list[Job]] = {}
    for job in plan.left:
        kinds.setdefault(job.batch_key, []).append(job)
    for number, jobs in enumerate(kinds.values(), 1):
        size = f"{jobs[0].width}×{jobs[0].height} px, {_evaluations(jobs[0])}"
        rows = "1 row" if len(jobs) == 1 else f"{len(jobs)} rows"
        table.add_row(f"batch {number}", f"{rows} that can share one, {size}")
        if told := tiles_told(jobs[0], pass_bound_bytes(devices)):
            table.add_row("", told)
        table.add_row("", ", ".join(job.row.id for job in jobs))
    add_cost(table, list(kinds.values()), devices)
    table.add_row("folder", str(folder))
    return table


def add_cost(table: Table, kinds: Sequence[Sequence[Job]], devices: Sequence[DeviceSpec]) -> None:
    """Add memory, disk and time of jobs, given by what can share a batch."""
    if not kinds:
        return
    memory = max(batch_bytes(jobs, devices) for jobs in kinds)
    table.add_row("memory", f"about {memory / 2**20:.0f} MiB for the largest batch, and 1 GiB for Python and torch")
    disk = sum(disk_bytes(jobs) for jobs in kinds)
    table.add_row("disk", f"about {disk / 2**20:.0f} MiB, and {memory / 2**20:.0f} MiB while it runs")
    seconds = sum(seconds_left(jobs, devices) for jobs in kinds)
    workers = f"{devices[0].device}" if len(devices) == 1 else f"{len(devices)} workers"
    methods = {jobs[0].transfer.method for jobs in kinds}
    unknown = sorted(name for name in methods if not has_network(name) and name != QUILTING)
    measured = "one evaluation of each size measured just now"
    told = f"{measured}; without {', '.join(unknown)}" if unknown else measured
    table.add_row("time", f"about {duration(seconds / len(devices))} of evaluations on {workers} ({told})")
    table.add_row("", "besides, not counted: starting the workers, measuring every picture, drawing the figures;")
    table.add_row("", "of small pictures or few evaluations that is the larger part")


def _evaluations(job: Job) -> str:
    """``600 evaluations (100 at 128 px, 500 at 256 px)``, ``18 rows of blocks``."""
    method = job.transfer.method
    if not has_network(method):
        return f"{job.num_evaluations} rows of blocks" if method == QUILTING else f"method {method}"
    levels = sizes_of(job.transfer)
    told = ", ".join(f"{level.steps} at {level.size} px" for level in levels)
    return f"{job.num_evaluations} evaluations{f' ({told})' if len(levels) > 1 else ''}"
