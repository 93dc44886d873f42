"""Optuna Dashboard shows what the run folders hold: trials, images, commands, the figure; on this machine only."""

from __future__ import annotations

import json
import os
import re
import socket
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import BaseStorage, RDBStorage
from postgres import postgres_url  # noqa: F401
from results_folder import make_results_folder, picture

from harness.cli.dashboard import Showing, serve, show_dashboard
from harness.errors import UsageError
from harness.images.files import write_png
from harness.results import Results, load
from harness.runs.store import Manifest, Status
from harness.studies.artifacts import mirror_study, note_figure
from harness.studies.storage import open_storage

ALPHAS = (1e-3, 1e-2, 1e-1)
STUDY = "fig4-00000000"


@pytest.fixture(autouse=True)
def no_key_and_no_display(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("WANDB_", "NETRC"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


OPENED: list[BaseStorage] = []


def opened(given: str | None, folder: Path) -> BaseStorage:
    OPENED.append(open_storage(given, folder))
    return OPENED[-1]


@pytest.fixture(autouse=True)
def close_storages() -> Iterator[None]:
    yield
    for storage in OPENED:
        if isinstance(storage, RDBStorage):  # psycopg warns of connections that are left to the garbage collector
            storage.remove_session()
            storage.engine.dispose()
    OPENED.clear()


def make_study(
    runs: Path, storage: str | None = None, alphas: tuple[float, ...] = ALPHAS, study_name: str = STUDY
) -> Results:
    """An experiment's folder with its figure, and its told study."""
    cells = [
        {
            "label": {"alpha": alpha},
            "metrics": {"reference_style": 2 * alpha},
            "status": "failed" if number == len(alphas) - 1 else "done",
            "reason": "it turned NaN" if number == len(alphas) - 1 else "",
            "trials": [record(study_name, number, alpha, number == len(alphas) - 1)],
        }
        for number, alpha in enumerate(alphas)
    ]
    experiment = {"axes": {"alpha": list(alphas)}, "tracking": {"notes": "What α/β does."}}
    folder = make_results_folder(runs / "fig4", cells, experiment)
    cells_json = json.loads((folder / "cells.json").read_text())
    (folder / "cells.json").write_text(json.dumps(cells_json | {"study": study_name, "storage": storage}))
    write_png(folder / "figure.png", picture(7) / 255)
    results = load(folder)
    study = optuna.create_study(storage=opened(storage, folder), study_name=study_name)
    distributions = {"alpha": optuna.distributions.FloatDistribution(1e-4, 1.0)}
    for alpha in alphas[:-1]:
        params = {"alpha": alpha}
        study.add_trial(optuna.trial.create_trial(value=2 * alpha, params=params, distributions=distributions))
    study.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL))
    return results


def record(study_name: str, number: int, alpha: float, failed: bool) -> dict[str, Any]:
    distribution = optuna.distributions.distribution_to_json(optuna.distributions.FloatDistribution(1e-4, 1.0))
    return {
        "study": study_name,
        "number": number,
        "params": {"alpha": alpha},
        "distributions": {"alpha": distribution},
        "objectives": ["reference_style"],
        "maximised": [],
        "user_attrs": {},
        "state": "FAIL" if failed else "COMPLETE",
        "values": None if failed else [2 * alpha],
        "intermediate": {},
    }


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        content: bytes = answer.read()
        return content


def detail(url: str, study_name: str = STUDY) -> dict[str, Any]:
    studies = json.loads(fetch(f"{url}/api/studies"))["study_summaries"]
    (summary,) = (study for study in studies if study["study_name"] == study_name)
    found: dict[str, Any] = json.loads(fetch(f"{url}/api/studies/{summary['study_id']}"))
    return found | {"study_id": summary["study_id"]}


@pytest.fixture(params=["journal", "sqlite", "postgresql"])
def results(request: pytest.FixtureRequest, tmp_path: Path) -> Results:
    if request.param == "journal":
        return make_study(tmp_path)
    if request.param == "sqlite":
        return make_study(tmp_path, f"sqlite:///{tmp_path}/study.db")
    return make_study(tmp_path, str(request.getfixturevalue("postgres_url")), study_name=f"fig4-{uuid.uuid4()}")


