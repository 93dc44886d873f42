"""``harness export``: runs as a folder to send to a colleague."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.cli.console import make_console
from harness.cli.tables import line, num_of, short_path
from harness.results import load
from harness.results.exporting import export_runs


def export_folders(paths: Sequence[Path], folder: Path) -> None:
    """Export experiments, sweeps and single runs into one folder.

    Raises:
        UsageError: a path is no such folder, none has a picture, or the folder is there already.
        StorageError: something cannot be read or written.
    """
    given = [load(path) for path in paths]
    exported = export_runs(given, folder)
    console = make_console()
    num_pictures = len(list(exported.glob("*.yaml")))
    console.print(line(f"Exported: {num_of(num_pictures, 'picture')} to {short_path(exported)}"))
    named = {one.folder.resolve() for one in given}
    earlier = [grid for one in given for grid in one.earlier if grid.folder.resolve() not in named]
    if earlier:
        folders = " ".join(short_path(grid.folder) for grid in earlier)
        console.print(line(f"Left out: what was asked for earlier; name it too to have it: {folders}"))
    console.print(line(f"Next:     read {short_path(exported / 'README.txt')}, and send the folder"))
