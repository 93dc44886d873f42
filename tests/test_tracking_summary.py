"""A whole study in W&B: a summary beside its runs, synced whole by ``wandb sync``, and a view to compare them in."""

# ruff: noqa: F811 - fixtures are imported, and then named as arguments

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from results_folder import make_results_folder, picture
from wandb_server import (  # noqa: F401
    KEY,
    Server,
    exit_code,
    fresh_wandb,
    mirrored_run,
    mirrored_summary,
    only_what_a_test_sets,
    records,
    server,
)

from harness.images.files import write_png
from harness.results import Results, load
from harness.runs.store import Status
from harness.tracking.summary import table_of_runs, write_summary
from harness.tracking.wandb_tracker import WandbTracker
from harness.tracking.workspace import build_workspace, offline_advice, save_workspace

SUMMARY = "fig4-summary"


def lines(scale: float) -> list[dict[str, float]]:
    return [
        {"evaluation": e, "seconds": 0.1 * e, "total": scale / e, "content": scale / (3 * e), "style": 1e-7 * scale / e}
        for e in range(1, 7)
    ]


def make_study(runs: Path) -> Results:
    """Four runs of an experiment, one pruned, one failed, one that has not begun; figure and claims."""
    cells: list[dict[str, Any]] = [
        {"label": {"alpha": 1e-3}, "metrics": {"ssim": 0.25, "reference_style": 1e-9}, "history": lines(1.0)},
        {"label": {"alpha": 1e-2}, "metrics": {"ssim": 0.5, "reference_style": 2e-9}, "history": lines(2.0)},
        {"label": {"alpha": 1e-1}, "status": "pruned", "reason": "worse than the median", "history": lines(3.0)},
        {"label": {"alpha": 1.0}, "status": "failed", "reason": "it turned NaN", "history": lines(4.0)},
        {"label": {"alpha": 10.0}, "status": "waiting"},
    ]
    for number, cell in enumerate(cells):
        cell["iterates"] = {e: picture(10 * number + e) for e in (1, 2, 5)}
    tracking = {"tags": ["figure 4"], "notes": "What α/β does.", "project": "gatys"}
    experiment = {"axes": {"alpha": [cell["label"]["alpha"] for cell in cells]}, "tracking": tracking}
    folder = make_results_folder(runs / "fig4", cells, experiment)
    write_png(folder / "figure.png", picture(7) / 255)
    claim = {"says": "style falls with α/β", "measured": "1e-9 … 2e-9", "verdict": "holds", "notes": ["one seed"]}
    (folder / "claims.json").write_text(json.dumps({"claims": [claim | {"findings": []}]}))
    return load(folder)


def mirror(results: Results) -> None:
    """Every run that has begun, and the summary, offline."""
    tracker = WandbTracker("offline", results.folder / "wandb")
    for run in results.runs:
        if run.status is not Status.WAITING:
            tracker.add(run.folder)
            tracker.finish(run.folder)
    assert tracker.close() == ""
    assert write_summary(results, "offline", results.folder / "wandb") == ""


def folders(results: Results, end: str = "") -> list[Path]:
    return sorted(path for path in (results.folder / "wandb").glob("offline-run-*") if end in path.name)


def logged(path: Path) -> dict[str, Any]:
    (item,) = (record["history"]["item"] for record in records(path) if record["type"] == "history")
    return item  # type: ignore[no-any-return]


def table(path: Path, key: str) -> dict[str, Any]:
    (file,) = (path / "files" / "media" / "table").glob(f"{key}_*.table.json")
    told: dict[str, Any] = json.loads(file.read_text())
    return told


def test_table_has_a_row_for_every_run_with_what_sets_it_apart(tmp_path: Path) -> None:
    results = make_study(tmp_path)
    columns, rows = table_of_runs(results)
    assert columns == [
        "run", "part", "alpha", "alpha_over_beta", "status", "settled", "ssim", "reference_style", "reason", "image"
    ]  # fmt: skip
    done, images = results.runs[0], [str(run.folder.image_path) for run in results.runs]
    assert rows[0] == [done.id, "grid", 1e-3, 1e-3, "done", None, 0.25, 1e-9, "", images[0]]
    assert [row[4] for row in rows] == ["done", "done", "pruned", "failed", "waiting"]
    assert rows[2][5:] == [None, None, None, "worse than the median", None]
    assert [row[-1] for row in rows] == [images[0], images[1], None, None, None]


