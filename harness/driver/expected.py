"""Whether a command still makes the run that it was printed for: files are edited, photographs and plugins replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.config.commands import harness_command
from harness.config.yaml_source import flow
from harness.driver.jobs import Job
from harness.errors import HarnessError, UsageError
from harness.results.run import Run, run_alone

NUM_NAMED = 4
"""So many fields in which two runs differ are named."""


def check_expected(jobs: Sequence[Job], wanted: str | None, out: Path) -> None:
    """Refuse jobs of which none is the run that is wanted.

    Args:
        jobs: of the plan.
        wanted: a run's id; None where any will do.
        out: the folder of all experiments' folders, where the run may lie.

    Raises:
        UsageError: there is no such job; with what is another than then, where the run is still there.
    """
    if wanted is None or any(job.id == wanted for job in jobs):
        return
    made = f"run {jobs[0].id}" if len(jobs) == 1 else f"{len(jobs)} runs, none of which it is"
    head = f"--id {wanted}: this command makes {made} by now, since its file, an image or a plugin was changed"
    path = next((path for path in sorted(out.glob(f"*/{wanted}")) if (path / "manifest.json").exists()), None)
    if path is None:
        raise UsageError(f"{head}. Put back what it was, or leave --id out to have what there is now.")
    try:
        changes = _changes(run_alone(path), jobs[0]) if len(jobs) == 1 else []
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
    was = then.manifest.provenance if then.manifest else {}
    contents, contents_now = _contents(was), _contents(job.row.manifest.provenance)
    return changes + [
        f"{name} is another file" for name, sha256 in contents.items() if contents_now.get(name, sha256) != sha256
    ]


def _contents(provenance: Mapping[str, Any]) -> dict[str, str]:
    files = {file["name"]: file.get("network", file["sha256"]) for file in provenance.get("files", {}).values()}
    return files | dict(provenance.get("plugins", {}))
