"""What an experiment asks for: done, linked from elsewhere, failed, or left to compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.config.claims import COMPARABLE, LOSSES
from harness.config.loaded import LoadedExperiment
from harness.downloads import OnBytes
from harness.driver.expected import check_expected
from harness.driver.folder import ExperimentFolder, finished_elsewhere
from harness.driver.jobs import Job, make_jobs
from harness.driver.request import Request
from harness.features.registry import cached_vgg16
from harness.measures.names import ON_VGG16
from harness.registries import is_of_one_run, measure
from harness.runs.measured import is_outdated
from harness.runs.store import RunFolder, Status


@dataclass(frozen=True)
class Plan:
    """What is done and what is left.

    Attributes:
        jobs: every cell's; those of the grid first.
        done: finished before.
        linked: finished in another experiment's folder, by run id.
        failed: failed before, and not asked to be tried again.
        left: to compute.
        outdated: finished, to be measured again: their numbers are of another embedded network or plugin, or lack a
            wanted one.
        wanted: what the claims are about of VGG-16, where it is on the machine, and of plugins' measures.
    """

    jobs: Sequence[Job]
    done: Sequence[Job] = ()
    linked: Mapping[str, Path] = field(default_factory=dict)
    failed: Sequence[Job] = ()
    left: Sequence[Job] = ()
    outdated: Sequence[Job] = ()
    wanted: tuple[str, ...] = ()

    @property
    def grid(self) -> list[Job]:
        """The jobs that have a panel in the figure."""
        return [job for job in self.jobs if job.part == "grid"]


def make_plan(request: Request, loaded: LoadedExperiment, on_bytes: OnBytes | None = None) -> Plan:
    """Decide what has to be computed; nothing is written.

    Raises:
        ConfigError: see ``make_jobs``.
        UsageError: the experiment's folder belongs to another file, or the run that is asked for is none of it.
    """
    ExperimentFolder(loaded, request.out).check_owner()
    jobs = make_jobs(loaded, request.out, on_bytes, request.kept_storage)
    check_expected(jobs, request.id, request.out)
    done: list[Job] = []
    failed: list[Job] = []
    left: list[Job] = []
    outdated: list[Job] = []
    linked: dict[str, Path] = {}
    wanted = tuple(dict.fromkeys(claim.measure for claim in loaded.experiment.claims if _is_wanted(claim.measure)))
    for job in jobs:
        status = job.status
        if request.fresh:
            left.append(job)
        elif status is Status.DONE:
            (outdated if _is_outdated(job.folder, wanted) else done).append(job)
        elif status is Status.FAILED and not request.retry_failed:
            failed.append(job)
        elif not job.row.folder.exists() and (elsewhere := finished_elsewhere(request.out, job)):
            linked[job.row.id] = elsewhere
            (outdated if _is_outdated(RunFolder(elsewhere), wanted) else done).append(job)
        else:
            left.append(job)
    return Plan(jobs, done, linked, failed, left, outdated, wanted)


def _is_wanted(name: str) -> bool:
    """Whether a claim's measure is taken by the workers: a plugin's of one run, or one of VGG-16 that is at hand."""
    if name in ON_VGG16:
        return cached_vgg16() is not None
    return name not in (*COMPARABLE, *LOSSES) and measure.registered(name).plugin is not None and is_of_one_run(name)


def _is_outdated(folder: RunFolder, wanted: Sequence[str]) -> bool:
    manifest = folder.readable_manifest()
    return manifest is not None and is_outdated(manifest, wanted)
