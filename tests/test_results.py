"""What a notebook gets from a folder, and what it is told where there is nothing to get."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from results_folder import make_results_folder, picture
from typer.testing import CliRunner

import harness
from harness.cli.app import app
from harness.errors import ImageError, StorageError, UsageError
from harness.runs.history import HistoryReader

GRID = {"axes": {"alpha": [0.01, 1.0], "start": ["noise", "content"]}, "figure": {"columns": "alpha", "rows": "start"}}
HISTORY = [{"evaluation": k, "seconds": 0.5 * k, "total": 3.0 - k, "content": 1.0, "style": 2.0 - k} for k in (1, 2)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four cells, one of them failed and one not begun; a repeat; one computed twice."""
    cells = [
        {
            "id": "aaaaaaaaaaaa",
            "label": {"alpha": 0.01, "start": "noise"},
            "metrics": {"ssim": 0.5, "total": 1.0, "content": 2.0, "style": 3.0},
            "image": picture(1),
            "content": picture(2, 8, 16),
            "iterates": {1: picture(3), 2: picture(4)},
            "history": HISTORY,
        },
        {"id": "abbbbbbbbbbb", "label": {"alpha": 1.0, "start": "noise"}, "metrics": {"ssim": 0.75, "total": 4.0}},
        {"id": "cccccccccccc", "label": {"alpha": 0.01, "start": "content"}, "status": "failed", "reason": "it is NaN"},
        {"id": "dddddddddddd", "label": {"alpha": 1.0, "start": "content"}, "status": "waiting"},
        {
            "id": "eeeeeeeeeeee",
            "label": {"alpha": 0.01, "start": "noise", "seed": 1},
            "part": "repeat",
            "metrics": {"ssim": 0.25},
        },
        {"id": "aaaaaaaaaaaa", "label": {"alpha": 0.01, "start": "noise"}, "part": "again", "image": picture(1)},
    ]
    return make_results_folder(tmp_path / "grid", cells, GRID)


