"""A folder's runs are those of every grid that was asked for in it; figure and claims at its top are the last one's."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from test_run import harness_run, runs_of
from test_sweep import harness_sweep, write_sweep
from typer.testing import CliRunner

import harness
from harness.cli.app import app
from harness.cli.dashboard import Showing, show_dashboard
from harness.errors import StorageError, UsageError
from harness.results import Results
from harness.runs.store import write_durably

ONE = """\
transfer: {content: astronaut, style: strokes, size: 32, steps: 2, pyramid: [], content_layers: {conv1_1: 1},
           style_layers: {conv1_1: 1}}
"""
CLAIM = "{says: It rises., where: fig. 4, measure: total, along: alpha, expect: rises, because: a test}"
PHOTOGRAPHS = ("astronaut", "coffee", "rocket")
BACK = re.compile(r"runs/\w+/earlier/([0-9a-f]{8})(?: \([^:]*\))?: (.*?)\. Back to it: (harness .*)")


def typed(*words: str | Path, code: int = 0) -> str:
    """What a command printed."""
    result = CliRunner().invoke(app, [*map(str, words)])
    assert result.exit_code == code, result.output
    return result.output


def pasted(command: str) -> str:
    """The same of a command as it was printed."""
    return typed(*shlex.split(command)[1:], "--wandb", "off", "--devices", "cpu")


def ids_of(results: Results) -> list[str]:
    return [run.id for run in results.runs]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undrawn: None) -> Path:
    """A working directory with an experiment of one picture, and one of a grid with a claim."""
    monkeypatch.chdir(tmp_path)
    Path("one.yaml").write_text(ONE)
    Path("grid.yaml").write_text(f"{ONE}axes: {{alpha: [1e-3, 1e-2]}}\nclaims: [{CLAIM}]\n")
    return tmp_path


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory in which three photographs went through one file, one after the other."""
    folder = tmp_path_factory.mktemp("asked")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("harness.driver.carrying.draw", lambda results: [])
        Path("one.yaml").write_text(ONE)
        for name in PHOTOGRAPHS:
            assert harness_run("one.yaml", f"transfer.content={name}").exit_code == 0
    return folder


@pytest.fixture
def photographs(asked: Path, folder: Path) -> list[str]:
    """A copy of it, in the working directory: the ids of the runs, the last first."""
    shutil.copytree(asked, folder, dirs_exist_ok=True)
    for path in folder.rglob("experiment.yaml"):
        path.write_text(path.read_text().replace(str(asked), str(folder)))
    results = harness.load("runs/one")
    return [ids_of(one)[0] for one in (results, *results.earlier)]


def test_three_photographs_through_one_file_are_three_lines(photographs: list[str]) -> None:
    told = typed("compare", "runs/one", "--csv", "table.csv")
    assert "3 runs at 32 px" in told and "2 of 3 runs of runs/one were asked for earlier, not last" in told
    lines = [line.split(",") for line in Path("table.csv").read_text().splitlines()]
    earlier = [one.folder.name for one in harness.load("runs/one").earlier]
    assert [line[: lines[0].index("content") + 1] for line in lines] == [
        ["id", "earlier", "content"],
        [photographs[0], "", "rocket"],
        [photographs[1], earlier[0], "coffee"],
        [photographs[2], earlier[1], "astronaut"],
    ]
    alone = typed("compare", f"runs/one/earlier/{earlier[0]}")
    assert "1 run at 32 px" in alone and photographs[1] in alone and "earlier" not in alone.split("px")[1]


def test_latest_leaves_out_what_was_asked_for_before(photographs: list[str]) -> None:
    assert "--latest leaves them out." in " ".join(typed("compare", "runs/one").split())
    told = typed("compare", "runs/one", "--latest", "--csv", "table.csv", "--latex", "table.tex")
    assert "1 run at 32 px" in told and "earlier" not in told and photographs[0] in told
    assert "earlier" not in Path("table.csv").read_text() and "earlier" not in Path("table.tex").read_text()


