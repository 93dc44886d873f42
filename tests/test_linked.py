"""Runs that another experiment has computed: said where they are from, in W&B as this one's, and missed by name."""

# ruff: noqa: F811 - fixtures are imported, and then named as arguments

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from results_folder import make_results_folder
from typer.testing import CliRunner, Result
from wandb_server import fresh_wandb, mirrored_history, mirrored_run, only_what_a_test_sets  # noqa: F401

import harness
from harness.cli.app import app
from harness.errors import ImageError, UsageError
from harness.results.standing import Condition, overall
from harness.runs.store import Status
from harness.tracking.linked import unmirrored

TRANSFER = """\
transfer: {content: astronaut, style: strokes, size: 32, steps: 2, pyramid: [], content_layers: {conv1_1: 1},
           style_layers: {conv1_1: 1}}
"""
SEARCH = f"""\
{TRANSFER}space: {{alpha: {{choice: [1e-3, 1e-2, 1e-1]}}}}
objectives: [pixel_distance]
sampler: random
budget: {{trials: 4, parallel: 2}}
tracking: {{tags: [mine], notes: A search.}}
"""


def typed(*words: str | Path, wandb: str = "off") -> Result:
    """``harness run`` or ``sweep``, carried out."""
    result = CliRunner().invoke(app, [*map(str, words), "--wandb", wandb, "--devices", "cpu"])
    assert result.exit_code == 0, result.output
    return result


