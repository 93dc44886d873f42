"""``harness export`` and ``harness remove``: what is sent repeats itself; what goes, goes whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import optuna
import pytest
import yaml
from results_folder import make_results_folder, picture
from test_run import harness_run, runs_of
from test_sweep import harness_sweep, trials_of, write_sweep
from typer.testing import CliRunner, Result

import harness
from harness.cli.app import app
from harness.config import load_experiment
from harness.driver.earlier import FROM_PYTHON
from harness.driver.jobs import make_jobs
from harness.driver.removing import plan_removal, remove
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

HASHES = {slot: {"sha256": "ab" * 32} for slot in ("content", "style")}
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


def moved_away(mixed: Path, tmp_path: Path) -> Path:
    """A copy of the folder, whose other image lies in a folder of its own: both may be changed."""
    copy, away = Path(shutil.copytree(mixed, tmp_path / "copy")), tmp_path / "away"
    away.mkdir()
    (ant,) = mixed.parent.glob("elsewhere0/ant.png")
    shutil.copy(ant, away)
    for path in copy.rglob("*"):
        if path.suffix in (".json", ".yaml"):
            path.write_text(path.read_text().replace(str(ant.parent), str(away)))
    return copy


def test_an_exported_run_is_computed_again_elsewhere_to_the_same_id_and_bits(
    mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undrawn: None
) -> None:
    copy = moved_away(mixed, tmp_path)
    monkeypatch.chdir(copy)
    result = invoke("export", "runs/mixed", tmp_path / "sent")
    assert result.exit_code == 0 and "2 pictures" in result.output, result.output
    ids = {run.name: run.id for run in harness.load("runs/mixed").runs}
    monkeypatch.chdir(shutil.move(tmp_path / "sent", tmp_path / "arrived"))
    assert (copy / "runs" / "mixed" / "figure.png").read_bytes() == Path("mixed-figure.png").read_bytes()
    shutil.rmtree(copy)
    shutil.rmtree(tmp_path / "away")
    files = sorted(path.name for path in Path().glob("*.yaml"))
    assert files == sorted(f"{name.translate(TO_A_FILE)}-{identity}.yaml" for name, identity in ids.items())
    told = Path("README.txt").read_text()
    for path in Path("images").iterdir():
        assert f"{path}, sha256 {image_hash(path)}" in told
    assert len(list(Path("images").iterdir())) == 6 and "missing:" not in told and "another id" not in told
    for path in Path().glob("*.[jyt][sax]*"):
        assert str(tmp_path) not in path.read_text()
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
    again = harness.export(["runs/mixed", results.runs[0].folder.path], tmp_path / "all")
    assert len(list(again.glob("*.yaml"))) == 2


def test_what_changed_since_is_said_and_an_image_is_there_as_it_was_used(
    mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = moved_away(mixed, tmp_path)
    monkeypatch.chdir(copy)
    write_png(copy / "photo.png", picture(99, 40, 48) / 255)
    (copy / "begin.png").unlink()
    with open(copy / "terms" / "mine.py", "a") as file:
        file.write("# another content\n")
    for kept in (copy / "runs" / "mixed" / "sources").glob("mine-*.py"):
        kept.unlink()
    folder = harness.export(harness.load("runs/mixed"), tmp_path / "sent")
    told = (folder / "README.txt").read_text()
    assert "content: images/photo-as_used-" in told and ", as it was used; its own file, sha256" in told
    assert "start: images/begin-" in told and "is missing: gone or another by now; put the file there" in told
    assert "it has changed since: another id" in told
    photograph = harness.load("runs/mixed").runs[0].sources["content"]
    assert (folder / "images" / f"photo-as_used-{photograph.stem}.png").read_bytes() == photograph.read_bytes()
    (copy / "terms" / "mine.py").unlink()
    (tmp_path / "away" / "ant.png").unlink()
    told = (harness.export(Path("runs/mixed"), tmp_path / "again") / "README.txt").read_text()
    assert "plugin: plugins/mine-" in told and "is missing; put the file there" in told
    (file, _) = sorted((tmp_path / "again").glob("*.yaml"))
    names = yaml.safe_load(file.read_text())["transfer"]["style"]
    assert [name[:10] for name in names] == ["images/00-", "images/01-", "images/02-"] == sorted(n[:10] for n in names)
    assert str(tmp_path) not in told + file.read_text()


def test_a_quilted_picture_and_one_by_weights_of_a_file_are_exported_without_folders(tmp_path: Path) -> None:
    fields = {"segmentation": {"content": "/home/me/a.png", "style": "/home/me/b.png"}}
    quilted = {"transfer": {"method": "quilting", **fields}, "label": {"content": "/home/me/photo.png"}}
    own = {"label": {"alpha": 1.0}, "transfer": {"weights": {"file": "/home/me/vgg.pth", "input": "caffe"}}}
    provenance = {"files": {**HASHES, "weights": {"sha256": "cd" * 32, "network": "ef" * 32}}, "plugins": {}}
    cells = [{**cell, "provenance": provenance} for cell in (quilted, own)]
    folder = harness.export(make_results_folder(tmp_path / "fig4", cells), tmp_path / "sent")
    told = {path.name: path.read_text() for path in folder.iterdir() if path.suffix in (".yaml", ".json", ".txt")}
    assert len(told) == 5 and not [name for name, text in told.items() if "/home" in text]
    assert "weights: weights/vgg.pth, not here, network efef" in told["README.txt"]
    texts = [yaml.safe_load(text)["transfer"] for name, text in told.items() if name.endswith(".yaml")]
    assert {"weights": {"file": "weights/vgg.pth", "input": "caffe"}}.items() <= max(texts, key=len).items()


def test_a_start_that_is_also_a_painting_leaves_the_paintings_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undrawn: None
) -> None:
    monkeypatch.chdir(tmp_path)
    for k, name in enumerate(("photo.png", "ant.png", "zebra.png")):
        write_png(tmp_path / name, picture(k, 40, 48) / 255)
    style = "{ant.png: 0.5, zebra.png: {weight: 0.5, own_mask: ant.png}}, start: {file: ant.png}"
    layers = "content_layers: {conv1_1: 1}, style_layers: {conv1_1: 1}"
    Path("a.yaml").write_text(
        f"transfer: {{content: photo.png, style: {style}, size: 48, steps: 2, pyramid: [], {layers}}}\n"
    )
    assert harness_run("a.yaml").exit_code == 0
    (run,) = harness.load("runs/a").runs
    folder = harness.export("runs/a", tmp_path / "sent")
    monkeypatch.chdir(folder)
    (file,) = folder.glob("*.yaml")
    (job,) = make_jobs(load_experiment(file.name), tmp_path / "other")
    assert job.id == run.id


def test_folders_named_in_reasons_claims_and_labels_are_not_exported(tmp_path: Path) -> None:
    given = [{"/home/jürgen/ant.png": 0, "strokes": 1}, "/home/jürgen/b.png"]
    cells = [
        {"label": {"style": style}, "provenance": {"files": HASHES}, "reason": "no file '/home/jürgen/x/y.png'"}
        for style in given
    ]
    folder = make_results_folder(tmp_path / "fig4", cells)
    (folder / "claims.md").write_text("Groups: content=/home/jürgen/a.jpg holds")
    sent = harness.export([folder, folder], tmp_path / "sent")
    told = {path.name: path.read_text() for path in sent.iterdir() if path.suffix in (".yaml", ".json", ".txt", ".md")}
    assert not [name for name, text in told.items() if "rgen" in text or "rgen" in name or "home" in name]
    assert told["fig4-claims.md"] == "Groups: content=a.jpg holds"


def test_two_sizes_of_a_photograph_that_is_gone_are_two_files(tmp_path: Path) -> None:
    fields = {"content": "photo.png"}
    cells = [
        {
            "label": {"size": size},
            "transfer": fields,
            "content": picture(size, size, size),
            "provenance": {"files": HASHES},
        }
        for size in (16, 32)
    ]
    sent = harness.export(make_results_folder(tmp_path / "fig4", cells), tmp_path / "sent")
    assert len(list((sent / "images").glob("photo-as_used-*.png"))) == 2
    with pytest.raises(UsageError, match="got Run"):
        harness.export(harness.load(tmp_path / "fig4").runs[0], tmp_path / "new")  # type: ignore[arg-type]


def test_export_leaves_nothing_where_it_cannot_be_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_results_folder(tmp_path / "fig4", [{"label": {"alpha": 0.1}, "status": "waiting"}])
    result = invoke("export", folder, tmp_path / "new")
    assert result.exit_code == 2 and "has a picture yet" in result.output and not (tmp_path / "new").exists()
    done = make_results_folder(tmp_path / "fig5", [{"label": {"alpha": 0.1}, "provenance": {"files": HASHES}}])
    result = invoke("export", done, folder)
    assert result.exit_code == 2 and "name a new folder to export to behind it" in result.output
    result = invoke("export", done, done / "sources")
    assert result.exit_code == 2 and "is there already" in result.output
    result = invoke("export", done, tmp_path / "no" / "new")
    assert result.exit_code == 2 and "There is no folder" in result.output
    result = invoke("export", done, "/proc/new")
    assert result.exit_code == 1 and "could not be written" in result.output

    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device", str(target))

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


def test_removing_a_run_that_another_experiment_links_to_leaves_a_hole_here_and_none_there(tmp_path: Path) -> None:
    first, other = two_experiments(tmp_path)
    run, link = first.run(alpha=0.1).folder.path, other.run(alpha=0.1).folder.path
    before = contents(link)
    result = invoke("remove", run, "--yes")
    assert result.exit_code == 0 and "0 runs, 0.0 MiB" in result.output, result.output
    assert not run.exists() and not link.is_symlink() and contents(link) == before
    assert [each.status.name for each in harness.load(first.folder).runs] == ["WAITING", "DONE", "DONE"]
    assert [each.status.name for each in harness.load(other.folder).runs] == ["DONE", "DONE"]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a run, but for its lock."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def three_experiments(folder: Path) -> tuple[Results, Results, Results]:
    """The same, and a third that links to the same run."""
    first, other = two_experiments(folder)
    third = make_results_folder(folder / "third", [{"label": {"alpha": 0.1}}])
    link = harness.load(third).run(alpha=0.1).folder.path
    shutil.rmtree(link)
    link.symlink_to(os.path.relpath(first.run(alpha=0.1).folder.path, third))
    return first, other, harness.load(third)


def test_what_others_link_to_moves_to_one_of_them_and_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, other, third = three_experiments(tmp_path)
    before = [contents(run.folder.path) for run in (*other.runs, *third.runs)]
    tables = [one.table() for one in (other, third)]
    looked = [invoke("compare", one.folder).output for one in (other, third)]
    told = invoke("remove", "first", "--yes")
    assert told.exit_code == 0 and not first.folder.exists(), told.output
    asked, done = told.output.split("Removed.")
    assert "2 runs, " in asked and "which are kept: 1 run in other from then on" in asked
    assert "Kept, since other experiments link to them: 1 run in other\n" in done
    other, third = harness.load("other"), harness.load("third")
    assert [contents(run.folder.path) for run in (*other.runs, *third.runs)] == before
    assert [one.table() for one in (other, third)] == tables
    assert [invoke("compare", one.folder).output for one in (other, third)] == looked
    own, link = other.run(alpha=0.1), third.run(alpha=0.1)
    assert own.taken_from is None and link.taken_from == other.folder.resolve()
    assert os.readlink(link.folder.path) == f"../other/{own.id}"
    assert invoke("remove", "other", "third", "--yes").exit_code == 0 and not list(tmp_path.iterdir())


def test_what_was_linked_to_since_it_was_asked_is_kept_too(tmp_path: Path) -> None:
    first, other, third = three_experiments(tmp_path)
    plan = plan_removal([first])
    late = tmp_path / "late"
    shutil.copytree(other.folder, late, symlinks=True)
    shutil.rmtree(other.folder)
    shutil.rmtree(third.folder)
    remove(plan)
    links = [run.folder.path for run in harness.load(late).runs]
    assert links and all((path / "image.png").exists() for path in links) and not first.folder.exists()


@pytest.mark.parametrize("damaged", ["first", "another"])
def test_a_damaged_run_keeps_nothing_from_being_removed(tmp_path: Path, damaged: str) -> None:
    first, other, _ = three_experiments(tmp_path)
    (run,) = (path.resolve() for path in sorted(other.folder.glob("*")) if path.is_symlink())
    if damaged == "first":
        (run / "manifest.json").write_text("{")
    else:
        (tmp_path / "copy" / run.name).mkdir(parents=True)
        (tmp_path / "copy" / run.name / "manifest.json").write_text("{")
    told = invoke("remove", first.folder, "--yes")
    assert told.exit_code == 0 and not first.folder.exists(), told.output
    assert (other.folder / run.name / "transfer.yaml").exists()


def test_what_was_handed_over_in_part_is_handed_over_again(tmp_path: Path) -> None:
    first, other, _ = three_experiments(tmp_path)
    (link,) = (path for path in sorted(other.folder.glob("*")) if path.is_symlink())
    whole = contents(link)
    torn = link.with_name(f".{link.name}.moved")
    torn.mkdir()
    (torn / "history.csv").write_text("torn")
    link.unlink()
    assert invoke("remove", first.folder, "--yes").exit_code == 0
    assert contents(link) == whole and not torn.exists()


def killed_at(step: int, folder: Path) -> bool:
    """Remove an experiment in a process that is killed at its step-th change of the file system; whether it was."""
    if not (child := os.fork()):
        changes = {"os.link", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.mkdir"}
        count = iter(range(step))

        def kill(event: str, given: object) -> None:
            if event in changes and next(count, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            results = harness.load(folder)
            sys.addaudithook(kill)
            harness.remove(results)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.long
def test_removing_that_is_killed_anywhere_loses_nothing_that_others_have(tmp_path: Path) -> None:
    first, other, third = three_experiments(tmp_path / "made")
    run = first.run(alpha=0.1).id
    before = contents(first.run(alpha=0.1).folder.path)
    step, num_holes = 0, 0
    while True:
        here = tmp_path / str(step)
        shutil.copytree(tmp_path / "made", here, symlinks=True)
        is_killed = killed_at(step, here / "first")
        places = [here / name / run for name in ("other", "third", "first")]
        assert before in [contents(place) for place in places if place.exists()], step
        num_holes += not places[0].exists()
        if (here / "first" / "experiment.yaml").exists():  # of what is left it is the last but one
            harness.remove(here / "first")
        assert [contents(place) for place in places[:2]] == [before, before], step
        assert not (here / "first" / "experiment.yaml").exists() and not places[2].exists(), step
        assert not [path for path in here.rglob(".*") if path.name.endswith((".moved", ".link"))], step
        shutil.rmtree(here)
        if not is_killed:
            break
        step += 1
    assert step > 20 and num_holes == 1  # between the link's end and the folder's move, and only there


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
    assert [run.status.name for run in harness.load(other.folder).runs] == ["DONE", "DONE"]


def test_a_run_or_an_experiment_given_twice_goes_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, other = two_experiments(tmp_path)
    monkeypatch.chdir(tmp_path / "first")
    result = invoke("remove", "../first", tmp_path / "first", first.run(alpha=0.1).folder.path, "--yes")
    assert result.exit_code == 0 and "2 runs, " in result.output and "kept: 1 run in" in result.output, result.output
    assert not first.folder.exists() and other.folder.exists()
    monkeypatch.chdir(other.folder)
    assert invoke("remove", ".", "--yes").exit_code == 0 and not other.folder.exists()


def test_what_only_looks_like_a_run_stays(tmp_path: Path) -> None:
    first, _ = two_experiments(tmp_path)
    run = first.run(alpha=0.1).folder.path
    shutil.copytree(run, first.folder / f"{run.name}_good")
    (first.folder / "thesis").symlink_to(tmp_path / "other")
    for name in ("202611291430", "sources", "logs", "earlier"):
        (first.folder / name).mkdir(exist_ok=True)
        (first.folder / name / "mine.txt").write_text("mine")
    result = invoke("remove", first.folder, "--yes")
    assert result.exit_code == 0 and "thesis" in result.output
    kept = {path.relative_to(first.folder) for path in first.folder.rglob("*") if path.is_file()}
    mine = {Path(name) / "mine.txt" for name in ("202611291430", "sources", "logs", "earlier")}
    assert kept - {path for path in kept if path.parts[0] == f"{run.name}_good"} == mine
    assert (first.folder / f"{run.name}_good" / "image.png").exists() and (first.folder / "thesis").is_symlink()


def test_a_folder_with_the_users_own_file_is_refused(tmp_path: Path) -> None:
    folder = make_results_folder(tmp_path / "fig4", [{"label": {"alpha": 0.1}}])
    own = folder / "fig4.yaml"
    own.write_text("# mine\n")
    text = (folder / "experiment.yaml").read_text()
    (folder / "experiment.yaml").write_text(text.replace("file: fig4.yaml", f"file: {own}"))
    result = invoke("remove", folder, "--yes")
    assert result.exit_code == 2 and "holds your own fig4.yaml" in result.output
    own.write_text(f"{FROM_PYTHON}\n")
    assert invoke("remove", folder, "--yes").exit_code == 0 and not folder.exists()


@pytest.mark.parametrize(("answer", "is_gone"), [("y\n", True), ("n\n", False), ("\n", False), ("", False)])
def test_it_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, is_gone: bool) -> None:
    folder = make_results_folder(tmp_path / "fig4", [{"label": {"alpha": 0.1}}])
    monkeypatch.setattr("harness.cli.remove.sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))
    result = CliRunner().invoke(app, ["remove", str(folder)], input=answer)
    assert result.exit_code == 0 and "Remove this? [y/N]" in result.output, result.output
    assert folder.exists() != is_gone and ("Nothing was removed" in result.output) != is_gone


@pytest.mark.parametrize("fault", [PermissionError(13, "Permission denied", "it"), KeyboardInterrupt()])
def test_what_was_interrupted_is_no_finished_run_and_the_same_removes_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    first, _ = two_experiments(tmp_path)

    def refuse(path: Path) -> None:
        raise fault

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "rmtree", refuse)
        result = invoke("remove", first.folder, "--yes")
    assert result.exit_code == 1 and "the rest" in result.output, result.output
    statuses = [run.status.name for run in harness.load(first.folder).runs]
    assert sorted(statuses) == ["DONE", "DONE", "WAITING"]
    runs = [run.folder.path for run in harness.load(first.folder).runs]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "rmtree", refuse)
        assert invoke("remove", *runs[1:], "--yes").exit_code == 1
    assert invoke("remove", *runs[1:], "--yes").exit_code == 0, "the same once more"
    assert [path.name for path in runs if path.exists()] == [runs[0].name]
    assert invoke("remove", first.folder, "--yes").exit_code == 0
    assert not first.folder.exists()


def test_nothing_goes_while_something_of_it_is_in_use_or_nobody_said_yes(tmp_path: Path) -> None:
    first, other = two_experiments(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    result = invoke("remove", first.folder)
    assert result.exit_code == 2 and "add --yes" in result.output
    database = f"sqlite:///{tmp_path}.db"
    cells = json.loads((first.folder / "cells.json").read_text())
    (first.folder / "cells.json").write_text(json.dumps({**cells, "storage": database}))
    study = optuna.create_study(storage=open_storage(database, tmp_path), study_name=first.study)
    with RunFolder(first.run(alpha=0.3).folder.path):
        result = invoke("remove", first.folder, other.folder, "--yes")
    assert result.exit_code == 1 and "in use" in result.output and "--keep-studies" not in result.output
    assert study.study_name in [one.study_name for one in open_storage(database, tmp_path).get_all_studies()]
    with hold_study(other.folder):
        result = invoke("remove", first.folder, other.folder, "--yes")
    assert result.exit_code == 1 and "in use" in result.output
    assert [path for path in sorted(tmp_path.rglob("*")) if path.name not in (".lock", ".driver.lock")] == before
    assert invoke("remove", tmp_path, "--yes").exit_code == 2
    assert invoke("remove", first.folder / "sources", "--yes").exit_code == 2


def test_an_earlier_grid_goes_with_the_runs_that_no_other_grid_has(
    experiment: Path, tmp_path: Path, undrawn: None
) -> None:
    words, folder = ("transfer.steps=2", "transfer.seed=0", "--out", tmp_path / "runs"), tmp_path / "runs" / "tiny"
    for alphas in ("[1e-3, 1e-2]", "[1e-2, 1e-1]", "[1e-1, 1]"):
        assert harness_run(experiment, f"axes.alpha={alphas}", *words).exit_code == 0
    last, middle, first = harness.load(folder), *harness.load(folder).earlier
    old = first.run(alpha=1e-3).folder.path
    assert invoke("remove", old, "--yes").exit_code == 0, "a single run of it"
    assert not old.exists() and all(run.status.name == "DONE" for run in (*last.runs, *middle.runs))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(first.folder)
        result = invoke("remove", ".", "--yes")
    assert result.exit_code == 0 and "an earlier grid or search\n0 runs" in result.output, result.output
    assert not first.folder.exists() and all(run.status.name == "DONE" for run in middle.runs)
    with hold_study(folder), pytest.raises(StorageError, match="in use"):
        harness.remove(middle)
    harness.remove(middle)
    assert len(runs_of(folder)) == 2 and not (folder / "earlier").exists()
    assert [run.status.name for run in harness.load(folder).runs] == ["DONE", "DONE"]


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
    kept = open_storage(storage[1], folder)
    optuna.create_study(storage=kept, study_name="tiny_sweep-large-01234567")
    run = harness.load(folder).run(trial=0).folder
    manifest = run.manifest()
    assert manifest is not None
    of_another = {**manifest.trials[0], "study": "tiny_sweep-large-01234567"}
    run.write_manifest(replace(manifest, trials=(*manifest.trials, of_another)))
    result = invoke("remove", folder, "--yes")
    assert result.exit_code == 0 and f"in {storage[1]}" in "".join(result.output.split("\n")), result.output
    assert not folder.exists()
    assert [study.study_name for study in kept.get_all_studies()] == ["tiny_sweep-large-01234567"]


def test_a_study_whose_database_is_gone_does_not_keep_the_experiment(tmp_path: Path) -> None:
    folder = make_results_folder(tmp_path / "fig4", [{"label": {"alpha": 0.1}}])
    cells = json.loads((folder / "cells.json").read_text())
    (folder / "cells.json").write_text(json.dumps({**cells, "storage": f"sqlite:///{tmp_path}/gone.db"}))
    assert invoke("remove", folder, "--yes").exit_code == 0
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_answer_is_said_and_its_study_can_be_left(tmp_path: Path) -> None:
    folder = make_results_folder(tmp_path / "fig4", [{"label": {"alpha": 0.1}}])
    cells = json.loads((folder / "cells.json").read_text())
    database = "postgresql://nobody@127.0.0.1:1/none"
    (folder / "cells.json").write_text(json.dumps({**cells, "storage": database}))
    result = invoke("remove", folder, "--yes")
    assert result.exit_code == 1 and "--keep-studies" in result.output, result.output
    assert len(harness.load(folder).runs) == 1
    shutil.copytree(folder, tmp_path / "copy" / "fig4")
    assert invoke("remove", folder, "--yes", "--keep-studies").exit_code == 0 and not folder.exists()
    harness.remove(tmp_path / "copy" / "fig4", keep_studies=True)
    assert not (tmp_path / "copy" / "fig4").exists()


def test_what_a_removal_left_is_removed_by_the_same_and_an_empty_folder_is_left_alone(tmp_path: Path) -> None:
    folder = make_results_folder(tmp_path / "runs" / "fig", [{"label": {"alpha": 1}}])
    (run,) = harness.load(folder).runs
    (folder / "experiment.yaml").unlink()
    refused = CliRunner().invoke(app, ["remove", str(folder), "--yes"])
    assert refused.exit_code == 2 and run.folder.image_path.exists()  # a run is there: this is no remainder
    shutil.rmtree(run.folder.path)
    for path in (folder / "sources").iterdir():
        path.unlink()
    asked = CliRunner().invoke(app, ["remove", str(folder)])
    assert asked.exit_code == 2 and "there is no terminal to ask on" in asked.output and folder.exists()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "cells.json").write_text('{"mine": 1}')
    both = CliRunner().invoke(app, ["remove", str(folder), str(mine), "--yes"])
    assert both.exit_code == 2 and folder.exists() and (mine / "cells.json").exists()
    told = CliRunner().invoke(app, ["remove", str(folder), "--yes"])
    assert told.exit_code == 0 and "what an interrupted removal has left of it" in told.output and not folder.exists()
    folder.mkdir()
    told = CliRunner().invoke(app, ["remove", str(folder), "--yes"])
    assert told.exit_code == 0 and "is empty: nothing of it is left to remove" in told.output and folder.exists()