def test_status_shows_todays_grid_and_what_was_asked_before_with_its_command(photographs: list[str]) -> None:
    told = typed("status", "runs/one")
    assert "Where earlier ones differ: content=rocket\n" in told
    assert "1 run: 1 done\n" in told and told.index("Asked for earlier:") < told.index("runs/one/earlier")
    found = BACK.findall(told)
    assert [(name, state) for name, state, _ in found] == [
        (one.folder.name, "1 run: 1 done") for one in harness.load("runs/one").earlier
    ]
    assert re.search(r"one +experiment +1 +1 +2 more asked for earlier", typed("status", "runs"))
    command = found[1][2]
    assert command == "harness run one.yaml transfer.content=astronaut"
    assert "1 of 1 runs are done already; 0 to compute." in pasted(command)
    assert ids_of(harness.load("runs/one")) == [photographs[2]]
    told = typed("status", "runs/one")
    assert [command for *_, command in BACK.findall(told)] == [
        "harness run one.yaml transfer.content=rocket", "harness run one.yaml transfer.content=coffee"
    ]  # fmt: skip
    assert "not begun" not in typed("status", f"runs/one/earlier/{found[0][0]}")


def test_load_gives_todays_runs_and_all_of_the_folder_beside(photographs: list[str]) -> None:
    results = harness.load("runs/one")
    assert ids_of(results) == photographs[:1] and len(results.table()) == 1 and "earlier" not in results.table()[0]
    assert [ids_of(one) for one in results.earlier] == [[photographs[1]], [photographs[2]]]
    assert [run.status.name for one in results.earlier for run in one.runs] == ["DONE"] * 2
    both = results.with_earlier()
    assert [(row["id"], row["earlier"], row["content"]) for row in both.table()] == [
        (photographs[0], None, "rocket"),
        (photographs[1], results.earlier[0].folder.name, "coffee"),
        (photographs[2], results.earlier[1].folder.name, "astronaut"),
    ]
    assert both.select(content="coffee").runs[0].image().shape == (21, 32, 3)
    assert repr(results).endswith("\n  2 more asked for earlier: .earlier, .with_earlier()>")
    with pytest.raises(UsageError, match=r"No run of one fits \(with_earlier\(\) has those asked for before\)"):
        results.run(photographs[2])
    with pytest.raises(UsageError, match="its figure would be replaced"):
        harness.draw(both)
    assert harness.load(f"runs/one/{photographs[1]}").runs[0].id == photographs[1]
    assert not results.earlier[0].earlier and not results.select(content="rocket").earlier


def test_run_of_two_grids_appears_once(folder: Path) -> None:
    for alphas in ("[1e-3, 1e-2]", "[1e-2, 1e-1]", "[1e-2, 1e-1, 1]"):
        assert harness_run("grid.yaml", f"axes.alpha={alphas}").exit_code == 0
    results = harness.load("runs/grid")
    assert [run.label["alpha"] for run in results.with_earlier().runs] == [1e-2, 1e-1, 1, 1e-3]
    assert "4 runs at 32 px" in typed("compare", "runs/grid")
    told = typed("status", "runs/grid")
    states = [state for _, state, _ in BACK.findall(told)]
    assert states == ["2 runs, which a later one has too", "1 run (and 1 that a later one has too): 1 done"]


def test_command_that_brings_a_grid_back_goes_on_once_it_is_back(folder: Path) -> None:
    for alphas in ("[1e-3, 1e-2]", "[1e-2, 1e-1]"):
        assert harness_run("grid.yaml", f"axes.alpha={alphas}").exit_code == 0
    Path("grid.yaml").write_text(Path("grid.yaml").read_text().replace("steps: ", "steps: 1"))
    (earlier,) = Path("runs/grid").glob("earlier/*/experiment.yaml")
    for _ in range(3):
        told = harness_run(str(earlier))
        assert told.exit_code == 0 and "2 of 2 runs are done already" in told.output, told.output
        assert not earlier.exists() and len(list(Path("runs/grid/earlier").iterdir())) == 1
    other = earlier.parents[1] / "00000000" / "experiment.yaml"
    assert harness_run(str(other)).exit_code == 2


