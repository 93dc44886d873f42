"""Running a sweep: its study, its trials as runs, its figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage
from optuna.trial import TrialState

from harness.config.cells import Cell
from harness.config.claims import COMPARABLE
from harness.config.dimensions import Choice, Simplex
from harness.config.loaded import LoadedSweep
from harness.config.space import fields_of, parameters
from harness.downloads import OnBytes
from harness.driver.carrying import Conclusion, Work, another, carry_out, conclude, local_devices, write_cells
from harness.driver.folder import ExperimentFolder, finished_elsewhere, forget, link_finished
from harness.driver.given_files import contents_of
from harness.driver.jobs import Job, JobMaker
from harness.driver.request import Request
from harness.driver.telling import Telling
from harness.errors import HarnessError
from harness.features.registry import fetch_vgg16
from harness.measures.names import ON_VGG16
from harness.results.linking import taken_from, told_sources
from harness.runs.measured import is_outdated, measured_on_for
from harness.runs.store import RunFolder, Status
from harness.studies.naming import study_name
from harness.studies.rebuild import make_record, rebuild, trial_records
from harness.studies.search import SearchSession, open_search
from harness.studies.session import LOST, RETRY_OF, Asked, as_json
from harness.studies.storage import forget_study, hold_study, open_storage
from harness.tracking.mode import resolve_mode


@dataclass(frozen=True)
class SweepPlan:
    """A sweep whose files were found and checked.

    Attributes:
        loaded: the sweep.
        folder: its own.
        maker: makes the jobs.
        examples: jobs that between them have both ends of every range and all choices.
        study: the study's name.
    """

    loaded: LoadedSweep
    folder: ExperimentFolder
    maker: JobMaker
    examples: Sequence[Job]
    study: str

    @property
    def num_told(self) -> int:
        """Trials that have ended, by the run folders; the study is not opened."""
        return sum("state" in record for record in trial_records(self.folder.path, self.study))


@dataclass(frozen=True)
class SweepRun:
    """A sweep that was carried out.

    Attributes:
        conclusion: what was made of the runs.
        num_unfinished: how many of its trials failed or are not told.
    """

    conclusion: Conclusion
    num_unfinished: int


def plan_sweep(request: Request, loaded: LoadedSweep, telling: Telling) -> SweepPlan:
    """Find, check and hash every file that a trial may name; nothing is written.

    Raises:
        HarnessError: with everything that is wrong.
    """
    folder = ExperimentFolder(loaded, request.out)
    folder.check_owner()
    with telling.fetching() as on_bytes:
        maker = JobMaker(loaded, request.out, on_bytes, request.kept_storage)
        examples = [maker.make(cell) for cell in example_cells(loaded)]
        _fetch_for_objectives(loaded, on_bytes)
    for note in dict.fromkeys(note for job in examples for note in job.notes):
        telling.warns(note)
    return SweepPlan(loaded, folder, maker, examples, name_of_study(loaded, examples))


def run_sweep(request: Request, plan: SweepPlan, telling: Telling) -> SweepRun:
    """Carry out a search.

    Raises:
        HarnessError: it cannot be carried out; what was computed is kept.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, with everything checkpointed.
    """
    loaded, folder = plan.loaded, plan.folder
    budget = loaded.sweep.budget
    local_devices(request, min(budget.parallel, budget.trials))
    mode = resolve_mode(request.wandb, folder.path / "wandb")
    folder.make()
    with hold_study(folder.path):
        storage = open_storage(request.storage, folder.path)
        moved = folder.open(plan.examples)
        if moved is not None:
            telling.says(another("search", "its figures are", moved, folder.path))
        session = _open_session(plan, request, storage)
        trials = Trials(plan, request, session)
        trials.write()
        counts = session.counts()
        num_left, num_told = counts.open + counts.left, counts.complete + counts.pruned + counts.failed
        num_back = _num_brought_back(plan, session)
        if num_told or num_back:
            told = f"{num_told + num_back} of {budget.trials} trials are done already; {num_left - num_back} to go."
            telling.says(told)
        lost = [job for job in trials.jobs.values() if trials.is_lost(job) or trials.is_outdated(job)]
        extra = list({job.row.id: job for job in lost}.values())
        num_runs = num_left - num_back + len(extra)
        at_once = min(num_runs, budget.parallel + len(extra))
        names = loaded.sweep.objective_names
        work = Work(session, trials.take, num_runs, at_once, extra, names, loaded.sweep.rungs())
        if num_left or extra:
            carry_out(telling, request, work, mode, folder)
        trials.write()
        if linked := told_sources(taken_from(path) for path in {job.row.folder: None for job in trials.jobs.values()}):
            telling.says(f"{len(trials.jobs)} trials have runs; {linked}, not computed here.")
        conclusion = conclude(telling, folder.path, storage, mode, has_changed=bool(num_left or extra))
    counts = session.counts()
    return SweepRun(conclusion, _num_failed(session) + counts.open + counts.left)


def _fetch_for_objectives(loaded: LoadedSweep, on_bytes: OnBytes | None) -> None:
    """Fetch what an objective is measured on.

    Raises:
        HarnessError: it cannot be had.
    """
    if needing := [name for name in loaded.sweep.objective_names if name in ON_VGG16]:
        try:
            fetch_vgg16(on_bytes)
        except HarnessError as error:
            others = [name for name in COMPARABLE if name not in ON_VGG16]
            raise type(error)(
                f"objectives: {', '.join(needing)} cannot be measured without VGG-16. {error} The objectives that need "
                f"no download are {', '.join(others)}."
            ) from error


def _num_failed(session: SearchSession) -> int:
    """Trials that failed for good: neither lost with their folders, nor repeated with success."""
    trials = session.study.get_trials(deepcopy=False)
    mended = {trial.user_attrs.get(RETRY_OF) for trial in trials if trial.state is not TrialState.FAIL}
    failed = [trial for trial in trials if trial.state is TrialState.FAIL and LOST not in trial.user_attrs]
    return sum(trial.number not in mended for trial in failed)


def _num_brought_back(plan: SweepPlan, session: SearchSession) -> int:
    """Trials that a study rebuilt from the run folders has open though their runs have ended: they are only told."""
    ended = {record["number"] for record in trial_records(plan.folder.path, plan.study) if "state" in record}
    return sum(not t.state.is_finished() and t.number in ended for t in session.study.get_trials(deepcopy=False))


def _open_session(plan: SweepPlan, request: Request, storage: BaseStorage) -> SearchSession:
    """The sweep's study, brought up to date with the run folders."""
    sweep, folder, name = plan.loaded.sweep, plan.folder, plan.study
    records = trial_records(folder.path, name)
    if request.fresh:
        forget([path.parent for path in folder.path.glob("*/manifest.json") if _is_of(path, name)])
        forget_study(storage, name)
        records = []
    rebuild(storage, name, records, sweep.budget.parallel)
    return open_search(
        storage,
        name,
        sweep.space,
        sweep.objective_names,
        sweep.sampler,
        sweep.budget,
        sweep.pruner,
        request.retry_failed,
        sweep.maximised,
    )


