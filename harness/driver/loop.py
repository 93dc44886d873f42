"""Carry out a study: ask for trials, batch their runs, keep every worker busy, tell what became of them.

    session.ask ─► job ─► waiting ─► task ─► worker ─► run folder ─► session.tell

The one loop behind ``harness run`` (whose trials are a grid's cells) and ``harness sweep`` (whose trials are sampled).
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.driver.jobs import Job
from harness.driver.losses import MAX_LOSSES, Beside, Losses
from harness.driver.telling import Observer
from harness.driver.utilisation import Utilisation
from harness.engines.contract import Advanced, End, Ended, Engine, Event, Finished, Measured, Noted, Task
from harness.errors import HarnessError, RunError
from harness.runs.measured import is_outdated
from harness.runs.store import Manifest, RunFolder, Status
from harness.runs.trials import record_trial, with_ended_trials
from harness.studies.session import Asked, StudySession

PATIENCE_S = 60.0
"""How long workers may take to checkpoint when they are asked to stop."""


@dataclass(frozen=True)
class Settings:
    """What every task of a study has in common.

    Attributes:
        task: a task without rows.
        objectives: the metrics whose values are told.
        retry_failed: compute failed runs again.
        wanted: further metrics that a finished run must have, or it is measured again.
    """

    task: Task
    objectives: tuple[str, ...]
    retry_failed: bool = False
    wanted: tuple[str, ...] = ()


@dataclass
class Interrupt:
    """Whether a signal has asked for the end."""

    requested: bool = False

    def request(self) -> None:
        """Ask for the end."""
        self.requested = True


@dataclass(eq=False)
class Driver:
    """One study's loop.

    Args:
        session: asks and tells.
        engine: computes.
        make_job: from a trial to its run.
        max_rows: how many of some jobs, from the first on, a batch may have on a worker.
        settings: of every task.
        observer: is told what happens.
        interrupt: whether the user asks for the end; looked at between events, never in the middle of telling.
        pass_bound_bytes: above what a row's pass goes in tiles on a worker; None: the CPU's bound.
    """

    session: StudySession
    engine: Engine
    make_job: Callable[[Asked], Job]
    max_rows: Callable[[Sequence[Job], str], int]
    settings: Settings
    observer: Observer
    interrupt: Interrupt = field(default_factory=Interrupt)
    pass_bound_bytes: Callable[[str], float | None] = lambda worker: None

    def __post_init__(self) -> None:
        self._waiting: list[Job] = []
        self._running: dict[int, list[Job]] = {}
        self._held: dict[int, set[str]] = {}
        self._trials: dict[str, list[Asked]] = {}
        self._more_records: dict[str, list[dict[str, Any]]] = {}
        self._folders: dict[str, RunFolder] = {}
        self._losses = Losses()
        self._limits: dict[tuple[Hashable, str], int] = {}
        self._heard: deque[Event] = deque()
        self._utilisation = Utilisation(self.engine.workers)

    def run(self, extra: Sequence[Job] = ()) -> None:
        """Carry out the study until nothing is left.

        Args:
            extra: runs to compute that no trial asks for: their folders were deleted after they were told.

        Raises:
            KeyboardInterrupt: after Ctrl-C, with everything checkpointed.
            HarnessError: a task could not be carried out; what the other workers had is checkpointed.
        """
        self._waiting += extra
        for job in extra:
            self.observer.took(job)
        try:
            while True:
                while (asked := self.session.ask()) is not None:
                    self._take(asked)
                    self._answer()
                self._feed()
                # Nothing runs while a run waits: every worker is being replaced, and the engine says when one is ready,
                # or that none will be.
                if not self._running and not self._heard and not self._waiting:
                    assert self.session.is_finished, "the study waits for a trial nobody computes"
                    return self.observer.worked(self._utilisation.sentence())
                self._hear(timeout_s=0.0 if self._heard else 0.25)
                self._handle()
                self.observer.looked()
                if self.interrupt.requested:
                    self.observer.noted("Stopping: what is under way is being saved. Ctrl-C again abandons it.")
                    raise KeyboardInterrupt
        except (KeyboardInterrupt, HarnessError):
            self._stop()
            raise

    def _take(self, asked: Asked) -> None:
        """A trial's run: told at once where it has ended before, else computed."""
        job = self.make_job(asked)
        self._trials.setdefault(job.row.id, []).append(asked)
        if any(job.row.id == other.row.id for other in self._in_work()):
            # The same transfer twice at a time: computed once, told twice; its folder is in use until then.
            self._more_records.setdefault(job.row.id, []).extend(job.row.manifest.trials)
            return
        manifest = job.folder.readable_manifest()
        if manifest is not None and self._has_ended(manifest):
            if any(job.row.id in ids for ids in self._held.values()):  # its batch goes on: recorded after that
                self._more_records.setdefault(job.row.id, []).extend(job.row.manifest.trials)
                self._folders[job.row.id] = job.folder
            else:
                manifest = record_trial(job.folder, job.row.manifest.trials)
            self._tell(job, manifest)
        else:
            self._waiting.append(job)
            self.observer.took(job)

    def _has_ended(self, manifest: Manifest) -> bool:
        """Whether a run is to be told as it stands; what another study's pruner gave up is carried on."""
        if manifest.status is Status.PRUNED:
            ours = [record for record in manifest.trials if record["study"] == self.session.name]
            return any(record.get("state") == "PRUNED" for record in ours)
        if manifest.status is Status.DONE:  # one whose numbers are of another network is a worker's: it measures again
            return not is_outdated(manifest, (*self.settings.objectives, *self.settings.wanted))
        return manifest.status is Status.FAILED and not self.settings.retry_failed

    def _in_work(self) -> list[Job]:
        return [*self._waiting, *(job for jobs in self._running.values() for job in jobs)]

    def _feed(self) -> None:
        """Give every idle worker a batch of what can share one."""
        idle = self.engine.idle
        for number_idle, worker in zip(range(len(idle), 0, -1), idle, strict=True):
            if not self._waiting or self._losses.must_wait(self._waiting[0], worker):
                return
            first = self._waiting[0]
            alike = [job for job in self._waiting if job.batch_key == first.batch_key]
            jobs = alike[: self._num_rows(alike, worker, number_idle)]
            self._waiting = [job for job in self._waiting if job not in jobs]
            rows, bound_bytes = tuple(job.row for job in jobs), self.pass_bound_bytes(worker)
            number = self.engine.submit(replace(self.settings.task, rows=rows, pass_bound_bytes=bound_bytes))
            self._utilisation.given(number)
            self._running[number] = jobs
            self._losses.began(number, worker, jobs)
            self._held[number] = {job.row.id for job in jobs}

    def _num_rows(self, alike: Sequence[Job], worker: str, num_idle: int) -> int:
        """How many of the waiting rows that can share a batch a worker gets at once.

        On the CPU a batch gains nothing (a row is computed as fast alone), so that with several workers each gets one
        row at a time and none waits for another's; on GPUs the rows are shared out evenly among those that are idle,
        within the memory.
        """
        if worker.startswith("cpu") and len(self.engine.workers) > 1:
            return 1
        if self._losses.is_to_be_alone(alike[0].row.id):
            return 1
        limit = self._limits.get((alike[0].batch_key, worker), len(alike))
        return max(1, min(self.max_rows(alike, worker), limit, math.ceil(len(alike) / num_idle)))

    def _hear(self, timeout_s: float) -> None:
        """Take in what has happened: what the pruner is asked is answered at once, the rest waits for ``_handle``."""
        for event in self.engine.events(timeout_s):
            if isinstance(event, Measured):
                self._report(event)
            else:
                self._heard.append(event)

    def _answer(self) -> None:
        """Answer what the pruner has been asked meanwhile, between two steps that may take a tenth of a second each.

        A row does not wait for its answer: until it comes, evaluations are computed in vain.
        """
        if self.settings.task.rungs and not self.interrupt.requested:
            self._hear(timeout_s=0.0)

    def _handle(self) -> None:
        """Deal with what was heard, in order."""
        errors: list[HarnessError] = []
        while self._heard:
            event = self._heard.popleft()
            if isinstance(event, Advanced):
                self.observer.advanced(event)
            elif isinstance(event, Finished):
                self._finish(event)
                self._answer()
            elif isinstance(event, Noted):
                self.observer.noted(event.sentence)
            elif isinstance(event, Ended):
                try:
                    self._end(event)
                except HarnessError as error:  # raised when what came with it has been told
                    errors.append(error)
        if errors:
            raise errors[0]

    def _report(self, event: Measured) -> None:
        """Ask the pruner about a row at a rung."""
        value = event.metrics.get(self.settings.objectives[0])
        trials = self._trials.get(event.run_id, [])
        if value is None or not trials:
            return
        if all([self.session.report(asked.number, value, event.evaluation) for asked in trials]):
            self.engine.prune([event.run_id])

    def _finish(self, event: Finished) -> None:
        for jobs in self._running.values():
            for job in jobs:
                if job.row.id == event.run_id:
                    jobs.remove(job)
                    if job.row.id in self._more_records:
                        self._folders[job.row.id] = job.folder
                    self._tell(job, event.manifest)
                    self.observer.ended(job, event.manifest)
                    return

    def _tell(self, job: Job, manifest: Manifest) -> None:
        """Tell every trial that this run belongs to what became of it."""
        objectives = self.settings.objectives
        values = {name: value for name in objectives if (value := manifest.metrics.get(name)) is not None}
        missing = [name for name in objectives if name not in values]
        why = "; ".join(manifest.unmeasured.get(name, f"{name} could not be measured") for name in missing)
        on_the_way: dict[int | str, float] = {
            rung: value for rung, metrics in manifest.rungs.items() if (value := metrics.get(objectives[0])) is not None
        }
        for asked in self._trials.pop(job.row.id, []):
            if manifest.status is Status.PRUNED:
                self.session.prune(asked.number, on_the_way)
            elif manifest.status is Status.DONE and not missing:
                self.session.complete(asked.number, list(values.values()), on_the_way)
            else:
                self.session.fail(asked.number, manifest.reason or why)
                if manifest.status is Status.DONE:
                    self.observer.noted(f"Trial {asked.number} failed: {why}")

    def _end(self, event: Ended) -> None:
        """A task is over: whatever of it has not finished waits again, within the rules."""
        self._utilisation.ended(event)
        left = self._running.pop(event.task)
        del self._held[event.task]
        beside = self._losses.ended(event.task, event.end, len(left))
        if event.end is End.ERROR:
            self._waiting += left
            error = HarnessError(event.message)
            error.exit_code = event.exit_code or 1
            raise error
        if event.end in (End.OUT_OF_MEMORY, End.DIED, End.UNFORESEEN, End.DEVICE_LOST):
            if event.end is not End.OUT_OF_MEMORY or len(left) == 1:
                self.observer.noted(event.message)
            if len(left) > 1:
                # A device that fails once is no matter of memory; one that fails again may do so for one row's sake.
                if event.end is not End.DEVICE_LOST or max([self._losses.count(job, beside) for job in left]) > 1:
                    self._halve(left, event.worker)  # after a death too: the kernel kills who takes too much memory
            else:
                left = [job for job in left if not self._is_lost_too_often(job, event, beside)]
        self._waiting = left + self._waiting
        self._record_more()

    def _halve(self, jobs: Sequence[Job], worker: str) -> None:
        self._limits[jobs[0].batch_key, worker] = math.ceil(len(jobs) / 2)
        self.observer.noted(
            f"{worker} gets at most {math.ceil(len(jobs) / 2)} such rows at a time from now on; no trial is lost."
        )

    def _record_more(self) -> None:
        """Write the trials that shared a run into its manifest, now that its worker has let go of the folder."""
        busy = {job.row.id for job in self._in_work()}.union(*self._held.values())
        for run_id in [run_id for run_id in self._more_records if run_id not in busy]:
            folder = self._folders.pop(run_id, None)
            records = self._more_records.pop(run_id)
            if folder is not None:
                record_trial(folder, records)

    def _is_lost_too_often(self, job: Job, event: Ended, beside: Beside) -> bool:
        """Count a loss; after ``MAX_LOSSES`` without progress between them the run is left as failed, with the reason.

        Raises:
            RunError: nothing of it was ever begun, so that the fault is not the row's but the worker's.
        """
        if self._losses.count(job, beside) < MAX_LOSSES or beside != "nobody":
            return False
        manifest = job.folder.readable_manifest()
        if manifest is None:
            raise RunError(event.message)
        reason = f"it could not be carried on in {MAX_LOSSES} attempts: {event.message}"
        with RunFolder(job.row.folder) as folder:
            failed = with_ended_trials(replace(manifest, status=Status.FAILED, reason=reason))
            folder.write_manifest(failed)
        if job.row.id in self._more_records:
            self._folders[job.row.id] = job.folder
        self._tell(job, failed)
        self.observer.ended(job, failed)
        return True

    def _stop(self) -> None:
        """Let every worker checkpoint; tell what still ends."""
        self.engine.stop()
        until = time.monotonic() + PATIENCE_S
        while self._running and time.monotonic() < until:
            heard = [*self._heard, *self.engine.events(timeout_s=0.25)]
            self._heard.clear()
            for event in heard:
                if isinstance(event, Finished):
                    self._finish(event)
                elif isinstance(event, Ended):
                    self._running.pop(event.task, None)
                    self._held.pop(event.task, None)
                elif isinstance(event, Noted):
                    self.observer.noted(event.sentence)
        self._record_more()