@pytest.mark.parametrize("fails_at", ["experiment.yaml", "cells.json"])
def test_grid_that_is_brought_back_is_not_lost_where_the_disk_is_full(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fails_at: str
) -> None:
    """What is kept in ``earlier`` may be all that says what was asked for."""
    for alphas in ("[1e-3, 1e-2]", "[1e-2, 1e-1]"):
        assert harness_run("grid.yaml", f"axes.alpha={alphas}").exit_code == 0
    (earlier,) = Path("runs/grid").glob("earlier/*/experiment.yaml")
    with monkeypatch.context() as patch:
        patch.setattr("harness.driver.folder.write_durably", full_disk(fails_at))
        assert harness_run(str(earlier)).exit_code == 1
    told = harness_run(str(earlier))
    assert told.exit_code == 0 and "2 of 2 runs are done already" in told.output, told.output
    results = harness.load("runs/grid")
    assert [run.label["alpha"] for run in results.runs] == [1e-3, 1e-2] and len(results.with_earlier().runs) == 3


def full_disk(name: str) -> Callable[[Path, str], None]:
    """A ``write_durably`` for which there is no room for one file."""

    def write(path: Path, text: str) -> None:
        if path.name == name:
            raise StorageError(f"{path}: no space left")
        write_durably(path, text)

    return write


def test_grid_that_moves_away_is_whole_wherever_that_is_stopped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert harness_run("grid.yaml", "axes.alpha=[1e-3, 1e-2]").exit_code == 0
    moved: list[str] = []
    replace = Path.replace

    def stop_at_the_last(path: Path, target: Path) -> Path:
        if "earlier" in Path(target).parts:
            if path.name == "experiment.yaml":
                raise KeyboardInterrupt
            moved.append(path.name)
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stop_at_the_last)
        assert harness_run("grid.yaml", "axes.alpha=[1e-1]").exit_code == 130
    assert "cells.json" in moved
    assert harness_run("grid.yaml", "axes.alpha=[1e-1]").exit_code == 0
    (earlier,) = harness.load("runs/grid").earlier
    assert [run.label["alpha"] for run in earlier.runs] == [1e-3, 1e-2]


def test_commands_lead_back_wherever_status_is_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for alphas in ("[1e-3, 1e-2]", "[1e-2, 1e-1]"):
        assert harness_run("grid.yaml", f"axes.alpha={alphas}").exit_code == 0
    Path("sub dir").mkdir()
    monkeypatch.chdir("sub dir")
    told = typed("status", "../runs/grid")
    command = f"cd {folder} && harness run grid.yaml 'axes.alpha=[1e-3, 1e-2]'"
    assert f"Back to it: {command}" in told.replace("\n", "")
    monkeypatch.chdir(folder)
    pasted(command.partition(" && ")[2])
    assert [run.label["alpha"] for run in harness.load("runs/grid").runs] == [1e-3, 1e-2]
    Path("moved").mkdir()
    Path("runs").rename("moved/runs")  # all paths are absolute then; images go by name here
    (absolute,) = re.findall(r"Back to it: (harness run .*)", typed("status", "moved/runs/grid"))
    assert "2 of 2 runs are done already" in pasted(absolute)
    assert [run.label["alpha"] for run in harness.load("moved/runs/grid").runs] == [1e-2, 1e-1]


def test_seeds_of_repeats_set_no_grids_apart(folder: Path) -> None:
    for alpha in ("1e-3", "1e-2"):
        words = (f"axes.alpha=[{alpha}, 1e-1]", "transfer.start=noise", "repeat=[{seeds: [1]}]")
        assert harness_run("grid.yaml", *words).exit_code == 0
    told = typed("status", "runs/grid")
    assert "Where earlier ones differ" not in told


