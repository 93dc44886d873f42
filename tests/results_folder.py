"""An experiment's or a sweep's folder, written by hand: what ``harness.load`` reads, without computing anything.

    folder = make_results_folder(tmp_path / "fig4", [{"label": {"alpha": a}, "metrics": {"ssim": a}} for a in (0.1, 1)])
    results = harness.results.load(folder)

A cell is a mapping; everything in it may be left out: ``label``, ``part`` (``grid``, ``repeat``, ``again``), ``id``,
``status`` (``done``; a ``waiting`` one has no folder), ``reason``, ``metrics``, ``transfer`` (fields that differ from
the experiment's; the label's own are taken by themselves), ``image``, ``content``, ``style`` ((H, W, 3), floats in
[0, 1] or uint8), ``sources`` (further ones by key), ``history`` (a list of lines), ``iterates`` (evaluation to
picture), ``provenance``, ``trials``, ``measured_on``.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from harness.config.fields import FIELDS, set_field
from harness.config.identity import canonical_json
from harness.config.levels import num_evaluations
from harness.config.transfer import Transfer
from harness.config.yaml_source import flow
from harness.images.files import png_bytes, write_png
from harness.runs.store import Attempt, Manifest, RunFolder, Status, write_durably

EXPERIMENT = {"transfer": {"content": "astronaut", "style": "strokes", "size": 16, "steps": 3}}
PROVENANCE = {
    "started": "2026-01-02T03:04:05+00:00",
    "versions": {"python": "3.11.7", "harness": "0.1.0", "torch": "2.6.0"},
    "commit": "0123456789abcdef",
    "device": "cpu",
    "device_name": "x86_64",
    "threads": 1,
    "batch": 1,
    "files": {},
    "plugins": {},
}


def picture(seed: int = 0, height: int = 16, width: int = 16) -> np.ndarray:
    """Noise, (height, width, 3) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def make_results_folder(
    path: Path, cells: Sequence[Mapping[str, Any]], experiment_yaml: Mapping[str, Any] | None = None
) -> Path:
    """Write an experiment's folder with its runs, and give its path."""
    experiment = {**EXPERIMENT, **(experiment_yaml or {})}
    (path / "sources").mkdir(parents=True, exist_ok=True)
    rows = [_write_cell(path, dict(cell), experiment) for cell in cells]
    data = {"file": str(path.with_suffix(".yaml").name), "contents": {}, **json.loads(json.dumps(experiment))}
    write_durably(path / "experiment.yaml", yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
    command = f"harness {'sweep' if 'space' in experiment else 'run'} {path.name}.yaml"
    cells_json = {
        "study": f"{path.name}-00000000",
        "storage": None,
        "command": command,
        "directory": str(Path.cwd()),
        "cells": rows,
    }
    write_durably(path / "cells.json", json.dumps(cells_json, indent=2) + "\n")
    return path


def _write_cell(path: Path, cell: dict[str, Any], experiment: Mapping[str, Any]) -> dict[str, Any]:
    label, part = cell.get("label", {}), cell.get("part", "grid")
    case = experiment.get("cases", {}).get(label.get("cases"), {})
    own = {field: value for field, value in {**case, **label}.items() if field.split(".")[0] in FIELDS}
    raw = {"pyramid": [], **experiment["transfer"]}  # no job resolves auto here
    for field, value in {**own, **cell.get("transfer", {})}.items():
        raw = set_field(raw, field, value)
    transfer = Transfer.model_validate(raw)
    identity = cell.get("id") or hashlib.sha256(canonical_json([label, transfer.plain()]).encode()).hexdigest()[:12]
    folder = RunFolder(path / ("repeats" if part == "again" else "") / identity)
    status = Status[cell.get("status", "done").upper()]
    if status is not Status.WAITING:
        _write_run(folder, identity, path.name, cell, transfer, status)
    return {
        "id": identity,
        "label": label,
        "part": part,
        "transfer": transfer.plain(),
        "overrides": [f"transfer.{field}={flow(value)}" for field, value in own.items()],
        "folder": str(folder.path.relative_to(path)),
        "evaluations": num_evaluations(transfer),
        "sources": {
            "content": _write_source(path, cell.get("content", picture(101))),
            "style": _write_source(path, cell.get("style", picture(102))),
            **{key: _write_source(path, image) for key, image in cell.get("sources", {}).items()},
        },
    }


def _write_run(
    folder: RunFolder, identity: str, name: str, cell: Mapping[str, Any], transfer: Transfer, status: Status
) -> None:
    metrics = cell.get("metrics", {}) if status is Status.DONE else {}
    history = cell.get("history", [{"evaluation": 1, "seconds": 0.5, "total": 3.0, "content": 1.0, "style": 2.0}])
    manifest = Manifest(
        identity,
        name,
        status,
        cell.get("reason", ""),
        dict(cell.get("label", {})),
        dict(metrics),
        (Attempt(1, int(history[-1]["evaluation"]) if history else 0),),
        {**PROVENANCE, "seeds": {"start": transfer.seed}, **cell.get("provenance", {})},
        {"project": "harness", "job_type": "transfer", "tags": [], "notes": "", "command": f"harness run {name}.yaml"},
        tuple(cell.get("trials", ())),
        measured_on=dict(cell.get("measured_on", {"embedded": "0" * 64})),
    )
    folder.create(transfer, manifest)
    folder.append_history(history)
    for evaluation, iterate in cell.get("iterates", {}).items():
        write_png(folder.iterate_path(evaluation), _floats(iterate))
    if status is Status.DONE and not history:  # of no evaluation, and so without curves; a lost one is no run's
        folder.history_path.write_text("evaluation,seconds,total\n", encoding="utf-8")
    if status is Status.DONE:
        write_png(folder.image_path, _floats(cell.get("image", picture(zlib.crc32(identity.encode())))))


def make_whole(folder: RunFolder) -> None:
    """Give a run what one that is done has: a picture and a history, where it has none."""
    folder.path.mkdir(parents=True, exist_ok=True)
    if not folder.image_path.exists():
        write_png(folder.image_path, _floats(picture()))
    if not folder.history_path.exists():
        folder.append_history([{"evaluation": 1, "seconds": 0.5, "total": 3.0, "content": 1.0, "style": 2.0}])


def _write_source(path: Path, image: np.ndarray) -> str:
    """The image's file by its content's hash, relative to the experiment's folder."""
    content = png_bytes(_floats(image))
    name = f"sources/{hashlib.sha256(content).hexdigest()[:16]}.png"
    write_durably(path / name, content)
    return name


def _floats(image: np.ndarray) -> np.ndarray:
    return image / 255 if image.dtype == np.uint8 else image
