"""A run that is to be removed and that other experiments link to is handed over: it moves into a link's place.

Nothing is lost where this is interrupted, and the same once more completes it: the run's files get second names (hard
links) in ``.<id>.moved`` beside the link, which is then replaced by that folder; the other links are turned to it; only
then is the first folder taken away. So at every moment a whole folder of the run is there.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from harness.errors import HarnessError
from harness.files import link_to, real
from harness.results.run import REPEATS
from harness.runs.store import RunFolder, Status

RUN = re.compile("[0-9a-f]{12}")
"""What a run's folder, or a link in its place, is called."""


def heirs_of(leaving: Collection[Path]) -> dict[Path, tuple[Path, ...]]:
    """The places in other experiments' folders that each run has, by its folder, of runs that have any.

    The first is where the run will lie: where it is a folder already, else a link's.

    Args:
        leaving: folders of runs, and links to such, that are to be removed; absolute.
    """
    own = {real(path): path for path in leaving if not path.is_symlink()}
    found: dict[Path, list[Path]] = {}
    for out in sorted({experiment_of(path).parent for path in own.values()}):
        for place in _links_in(out):
            run = own.get(real(place)) if place.is_symlink() else _moving(place, own.values())
            if run is not None and place not in leaving:
                found.setdefault(run, []).append(place)
    for run, places in found.items():
        if (there := _finished(experiment_of(run).parent, run.name, leaving)) is not None:
            places.insert(0, there)
    return {run: tuple(places) for run, places in found.items()}


def hand_over(run: Path, places: tuple[Path, ...]) -> None:
    """Make the first place the run's folder and the others links to it; the run's own folder is left as it is."""
    first, *others = places
    moved = _moved(first)
    if first.is_symlink() or not first.exists():
        if moved.exists():  # of one that was interrupted, perhaps in the middle
            shutil.rmtree(moved)
        shutil.copytree(run, moved, symlinks=True, copy_function=_link)
        first.unlink(missing_ok=True)
        moved.rename(first)
    for link in others:
        new = link.with_name(f".{link.name}.link")
        new.unlink(missing_ok=True)
        link_to(first, new)
        if not new.is_symlink():  # a copy: no folder takes the place of a link
            link.unlink(missing_ok=True)
        new.replace(link)


def experiment_of(run: Path) -> Path:
    """The folder of the experiment in whose folder a run or a link lies."""
    return run.parents[1] if run.parent.name == REPEATS else run.parent


def told_heirs(heirs: Mapping[Path, tuple[Path, ...]]) -> dict[Path, int]:
    """How many runs go to which experiment's folder."""
    homes = [experiment_of(first) for first, *_ in heirs.values()]
    return {home: homes.count(home) for home in dict.fromkeys(homes)}


def _finished(out: Path, run_id: str, leaving: Collection[Path]) -> Path | None:
    """Another folder in which a run is done and stays; a damaged one is none."""
    for path in sorted(out.glob(f"*/{run_id}")):
        if path in leaving or path.is_symlink() or not path.is_dir():
            continue
        with suppress(HarnessError):
            manifest = RunFolder(path).manifest()
            if manifest is not None and manifest.status is Status.DONE:
                return path
    return None


def _links_in(out: Path) -> Iterator[Path]:
    """The links to runs in the folder of all experiments, and the places of which one was taken away for a run."""
    folders = sorted((path for path in out.glob("*") if path.is_dir()), key=lambda path: (path.is_symlink(), path))
    experiments: dict[Path, Path] = {}  # on other disks too, each once
    for path in folders:
        experiments.setdefault(real(path), path)
    inside = (path for folder in experiments.values() for path in (*folder.glob("*"), *folder.glob(f"{REPEATS}/*")))
    for path in inside:
        if path.is_symlink() and RUN.fullmatch(path.name):
            yield path
        elif (match := re.fullmatch(r"\.([0-9a-f]{12})\.moved", path.name)) and not os.path.lexists(
            place := path.with_name(match[1])
        ):
            yield place


def _moving(place: Path, runs: Collection[Path]) -> Path | None:
    """The run that was being moved to a place when that was interrupted."""
    return next((run for run in runs if run.name == place.name and run.parent != place.parent), None)


def _moved(place: Path) -> Path:
    return place.with_name(f".{place.name}.moved")


def _link(source: str, target: str) -> None:
    """A second name of a file; where the file system has none, a copy."""
    with suppress(OSError):
        os.link(source, target)
        return
    shutil.copy2(source, target)
