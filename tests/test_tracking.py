"""W&B holds what the run folders hold, read back with W&B's own reader; it costs a run neither time nor privacy."""

# ruff: noqa: F811 - fixtures are imported, and then named as arguments

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from results_folder import make_whole
from wandb_server import (  # noqa: F401
    KEY,
    Server,
    exit_code,
    fresh_wandb,
    mirrored_history,
    mirrored_run,
    mirrored_summary,
    only_what_a_test_sets,
    records,
    server,
)

from harness.config import Transfer
from harness.config.transfer_parts import StartFile
from harness.driver.folder import forget
from harness.errors import UsageError
from harness.runs.history import HistoryReader
from harness.runs.store import Manifest, RunFolder, Status
from harness.runs.tracker import Tracker
from harness.tracking.mirror import Mirror, end_service
from harness.tracking.mode import Mode, resolve_mode, wandb_folder
from harness.tracking.records import history_record, run_config, run_name, wandb_id
from harness.tracking.wandb_tracker import WandbTracker, open_tracker

ID = "0123456789ab"
TOKEN = "0badcafe"
FULL_ID = f"relative_weight-{ID}-{TOKEN}"
ITERATES = (1, 2, 5, 10)
TRANSFER = Transfer(content="photo.png", style="one.png", pyramid=(), alpha=1e-3, beta=2.0)


def history_rows(first: int, last: int) -> list[dict[str, float]]:
    return [
        {
            "evaluation": e,
            "seconds": 0.1 * e,
            "total": 7.0 / e,
            "content": 1.0 / (3 * e),
            "style": 1e-7 * e / 3,
            "style/conv1_1": float("nan") if e % 2 else 2.0**-40 / (7 * e),
            "gradient_share/content": 1 / (e + 2),
        }
        for e in range(first, last + 1)
    ]


def write(folder: RunFolder, first: int, last: int) -> None:
    folder.append_history(history_rows(first, last))
    for e in range(first, last + 1):
        if e in ITERATES:
            pixels = hashlib.sha512(f"{folder.path.name} {e}".encode()).digest()[:60]
            Image.frombytes("RGB", (5, 4), pixels).save(folder.iterate_path(e))


def make_folder(
    runs: Path, run_id: str = ID, last: int = 10, experiment: str = "relative_weight", token: str = TOKEN
) -> RunFolder:
    folder = RunFolder(runs / experiment / run_id)
    manifest = Manifest(
        id=run_id,
        experiment=experiment,
        status=Status.RUNNING,
        label={"alpha": 0.001, "start": "noise"},
        provenance={"torch": "2.15"},
        tracking={"tags": ["figure 4"], "notes": "a note", "words": "transfer.alpha=0.001"},
    )
    folder.create(TRANSFER, replace(manifest, token=token) if token else manifest)
    if last:
        write(folder, 1, last)
    return folder


def become(folder: RunFolder, status: Status, **changes: Any) -> None:
    manifest = folder.manifest()
    assert manifest is not None
    if status is Status.DONE:
        make_whole(folder)
    folder.write_manifest(replace(manifest, status=status, **changes))


def track(folder: RunFolder, status: Status = Status.DONE, **changes: Any) -> str:
    """Mirror a folder offline from its beginning to its end."""
    tracker = WandbTracker("offline", folder.path.parent / "wandb")
    tracker.add(folder)
    become(folder, status, **changes)
    tracker.finish(folder)
    return tracker.close()


def wandb_folders(folder: RunFolder, full_id: str = FULL_ID) -> list[Path]:
    return sorted((folder.path.parent / "wandb").glob(f"*{full_id}*"))


def assert_losses_equal_history(folder: RunFolder, items: list[dict[str, Any]]) -> None:
    with open(folder.history_path, newline="") as file:
        lines = list(csv.DictReader(file))
    assert [item["_step"] for item in items] == [int(line["evaluation"]) for line in lines]
    for item, line in zip(items, lines, strict=True):
        for column, text in line.items():
            key = f"loss/{column}" if column.split("/")[0] in ("total", "content", "style") else column
            assert (item[key] == float(text)) if text else (key not in item), (line["evaluation"], column)
        assert item["weighted/content"] == TRANSFER.alpha * float(line["content"])
        assert item["weighted/style"] == TRANSFER.beta * float(line["style"])


