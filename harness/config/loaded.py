"""What an experiment and a sweep have in common once they are read: where from, and where each field stands."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.config.cells import Cell
from harness.config.located import Located
from harness.config.located import Path as Steps
from harness.errors import Fault


@dataclass(frozen=True)
class LoadedFile:
    """A file, or what was given in place of one.

    Attributes:
        name: the file's stem; its runs lie in ``<out>/<name>``.
        source: the file.
        called: how a command names it: its path, or the name of one that comes with the harness.
        given: of a mapping, what ``source`` is to say once there are runs; None of a file, which is there.
        located: where each field was written.
        data: the resolved definition as plain data with all defaults, without profiles (``experiment.yaml``).
    """

    name: str
    source: Path
    called: str
    given: Mapping[str, Any] | None
    located: Located
    data: Mapping[str, Any]

    def fault(self, cell: Cell, field: str | Steps, message: str) -> Fault:
        """A fault found later (an image that is not there, …) in a field of a cell's transfer: dotted, or in steps."""
        return self.located.fault(cell.path(field), message)

    def command(self, cell: Cell) -> str:
        """The shell command that carries out one cell."""
        return shlex.join(["harness", "run", self.called, *cell.overrides])
