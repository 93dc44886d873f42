"""The explorer's page, as a person uses it: in a real browser, by mouse and keyboard."""

from __future__ import annotations

import json
import re
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from explorer_folders import many_trials, ratios
from results_folder import make_results_folder
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from harness.figures.explorer import export_explorer, write_explorer
from harness.results import load

if TYPE_CHECKING:
    from browser import OpenPage

pytest_plugins = ("browser",)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return ratios(tmp_path)


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
        ("ssim >= 0.1  seed = 0", ["alpha=10⁻², seed=0", "alpha=1, seed=0"]),
        (
            "0000000000",
            [
                "alpha=10⁻⁴, seed=0",
                "alpha=10⁻⁴, seed=1",
                "alpha=10⁻², seed=0",
                "alpha=10⁻², seed=1",
                "alpha=1, seed=0",
                "alpha=1, seed=1",
            ],
        ),
        ("000000000020", ["alpha=1, seed=0"]),
        ("0020", []),
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
    assert marked.find_elements(By.TAG_NAME, "td")[0].text == "alpha=10⁻¹†"
    assert caption(page) == "alpha=10⁻¹, finished (evaluation 100), † not settled"
    page.find_element(By.ID, "filter").send_keys("status=done")
    assert page.find_element(By.ID, "filtered").text == "2 of 2"
    for word in ("†", "not settled"):
        page.find_element(By.ID, "filter").clear()
        page.find_element(By.ID, "filter").send_keys(word)
        assert page.find_element(By.ID, "filtered").text == "1 of 2" and rows(page) == ["alpha=10⁻¹†"]
    command = page.find_element(By.ID, "command").text
    assert command.startswith("harness run falls.yaml ") and "--out 'my runs' --storage mysql://me@server/db" in command
    with zipfile.ZipFile(export_explorer([load(folder)], tmp_path / "falls.zip")) as file:
        text = file.read("falls/explore.html").decode()
    assert "my runs" not in text and "mysql" not in text and "harness run falls.yaml" in text


def test_the_chosen_picture_stands_in_the_corner_while_the_large_one_is_out_of_sight(
    folder: Path, open_page: OpenPage
) -> None:
    page = open_page(folder / "explore.html", height=400)
    peek = page.find_element(By.ID, "peek")
    WebDriverWait(page, 5).until_not(lambda _: peek.is_displayed())
    page.execute_script("document.getElementById('pictures').scrollIntoView()")
    WebDriverWait(page, 5).until(lambda _: peek.is_displayed())
    page.find_elements(By.CSS_SELECTOR, "#table tbody tr")[2].click()
    assert caption(page).startswith(peek.text) and peek.text.startswith("alpha=10⁻², seed=0")
    page.execute_script("document.getElementById('pictures').scrollIntoView()")
    WebDriverWait(page, 5).until(lambda _: peek.is_displayed())
    peek.click()
    WebDriverWait(page, 5).until_not(lambda _: peek.is_displayed())


def test_the_command_is_copied(folder: Path, open_page: OpenPage) -> None:
    page = open_page(folder / "explore.html")
    page.find_element(By.ID, "copy").click()
    WebDriverWait(page, 5).until(lambda _: page.find_element(By.ID, "copy").text == "copied")
    search = page.find_element(By.ID, "filter")
    search.send_keys(Keys.CONTROL, "v")
    assert search.get_attribute("value") == page.find_element(By.ID, "command").text


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
