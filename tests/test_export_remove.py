"""``harness export`` and ``harness remove``: what is sent repeats itself; what goes, goes whole or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from results_folder import make_results_folder, picture
from test_run import harness_run, runs_of
from test_sweep import harness_sweep, trials_of, write_sweep
from typer.testing import CliRunner, Result

import harness
from harness.cli.app import app
from harness.errors import StorageError, UsageError
from harness.images.files import image_hash, write_png
from harness.results import Results
from harness.runs.store import RunFolder
from harness.studies.storage import hold_study, open_storage

PLUGIN = """import harness


@harness.term("brightness")
def brightness(images, *, content):
    return (images.mean((1, 2, 3)) - content.mean()).square()
"""

MIXED = """plugins: [terms/mine.py]
transfer:
  content: photo.png
  style: {zebra.png: {weight: 1, mask: half.png}, strokes: 0.5, /SOMEWHERE/ant.png: 0.25}
  terms: {brightness: 2}
  start: {file: begin.png}
  size: 48
  steps: 3
  pyramid: []
  content_layers: {conv1_1: 1}
  style_layers: {conv1_1: 0.5, conv2_1: 0.5}
axes: {alpha: [1e-3, 1e-1]}
"""

TO_A_FILE = str.maketrans("=.", "__")


def invoke(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, words)])


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of everything that a transfer can name, carried out in a folder: that folder."""
    folder, elsewhere = tmp_path_factory.mktemp("mixed"), tmp_path_factory.mktemp("elsewhere")
    for k, path in enumerate([folder / "photo.png", folder / "zebra.png", folder / "begin.png", elsewhere / "ant.png"]):
        write_png(path, picture(k, 40, 48) / 255)
    write_png(folder / "half.png", np.concatenate([np.ones((40, 24, 3)), np.zeros((40, 24, 3))], 1))
    (folder / "terms").mkdir()
    (folder / "terms" / "mine.py").write_text(PLUGIN)
    (folder / "mixed.yaml").write_text(MIXED.replace("/SOMEWHERE", str(elsewhere)))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = harness_run("mixed.yaml")
    assert result.exit_code == 0, result.output
    return folder


def test_an_exported_run_is_computed_again_elsewhere_to_the_same_id_and_bits(
    mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undrawn: None
) -> None:
    monkeypatch.chdir(mixed)
    result = invoke("export", "runs/mixed", tmp_path / "sent")
    assert result.exit_code == 0 and "2 pictures" in result.output, result.output
    monkeypatch.chdir(shutil.move(tmp_path / "sent", tmp_path / "arrived"))
    files = sorted(path.name for path in Path().glob("*.yaml"))
    ids = {run.name: run.id for run in harness.load(mixed / "runs" / "mixed").runs}
    assert files == sorted(f"{name.translate(TO_A_FILE)}-{identity}.yaml" for name, identity in ids.items())
    told = Path("README.txt").read_text()
    assert (mixed / "runs" / "mixed" / "figure.png").read_bytes() == Path("mixed-figure.png").read_bytes()
    for path in Path("images").iterdir():
        assert f"{path}, sha256 {image_hash(path)}" in told
    assert len(list(Path("images").iterdir())) == 6 and str(mixed) not in told
    file = files[0]
    assert f"harness run {file}" in told
    assert harness_run(file).exit_code == 0
    (run,) = runs_of(Path("runs") / Path(file).stem).values()
    assert run.name == Path(file).stem.rpartition("-")[2]
    assert (run / "image.png").read_bytes() == Path(file).with_suffix(".png").read_bytes()


def test_select_says_which_runs_are_exported(mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mixed)
    results = harness.load("runs/mixed").select(alpha=0.1)
    folder = harness.export(results, tmp_path / "one")
    assert [path.stem.rpartition("-")[2] for path in folder.glob("*.yaml")] == [run.id for run in results.runs]
    assert not list(folder.glob("*figure*"))


def test_an_image_that_changed_is_there_as_it_was_used_and_readme_says_so(
    mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(mixed, tmp_path / "copy"))
    monkeypatch.chdir(copy)
    write_png(copy / "photo.png", picture(99, 40, 48) / 255)
    (copy / "begin.png").unlink()
    folder = harness.export(harness.load("runs/mixed"), tmp_path / "sent")
    told = (folder / "README.txt").read_text()
    assert "content: images/photo-" in told and "this is it as it was used" in told
    assert "start: begin.png, sha256" in told and "not here" in told
    (photograph,) = (folder / "images").glob("photo-*")
    assert photograph.read_bytes() == harness.load("runs/mixed").runs[0].sources["content"].read_bytes()