def test_losses_equal_history_and_images_are_the_iterates(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    assert track(folder) == ""
    (path,) = wandb_folders(folder)
    items = mirrored_history(path)
    assert len(items) == 10
    assert_losses_equal_history(folder, items)
    images = {item["_step"]: path / "files" / item["iterate.path"] for item in items if "iterate.path" in item}
    assert tuple(images) == ITERATES == tuple(folder.iterates())
    for evaluation, image in images.items():
        assert image.read_bytes() == folder.iterate_path(evaluation).read_bytes()
        assert Image.open(image).convert("RGB").tobytes() == Image.open(folder.iterate_path(evaluation)).tobytes()
    keys = {key.split(".")[0] for item in items for key in item if ".path" in key}
    assert keys == {"iterate"}, "images of all runs share one key"


def test_run_is_described_as_its_manifest_says(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    track(folder, metrics={"ssim": 0.25, "heldout_style": 1.5e-9, "evaluations": 10})
    (path,) = wandb_folders(folder)
    run = mirrored_run(path)
    told = {key: run[key] for key in ("run_id", "display_name", "run_group", "job_type", "notes", "tags", "project")}
    assert told == {
        "run_id": FULL_ID,
        "display_name": "alpha=0.001 start=noise",
        "run_group": "relative_weight",
        "job_type": "transfer",
        "notes": "a note",
        "tags": ["figure 4"],
        "project": "neural-style-transfer",
    }
    config = run["config"]["update"]
    assert config["transfer"] == TRANSFER.plain()
    assert config["provenance"] == {"torch": "2.15"}
    assert config["tracking"] == {"words": "transfer.alpha=0.001"}
    assert "part" not in config, "nothing says which part of an experiment it is"
    summary = mirrored_summary(path)
    assert {key: summary[key] for key in ("ssim", "heldout_style", "evaluations", "status")} == {
        "ssim": 0.25,
        "heldout_style": 1.5e-9,
        "evaluations": 10,
        "status": "done",
    }
    assert "reason" not in summary
    assert exit_code(path) == 0
    axes = [record["metric"] for record in records(path) if record["type"] == "metric"]
    assert {axis.get("name") for axis in axes} >= {"evaluation", "seconds"}
    assert [axis["step_metric"] for axis in axes if axis.get("glob_name") == "*"] == ["evaluation"]


def test_configuration_has_what_runs_are_compared_by_as_plain_values() -> None:
    trial = {"study": "s", "number": 7, "params": {"alpha": 1e-3}, "distributions": {"alpha": "{}"}}
    label = {"trial": 7, "cases": "A", "content_layers": {"conv4_2": 1.0}, "optimiser.history": 10}
    layers, start = {"conv1_1": 0.5, "conv2_1": 0.0, "conv3_1": 0.5}, StartFile(file="/me/a.png")
    transfer = TRANSFER.model_copy(update={"style_layers": layers, "start": start})
    manifest = Manifest(
        ID, "fig4", label=label, trials=({"study": "earlier", "number": 1}, trial),
        provenance={"device": "cpu", "device_name": "a processor"},
        tracking={"command": "harness run /home/me/fig4.yaml transfer.start.file=/home/me/a.png transfer.alpha=0.001"},
    )  # fmt: skip
    told = run_config(transfer, manifest, "repeat")
    plain = {key: value for key, value in told.items() if isinstance(value, str | int | float)}
    assert plain == {
        "alpha": 1e-3,
        "beta": 2.0,
        "alpha_over_beta": 5e-4,
        "style_layers": "conv1_1 conv3_1",
        "method": "gatys",
        "start": "a",
        "seed": 0,
        "content_image": "photo",
        "style_image": "one",
        "style_scale": 1.0,
        "colours": "style",
        "size": 512,
        "total_variation_weight": 0.0,
        "smoothing": 0.0,
        "convention": "released",
        "photorealism_weight": 0.0,
        "cases": "A",
        "content_layers": "conv4_2",
        "optimiser_history": 10,
        "cell": "cases=A content_layers=conv4_2 optimiser.history=10",
        "part": "repeat",
        "command": "harness run fig4.yaml transfer.start.file=a.png transfer.alpha=0.001",
        "device": "a processor",
        "experiment": "fig4",
        "run_id": ID,
        "study": "s",
        "trial": 7,
    }
    assert told["params"] == {"alpha": 1e-3} and told["transfer"] == transfer.plain() and told["label"] == label
    without_style = TRANSFER.model_copy(update={"beta": 0.0})
    assert "alpha_over_beta" not in run_config(without_style, Manifest(ID, "fig1")), "no ratio without β"


def test_variables_of_wandb_go_before_the_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "other")
    monkeypatch.setenv("WANDB_TAGS", "mine,figure 4")
    monkeypatch.setenv("WANDB_RUN_GROUP", "my group")
    monkeypatch.setenv("WANDB_RUN_ID", "would-be-the-same-for-all")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "elsewhere"))
    folder = make_folder(tmp_path)
    track(folder)
    (path,) = (tmp_path / "elsewhere" / "wandb").glob("offline-run-*")
    run = mirrored_run(path)
    assert (run["project"], run["tags"], run["run_group"]) == ("other", ["figure 4", "mine"], "my group")
    assert run["run_id"] == FULL_ID
    assert not (folder.path.parent / "wandb").exists()
    monkeypatch.setenv("WANDB_DIR", "~nosuchuser/x")
    with pytest.raises(UsageError, match="WANDB_DIR=~nosuchuser/x is in a home folder that this machine does not know"):
        wandb_folder(tmp_path / "wandb")


