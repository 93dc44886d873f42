"""``harness run``: carry out an experiment and say what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import TrialState
from rich.console import Console
from rich.table import Table

from harness.cli.console import make_console
from harness.cli.downloads import DownloadProgress
from harness.cli.estimate import estimate
from harness.cli.progress import name_of
from harness.cli.request import Request
from harness.cli.study import Work, carry_out, conclude, local_devices, write_cells
from harness.cli.tables import duration
from harness.config import Loaded, canonical_json
from harness.driver.folder import ExperimentFolder, forget, link_finished
from harness.driver.jobs import Job
from harness.driver.plan import Options, Plan, make_plan
from harness.metrics.names import ON_VGG16
from harness.runs.measured import measured_on_for
from harness.runs.store import Status
from harness.studies.grid import GridSession, open_grid
from harness.studies.naming import study_name
from harness.studies.rebuild import make_record, rebuild, trial_records
from harness.studies.session import Asked
from harness.studies.storage import forget_study, hold_study, open_storage
from harness.tracking.mode import Mode, resolve_mode

COLUMNS = ("total", "content", "style", "ssim", "reference_content", "reference_style", "heldout_style", "seconds")
OBJECTIVES = ("reference_content", "reference_style")
"""What an experiment's trials are told as, so that Optuna's dashboard can show the trade-off."""


def run_experiment(request: Request, loaded: Loaded) -> int:
    """Carry out a request.

    Args:
        request: the command line.
        loaded: its experiment.

    Returns:
        How many of the experiment's runs are not done.
    """
    console = make_console()
    options = Options(request.out, request.retry_failed, request.fresh)
    with DownloadProgress(console) as downloads:
        plan = make_plan(loaded, options, partial(downloads.advance, "weights"))
    devices = local_devices(request, len(plan.left))
    folder = ExperimentFolder(loaded, request.out)
    if request.dry_run:
        console.print(estimate(plan, folder.path, devices))
        return 0
    mode = resolve_mode(request.wandb, folder.path / "wandb")
    folder.make()
    with hold_study(folder.path):
        if folder.is_a_sweeps:
            _repeat_trial(console, request, plan, mode, folder)
            return sum(job.status is not Status.DONE for job in plan.jobs)
        earlier = folder.open()
        if earlier is not None:
            console.print(
                f"This is another grid than last time; its figure is kept in {earlier}.", soft_wrap=True, markup=False
            )
        link_finished(plan.jobs, plan.linked)
        if request.fresh:
            forget([job.row.folder for job in plan.jobs])
        if plan.done:
            linked = f" ({len(plan.linked)} of them linked from other experiments)" if plan.linked else ""
            console.print(
                f"{len(plan.done)} of {len(plan.jobs)} runs are done already{linked}; {len(plan.left)} to compute."
            )
        _say_outdated(console, plan)
        storage = open_storage(request.storage, folder.path)
        work = _work(plan, request, storage, folder)
        if plan.left or plan.outdated or not work.session.is_finished:
            carry_out(console, request, work, mode, folder)
        _report(console, plan)
        conclude(console, folder.path, storage, mode, has_changed=bool(plan.left or plan.outdated))
    return sum(job.status is not Status.DONE for job in plan.jobs)


def _repeat_trial(console: Console, request: Request, plan: Plan, mode: Mode, folder: ExperimentFolder) -> None:
    """One trial of a sweep, pinned by overrides: the sweep's study, definition and figures are left as they are."""
    if request.fresh:
        forget([job.row.folder for job in plan.jobs])
    link_finished(plan.jobs, plan.linked)
    _say_outdated(console, plan)
    if left := [*plan.left, *plan.outdated]:
        session = open_grid(InMemoryStorage(), folder.path.name, [_params(job) for job in left], OBJECTIVES)
        num = len(left)
        work = Work(session, lambda asked: left[asked.cell or 0], num, num, (), OBJECTIVES)
        carry_out(console, request, work, mode, folder)
    else:
        console.print(f"{len(plan.done)} of {len(plan.jobs)} runs are done already; 0 to compute.")
    _report(console, plan)
    for job in plan.jobs:
        console.print(f"Picture: {job.folder.image_path}", soft_wrap=True, markup=False)
    console.print(
        f"Next:    harness compare {folder.path}, with the sweep's other trials", soft_wrap=True, markup=False
    )


