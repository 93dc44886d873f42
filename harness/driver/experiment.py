"""Running an experiment: its plan, its study, its runs, its figures and claims."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import TrialState

from harness.claims import foreseen
from harness.config.loaded import LoadedExperiment
from harness.driver.carrying import Conclusion, Work, another, carry_out, conclude, local_devices, write_cells
from harness.driver.folder import ExperimentFolder, forget, link_finished
from harness.driver.jobs import Job
from harness.driver.plan import Plan, make_plan
from harness.driver.request import Request
from harness.driver.telling import Telling
from harness.results import Results, Run
from harness.results.linking import taken_from, told_sources
from harness.runs.measured import measured_on_for
from harness.runs.store import Status
from harness.studies.grid import GridSession, open_grid
from harness.studies.naming import study_name
from harness.studies.rebuild import make_record, rebuild, trial_records
from harness.studies.session import Asked
from harness.studies.storage import forget_study, hold_study, open_storage
from harness.tracking.mode import Mode, resolve_mode

OBJECTIVES = ("reference_content", "reference_style")
"""What an experiment's trials are told as, so that Optuna's dashboard can show the trade-off."""


@dataclass(frozen=True)
class ExperimentRun:
    """An experiment that was carried out.

    Attributes:
        plan: what there was to do.
        folder: the experiment's.
        conclusion: what was made of the runs; None of one trial of a sweep, whose figures are left as they are.
    """

    plan: Plan
    folder: ExperimentFolder
    conclusion: Conclusion | None

    @property
    def results(self) -> Results:
        """Its runs; of one trial of a sweep, that alone."""
        return self.conclusion.results if self.conclusion else self.folder.results_of(self.plan.jobs)

    @property
    def num_unfinished(self) -> int:
        """How many of its runs are not done."""
        return sum(job.status is not Status.DONE for job in self.plan.jobs)


def plan_experiment(request: Request, loaded: LoadedExperiment, telling: Telling) -> Plan:
    """What is done and what is left; nothing is written."""
    with telling.fetching() as progress:
        plan = make_plan(request, loaded, progress)
    for note in dict.fromkeys(note for job in plan.jobs for note in job.notes):
        telling.warns(note)
    return plan


def run_experiment(request: Request, loaded: LoadedExperiment, plan: Plan, telling: Telling) -> ExperimentRun:
    """Carry out an experiment: what is missing is computed, and everything is drawn and judged.

    Raises:
        HarnessError: it cannot be carried out; what was computed is kept.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, with everything checkpointed.
    """
    local_devices(request, len(plan.left))
    folder = ExperimentFolder(loaded, request.out)
    mode = resolve_mode(request.wandb, folder.path / "wandb")
    folder.make()
    with hold_study(folder.path):
        if folder.is_a_sweeps:
            _repeat_trial(telling, request, plan, mode, folder)
            telling.computed(plan.jobs)
            return ExperimentRun(plan, folder, None)
        storage = open_storage(request.storage, folder.path)
        moved = folder.open(plan.jobs)
        write_cells(folder, _name_of_study(plan, folder), request, plan.jobs)
        if moved is not None:
            telling.says(another("grid", "its figure is", moved, folder.path))
        link_finished(plan.jobs, plan.linked)
        if request.fresh:
            forget([job.row.folder for job in plan.jobs])
        for job in plan.done:  # a lost transfer.yaml is written again
            job.folder.create(job.transfer, job.row.manifest)
        _say_done(telling, plan)
        _say_outdated(telling, plan)
        for sentence in weak_claims(plan, loaded, folder):
            telling.says(sentence)
        work = _work(plan, request, storage, folder)
        if plan.left or plan.outdated or not work.session.is_finished:
            carry_out(telling, request, work, mode, folder)
        telling.computed(plan.jobs)
        has_changed = bool(plan.left or plan.outdated or plan.linked)
        conclusion = conclude(telling, folder.path, storage, mode, has_changed)
        return ExperimentRun(plan, folder, conclusion)


def weak_claims(plan: Plan, loaded: LoadedExperiment, folder: ExperimentFolder) -> list[str]:
    """What can be said of the claims before computing, a sentence each; nothing where nothing is left to compute."""
    if not plan.left and not plan.outdated:
        return []
    runs = [Run(job.id, job.cell.label, job.part, job.transfer, (), job.folder, {}) for job in plan.jobs]
    return foreseen(Results(folder.path, loaded.name, loaded.experiment, "", None, tuple(runs)))


def _repeat_trial(telling: Telling, request: Request, plan: Plan, mode: Mode, folder: ExperimentFolder) -> None:
    """One trial of a sweep, pinned by overrides: the sweep's study, definition and figures are left as they are."""
    if request.fresh:
        forget([job.row.folder for job in plan.jobs])
    link_finished(plan.jobs, plan.linked)
    _say_outdated(telling, plan)
    if left := [*plan.left, *plan.outdated]:
        session = open_grid(InMemoryStorage(), folder.path.name, [_params(job) for job in left], OBJECTIVES)
        num = len(left)
        work = Work(session, lambda asked: left[asked.cell or 0], num, num, (), OBJECTIVES)
        carry_out(telling, request, work, mode, folder)
    else:
        _say_done(telling, plan)


