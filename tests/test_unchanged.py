"""An experiment of which nothing is left to do: said at once, and only where that is so."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from harness.cli.app import app
from harness.driver.request import Request, load_asked
from harness.driver.unchanged import figures_if_unchanged, what_is_asked, write_stamp
from harness.figures.explorer import write_explorer
from harness.images.library import find_image
from harness.results import load_whole

TRANSFER = (
    "{content: photo.png, style: strokes, size: 32, steps: 3, pyramid: [], content_layers: {conv2_1: 1}, "
    "style_layers: {conv1_1: 1}}"
)
CLAIM = "{says: It lives., where: fig. 4, measure: total, along: alpha, expect: rises, factor: 1.01, because: a test}"
UNCHANGED = "Nothing has changed since."


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment carried out once, in a folder of its own."""
    folder = tmp_path_factory.mktemp("done")
    shutil.copy(find_image("coffee"), folder / "photo.png")
    (folder / "tiny.yaml").write_text(f"transfer: {TRANSFER}\naxes: {{alpha: [1e-3, 1]}}\nclaims: [{CLAIM}]\n")
    assert UNCHANGED not in run_in(folder)
    assert UNCHANGED in run_in(folder) and UNCHANGED not in run_in_again(folder)
    return folder


def run_in(folder: Path, *words: str) -> str:
    """``harness run tiny.yaml`` in that folder: what it printed."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        result = CliRunner().invoke(app, ["run", "tiny.yaml", "--devices", "cpu", "--wandb", "off", *words])
    finally:
        os.chdir(before)
    assert result.exit_code == 0, result.output
    return result.output


def run_in_again(folder: Path) -> str:
    """The same, after the stamp is gone: the long way."""
    (folder / "runs/tiny/unchanged.json").unlink()
    return run_in(folder)


def test_it_is_said_without_torch_and_nothing_is_written(done: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in done.rglob("*")}
    script = (
        "import sys; from typer.testing import CliRunner; from harness.cli.app import app; "
        "result = CliRunner().invoke(app, ['run', 'tiny.yaml']); print(result.output); "
        "sys.exit(bool({'torch', 'matplotlib', 'optuna'} & set(sys.modules)) or result.exit_code)"
    )
    told = subprocess.run([sys.executable, "-c", script], cwd=done, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    assert f"2 of 2 runs are done already; 0 to compute. {UNCHANGED}" in told.stdout
    assert "Figure: runs/tiny/figure.png" in told.stdout and "1 claim: 1 " in told.stdout
    assert {path: path.stat().st_mtime_ns for path in done.rglob("*")} == before


def test_page_that_is_written_again_as_the_dashboard_does_is_no_change(done: Path) -> None:
    page = write_explorer(load_whole(done / "runs/tiny"))
    assert page.is_file() and UNCHANGED in run_in(done), "the same runs give the same page"


def changed_photograph(folder: Path) -> None:
    with Image.open(folder / "photo.png") as image:
        image.rotate(180).save(folder / "photo.png")


CHANGES: dict[str, Callable[[Path], object]] = {
    "figure": lambda folder: (folder / "runs/tiny/figure.png").unlink(),
    "picture": lambda folder: next(folder.glob("runs/tiny/*/image.png")).unlink(),
    "manifest": lambda folder: os.utime(next(folder.glob("runs/tiny/*/manifest.json"))),
    "claims": lambda folder: (folder / "runs/tiny/claims.json").write_text("{}"),
    "photograph": changed_photograph,
    "experiment": lambda folder: (folder / "tiny.yaml").write_text(
        f"transfer: {TRANSFER}\naxes: {{alpha: [1e-3, 2]}}\nclaims: [{CLAIM}]\n"
    ),
    "stamp": lambda folder: (folder / "runs/tiny/unchanged.json").write_text("[1"),
}


@pytest.mark.parametrize("what", list(CHANGES))
def test_whatever_changed_is_seen(done: Path, tmp_path: Path, what: str) -> None:
    shutil.copytree(done, tmp_path / "copy", symlinks=True)
    folder = tmp_path / "copy"
    owned = folder / "runs/tiny/experiment.yaml"
    owned.write_text(owned.read_text().replace(str(done), str(folder)))  # it names the file that it belongs to
    run_in(folder)
    assert UNCHANGED in run_in(folder)
    CHANGES[what](folder)
    told = run_in(folder)
    assert UNCHANGED not in told
    assert (folder / "runs/tiny/figure.png").exists() and (folder / "runs/tiny/claims.md").exists()
    assert UNCHANGED in run_in(folder)


def test_photograph_that_changes_during_the_run_is_seen(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(done)
    request = Request(Path("tiny.yaml"))
    loaded = load_asked(request)
    asked = what_is_asked(request, loaded)
    (done / "runs/tiny/unchanged.json").unlink(missing_ok=True)
    changed_photograph(done)
    runs = [path.parent for path in done.glob("runs/tiny/*/manifest.json")]
    write_stamp(request, loaded, asked, runs, [])
    assert not (done / "runs/tiny/unchanged.json").exists()
    changed_photograph(done)
    write_stamp(request, loaded, what_is_asked(request, loaded), runs, [Path("runs/tiny/nothing.png")])
    assert not (done / "runs/tiny/unchanged.json").exists(), "a figure is not there"
    write_stamp(request, loaded, what_is_asked(request, loaded), runs, [])
    assert figures_if_unchanged(request, loaded) == []


@pytest.mark.parametrize("words", [("transfer.seed=7",), ("--fresh",)])
def test_whatever_else_is_asked_for_is_carried_out(done: Path, words: tuple[str, ...]) -> None:
    assert UNCHANGED not in run_in(done, *words, "--out", "elsewhere")
    assert UNCHANGED not in run_in(done, "--fresh", "--out", "elsewhere")
