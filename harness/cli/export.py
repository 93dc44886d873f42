"""``harness export``: runs as a folder to send to a colleague, or the explorer with its pictures as one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.cli.console import make_console
from harness.cli.tables import line, num_of, short_path
from harness.figures.explorer import export_explorer
from harness.files import real
from harness.results import load
from harness.results.exporting import export_runs


def export_folders(paths: Sequence[Path], folder: Path) -> None:
    """Export experiments, sweeps and single runs into one folder; where its name ends in ``.zip``, their explorers.

    Raises:
        UsageError: a path is no such folder, none has a picture, or the folder is there already.
        StorageError: something cannot be read or written.
    """
    console, given = make_console(), [load(path) for path in paths]
    if folder.suffix == ".zip":
        exported = export_explorer(given, folder)
        what = f"{short_path(exported)}, {exported.stat().st_size / 1e6:.1f} MB"
        then = "send it; unpacked, explore.html in it opens in a browser"
    else:
        exported = export_runs(given, folder)
        what = f"{num_of(len(list(exported.glob('*.yaml'))), 'picture')} to {short_path(exported)}"
        then = f"read {short_path(exported / 'README.txt')}, and send the folder"
    console.print(line(f"Exported: {what}"))
    named = {real(one.folder) for one in given}
    earlier = [grid for one in given for grid in one.earlier if real(grid.folder) not in named]
    if earlier:
        folders = " ".join(short_path(grid.folder) for grid in earlier)
        console.print(line(f"Left out: what was asked for earlier; name it too to have it: {folders}"))
    console.print(line(f"Next:     {then}"))