@pytest.mark.parametrize(("status", "code"), [(Status.FAILED, 1), (Status.RUNNING, 255), (Status.PRUNED, 0)])
def test_failed_pruned_and_interrupted_runs_are_marked(tmp_path: Path, status: Status, code: int) -> None:
    folder = make_folder(tmp_path)
    track(folder, status, reason="turned NaN at evaluation 7")
    (path,) = wandb_folders(folder)
    assert exit_code(path) == code
    assert mirrored_summary(path)["status"] == status.name.lower()
    assert mirrored_summary(path)["reason"] == "turned NaN at evaluation 7"


def test_rows_of_a_batch_are_mirrored_side_by_side(tmp_path: Path) -> None:
    folders = [make_folder(tmp_path, f"{row:012x}", last=0) for row in range(3)]
    tracker = WandbTracker("offline", folders[0].path.parent / "wandb", interval_s=0.0)
    for folder in folders:
        tracker.add(folder)
    for evaluation in range(1, 11):
        for folder in folders:
            write(folder, evaluation, evaluation)
        tracker.poke()
        time.sleep(0.005)
    for folder in folders:
        become(folder, Status.DONE)
        tracker.finish(folder)
    assert tracker.close() == ""
    for folder in folders:
        (path,) = wandb_folders(folder, folder.path.name)
        assert_losses_equal_history(folder, mirrored_history(path))


def test_iterate_written_after_its_line_is_not_lost(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, last=4)
    mirror = Mirror(folder, "relative_weight", "offline", folder.path.parent / "wandb")
    size_bytes = folder.history_path.stat().st_size
    folder.append_history(history_rows(5, 5))
    mirror.update(size_bytes)
    folder.iterate_path(5).write_bytes(folder.iterate_path(1).read_bytes())
    mirror.summarise()
    mirror.finish()
    end_service()
    (path,) = wandb_folders(folder)
    assert [item["_step"] for item in mirrored_history(path) if "iterate.path" in item] == [1, 2, 5]


def test_resumed_offline_run_replaces_its_folder(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, last=6)
    beside = folder.path.parent / "wandb" / f"offline-run-20260101_000000-other-{FULL_ID}"
    beside.mkdir(parents=True)
    track(folder, Status.RUNNING)
    (first,) = [path for path in wandb_folders(folder) if path != beside]
    folder.roll_back(4)
    write(folder, 5, 10)
    track(folder)
    (second,) = [path for path in wandb_folders(folder) if path != beside]
    assert not first.exists()
    assert_losses_equal_history(folder, mirrored_history(second))
    assert len(mirrored_history(second)) == 10
    assert exit_code(second) == 0
    assert beside.exists(), "another run's folder whose name only ends alike"