def test_summary_run_holds_table_figure_and_claims(tmp_path: Path) -> None:
    results = make_study(tmp_path)
    assert write_summary(results, "offline", results.folder / "wandb") == ""
    (path,) = folders(results, SUMMARY)
    run = mirrored_run(path)
    told = {key: run[key] for key in ("run_id", "run_group", "job_type", "notes", "tags", "project")}
    assert told == {
        "run_id": SUMMARY,
        "run_group": "fig4",
        "job_type": "summary",
        "notes": "What α/β does.",
        "tags": ["figure 4"],
        "project": "gatys",
    }
    columns, rows = table_of_runs(results)
    runs = table(path, "runs")
    assert runs["columns"] == columns
    assert [row[:-1] for row in runs["data"]] == [row[:-1] for row in rows]
    claims = table(path, "claims")
    assert claims["columns"] == ["says", "measured", "verdict", "notes"]
    assert claims["data"] == [["style falls with α/β", "1e-9 … 2e-9", "holds", '["one seed"]']]
    figure = path / "files" / logged(path)["figure.path"]
    assert figure.read_bytes() == (results.folder / "figure.png").read_bytes()
    summary = mirrored_summary(path)
    assert [summary[f"num_{status}"] for status in ("done", "pruned", "failed", "waiting")] == [2, 1, 1, 1]
    assert summary["num_unsettled"] == 0
    assert exit_code(path) == 0


def test_summary_is_written_anew_as_a_whole(tmp_path: Path) -> None:
    results = make_study(tmp_path)
    mirror(results)
    (first,) = folders(results, SUMMARY)
    (results.folder / "claims.json").unlink()
    assert write_summary(results, "offline", results.folder / "wandb") == ""
    (second,) = folders(results, SUMMARY)
    assert second != first
    assert "claims.path" not in logged(second) and len(folders(results)) == 5


def test_tracking_that_is_off_writes_no_summary(tmp_path: Path) -> None:
    results = make_study(tmp_path)
    assert write_summary(results, "off", results.folder / "wandb") == ""
    assert not (results.folder / "wandb").exists()


def test_summary_that_cannot_be_written_costs_a_sentence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    results = make_study(tmp_path)
    (results.folder / "wandb").write_text("a file where the folder should be")
    sentence = write_summary(results, "offline", results.folder / "wandb")
    assert sentence.startswith("W&B's summary of the experiment was not written (")
    assert caplog.messages == [sentence]


def test_summary_waits_offline_for_a_server_that_is_away(
    tmp_path: Path,
    fresh_wandb: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    results = make_study(tmp_path)
    for name, value in {
        "WANDB_BASE_URL": "http://127.0.0.1:9",
        "WANDB_API_KEY": KEY,
        "WANDB_INIT_TIMEOUT": "1",
    }.items():
        monkeypatch.setenv(name, value)
    sentence = write_summary(results, "online", results.folder / "wandb")
    assert (
        sentence.startswith("W&B did not take the experiment's summary (")
        and "`wandb sync --include-online" in sentence
    )
    (path,) = folders(results, SUMMARY)
    assert table(path, "runs")["columns"][0] == "run"


def test_wandb_sync_uploads_every_loss_and_image_of_a_study(tmp_path: Path, server: Server) -> None:
    results = make_study(tmp_path)
    mirror(results)
    script = Path(sys.executable).with_name("wandb")
    command = [str(script), "sync", *map(str, folders(results))]
    synced = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ})
    assert synced.returncode == 0, synced.stderr
    begun = results.runs[:4]
    assert set(server.runs) == {f"fig4-{run.id}" for run in begun} | {SUMMARY}
    for run, code in zip(begun, (0, 0, 0, 1), strict=True):
        told = server.runs[f"fig4-{run.id}"]
        items = [json.loads(line) for line in told["lines"]]
        assert len(items) == 6
        for item, line in zip(items, run.history(), strict=True):
            assert [item[key] for key in ("evaluation", "seconds", "loss/total", "loss/content", "loss/style")] == list(
                line.values()
            )
        sent = {
            item["_step"]: server.files[f"fig4-{run.id}/{item['iterate']['path']}"]
            for item in items
            if "iterate" in item
        }
        assert sent == {e: path.read_bytes() for e, path in run.folder.iterates().items()} and len(sent) == 3
        assert (told["told"]["groupName"], told["told"]["jobType"], told["exit_code"]) == ("fig4", "transfer", code)
    told = server.runs[SUMMARY]
    assert (told["told"]["groupName"], told["told"]["jobType"], told["exit_code"]) == ("fig4", "summary", 0)
    assert sorted(server.tables) == [f"run-{SUMMARY}-claims", f"run-{SUMMARY}-runs"]
    contents = {hashlib.sha256(content).hexdigest() for content in server.files.values()}
    for path in (results.folder / "figure.png", *(run.folder.image_path for run in results.runs[:2])):
        assert hashlib.sha256(path.read_bytes()).hexdigest() in contents, path


