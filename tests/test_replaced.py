"""A file that is replaced under its own name makes another grid, and nothing takes the two for one."""

from __future__ import annotations

import csv
import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from results_folder import PROVENANCE, make_results_folder, picture
from test_earlier import pasted, typed
from test_run import harness_run
from test_sweep import harness_sweep

import harness
from harness.driver.given_files import replaced, told_replaced
from harness.images.files import write_png
from harness.results.alike import MeasuredAlike

TRANSFER = """\
transfer: {content: fox.png, style: strokes, size: 32, steps: 2, pyramid: [], content_layers: {conv1_1: 1},
           style_layers: {conv1_1: 1}}
"""
SPACE = """\
space: {alpha: {log: [1e-3, 1]}}
objectives: [reference_style]
sampler: {name: random, seed: 1}
budget: {trials: 2}
"""
PLUGIN = """\
import harness
@harness.term("brightness")
def brightness(images, *, content):
    return FACTOR * images.mean((1, 2, 3))
"""


def photograph(seed: int, path: str = "fox.png") -> None:
    write_png(path, picture(seed, 24, 32).astype(np.float32) / 255)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undrawn: None) -> Path:
    """A working directory with a photograph and an experiment of it."""
    monkeypatch.chdir(tmp_path)
    photograph(1)
    Path("one.yaml").write_text(f"{TRANSFER}axes: {{alpha: [1e-3, 1e-2]}}\n")
    return tmp_path


def test_photograph_that_is_replaced_makes_another_grid_and_its_old_runs_stay_in_view(folder: Path) -> None:
    assert harness_run("one.yaml").exit_code == 0
    Path("runs/one/figure.png").write_bytes(b"the first fox")
    before = sorted(run.id for run in harness.load("runs/one").runs)
    photograph(2)
    told = harness_run("one.yaml").output
    assert "This is another grid than last time (fox.png is another file since); its figure is kept in" in told
    (earlier,) = harness.load("runs/one").earlier
    assert (earlier.folder / "figure.png").read_bytes() == b"the first fox"
    assert sorted(run.id for run in earlier.runs) == before
    assert {run.status.name for run in harness.load("runs/one").with_earlier().runs} == {"DONE"}
    assert len(harness.load("runs/one").with_earlier().runs) == 4
    status = " ".join(typed("status", "runs/one").split())
    assert "Back to it" not in status
    assert "2 done. No command brings it back: fox.png is another file since; its runs and figures stay." in status
    again = harness_run("one.yaml").output
    assert "another grid" not in again and (earlier.folder / "figure.png").exists()
    typed("remove", f"runs/one/{before[0]}", "--yes")
    assert not Path("runs/one", before[0]).exists() and Path("runs/one", before[1]).exists()


def test_the_old_photograph_put_back_brings_its_grid_back(folder: Path) -> None:
    for seed in (1, 2):
        photograph(seed)
        assert harness_run("one.yaml").exit_code == 0
    photograph(1)
    status = typed("status", "runs/one")
    (command,) = re.findall(r"Back to it: (harness run .*)", status)
    assert "fox.png is another file since" not in status.partition("Asked for earlier")[2]
    assert "2 of 2 runs are done already; 0 to compute." in pasted(command)
    (other,) = harness.load("runs/one").earlier
    assert other.contents != harness.load("runs/one").contents


def test_what_goes_on_says_that_a_photograph_is_another_since(folder: Path) -> None:
    assert harness_run("one.yaml").exit_code == 0
    cells = json.loads(Path("runs/one/cells.json").read_text())["cells"]
    (Path("runs/one") / cells[0]["folder"] / "manifest.json").unlink()
    assert "Nothing is working on it now. Go on: harness run one.yaml" in typed("status", "runs/one")
    photograph(2)
    told = " ".join(typed("status", "runs/one").split())
    assert "now. fox.png is another file since: this computes them anew, of what they are now: harness run" in told


