"""What ``harness status`` says about experiments and sweeps in every state, and that looking changes nothing."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from results_folder import make_results_folder, make_whole
from typer.testing import CliRunner, Result

from harness.cli.app import app
from harness.results import load
from harness.results.following import Follower
from harness.results.standing import Condition, last_lines, overall, standing
from harness.runs.store import Manifest, RunFolder

LINES = [{"evaluation": k, "seconds": 0.5 * k, "total": 1.0, "content": 1.0, "style": 1.0} for k in range(1, 41)]
GRID = {
    "transfer": {"content": "astronaut", "style": "strokes", "size": 64, "steps": 100},
    "axes": {"alpha": [0.01, 1.0], "start": ["noise", "content", "style"]},
    "figure": {"columns": "alpha", "rows": "start"},
}
SWEEP = {
    "transfer": {"content": "astronaut", "style": "strokes", "size": 64, "steps": 100},
    "space": {"alpha": {"log": [1e-5, 1.0]}},
    "objectives": ["reference_content", "reference_style"],
    "budget": {"trials": 6, "parallel": 2},
}


def cell(alpha: float, start: str, state: str, **more: object) -> dict[str, object]:
    return {"label": {"alpha": alpha, "start": start}, "status": state, "history": LINES, **more}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One run in each state, and a hole: the sixth cell of the grid; its file lies in the working directory."""
    monkeypatch.chdir(tmp_path)
    paper = {"paper": {"transfer": {"steps": 100}}}
    (tmp_path / "grid.yaml").write_text(json.dumps({**GRID, "profiles": paper}))
    cells = [
        cell(0.01, "noise", "done", id="aaaaaaaaaaaa"),
        cell(1.0, "noise", "failed", id="bbbbbbbbbbbb", reason="the loss is [NaN]"),
        cell(0.01, "content", "running", id="cccccccccccc"),
        cell(1.0, "content", "waiting", id="dddddddddddd"),
        cell(0.01, "style", "running", id="eeeeeeeeeeee"),
        {"label": {"alpha": 0.01, "start": "noise", "seed": 1}, "part": "repeat", "history": LINES},
        {"label": {"alpha": 0.01, "start": "noise", "seed": 2}, "part": "repeat", "status": "waiting"},
        {"label": {"alpha": 0.01, "start": "noise"}, "part": "again", "history": LINES},
    ]
    return make_results_folder(tmp_path / "runs" / "grid", cells, GRID)


def test_a_second_look_validates_only_what_was_written_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    follower = Follower()
    before = follower.read(folder)
    assert before.run("dd").manifest is None
    with monkeypatch.context() as patch:
        patch.setattr("harness.results.following.load_whole", None)
        RunFolder(folder / "dddddddddddd").create(before.run("dd").transfer, Manifest("dddddddddddd", "grid"))
        again = follower.read(folder)
    assert again.run("dd").manifest is not None  # the runs are looked at anew
    make_results_folder(folder, [cell(0.01, "noise", "done", id="aaaaaaaaaaaa")], GRID)
    assert len(follower.read(folder).all_runs) == 1


def status(*words: object) -> Result:
    return CliRunner().invoke(app, ["status", *map(str, words)])


def grid_of(output: str) -> list[list[str]]:
    """The cells of the printed grid, a list for each row."""
    lines = output.splitlines()
    first = next(k for k, line in enumerate(lines) if line.split()[:1] == ["alpha=0.01"])
    rows = lines[first : first + 4]
    return [re.split(r" {2,}", row.strip()) for row in rows]


