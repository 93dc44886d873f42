"""Files that are empty, torn, zeroed or nonsense: a sentence names them and what to do, or they are made anew."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faults import KILLED, Inline, Killed, injected
from test_faults_of_commands import TRANSFER, books, harness

from harness.runs.style_transfer import StyleTransfer

RUN = ["run", "grid.yaml", "--devices", "cpu", "--wandb", "off", "--checkpoint-every", "0"]
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "torn": lambda content: content[: len(content) // 2],
    "zeroed": lambda content: bytes(len(content)),
    "zeroed but for its first tenth": lambda content: content[: len(content) // 10].ljust(len(content), b"\0"),
    "nonsense": lambda content: random.Random(0).randbytes(len(content)),
}
FILES = {
    "checkpoint": "grid/OPEN/checkpoint.safetensors",
    "manifest of a run that is done": "grid/DONE/manifest.json",
    "manifest of an interrupted run": "grid/OPEN/manifest.json",
    "history of a run that is done": "grid/DONE/history.csv",
    "history of an interrupted run": "grid/OPEN/history.csv",
    "transfer of a run that is done": "grid/DONE/transfer.yaml",
    "transfer of an interrupted run": "grid/OPEN/transfer.yaml",
    "cells": "grid/cells.json",
    "experiment": "grid/experiment.yaml",
    "journal": "grid/study.journal",
    "source image": "grid/sources/*.png",
}


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.driver.carrying.open_engine", Inline)
    monkeypatch.setattr(StyleTransfer.__init__, "__defaults__", (1, 0.0, (), None, None, True, ()))
    monkeypatch.setattr("harness.driver.carrying.draw", lambda results: [])


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder in which one run is done and the other was killed behind a checkpoint; the books where both are done."""
    folder = tmp_path_factory.mktemp("interrupted") / "here"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        _in_this_process.__wrapped__(patch)  # type: ignore[attr-defined]
        patch.setenv("HARNESS_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        Path("grid.yaml").write_text(TRANSFER.replace("steps: 2", "steps: 4") + "axes: {alpha: [1e-3, 1e-1]}\n")
        with injected(folder / "runs") as faults:
            assert harness(*RUN)[0] == 0
        whole = books(folder / "runs")
        at = max(number for number, done in enumerate(faults.done, 1) if done == "rename checkpoint.safetensors")
        shutil.rmtree(folder / "runs")
        with pytest.raises(Killed), injected(folder / "runs", at + 1, KILLED):
            harness(*RUN)
    return shutil.copytree(folder, folder.with_name("kept")), whole


def damaged_file(pattern: str) -> Path:
    """The file that is meant: of the run that is done, or of the other one."""
    for path in Path("runs").glob("grid/*/manifest.json"):
        name = "OPEN" if (path.parent / "checkpoint.safetensors").exists() else "DONE"
        pattern = pattern.replace(name, path.parent.name)
    return sorted(path for path in Path("runs").glob(pattern) if path.is_file())[0]


@pytest.mark.parametrize(
    "damage", [pytest.param(damage, marks=[pytest.mark.long] * (damage != "torn")) for damage in DAMAGES]
)
@pytest.mark.parametrize("file", FILES)
def test_damaged_file_is_named_or_made_anew(
    file: str, damage: str, interrupted: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, whole = interrupted
    here = kept.with_name("here")
    shutil.rmtree(here)
    shutil.copytree(kept, here)
    monkeypatch.chdir(here)
    monkeypatch.setenv("HARNESS_CACHE", str(here / "cache"))
    path = damaged_file(FILES[file])
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    code, said = harness("status", "runs/grid")
    assert code in (0, 1, 2) and "Traceback" not in said, said
    code, said = harness(*RUN)
    if code != 0:
        assert code in (1, 2) and path.name in said and "away" in said, said
        moved = path if "move it away" in said else path.parent
        shutil.rmtree(moved) if moved.is_dir() else moved.unlink()
        code, said = harness(*RUN)
    assert code == 0, said
    now = books(Path("runs"))
    for key in whole:
        assert now.get(key) == whole[key], f"{key} after: {said}"
