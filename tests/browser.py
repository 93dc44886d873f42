"""A real browser for the tests: Debian's Chromium, without a window, started once per process.

    def test_page(open_page): page = open_page(path); page.find_element(By.ID, "stage")

``page.get_log("browser")`` is looked at when the test ends: no script may have failed, no file may have been missing.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.chrome.webdriver import WebDriver

NAMES = ("chromium", "chromium-browser", "google-chrome")
OpenPage = Callable[..., WebDriver]


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    """The browser; its own folder for each process."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("needs Chromium and its driver (Debian: apt-get install chromium chromium-driver)")
    options = Options()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for word in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-dev-shm-usage",
        "no-first-run",
        "hide-scrollbars",
    ):
        options.add_argument(f"--{word}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('chromium')}")
    browser = webdriver.Chrome(options=options, service=Service(driver))
    yield browser
    browser.quit()


@pytest.fixture
def open_page(chromium: WebDriver) -> Iterator[OpenPage]:
    """Opens a file, or an address, in a window of a size in pixels."""

    def check_log() -> None:
        told = [f"{entry['level']}: {entry['message']}" for entry in chromium.get_log("browser")]
        assert not [each for each in told if not each.startswith(("INFO", "DEBUG"))]

    opened: list[Path | str] = []

    def open_(page: Path | str, width: int = 1280, height: int = 800, has_scripts: bool = True) -> WebDriver:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not has_scripts})
        if opened:
            check_log()
        opened.append(page)
        chromium.get("about:blank")
        chromium.get_log("browser")  # of other tests
        chromium.get(page if isinstance(page, str) else page.resolve().as_uri())
        return chromium

    yield open_
    chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    check_log()