def test_grid_has_a_sign_in_every_cell_and_a_hole_where_there_is_none(folder: Path) -> None:
    with RunFolder(folder / "eeeeeeeeeeee"):
        result = status(folder)
    assert result.exit_code == 0, result.output
    assert grid_of(result.output) == [
        ["alpha=0.01", "alpha=1"],
        ["start=noise", "✓ 0:20", "✗"],
        ["start=content", "‖ 40/100", "·"],
        ["start=style", "▶ 40/100"],
    ]
    assert "5 runs: 1 done, 1 being computed, 1 interrupted, 1 failed, 1 not begun" in result.output
    assert "2 runs more (other seeds, for the claims): 1 done, 1 not begun" in result.output
    assert "1 run more (the same a second time): 1 done" in result.output
    assert "bbbbbbbbbbbb (alpha=1, start=noise) failed: the loss is [NaN]" in result.output
    assert "eeeeeeeeeeee (alpha=0.01, start=style) is being computed: evaluation 40 of 100" in result.output
    assert "about 0:30 left" in result.output  # 60 evaluations at 0.5 s
    assert "A process is working on it" in result.output


def test_columns_that_do_not_fit_go_on_below(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = json.loads((folder / "cells.json").read_text())
    for k, one in enumerate(data["cells"]):
        one["label"]["alpha"] = 0.001 * (k + 1)
    (folder / "cells.json").write_text(json.dumps(data))
    monkeypatch.setattr("harness.cli.console.WIDTH_WITHOUT_TERMINAL", 60)
    monkeypatch.setenv("COLUMNS", "60")
    lines = status(folder).output.splitlines()
    heads = [line for line in lines if line.strip().startswith("alpha=")]
    assert len(heads) > 1 and all(len(line) <= 60 or "harness run" in line for line in lines)
    assert re.findall(r"alpha=[\d.]+", " ".join(heads)) == [f"alpha=0.00{k + 1}" for k in range(5)]
    assert sum(line.startswith("start=noise") for line in lines) == len(heads)


def test_time_left_counts_what_waits_at_the_present_speed(folder: Path) -> None:
    with RunFolder(folder / "eeeeeeeeeeee"):
        one = overall(load(folder))
    assert one.used_s == 6 * 20  # as many histories of 40 evaluations at 0.5 s, whatever became of the runs
    assert one.left_s == pytest.approx(0.5 * (60 + 60 + 100 + 100))  # running, interrupted, cell and repeat not begun


def test_a_batchs_time_is_counted_once(tmp_path: Path) -> None:
    cells = [cell(a, "noise", "done", provenance={"batch": 4}) for a in (0.01, 1.0)]
    one = overall(load(make_results_folder(tmp_path / "x", cells, GRID)))
    assert one.used_s == 2 * 20 / 4


def test_a_long_history_with_a_torn_last_line_is_read_from_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [{**LINES[0], "evaluation": k, "seconds": 0.25 * k} for k in range(1, 3001)]
    folder = make_results_folder(tmp_path / "x", [cell(1.0, "noise", "running", history=lines)], GRID)
    run = load(folder).runs[0]
    with open(run.folder.history_path, "a") as file:
        file.write("3001,750.2")
    one = standing(run)
    assert (one.num_evaluations, one.used_s, one.speed_s) == (3000, 750.0, pytest.approx(0.25))
    assert one.age_s is not None and one.age_s < 60
    for tail_bytes in range(300, 340):  # wherever in a line the tail begins
        monkeypatch.setattr("harness.results.standing.TAIL_BYTES", tail_bytes)
        found, _ = last_lines(run.folder.history_path)
        assert 5 < len(found) < 30
        assert found == [(k, 0.25 * k) for k in range(3001 - len(found), 3001)]


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: None, "Nothing is working on it now. Go on: harness run grid.yaml"),
        (lambda folder: _set(folder, {"waiting": "done", "running": "done"}), "harness run grid.yaml --retry-failed"),
        (lambda folder: _set(folder, {"waiting": "done", "running": "done", "failed": "done"}), "harness compare"),
    ],
)
def test_next_step_is_the_command_that_goes_on(folder: Path, spoil: Callable[[Path], None], sentence: str) -> None:
    spoil(folder)
    assert sentence in status(folder).output