def _work(plan: Plan, request: Request, storage: BaseStorage, folder: ExperimentFolder) -> Work:
    """The experiment's study: a trial for every run of the plan."""
    cells = [_params(job) for job in plan.jobs]
    name = _name_of_study(plan, folder)
    if request.fresh:
        forget_study(storage, name)
    rebuild(storage, name, trial_records(folder.path, name))
    session = open_grid(storage, name, cells, OBJECTIVES, request.retry_failed)

    def make_job(asked: Asked) -> Job:
        assert asked.cell is not None
        job = plan.jobs[asked.cell]
        record = make_record(asked, name, OBJECTIVES)
        return replace(job, row=replace(job.row, manifest=replace(job.row.manifest, trials=(record,))))

    told = _told(session, request.retry_failed)
    left = [*plan.left, *plan.outdated]
    to_do = {job.row.id for job in left}
    extra = [job for k, job in enumerate(plan.jobs) if k in told and job.row.id in to_do]
    return Work(session, make_job, len(left), len(left), extra, OBJECTIVES, wanted=plan.wanted)


def _name_of_study(plan: Plan, folder: ExperimentFolder) -> str:
    base = {"runs": [job.row.id for job in plan.jobs], "measured_on": measured_on_for(OBJECTIVES)}
    return study_name(folder.path.name, base, {"cells": [_params(job) for job in plan.jobs]}, OBJECTIVES)


def _say_done(telling: Telling, plan: Plan) -> None:
    """How much there is, and from which other experiments."""
    linked = told_sources(taken_from(job.row.folder) for job in plan.jobs)
    if plan.done:
        told = f" ({linked})" if linked else ""
        telling.says(f"{len(plan.done)} of {len(plan.jobs)} runs are done already{told}; {len(plan.left)} to compute.")
    elif linked:
        telling.says(f"{len(plan.jobs)} runs, {linked}.")


def _say_outdated(telling: Telling, plan: Plan) -> None:
    if plan.outdated:
        telling.says(
            f"{len(plan.outdated)} of {len(plan.jobs)} runs are done, but their numbers are of another embedded "
            "network or plugin, or lack one that is claimed: their pictures are measured again."
        )


def _params(job: Job) -> dict[str, Any]:
    """A run as a trial's parameters: what sets it apart."""
    return {**job.cell.label, **({"again": True} if job.part == "again" else {})}


def _told(session: GridSession, retry_failed: bool) -> set[int | None]:
    """The cells, by their places, that no trial asks for any more; their folders may be gone nevertheless."""
    told: set[int | None] = set()
    for trial in session.study.get_trials(deepcopy=False):
        cell = session.cell_of(trial)
        if trial.state.is_finished() and not (retry_failed and trial.state is TrialState.FAIL):
            told.add(cell)
        else:
            told.discard(cell)
    return told
