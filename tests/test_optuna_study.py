"""A sweep's study opened from its results, wherever it is stored."""

# ruff: noqa: F811 - fixtures are imported, and then named as arguments

from __future__ import annotations

import json
import shutil
from pathlib import Path

import optuna
import pytest
from postgres import postgres_url  # noqa: F401
from results_folder import make_results_folder
from test_studies import given  # noqa: F401

import harness
from harness.config.dimensions import Choice, Log
from harness.config.samplers import Budget, Random
from harness.errors import StorageError, UsageError
from harness.studies.search import open_search
from harness.studies.storage import address_to_keep, open_storage

SWEEP = {
    "space": {"alpha": {"log": [1e-3, 1]}, "start": {"choice": ["content", {"file": "a.png"}]}},
    "objectives": ["reference_style"],
    "budget": {"trials": 3, "parallel": 1},
}


def sweep_in(folder: Path, given: str | None) -> Path:
    """A sweep's folder, without runs, and its study of three trials in a storage."""
    made = make_results_folder(folder / "runs" / "sw", [], SWEEP)
    name = f"sw-{folder.parent.name}"
    cells = json.loads((made / "cells.json").read_text())
    kept = {"study": name, "storage": given and address_to_keep(given)}
    (made / "cells.json").write_text(json.dumps({**cells, **kept}))
    space = {"alpha": Log(log=(1e-3, 1)), "start": Choice(choice=("content", {"file": "a.png"}))}
    session = open_search(
        open_storage(given, made), name, space, ["reference_style"], Random(name="random"), Budget(trials=3, parallel=1)
    )
    while (asked := session.ask()) is not None:
        session.complete(asked.number, [float(asked.number)])
    return made


def test_the_study_is_had_from_every_storage(tmp_path: Path, given: str | None) -> None:
    results = harness.load(sweep_in(tmp_path, given))
    study = results.optuna_study()
    assert isinstance(study, optuna.Study) and study.study_name == results.study
    assert [trial.value for trial in study.trials] == [0, 1, 2]
    assert {trial.params["start"] for trial in study.trials} <= {"content", '{"file":"a.png"}'}
    assert study.best_value == 0
    frame = study.trials_dataframe()
    assert len(frame) == 3 and "params_start" in frame


def test_what_has_no_study_says_so(tmp_path: Path) -> None:
    grid = harness.load(make_results_folder(tmp_path / "grid", [{"label": {"alpha": 0.1}}]))
    with pytest.raises(UsageError, match="grid is an experiment: nothing was searched"):
        grid.optuna_study()
    database = str(tmp_path / "study.db")
    for k, (storage, file) in enumerate(((None, "study.journal"), (database, "study.db"))):
        made = sweep_in(tmp_path / str(k), storage)
        results = harness.load(made)
        (made / file if storage is None else Path(database)).unlink()
        with pytest.raises(StorageError, match=rf"no study {results.study} in \S*{file}; harness sweep sw.yaml brings"):
            results.optuna_study()
        assert not (made / "study.journal").exists() and not Path(database).exists(), "looking makes nothing"
    made = sweep_in(tmp_path / "other", None)
    shutil.copy(sweep_in(tmp_path / "again" / "b", None) / "study.journal", made)
    with pytest.raises(StorageError, match="There is no study"):
        harness.load(made).optuna_study()
