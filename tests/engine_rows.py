"""Tiny real runs for the tests of the engines and of what keeps their folders."""

from __future__ import annotations

import csv
import json
import pkgutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.runs.prepare import Row

TRANSFER = (
    "transfer: {content: astronaut, style: strokes, size: 48, steps: 24, pyramid: [], "
    "content_layers: {conv2_1: 1}, style_layers: {conv1_1: 0.5, conv2_1: 0.5}}\n"
)


def make_rows(folder: Path, *overrides: str, varied: str = "axes: {alpha: [1e-3, 1e-1]}") -> list[Row]:
    """The rows of a tiny experiment, one for each α, whose run folders lie in ``folder/runs/tiny``."""
    from harness.config import load_experiment
    from harness.driver.jobs import make_jobs

    path = folder / "tiny.yaml"
    path.write_text(f"{TRANSFER}{varied}\n")
    return [job.row for job in make_jobs(load_experiment(path, overrides), folder / "runs")]


def with_trial(row: Row, number: int, *objectives: str) -> Row:
    """A row that a study has asked for."""
    record = {"study": "s", "number": number, "params": {"a": 0.5}, "distributions": {}, "objectives": [*objectives]}
    return replace(row, manifest=replace(row.manifest, trials=({**record, "user_attrs": {}},)))


def counted(monkeypatch: pytest.MonkeyPatch, path: str, calls: list[str]) -> None:
    """Note every call of a function, by the last part of its path, and let it go on."""
    function = pkgutil.resolve_name(path)

    def noted(*args: Any, **kwargs: Any) -> Any:
        calls.append(path.rpartition(".")[2])
        return function(*args, **kwargs)

    monkeypatch.setattr(path, noted)


def pictures_of(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in [run / "image.png", *sorted((run / "iterates").glob("*.png"))]}


def history_of(run: Path) -> list[dict[str, str]]:
    """The lines of history.csv without the seconds, which no two runs share."""
    with open(run / "history.csv", newline="") as file:
        return [{key: value for key, value in line.items() if key != "seconds"} for line in csv.DictReader(file)]


def manifest_of(run: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((run / "manifest.json").read_text())
    return data
