"""The explorer's page, as a person uses it: in a real browser, by mouse and keyboard."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from results_folder import make_results_folder, picture
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait
from typer.testing import CliRunner

import harness
from harness.cli.app import app
from harness.cli.dashboard import serve
from harness.errors import UsageError
from harness.figures.explorer import export_explorer, write_explorer
from harness.results import load
from harness.studies.storage import open_storage

if TYPE_CHECKING:
    from browser import OpenPage

pytest_plugins = ("browser",)

ALPHAS = (1e-4, 1e-2, 1.0)
EVALUATIONS = (1, 10, 100)


def history(scale: float, num: int = 100) -> list[dict[str, float]]:
    return [
        {"evaluation": k, "seconds": k / 10, "total": 3 * scale / k, "content": scale / k, "style": 2 * scale / k}
        for k in range(1, num + 1)
    ]


def cell(alpha: float, seed: int, **other: Any) -> dict[str, Any]:
    number = 10 * ALPHAS.index(alpha) + seed
    return {
        "label": {"alpha": alpha, "seed": seed}, "id": f"{number:012d}",
        "metrics": {"content": 1 / (1 + number), "style": 0.1 + number, "ssim": number / 100, "kept_evaluation": 100},
        "history": history(1.0 + number), "iterates": {k: picture(number + k) for k in EVALUATIONS}, **other,
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three ratios by two seeds: one has failed, one has not begun."""
    others = {(1e-2, 1): {"status": "failed", "reason": "it turned NaN"}, (1.0, 1): {"status": "waiting"}}
    cells = [cell(alpha, seed, **others.get((alpha, seed), {})) for alpha in ALPHAS for seed in (0, 1)]
    experiment = {"axes": {"alpha": list(ALPHAS), "seed": [0, 1]}, "tracking": {"notes": "What α/β does."}}
    made = make_results_folder(tmp_path / "ratios", cells, experiment)
    write_explorer(load(made))
    return made


def shown(page: WebDriver, which: str = "first") -> str:
    """The picture on the stage, relative to the page; empty where none is to be seen."""
    image = page.find_element(By.CSS_SELECTOR, f"#{which} img")
    src = image.get_attribute("src") or ""
    return re.sub(r".*/(?=\d{12}/|sources/)", "", src) if image.is_displayed() else ""


def caption(page: WebDriver) -> str:
    return page.find_element(By.ID, "caption").text


def press(page: WebDriver, *keys: str) -> None:
    for key in keys:
        ActionChains(page).send_keys(key).perform()


def radio(page: WebDriver, name: str, value: str) -> None:
    page.find_element(By.XPATH, f"//fieldset[legend='{name}']//label[normalize-space()='{value}']").click()


def rows(page: WebDriver) -> list[str]:
    """The first words of the table's visible lines."""
    found = page.find_elements(By.CSS_SELECTOR, "#table tbody tr")
    return [row.find_element(By.TAG_NAME, "td").text for row in found if row.is_displayed()]


def test_axes_are_gone_along_by_mouse_and_arrow_keys(folder: Path, open_page: OpenPage) -> None:
    page = open_page(folder / "explore.html")
    assert shown(page) == "000000000000/image.png"
    assert caption(page) == "alpha=10⁻⁴, seed=0, finished (evaluation 100)"
    radio(page, "alpha", "10⁻²")
    assert shown(page) == "000000000010/image.png"
    press(page, Keys.ARROW_RIGHT)
    assert shown(page) == "000000000020/image.png", "the axis that was clicked has the arrow keys"
    press(page, Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.TAB, Keys.ARROW_RIGHT)
    assert shown(page) == "000000000001/image.png", "the next axis is one Tab away"
    radio(page, "alpha", "10⁻²")
    assert shown(page) == "000000000011/iterates/000100.png", "as far as it came"
    assert caption(page) == "alpha=10⁻², seed=1, evaluation 100 (failed: it turned NaN)"
    radio(page, "alpha", "1")
    assert shown(page) == "" and page.find_element(By.ID, "first").text == "not begun"


