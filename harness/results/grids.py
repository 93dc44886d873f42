"""Where an experiment's or a sweep's runs lie, and those of its earlier grids, by ``cells.json``; only read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.config.kept import EARLIER
from harness.files import real

CELLS = "cells.json"

DRIVER_LOCK = ".driver.lock"
"""Held by the process that carries out an experiment or a sweep (``harness.studies.storage.hold_study``)."""


def grid_above(folder: Path) -> Path | None:
    """The experiment's folder in which an earlier grid's lies, and all runs of both; None of any other folder."""
    for above in (Path(os.path.abspath(folder)).parent, real(folder).parent):  # the name that was given, if it can be
        is_experiments = any((above.parent / name).exists() for name in (CELLS, "experiment.yaml", DRIVER_LOCK))
        if above.name == EARLIER and is_experiments:
            return above.parent
    return None


def earlier_grids(folder: Path) -> list[Path]:
    """The folders of what was asked for before in an experiment's, the last first."""
    found = {path.parent: path.stat().st_mtime_ns for path in (folder / EARLIER).glob(f"*/{CELLS}")}
    return sorted(found, key=lambda path: (found[path], path.name), reverse=True)


def folders_of(folder: Path) -> list[str]:
    """The runs' folders that a grid or a search has, relative to its experiment's; none where they cannot be read."""
    try:
        return [cell["folder"] for cell in json.loads((folder / CELLS).read_text(encoding="utf-8"))["cells"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def cell_of(run: Path, folder: Path) -> Mapping[str, Any]:
    """What cells.json has of a run's folder, or of a link to one; empty where that cannot be read or has no such run.

    Args:
        run: the run's folder.
        folder: its experiment's.
    """
    place = os.path.relpath(os.path.abspath(run), os.path.abspath(folder))
    try:
        cells = json.loads((folder / CELLS).read_text(encoding="utf-8"))["cells"]
        return next((dict(cell) for cell in cells if cell["folder"] == place), {})
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def storage_of(folder: Path) -> tuple[str, str | None] | None:
    """The study of a grid or a search, and where it is kept if not in the experiment's own journal."""
    try:
        cells = json.loads((folder / CELLS).read_text(encoding="utf-8"))
        return cells["study"], cells["storage"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def experiments_in(folder: Path) -> list[Path]:
    """The folders of experiments and sweeps in the folder of all runs, by name."""
    return sorted(path.parent for path in folder.glob(f"*/{CELLS}"))
