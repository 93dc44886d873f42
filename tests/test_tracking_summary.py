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

from harness.cli.dashboard import Showing, wandb_view
from harness.images.files import read_image, write_png
from harness.results import Results, Run, load
from harness.runs.store import Status
from harness.tracking.report import save_report
from harness.tracking.summary import table_of_runs, write_summary
from harness.tracking.wandb_tracker import WandbTracker
from harness.tracking.workspace import build_workspace, offline_advice, save_workspace

SUMMARY = "fig4-summary"


def wandb_id_of(run: Run) -> str:
    assert run.manifest is not None
    return f"fig4-{run.id}-{run.manifest.token}"


def summary_id(results: Results) -> str:
    return f"{SUMMARY}-{json.loads((results.folder / 'wandb' / 'saved.json').read_text())['token']}"


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
    for run in results.all_runs:
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
        "run_id": summary_id(results),
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


def test_summary_that_was_deleted_in_wandb_is_told_as_another_one(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "2")
    results = make_study(tmp_path)
    assert write_summary(results, "online", results.folder / "wandb") == ""
    first = summary_id(results)
    server.deleted.add(first)
    for _ in range(2):
        assert write_summary(results, "online", results.folder / "wandb") == ""
        assert summary_id(results) == f"{first}-2", "which is asked for at once the next time"
    assert list(server.runs) == [first, f"{first}-2"] and len(server.runs[f"{first}-2"]["lines"]) == 2
    (path,) = (results.folder / "wandb").glob(f"*run-*-{SUMMARY}-*")
    assert f"{first}-2" in path.name


