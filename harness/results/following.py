"""Experiments' folders read again and again, as by ``harness status --watch``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.results.grids import CELLS
from harness.results.results import Results, load_whole

Stamp = tuple[tuple[int, int, int], ...]
"""Of two files: inode, time of the last change in ns, and size in bytes; both are written whole, as new files."""


class Follower:
    """Reads folders; of one that it has read before, what was asked for only where that was written again.

    A look at 400 runs costs their manifests and histories, and no validation.
    """

    def __init__(self) -> None:
        self._known: dict[Path, tuple[Stamp, Results]] = {}

    def read(self, folder: Path) -> Results:
        """An experiment's or a sweep's folder as it is now; errors as of ``load_whole``."""
        stamp = _stamp(folder)
        known = self._known.get(folder)
        if known is None or known[0] != stamp:
            known = (stamp, load_whole(folder))
            self._known[folder] = known
        results = known[1]
        return replace(results, all_runs=tuple(replace(run) for run in results.all_runs))  # manifests not yet read


def _stamp(folder: Path) -> Stamp:
    """Taken before the files are read: what is written meanwhile has another one at the next look."""
    try:
        states = [(folder / name).stat() for name in ("experiment.yaml", CELLS)]
    except OSError:
        return ()
    return tuple((state.st_ino, state.st_mtime_ns, state.st_size) for state in states)
