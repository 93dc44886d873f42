"""Runs that an experiment has linked instead of computing them, in W&B: each a run of its own in this one's group.

No worker mirrors them, since nothing of them is computed; the driver does, when they are not mirrored yet.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.results import Results, Run
from harness.runs.store import Manifest, RunFolder, Status
from harness.tracking.mirror import wandb_folders
from harness.tracking.mode import Mode
from harness.tracking.records import wandb_id
from harness.tracking.wandb_tracker import open_tracker

REUSED = "reused"
"""Their tag."""

MAX_S = 60.0
"""Seconds that W&B may take for each, if it must."""


class LinkedFolder(RunFolder):
    """A linked run's folder, whose manifest says what the run is in the experiment that links it; only to be read.

    Args:
        run: linked.
        results: of that experiment.
    """

    def __init__(self, run: Run, results: Results) -> None:
        super().__init__(run.folder.path)
        self.run = run
        self.results = results

    def manifest(self) -> Manifest | None:
        """The manifest with this experiment's name, label, tags and notes, and its study's trial last."""
        manifest, source = super().manifest(), self.run.taken_from
        if manifest is None or source is None:
            return manifest
        tracking = self.results.definition.tracking.model_dump(mode="json")
        note = f"Taken from {source.name} (its run {manifest.id}), not computed again."
        tracking |= {"tags": [*tracking["tags"], REUSED], "taken_from": source.name}
        tracking["notes"] = " ".join(filter(None, [tracking["notes"], note]))
        trials = sorted(manifest.trials, key=lambda record: record["study"] == self.results.study)
        label, name = dict(self.run.label), self.results.name
        return replace(manifest, experiment=name, label=label, tracking=tracking, trials=tuple(trials))


def unmirrored(results: Results, directory: Path) -> list[LinkedFolder]:
    """The linked runs of an experiment that are done and have no W&B folder there.

    Args:
        results: the experiment or sweep.
        directory: its ``wandb`` folder.
    """
    linked = [run for run in results.all_runs if run.taken_from and run.status is Status.DONE]
    unique = {run.key: run for run in linked}.values()

    def is_mirrored(run: Run) -> bool:
        manifest = run.manifest
        return manifest is not None and bool(
            wandb_folders(directory, wandb_id(results.name, manifest.id, manifest.token))
        )

    return [LinkedFolder(run, results) for run in unique if not is_mirrored(run)]


def mirror_linked(folders: list[LinkedFolder], mode: Mode, directory: Path) -> str:
    """Mirror linked runs whole.

    Returns:
        What went wrong, as a sentence; empty where nothing did.
    """
    tracker = open_tracker(mode, directory)
    for folder in folders:
        tracker.add(folder)
        tracker.finish(folder)
    return tracker.close(MAX_S * len(folders))