def _work(plan: Plan, request: Request, storage: BaseStorage, folder: ExperimentFolder) -> Work:
    """The experiment's study: a trial for every run of the plan."""
    cells = [_params(job) for job in plan.jobs]
    base = {"runs": [job.row.id for job in plan.jobs], "measured_on": measured_on_for(OBJECTIVES)}
    name = study_name(folder.path.name, base, {"cells": cells}, OBJECTIVES)
    if request.fresh:
        forget_study(storage, name)
    rebuild(storage, name, trial_records(folder.path, name))
    session = open_grid(storage, name, cells, OBJECTIVES, request.retry_failed)
    write_cells(folder, name, request, plan.jobs)

    def make_job(asked: Asked) -> Job:
        assert asked.cell is not None
        job = plan.jobs[asked.cell]
        record = make_record(asked, name, OBJECTIVES)
        return replace(job, row=replace(job.row, manifest=replace(job.row.manifest, trials=(record,))))

    told = _told(session, request.retry_failed)
    left = [*plan.left, *plan.outdated]
    extra = [job for job in left if canonical_json(_params(job)) in told]
    return Work(session, make_job, len(left), len(left), extra, OBJECTIVES, wanted=plan.wanted)


def _say_outdated(console: Console, plan: Plan) -> None:
    if plan.outdated:
        console.print(
            f"{len(plan.outdated)} of {len(plan.jobs)} runs are done, but their numbers are of another embedded "
            "network or lack one that is claimed: their pictures are measured again.",
            soft_wrap=True,
        )


def _params(job: Job) -> dict[str, Any]:
    """A run as a trial's parameters: what sets it apart."""
    return {**job.cell.label, **({"again": True} if job.part == "again" else {})}


def _told(session: GridSession, retry_failed: bool) -> set[str]:
    """The cells that no trial asks for any more; their folders may be gone nevertheless."""
    told = set()
    for trial in session.study.get_trials(deepcopy=False):
        cell = canonical_json({name: json.loads(value) for name, value in trial.params.items()})
        if trial.state.is_finished() and not (retry_failed and trial.state is TrialState.FAIL):
            told.add(cell)
        else:
            told.discard(cell)
    return told


def _report(console: Console, plan: Plan) -> None:
    """The table of what was measured, and what to do about what was not."""
    manifests = [job.folder.manifest() for job in plan.grid]
    of_grid: list[Mapping[str, Any]] = [manifest.metrics if manifest else {} for manifest in manifests]
    on_vgg16 = [name for name in ON_VGG16 if any(metrics.get(name) is not None for metrics in of_grid)]
    columns = (*COLUMNS[:-1], *on_vgg16, COLUMNS[-1])
    table = Table(box=None, pad_edge=False)
    table.add_column("run")
    for column in ("", *columns):
        table.add_column(column, justify="right" if column else "left")
    for metrics, job in zip(of_grid, plan.grid, strict=True):
        values = [_number(column, metrics.get(column)) for column in columns]
        table.add_row(job.row.id, name_of(job.cell.label), *values)
    console.print(table)
    others = len(plan.jobs) - len(plan.grid)
    if others:
        done = sum(job.status is Status.DONE for job in plan.jobs if job.part != "grid")
        console.print(f"and {done} of {others} repeats of these, for the claims' spread")
    _say_unfinished(console, plan.jobs)


def _say_unfinished(console: Console, jobs: Sequence[Job]) -> None:
    failed = [job for job in jobs if job.status is Status.FAILED]
    for job in failed:
        manifest = job.folder.manifest()
        reason = manifest.reason if manifest else ""
        console.print(f"{job.row.id} ({name_of(job.cell.label)}) failed: {reason}", soft_wrap=True, markup=False)
    for job in jobs:
        if job.status in (Status.WAITING, Status.RUNNING, Status.PRUNED):
            console.print(f"{job.row.id} ({name_of(job.cell.label)}) {job.status.value}; run the same command again.")
    if failed:
        console.print("Add --retry-failed to compute failed runs again.")


def _number(column: str, value: float | None) -> str:
    if value is None:
        return "–"
    return duration(value) if column == "seconds" else f"{value:.4g}"
