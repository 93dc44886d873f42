"""Asking and telling: what every storage and every sampler must do, whatever is killed and whenever."""

from __future__ import annotations

import functools
import json
import math
import random
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import FloatDistribution
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import TrialState, create_trial
from postgres import postgres_url  # noqa: F401
from study_driver import OBJECTIVES, SAMPLERS, SPACE, Drivers, carry_out, objective

from harness.config.dimensions import Dimension, Log
from harness.config.samplers import Budget, MedianPruner, SuccessiveHalving
from harness.errors import StorageError
from harness.runs.store import Manifest, Status
from harness.studies.grid import GridSession, open_grid
from harness.studies.naming import study_name
from harness.studies.rebuild import make_record, rebuild, trial_records
from harness.studies.search import SearchSession, open_search
from harness.studies.storage import JOURNAL, open_storage

LAYERS = ("conv1_1", "conv2_1", "conv3_1")
CELLS = [
    {"alpha": 1e-3, "start": "content"},
    {"alpha": 1e-3, "start": {"file": "a"}},
    {"alpha": 1e-1, "start": "noise"},
]


@pytest.fixture(params=["journal", "sqlite", "postgresql"])
def given(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    """What ``--storage`` says, for each kind."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return str(tmp_path / "study.db") if request.param == "sqlite" else None


@pytest.fixture
def storage(given: str | None, tmp_path: Path) -> BaseStorage:
    return open_storage(given, tmp_path)


@pytest.fixture
def memory() -> BaseStorage:
    """For what does not depend on the storage: no waiting for a disk."""
    return InMemoryStorage()


@pytest.fixture(scope="module")
def drivers() -> Iterator[Drivers]:
    started = Drivers()
    yield started
    started.close()


def search(storage: BaseStorage, name: str, sampler: str = "tpe", trials: int = 14, **options: Any) -> SearchSession:
    return open_search(
        storage, name, SPACE, OBJECTIVES, SAMPLERS[sampler], Budget(trials=trials, parallel=4), **options
    )


def asked_params(session: SearchSession | GridSession) -> list[dict[str, Any]]:
    return [dict(sorted(trial.params.items())) for trial in session.study.get_trials(deepcopy=False)]


def assert_weights_are_told(session: SearchSession) -> None:
    """Every trial has its weights, worked out from what was drawn, as float user attributes of their own names."""
    for trial in session.study.get_trials(deepcopy=False):
        logs = {layer: -math.log(trial.params[f"u(style_layers.{layer})"]) for layer in LAYERS}
        weights = {name: value for name, value in trial.user_attrs.items() if name.startswith("style_layers.")}
        assert weights == pytest.approx({f"style_layers.{k}": log / sum(logs.values()) for k, log in logs.items()})
        assert all(type(weight) is float for weight in weights.values())
        assert not set(weights) & set(trial.params), "what is called as a weight is one"


@functools.cache
def uninterrupted(sampler: str) -> list[dict[str, Any]]:
    """What one worker is asked that nobody kills."""
    session = search(InMemoryStorage(), "whole", sampler)
    carry_out(session, workers=1, order=0)
    return asked_params(session)


# ---- a search


def test_every_storage_asks_the_same_trials_and_tells_each_once(
    storage: BaseStorage, given: str | None, tmp_path: Path, drivers: Drivers
) -> None:
    """The contract of a storage: drivers killed at random moments ask what one that nobody kills asks."""
    name = f"killed-{tmp_path.name}"
    rng = random.Random(5)
    job = {"folder": str(tmp_path), "given": given, "name": name, "sampler": "tpe", "trials": 14}
    for kill_at in (0, 2, 5, 8):
        drivers.start("sweep", **job, kill_at=kill_at, kill_after_s=rng.uniform(1e-4, 0.03))
        assert drivers.wait() == -signal.SIGALRM
    drivers.start("sweep", **job, kill_at=99, kill_after_s=1)
    assert drivers.wait() == 0
    session = search(storage, name)
    assert session.is_finished and session.counts().complete == 14
    assert asked_params(session) == uninterrupted("tpe")
    given_out: dict[int, Any] = {}
    for line in (tmp_path / "asked.jsonl").read_text().splitlines():
        number, params = json.loads(line)
        assert given_out.setdefault(number, params) == params
    assert sorted(given_out) == list(range(14))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_journal_cut_at_any_byte_asks_the_same_trials(sampler: str, tmp_path: Path) -> None:
    """Every moment a driver can be killed at is a prefix of its journal; whole lines, torn lines, half-drawn trials."""
    carry_out(search(open_storage(None, tmp_path / "whole"), "whole", sampler), workers=3, order=0)
    content = (tmp_path / "whole" / JOURNAL).read_bytes()
    rng = random.Random(sampler)
    for cut in rng.sample(range(len(content)), 6):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / JOURNAL).write_bytes(content[:cut])
        session = search(open_storage(None, folder), "whole", sampler)
        carry_out(session, workers=2, order=cut)
        assert asked_params(session) == uninterrupted(sampler), f"cut at byte {cut}"
        assert session.counts().complete == 14
        assert_weights_are_told(session)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_any_number_of_workers_asks_the_same_trials(sampler: str, memory: BaseStorage) -> None:
    for workers in (2, 4):
        session = search(memory, f"workers {workers}", sampler)
        carry_out(session, workers, order=workers)
        assert asked_params(session) == uninterrupted(sampler)


@pytest.mark.parametrize("sampler", ["tpe", "random", "nsga2"])
def test_another_seed_asks_other_trials_and_no_two_are_alike(sampler: str, memory: BaseStorage) -> None:
    other = SAMPLERS[sampler].model_copy(update={"seed": 4})
    session = open_search(memory, "other", SPACE, OBJECTIVES, other, Budget(trials=14, parallel=4))
    carry_out(session, workers=1, order=0)
    first = uninterrupted(sampler)
    alphas = {params["alpha"] for params in first}
    assert alphas.isdisjoint(params["alpha"] for params in asked_params(session))
    # NSGA-II's children may take a parent's value over; every other draw of a real number is new.
    assert len(alphas) == 14 or sampler == "nsga2"
    assert len({str(params) for params in first}) == 14


def test_trial_n_waits_for_the_trials_up_to_n_minus_parallel(memory: BaseStorage) -> None:
    session = search(memory, "window")
    asked = [session.ask() for _ in range(4)]
    assert [a.number for a in asked if a] == [0, 1, 2, 3] and session.ask() is None
    for late in (3, 2, 1):
        session.complete(late, [1.0, 1.0])
        assert session.ask() is None and session.open == (0, 1, 2, 3)
    session.complete(0, [1.0, 1.0])
    assert [a.number for a in iter(session.ask, None)] == [4, 5, 6, 7] and session.open == (4, 5, 6, 7)


def test_larger_budget_goes_on(memory: BaseStorage) -> None:
    first = search(memory, "budget", trials=5)
    carry_out(first, workers=2, order=0)
    assert search(memory, "budget", trials=5).is_finished
    second = search(memory, "budget", trials=9)
    assert not second.is_finished and second.counts().left + second.counts().open == 4
    carry_out(second, workers=2, order=0)
    assert second.counts().complete == 9 and asked_params(second)[:5] == asked_params(first)[:5]


def test_failed_trials_are_repeated_only_on_request_and_beyond_the_budget(storage: BaseStorage, tmp_path: Path) -> None:
    name = f"retry-{tmp_path.name}"
    session = search(storage, name, trials=6)
    while (asked := session.ask()) is not None:
        if asked.number in (1, 4):
            session.fail(asked.number, "it was too hot")
        else:
            session.complete(asked.number, objective(asked))
    assert session.is_finished and session.study.trials[1].user_attrs["reason"] == "it was too hot"
    assert search(storage, name, trials=6).is_finished

    again = search(storage, name, trials=6, retry_failed=True)
    repeated = list(iter(again.ask, None))
    assert [a.number for a in repeated] == [6, 7]
    params = asked_params(again)
    assert [params[6], params[7]] == [params[1], params[4]]
    again.complete(6, objective(repeated[0]))
    again.fail(7, "still too hot")
    assert again.is_finished and again.counts().failed == 3
    once_more = search(storage, name, trials=6, retry_failed=True)
    (last,) = iter(once_more.ask, None)
    assert last.user_attrs["retry_of"] == 7, "the trial that was repeated with success is left alone"
    assert_weights_are_told(once_more)


def test_simplex_gives_weights_that_sum_to_one(memory: BaseStorage) -> None:
    session = search(memory, "simplex", "random", trials=4)
    for asked in iter(session.ask, None):
        assert_weights_are_told(session)  # as soon as it is asked
        weights = asked.fields["style_layers"]
        assert asked.user_attrs == {f"style_layers.{layer}": weight for layer, weight in weights.items()}
        assert set(weights) == {"conv1_1", "conv2_1", "conv3_1"} and sum(weights.values()) == pytest.approx(1)
        assert min(weights.values()) > 0
        assert set(asked.fields) == set(SPACE)
        is_plain = isinstance(asked.fields["start"], str)
        assert asked.params["start"] == (asked.fields["start"] if is_plain else '{"file":"a.png"}')


def test_value_that_is_no_number_is_a_failed_trial(memory: BaseStorage) -> None:
    session = search(memory, "nan")
    asked = session.ask()
    assert asked is not None
    session.complete(asked.number, [float("nan"), 1.0])
    trial = session.study.trials[asked.number]
    assert trial.state is TrialState.FAIL and trial.user_attrs["reason"] == "reference_content is nan"


def test_trial_ends_only_once_and_only_if_it_is_open(memory: BaseStorage) -> None:
    session = search(memory, "twice")
    assert session.ask() is not None
    session.complete(0, [1.0, 1.0])
    for number in (0, 9):
        with pytest.raises(ValueError, match="is not open"):
            session.complete(number, [1.0, 1.0])
    session.prune(2)
    with pytest.raises(ValueError, match="is not open"):  # it waits for trial 1 to be told
        session.fail(2, "again")
    with pytest.raises(ValueError, match="1 values for 2 objectives"):
        session.complete(1, [1.0])


def test_trial_of_another_space_is_refused(memory: BaseStorage) -> None:
    session = search(memory, "tampered")
    narrower: dict[str, Dimension] = {**SPACE, "alpha": Log(log=(1e-4, 1e-1))}
    with pytest.raises(StorageError, match="Trial 0 of study tampered .* has a parameter alpha"):
        open_search(memory, "tampered", narrower, OBJECTIVES, SAMPLERS["tpe"], Budget(trials=14, parallel=4))
    session.study.enqueue_trial({"alpha": 7.0})
    with pytest.raises(StorageError, match="was queued by hand"):
        search(memory, "tampered")


@pytest.mark.parametrize(
    ("params", "what"),
    [
        ({"style_layers.conv1_1": 0.5}, "has a parameter style_layers.conv1_1 = 0.5 that is not of this space"),
        ({}, "has no parameter alpha"),
    ],
)
def test_trial_of_another_space_that_has_ended_is_refused_too(
    params: dict[str, float], what: str, memory: BaseStorage
) -> None:
    """Such as one whose parameters are called as weights: it is refused as it is read, not met as a KeyError."""
    study = search(memory, "ended").study
    distributions = dict.fromkeys(params, FloatDistribution(1e-9, 1 - 1e-9))
    study.add_trial(create_trial(values=[1.0, 1.0], params=params, distributions=distributions))
    with pytest.raises(StorageError, match=re.escape(what) + ".*or give another --storage"):
        search(memory, "ended")


def test_second_driver_on_one_study_is_noticed(memory: BaseStorage) -> None:
    session = search(memory, "shared")
    session.study.ask({"alpha": FloatDistribution(1e-5, 1e-1, log=True)})
    with pytest.raises(StorageError, match="Another process has asked"):
        session.complete(0, [1.0, 1.0])


# ---- pruning


PRUNED: dict[str, Dimension] = {"alpha": Log(log=(1e-5, 1e-1))}


def pruned(storage: BaseStorage, name: str, pruner: MedianPruner | SuccessiveHalving) -> SearchSession:
    budget = Budget(trials=12, parallel=1)
    return open_search(storage, name, PRUNED, ["ssim"], SAMPLERS["random"], budget, pruner)


@pytest.mark.parametrize("pruner", [
    MedianPruner(name="median", startup=2, warmup=5),
    SuccessiveHalving(name="successive_halving", min_resource=10, reduction=2),
], ids=["median", "successive_halving"])  # fmt: skip
def test_pruner_gives_up_what_is_worse_and_keeps_what_is_better(
    storage: BaseStorage, tmp_path: Path, pruner: MedianPruner | SuccessiveHalving
) -> None:
    session = pruned(storage, f"{pruner.name}-{tmp_path.name}", pruner)
    verdicts = []
    for number, level in enumerate((5.0, 4.0, 9.0, 1.0)):  # the first is alone, the second better, then worse, best
        asked = session.ask()
        assert asked is not None and asked.number == number
        given_up = session.report(number, level, 10)
        verdicts.append(given_up)
        if given_up:
            session.prune(number)
        else:
            session.complete(number, [level], {"10": level, "20": level})
    assert verdicts == [False, False, True, False]
    third, fourth = session.study.trials[2:4]
    assert third.state is TrialState.PRUNED and third.intermediate_values == {10: 9.0}
    assert fourth.intermediate_values == {10: 1.0, 20: 1.0}


def test_step_reported_twice_keeps_its_first_value(memory: BaseStorage) -> None:
    session = pruned(memory, "steps", MedianPruner(name="median"))
    assert session.ask() is not None
    session.report(0, 5.0, 10)
    again = pruned(memory, "steps", MedianPruner(name="median"))
    again.report(0, 6.0, 10)
    assert again.study.trials[0].intermediate_values == {10: 5.0}


def test_several_objectives_are_not_pruned(memory: BaseStorage) -> None:
    with pytest.raises(ValueError, match="several objectives"):
        search(memory, "many", pruner=MedianPruner(name="median"))
    session = search(memory, "many")
    with pytest.raises(ValueError, match="several objectives"):
        session.report(0, 1.0, 10)


# ---- a grid


def test_every_cell_is_asked_once_and_a_failed_one_again_only_on_request(storage: BaseStorage, tmp_path: Path) -> None:
    name = f"grid-{tmp_path.name}"

    def begin(retry_failed: bool = False) -> GridSession:
        return open_grid(storage, name, CELLS, OBJECTIVES, retry_failed)

    session = begin()
    assert [(a.number, a.cell) for a in iter(session.ask, None)] == [(0, 0), (1, 1), (2, 2)]
    assert session.study.trials[1].params == {"alpha": 0.001, "start": '{"file":"a"}'}
    session.fail(1, "no memory")
    session.complete(2, [1.0, 2.0])

    session = begin()  # the driver died: cell 0 is still open
    assert [(a.number, a.cell) for a in iter(session.ask, None)] == [(0, 0)]
    session.complete(0, [3.0, 4.0])
    assert session.is_finished and begin().is_finished and begin().ask() is None

    session = begin(retry_failed=True)
    (asked,) = iter(session.ask, None)
    assert (asked.number, asked.cell, asked.user_attrs) == (3, 1, {"retry_of": 1})
    session.complete(3, [5.0, 6.0])
    assert begin(retry_failed=True).is_finished
    assert [trial.values for trial in session.study.trials] == [[3.0, 4.0], None, [1.0, 2.0], [5.0, 6.0]]
    assert session.counts().failed == 1 and session.study.metric_names == list(OBJECTIVES)


def test_cells_of_another_grid_under_one_name_are_refused(memory: BaseStorage) -> None:
    assert open_grid(memory, "grid", CELLS, OBJECTIVES).ask() is not None
    with pytest.raises(StorageError, match="is no cell of this grid"):
        open_grid(memory, "grid", CELLS[1:], OBJECTIVES)
    with pytest.raises(ValueError, match="same label"):
        open_grid(memory, "twins", [*CELLS, CELLS[0]], OBJECTIVES)


# ---- rebuilding


def write_run(folder: Path, record: dict[str, Any], ended: dict[str, Any] | None) -> None:
    run = folder / f"run{record['number']}"
    run.mkdir(parents=True)
    manifest = Manifest("id", "sweep", Status.RUNNING, trials=({**record, **(ended or {})},))
    (run / "manifest.json").write_text(manifest.to_json())


def test_deleted_study_comes_back_in_every_storage(storage: BaseStorage, tmp_path: Path) -> None:
    assert len(delete_and_rebuild(storage, "tpe", tmp_path).study.trials) == 12


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_deleted_study_comes_back_and_goes_on_with_the_same_trials(
    sampler: str, memory: BaseStorage, tmp_path: Path
) -> None:
    again = delete_and_rebuild(memory, sampler, tmp_path)
    carry_out(again, workers=2, order=0)
    assert asked_params(again) == uninterrupted(sampler)


def delete_and_rebuild(storage: BaseStorage, sampler: str, tmp_path: Path) -> SearchSession:
    """Stop a search halfway, with trials open and one that ended before its turn; delete it; bring it back."""
    name = f"rebuilt-{sampler}-{tmp_path.name}"
    session = search(storage, name, sampler)
    running = []
    while len(session.study.get_trials(deepcopy=False)) < 12:  # stopped with four trials open
        running += list(iter(session.ask, None))
        asked = running.pop(0)
        write_run(tmp_path / "runs", make_record(asked, name, OBJECTIVES),
                  {"state": "COMPLETE", "values": objective(asked), "intermediate": {}})  # fmt: skip
        session.complete(asked.number, objective(asked))
    running += list(iter(session.ask, None))
    for asked in running:
        ended = {"state": "COMPLETE", "values": objective(asked), "intermediate": {}} if asked.number == 10 else None
        write_run(tmp_path / "runs", make_record(asked, name, OBJECTIVES), ended)  # 10 had ended, and waited its turn
    before = {trial.number: trial for trial in session.study.trials}
    storage.delete_study(session.study._study_id)

    records = trial_records(tmp_path / "runs", name)
    assert rebuild(storage, name, records, parallel=4) == 12
    assert rebuild(storage, name, records, parallel=4) == 0
    again = search(storage, name, sampler)
    for trial in again.study.trials:
        old = before[trial.number]
        assert (trial.state, trial.values, trial.params, trial.distributions, trial.user_attrs) == (
            old.state, old.values, old.params, old.distributions, old.user_attrs)  # fmt: skip
    assert_weights_are_told(again)
    return again


def test_rebuilt_study_keeps_its_numbers_states_and_measurements(memory: BaseStorage, tmp_path: Path) -> None:
    session = pruned(memory, "first", SuccessiveHalving(name="successive_halving", min_resource=10, reduction=2))
    asked = session.ask()
    assert asked is not None
    record = make_record(asked, "study", ["ssim"])
    endings: dict[int, dict[str, Any]] = {
        0: {"state": "COMPLETE", "values": [0.5], "intermediate": {"10": 3.0, "100": 2.0, "20": 2.5}},
        1: {"state": "PRUNED", "values": None, "intermediate": {"10": 4.0}},
        3: {"state": "FAIL", "values": None, "intermediate": {}},
        4: {},
    }
    for number, ended in endings.items():
        write_run(tmp_path / "runs", {**record, "number": number}, ended)
    (tmp_path / "links").mkdir()
    for run in (tmp_path / "runs").iterdir():
        (tmp_path / "links" / run.name).symlink_to(run)
    assert trial_records(tmp_path / "links", "another study") == []
    assert rebuild(memory, "study", trial_records(tmp_path / "links", "study")) == 5
    again = pruned(memory, "study", SuccessiveHalving(name="successive_halving", min_resource=10, reduction=2))
    trials = again.study.trials
    assert [trial.state.name for trial in trials] == ["COMPLETE", "PRUNED", "FAIL", "FAIL", "RUNNING"]
    assert trials[0].values == [0.5] and trials[0].intermediate_values == {10: 3.0, 20: 2.5, 100: 2.0}
    assert trials[1].values == [4.0] and trials[1].params == dict(asked.params)
    assert "deleted" in trials[2].user_attrs["reason"] and not trials[2].params
    reopened = again.ask()
    assert reopened is not None and reopened.number == 4 and reopened.params == asked.params
    assert again.report(4, 9.0, 10), "it is compared with the rebuilt trials at the rung"
    assert again.counts().left == 12 - 4, "the lost trial does not count against the budget"


def test_name_holds_what_decides_the_trials_and_nothing_else() -> None:
    base = {"alpha": 1.0, "size": 64}
    name = study_name("pareto", base, {"space": {"alpha": {"log": [1, 2]}, "start": {"choice": ["a"]}}}, ["ssim"])
    assert name.startswith("pareto-") and len(name) == len("pareto-") + 8
    turned = {"space": {"start": {"choice": ["a"]}, "alpha": {"log": [1, 2]}}}
    assert study_name("pareto", dict(reversed(base.items())), turned, ["ssim"]) == name
    for other in (
        study_name("pareto", {**base, "size": 65}, turned, ["ssim"]),
        study_name("pareto", base, {"axes": {}}, ["ssim"]),
        study_name("pareto", base, turned, ["reference_style"]),
        study_name("pareto", base, turned, ["ssim"], {"name": "tpe", "seed": 1}),
        study_name("pareto", base, turned, ["ssim"], None, {"name": "median"}),
    ):
        assert other != name