def name_of_study(loaded: LoadedSweep, examples: Sequence[Job]) -> str:
    """Other images, networks or plugins under the same names make another study, as does what its values are of."""
    hashes, data = contents_of(examples), loaded.data
    measured_on = measured_on_for(loaded.sweep.objective_names)
    base = {**data["transfer"], "files": hashes, "measured_on": measured_on}
    varied = {name: dimension.model_dump(mode="json") for name, dimension in parameters(loaded.sweep.space).items()}
    return study_name(loaded.name, base, varied, data["objectives"], data["sampler"], data["pruner"])


def _is_of(path: Path, study: str) -> bool:
    manifest = RunFolder(path.parent).readable_manifest()
    return manifest is not None and any(record["study"] == study for record in manifest.trials)


def example_cells(loaded: LoadedSweep) -> list[Cell]:
    """Cells that between them have both ends of every range and all choices, one differing from the first in each."""
    values: dict[str, list[Any]] = {}
    for field, dimension in loaded.sweep.space.items():
        if isinstance(dimension, Choice):
            values[field] = list(dimension.choice)
        elif isinstance(dimension, Simplex):
            values[field] = [dict.fromkeys(dimension.simplex, 1 / len(dimension.simplex))]
        else:
            values[field] = [dimension.low, dimension.high]
    first = {field: found[0] for field, found in values.items()}
    others = [{**first, field: value} for field, found in values.items() for value in found[1:]]
    return [loaded.cell(fields, {"example": number}) for number, fields in enumerate([first, *others])]


class Trials:
    """The trials of a sweep as jobs, written to cells.json as they are asked.

    Args:
        plan: the sweep's.
        request: the command line.
        session: has the trials that were asked before.
    """

    def __init__(self, plan: SweepPlan, request: Request, session: SearchSession) -> None:
        self.plan = plan
        self.request = request
        self.session = session
        self.jobs: dict[int, Job] = {}
        self._complete: set[int] = set()
        for trial in session.study.get_trials(deepcopy=False):
            if LOST not in trial.user_attrs and trial.state.is_finished():
                fields = fields_of(plan.loaded.sweep.space, trial.params)
                self.jobs[trial.number] = self._job(
                    Asked(
                        trial.number, trial.params, as_json(trial), fields, None, trial.user_attrs, trial.system_attrs
                    )
                )
                if trial.state is TrialState.COMPLETE:
                    self._complete.add(trial.number)

    def take(self, asked: Asked) -> Job:
        """A new trial's job; a run that another experiment has finished is linked."""
        job = self._job(asked)
        is_wanted = not self.request.fresh and not job.row.folder.exists()
        elsewhere = finished_elsewhere(self.request.out, job) if is_wanted else None
        link_finished([job], {job.row.id: elsewhere} if elsewhere else {})
        self.jobs[asked.number] = job
        self.write()
        return job

    def write(self) -> None:
        """Write cells.json."""
        jobs = [self.jobs[number] for number in sorted(self.jobs)]
        write_cells(self.plan.folder, self.session.name, self.request, jobs)

    def is_lost(self, job: Job) -> bool:
        """Whether a trial was told as complete while its run folder is gone."""
        return job.status is not Status.DONE and job.cell.label["trial"] in self._complete

    def is_outdated(self, job: Job) -> bool:
        """Whether a trial's run, told as complete, has the numbers of another embedded network, or lacks objectives."""
        manifest = job.folder.readable_manifest()
        is_told = job.cell.label["trial"] in self._complete
        return is_told and manifest is not None and is_outdated(manifest, self.plan.loaded.sweep.objective_names)

    def _job(self, asked: Asked) -> Job:
        loaded = self.plan.loaded
        job = self.plan.maker.make(loaded.cell(asked.fields, {"trial": asked.number, **asked.fields}))
        sweep = loaded.sweep
        record = make_record(asked, self.session.name, sweep.objective_names, sweep.maximised)
        return replace(job, row=replace(job.row, manifest=replace(job.row.manifest, trials=(record,))))