def test_evaluations_show_their_pictures_and_losses(folder: Path, open_page: OpenPage) -> None:
    page = open_page(folder / "explore.html")
    slider = page.find_element(By.ID, "evaluation")
    slider.send_keys(Keys.HOME)
    assert shown(page) == "000000000000/iterates/000001.png"
    slider.send_keys(Keys.ARROW_RIGHT)
    assert shown(page) == "000000000000/iterates/000010.png" and "evaluation 10" in caption(page)
    losses = page.find_element(By.CSS_SELECTOR, "#numbers tbody.loss").text.splitlines()
    assert losses == ["total loss here 0.3", "content loss here 0.1", "style loss here 0.2"]
    radio(page, "alpha", "10⁻²")
    assert shown(page) == "000000000010/iterates/000010.png", "another run is shown at the same evaluation"
    slider.send_keys(Keys.END)
    assert shown(page) == "000000000010/image.png"
    assert page.find_element(By.ID, "numbers").text.count("0.33") == 1, "3 · 11 / 100 at the last evaluation"


def test_pictures_are_compared_side_by_side_split_and_blinking(folder: Path, open_page: OpenPage) -> None:
    page = open_page(folder / "explore.html")
    stage = page.find_element(By.ID, "pictures-shown")
    run = load(folder).runs[0]
    Select(page.find_element(By.ID, "second")).select_by_visible_text("painting")
    assert stage.get_attribute("class") == "side"
    assert (shown(page), shown(page, "other")) == ("000000000000/image.png", f"sources/{run.sources['style'].name}")
    radio(page, "view", "split")
    ActionChains(page).move_to_element_with_offset(stage, -stage.size["width"] // 4, 0).click().perform()
    clip = page.execute_script("return getComputedStyle(document.getElementById('other')).clipPath")
    assert 24 <= float(re.search(r"([\d.]+)%\)$", clip)[1]) <= 26, "the painting is seen right of the mouse"
    radio(page, "view", "blink")
    assert shown(page) and not shown(page, "other")
    press(page, " ")
    assert not shown(page) and shown(page, "other")
    assert page.find_element(By.CSS_SELECTOR, "#caption .seen").text == "painting"
    press(page, " ")
    assert shown(page) and not shown(page, "other")


def test_space_blinks_with_the_photograph_where_nothing_was_chosen(folder: Path, open_page: OpenPage) -> None:
    page = open_page(folder / "explore.html")
    press(page, Keys.TAB, Keys.TAB, " ")
    assert Select(page.find_element(By.ID, "second")).first_selected_option.text == "photograph"
    assert shown(page, "other").startswith("sources/") and not shown(page)
    search = page.find_element(By.ID, "filter")
    search.send_keys("seed=0 alpha<1")
    assert search.get_attribute("value") == "seed=0 alpha<1" and shown(page, "other"), "a space in a text is a space"


def test_two_runs_are_compared_at_the_same_evaluation(folder: Path, open_page: OpenPage) -> None:
    page = open_page(folder / "explore.html")
    page.find_element(By.ID, "keep").click()
    radio(page, "alpha", "1")
    page.find_element(By.ID, "evaluation").send_keys(Keys.HOME)
    assert shown(page) == "000000000020/iterates/000001.png"
    assert shown(page, "other") == "000000000000/iterates/000001.png"
    first = page.find_element(By.CSS_SELECTOR, "#numbers tbody.loss tr").text
    assert first == "total loss here 63 3", "21 times three, and three"
    WebDriverWait(page, 10).until(lambda page: "at=1&with=000000000000" in page.current_url)
    page.refresh()
    assert shown(page, "other") == "000000000000/iterates/000001.png", "loading again shows the same"


def test_table_sorts_and_what_is_not_there_stands_last(folder: Path, open_page: OpenPage) -> None:
    page = open_page(folder / "explore.html")
    (head,) = page.find_elements(By.XPATH, "//th[button='ssim']")
    head.find_element(By.TAG_NAME, "button").click()
    rising = ["alpha=10⁻⁴, seed=0", "alpha=10⁻⁴, seed=1", "alpha=10⁻², seed=0", "alpha=1, seed=0"]
    without = ["alpha=10⁻², seed=1", "alpha=1, seed=1"]
    assert rows(page) == rising + without and head.get_attribute("aria-sort") == "ascending"
    head.find_element(By.TAG_NAME, "button").click()
    assert rows(page) == rising[::-1] + without and head.get_attribute("aria-sort") == "descending"
    tiles = [tile.text for tile in page.find_elements(By.CSS_SELECTOR, "#pictures li span")]
    assert tiles == rising[::-1] + without, "so do the pictures below"
    page.find_element(By.CSS_SELECTOR, "#table tbody tr").click()
    assert shown(page) == "000000000020/image.png"
    press(page, Keys.ARROW_DOWN)
    assert shown(page) == "000000000010/image.png", "arrow keys go along the table as it is sorted"
    press(page, Keys.END)
    assert shown(page) == "" and caption(page) == "alpha=1, seed=1"


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("ssim>=0.1", ["alpha=10⁻², seed=0", "alpha=1, seed=0"]),
        ("alpha<1e-3 seed=1", ["alpha=10⁻⁴, seed=1"]),
        ("FAILED", ["alpha=10⁻², seed=1"]),
        ("status!=done", ["alpha=10⁻², seed=1", "alpha=1, seed=1"]),
        ("seed=0 10⁻²", ["alpha=10⁻², seed=0"]),
    ],
)
def test_filter_leaves_what_fits(words: str, names: list[str], folder: Path, open_page: OpenPage) -> None:
    page = open_page(folder / "explore.html")
    page.find_element(By.ID, "filter").send_keys(words)
    assert rows(page) == names
    assert page.find_element(By.ID, "filtered").text == f"{len(names)} of 6"
    tiles = page.find_elements(By.CSS_SELECTOR, "#pictures li")
    assert [tile.find_element(By.TAG_NAME, "span").text for tile in tiles if tile.is_displayed()] == names