def test_photograph_of_a_sweep_that_is_replaced(folder: Path) -> None:
    Path("search.yaml").write_text(TRANSFER + SPACE)
    for seed in (1, 2):
        photograph(seed)
        told = harness_sweep(Path("search.yaml"))
        assert told.exit_code == 0, told.output
    assert "This is another search than last time (fox.png is another file since)" in told.output
    results = harness.load("runs/search")
    assert len(results.runs) == 2 and len(results.earlier[0].runs) == 2 and results.earlier[0].study != results.study


def test_plugin_that_is_edited_makes_another_grid(folder: Path) -> None:
    Path("own.py").write_text(PLUGIN.replace("FACTOR", "0.5"))
    Path("two.yaml").write_text(TRANSFER.replace("steps", "terms: {brightness: 1}, steps") + "plugins: [own.py]\n")
    for factor in ("0.5", "0.25"):
        Path("own.py").write_text(PLUGIN.replace("FACTOR", factor))
        told = harness_run("two.yaml")
        assert told.exit_code == 0, told.output
    assert "This is another grid than last time (own.py is another file since)" in told.output
    assert len(harness.load("runs/two").with_earlier().runs) == 2


def test_only_files_that_are_there_and_other_ones_are_named(folder: Path) -> None:
    assert harness_run("one.yaml").exit_code == 0
    contents = harness.load("runs/one").contents
    assert sorted(contents) == ["embedded", "fox.png", "strokes"] and {len(sha256) for sha256 in contents.values()} == {
        16
    }
    assert replaced(contents) == [] and told_replaced([]) == ""
    Path("fox.png").unlink()
    assert replaced(contents) == []
    photograph(3)
    photograph(3, "strokes")  # a file comes before a name
    assert replaced(contents) == ["fox.png", "strokes"]
    assert told_replaced(["a", "b", "c"]) == "a, b and c are other files since"
    kept = yaml.safe_load(Path("runs/one/experiment.yaml").read_text())
    assert kept["contents"] == dict(contents)


def _two_of_one_name(folder: Path, name: str, contents: tuple[str, str], weights: tuple[str, str]) -> Path:
    cells: list[dict[str, Any]] = [
        {
            "label": {"seed": k},
            "transfer": {"content": name, "seed": k},
            "provenance": {
                **PROVENANCE,
                "files": {
                    "content": {"name": name, "sha256": contents[k]},
                    "style": {"name": "strokes", "sha256": "5" * 64},
                    "weights": {"name": "weights", "sha256": "6" * 64, "network": weights[k]},
                },
            },
        }
        for k in range(2)
    ]
    return make_results_folder(folder, cells)


@pytest.mark.parametrize(
    ("contents", "weights", "what"),
    [
        (("a" * 64, "b" * 64), ("7" * 64, "7" * 64), "sha256 of content"),
        (("a" * 64, "a" * 64), ("7" * 64, "8" * 64), "sha256 of weights"),
    ],
)
def test_runs_of_one_name_and_two_contents_are_told_apart(
    tmp_path: Path, contents: tuple[str, str], weights: tuple[str, str], what: str
) -> None:
    folder = _two_of_one_name(tmp_path / "fig", "fox.png", contents, weights)
    told = [(contents if "content" in what else weights)[k][:8] for k in range(2)]
    assert [row[what] for row in harness.load(folder).table()] == told
    assert [len(harness.load(folder).select(**{what: each}).runs) for each in told] == [1, 1]
    printed = typed("compare", folder, "--csv", tmp_path / "table.csv")
    assert all(each in printed for each in told)
    with open(tmp_path / "table.csv", newline="") as file:
        assert [row[what] for row in csv.DictReader(file)] == told
    over_seeds = typed("compare", folder, "--over-seeds")
    assert "2 lines at 16 px" in over_seeds and "±" not in over_seeds  # never two photographs as two seeds


def test_runs_of_one_content_have_no_such_column(tmp_path: Path) -> None:
    folder = _two_of_one_name(tmp_path / "fig", "fox.png", ("a" * 64, "a" * 64), ("7" * 64, "7" * 64))
    assert not any("sha256" in name for name in harness.load(folder).table()[0])
    assert "sha256" not in typed("compare", folder)
    assert "1 line at 16 px" in typed("compare", folder, "--over-seeds")


