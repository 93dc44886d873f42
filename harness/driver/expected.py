"""Whether a command still makes the run that it was printed for: files are edited, photographs and plugins replaced."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.config.commands import harness_command
from harness.config.yaml_source import flow
from harness.driver.jobs import Job
from harness.errors import HarnessError, UsageError
from harness.results.run import Run, computed_from, run_alone

NUM_NAMED = 4
"""So many fields in which two runs differ are named."""


def check_expected(jobs: Sequence[Job], wanted: str | None, out: Path) -> None:
    """Refuse jobs that are not the run that is wanted, with its repeats.

    Args:
        jobs: of the plan.
        wanted: a run's id; None where any will do.
        out: the folder of all experiments' folders, where the run may lie.

    Raises:
        UsageError: there is no such job, or others beside; with what is another than then, where that can be told.
    """
    grid = [job for job in jobs if job.part == "grid"]
    if wanted is None or [job.id for job in grid] == [wanted]:
        return
    if beside := [job for job in jobs if job.id == wanted]:
        one = beside[0].row.manifest.tracking["command"]
        raise UsageError(f"--id {wanted}: this command makes {len(grid)} runs; that one alone is made by {one}.")
    made = f"run {grid[0].id}" if len(grid) == 1 else f"{len(grid)} runs, none of which it is"
    head = (
        f"--id {wanted}: this command makes {made}; its file, an image or a plugin was changed, or the id is another's"
    )
    path = next((path for path in sorted(out.glob(f"*/{wanted}")) if (path / "manifest.json").exists()), None)
    if path is None:
        raise UsageError(f"{head}. Put back what it was, or leave --id out to have what there is now.")
    try:
        changes = _changes(run_alone(path), grid[0]) if len(grid) == 1 else []
    except HarnessError:
        changes = []
    told = f" ({', '.join(changes[:NUM_NAMED])}{', …' if len(changes) > NUM_NAMED else ''})" if changes else ""
    export = harness_command("export", path, "NEW_FOLDER")
    raise UsageError(f"{head}{told}. To compute that one again: {export} has the command and what it needs.")


def _changes(then: Run, job: Job) -> list[str]:
    """``steps was 20, is 22``, ``fox.jpg is another file``: in what a job is not the run that there was."""
    now = Run(job.id, job.cell.label, job.part, job.transfer, (), job.folder, {})
    fields = dict.fromkeys((*then.fields, *now.fields))
    values: list[tuple[str, Any, Any]] = [(name, then.fields.get(name), now.fields.get(name)) for name in fields]
    changes = [f"{name} was {flow(before)}, is {flow(after)}" for name, before, after in values if before != after]
    was = dict(computed_from(then.transfer, then.manifest.provenance).values()) if then.manifest else {}
    is_now = dict(computed_from(job.transfer, job.row.manifest.provenance).values())
    return changes + [f"{name} is another file" for name, sha256 in was.items() if is_now.get(name, sha256) != sha256]