def test_a_run_that_had_not_settled_is_marked_and_repeated_by_what_was_given(
    tmp_path: Path, open_page: OpenPage
) -> None:
    falls = {
        "metrics": {"content": 1.0, "style": 1.0, "evaluations": 100, "kept_evaluation": 100, "still_falling": 0.5}
    }
    settled = {"metrics": {**falls["metrics"], "still_falling": 0.01}}
    cells = [{"label": {"alpha": alpha}, **cell} for alpha, cell in ((0.1, falls), (1.0, settled))]
    folder = make_results_folder(tmp_path / "falls", cells)
    told = json.loads((folder / "cells.json").read_text())
    given = {"command": "harness run falls.yaml steps=9 --out 'my runs' --storage mysql://me@server/db"}
    (folder / "cells.json").write_text(json.dumps(told | given))
    page = open_page(write_explorer(load(folder)))
    marked, other = page.find_elements(By.CSS_SELECTOR, "#table tbody tr")
    assert marked.find_elements(By.TAG_NAME, "td")[1].text == "done†" and "fell by 50%" in marked.get_attribute("title")
    assert other.find_elements(By.TAG_NAME, "td")[1].text == "done" and not other.get_attribute("title")
    assert page.find_element(By.CSS_SELECTOR, "p.sentence").text.startswith("† not settled: ")
    page.find_element(By.ID, "filter").send_keys("status=done")
    assert page.find_element(By.ID, "filtered").text == "2 of 2"
    command = page.find_element(By.ID, "command").text
    assert command.startswith("harness run falls.yaml ") and "--out 'my runs' --storage mysql://me@server/db" in command
    with zipfile.ZipFile(export_explorer([load(folder)], tmp_path / "falls.zip")) as file:
        text = file.read("falls/explore.html").decode()
    assert "my runs" not in text and "mysql" not in text and "harness run falls.yaml" in text


def test_filter_that_makes_no_sense_says_why(folder: Path, open_page: OpenPage) -> None:
    page = open_page(folder / "explore.html")
    search = page.find_element(By.ID, "filter")
    search.send_keys("sim>0.1")
    assert page.find_element(By.ID, "filtered").text == "no column is called sim" and len(rows(page)) == 6
    search.clear()
    search.send_keys("ssim>much")
    assert page.find_element(By.ID, "filtered").text == "ssim is a number, much is not"


