"""A study from the run folders: each run's manifest names the trials that asked for it (``harness.runs.trials``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.distributions import json_to_distribution
from optuna.pruners import NopPruner
from optuna.samplers import RandomSampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from harness.results.run import REPEATS
from harness.runs.store import RunFolder
from harness.studies.internals import add_trial
from harness.studies.session import LOST, REASON, Asked, open_study
from harness.studies.storage import explained

Record = Mapping[str, Any]

LOST_REASON = "its run folder was deleted together with the study"


def make_record(asked: Asked, study: str, objectives: Sequence[str], maximised: Sequence[str] = ()) -> dict[str, Any]:
    """What a run's manifest says of a trial from its beginning on.

    Args:
        asked: the trial.
        study: name of its study.
        objectives: the comparable numbers told of it, in order.
        maximised: those of them that are maximised.
    """
    return {
        "study": study,
        "number": asked.number,
        "params": dict(asked.params),
        "distributions": dict(asked.distributions),
        "objectives": list(objectives),
        "maximised": list(maximised),
        "user_attrs": dict(asked.user_attrs),
        "system_attrs": dict(asked.system_attrs),
    }


def trial_records(folder: Path, study: str) -> list[dict[str, Any]]:
    """The records of a study's trials in an experiment's run folders (links are followed), by number.

    Args:
        folder: of the experiment.
        study: name of the study.

    Raises:
        StorageError: a manifest is one of another version; what a damaged one knew is lost.
    """
    found: dict[int, dict[str, Any]] = {}
    for path in sorted([*folder.glob("*/manifest.json"), *folder.glob(f"{REPEATS}/*/manifest.json")]):
        manifest = RunFolder(path.parent).readable_manifest()
        for record in manifest.trials if manifest else ():
            if record["study"] == study and "state" not in found.get(record["number"], {}):
                found[record["number"]] = record
    return [found[number] for number in sorted(found)]


def rebuild(storage: BaseStorage, name: str, records: Iterable[Record], parallel: int | None = None) -> int:
    """Bring a study up to date with the run folders: add every trial behind its last one that they know of.

    Nothing happens to a study that has them all, so this may be called at every start; a rebuild that was killed is
    finished by the next. A number that no folder knows becomes a failed trial. A run that had not ended comes back as
    an open trial, which a session gives out again under its number.

    Args:
        storage: of the study.
        name: of the study; made where there is none.
        records: of ``trial_records``.
        parallel: of a search: its last ``parallel`` trials come back open though their runs have ended, and the driver
            tells them from their folders. The next trial is then drawn from what had been told when it was first due,
            and is the same one. None tells all that have ended: a grid, or a study nobody will go on with.

    Returns:
        how many trials were added.

    Raises:
        StorageError: the storage failed, or holds something else under this name.
    """
    known = {record["number"]: record for record in records}
    if not known:
        return 0
    num_asked: int = max(known) + 1
    num_told = num_asked if parallel is None else num_asked - parallel
    with explained(storage):
        first_known = next(iter(known.values()))
        objectives, maximised = first_known["objectives"], first_known["maximised"]
        study = open_study(storage, name, objectives, RandomSampler(seed=0), NopPruner(), maximised)
        first = len(study.get_trials(deepcopy=False))
        for number in range(first, num_asked):
            lost = create_trial(state=TrialState.FAIL, user_attrs={LOST: True, REASON: LOST_REASON})
            add_trial(study, _trial(known[number], number < num_told) if number in known else lost)
    return max(0, num_asked - first)


def _trial(record: Record, may_be_told: bool) -> FrozenTrial:
    state = TrialState[record["state"]] if may_be_told and "state" in record else TrialState.RUNNING
    intermediate = dict(sorted((int(step), value) for step, value in record.get("intermediate", {}).items()))
    values = record["values"] if state is TrialState.COMPLETE else None
    if state is TrialState.PRUNED and intermediate:
        values = [intermediate[max(intermediate)]]  # as Optuna's tell does
    # Successive halving keeps the value at each rung among the attributes; only rungs are reported, in order.
    rungs = {f"completed_rung_{rung}": value for rung, value in enumerate(intermediate.values())}
    return create_trial(
        state=state,
        values=values,
        params=dict(record["params"]),
        distributions={key: json_to_distribution(text) for key, text in record["distributions"].items()},
        user_attrs=dict(record["user_attrs"]),
        system_attrs={**record.get("system_attrs", {}), **rungs},
        intermediate_values=intermediate,
    )