def test_offline_viewer_reads_every_run(tmp_path: Path) -> None:
    results = make_study(tmp_path)
    mirror(results)
    script = Path(sys.executable).with_name("wandb")
    read = subprocess.run(
        [str(script), "leet", "inspect", "--json", str(folders(results, results.runs[0].id)[0])],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    told = [json.loads(line) for line in read.stdout.splitlines()]
    items = [record["history"]["item"] for record in told if record["type"] == "history"]
    assert [item["loss/total"] for item in items] == [line["total"] for line in results.runs[0].history()]
    assert len(folders(results)) == 5
    for path in folders(results):  # the other four by the same reader, without its second of start
        assert {record["type"] for record in records(path)} >= {"run", "history", "summary", "exit"}


def test_view_compares_by_what_varies(tmp_path: Path) -> None:
    view = build_workspace("me", "gatys", "fig4", ("alpha", "start"))
    spec = json.dumps(view._spec)
    section = view._spec["spec"]["section"]
    titles = [each["name"] for each in section["panelBankConfig"]["sections"]]
    assert titles == [
        "Losses", "Images", "Numbers against α/β", "Summary", "Losses by alpha", "Losses by start",
        "Losses by alpha_over_beta",
    ]  # fmt: skip
    panels = {title: each["panels"] for title, each in zip(titles, section["panelBankConfig"]["sections"], strict=True)}
    assert {panel["config"]["xAxis"] for panel in panels["Losses"]} == {"evaluation", "seconds"}
    assert {panel["config"]["metrics"][0] for panel in panels["Losses"]} == {"loss/total", "loss/content", "loss/style"}
    assert {panel["config"]["groupBy"] for panel in panels["Losses by start"]} == {"start.value"}
    assert panels["Images"][0]["config"]["mediaKeys"] == ["iterate"]
    assert {panel["config"]["xAxis"] for panel in panels["Numbers against α/β"]} == {"config:alpha_over_beta.value"}
    assert "summary:heldout_style" in {panel["config"]["yAxis"] for panel in panels["Numbers against α/β"]}
    assert '"fig4"' in json.dumps(section["runSets"][0]["filters"]) and '"group"' in spec
    pinned = section["runSets"][0]["runFeed"]["columnPinned"]
    assert {"run:displayName", "config:alpha.value", "config:start.value", "summary:ssim"} <= set(pinned)


def test_saved_view_is_changed_not_doubled(tmp_path: Path, server: Server) -> None:
    directory = tmp_path / "fig4" / "wandb"
    url = save_workspace("gatys", "fig4", ("alpha",), directory)
    assert re.fullmatch(rf"{server.url}/me/gatys\?nw=\w+", url)
    assert save_workspace("gatys", "fig4", ("alpha", "start"), directory) == url
    (view,) = server.views.values()
    assert (view["projectName"], view["displayName"]) == ("gatys", "fig4")
    assert "Losses by start" in view["spec"]


def test_advice_names_the_folder_only_where_something_waits(tmp_path: Path) -> None:
    directory = tmp_path / "my runs" / "fig4" / "wandb"
    assert offline_advice(directory, "harness dashboard x") == []
    (directory / "offline-run-20260101_000000-fig4-abc").mkdir(parents=True)
    told = "\n".join(offline_advice(directory, "harness dashboard x"))
    assert f"wandb leet '{directory}'" in told and f"wandb sync '{directory}'/offline-run-*" in told
    assert "harness dashboard x" in told