POINT = """
const plot = document.getElementById(arguments[0]);
const view = [...Bokeh.index].find((view) => view.frame && plot.contains(view.el));
if (!view) return null;
const box = view.el.getBoundingClientRect();
const [x, y] = [arguments[1], arguments[2]].map(Number);
return [view.frame.x_scale.compute(x) + box.left, view.frame.y_scale.compute(y) + box.top];
"""


def pixel(page: WebDriver, plot: str, x: float, y: float) -> tuple[int, int]:
    """Where a plot has a point, in the window, scrolled to."""
    page.execute_script("document.getElementById(arguments[0]).scrollIntoView({block: 'center'})", plot)
    found = WebDriverWait(page, 10).until(lambda page: page.execute_script(POINT, plot, x, y))
    return round(found[0]), round(found[1])


def click_at(page: WebDriver, at: tuple[int, int]) -> None:
    actions = ActionChains(page)
    actions.w3c_actions.pointer_action.move_to_location(*at)
    actions.w3c_actions.pointer_action.click()
    actions.perform()


def test_a_click_in_the_plots_chooses(folder: Path, open_page: OpenPage) -> None:
    page = open_page(folder / "explore.html")
    metrics = load(folder).runs[2].metrics
    click_at(page, pixel(page, "scatter", metrics["content"], metrics["style"]))
    assert shown(page) == "000000000010/image.png"
    Select(page.find_element(By.ID, "x")).select_by_visible_text("ssim")
    time.sleep(0.5)
    click_at(page, pixel(page, "scatter", 0.2, 20.1))
    assert shown(page) == "000000000020/image.png"
    click_at(page, pixel(page, "curves", 9, 1))
    assert shown(page) == "000000000020/iterates/000010.png", (
        "the picture kept nearest to where the curves were clicked"
    )


HOSTILE = '<img src=x onerror="document.title=1"></script><script>document.title=2</script>\n&amp; "\' `${1}` {{ 7*7 }}'


def test_whatever_is_shown_is_shown_as_it_is(tmp_path: Path, open_page: OpenPage) -> None:
    cases = {HOSTILE: {"alpha": 0.1}, "plain": {"alpha": 0.2}}
    cells = [
        {"label": {"cases": HOSTILE}, "metrics": {"content": 1.0, "style": 1.0}, "provenance": {}},
        {"label": {"cases": "plain"}, "status": "failed", "reason": HOSTILE},
    ]
    folder = make_results_folder(tmp_path / "a #1?", cells, {"cases": cases, "tracking": {"notes": HOSTILE}})
    page = open_page(write_explorer(load(folder)))
    one_line = " ".join(HOSTILE.split())
    assert page.find_element(By.CSS_SELECTOR, "header p").text.endswith(one_line)
    assert [row.text for row in page.find_elements(By.CSS_SELECTOR, "#table tbody td:first-child")] == [
        one_line,
        "plain",
    ]
    assert " ".join(page.find_element(By.CSS_SELECTOR, "#pictures em").text.split()) == f"failed: {one_line}"
    at = pixel(page, "scatter", 1.0, 1.0)
    actions = ActionChains(page)
    actions.w3c_actions.pointer_action.move_to_location(*at)
    actions.perform()
    WebDriverWait(page, 10).until(lambda page: one_line in " ".join(page.execute_script(TOOLTIP).split()))
    assert page.title == "a #1? · harness explorer"
    assert page.execute_script("return document.querySelectorAll('img:not([alt])').length") == 0
    assert page.execute_script("return document.querySelector('#first img').naturalWidth") == 16


TOOLTIP = """
const inside = (node) => [
  node.textContent, ...[...node.querySelectorAll("*")].map((each) => each.shadowRoot ? inside(each.shadowRoot) : ""),
];
return inside(document.body).flat(9).join(" ");
"""