def test_grid_that_is_asked_for_again_is_no_earlier_one(folder: Path) -> None:
    for alphas in ("[1e-3, 1e-2]", "[1e-2, 1e-1]", "[1e-3, 1e-2]"):
        told = harness_run("grid.yaml", f"axes.alpha={alphas}").output
    assert "This is another grid than last time" in told and "harness status runs/grid has both" in told
    (earlier,) = Path("runs/grid/earlier").iterdir()
    assert [run.label["alpha"] for run in harness.load(earlier).runs] == [1e-2, 1e-1]


def test_grid_that_is_only_drawn_otherwise_is_the_same_one(folder: Path) -> None:
    """Nothing else is computed, so nothing moves away."""
    assert harness_run("grid.yaml").exit_code == 0
    text = Path("grid.yaml").read_text()
    Path("grid.yaml").write_text(text + "figure: {wrap: 1}\n")
    assert harness_run("grid.yaml").exit_code == 0
    assert not Path("runs/grid/earlier").exists()
    assert yaml.safe_load(Path("runs/grid/experiment.yaml").read_text())["figure"]["wrap"] == 1


def test_figure_and_claims_of_an_earlier_grid_are_made_in_its_folder(folder: Path) -> None:
    for alphas in ("[1e-3, 1e-2]", "[1e-2, 1e-1]"):
        assert harness_run("grid.yaml", f"axes.alpha={alphas}").exit_code == 0
    (earlier,) = Path("runs/grid/earlier").iterdir()
    before = {path: path.read_bytes() for path in Path("runs/grid").glob("*.*") if path.is_file()}
    assert "2 runs" not in typed("figure", earlier) and (earlier / "figure.png").exists()
    assert "It rises." in typed("claims", earlier)
    assert json.loads((earlier / "claims.json").read_text())["claims"][0]["verdict"] == "holds"
    typed("export", "runs/grid", earlier, "sent")
    assert len([*Path("sent").glob("*.yaml")]) == 3 and (Path("sent") / f"grid-{earlier.name}-figure.png").exists()
    left = typed("export", "runs/grid", "less")
    assert "2 pictures" in left and f"Left out: what was asked for earlier; name it too to have it: {earlier}" in left
    assert {path: path.read_bytes() for path in Path("runs/grid").glob("*.*") if path.is_file()} == before


