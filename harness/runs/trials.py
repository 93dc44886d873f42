"""The trials of studies that asked for a run, as its manifest keeps them: a deleted study is rebuilt from these."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from harness.errors import StorageError
from harness.runs.store import Manifest, RunFolder, Status

STATES = {Status.DONE: "COMPLETE", Status.PRUNED: "PRUNED", Status.FAILED: "FAIL"}
"""Optuna's names for what became of a trial."""


def with_trials(manifest: Manifest, trials: Iterable[Mapping[str, Any]]) -> Manifest:
    """The manifest with more trials' records; one of the same study and number is replaced."""
    merged = {(record["study"], record["number"]): record for record in (*manifest.trials, *map(dict, trials))}
    return replace(manifest, trials=tuple(merged.values()))


def with_ended_trials(manifest: Manifest) -> Manifest:
    """The manifest of a run that has ended, with state, values and intermediate values of each trial that had none.

    A trial that has ended keeps its state: one that was pruned stays so when its run is later carried to the end. An
    objective that could not be measured is a failed trial, as Optuna has it for NaN.
    """
    trials = []
    for record in manifest.trials:
        if "state" not in record:
            values = [manifest.metrics.get(name) for name in record["objectives"]]
            state = "FAIL" if None in values and manifest.status is Status.DONE else STATES[manifest.status]
            name = record["objectives"][0] if len(record["objectives"]) == 1 else ""  # of several nothing is reported
            on_the_way = {rung: m[name] for rung, m in manifest.rungs.items() if m.get(name) is not None}
            ended = {"state": state, "values": values if state == "COMPLETE" else None, "intermediate": on_the_way}
            record = {**record, **ended}
        trials.append(record)
    return replace(manifest, trials=tuple(trials))


def record_trial(folder: RunFolder, trials: Iterable[Mapping[str, Any]], wait_s: float = 15.0) -> Manifest:
    """Add trials to a run that has ended, under its lock unless it is held; nothing is written where all is there.

    A checkpoint that a process left behind when it died at the run's very end is taken away.

    Returns:
        The manifest as it is then; of a run that is being computed again, without these trials.

    Raises:
        StorageError: the folder is in use, or has no manifest.
    """
    with ExitStack() as held:
        if not folder.is_held:
            folder.wait_for(wait_s)
            held.callback(folder.release)
        manifest = folder.manifest()
        if manifest is None:
            raise StorageError(f"{folder.path} has no manifest.json; run the same command again.")
        if manifest.status not in STATES:
            return manifest
        if manifest.status is not Status.PRUNED:
            folder.checkpoint_path.unlink(missing_ok=True)
        recorded = with_ended_trials(with_trials(manifest, trials))
        if recorded.to_json() != manifest.to_json():
            folder.write_manifest(recorded)
        return recorded