def test_without_scripts_it_is_a_grid_of_pictures_with_captions(folder: Path, open_page: OpenPage) -> None:
    page = open_page(folder / "explore.html", has_scripts=False)
    assert not page.find_element(By.ID, "viewer").is_displayed()
    tiles = page.find_elements(By.CSS_SELECTOR, "#pictures li")
    assert len(tiles) == 6 and all(tile.is_displayed() for tile in tiles)
    assert tiles[0].text == "alpha=10⁻⁴, seed=0" and tiles[3].text == "failed: it turned NaN\nalpha=10⁻², seed=1"
    hrefs = [tile.find_element(By.TAG_NAME, "img").get_dom_attribute("src") for tile in tiles[:3]]
    assert all((folder / href).is_file() for href in hrefs)
    assert "6 runs: 4 done, 1 failed, 1 not begun" in page.find_element(By.TAG_NAME, "header").text


def many_trials(path: Path, num: int) -> Path:
    """A sweep of two fields, every value its own; half of the trials on the front."""
    cells = [
        {
            "label": {"trial": k, "alpha": 1.01 ** (k - num), "noise_sigma": 0.001 * (1 + k % 7)},
            "metrics": {"reference_content": (1 + k % 2) * 1.01**-k, "reference_style": (1 + k % 2) * 1.01**k},
            "history": history(1.0 + k, 500), "iterates": {e: picture(k) for e in EVALUATIONS},
        }
        for k in range(num)
    ]  # fmt: skip
    sweep = {
        "space": {"alpha": {"log": [1e-5, 1.0]}, "noise_sigma": {"uniform": [0.001, 0.1]}},
        "objectives": ["reference_content", "reference_style"],
        "budget": {"trials": num, "parallel": 1},
    }
    return make_results_folder(path, cells, sweep)


def test_a_sweeps_front_stands_out_and_every_field_has_a_slider(tmp_path: Path, open_page: OpenPage) -> None:
    results = load(many_trials(tmp_path / "pareto", 12))
    page = open_page(write_explorer(results))
    labels = [label.text for label in page.find_elements(By.CSS_SELECTOR, "#axes label, #axes legend")]
    assert [label for label in labels if label[0].isalpha()] == ["trial", "alpha", "noise_sigma"], (
        "as the space has them"
    )
    told = json.loads(page.execute_script("return document.getElementById('data').textContent"))
    assert [run["front"] for run in told["runs"]] == [True, False] * 6
    assert (told["x"], told["y"]) == ("reference_content", "reference_style")
    assert Select(page.find_element(By.ID, "x")).first_selected_option.text == "reference_content"
    alpha = page.find_element(By.XPATH, "//label[.='alpha']/following-sibling::input")
    alpha.send_keys(Keys.END)
    assert caption(page).startswith("trial 11,")
    alpha.send_keys(Keys.ARROW_LEFT)
    assert caption(page).startswith("trial 10,") and alpha.get_attribute("aria-valuetext") == "0.9803"
    metrics = results.runs[4].metrics
    click_at(page, pixel(page, "scatter", metrics["reference_content"], metrics["reference_style"]))
    assert caption(page).startswith("trial 4,")


def test_two_hundred_runs_are_written_within_a_second_and_followed_without_a_lag(
    tmp_path: Path, open_page: OpenPage
) -> None:
    results = load(many_trials(tmp_path / "many", 200))
    begun = time.process_time()  # of this process: the machine's other work does not count
    written = write_explorer(results)
    assert time.process_time() - begun < 1
    assert written.stat().st_size < 2.5e6, "no picture is inside"
    page = open_page(written)
    assert len(page.find_elements(By.CSS_SELECTOR, "#table tbody tr")) == 200
    loaded = "return [...document.querySelectorAll('#pictures img')].filter((image) => image.naturalWidth).length"
    assert page.execute_script(loaded) < 120, "pictures far below are not read yet"
    steps_ms = page.execute_script(
        "return explorer.runs.map((_, run) => { const begun = performance.now(); explorer.choose({ run });"
        " document.body.offsetHeight; return performance.now() - begun; }).sort((a, b) => a - b)"
    )
    assert steps_ms[100] < 50, "the median, layout included"


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
    assert told.startswith("6 runs: 3 done, 1 failed, 1 not begun, 1 unreadable")
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
    sweep = {"space": {"alpha": {"log": [1e-3, 1.0]}}, "objectives": ["ssim"], "budget": {"trials": 1, "parallel": 1}}
    sweep["objectives"] = ["reference_style"]
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