def test_export_leaves_nothing_where_it_cannot_be_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_results_folder(tmp_path / "fig4", [{"label": {"alpha": 0.1}, "status": "waiting"}])
    result = invoke("export", folder, tmp_path / "new")
    assert result.exit_code == 2 and "has a picture yet" in result.output and not (tmp_path / "new").exists()
    result = invoke("export", folder, folder)
    assert result.exit_code == 2 and "is there already" in result.output
    done = make_results_folder(tmp_path / "fig5", [{"label": {"alpha": 0.1}}])
    result = invoke("export", done, "/proc/new")
    assert result.exit_code == 1 and "could not be written" in result.output

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(StorageError, match="No space left"):
        harness.export(harness.load(done), tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fig4", "fig5"]


def two_experiments(folder: Path) -> tuple[Results, Results]:
    """An experiment of three runs, and another that links to the first of them."""
    first = make_results_folder(folder / "first", [{"label": {"alpha": a}} for a in (0.1, 0.2, 0.3)])
    other = make_results_folder(folder / "other", [{"label": {"alpha": a}} for a in (0.1, 0.4)])
    linked = harness.load(first).run(alpha=0.1)
    shutil.rmtree(harness.load(other).run(alpha=0.1).folder.path)
    harness.load(other).run(alpha=0.1).folder.path.symlink_to(os.path.relpath(linked.folder.path, other))
    return harness.load(first), harness.load(other)


def test_removing_a_run_takes_the_links_to_it_and_leaves_a_hole(tmp_path: Path) -> None:
    first, other = two_experiments(tmp_path)
    run, link = first.run(alpha=0.1).folder.path, other.run(alpha=0.1).folder.path
    result = invoke("remove", run, "--yes")
    assert result.exit_code == 0 and "1 run, " in result.output and "1 link to them" in result.output, result.output
    assert not run.exists() and not link.is_symlink()
    assert [each.status.name for each in harness.load(first.folder).runs] == ["WAITING", "DONE", "DONE"]


def test_removing_a_link_leaves_what_it_links_to(tmp_path: Path) -> None:
    first, other = two_experiments(tmp_path)
    result = invoke("remove", other.run(alpha=0.1).folder.path, "--yes")
    assert result.exit_code == 0, result.output
    assert first.run(alpha=0.1).folder.path.exists() and not other.run(alpha=0.1).folder.path.is_symlink()
    harness.remove(other)
    assert not other.folder.exists() and len(list(first.folder.glob("*/image.png"))) == 3


def test_removing_an_experiment_leaves_what_the_user_put_there(tmp_path: Path) -> None:
    first, other = two_experiments(tmp_path)
    (first.folder / "notes.txt").write_text("mine")
    (first.folder / "earlier" / "0123abcd").mkdir(parents=True)
    open_storage(None, first.folder)
    result = invoke("remove", first.folder, "--yes")
    assert result.exit_code == 0 and "notes.txt" in result.output, result.output
    assert [path.name for path in first.folder.iterdir()] == ["notes.txt"]
    assert not other.run(alpha=0.1).folder.path.is_symlink() and other.run(alpha=0.4).folder.path.exists()


def test_nothing_goes_while_something_of_it_is_in_use_or_nobody_said_yes(tmp_path: Path) -> None:
    first, other = two_experiments(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    result = invoke("remove", first.folder)
    assert result.exit_code == 2 and "add --yes" in result.output
    with RunFolder(first.run(alpha=0.3).folder.path):
        result = invoke("remove", first.folder, other.folder, "--yes")
    assert result.exit_code == 1 and "in use" in result.output
    with hold_study(other.folder):
        result = invoke("remove", first.folder, other.folder, "--yes")
    assert result.exit_code == 1 and "in use" in result.output
    assert [path for path in sorted(tmp_path.rglob("*")) if path.name not in (".lock", ".driver.lock")] == before
    assert invoke("remove", tmp_path, "--yes").exit_code == 2
    assert invoke("remove", first.folder / "sources", "--yes").exit_code == 2


def test_an_earlier_grid_goes_with_its_experiment_or_run_by_run(
    experiment: Path, tmp_path: Path, undrawn: None
) -> None:
    words = ("--out", tmp_path / "runs")
    assert harness_run(experiment, "transfer.steps=2", "transfer.seed=0", *words).exit_code == 0
    assert harness_run(experiment, "transfer.steps=3", "transfer.seed=0", *words).exit_code == 0
    (earlier,) = (tmp_path / "runs" / "tiny" / "earlier").iterdir()
    with pytest.raises(UsageError, match="earlier grid"):
        harness.remove(harness.load(earlier))
    old = harness.load(earlier).runs[0].folder.path
    assert invoke("remove", old, "--yes").exit_code == 0
    assert not old.exists() and all(run.status.name == "DONE" for run in harness.load(tmp_path / "runs" / "tiny").runs)


def test_a_sweeps_removed_trial_is_computed_again_under_its_number(tmp_path: Path, undrawn: None) -> None:
    path, words = write_sweep(tmp_path, 2), ("budget.trials=3", "--out", tmp_path / "runs")
    storage = ("--storage", f"sqlite:///{tmp_path}/studies.db")
    assert harness_sweep(path, *words, *storage).exit_code == 0
    folder = tmp_path / "runs" / "tiny_sweep"
    before, picture_before = trials_of(folder), harness.load(folder).run(trial=1).image()
    harness.remove(harness.load(folder).select(trial=1))
    assert harness.load(folder).run(trial=1).status.name == "WAITING"
    assert harness_sweep(path, *words, *storage).exit_code == 0
    assert trials_of(folder) == before
    assert (harness.load(folder).run(trial=1).image() == picture_before).all()
    harness.remove(harness.load(folder))
    assert not folder.exists() and not open_storage(storage[1], folder).get_all_studies()