def test_dashboard_serves_trials_images_commands_and_the_figure(results: Results) -> None:
    storage = opened(results.storage, results.folder)
    assert mirror_study(results, storage) == ""
    with serve(storage, results.folder, 18080) as url:
        told = detail(url, results.study)
        assert [trial["state"] for trial in told["trials"]] == ["Complete", "Complete", "Fail"]
        for trial, run in zip(told["trials"], results.runs, strict=True):
            assert f"harness run fig4.yaml transfer.alpha={run.label['alpha']}" in trial["note"]["body"]
            images = [
                fetch(f"{url}/artifacts/{told['study_id']}/{trial['trial_id']}/{artifact['artifact_id']}")
                for artifact in trial["artifacts"]
            ]
            assert images == ([run.folder.image_path.read_bytes()] if run.status is Status.DONE else [])
            assert [artifact["mimetype"] for artifact in trial["artifacts"]] == ["image/png"] * len(images)
        assert "it turned NaN" in told["trials"][2]["note"]["body"]
        (figure,) = told["artifacts"]
        address = f"/artifacts/{told['study_id']}/{figure['artifact_id']}"
        assert fetch(url + address) == (results.folder / "figure.png").read_bytes()
        assert f"![figure.png]({address})" in told["note"]["body"]
        assert "What α/β does." in told["note"]["body"] and "2 done, 1 failed" in told["note"]["body"]


@pytest.mark.parametrize("path", ["/explore/explore.html", "/api/studies", "/"])
def test_only_this_machine_by_its_own_name_is_answered(results: Results, path: str) -> None:
    """A foreign page whose name was bound to 127.0.0.1 afterwards (DNS rebinding) gets nothing."""
    with serve(opened(results.storage, results.folder), results.folder, 18080) as url:
        asked = urllib.request.Request(url + path, headers={"Host": "somebody.example:18080"})
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(asked)


def test_mirroring_twice_changes_nothing(results: Results) -> None:
    storage = opened(results.storage, results.folder)
    mirror_study(results, storage)
    study_id = storage.get_study_id_from_name(results.study)
    once = (storage.get_study_system_attrs(study_id), sorted((results.folder / "artifacts").iterdir()))
    assert mirror_study(load(results.folder), opened(results.storage, results.folder)) == ""
    attributes = opened(results.storage, results.folder).get_study_system_attrs(study_id)
    assert (attributes, sorted((results.folder / "artifacts").iterdir())) == once
    assert len(once[1]) == 3, "two pictures and the figure"


def test_another_picture_replaces_the_one_before(tmp_path: Path) -> None:
    results = make_study(tmp_path)
    storage = opened(None, results.folder)
    mirror_study(results, storage)
    write_png(results.runs[0].folder.image_path, picture(99) / 255)
    write_png(results.folder / "figure.png", picture(98) / 255)
    mirror_study(load(results.folder), storage)
    with serve(storage, results.folder, 18080) as url:
        told = detail(url)
        (artifact,) = told["trials"][0]["artifacts"]
        address = f"{url}/artifacts/{told['study_id']}/{told['trials'][0]['trial_id']}/{artifact['artifact_id']}"
        assert fetch(address) == results.runs[0].folder.image_path.read_bytes()
        assert len(told["artifacts"]) == 1
    assert len(list((results.folder / "artifacts").iterdir())) == 3


def test_note_shows_the_front_where_there_is_one(tmp_path: Path) -> None:
    results = make_study(tmp_path)
    write_png(results.folder / "front.png", picture(3) / 255)
    mirror_study(results, opened(None, results.folder))
    with serve(opened(None, results.folder), results.folder, 18080) as url:
        told = detail(url)
        (artifact,) = told["artifacts"]
        assert (
            artifact["filename"] == "front.png"
            and f"![front.png](/artifacts/{told['study_id']}" in told["note"]["body"]
        )


def test_deleted_artifacts_folder_comes_back(tmp_path: Path) -> None:
    results = make_study(tmp_path)
    storage = opened(None, results.folder)
    mirror_study(results, storage)
    for path in (results.folder / "artifacts").iterdir():
        path.unlink()
    mirror_study(results, storage)
    images = [*(run.folder.image_path for run in results.runs[:-1]), results.folder / "figure.png"]
    inodes = {path.stat().st_ino for path in (results.folder / "artifacts").iterdir()}
    assert inodes == {path.stat().st_ino for path in images}, "no second copies"