MEASURE = """\
import harness
@harness.measure("redness")
def redness(picture):
    return FACTOR
"""


def test_plugin_that_was_edited_is_kept_as_it_was_and_goes_into_exports(folder: Path) -> None:
    Path("two.yaml").write_text(TRANSFER.replace("steps", "terms: {brightness: 1}, steps") + "plugins: [own.py]\n")
    for factor in ("0.5", "0.25"):
        Path("own.py").write_text(PLUGIN.replace("FACTOR", factor))
        assert harness_run("two.yaml").exit_code == 0
    (earlier,) = harness.load("runs/two").earlier
    kept = Path("runs/two/sources") / f"own-{earlier.contents['own.py'][:8]}.py"
    assert kept.read_text() == PLUGIN.replace("FACTOR", "0.5")
    told = " ".join(typed("status", "runs/two").split())
    assert f"own.py is another file since ({kept} is what it was)" in told
    harness.export(earlier, folder=Path("sent"))
    assert [path.read_bytes() for path in Path("sent/plugins").iterdir()] == [kept.read_bytes()]
    told = (Path("sent") / "README.txt").read_text()
    assert "another id" not in told
    again = re.findall(r"harness run (\S+)", told)[0]
    Path("own.py").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir("sent")
        assert harness_run(again, "--devices", "cpu").exit_code == 0
        assert earlier.runs[0].id in {path.name for path in Path("runs").glob("*/*")}
    typed("remove", "runs/two", "--yes")
    assert not Path("runs/two").exists()


def test_term_has_its_loss_in_every_table(folder: Path) -> None:
    Path("own.py").write_text(PLUGIN.replace("FACTOR", "0.5"))
    text = TRANSFER.replace("steps", "terms: {brightness: 2}, total_variation: 0.1, steps")
    Path("two.yaml").write_text(f"{text}plugins: [own.py]\naxes: {{alpha: [1e-3, 1e-2]}}\n")
    told = harness_run("two.yaml")
    assert told.exit_code == 0 and "brightness" in told.output
    for row in harness.load("runs/two").table():
        history = harness.load("runs/two").run(row["id"]).history()
        best = min(history, key=lambda line: line["total"])
        assert row["loss/brightness"] == best["brightness"] and row["loss/total_variation"] == best["total_variation"]
        beside = 1000 * 0 + 2 * row["loss/brightness"] + 0.1 * row["loss/total_variation"]
        weighed = row["alpha"] * row["loss/content"] + row["loss/style"]
        assert row["loss/total"] == pytest.approx(weighed + beside, rel=1e-4)
    compared = typed("compare", "runs/two", "--columns", "brightness,loss/total_variation,total_variation")
    assert all(word in compared for word in ("brightness", "loss/total", "variation"))


def test_numbers_of_a_measure_that_was_edited_are_those_of_today_and_the_others_are_named(folder: Path) -> None:
    claim = "{says: It is., where: x, measure: redness, along: alpha, expect: rises, because: x}"
    Path("mine.yaml").write_text(f"{TRANSFER}axes: {{alpha: [1e-3, 1e-2]}}\nplugins: [own.py]\nclaims: [{claim}]\n")
    for factor, alphas in (("3.0", "[1e-3, 1e-1]"), ("7.0", "[1e-3, 1e-2]")):
        Path("own.py").write_text(MEASURE.replace("FACTOR", factor))
        told = harness_run("mine.yaml", f"axes.alpha={alphas}")
        assert told.exit_code == 0, told.output
    everything = harness.load("runs/mine").with_earlier()
    assert [row["redness"] for row in everything.table()] == [7.0, 7.0, None]
    told = " ".join(typed("compare", "runs/mine").split())
    assert "redness was measured by different contents of its plugin" in told and "are shown. What is left out" in told
    assert "of an earlier grid that is the one that brings it back" in told
    typed("compare", "runs/mine", "--columns", "redness", "--latex", "table.tex")
    assert "different contents of its plugin" in " ".join(Path("table.tex").read_text().split())
    (command,) = re.findall(r"Back to it: (harness run .*)", typed("status", "runs/mine"))
    pasted(command)
    assert [row["redness"] for row in harness.load("runs/mine").with_earlier().table()] == [7.0] * 3