def looked(*words: str | Path) -> str:
    """What a command printed that looks at what there is, on one line."""
    result = CliRunner().invoke(app, [*map(str, words)])
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with two experiments done, ``first`` and ``second``, and files that ask for their runs."""
    folder = tmp_path_factory.mktemp("done")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("harness.driver.carrying.draw", lambda results: [])
        Path("first.yaml").write_text(f"{TRANSFER}axes: {{alpha: [1e-3, 1e-2]}}\n")
        Path("second.yaml").write_text(f"{TRANSFER}axes: {{alpha: [1e-1]}}\n")
        Path("other.yaml").write_text(f"{TRANSFER}axes: {{alpha: [1e-3, 1e-2, 1e-1, 1]}}\n")
        Path("search.yaml").write_text(SEARCH)
        for name in ("first", "second"):
            typed("run", f"{name}.yaml")
    return folder


@pytest.fixture
def folder(done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undrawn: None) -> Path:
    """A copy of it, to be worked in."""
    shutil.copytree(done, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_run_says_how_many_runs_come_from_which_experiment(folder: Path) -> None:
    where = "2 of them linked from runs/first, 1 from runs/second"
    assert f"3, {where}" in " ".join(typed("run", "other.yaml", "--dry-run").output.split())
    assert f"3 of 4 runs are done already ({where}); 1 to compute." in typed("run", "other.yaml").output
    assert f"4 of 4 runs are done already ({where}); 0 to compute. Nothing has" in typed("run", "other.yaml").output
    (Path("runs/other/unchanged.json")).unlink()
    assert f"4 of 4 runs are done already ({where}); 0 to compute." in typed("run", "other.yaml").output
    assert f"4 runs: 4 done; {where}" in looked("status", "runs/other")
    run = harness.load("runs/other").run(alpha=1e-1)
    assert run.taken_from == folder / "runs" / "second" and harness.load("runs/second").runs[0].taken_from is None
    assert "experiment" not in looked("compare", "runs/other"), "they are all runs of this one"


def test_sweep_says_it_too(folder: Path) -> None:
    told = typed("sweep", "search.yaml").output
    linked = [run for run in harness.load("runs/search").runs if run.taken_from]
    assert linked and "4 trials have runs; " in told
    for name in ("first", "second"):
        num = len({run.id for run in linked if run.taken_from == folder / "runs" / name})
        assert not num or f"{num} of them linked from runs/{name}" in told or f"{num} from runs/{name}" in told


def test_linked_runs_are_in_wandb_as_runs_of_their_own(folder: Path) -> None:
    typed("run", "other.yaml", "--wandb", "off")
    assert not Path("runs/other/wandb").exists()
    typed("sweep", "search.yaml", wandb="offline")
    results = harness.load("runs/search")
    ids = {run.id for run in results.runs}
    mirrored = {path: mirrored_run(path) for path in Path("runs/search/wandb").glob("offline-run-*")}
    names = {path: run["run_id"].removeprefix("search-").rsplit("-", 1)[0] for path, run in mirrored.items()}
    told = {names[path]: (path, run) for path, run in mirrored.items()}
    assert sorted(name for name in names.values() if name != "summary") == sorted(ids), "all are, and each once"
    for run in results.runs:
        path, one = told[run.id]
        assert run.taken_from is not None and run.manifest is not None
        assert (one["run_group"], one["tags"]) == ("search", ["mine", "reused"])
        assert one["notes"] == f"A search. Taken from {run.taken_from.name} (its run {run.id}), not computed again."
        config = one["config"]["update"]
        assert (config["experiment"], config["study"]) == ("search", results.study)
        assert config["tracking"] == {"taken_from": run.taken_from.name}
        assert len(mirrored_history(path)) == 2
    assert unmirrored(results, results.folder / "wandb") == []
    typed("sweep", "search.yaml", wandb="offline")
    assert {*Path("runs/search/wandb").glob("offline-run-*")} == {*mirrored}, "nothing is mirrored twice"


def test_run_that_was_linked_untracked_is_mirrored_when_it_is_tracked(folder: Path) -> None:
    typed("run", "other.yaml", "axes.alpha=[1e-3]")
    Path("runs/other/unchanged.json").unlink()
    typed("run", "other.yaml", "axes.alpha=[1e-3]", wandb="offline")
    run = harness.load("runs/other").runs[0]
    assert len([*Path("runs/other/wandb").glob(f"offline-run-*{run.id}*")]) == 1
    assert not Path("runs/first/wandb").exists(), "the other experiment's mirror is its own"


def test_run_that_is_gone_with_the_other_experiment_is_said_so(folder: Path) -> None:
    typed("run", "other.yaml", "axes.alpha=[1e-3, 1e-1]")
    shutil.rmtree("runs/first")
    shutil.rmtree(next(Path("runs/second").glob("*/manifest.json")).parent)
    results = harness.load("runs/other")
    gone, moved = results.runs
    assert [run.status for run in results.runs] == [Status.GONE] * 2
    assert gone.reason == "taken from runs/first, which is gone; the same command computes it again"
    assert moved.reason.startswith("taken from runs/second, where it is gone; ")
    assert repr(gone) == f"<Run {gone.id} (alpha=0.001): {gone.reason}>"
    assert [row["status"] for row in results.table()] == ["gone", "gone"]
    with pytest.raises(ImageError, match="has no picture: it was taken from another experiment, where it is gone"):
        gone.image()
    one = overall(results)
    assert [standing.condition for standing in one.standings] == [Condition.GONE] * 2 and not one.is_ended
    told = looked("status", "runs/other")
    assert "not begun" not in told and "2 runs: 2 gone with another experiment" in told
    assert f"{gone.id} (alpha=0.001) is gone: {gone.reason}" in told
    assert "Go on: harness run other.yaml 'axes.alpha=[1e-3, 1e-1]'" in told
    assert "2 runs gone" in looked("status", "runs")
    lost = CliRunner().invoke(app, ["compare", "runs/other"])
    assert lost.exit_code == 2 and f"A run of runs/other is gone: {gone.reason}." in lost.output
    with pytest.raises(UsageError, match="is taken from runs/first, which is gone; the command of its experiment"):
        harness.results.load_whole(gone.folder.path)
    assert harness.load(gone.folder.path).runs[0].status is Status.GONE
    typed("run", "other.yaml", "axes.alpha=[1e-3, 1e-1]")
    assert [run.status for run in harness.load("runs/other").runs] == [Status.DONE] * 2
    assert not any(run.taken_from for run in harness.load("runs/other").runs)


def test_what_is_linked_outlives_the_experiment_that_computed_it(folder: Path) -> None:
    typed("run", "other.yaml")
    before = harness.load("runs/other")
    pictures = [run.folder.image_path.read_bytes() for run in before.runs]
    told = looked("remove", "runs/first", "--yes")
    assert "2 runs in runs/other from then on" in told and not Path("runs/first").exists()
    after = harness.load("runs/other")
    assert [run.folder.image_path.read_bytes() for run in after.runs] == pictures
    assert after.table() == before.table() and not any(run.taken_from for run in after.runs[:2])
    assert "4 of 4 runs are done already" in " ".join(typed("run", "other.yaml").output.split())
    told = " ".join(typed("run", "first.yaml").output.split())
    assert "2 of 2 runs are done already (2 of them linked from runs/other); 0 to compute." in told


def test_seeds_of_which_some_are_linked_are_one_line(tmp_path: Path) -> None:
    cells = [{"id": f"{seed}" * 12, "label": {"seed": seed}, "metrics": {"ssim": 0.1 * seed}} for seed in (1, 2)]
    first = make_results_folder(tmp_path / "first", cells[:1])
    other = make_results_folder(tmp_path / "other", cells)
    shutil.rmtree(other / "111111111111")
    (other / "111111111111").symlink_to(Path("..") / first.name / "111111111111")
    assert "1 line at 16 px" in looked("compare", other, "--over-seeds")