def test_summary_has_the_losses_of_the_kept_picture(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    losses = {"total": 7.0 / 4, "content": 1 / 12, "style": 4e-7 / 3}
    track(folder, metrics={**losses, "kept_evaluation": 4, "evaluations": 10}, provenance={"peak_memory_mb": 700})
    (path,) = wandb_folders(folder)
    kept, summary = mirrored_history(path)[3], mirrored_summary(path)
    names = {name for name in kept if name.startswith(("loss/", "weighted/", "gradient_share/"))}
    assert len(names) == 7 and {name: summary[name] for name in names} == {name: kept[name] for name in names}
    assert summary["peak_memory_mb"] == 700 and not {"total", "content", "style"} & set(summary)


def test_same_run_in_another_folder_is_another_run_and_the_same_folder_the_same(tmp_path: Path, server: Server) -> None:
    folders = [make_folder(tmp_path / out, token=token) for out, token in (("one", TOKEN), ("other", "0badcaff"))]
    for folder in (*folders, folders[0]):
        tracker = WandbTracker("online", folder.path.parent / "wandb")
        tracker.add(folder)
        become(folder, Status.DONE)
        tracker.finish(folder)
        assert tracker.close() == ""
    assert list(server.runs) == [FULL_ID, f"relative_weight-{ID}-0badcaff"]
    for run in server.runs.values():
        assert_losses_equal_history(folders[0], [json.loads(line) for line in run["lines"]])


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_run_computed_anew_shows_its_own_curve(
    tmp_path: Path, server: Server, mode: Literal["online", "offline"]
) -> None:
    """What ``--fresh`` does: the run's folder is taken away, and made again with other losses."""
    folder = make_folder(tmp_path)
    for anew in (False, True):
        if anew:
            forget([folder.path])
            folder = make_folder(tmp_path, last=0, token="")
            folder.append_history([{**row, "total": 2 * row["total"]} for row in history_rows(1, 7)])
        tracker = WandbTracker(mode, folder.path.parent / "wandb")
        tracker.add(folder)
        become(folder, Status.DONE)
        tracker.finish(folder)
        assert tracker.close() == ""
    manifest = folder.manifest()
    assert manifest is not None and re.fullmatch("[0-9a-f]{8}", manifest.token)
    own = f"relative_weight-{ID}-{manifest.token}"
    (path,) = (folder.path.parent / "wandb").glob(f"*run-*-{ID}-*")
    assert path.name.endswith(own), "nothing of the run that was forgotten waits to be uploaded"
    items = mirrored_history(path)
    if mode == "online":
        assert list(server.runs) == [FULL_ID, own]
        items = [json.loads(line) for line in server.runs[own]["lines"]]
    assert_losses_equal_history(folder, items)


def test_run_that_was_deleted_in_wandb_goes_on_as_another_one(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "2")  # the client asks again all that time
    server.deleted |= {FULL_ID, f"{FULL_ID}-2"}
    folder = make_folder(tmp_path, last=6)
    for status in (Status.RUNNING, Status.DONE):
        tracker = WandbTracker("online", folder.path.parent / "wandb")
        tracker.add(folder)
        become(folder, status)
        tracker.finish(folder)
        sentence = tracker.close()
        assert "was deleted in W&B" in sentence and f"told anew as {FULL_ID}-3" in sentence
        if status is Status.RUNNING:
            write(folder, 7, 10)
    assert list(server.runs) == [f"{FULL_ID}-3"]
    run = server.runs[f"{FULL_ID}-3"]
    assert_losses_equal_history(folder, [json.loads(line) for line in run["lines"]])
    assert run["exit_code"] == 0
    assert [path.name.startswith("run-") for path in wandb_folders(folder)] == [True]


def test_run_that_wandb_refuses_is_not_said_to_be_out_of_reach(tmp_path: Path, server: Server) -> None:
    server.refused = "permission denied"
    folder = make_folder(tmp_path)
    tracker = WandbTracker("online", folder.path.parent / "wandb")
    tracker.add(folder)
    become(folder, Status.DONE)
    tracker.finish(folder)
    sentence = tracker.close()
    assert sentence.startswith("W&B did not take a run (permission denied), so runs are tracked offline")
    (path,) = wandb_folders(folder)
    assert_losses_equal_history(folder, mirrored_history(path))


PROGRAM = """
import sys, time
from pathlib import Path
from dataclasses import replace
from harness.runs.store import RunFolder, Status
from harness.tracking.wandb_tracker import WandbTracker
mode, path, end = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
folder = RunFolder(path)
tracker = WandbTracker(mode, path.parent / "wandb", interval_s=0.0)
begun = time.perf_counter()
tracker.add(folder)
tracker.poke()
seconds = time.perf_counter() - begun
if end == "wait":
    while True:
        time.sleep(0.02)
        tracker.poke()
folder.write_manifest(replace(folder.manifest(), status=Status.DONE))
tracker.finish(folder)
print(f"{seconds:.3f}|{tracker.close(25)}")
"""


def program(*words: str, **variables: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables}
    for name in ("WANDB_SILENT", "WANDB_ERROR_REPORTING"):
        environment.pop(name)
    script = Path("secret-script.py")
    script.write_text(PROGRAM)
    command = [sys.executable, str(script), *words]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_killed_run_is_whole_again_when_resumed(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, last=6)
    process = program("offline", str(folder.path), "wait")
    wait_for(lambda: any((path / "files" / "media").exists() for path in wandb_folders(folder)))
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    folder.roll_back(4)
    write(folder, 5, 10)
    assert track(folder) == ""
    (path,) = wandb_folders(folder)
    assert_losses_equal_history(folder, mirrored_history(path))
    assert [item["_step"] for item in mirrored_history(path) if "iterate.path" in item] == list(ITERATES)


def test_nothing_private_is_stored_and_nothing_printed(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(["git", "remote", "add", "origin", "https://host.invalid/secret-remote"], check=True)
    secrets = {"SLURM_JOB_NAME": "secret-slurm-job", "SLURM_JOB_ID": "77", "WANDB_API_KEY": "secret-" + "k" * 40}
    process = program("offline", str(folder.path), "end", "--token=secret-argv", **secrets)
    stdout, stderr = process.communicate(timeout=30)
    assert stdout.split("|")[1] == "\n"
    assert stderr == ""
    (path,) = wandb_folders(folder)
    files = [file for file in (folder.path.parent / "wandb").rglob("*") if file.is_file()]
    assert {file.suffix for file in files} == {".wandb", ".log", ".png"}, "no metadata, requirements, code or diff"
    stored = b"".join(file.read_bytes() for file in files)
    for word in (b"secret-", b"kkkkkkkk", sys.executable.encode(), b"test_tracking"):
        assert word not in stored
    if len(socket.gethostname()) > 5:  # a shorter one stands in pixels by chance
        assert socket.gethostname().encode() not in stored
    assert mirrored_run(path)["host"] == "harness"
    assert "git" not in mirrored_run(path)
    assert {record["type"] for record in records(path)} <= {
        "header", "run", "telemetry", "metric", "files", "summary", "history", "config", "exit", "stats"
    }  # fmt: skip
    sampled = [record["stats"]["item"] for record in records(path) if record["type"] == "stats"]
    assert sampled and all(isinstance(value, int | float) for item in sampled for value in item.values())


def test_unreachable_server_neither_holds_up_nor_loses_a_run(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    begun = time.monotonic()
    unreachable = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": KEY, "WANDB_INIT_TIMEOUT": "1"}
    stdout, stderr = program("online", str(folder.path), "end", **unreachable).communicate(timeout=40)
    assert time.monotonic() - begun < 15
    seconds, sentence = stdout.strip().split("|")
    assert float(seconds) < 0.1, "add() and poke() return at once"
    assert sentence.startswith("W&B could not be reached (") and sentence.endswith("/wandb/offline-run-*`.")
    assert stderr.strip() == sentence, "logged once, and nothing of W&B's own"
    (path,) = wandb_folders(folder)
    assert path.name.startswith("offline-run-")
    assert_losses_equal_history(folder, mirrored_history(path))


def test_online_run_goes_on_at_its_last_step(tmp_path: Path, server: Server) -> None:
    folder = make_folder(tmp_path, last=6)
    directory = folder.path.parent / "wandb"
    for status in (Status.RUNNING, Status.DONE):
        tracker = WandbTracker("online", directory)
        tracker.add(folder)
        become(folder, status)
        tracker.finish(folder)
        assert tracker.close() == ""
        run = server.runs[FULL_ID]
        if status is Status.RUNNING:
            assert (len(run["lines"]), run["exit_code"]) == (6, 255)
            folder.roll_back(4)
            write(folder, 5, 10)
    items = [json.loads(line) for line in run["lines"]]
    assert_losses_equal_history(folder, items)
    assert run["exit_code"] == 0
    assert run["told"]["groupName"] == "relative_weight"
    sent = sorted(hashlib.sha256(data).hexdigest() for name, data in server.files.items() if name.endswith(".png"))
    assert sent == sorted(
        hashlib.sha256(path.read_bytes()).hexdigest() for path in (*folder.iterates().values(), folder.image_path)
    )
    assert len(wandb_folders(folder)) == 1
    assert {run["told"][field] for field in ("host", "program", "repo")} <= {"harness", None, ""}


def test_server_lost_in_mid_run_costs_one_timeout_for_all_rows(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_FINISH_TIMEOUT", "1")
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "1")
    folders = [make_folder(tmp_path, f"{row:012x}", last=4) for row in range(4)]
    tracker = WandbTracker("online", folders[0].path.parent / "wandb", interval_s=0.0)
    for folder in folders:
        tracker.add(folder)
    wait_for(lambda: len(server.runs) == 4)
    server.shutdown()
    server.server_close()
    folders.append(make_folder(tmp_path, "f" * 12, last=4))
    tracker.add(folders[-1])
    for folder in folders:
        write(folder, 5, 10)
        become(folder, Status.DONE)
        tracker.finish(folder)
    begun = time.monotonic()
    sentence = tracker.close(20)
    assert time.monotonic() - begun < 10
    assert sentence.startswith("W&B could not be reached (")
    assert f"`wandb sync --include-online {tmp_path}/relative_weight/wandb/*run-*`" in sentence
    for folder in folders:
        (path,) = wandb_folders(folder, folder.path.name)
        assert_losses_equal_history(folder, mirrored_history(path))
        assert mirrored_summary(path)["status"] == "done"
    assert path.name.startswith("offline-run-"), "the run that could not be begun online"


def test_full_disk_stops_tracking_with_one_sentence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folders = [make_folder(tmp_path, f"{row:012x}") for row in range(2)]
    directory = folders[0].path.parent / "wandb"
    directory.write_text("a file where the folder should be")
    tracker = WandbTracker("offline", directory)
    for folder in folders:
        tracker.add(folder)
        tracker.finish(folder)
    sentence = tracker.close()
    assert sentence.startswith("W&B tracking stopped (") and "their folders hold everything" in sentence
    assert [record.getMessage() for record in caplog.records] == [sentence]


def test_poke_costs_a_clock_reading(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    tracker = WandbTracker("offline", folder.path.parent / "wandb")
    tracker.add(folder)
    begun = time.perf_counter()
    for _ in range(10_000):
        tracker.poke()
    assert time.perf_counter() - begun < 1.0  # 1e-4 s each at worst; an evaluation takes 0.09
    assert tracker.close() == ""
    (path,) = wandb_folders(folder)
    assert exit_code(path) == 255, "closed while its manifest said that it was being computed"


@pytest.mark.parametrize(
    ("requested", "variables", "name"),
    [
        ("off", {"WANDB_MODE": "online", "WANDB_API_KEY": KEY}, "off"),
        ("offline", {"WANDB_API_KEY": KEY}, "offline"),
        ("online", {"WANDB_MODE": "disabled", "WANDB_API_KEY": KEY}, "online"),
        (None, {"WANDB_API_KEY": KEY}, "online"),
        (None, {"WANDB_API_KEY": KEY, "WANDB_MODE": "offline"}, "offline"),
        (None, {"WANDB_API_KEY": KEY, "WANDB_MODE": "disabled"}, "off"),
        (None, {"WANDB_MODE": "disabled"}, "off"),
    ],
)
def test_mode_is_asked_for_or_that_of_wandb(
    requested: str | None, variables: dict[str, str], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert resolve_mode(requested, tmp_path / "wandb") == Mode(name)  # type: ignore[arg-type]


@pytest.mark.parametrize("requested", [None, "online"])
def test_without_a_key_it_is_offline_and_says_how_to_sync(
    requested: str | None, tmp_path: Path, fresh_wandb: None
) -> None:
    mode = resolve_mode(requested, tmp_path / "my runs" / "wandb")
    assert mode.name == "offline"
    assert f"`wandb sync '{tmp_path}/my runs/wandb'/offline-run-*`" in mode.note
    (tmp_path / ".netrc").write_text(f"machine api.wandb.ai login user password {KEY}\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert resolve_mode(requested, tmp_path / "wandb") == Mode("online")


def test_wandb_offline_command_is_respected(tmp_path: Path, fresh_wandb: None) -> None:
    (tmp_path / ".config" / "wandb").mkdir(parents=True)
    (tmp_path / ".config" / "wandb" / "settings").write_text("[default]\nmode = offline\n")
    (tmp_path / ".netrc").write_text(f"machine api.wandb.ai login user password {KEY}\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert resolve_mode(None, tmp_path / "wandb") == Mode("offline")


def test_unknown_modes_name_the_allowed_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="--wandb on is not a mode; choose one of online, offline, off"):
        resolve_mode("on", tmp_path / "wandb")
    monkeypatch.setenv("WANDB_MODE", "nowhere")
    with pytest.raises(UsageError, match="WANDB_MODE=nowhere is not a mode of W&B"):
        resolve_mode(None, tmp_path / "wandb")


def test_tracking_that_is_off_leaves_nothing(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    tracker = open_tracker(Mode("off"), folder.path.parent / "wandb")
    assert type(tracker) is Tracker
    tracker.add(folder)
    tracker.poke()
    tracker.finish(folder)
    assert tracker.close() == tracker.warning == ""
    assert not (folder.path.parent / "wandb").exists()


def test_wandb_is_imported_only_when_used(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    code = "import sys, harness.tracking.wandb_tracker; sys.exit('wandb' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def numbers_of(history: Path) -> list[dict[str, float]]:
    """The whole lines of a history.csv as Python's own csv reads them; blank is NaN."""
    lines = [line for line in history.read_bytes().decode().splitlines(keepends=True) if line.endswith("\n")]
    return [
        {name: int(text) if name == "evaluation" else float(text or "nan") for name, text in row.items()}
        for row in csv.DictReader(lines)
    ]


@given(cuts=st.lists(st.integers(0, 3000), max_size=8), torn=st.sampled_from(["", "1", "11,1.1,0.", "11,1.1,0.5,,"]))
@settings(deadline=None, max_examples=25)
def test_history_read_in_pieces_or_at_once_is_what_its_whole_lines_say(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], torn: str
) -> None:
    folder = make_folder(tmp_path_factory.mktemp("runs"))
    with open(folder.history_path, "a") as file:
        file.write(torn)
    expected = numbers_of(folder.history_path)
    assert [row["evaluation"] for row in expected] == list(range(1, 11))
    assert [math.isnan(row["style/conv1_1"]) for row in expected] == [True, False] * 5
    assert repr(folder.history()) == repr(expected)  # repr: NaN is not equal to itself
    reader = HistoryReader(folder.history_path)
    pieces = [row for cut in sorted(cuts) for row in reader.new_rows(cut)]
    assert repr(pieces + reader.new_rows()) == repr(expected)
    with open(folder.history_path, "a") as file:  # the torn line is written to its end, and another after it
        file.write(("11,1.1,0.5,,0.25,,0.5\n" if torn else "").removeprefix(torn) + "12,1.2,0.5,1,0.25,2,0.5\n")
    assert repr(reader.new_rows()) == repr(numbers_of(folder.history_path)[10:])


def test_what_was_not_measured_is_left_out() -> None:
    row = {"evaluation": 3, "total": 1.0, "content": float("nan"), "style": 0.5}
    record = history_record(row, TRANSFER.model_copy(update={"alpha": 0.0, "beta": 4.0}))
    assert record == {"evaluation": 3, "loss/total": 1.0, "loss/style": 0.5, "weighted/style": 2.0}


def test_ids_are_unique_and_such_as_wandb_takes() -> None:
    experiments = ["a b", "a_b", "a/b", "ä", "x" * 200, "x" * 201, "plain"]
    ids = [wandb_id(experiment, ID, TOKEN) for experiment in experiments]
    assert len(set(ids)) == len(ids)
    assert ids[-1] == f"plain-{ID}-{TOKEN}" != wandb_id("plain", ID, "0badcaff")
    for name in ids:
        assert name.endswith(f"-{ID}-{TOKEN}") and len(name) <= 126 and not set(name) & set("/\\#?%: ä")


def test_run_that_differs_in_nothing_is_named_after_its_experiment() -> None:
    assert run_name({}, "single") == "single"
    assert run_name({"alpha": 1e-4, "start": "noise"}, "x") == "alpha=0.0001 start=noise"