def test_exported_number_of_a_measure_that_is_another_by_now_says_so(folder: Path) -> None:
    claim = "{says: It is., where: x, measure: redness, along: alpha, expect: rises, because: x}"
    Path("mine.yaml").write_text(f"{TRANSFER}axes: {{alpha: [1e-3, 1e-2]}}\nplugins: [own.py]\nclaims: [{claim}]\n")
    Path("own.py").write_text(MEASURE.replace("FACTOR", "3.0"))
    assert harness_run("mine.yaml").exit_code == 0
    Path("own.py").write_text(MEASURE.replace("FACTOR", "7.0"))
    harness.export(harness.load("runs/mine"), folder=Path("sent"))
    told = (Path("sent") / "README.txt").read_text()
    assert told.count("redness 3") == 2 and "another content" not in told
    assert [path.read_text() for path in Path("sent/plugins").iterdir()] == [MEASURE.replace("FACTOR", "3.0")]
    for kept in Path("runs/mine/sources").glob("own-*.py"):
        kept.unlink()
    harness.export(harness.load("runs/mine"), folder=Path("less"))
    told = (Path("less") / "README.txt").read_text()
    assert told.count("redness 3 (by another content of its plugin, ") == 2


def test_status_tells_photographs_of_one_name_apart(folder: Path) -> None:
    for seed in (1, 2):
        photograph(seed)
        assert harness_run("one.yaml").exit_code == 0
    results = harness.load("runs/one")
    assert f"Where earlier ones differ: sha256 of content={results.contents['fox.png'][:8]}" in typed(
        "status", "runs/one"
    )
    photograph(1)
    told = " ".join(typed("status", "runs/one").split())
    assert "fox.png is another file since: the same command makes another grid of it. Compare the runs:" in told


def test_claims_of_an_earlier_grid_are_headed_as_such(folder: Path) -> None:
    claim = "{says: It rises., where: x, measure: total, along: alpha, expect: rises, because: x}"
    Path("one.yaml").write_text(f"{TRANSFER}axes: {{alpha: [1e-3, 1e-2]}}\nclaims: [{claim}]\n")
    for seed in (1, 2):
        photograph(seed)
        assert harness_run("one.yaml").exit_code == 0
    (earlier,) = harness.load("runs/one").earlier
    assert typed("claims", earlier.folder).splitlines()[0] == f"one (earlier/{earlier.folder.name})"


def repeating(run: Any, told: str) -> str:
    """The command of a run that the page, or a manifest, has."""
    return str(run.manifest.tracking["command"]) if told == "manifest" else page_commands()[run.id]


def page_commands() -> dict[str, str]:
    page = Path("runs/one/explore.html").read_text()
    data = json.loads(page.partition('<script type="application/json" id="data">')[2].partition("</script>")[0])
    return {run["id"]: run["command"] for run in data["runs"]}


@pytest.mark.parametrize("told", ["manifest", "page"])
@pytest.mark.parametrize("change", ["file", "photograph"])
def test_command_of_one_run_never_computes_another(folder: Path, told: str, change: str) -> None:
    """The file was edited since, or the photograph replaced under its own name."""
    assert harness_run("one.yaml").exit_code == 0
    typed("figure", "runs/one")
    run = harness.load("runs/one").run(alpha=1e-3)
    command = repeating(run, told)
    assert f"--id {run.id}" in command and "1 of 1 runs are done already" in pasted(f"{command} --name first")
    if change == "file":
        Path("one.yaml").write_text(Path("one.yaml").read_text().replace("steps: 2", "steps: 3"))
    else:
        photograph(2)
    refused = harness_run(*shlex.split(command)[2:], "--name", "second")
    assert refused.exit_code == 2 and not Path("runs/second").exists()
    what = "steps was 2, is 3" if change == "file" else "fox.png is another file"
    assert f"--id {run.id}: this command makes run " in refused.output and f"({what})" in refused.output
    (export,) = re.findall(r"(harness export \S+) NEW_FOLDER", refused.output)
    typed(*shlex.split(export)[1:], "sent")
    assert run.id in (Path("sent") / "README.txt").read_text()


