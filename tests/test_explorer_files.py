"""The explorer's files: written fast and alike, naming what is there, sent as a ZIP, served by the dashboard."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from explorer_folders import history, many_trials, ratios
from results_folder import make_results_folder
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait
from typer.testing import CliRunner

import harness
from harness.cli.app import app
from harness.cli.dashboard import serve
from harness.errors import UsageError
from harness.figures.explorer import export_explorer, write_explorer
from harness.figures.explorer.contents import contents
from harness.results import load
from harness.studies.storage import open_storage

if TYPE_CHECKING:
    from browser import OpenPage

pytest_plugins = ("browser",)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return ratios(tmp_path)


def test_two_hundred_runs_are_shown_and_few_pictures_read(tmp_path: Path, open_page: OpenPage) -> None:
    written = write_explorer(load(many_trials(tmp_path / "many", 200)))
    assert written.stat().st_size < 2.5e6, "no picture is inside"
    page = open_page(written)
    assert len(page.find_elements(By.CSS_SELECTOR, "#table tbody tr")) == 200
    loaded = "return [...document.querySelectorAll('#pictures img')].filter((image) => image.naturalWidth).length"
    assert page.execute_script(loaded) < 120, "pictures far below are not read yet"


def test_the_page_names_files_that_are_there_also_of_links_and_repeats(tmp_path: Path) -> None:
    other = make_results_folder(tmp_path / "other", [{"id": "0123456789ab", "label": {"alpha": 0.1}}])
    cells = [{"id": "0123456789ab", "label": {"alpha": 0.1}}, {"label": {"alpha": 0.1}, "part": "again"}]
    folder = make_results_folder(tmp_path / "mine", cells)
    (folder / "0123456789ab").rename(tmp_path / "away")
    (folder / "0123456789ab").symlink_to("../other/0123456789ab")
    text = write_explorer(load(folder)).read_text()
    hrefs = re.findall(r'<img src="([^"]+)"', text)
    assert hrefs[0] == "0123456789ab/image.png" and hrefs[1].startswith("repeats/")
    assert all((folder / href).is_file() for href in hrefs)
    assert '"name":"computed","values":["once","again"]' in text
    earlier = folder / "earlier" / "00000000"
    earlier.mkdir(parents=True)
    for name in ("experiment.yaml", "cells.json"):
        (earlier / name).write_bytes((folder / name).read_bytes())
    hrefs = re.findall(r'<img src="([^"]+)"', write_explorer(load(earlier)).read_text())
    assert hrefs[0] == "../../0123456789ab/image.png" and all((earlier / href).is_file() for href in hrefs)
    assert other.exists()


def test_the_same_runs_give_the_same_bytes_and_no_torch_is_imported(folder: Path) -> None:
    first = (folder / "explore.html").read_bytes()
    assert write_explorer(load(folder)).read_bytes() == first
    code = (
        "import sys; from harness.results import load; from harness.figures.explorer import write_explorer; "
        f"write_explorer(load({str(folder)!r})); assert not {{'torch', 'matplotlib', 'bokeh'}} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_run_that_cannot_be_read_is_shown_with_the_reason(folder: Path, open_page: OpenPage) -> None:
    (folder / "000000000001" / "manifest.json").write_text("{")
    (folder / "000000000010" / "history.csv").write_text("evaluation,seconds,total,content,style\n1,torn")
    (folder / "000000000020" / "image.png").unlink()
    page = open_page(write_explorer(load(folder)))
    told = page.find_element(By.CSS_SELECTOR, "header p").text
    assert told.startswith("6 runs: 1 done, 1 failed, 1 not begun, 3 damaged")
    assert "cannot be read as a manifest" in page.find_elements(By.CSS_SELECTOR, "#table tbody tr")[1].get_attribute(
        "title"
    )


def test_a_picture_that_was_deleted_meanwhile_is_said_to_be_missing(folder: Path, chromium: WebDriver) -> None:
    (folder / "000000000000" / "image.png").unlink()
    chromium.get((folder / "explore.html").as_uri())
    first = chromium.find_element(By.ID, "first")
    WebDriverWait(chromium, 10).until(lambda _: first.text == "000000000000/image.png is missing")


def test_an_experiment_without_a_picture_or_a_run_has_a_page(tmp_path: Path, open_page: OpenPage) -> None:
    waiting = make_results_folder(tmp_path / "waiting", [{"label": {"alpha": 0.1}, "status": "waiting"}])
    page = open_page(write_explorer(load(waiting)))
    assert page.find_element(By.ID, "first").text == "not begun"
    space, budget = {"alpha": {"log": [1e-3, 1.0]}}, {"trials": 1, "parallel": 1}
    sweep = {"space": space, "objectives": ["reference_style"], "budget": budget}
    empty = make_results_folder(tmp_path / "empty", [], sweep)
    assert "0 runs: none yet" in open_page(write_explorer(load(empty))).find_element(By.TAG_NAME, "header").text


def test_zip_holds_the_page_and_everything_it_shows(folder: Path, tmp_path: Path, open_page: OpenPage) -> None:
    harness.draw(load(folder))
    told = CliRunner().invoke(app, ["export", str(folder), str(tmp_path / "for_anna.zip")])
    assert told.exit_code == 0, told.output
    assert "for_anna.zip" in told.output.replace("\n", "") and "explore.html" in told.output
    with zipfile.ZipFile(tmp_path / "for_anna.zip") as file:
        file.extractall(tmp_path / "anna")
    there = tmp_path / "anna" / "ratios"
    text = (there / "explore.html").read_text()
    assert str(tmp_path) not in text
    assert (there / "figure.png").read_bytes() == (folder / "figure.png").read_bytes()
    page = open_page(there / "explore.html")
    page.find_element(By.ID, "evaluation").send_keys(Keys.HOME)
    Select(page.find_element(By.ID, "second")).select_by_visible_text("painting")
    seen = "return [...document.querySelectorAll('#stage img')].every((image) => image.naturalWidth > 0)"
    WebDriverWait(page, 10).until(lambda page: page.execute_script(seen))
    with pytest.raises(UsageError, match=r"for_anna\.zip is there already"):
        harness.export(folder, tmp_path / "for_anna.zip")
    part = export_explorer([load(folder).select(seed=0), load(folder)], tmp_path / "part.zip")
    with zipfile.ZipFile(part) as file:
        names = file.namelist()
    assert len([name for name in names if re.fullmatch(r"ratios/\d{12}/image.png", name)]) == 3
    assert "ratios-2/explore.html" in names and not list(tmp_path.glob(".*.tmp"))


def test_zip_of_nothing_and_to_nowhere_is_refused(folder: Path, tmp_path: Path) -> None:
    waiting = make_results_folder(tmp_path / "waiting", [{"label": {"alpha": 0.1}, "status": "waiting"}])
    with pytest.raises(UsageError, match="No run of .*waiting has a picture yet"):
        harness.export(waiting, tmp_path / "waiting.zip")
    with pytest.raises(UsageError, match="There is no folder"):
        harness.export(folder, tmp_path / "none" / "a.zip")
    assert not list(tmp_path.glob("*.zip"))


def test_dashboard_serves_the_page_with_its_pictures_and_nothing_else(folder: Path, open_page: OpenPage) -> None:
    (folder / "secret.txt").write_text("mine")
    (folder.parent / "outside.png").write_bytes(b"")
    with serve(open_storage(None, folder), folder, 18080) as url:
        page = open_page(f"{url}/explore/explore.html")
        seen = "return document.querySelector('#first img').naturalWidth"
        WebDriverWait(page, 10).until(lambda page: page.execute_script(seen) == 16)
        for path in (
            "secret.txt",
            "study.journal",
            "../outside.png",
            "%2e%2e/outside.png",
            "/etc/passwd",
            "none.png",
            "",
        ):
            with pytest.raises(HTTPError, match="404"):
                urlopen(f"{url}/explore/{path}", timeout=10)
        assert urlopen(f"{url}/api/studies", timeout=10).status == 200, "the rest is Optuna Dashboard's"


def test_figure_writes_the_page_and_says_where(folder: Path) -> None:
    (folder / "explore.html").unlink()
    told = CliRunner().invoke(app, ["figure", str(folder)])
    assert told.exit_code == 0 and (folder / "explore.html").exists()
    assert "explore.html, for a browser" in told.output.replace("\n", "")


def test_the_page_is_there_also_where_the_figure_cannot_be_drawn(folder: Path) -> None:
    (folder / "explore.html").unlink()
    told = CliRunner().invoke(app, ["figure", str(folder), "figure.width=1in"])
    assert told.exit_code == 2 and "1 in" in told.output, told.output
    assert (folder / "explore.html").exists(), "it has room for what a figure has not"


def test_the_best_of_a_maximised_objective_stand_on_the_front(tmp_path: Path) -> None:
    """Of (ssim, style): (1, 4) and (2, 9) beat (1, 9) and (0, 5), where more is better and less."""
    numbers = ((1.0, 4.0), (2.0, 9.0), (1.0, 9.0), (0.0, 5.0))
    cells = [
        {"label": {"trial": k, "alpha": 0.1 * (k + 1)}, "metrics": {"ssim": ssim, "reference_style": style}}
        for k, (ssim, style) in enumerate(numbers)
    ]
    objectives = [{"maximise": "ssim"}, "reference_style"]
    sweep = {"space": {"alpha": {"log": [1e-3, 1.0]}}, "objectives": objectives, "budget": {"trials": 4, "parallel": 1}}
    told = contents(load(make_results_folder(tmp_path / "best", cells, sweep)), str)
    assert [run["front"] for run in told["runs"]] == [True, True, False, False]
    assert (told["x"], told["y"], told["front"]) == ("ssim", "reference_style", "before")


def test_losses_of_the_kept_picture_are_there_wherever_it_lies(tmp_path: Path) -> None:
    """Few lines of a history are on the page; that of the finished picture always is."""
    metrics = {"content": 1.0, "style": 1.0, "ssim": 0.5, "kept_evaluation": 247}
    one = {"label": {"alpha": 0.1}, "metrics": metrics, "history": history(1.0, 250)}
    (run,) = contents(load(make_results_folder(tmp_path / "one", [one])), str)["runs"]
    assert 247 in run["losses"]["evaluation"] and len(run["losses"]["evaluation"]) < 100
