"""``harness remove``: runs, or whole experiments, after asking."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from harness.cli.console import make_console
from harness.cli.tables import line, num_of, short_path
from harness.driver.removing import Removal, plan_removal, remove
from harness.errors import UsageError
from harness.results import load


def remove_folders(paths: Sequence[Path], is_sure: bool) -> None:
    """Say what would go, ask, and remove it.

    Args:
        paths: folders of experiments, sweeps or runs.
        is_sure: do not ask.

    Raises:
        UsageError: a path is no such folder, or there is nobody to ask.
        StorageError: something is in use or cannot be removed.
    """
    removal = plan_removal([load(path) for path in paths])
    console = make_console()
    for sentence in _sentences(removal):
        console.print(line(sentence))
    if not is_sure:
        if not sys.stdin.isatty():
            raise UsageError("Nothing was removed: there is no terminal to ask on; add --yes.")
        if console.input("Remove this? [y/N] ").strip().lower() not in ("y", "yes"):
            console.print(line("Nothing was removed."))
            return
    remove(removal)
    console.print(line("Removed."))
    for results in removal.experiments:
        if results.folder.exists():
            left = ", ".join(sorted(path.name for path in results.folder.iterdir()))
            console.print(line(f"{short_path(results.folder)} still holds what is not the harness's: {left}"))
    console.print(line("Next:    harness status" if removal.experiments else "Next:    harness run or sweep its file"))


def _sentences(removal: Removal) -> list[str]:
    own = sum(not path.is_symlink() for path in removal.runs)
    linked = len(removal.runs) - own
    megabytes = f"{removal.num_bytes / 1e6:.1f} MB"
    whole = ", ".join(short_path(results.folder) for results in removal.experiments)
    told = [f"{whole}: everything, its study too"] if whole else []
    told.append(f"{num_of(own, 'run')}, {megabytes}" + (f", and {num_of(linked, 'link')} to runs" if linked else ""))
    if removal.links:
        names = ", ".join(dict.fromkeys(link.parent.name for link in removal.links))
        told.append(f"{num_of(len(removal.links), 'link')} to them in other experiments' folders ({names})")
    told.append("What W&B has online stays there.")
    return told