def test_choice_or_plugin_of_a_sweep_that_is_replaced_begins_another_study(folder: Path) -> None:
    """Old values would stay in it, and its sampler go on from them."""
    photograph(5, "cat.png")
    space = SPACE.replace("{alpha", "{content: {choice: [fox.png, cat.png]}, alpha")
    text = TRANSFER.replace("content: fox.png, ", "").replace("steps", "terms: {brightness: 1}, steps")
    Path("search.yaml").write_text(f"{text}{space}plugins: [own.py]\n")
    studies = set()
    for seed, factor in ((5, "0.5"), (6, "0.5"), (6, "0.25")):
        photograph(seed, "cat.png")
        Path("own.py").write_text(PLUGIN.replace("FACTOR", factor))
        told = harness_sweep(Path("search.yaml"))
        assert told.exit_code == 0, told.output
        results = harness.load("runs/search")
        studies.add(results.study)
        for trial in results.optuna_study().trials:
            assert trial.values == [results.run(trial=trial.number).metrics["reference_style"]]
    assert len(studies) == 3


def test_id_that_is_nowhere_is_refused_and_a_sweep_has_none(folder: Path) -> None:
    refused = harness_run("one.yaml", "--id", "0123456789ab")
    assert refused.exit_code == 2 and "makes 2 runs, none of which it is" in refused.output
    assert harness_run("one.yaml").exit_code == 0
    beside = harness_run("one.yaml", "--id", harness.load("runs/one").runs[0].id)
    assert beside.exit_code == 2 and "this command makes 2 runs; that one alone is made by harness run" in beside.output
    Path("search.yaml").write_text(TRANSFER + SPACE)
    refused = harness_sweep(Path("search.yaml"), "--id", "0123456789ab")
    assert refused.exit_code == 2 and "--id names one run, and a sweep has many" in refused.output


def test_what_was_selected_by_stays_in_the_table(folder: Path) -> None:
    assert harness_run("one.yaml").exit_code == 0
    results = harness.load("runs/one")
    assert results.select(alpha=1e-3).table()[0]["alpha"] == 1e-3
    both = results.select(content="fox.png").select(size=32).table()
    assert [(row["content"], row["size"], row["alpha"]) for row in both] == [
        ("fox.png", 32, 1e-3),
        ("fox.png", 32, 1e-2),
    ]


def test_number_that_is_not_shown_is_not_spoken_of(folder: Path) -> None:
    claim = "{says: It is., where: x, measure: redness, along: alpha, expect: rises, because: x}"
    Path("mine.yaml").write_text(f"{TRANSFER}axes: {{alpha: [1e-3, 1e-2]}}\nplugins: [own.py]\nclaims: [{claim}]\n")
    for factor, alphas in (("3.0", "[1e-3, 1e-1]"), ("7.0", "[1e-3, 1e-2]")):
        Path("own.py").write_text(MEASURE.replace("FACTOR", factor))
        assert harness_run("mine.yaml", f"axes.alpha={alphas}").exit_code == 0
    told = typed("compare", "runs/mine", "--columns", "ssim", "--latex", "table.tex")
    assert "redness" not in told and "redness" not in Path("table.tex").read_text()
    typed("compare", "runs/mine", "--columns", "ssim,redness", "--latex", "table.tex")
    text = " ".join(Path("table.tex").read_text().split())
    assert "redness was measured by different contents of its plugin" in text and "harness status" not in text


def test_repeats_of_one_grid_do_not_set_its_seed_apart(folder: Path) -> None:
    for words in (("transfer.start=noise", "repeat=[{seeds: [1]}]", "transfer.steps=3"), ("transfer.start=noise",)):
        assert harness_run("one.yaml", *words).exit_code == 0
    assert "Where earlier ones differ: steps=2\n" in typed("status", "runs/one")


