"""What Optuna and its dashboard have no public way to, in one place; tried with optuna 5.0 and optuna-dashboard 0.21.

A study's storage and the numbers of its rows there are private. They are needed because a trial has to be added as a
whole and given out again under its own number, and because the dashboard keeps images and notes among the attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.storages import BaseStorage
from optuna.storages.journal._file import BaseJournalFileLock
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial

__all__ = ["BaseJournalFileLock"]


def storage_of(study: Study) -> BaseStorage:
    """Where a study is kept."""
    return study._storage


def id_of(trial: Trial | FrozenTrial) -> int:
    """A trial's number in its storage, which is not its number in the study."""
    return trial._trial_id


def stored(study: Study, trial_id: int) -> FrozenTrial:
    """A trial as it stands in the storage; ``study.trials`` would read them all."""
    return study._storage.get_trial(trial_id)


def add_trial(study: Study, trial: FrozenTrial) -> int:
    """Add a trial in one write, in whatever state it is; its number in the storage, which ``Study.add_trial`` hides."""
    return study._storage.create_new_trial(study._study_id, template_trial=trial)


def attributes_of(study: Study) -> Mapping[str, Any]:
    """A study's system attributes: the dashboard's images and notes among them."""
    attributes: Mapping[str, Any] = study._storage.get_study_system_attrs(study._study_id)
    return attributes


def set_attribute(study: Study, key: str, value: str) -> None:
    """Write one of these."""
    study._storage.set_study_system_attr(study._study_id, key, value)


def save_note(study: Study, trial_id: int | None, body: str) -> None:
    """Write a trial's note in the dashboard, or the study's; one that says this already is left as it is."""
    from optuna_dashboard._note import get_note_from_system_attrs, save_note_with_version  # a web server's imports

    note = get_note_from_system_attrs(attributes_of(study), trial_id)
    if note["body"] != body:
        save_note_with_version(study._storage, study._study_id, trial_id, note["version"] + 1, body)
