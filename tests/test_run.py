"""Whole experiments, small but real: run, run again, killed, resumed, failed, linked."""

from __future__ import annotations

import csv
import json
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from processes import kill_all, signal_all
from tiny_vgg import tiny_state
from typer.testing import CliRunner, Result

from harness.cli.app import app
from harness.features.vgg import LAYERS
from harness.images.files import read_image


def harness_run(*words: str | Path) -> Result:
    """``harness run`` in this process."""
    return CliRunner().invoke(app, ["run", *map(str, words), "--devices", "cpu", "--wandb", "off"])


def runs_of(folder: Path) -> dict[str, Path]:
    """Label to run folder."""
    found = {}
    for path in folder.glob("*/manifest.json"):
        manifest = json.loads(path.read_text())
        found[", ".join(f"{key}={value}" for key, value in manifest["label"].items())] = path.parent
    return found


def manifest_of(run: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((run / "manifest.json").read_text())
    return data


def history_of(run: Path) -> list[dict[str, str]]:
    """The lines of history.csv without the seconds, which no two runs share."""
    with open(run / "history.csv", newline="") as file:
        return [{key: value for key, value in line.items() if key != "seconds"} for line in csv.DictReader(file)]


def pictures_of(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in [run / "image.png", *sorted((run / "iterates").glob("*.png"))]}


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file under the run folders: time of change and content."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.glob("*/**/*"))
        if path.is_file() and path.name != ".lock"
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """The tiny experiment of ``conftest``, carried out once: its file, its folder, what was printed."""
    folder = tmp_path_factory.mktemp("finished")
    path = folder / "tiny.yaml"
    path.write_text(
        "transfer: {content: astronaut, style: strokes, size: 64, steps: 24, pyramid: [], "
        "content_layers: {conv2_1: 1}, style_layers: {conv1_1: 0.5, conv2_1: 0.5}}\n"
        "axes: {alpha: [1e-3, 1e-1], seed: [0, 1]}\n"
    )
    result = harness_run(path, "--out", folder / "runs")
    assert result.exit_code == 0, result.output
    return path, folder / "runs" / "tiny", result.output


def test_experiment_leaves_figure_curves_and_finished_run_folders(finished: tuple[Path, Path, str]) -> None:
    _, folder, output = finished
    for name in ("figure.png", "figure.pdf", "curves.png", "curves.pdf", "experiment.yaml"):
        assert (folder / name).stat().st_size > 0
    assert str(folder / "figure.png") in output.replace("\n", "")
    runs = runs_of(folder)
    assert set(runs) == {f"alpha={a}, seed={s}" for a in (0.001, 0.1) for s in (0, 1)}
    for run in runs.values():
        assert sorted(path.name for path in run.iterdir() if path.name != ".lock") == [
            "history.csv", "image.png", "iterates", "manifest.json", "transfer.yaml",
        ]  # fmt: skip
        assert sorted(path.stem for path in (run / "iterates").iterdir()) == [
            "000001", "000002", "000005", "000010", "000020", "000024",
        ]  # fmt: skip


def test_manifest_has_the_comparable_numbers_attempts_and_provenance(finished: tuple[Path, Path, str]) -> None:
    for run in runs_of(finished[1]).values():
        manifest = manifest_of(run)
        assert manifest["status"] == "done" and manifest["attempts"] == [{"from": 1, "to": 24}]
        names = {
            "reference_content", "reference_style", "heldout_style", "heldout_style_optimised", "ssim",
            "pixel_distance", "colour_distance", "total_variation", "evaluations", "kept_evaluation",
            "still_falling", "seconds", "total", "content", "style",
        }  # fmt: skip
        assert names == set(manifest["metrics"])
        assert manifest["metrics"]["evaluations"] == 24
        totals = {int(line["evaluation"]): float(line["total"]) for line in history_of(run)}
        assert totals[manifest["metrics"]["kept_evaluation"]] == min(totals.values()) == manifest["metrics"]["total"]
        provenance = manifest["provenance"]
        assert provenance["versions"]["torch"] and provenance["device"] == "cpu" and provenance["batch"] == 4
        assert set(provenance["files"]) == {"content", "style", "weights"}


def test_history_has_every_evaluation_once_and_total_is_eq7(finished: tuple[Path, Path, str]) -> None:
    for run in runs_of(finished[1]).values():
        alpha = float(manifest_of(run)["label"]["alpha"])
        lines = history_of(run)
        assert [int(line["evaluation"]) for line in lines] == list(range(1, 25))
        for line in lines:
            total, content, style = (float(line[name]) for name in ("total", "content", "style"))
            assert total == pytest.approx(alpha * content + style, rel=1e-5)
            by_layer = [float(line[f"style/{layer}"]) for layer in ("conv1_1", "conv2_1")]
            assert style == pytest.approx(0.5 * sum(by_layer), rel=1e-5)
        assert float(lines[-1]["total"]) < 0.2 * float(lines[0]["total"])
        assert [line["evaluation"] for line in lines if line["gradient_share/content"]] == [
            "1",
            "2",
            "5",
            "10",
            "20",
            "24",
        ]


def test_picture_is_the_best_iterate(finished: tuple[Path, Path, str]) -> None:
    for run in runs_of(finished[1]).values():
        totals = [float(line["total"]) for line in history_of(run)]
        assert manifest_of(run)["metrics"]["total"] == min(totals)
        if totals[-1] == min(totals):
            assert (run / "image.png").read_bytes() == (run / "iterates/000024.png").read_bytes()


def test_first_iterate_is_the_start(finished: tuple[Path, Path, str]) -> None:
    """Noise of σ = 0.02 around 0.5 from the row's own generator: the same for one seed, another for another."""
    runs = runs_of(finished[1])
    first = {label: (run / "iterates/000001.png").read_bytes() for label, run in runs.items()}
    assert first["alpha=0.001, seed=0"] == first["alpha=0.1, seed=0"] != first["alpha=0.1, seed=1"]
    noise = read_image(runs["alpha=0.1, seed=0"] / "iterates/000001.png")
    assert abs(noise.mean() - 0.5) < 0.001 and abs(noise.std() - 0.02) < 0.001


@pytest.mark.usefixtures("undrawn")
def test_second_run_does_no_work_and_says_so(finished: tuple[Path, Path, str]) -> None:
    path, folder, _ = finished
    before = snapshot(folder)
    result = harness_run(path, "--out", folder.parent)
    assert result.exit_code == 0 and "4 of 4 runs are done already; 0 to compute." in result.output
    assert snapshot(folder) == before


@pytest.mark.usefixtures("undrawn")
def test_row_equals_solo_run(finished: tuple[Path, Path, str], tmp_path: Path) -> None:
    """Row i of a batch is the solo run of i, bit for bit, through VGG: history, iterates, picture."""
    path, folder, _ = finished
    solo = harness_run(path, "transfer.alpha=0.1", "transfer.seed=1", "--out", tmp_path)
    assert solo.exit_code == 0, solo.output
    (alone,) = runs_of(tmp_path / "tiny").values()
    together = runs_of(folder)["alpha=0.1, seed=1"]
    assert alone.name == together.name
    assert manifest_of(alone)["provenance"]["batch"] == 1
    assert history_of(alone) == history_of(together)
    assert pictures_of(alone) == pictures_of(together)


def have_gone_beyond_their_checkpoints(folder: Path) -> bool:
    """Whether two runs have checkpoints and their histories are longer: a kill now loses evaluations."""
    runs = list(runs_of(folder).values())
    ready = [run for run in runs if (run / "checkpoint.safetensors").exists() and manifest_of(run)["attempts"]]
    return len(ready) == 2 and all(len(history_of(run)) > manifest_of(run)["attempts"][0]["to"] > 0 for run in ready)


@pytest.mark.usefixtures("undrawn")
def test_killed_run_goes_on_to_the_bits_of_the_uninterrupted_one(tmp_path: Path) -> None:
    path = tmp_path / "killed.yaml"
    path.write_text(
        "transfer: {content: chelsea, style: mosaic, size: 64, steps: 300, pyramid: [], "
        "optimiser: {name: lbfgs, line_search: strong_wolfe}, "
        "content_layers: {conv2_1: 1}, style_layers: {conv1_1: 0.5, conv2_1: 0.5}}\n"
        "cases: {A: {seed: 0}, B: {start: content}}\n"
    )
    command = [sys.executable, "-m", "harness", "run", str(path), "--devices", "cpu", "--wandb", "off"]
    command += ["--checkpoint-every", "0.6", "--out", str(tmp_path / "killed")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while True:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
        if have_gone_beyond_their_checkpoints(tmp_path / "killed" / "killed"):
            signal_all(process, signal.SIGSTOP)  # another checkpoint may have come since
            if have_gone_beyond_their_checkpoints(tmp_path / "killed" / "killed"):
                break
            signal_all(process, signal.SIGCONT)
    kill_all(process)
    interrupted = runs_of(tmp_path / "killed" / "killed")
    assert {manifest_of(run)["status"] for run in interrupted.values()} == {"running"}
    again = harness_run(path, "--out", tmp_path / "killed")
    assert again.exit_code == 0, again.output
    whole = harness_run(path, "--out", tmp_path / "whole")
    assert whole.exit_code == 0, whole.output
    for label, run in runs_of(tmp_path / "killed" / "killed").items():
        uninterrupted = runs_of(tmp_path / "whole" / "killed")[label]
        first, second = manifest_of(run)["attempts"]
        assert first["from"] == 1 and 1 < second["from"] <= first["to"] and second["to"] == 300
        assert history_of(run) == history_of(uninterrupted)
        assert pictures_of(run) == pictures_of(uninterrupted)


UNINTERRUPTED = ("axes.seed=[0]", "transfer.steps=300")


@pytest.fixture(scope="module")
def uninterrupted(finished: tuple[Path, Path, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folders of an experiment that takes seconds, carried out in one go; undrawn."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.driver.carrying.draw", lambda results: [])
        result = harness_run(finished[0], *UNINTERRUPTED, "--out", folder)
    assert result.exit_code == 0, result.output
    return folder / "tiny"


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_interrupted_run_exits_with_130_and_goes_on_to_the_same_bits(
    tmp_path: Path, experiment: Path, uninterrupted: Path, number: signal.Signals
) -> None:
    words = [str(experiment), *UNINTERRUPTED]
    command = [sys.executable, "-m", "harness", "run", *words, "--devices", "cpu", "--wandb", "off"]
    command += ["--out", str(tmp_path / "runs")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    histories = tmp_path / "runs"
    while sum(path.stat().st_size > 0 for path in histories.glob("*/*/history.csv")) < 2:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "goes on from there" in output and "Traceback" not in output
    for run in runs_of(tmp_path / "runs" / "tiny").values():
        assert (run / "checkpoint.safetensors").exists()
        assert manifest_of(run)["attempts"][0]["to"] == len(history_of(run)) > 0
    planned = harness_run(*words, "--dry-run", "--out", tmp_path / "runs")
    assert "2 of them begun" in planned.output
    assert harness_run(*words, "--out", tmp_path / "runs").exit_code == 0
    for run in runs_of(tmp_path / "runs" / "tiny").values():
        whole = uninterrupted / run.name
        first, second = manifest_of(run)["attempts"]
        assert second == {"from": first["to"] + 1, "to": 300}
        assert history_of(run) == history_of(whole) and pictures_of(run) == pictures_of(whole)


@pytest.mark.usefixtures("undrawn")
def test_nonfinite_row_fails_alone_by_name(tmp_path: Path) -> None:
    """A row whose loss overflows fails with a sentence; its neighbour is what it would have been alone."""
    path = tmp_path / "broken.yaml"
    path.write_text(
        "transfer: {content: coffee, style: ink, size: 48, steps: 12, pyramid: [], alpha: 1e-3, "
        "content_layers: {conv1_1: 1}, style_layers: {conv1_1: 1}}\n"
        "cases: {sound: {seed: 3}, broken: {seed: 3, alpha: 1e300}}\n"
    )
    result = harness_run(path, "--out", tmp_path / "both")
    assert result.exit_code == 1 and "broken) failed: " in result.output and "--retry-failed" in result.output
    runs = runs_of(tmp_path / "both" / "broken")
    assert manifest_of(runs["cases=broken"])["status"] == "failed" and manifest_of(runs["cases=broken"])["reason"]
    assert not (runs["cases=broken"] / "image.png").exists()
    alone = harness_run(path, "cases={sound: {seed: 3}}", "--out", tmp_path / "alone")
    assert alone.exit_code == 0, alone.output
    (sound,) = runs_of(tmp_path / "alone" / "broken").values()
    assert pictures_of(runs["cases=sound"]) == pictures_of(sound)
    assert history_of(runs["cases=sound"]) == history_of(sound)
    again = harness_run(path, "--out", tmp_path / "both")
    assert again.exit_code == 1 and "0 to compute" in again.output
    retried = harness_run(path, "--out", tmp_path / "both", "--retry-failed")
    assert retried.exit_code == 1 and "1 to compute" in retried.output


@pytest.mark.usefixtures("undrawn")
def test_run_finished_in_another_experiment_is_linked_not_computed(
    finished: tuple[Path, Path, str], tmp_path: Path
) -> None:
    path, folder, _ = finished
    other = tmp_path / "other.yaml"
    other.write_text(path.read_text().split("axes:")[0] + "axes: {alpha: [1e-1]}\n")
    result = harness_run(other, "--out", folder.parent)
    assert result.exit_code == 0 and "1 of them linked" in result.output
    (run,) = (folder.parent / "other").glob("*/manifest.json")
    assert run.parent.is_symlink() and run.parent.resolve() == runs_of(folder)["alpha=0.1, seed=0"].resolve()


def test_another_grid_of_the_same_file_moves_the_earlier_figure_away(experiment: Path, tmp_path: Path) -> None:
    words = ("transfer.steps=2", "--out", tmp_path / "runs")
    assert harness_run(experiment, "axes.alpha=[1e-3]", *words).exit_code == 0
    figure = (tmp_path / "runs/tiny/figure.png").read_bytes()
    assert harness_run(experiment, *words).exit_code == 0
    (earlier,) = (tmp_path / "runs/tiny/earlier").iterdir()
    assert (earlier / "figure.png").read_bytes() == figure and (earlier / "experiment.yaml").exists()
    assert not (earlier / "explore.html").exists(), "it would look there for the pictures"
    assert "4 runs: 4 done" in (tmp_path / "runs/tiny/explore.html").read_text()
    assert (tmp_path / "runs/tiny/figure.png").read_bytes() != figure


@pytest.mark.usefixtures("undrawn")
def test_fresh_computes_again_and_lands_on_the_same_bits(experiment: Path, tmp_path: Path) -> None:
    words = (experiment, "axes=null", "transfer.steps=6", "--out", tmp_path)
    assert harness_run(*words).exit_code == 0
    (run,) = runs_of(tmp_path / "tiny").values()
    before, changed = pictures_of(run), (run / "image.png").stat().st_mtime_ns
    assert harness_run(*words, "--fresh").exit_code == 0
    assert pictures_of(run) == before and (run / "image.png").stat().st_mtime_ns > changed


@pytest.mark.usefixtures("undrawn")
def test_columns_of_a_history_are_the_rows_own(tmp_path: Path) -> None:
    """A neighbour with other layers adds none, so that a row can be resumed in another batch."""
    path = tmp_path / "columns.yaml"
    path.write_text(
        "transfer: {content: coffee, style: ink, size: 48, steps: 3, pyramid: [], content_layers: {conv1_1: 1}}\n"
        "axes: {style_layers: [{conv1_1: 1}, {conv1_2: 0.5, conv2_1: 0.5}], alpha: [0, 1]}\n"
    )
    result = harness_run(path, "--out", tmp_path / "runs")
    assert result.exit_code == 0, result.output
    for run in runs_of(tmp_path / "runs" / "columns").values():
        layers = manifest_of(run)["label"]["style_layers"]
        columns = [name for name in history_of(run)[0] if name.startswith("style/")]
        assert columns == [f"style/{layer}" for layer in layers]
        assert manifest_of(run)["provenance"]["batch"] == 4
        without_content = manifest_of(run)["label"]["alpha"] == 0
        assert {line["content"] == "" for line in history_of(run)} == {without_content}


def test_run_that_another_process_finished_meanwhile_is_left_alone(
    finished: tuple[Path, Path, str],
) -> None:
    """The plan is older than the lock: what is done by then is not begun again."""
    from harness.config import load_experiment
    from harness.driver.jobs import make_jobs
    from harness.runs.batch import Execution, run_batch

    path, folder, _ = finished
    before = snapshot(folder)
    manifests = run_batch([job.row for job in make_jobs(load_experiment(path), folder.parent)], Execution("cpu", 1))
    assert [manifest.status.name for manifest in manifests] == ["DONE"] * 4
    assert snapshot(folder) == before


@pytest.mark.usefixtures("undrawn")
def test_link_whose_run_was_deleted_is_computed_again(experiment: Path, tmp_path: Path) -> None:
    words = (experiment, "axes=null", "transfer.steps=3", "--out", tmp_path / "runs")
    assert harness_run(*words).exit_code == 0
    (run,) = runs_of(tmp_path / "runs/tiny").values()
    pictures = pictures_of(run)
    shutil.rmtree(run)
    run.symlink_to("../gone/away")
    result = harness_run(*words)
    assert result.exit_code == 0, result.output
    assert not run.is_symlink() and pictures_of(run) == pictures


@pytest.mark.usefixtures("undrawn")
def test_begun_run_that_was_finished_elsewhere_still_gets_its_picture(experiment: Path, tmp_path: Path) -> None:
    words = ("axes=null", "transfer.steps=3", "--out", tmp_path / "runs")
    assert harness_run(experiment, *words).exit_code == 0
    (run,) = runs_of(tmp_path / "runs/tiny").values()
    (tmp_path / "runs/other" / run.name / "iterates").mkdir(parents=True)  # a process died before its manifest
    other = experiment.with_name("other.yaml")
    other.write_text(experiment.read_text())
    assert harness_run(other, *words).exit_code == 0
    assert pictures_of(tmp_path / "runs/other" / run.name) == pictures_of(run)


@pytest.mark.usefixtures("undrawn")
def test_cells_whose_files_are_equal_are_a_fault(experiment: Path, tmp_path: Path) -> None:
    shutil.copy("harness/images/drawn/ink.png", tmp_path / "copy.png")
    result = harness_run(experiment, "axes=null", f"axes.style=[ink, {tmp_path}/copy.png]", "--out", tmp_path / "runs")
    assert result.exit_code == 2 and "are the same picture: their files are equal" in result.output


@pytest.mark.usefixtures("undrawn")
def test_fresh_deletes_nothing_when_one_run_is_in_use(experiment: Path, tmp_path: Path) -> None:
    from harness.runs.store import RunFolder

    words = (experiment, "transfer.steps=2", "--out", tmp_path)
    assert harness_run(*words).exit_code == 0
    before = snapshot(tmp_path / "tiny")
    with RunFolder(list(runs_of(tmp_path / "tiny").values())[-1]):
        assert harness_run(*words, "--fresh").exit_code == 1
    assert snapshot(tmp_path / "tiny") == before


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    "words",
    [("transfer.start=content", "transfer.beta=0", "transfer.optimiser.bounds=none"), ("transfer.alpha=1e300",)],
)
def test_row_that_ends_early_stops_at_once(experiment: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    """Its history must not depend on how many evaluations fit into a training step."""
    harness_run(experiment, "axes=null", *words, "--out", tmp_path / "runs")
    (run,) = runs_of(tmp_path / "runs/tiny").values()
    assert len(history_of(run)) == 1 and manifest_of(run)["reason"]


@pytest.mark.usefixtures("undrawn")
def test_damaged_checkpoint_begins_the_run_again(experiment: Path, tmp_path: Path) -> None:
    words = (experiment, "axes=null", "transfer.steps=5", "--out", tmp_path)
    assert harness_run(*words).exit_code == 0
    (run,) = runs_of(tmp_path / "tiny").values()
    pictures, history = pictures_of(run), history_of(run)
    manifest = manifest_of(run) | {"status": "running", "metrics": {}}
    (run / "manifest.json").write_text(json.dumps(manifest))
    (run / "image.png").unlink()
    (run / "checkpoint.safetensors").write_bytes(b"torn")
    (run / ".checkpoint.safetensors.1.tmp").write_bytes(b"half")
    assert harness_run(*words).exit_code == 0
    assert pictures_of(run) == pictures and history_of(run) == history
    assert not list(run.glob(".*.tmp")) and not (run / "checkpoint.safetensors").exists()


@pytest.mark.usefixtures("undrawn")
def test_full_disk_is_a_sentence_and_loses_nothing(experiment: Path, tmp_path: Path) -> None:
    """No file may grow beyond 300 kB, so that the first checkpoint fails in the middle, as on a full disk."""
    words = [str(experiment), "axes=null", "transfer.steps=200", "--devices", "cpu", "--wandb", "off"]
    command = [
        sys.executable,
        "-m",
        "harness",
        "run",
        *words,
        "--checkpoint-every",
        "0",
        "--out",
        str(tmp_path / "runs"),
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000)),
    )
    assert done.returncode == 1 and "could not be written" in done.stderr and "Traceback" not in done.stderr, (
        done.stderr
    )
    assert not [path for path in (tmp_path / "runs").rglob("*") if path.name.endswith(".tmp")]
    assert harness_run(*words[:3], "--out", tmp_path / "runs").exit_code == 0
    assert harness_run(*words[:3], "--out", tmp_path / "whole").exit_code == 0
    for run in runs_of(tmp_path / "runs/tiny").values():
        assert pictures_of(run) == pictures_of(tmp_path / "whole/tiny" / run.name)


@pytest.mark.usefixtures("undrawn")
def test_paper_profile_runs_at_512_px_with_a_file_of_torchvisions_kind(tmp_path: Path) -> None:
    """The keys and the order of torchvision's state dict, its classifier included; few filters, so that it is quick."""
    state = {"classifier.0.weight": torch.zeros(2, 2), "classifier.0.bias": torch.zeros(2)}
    position, block = 0, "1"
    for layer in LAYERS:
        position += layer[4] != block  # a pooling stands between blocks
        block = layer[4]
        for part in ("weight", "bias"):
            state[f"features.{position}.{part}"] = tiny_state(16, 3, 0)[f"{layer}.{part}"]
        position += 2
    torch.save(state, tmp_path / "vgg19.pth")
    images = ["transfer.content=rocket", "transfer.style=waves", "transfer.steps=1"]
    weights = f"transfer.weights={{file: {tmp_path}/vgg19.pth, input: torchvision}}"
    result = harness_run("experiments/relative_weight.yaml", "--profile", "paper", *images, weights, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    runs = runs_of(tmp_path / "relative_weight").values()
    assert len(runs) == 12  # 4 ratios from 3 seeds
    for run in runs:
        assert max(read_image(run / "image.png").shape[:2]) == 512


@pytest.mark.usefixtures("undrawn")
def test_rows_at_different_evaluations_go_on_together(experiment: Path, tmp_path: Path) -> None:
    """One row is resumed beside one that begins: each is what it would have been alone."""
    whole = harness_run(experiment, "axes.alpha=[1e-1]", "--out", tmp_path / "whole")
    assert whole.exit_code == 0
    command = [sys.executable, "-m", "harness", "run", str(experiment), "transfer.alpha=1e-1", "transfer.seed=1"]
    command += ["--devices", "cpu", "--wandb", "off", "--checkpoint-every", "0", "--out", str(tmp_path / "part")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while not list((tmp_path / "part").glob("*/*/history.csv")) and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    process.communicate()
    both = harness_run(experiment, "axes.alpha=[1e-1]", "--out", tmp_path / "part")
    assert both.exit_code == 0, both.output
    for run in runs_of(tmp_path / "part/tiny").values():
        alone = tmp_path / "whole/tiny" / run.name
        assert pictures_of(run) == pictures_of(alone) and history_of(run) == history_of(alone)


@pytest.mark.usefixtures("undrawn")
def test_tracked_run_mirrors_history_and_iterates_in_wandb(
    experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole run, W&B's own files read back: the losses are history.csv's, the images are the iterates."""
    from wandb.util import get_core_path

    result = CliRunner().invoke(
        app, ["run", str(experiment), "axes=null", "--devices", "cpu", "--wandb", "offline", "--out", str(tmp_path)]
    )
    assert result.exit_code == 0, result.output
    (run,) = runs_of(tmp_path / "tiny").values()
    (folder,) = (tmp_path / "tiny/wandb").glob(f"offline-run-*-tiny-{run.name}-{manifest_of(run)['token']}")
    (log,) = folder.glob("*.wandb")
    command = [get_core_path(), "leet", "inspect", "-no-observability", "-json", "-run-file", log, folder.parent]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    history = [record["history"]["item"] for record in map(json.loads, told) if record["type"] == "history"]
    assert [item["loss/total"] for item in history] == [float(line["total"]) for line in history_of(run)]
    images = {path.read_bytes() for path in folder.rglob("iterate_*.png")}
    assert images == {path.read_bytes() for path in (run / "iterates").iterdir()}
    assert len(history[-1]["pictures.filenames"]) == 3
    assert history[-1]["pictures.captions"][-1].startswith("kept: evaluation ")
    assert (run / "image.png").read_bytes() in {path.read_bytes() for path in folder.rglob("pictures_*.png")}
    updates = [record["summary"].get("update", {}) for record in map(json.loads, told) if record["type"] == "summary"]
    (peak_memory_mb,) = (update["peak_memory_mb"] for update in updates if "peak_memory_mb" in update)
    assert 100 < peak_memory_mb == manifest_of(run)["provenance"]["peak_memory_mb"] < 1e5
    raw = b"".join(path.read_bytes() for path in folder.glob("*.wandb"))
    assert str(tmp_path).encode() not in raw.replace(str(experiment).encode(), b"")


@pytest.mark.usefixtures("undrawn")
def test_dry_run_writes_nothing(experiment: Path, tmp_path: Path) -> None:
    result = harness_run(experiment, "--dry-run", "--out", tmp_path / "runs")
    assert result.exit_code == 0 and not (tmp_path / "runs").exists()
    for word in ("cells", "left", "batch 1", "memory", "disk", "time"):
        assert word in result.output
    told = " ".join(result.output.split())
    assert re.search(r"about \d+:\d\d of evaluations on .* besides, not counted: starting the workers, measuring", told)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("name", ["adam", "lbfgs"])
def test_optimisers_and_bounds_of_a_transfer_are_used(experiment: Path, tmp_path: Path, name: str) -> None:
    words = ("axes=null", f"transfer.optimiser={{name: {name}, bounds: source}}", "transfer.steps=10")
    result = harness_run(experiment, *words, "--out", tmp_path / "runs")
    assert result.exit_code == 0, result.output
    (run,) = runs_of(tmp_path / "runs/tiny").values()
    style = read_image(Path("harness/images/drawn/strokes.png"))
    picture = read_image(run / "image.png")
    assert (picture.min((0, 1)) >= style.min((0, 1)) - 1 / 255).all()
    assert (picture.max((0, 1)) <= style.max((0, 1)) + 1 / 255).all()


@pytest.mark.usefixtures("undrawn")
def test_folder_in_use_is_left_alone(experiment: Path, tmp_path: Path) -> None:
    from harness.runs.store import RunFolder

    words = (experiment, "axes=null", "transfer.steps=6", "--out", tmp_path)
    assert harness_run(*words).exit_code == 0
    (run,) = runs_of(tmp_path / "tiny").values()
    before = snapshot(tmp_path / "tiny")
    with RunFolder(run):
        result = harness_run(*words, "--fresh")
    assert result.exit_code == 1 and "in use by another harness process" in result.output
    assert snapshot(tmp_path / "tiny") == before