def test_long_front_is_shown_from_end_to_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.cli.sweep.NUM_SHOWN", 3)
    Path("search.yaml").write_text(
        TRANSFER + SPACE.replace("[reference_style]", "[reference_content, reference_style]").replace("2}", "7}")
    )
    told = harness_sweep(Path("search.yaml"))
    assert told.exit_code == 0, told.output
    study = harness.load("runs/search").optuna_study()
    front = sorted(study.best_trials, key=lambda trial: trial.values)
    rows = re.findall(r"^ +(\d+)†? +\d", told.output.partition("are on the front")[2], re.MULTILINE)
    assert len(front) > 3, "a front of more trials than are shown"
    assert [int(rows[0]), int(rows[-1])] == [front[0].number, front[-1].number] and len(rows) == 3
    assert f"… and {len(front) - 3} more: harness compare runs/search" in told.output


def test_earlier_grids_say_what_was_asked_for_in_them(folder: Path) -> None:
    for words in (("axes.alpha=[1e-2, 1]",), ("transfer.steps=3",), ()):
        assert harness_run("one.yaml", *words).exit_code == 0
    told = " ".join(typed("status", "runs/one").split())
    assert re.search(r"earlier/\w{8} \(steps=3\): 2 runs: 2 done", told), told
    assert re.search(r"earlier/\w{8} \(alpha=0.01, 1.0\): 1 run \(and 1 that a later one has too\): 1 done", told), told


def test_values_are_selected_by_as_tables_and_commands_write_them(folder: Path) -> None:
    Path("two.yaml").write_text(
        TRANSFER.replace("content_layers: {conv1_1: 1},\n          ", "")
        + "axes: {alpha: [1e-3, 1e-2], content_layers: [{conv1_1: 1}, {conv1_1: 0.5, conv2_1: 0.5}]}\n"
    )
    told = harness_run("two.yaml")
    assert told.exit_code == 0, told.output
    results = harness.load("runs/two")
    for row in results.table():
        assert results.run(content_layers=row["content_layers"], alpha=str(row["alpha"])).id == row["id"]
    assert len(results.select(alpha="1e-3").runs) == 2


def test_verdicts_of_a_grid_go_with_its_runs(folder: Path) -> None:
    claim = "{says: It rises., where: x, measure: total, along: alpha, expect: rises, because: x}"
    Path("one.yaml").write_text(f"{TRANSFER}axes: {{alpha: [1e-3, 1e-2]}}\nclaims: [{claim}]\n")
    assert harness_run("one.yaml").exit_code == 0
    typed("figure", "runs/one")
    assert "Claims: 1 holds" in typed("status", "runs/one")
    run = harness.load("runs/one").runs[0]
    told = typed("remove", f"runs/one/{run.id}", "--yes")
    assert "Claims and page of what they were in went with them" in told
    assert "hold" not in typed("status", "runs/one") and "hold" not in typed("status", "runs")
    assert not [path.name for path in Path("runs/one").iterdir() if path.name.startswith(("claims", "explore"))]


def test_every_mixed_number_has_its_sentence_and_only_those_that_are_shown_are_spoken_of(tmp_path: Path) -> None:
    cells = [
        {"label": {"seed": k}, "metrics": {"redness": 1.0, "sharpness": 2.0},
         "measured_on": {"redness()": f"{k}" * 64, "sharpness()": f"{k + 5}" * 64}}
        for k in range(2)
    ]  # fmt: skip
    runs = harness.load(make_results_folder(tmp_path / "fig", cells)).runs
    alike = MeasuredAlike(runs)
    assert [sentence.split()[0] for sentence in alike.told()] == ["redness", "sharpness"]
    assert [alike.metrics(run)[name] for run in runs for name in ("redness", "sharpness")] == [None] * 4
    told = typed("compare", tmp_path / "fig", "--columns", "ssim,sharpness")
    assert "sharpness was measured by different contents" in told and "redness" not in told