def test_long_claims_stand_whole_in_the_note(tmp_path: Path) -> None:
    results = make_study(tmp_path)
    claims = "\n".join(f"| claim {number} | holds |" for number in range(300))
    (results.folder / "claims.md").write_text(claims)
    storage = opened(None, results.folder)
    mirror_study(results, storage)
    study = optuna.load_study(study_name=results.study, storage=storage)
    note_figure(study, results.folder, results.folder / "none.png", claims)
    with serve(storage, results.folder, 18080) as url:
        assert detail(url)["note"]["body"] == claims, "also where the note before was longer"


def test_forty_trials_are_mirrored_within_two_seconds(tmp_path: Path) -> None:
    results = make_study(tmp_path, alphas=tuple(0.01 * (i + 1) for i in range(40)))
    storage = opened(None, results.folder)
    begun = time.process_time()  # of this process: the machine's other work does not count
    assert mirror_study(results, storage) == ""
    assert len(list((results.folder / "artifacts").iterdir())) == 40, "39 pictures and the figure"
    assert time.process_time() - begun < 2


def test_storage_that_fails_costs_a_sentence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    results = make_study(tmp_path)
    (results.folder / "artifacts").write_text("a file where the folder should be")
    sentence = mirror_study(results, opened(None, results.folder))
    assert "could not be brought up to date" in sentence and "artifacts" in sentence
    (results.folder / "study.journal").unlink()
    sentence = mirror_study(results, opened(None, results.folder))
    assert sentence == (
        "The study fig4-00000000 is not in its storage; `harness run fig4.yaml` brings it back from the run folders."
    )
    assert caplog.messages[-1] == sentence


def test_nobody_else_can_reach_it(tmp_path: Path) -> None:
    with serve(opened(None, tmp_path), tmp_path, 18080) as url:
        port = int(url.rsplit(":", 1)[1])
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        with pytest.raises(ConnectionRefusedError):  # this machine too, by an address other than the one it is bound to
            socket.create_connection(("127.0.0.2", port), timeout=5)


def test_port_in_use_is_passed_over(tmp_path: Path) -> None:
    storage = opened(None, tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with serve(storage, tmp_path, port) as url:
            assert url.startswith("http://127.0.0.1:") and int(url.rsplit(":", 1)[1]) > port
    with pytest.raises(UsageError, match="Port 80 is reserved|all in use"), serve(storage, tmp_path, 80):
        raise UsageError("all in use: this user may use port 80")  # root may


def test_command_prints_where_to_look_and_ends_with_ctrl_c(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = make_study(tmp_path)
    (results.folder / "wandb" / "offline-run-20260101_000000-fig4-abc").mkdir(parents=True)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        show_dashboard(Showing(results.folder, port=port), interrupt)
    told = capsys.readouterr().out
    assert f"Port {port} is in use" in told
    assert "Optuna Dashboard: http://127.0.0.1:" in told and "/dashboard/studies/" in told
    assert re.search(r"Explorer: +http://127\.0\.0\.1:\d+/explore/explore\.html\n", told.split("Optuna Dashboard:")[0])
    wandb = results.folder / "wandb"
    for words in ("wandb login", f"wandb leet {wandb}", f"wandb sync {wandb}/offline-run-*", "harness dashboard /"):
        assert words in told
    study = optuna.load_study(study_name=results.study, storage=opened(None, results.folder))
    assert "dashboard:note_ver" in study._storage.get_study_system_attrs(study._study_id), "mirrored at the start"


def test_deleted_study_comes_back_with_its_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = make_study(tmp_path)
    (results.folder / "study.journal").unlink()
    show_dashboard(Showing(results.folder, None, 18080, False, "off"), lambda: None)
    assert "its 3 trials were brought back from the run folders." in capsys.readouterr().out
    with serve(opened(None, results.folder), results.folder, 18080) as url:
        assert [len(trial["artifacts"]) for trial in detail(url)["trials"]] == [1, 1, 0]


def test_folder_that_is_no_experiment_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not an experiment's folder"):
        show_dashboard(Showing(tmp_path))


def test_trial_of_another_study_is_left_alone(tmp_path: Path) -> None:
    results = make_study(tmp_path)
    run = results.runs[0]
    manifest = run.folder.manifest()
    assert isinstance(manifest, Manifest)
    data = json.loads(manifest.to_json())
    data["trials"][0]["study"] = "another"
    (run.folder.path / "manifest.json").write_text(json.dumps(data))
    storage = opened(None, results.folder)
    assert mirror_study(load(results.folder), storage) == ""
    with serve(storage, results.folder, 18080) as url:
        assert [len(trial["artifacts"]) for trial in detail(url)["trials"]] == [0, 1, 0]