def test_importing_harness_imports_nothing_heavy_and_load_no_torch(folder: Path) -> None:
    script = f"""
import sys
from harness import load
heavy = {{"torch", "numpy", "optuna", "wandb", "yaml"}} & set(sys.modules)
assert not heavy, heavy
load({str(folder)!r}).table()
heavy = {{"torch", "optuna", "wandb", "matplotlib"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_runs_images_histories_and_iterates_are_as_in_the_files(folder: Path) -> None:
    results = harness.load(folder)
    assert [run.id[0] for run in results.runs] == ["a", "a", "c", "d"]
    assert [run.part for run in results.all_runs] == ["grid"] * 4 + ["repeat", "again"]
    run = results.runs[0]
    np.testing.assert_array_equal(run.image(), picture(1))
    np.testing.assert_array_equal(run.source("content"), picture(2, 8, 16))
    np.testing.assert_array_equal(run.start(), picture(3))
    assert run.history() == HISTORY
    iterates = run.iterates()
    assert list(iterates) == [1, 2] and len(iterates) == 2
    np.testing.assert_array_equal(iterates[2], picture(4))


def test_iterates_are_read_only_when_they_are_asked_for(folder: Path) -> None:
    run = harness.load(folder).runs[0]
    run.folder.iterate_path(1).write_bytes(b"not an image")
    iterates = run.iterates()
    np.testing.assert_array_equal(iterates[2], picture(4))
    with pytest.raises(ImageError):
        iterates[1]
    with pytest.raises(KeyError, match=r"evaluation 7; there are \[1, 2\]"):
        iterates[7]


@pytest.mark.parametrize(
    ("look_up", "wanted"),
    [
        (lambda results: results.run("aaaa"), "aaaaaaaaaaaa"),
        (lambda results: results.run("eee"), "eeeeeeeeeeee"),
        (lambda results: results.run(alpha=1, start="noise"), "abbbbbbbbbbb"),
        (lambda results: results.run({"alpha": 0.01}, start="content"), "cccccccccccc"),
        (lambda results: results.run("alpha=1.0, start=content"), "dddddddddddd"),
        (lambda results: results.run(seed=1), "eeeeeeeeeeee"),
        (lambda results: results.run(alpha=1, start="noise", beta=1, method="gatys"), "abbbbbbbbbbb"),
    ],
)
def test_a_run_is_found_by_id_label_or_name(
    folder: Path, look_up: Callable[..., harness.results.Run], wanted: str
) -> None:
    found = look_up(harness.load(folder))
    assert found.id == wanted and found.part != "again"


def test_a_lookup_that_fits_none_or_several_says_what_there_is(folder: Path) -> None:
    results = harness.load(folder)
    with pytest.raises(UsageError, match=r"2 runs of grid fit 'alpha=0.01'.*aaaaaaaaaaaa \(alpha=0.01, start=noise\)"):
        results.run(alpha=0.01)
    with pytest.raises(UsageError, match=r"No run of grid fits 'zzz'; .*dddddddddddd \(alpha=1.0, start=content\)"):
        results.run("zzz")


def test_a_case_is_found_by_its_name(tmp_path: Path) -> None:
    cells = [{"label": {"cases": name}} for name in ("A", "B")]
    cases = {"cases": {"A": {"start": "content"}, "B": {"start": "style"}}}
    results = harness.load(make_results_folder(tmp_path / "cases", cells, cases))
    assert results.run("B").transfer.start == "style"
    assert [(row["cases"], row["start"]) for row in results.table()] == [("A", "content"), ("B", "style")]


def test_table_has_the_same_keys_for_every_run_and_only_the_fields_that_differ(folder: Path) -> None:
    rows = harness.load(folder).table()
    assert len(rows) == 6
    keys = [
        "id",
        "part",
        "status",
        "settled",
        "reason",
        "start",
        "seed",
        "alpha",
        "ssim",
        "loss/total",
        "loss/content",
        "loss/style",
    ]
    assert all(list(row) == keys for row in rows)
    assert list(rows[0].values()) == ["aaaaaaaaaaaa", "grid", "done", None, "", "noise", 0, 0.01, 0.5, 1.0, 2.0, 3.0]
    assert (
        list(rows[2].values()) == ["cccccccccccc", "grid", "failed", None, "it is NaN", "content", 0, 0.01] + [None] * 4
    )
    assert rows[3]["status"] == "waiting" and rows[1]["loss/style"] is None


def test_layers_weights_are_fields_of_their_own(tmp_path: Path) -> None:
    layers = [{"conv1_1": 1.0}, {"conv1_1": 0.5, "conv2_1": 0.5}]
    folder = make_results_folder(
        tmp_path / "x", [{"label": {"style_layers": some}} for some in layers], {"axes": {"style_layers": layers}}
    )
    rows = harness.load(folder).table()
    assert [(row["style_layers.conv1_1"], row["style_layers.conv2_1"]) for row in rows] == [(1.0, None), (0.5, 0.5)]
    assert [row["style_layers"] for row in rows] == ["{conv1_1: 1.0}", "{conv1_1: 0.5, conv2_1: 0.5}"]  # to group by


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({"start": "noise"}, ["aaaaaaaaaaaa", "abbbbbbbbbbb", "eeeeeeeeeeee", "aaaaaaaaaaaa"]),
        ({"start": "noise", "alpha": [1, 3]}, ["abbbbbbbbbbb"]),
        ({"alpha": 0.01, "seed": 1}, ["eeeeeeeeeeee"]),
        ({"optimiser.name": "lbfgs", "alpha": [1.0]}, ["abbbbbbbbbbb", "dddddddddddd"]),
    ],
)
def test_runs_are_selected_by_label_or_field(folder: Path, wanted: dict[str, object], ids: list[str]) -> None:
    results = harness.load(folder)
    found = results.select(**wanted)
    assert [run.id for run in found.all_runs] == ids
    assert [run.id for run in found.runs] == [run.id for run in found.all_runs if run.part == "grid"]
    assert found.folder == results.folder and len(results.all_runs) == 6


def test_a_selection_of_repeats_alone_is_not_said_to_be_empty(folder: Path) -> None:
    found = harness.load(folder).select(seed=1)
    assert not found.runs and len(found.all_runs) > 0
    assert f"0 of 0 runs are done, and {len(found.all_runs)} repeats" in repr(found)


def test_part_of_the_runs_is_not_drawn_over_the_figure_of_all(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    for part in (harness.load(folder).select(start="noise"), harness.load(folder / "abbbbbbbbbbb")):
        with pytest.raises(UsageError, match="of grid's runs, and its figure would be replaced"):
            harness.draw(part)
    assert sorted(folder.rglob("*")) == before


def test_selecting_what_is_not_there_says_what_there_is(folder: Path) -> None:
    results = harness.load(folder)
    with pytest.raises(UsageError, match=r"grid: there is no field 'alfa'; did you mean alpha\?"):
        results.select(alfa=1)
    with pytest.raises(UsageError, match=r"No run of grid has alpha=5; alpha is 0.01, 1.0\.$"):
        results.select(alpha=5)
    with pytest.raises(UsageError, match=r"has alpha=5, start=noise; alpha is 0.01, 1.0\.$"):
        results.select(alpha=5, start="noise")
    with pytest.raises(UsageError, match=r"; alpha is 0.01, 1.0; seed is 0, 1, but no run has these together\.$"):
        results.select(alpha=1.0, seed=1)


def test_results_count_their_runs(folder: Path) -> None:
    results = harness.load(folder)
    assert len(results) == len(results.runs) == len(list(results)) > len(results.select(alpha=0.01))


def test_one_runs_folder_gives_that_run_alone(folder: Path) -> None:
    for path in ("abbbbbbbbbbb", "eeeeeeeeeeee", "repeats/aaaaaaaaaaaa"):
        results = harness.load(folder / path)
        assert results.folder.resolve() == folder.resolve()
        (run,) = results.all_runs
        assert run.folder.path.resolve() == (folder / path).resolve()
    assert harness.load(folder / "repeats" / "aaaaaaaaaaaa").all_runs[0].part == "again"
    cells = json.loads((folder / "cells.json").read_text())
    cells["cells"] = [cell for cell in cells["cells"] if cell["id"] != "abbbbbbbbbbb"]
    (folder / "cells.json").write_text(json.dumps(cells))
    with pytest.raises(UsageError, match="is one run's folder, and no experiment's now"):
        harness.load(folder / "abbbbbbbbbbb")


def test_folder_of_all_runs_may_be_called_earlier(tmp_path: Path) -> None:
    folder = make_results_folder(tmp_path / "earlier" / "grid", [{"metrics": {"ssim": 0.5}}])
    results = harness.load(folder)
    assert results.name == "grid" and results.runs[0].metrics["ssim"] == 0.5


def test_an_earlier_grid_is_read_with_its_runs(folder: Path) -> None:
    ids = [run.id for run in harness.load(folder).runs]
    earlier = folder / "earlier" / "1f0c93aa"
    earlier.mkdir(parents=True)
    for name in ("cells.json", "experiment.yaml"):
        (earlier / name).write_bytes((folder / name).read_bytes())
    make_results_folder(folder, [{"id": "ffffffffffff"}])  # what is asked for now
    results = harness.load(earlier)
    assert [run.id for run in results.runs] == ids and results.folder == earlier
    assert results.name == "grid" and results.run("aaaa").metrics["ssim"] == 0.5
    np.testing.assert_array_equal(results.run("aaaa").image(), picture(1))


def test_reprs_say_what_it_is_and_how_far(folder: Path) -> None:
    text = repr(harness.load(folder))
    assert text.startswith("<Results of the experiment grid: 2 of 4 runs are done\n")
    assert "<Run cccccccccccc (alpha=0.01, start=content): failed>" in text and text.endswith(">")


def test_a_picture_that_is_not_there_is_a_sentence(folder: Path) -> None:
    results = harness.load(folder)
    with pytest.raises(
        ImageError, match=r"Run dddddddddddd \(alpha=1.0, start=content\) has no picture: it has not begun"
    ):
        results.run("ddd").image()
    results.run("aaaa").sources["style"].unlink()
    with pytest.raises(ImageError):
        results.run("aaaa").source("style")


def _without_cells(folder: Path) -> Path:
    (folder / "cells.json").unlink()
    return folder


def _truncated(folder: Path) -> Path:
    (folder / "cells.json").write_text((folder / "cells.json").read_text()[:100])
    return folder


def _of_another_shape(folder: Path) -> Path:
    (folder / "cells.json").write_text(json.dumps({"cells": [{"id": 3}]}))
    return folder


def _not_an_experiment(folder: Path) -> Path:
    (folder / "experiment.yaml").write_text(
        "file: x.yaml\ncontents: {}\ntransfer: {content: astronaut, style: strokes, size: big}\n"
    )
    return folder


def _empty(folder: Path) -> Path:
    (folder.parent / "empty").mkdir()
    return folder.parent / "empty"


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: folder / "nowhere", r"There is no folder .*nowhere; harness run and harness sweep make one"),
        (lambda folder: folder / "experiment.yaml", r"is not an experiment's folder \(it has no cells.json\)"),
        (_empty, r"empty is not an experiment's folder \(it has no cells.json\); give one such as"),
        (lambda folder: folder.parent, r"holds several experiments; name one: .*grid\."),
        (_without_cells, r"has no cells.json; run its experiment again to have it written: what is done is kept"),
        (_truncated, r"cannot be read \(JSONDecodeError: .*run its experiment again"),
        (_of_another_shape, r"cannot be read \(KeyError: 'label'\)"),
        (_not_an_experiment, r"cannot be read \(ValidationError: .*transfer.size"),
    ],
)
def test_what_is_not_an_experiments_folder_is_a_sentence(
    folder: Path, spoil: Callable[[Path], Path], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence) as caught:
        harness.load(spoil(folder))
    assert "\n" not in str(caught.value)


def test_a_damaged_manifest_spoils_nothing_but_its_own_run(folder: Path) -> None:
    (folder / "cccccccccccc" / "manifest.json").write_text("{")
    results = harness.load(folder)
    assert results.runs[0].metrics["ssim"] == 0.5
    with pytest.raises(StorageError, match="cccccccccccc/manifest.json cannot be read as a manifest"):
        results.runs[2].status  # noqa: B018 - reading it is what raises


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("3,1.5,0.0", "the line has 3 fields, and its header 5"),
        ("3,1.5,0.0,1.0,2.0,3.0", "the line has 6 fields, and its header 5"),
        ("3,1.5,zero,1.0,2.0", "could not convert string to float: 'zero'"),
        (",1.5,0.0,1.0,2.0", "the line does not say its evaluation"),
    ],
)
def test_a_damaged_history_is_a_sentence_with_its_line(folder: Path, line: str, why: str) -> None:
    run = harness.load(folder).runs[0]
    with open(run.folder.history_path, "a") as file:
        file.write(f"{line}\n4,2.0,0.0,1.0,2.0\n")
    damaged = rf"aaaaaaaaaaaa/history\.csv:4 is damaged \({re.escape(why)}\); move the folder away to compute"
    with pytest.raises(StorageError, match=damaged):
        run.history()
    reader = HistoryReader(run.folder.history_path)
    size_bytes = sum(len(whole) for whole in run.folder.history_path.read_bytes().splitlines(keepends=True)[:3])
    assert reader.new_rows(size_bytes) == HISTORY
    for _ in range(2):  # a line is not passed over because it was refused once
        with pytest.raises(StorageError, match=damaged):
            reader.new_rows()


def test_a_damaged_history_is_a_sentence_at_the_command_line(folder: Path) -> None:
    with open(folder / "aaaaaaaaaaaa" / "history.csv", "a") as file:
        file.write("3,1.5,0.0\n")
    result = CliRunner().invoke(app, ["figure", str(folder)])
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert "history.csv:4 is damaged" in " ".join(result.output.split())


def test_a_history_that_is_no_text_is_a_sentence(folder: Path) -> None:
    run = harness.load(folder).runs[0]
    for content in (b"evaluation,total\n1,\xff\n", b"seconds,total\n1,2\n"):
        run.folder.history_path.write_bytes(content)
        with pytest.raises(StorageError, match=r"history\.csv(:2)? is damaged"):
            run.history()


def test_a_run_is_in_use_exactly_while_a_process_holds_its_lock(folder: Path) -> None:
    run = harness.load(folder).runs[0]
    assert not run.is_in_use() and not (run.folder.path / ".lock").exists()  # looking leaves nothing behind
    with run.folder:
        assert run.is_in_use()
    assert not run.is_in_use()
    assert run.folder.acquire()  # looking takes nothing either
    run.folder.release()
