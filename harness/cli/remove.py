"""``harness remove``: runs, or whole experiments, after asking."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from harness.cli.console import make_console
from harness.cli.tables import line, num_of, short_path
from harness.driver.handing_over import told_heirs
from harness.driver.removing import Removal, is_remainder, plan_removal, remove, remove_remainder
from harness.errors import StorageError, UsageError
from harness.results import load


def remove_folders(paths: Sequence[Path], is_sure: bool, keeps_studies: bool) -> None:
    """Say what would go, ask, and remove it.

    Args:
        paths: folders of experiments, sweeps or runs.
        is_sure: do not ask.
        keeps_studies: leave studies in a database alone.

    Raises:
        UsageError: a path is no such folder, or there is nobody to ask.
        StorageError: something is in use or cannot be removed.
    """
    console = make_console()
    remains = [path for path in paths if is_remainder(path)]
    empty = [path for path in paths if path.is_dir() and not any(path.iterdir())]
    removal = plan_removal([load(path) for path in paths if path not in (*remains, *empty)], keeps_studies)
    for path in empty:
        console.print(line(f"{short_path(path)} is empty: nothing of it is left to remove."))
    if len(empty) == len(paths):
        return
    for path in remains:
        console.print(line(f"{short_path(path)}: what an interrupted removal has left of it"))
    for sentence in _sentences(removal) if removal.runs or removal.experiments or removal.earlier else ():
        console.print(line(sentence))
    if not is_sure and not sys.stdin.isatty():
        raise UsageError("Nothing was removed: there is no terminal to ask on; add --yes.")
    try:
        agreed = is_sure or typer.confirm("Remove this?", default=False)
    except typer.Abort:
        agreed = False
    if not agreed:
        console.print(line("Nothing was removed."))
        return
    kept = _kept(removal)  # the working directory may go
    try:
        remove(removal)
        for path in remains:
            remove_remainder(path)
    except KeyboardInterrupt:
        raise StorageError("Interrupted: some of it is removed. The same command removes the rest.") from None
    console.print(line("Removed."))
    if kept:
        console.print(line(f"Kept, since other experiments link to them: {kept}"))
    for folder in removal.experiments:
        if folder.exists():
            left = ", ".join(sorted(path.name for path in folder.iterdir()))
            console.print(line(f"{short_path(folder)} still holds what is not the harness's: {left}"))
    if removal.runs and not removal.experiments and not removal.earlier:
        console.print(line("Claims and page of what they were in went with them; harness figure makes them anew."))
        again = "links to what was kept and computes the rest" if kept else "computes them again"
        console.print(line(f"Next:    the same harness run or harness sweep {again}"))


def _sentences(removal: Removal) -> list[str]:
    linked = sum(path.is_symlink() for path in removal.runs)
    own = len(removal.runs) - linked - len(removal.heirs)
    told = [f"{short_path(folder)}: the whole experiment or sweep" for folder in removal.experiments]
    told += [f"{short_path(folder)}: an earlier grid or search" for folder in removal.earlier]
    links = f" and {num_of(linked, 'link')} to runs" if linked else ""
    told.append(f"{num_of(own, 'run')}{links}, {removal.num_bytes / 2**20:.1f} MiB")
    if removal.heirs:
        told.append(f"and runs that other experiments link to, which are kept: {_kept(removal)} from then on")
    told += [f"the study {', '.join(names)} in {storage}" for storage, names in removal.studies.items()]
    told.append("What W&B has online stays there.")
    return told


def _kept(removal: Removal) -> str:
    """``20 runs in runs/b, 2 runs in runs/c``: what is handed over, and where it lies then."""
    return ", ".join(f"{num_of(num, 'run')} in {short_path(home)}" for home, num in told_heirs(removal.heirs).items())