def _set(folder: Path, changes: dict[str, str]) -> None:
    """Give runs another status."""
    for one in load(folder).all_runs:
        if not (one.folder.path / "manifest.json").exists():
            one.folder.path.mkdir(parents=True)
            source = json.loads((folder / "aaaaaaaaaaaa" / "manifest.json").read_text())
            (one.folder.path / "manifest.json").write_text(json.dumps(source))
        path = one.folder.path / "manifest.json"
        data = json.loads(path.read_text())
        make_whole(one.folder)
        attempts = [{"from": 1, "to": int(one.folder.history()[-1]["evaluation"])}]
        status_now = changes.get(data["status"], data["status"])
        path.write_text(json.dumps({**data, "status": status_now, "attempts": attempts}))


def test_command_that_was_kept_is_the_one_that_goes_on(folder: Path) -> None:
    data = json.loads((folder / "cells.json").read_text())
    command = "harness run grid.yaml transfer.size=64 --profile paper"
    (folder / "cells.json").write_text(json.dumps({**data, "command": command}))
    output = status(folder).output
    assert f"Go on: {command}\n" in output


def test_claims_are_counted_by_verdict(folder: Path) -> None:
    assert "Claims" not in status(folder).output
    verdicts = [{"verdict": word} for word in ("holds", "does not hold", "holds")]
    (folder / "claims.json").write_text(json.dumps({"claims": verdicts}))
    assert "Claims, when they were last judged: 2 hold, 1 does not hold; see" in status(folder).output


def test_damaged_manifest_is_a_cell_with_its_sentence(folder: Path) -> None:
    (folder / "aaaaaaaaaaaa" / "manifest.json").write_text("{")
    result = status(folder)
    assert result.exit_code == 0
    assert grid_of(result.output)[1] == ["start=noise", "!", "✗"]
    assert "aaaaaaaaaaaa (alpha=0.01, start=noise) is damaged: " in result.output
    assert "its experiment's command computes the run again" in " ".join(result.output.split())


def trial(number: int, state: str, content: float, style: float) -> dict[str, object]:
    metrics = {"reference_content": content, "reference_style": style}
    return {"label": {"trial": number, "alpha": 10.0**-number}, "status": state, "metrics": metrics, "history": LINES}


def test_sweep_shows_its_front_and_last_trials(tmp_path: Path) -> None:
    trials = [trial(0, "done", 1, 4), trial(1, "done", 2, 5), trial(2, "done", 3, 1), trial(3, "pruned", 0, 0)]
    output = status(make_results_folder(tmp_path / "search", trials, SWEEP)).output
    assert "4 trials of 6: 3 done, 1 pruned" in output
    assert "Front so far: 2 trials of 3; least reference_content 1, reference_style 1" in output
    assert re.search(r"2 +✓ 0:20 done +3 +1 +alpha=0.01", output)
    assert re.search(r"3 +✂ at 40 pruned +– +– +alpha=0.001", output)
    assert "Go on: harness sweep" in output  # two trials of the budget are still to be asked


def test_sweep_with_one_objective_shows_its_best(tmp_path: Path) -> None:
    trials = [trial(0, "done", 3, 0), trial(1, "done", 2, 0), trial(2, "failed", 1, 0)]
    folder = make_results_folder(tmp_path / "search", trials, {**SWEEP, "objectives": ["reference_content"]})
    best = load(folder).run(trial=1)
    assert f"Best reference_content so far: 2, {best.id} (trial=1, alpha=0.1)" in status(folder).output


def test_sweep_without_trials_says_so(tmp_path: Path) -> None:
    output = status(make_results_folder(tmp_path / "search", [], SWEEP)).output
    assert "0 trials of 6: none yet" in output and "No trial has a value yet." in output


def test_folder_of_all_runs_gives_an_overview_with_a_line_for_each(folder: Path) -> None:
    make_results_folder(folder.parent / "search", [trial(0, "done", 1, 1)], SWEEP)
    make_results_folder(folder.parent / "torn", [cell(1.0, "noise", "done")], GRID)
    (folder.parent / "torn" / "cells.json").write_text("{")
    result = status(folder.parent)
    assert result.exit_code == 0
    lines = {line.split()[0]: line.split() for line in result.output.splitlines() if line.strip()}
    assert lines["grid"] == ["grid", "experiment", "8", "3", "2", "1", "2"]
    assert lines["search"][:4] == ["search", "sweep", "1", "1"]
    assert "cannot be read" in result.output


