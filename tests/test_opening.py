"""What a run's end says of its picture, and ``--open``: the desktop's viewer, or a sentence where there is none."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli.app import app
from harness.cli.opening import VIEWERS, open_picture

TRANSFER = "size: 48, steps: 2, pyramid: [], content_layers: {conv1_1: 1}, style_layers: {conv1_1: 1}"


@pytest.fixture
def desktop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A desktop whose viewer writes down what it is given, into the file that is returned."""
    seen, viewer = tmp_path / "seen", tmp_path / "bin" / VIEWERS[sys.platform]
    viewer.parent.mkdir()
    viewer.write_text(f'#!/bin/sh\necho "$1" >> {seen}\n')
    viewer.chmod(0o755)
    monkeypatch.setenv("DISPLAY", ":7")
    monkeypatch.setenv("PATH", f"{viewer.parent}{os.pathsep}{os.environ['PATH']}")
    return seen


def opened(seen: Path, num: int) -> list[str]:
    """What the viewer was given, once it has had so many."""
    until = time.monotonic() + 20
    while time.monotonic() < until and (not seen.exists() or len(seen.read_text().split()) < num):
        time.sleep(0.05)
    return seen.read_text().split()


def test_single_run_says_where_its_picture_is_and_its_figure_is_opened(
    tmp_path: Path, desktop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("one.yaml").write_text(f"transfer: {{content: astronaut, style: ink, {TRANSFER}}}\n")
    words = ["run", "one.yaml", "--devices", "cpu", "--wandb", "off", "--open"]
    for _ in range(2):  # the second time nothing has changed
        told = CliRunner().invoke(app, words)
        assert told.exit_code == 0, told.output
        [picture] = Path("runs/one").glob("*/image.png")
        assert f"Picture: {picture}\n" in told.output and "Opened: runs/one/figure.png" in told.output
    assert "Nothing has changed since." in told.output
    told = CliRunner().invoke(app, ["figure", "runs/one", "--open"])
    assert told.exit_code == 0 and "Opened: runs/one/figure.png" in told.output
    assert opened(desktop, 3) == ["runs/one/figure.png"] * 3


def test_without_a_desktop_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert open_picture(tmp_path / "a.png") == f"There is no desktop here to open {tmp_path}/a.png on."
    monkeypatch.setenv("DISPLAY", ":7")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("webbrowser.open", lambda address: False)
    assert open_picture(tmp_path / "a.png") == f"No program was found to open {tmp_path}/a.png with."