def test_summary_whose_tables_wandb_refuses_waits_offline(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its run had begun by then, and its id is in use as long as that is open."""
    results = make_study(tmp_path)
    monkeypatch.setattr(server, "artifact_query", lambda name, variables: {})
    sentence = write_summary(results, "online", results.folder / "wandb")
    assert sentence.startswith("W&B did not take the experiment's summary (")
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
    assert set(server.runs) == {wandb_id_of(run) for run in begun} | {summary_id(results)}
    for run, code in zip(begun, (0, 0, 0, 1), strict=True):
        told = server.runs[wandb_id_of(run)]
        items = [json.loads(line) for line in told["lines"]]
        assert len(items) == 6
        for item, line in zip(items, run.history(), strict=True):
            assert [item[key] for key in ("evaluation", "seconds", "loss/total", "loss/content", "loss/style")] == list(
                line.values()
            )
        sent = {
            item["_step"]: server.files[f"{wandb_id_of(run)}/{item['iterate']['path']}"]
            for item in items
            if "iterate" in item
        }
        assert sent == {e: path.read_bytes() for e, path in run.folder.iterates().items()} and len(sent) == 3
        assert (told["told"]["groupName"], told["told"]["jobType"], told["exit_code"]) == ("fig4", "transfer", code)
    told = server.runs[summary_id(results)]
    assert (told["told"]["groupName"], told["told"]["jobType"], told["exit_code"]) == ("fig4", "summary", 0)
    assert sorted(server.tables) == [f"run-{summary_id(results)}-claims", f"run-{summary_id(results)}-runs"]
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


def make_repeated(runs: Path) -> Results:
    """A cell, and the same from another seed, of two paintings of other proportions than the photograph."""
    wide = picture(5, 8, 32)
    style = {"strokes": 0.75, "ink": 0.25}
    cells = [
        {"label": {"alpha": 0.1, **seed}, "part": part, "history": lines(1.0), "transfer": {"style": style, **seed},
         "metrics": {"kept_evaluation": 5}, "sources": {"style.0": wide, "style.1": wide}}
        for part, seed in (("grid", {}), ("repeat", {"seed": 2}))
    ]  # fmt: skip
    return load(make_results_folder(runs / "fig4", cells, {"axes": {"alpha": [0.1]}}))


def test_kept_picture_lies_beside_photograph_and_paintings(tmp_path: Path) -> None:
    results = make_repeated(tmp_path)
    mirror(results)
    for run, part in zip(results.all_runs, ("grid", "repeat"), strict=True):
        (path,) = folders(results, run.id)
        items = [record["history"]["item"] for record in records(path) if record["type"] == "history"]
        assert ["pictures" in json.dumps(item) for item in items] == [False] * 5 + [True]
        last = items[-1]
        assert last["loss/total"] == run.history()[-1]["total"] and last["_step"] == 6
        captions = ["content: astronaut", "style.0: ink", "style.1: strokes", "kept: evaluation 5"]
        assert last["pictures.captions"] == captions
        shown = [path / "files" / name for name in last["pictures.filenames"]]
        assert shown[-1].read_bytes() == run.folder.image_path.read_bytes()
        sizes = [read_image(file).shape for file in shown]
        assert sizes == [(16, 16, 3)] * 4, "W&B draws a list of images at the first one's size"
        assert (read_image(shown[0]) == read_image(run.sources["content"])).all()
        config = mirrored_run(path)["config"]["update"]
        assert (config["part"], config["cell"], config["command"]) == (
            part,
            "alpha=0.1",
            "harness run fig4.yaml --devices cpu:1",
        )


def test_pictures_of_a_run_that_was_carried_on_are_told_once(tmp_path: Path, server: Server) -> None:
    results = make_repeated(tmp_path)
    run = results.runs[0]
    for _ in range(3):  # as when a finished run's numbers are measured again
        tracker = WandbTracker("online", results.folder / "wandb")
        tracker.add(run.folder)
        tracker.finish(run.folder)
        assert tracker.close() == ""
    lines_told = server.runs[wandb_id_of(run)]["lines"]
    assert ["pictures" in json.loads(line) for line in lines_told] == [False] * 5 + [True]


def test_view_compares_by_what_varies(tmp_path: Path) -> None:
    view = build_workspace("me", "gatys", "fig4", ("alpha", "start"))
    spec = json.dumps(view._spec)
    section = view._spec["spec"]["section"]
    titles = [each["name"] for each in section["panelBankConfig"]["sections"]]
    assert titles == [
        "Losses", "Losses over seeds", "Pictures", "Images", "Content against style", "What varies",
        "Numbers against α/β", "Summary", "Losses by alpha", "Losses by start", "Losses by alpha_over_beta",
    ]  # fmt: skip
    panels = {title: each["panels"] for title, each in zip(titles, section["panelBankConfig"]["sections"], strict=True)}
    assert {panel["config"]["xAxis"] for panel in panels["Losses"]} == {"evaluation", "seconds"}
    assert {panel["config"]["metrics"][0] for panel in panels["Losses"]} == {"loss/total", "loss/content", "loss/style"}
    assert {panel["config"]["groupBy"] for panel in panels["Losses by start"]} == {"start.value"}
    assert panels["Images"][0]["config"]["mediaKeys"] == ["iterate"]
    assert {panel["config"]["xAxis"] for panel in panels["Numbers against α/β"]} == {"config:alpha_over_beta.value"}
    assert "summary:heldout_style" in {panel["config"]["yAxis"] for panel in panels["Numbers against α/β"]}
    for title, key in (("Losses over seeds", "cell"), ("Losses by alpha", "alpha")):
        bands = {
            tuple(panel["config"][name] for name in ("groupBy", "groupAgg", "groupArea")) for panel in panels[title]
        }
        assert bands == {(f"{key}.value", "mean", "minmax")}
    (beside,) = (panel["config"] for panel in panels["Pictures"])
    assert (beside["mediaKeys"], beside["gridSettings"]) == (["pictures"], {"xAxis": "index", "yAxis": "run"})
    assert "by alpha, start" in beside["chartTitle"]
    order = [(key["key"]["name"], key["ascending"]) for key in section["runSets"][0]["sort"]["keys"]]
    assert order == [(key, True) for key in ("alpha", "start", "alpha_over_beta")], "so are the rows"
    points = {(panel["config"]["xAxis"], panel["config"]["yAxis"]) for panel in panels["Content against style"]}
    assert points == {
        ("summary:loss/content", "summary:loss/style"), ("summary:reference_content", "summary:reference_style")
    }  # fmt: skip
    columns = [column["accessor"] for column in panels["What varies"][0]["config"]["columns"]]
    assert columns[:3] == ["config:alpha.value", "config:start.value", "config:alpha_over_beta.value"]
    assert {"summary:loss/content", "summary:loss/style", "summary:ssim"} <= set(columns)
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


def test_report_has_figure_claims_and_panels_and_is_changed_not_doubled(tmp_path: Path, server: Server) -> None:
    results = make_study(tmp_path)
    claim = {"says": "a | b", "where": "fig. 4", "verdict": "holds", "notes": ["one seed", "two"]}
    (results.folder / "claims.json").write_text(json.dumps({"claims": [claim]}))
    directory = results.folder / "wandb"
    url = save_report("gatys", results, ("alpha",), directory)
    assert url == f"{server.url}/me/gatys/reports/fig4--report0"
    assert save_report("gatys", results, ("alpha",), directory) == url
    (report,) = server.reports.values()
    assert (report["projectName"], report["displayName"], report["description"]) == ("gatys", "fig4", "What α/β does.")
    blocks = json.loads(report["spec"])["blocks"]
    titles = [block["children"][0]["text"] for block in blocks if block["type"] == "heading"]
    assert titles == ["Figure", "Claims", "Pictures", "Content against style", "Losses"]
    head, claims = (block["content"] for block in blocks if block["type"] == "markdown-block")
    assert "harness run fig4.yaml" in head and "5 runs: 2 done, 1 pruned, 1 failed, 1 waiting." in head
    assert claims.splitlines() == [
        "| says | where | verdict | notes |",
        "| --- | --- | --- | --- |",
        r"| a \| b | fig. 4 | holds | one seed; two |",
    ]
    grids = [block["metadata"] for block in blocks if block["type"] == "panel-grid"]
    of_what = [json.dumps(grid["runSets"][0]["filters"]) for grid in grids]
    assert ['"!="' in filters for filters in of_what] == [False, True, True, True] and '"summary"' in of_what[0]
    assert all('"fig4"' in filters for filters in of_what)
    kinds = [[panel["viewType"] for panel in grid["panelBankSectionConfig"]["panels"]] for grid in grids]
    assert kinds == [
        ["Media Browser"], ["Media Browser"], ["Scatter Plot", "Scatter Plot", "Parallel Coordinates Plot"],
        ["Run History Line Plot"] * 9,
    ]  # fmt: skip
    assert grids[0]["panelBankSectionConfig"]["panels"][0]["config"]["mediaKeys"] == ["figure"]


def test_dashboard_says_where_view_and_report_are_or_why_not(tmp_path: Path, server: Server) -> None:
    results = make_study(tmp_path)
    view, report = wandb_view(results, Showing(results.folder, wandb="online"))
    assert view.startswith(f"W&B view:         {server.url}/me/gatys?nw=")
    assert report == f"W&B report:       {server.url}/me/gatys/reports/fig4--report0"
    (results.folder / "claims.json").write_text("torn")
    view, report = wandb_view(results, Showing(results.folder, wandb="online"))
    assert view.startswith("W&B view:") and report.startswith("The W&B report could not be written (")


def test_advice_names_the_folder_only_where_something_waits(tmp_path: Path) -> None:
    directory = tmp_path / "my runs" / "fig4" / "wandb"
    assert offline_advice(directory, "harness dashboard x") == []
    (directory / "offline-run-20260101_000000-fig4-abc").mkdir(parents=True)
    told = "\n".join(offline_advice(directory, "harness dashboard x"))
    assert f"wandb leet '{directory}'" in told and f"wandb sync '{directory}'/offline-run-*" in told
    assert "harness dashboard x" in told
