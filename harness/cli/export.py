"""``harness export``: runs as a folder to send to a colleague, or the explorer with its pictures as one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.cli.console import make_console
from harness.cli.tables import line, num_of, short_path
from harness.figures.explorer import export_explorer
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
        console.print(line(f"Exported: {short_path(exported)}, {exported.stat().st_size / 1e6:.1f} MB"))
        console.print(line("Next:     send it; unpacked, explore.html in it opens in a browser"))
        return
    exported = export_runs(given, folder)
    num_pictures = len(list(exported.glob("*.yaml")))
    console.print(line(f"Exported: {num_of(num_pictures, 'picture')} to {short_path(exported)}"))
    console.print(line(f"Next:     read {short_path(exported / 'README.txt')}, and send the folder"))
