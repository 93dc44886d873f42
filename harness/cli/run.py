"""``harness run``: carry out an experiment and say what came of it."""

from __future__ import annotations

from collections.abc import Sequence

from harness.cli.estimate import estimate
from harness.cli.measured import MeasuredRun, measured
from harness.cli.opening import open_picture
from harness.cli.tables import shown_label
from harness.cli.telling import ConsoleTelling
from harness.config.commands import harness_command
from harness.config.loaded import LoadedExperiment
from harness.driver.carrying import local_devices
from harness.driver.experiment import plan_experiment, run_experiment, weak_claims
from harness.driver.folder import ExperimentFolder
from harness.driver.jobs import Job
from harness.driver.request import Request
from harness.driver.unchanged import what_is_asked, write_stamp
from harness.runs.settled import settled
from harness.runs.store import Status


def command_run(request: Request, loaded: LoadedExperiment, is_dry: bool, opens: bool = False) -> int:
    """Carry out a request.

    Args:
        request: the command line.
        loaded: its experiment.
        is_dry: only say what would be done.
        opens: open the figure, or the picture of one trial of a sweep, at the end.

    Returns:
        How many of the experiment's runs are not done.
    """
    telling = RunTelling()
    asked = what_is_asked(request, loaded)
    plan = plan_experiment(request, loaded, telling)
    if is_dry:
        folder = ExperimentFolder(loaded, request.out)
        telling.console.print(estimate(plan, folder.path, local_devices(request, len(plan.left))))
        for sentence in weak_claims(plan, loaded, folder):
            telling.says(sentence)
        return 0
    done = run_experiment(request, loaded, plan, telling)
    if done.conclusion is not None:
        telling.concluded(done.conclusion, opens)
        if not done.num_unfinished and done.conclusion.is_mirrored:
            folders = [job.row.folder for job in plan.jobs]
            write_stamp(request, loaded, asked, folders, done.conclusion.drawn)
    else:
        for job in plan.jobs:
            telling.says(f"Picture: {job.folder.image_path}")
            if opens and job.folder.image_path.exists():
                telling.says(open_picture(job.folder.image_path))
        telling.says(f"Next:    {harness_command('compare', done.folder.path)}, with the sweep's other trials")
    return done.num_unfinished


class RunTelling(ConsoleTelling):
    """Tells what was measured, too."""

    def computed(self, jobs: Sequence[Job]) -> None:
        """Print the table of what was measured, and what to do about what was not."""
        self.console.print(measured((_measured_run(job) for job in jobs), self.console))
        super().computed(jobs)
        for job in jobs:
            if job.status in (Status.WAITING, Status.RUNNING, Status.PRUNED):
                name = shown_label(job.cell.label)
                self.says(f"{job.row.id} ({name}) {job.status.value}; run the same command again.")
        if any(job.status is Status.FAILED for job in jobs):
            self.says("Add --retry-failed to compute failed runs again.")


def _measured_run(job: Job) -> MeasuredRun:
    manifest = job.folder.manifest()
    metrics, is_settled = (manifest.metrics, settled(manifest, job.transfer)) if manifest else ({}, None)
    return MeasuredRun(job.row.id, job.cell.label, job.part, job.status, metrics, is_settled)