def test_dashboard_of_an_earlier_grid_shows_its_study(
    photographs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    earlier = harness.load("runs/one").earlier[0]
    before = sorted(earlier.folder.iterdir())
    show_dashboard(Showing(earlier.folder, port=18090, browser=False, wandb="off"), lambda: None)
    assert "/studies/" in capsys.readouterr().out
    assert sorted(earlier.folder.iterdir()) == sorted([*before, earlier.folder / "explore.html"])
    assert earlier.home.resolve() == Path("runs/one").resolve()


def test_earlier_grid_is_read_also_where_the_new_one_did_not_begin(folder: Path) -> None:
    assert harness_run("grid.yaml").exit_code == 0
    assert harness_run("grid.yaml", "axes.alpha=[1e-1]", "--storage", "sqlite:////nowhere/s.db").exit_code == 1
    assert len(harness.load("runs/grid").runs) == 2 and not Path("runs/grid/earlier").exists()
    assert harness_run("grid.yaml", "axes.alpha=[1e-1]").exit_code == 0
    (earlier,) = Path("runs/grid/earlier").iterdir()
    Path("runs/grid/cells.json").unlink()
    assert [run.status.name for run in harness.load(earlier).runs] == ["DONE", "DONE"]


def test_damaged_earlier_grid_is_a_sentence_and_spoils_nothing(
    photographs: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    damaged = harness.load("runs/one").earlier[0].folder
    (damaged / "experiment.yaml").write_text("file: one.yaml\ntransfer: {content: 3}\n")
    assert ids_of(harness.load("runs/one").with_earlier()) == [photographs[0], photographs[2]]
    assert f"{damaged} cannot be read" in caplog.text
    told = typed("status", "runs/one")
    assert f"{damaged} cannot be read" in told and len(BACK.findall(told)) == 1


def test_earlier_grid_of_a_mapping_comes_back_by_its_command(folder: Path) -> None:
    def run(name: str) -> Results:
        mapping = {"transfer": {**yaml.safe_load(ONE)["transfer"], "content": name}}
        return harness.run(mapping, name="mine", devices="cpu", wandb="off", progress=False)

    ids = [ids_of(run(name))[0] for name in PHOTOGRAPHS]
    command = BACK.findall(typed("status", "runs/mine"))[1][2]
    assert "1 of 1 runs are done already; 0 to compute." in pasted(command)
    assert ids_of(harness.load("runs/mine")) == ids[:1]
    for name, identity in zip(PHOTOGRAPHS, ids, strict=True):
        assert ids_of(run(name)) == [identity]
        assert len(BACK.findall(typed("status", "runs/mine"))) == 2
    typed("remove", "runs/mine", "--yes")
    assert not Path("runs/mine").exists()


def test_earlier_search_of_a_sweep_is_shown_too(tmp_path: Path, undrawn: None) -> None:
    path, words = write_sweep(tmp_path, 2), ("budget.trials=2", "--out", tmp_path / "runs")
    assert harness_sweep(path, *words).exit_code == 0
    assert harness_sweep(path, "sampler.seed=4", *words).exit_code == 0
    results = harness.load(tmp_path / "runs" / "tiny_sweep")
    assert len(results.runs) == 2 and len(results.with_earlier().runs) == 4
    assert "4 runs at 48 px" in typed("compare", results.folder)
    assert "2 runs: 2 done. Back to it: harness sweep" in typed("status", results.folder)


def test_name_keeps_two_questions_apart(folder: Path) -> None:
    assert harness_run("one.yaml", "transfer.content=coffee", "--name", "anna").exit_code == 0
    assert harness_run("one.yaml").exit_code == 0
    anna, one = harness.load("runs/anna"), harness.load("runs/one")
    assert not anna.earlier and not one.earlier and len(runs_of(Path("runs"))) == 0
    assert anna.name == "anna" and anna.study.startswith("anna-") and one.study.startswith("one-")
    manifest = anna.runs[0].manifest
    assert manifest is not None and manifest.experiment == "anna"
    assert anna.command == "harness run one.yaml transfer.content=coffee --name anna"
    for command in (anna.command, manifest.tracking["command"]):
        assert "1 of 1 runs are done already; 0 to compute." in pasted(command)
    assert sorted(path.name for path in Path("runs").iterdir()) == ["anna", "one"]
    again = harness.run("one.yaml", "transfer.content=coffee", name="anna", devices="cpu", wandb="off", progress=False)
    assert again.folder == Path("runs/anna") and ids_of(again) == ids_of(anna)
    Path("other.yaml").write_text(ONE)
    refused = harness_run("other.yaml", "--name", "anna")
    assert refused.exit_code == 2 and "another name with --name" in refused.output
    bad = harness_run("one.yaml", "--name", "a/b")
    assert bad.exit_code == 2 and "name 'a/b': it names the folder of the runs; letters, digits" in bad.output


def test_name_of_a_sweep(tmp_path: Path, undrawn: None) -> None:
    path, out = write_sweep(tmp_path, 2), tmp_path / "runs"
    assert harness_sweep(path, "budget.trials=1", "--out", out, "--name", "wide").exit_code == 0
    results = harness.load(out / "wide")
    assert results.study.startswith("wide-") and "--name wide" in results.command
    assert "1 of 1 trials are done already; 0 to go." in pasted(results.command)