def test_several_folders_are_shown_one_after_the_other(folder: Path) -> None:
    other = make_results_folder(folder.parent / "other", [cell(1.0, "noise", "done")], GRID)
    output = status(folder, other).output
    assert output.index("grid, experiment of") < output.index("other, experiment of")


@pytest.mark.parametrize(
    ("name", "sentence"), [("nowhere", "There is no folder"), ("empty", "is not an experiment's folder")]
)
def test_bad_folder_is_a_sentence_and_code_2(tmp_path: Path, name: str, sentence: str) -> None:
    (tmp_path / "empty").mkdir()
    for words in ([], ["--watch"]):
        result = status(tmp_path / name, *words)
        assert result.exit_code == 2 and sentence in result.output and "Traceback" not in result.output


def test_looking_changes_no_file(folder: Path) -> None:
    def stamps() -> dict[Path, tuple[int, int]]:
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}

    (folder / "cccccccccccc" / ".lock").touch()
    before = stamps()
    status(folder)
    assert stamps() == before


def test_watch_ends_by_itself_when_all_is_done(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _set(folder, {"failed": "done"})  # the ones not begun are done now too; two are left
    looks: list[float] = []

    def finish_at_the_second_look(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            _set(folder, {"running": "done"})

    monkeypatch.setattr(time, "sleep", finish_at_the_second_look)
    result = status(folder, "--watch")
    assert result.exit_code == 0 and looks == [2.0, 2.0]
    assert "2 interrupted" in result.output
    assert "grid: 8 done" in result.output.splitlines()[-1]


def test_watch_bears_with_files_that_are_being_replaced(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _set(folder, {"failed": "done", "running": "done"})
    cells = (folder / "cells.json").read_text()
    data = json.loads((folder / "aaaaaaaaaaaa" / "manifest.json").read_text())
    (folder / "aaaaaaaaaaaa" / "manifest.json").write_text(json.dumps({**data, "status": "running"}))
    actions = iter([
        lambda: (folder / "cells.json").unlink(),
        lambda: (folder / "cells.json").write_text(cells),
        lambda: (folder / "aaaaaaaaaaaa" / "manifest.json").write_text(json.dumps(data)),
    ])  # fmt: skip
    monkeypatch.setattr(time, "sleep", lambda seconds: next(actions)())
    assert status(folder, "--watch").exit_code == 0 and next(actions, None) is None


def test_watch_ends_with_1_where_something_failed(folder: Path) -> None:
    _set(folder, {"running": "done"})
    result = status(folder, "--watch")
    assert result.exit_code == 1 and "the loss is [NaN]" in result.output


def test_ctrl_c_ends_watching_with_130(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def press(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", press)
    result = status(folder, "--watch")
    assert result.exit_code == 130 and "Interrupted" not in result.output


def test_every_condition_has_a_sign() -> None:
    from harness.cli.status import SIGNS

    assert set(SIGNS) == set(Condition) and len({sign for sign, _ in SIGNS.values()}) == len(Condition)
    assert os.linesep not in "".join(sign for sign, _ in SIGNS.values())


def test_a_driver_between_two_batches_counts_as_working(folder: Path) -> None:
    from harness.studies.storage import hold_study

    assert "Nothing is working on it now" in status(folder).output
    with hold_study(folder):
        assert "A process is working on it" in status(folder).output


def test_experiment_that_is_named_without_its_folder_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_results_folder(tmp_path / "runs" / "abl", [{"label": {"alpha": 1}}])
    for command in ("status", "compare", "figure", "claims"):
        result = CliRunner().invoke(app, [command, "abl"])
        assert result.exit_code == 2 and "There is no folder abl; did you mean runs/abl?" in result.output, command
