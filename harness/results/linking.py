"""Runs that another experiment has computed: in place of their folders stand links to those of that experiment."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from harness.files import real


def taken_from(folder: Path) -> Path | None:
    """The folder of the experiment into which a run's folder is a link; None of a folder that is its own."""
    return real(folder).parent if folder.is_symlink() else None


def is_gone(folder: Path) -> bool:
    """Whether a run's folder is a link to one that was deleted or moved away."""
    return folder.is_symlink() and not folder.exists()


def told_gone(folder: Path) -> str:
    """From where a run is linked that is gone: ``taken from runs/first, which is gone``."""
    experiment = taken_from(folder)
    assert experiment is not None, f"{folder} is no link"
    return f"taken from {_short(experiment)}, {'where it' if experiment.exists() else 'which'} is gone"


def told_sources(experiments: Iterable[Path | None]) -> str:
    """From where runs are linked, by how many: ``2 of them linked from runs/first, 1 from runs/second``.

    Args:
        experiments: of each run ``taken_from``; empty text where all are None.
    """
    counts = Counter(experiment for experiment in experiments if experiment is not None)
    told = [
        f"{num}{'' if k else ' of them linked'} from {_short(path)}" for k, (path, num) in enumerate(counts.items())
    ]
    return ", ".join(told)


def _short(path: Path) -> str:
    """Relative to the working directory where it lies below."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
