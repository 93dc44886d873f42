"""Own files in tables and figures: by stem; of one stem, by as much of the path as tells them apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from results_folder import make_results_folder, picture
from test_compare import metrics
from test_figures import pdf_text
from typer.testing import CliRunner

from harness.cli.app import app
from harness.config.file_names import FileNames, short_names
from harness.figures.experiment import draw_experiment
from harness.figures.explorer.contents import contents
from harness.results import load
from harness.tracking.summary import table_of_runs


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["photos/cat.jpg", "dog.png", "strokes"], ["cat", "dog", "strokes"]),
        (["new/cat.jpg", "old/cat.jpg"], ["new/cat", "old/cat"]),
        (["a/new/cat.jpg", "b/new/cat.jpg", "dog.jpg"], ["a/new/cat", "b/new/cat", "dog"]),
        (["photos/cat.jpg", "photos/cat.png"], ["cat.jpg", "cat.png"]),
        (["strokes", "mine/strokes.png"], ["strokes", "strokes.png"]),
        (["cat.jpg", "old/cat.jpg", "cat.jpg"], ["cat", "old/cat", "cat"]),
        (["/a/cat.jpg", "/b/cat.jpg"], ["a/cat", "b/cat"]),
    ],
)
def test_names_are_as_short_as_they_can_be_and_apart(given: list[str], names: list[str]) -> None:
    assert [short_names(given)[path] for path in given] == names


def test_files_stand_in_many_fields() -> None:
    labels = [
        {"content": "a/x.png", "style": {"p/ink.png": 0.5, "q/ink.png": 0.5}, "start": {"file": "s/y.png"}, "alpha": 1},
        {"content": "b/x.png", "style": "mosaic", "start": "noise", "weights.file": "nets/vgg.pth", "cases": "a/x.png"},
    ]
    names = FileNames(labels)
    assert names.label(labels[0]) == {
        "content": "a/x", "style": {"p/ink": 0.5, "q/ink": 0.5}, "start": {"file": "y"}, "alpha": 1,
    }  # fmt: skip
    assert names.label(labels[1]) == {
        "content": "b/x", "style": "mosaic", "start": "noise", "weights.file": "vgg", "cases": "a/x.png",
    }  # fmt: skip


def test_tables_and_figures_name_files_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    photos = ["a_long_folder/holidays/cat.jpg", "a_long_folder/holidays/dog.jpg"]
    paintings = ["one/ink.png", "two/ink.png"]
    cells = [
        {"label": {"content": photo, "style": painting}, "metrics": metrics(1.0), "image": picture(k, 24, 24)}
        for k, (photo, painting) in enumerate((photo, painting) for photo in photos for painting in paintings)
    ]
    axes = {"content": photos, "style": paintings}
    folder = make_results_folder(tmp_path / "pets", cells, {"axes": axes, "figure": {"columns": "style"}})
    for command in ("compare", "status"):
        told = CliRunner().invoke(app, [command, str(folder)]).output
        assert all(name in told for name in ("cat", "dog", "one/ink", "two/ink")), told
        assert "holidays" not in told and ".png" not in told, told
    results = load(folder)
    page = contents(results, str)
    assert [axis["values"] for axis in page["axes"]] == [["cat", "dog"], ["one/ink", "two/ink"]]
    assert [run["name"] for run in page["runs"]][:2] == ["content=cat, style=one/ink", "content=cat, style=two/ink"]
    columns, rows = table_of_runs(results)
    assert [rows[0][columns.index(name)] for name in ("content_image", "style_image")] == ["cat", "one/ink"]
    draw_experiment(results)
    text = pdf_text(folder / "figure.pdf")
    assert all(name in text for name in ("cat", "dog", "one/ink", "two/ink")) and "holidays" not in text
