"""Removing runs, or a whole experiment or sweep: what goes is found first, so that a command can ask."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from harness.driver.folder import OF_ONE_GRID, forget
from harness.errors import HarnessError, UsageError
from harness.results import DRIVER_LOCK, Results
from harness.results.results import EARLIER
from harness.runs.store import RunFolder
from harness.studies.artifacts import ARTIFACTS
from harness.studies.storage import JOURNAL, forget_study, hold_study, open_storage

REPEATS = "repeats"
OF_AN_EXPERIMENT = (*OF_ONE_GRID, JOURNAL, EARLIER, "sources", ARTIFACTS, "wandb", "logs", REPEATS)
"""What a whole experiment's folder has beside its runs; whatever else lies there is the user's, and stays."""


@dataclass(frozen=True)
class Removal:
    """What would go.

    Attributes:
        runs: folders of runs, and links in place of such folders.
        links: in other experiments' folders, to these runs.
        experiments: those that go whole.
        num_bytes: of all files.
    """

    runs: tuple[Path, ...]
    links: tuple[Path, ...]
    experiments: tuple[Results, ...]
    num_bytes: int


def plan_removal(given: Sequence[Results]) -> Removal:
    """Find what goes with these results: of a whole one everything, else its runs; nothing is changed.

    Raises:
        UsageError: it is an earlier grid, whose runs may be today's too.
    """
    runs: dict[Path, None] = {}
    for results in given:
        if not results.is_part and results.folder.resolve().parent.name == EARLIER:
            raise UsageError(
                f"{results.folder} is an earlier grid, whose runs may be of today's grid too; remove its experiment, "
                f"{results.folder.parents[1]}, or single runs."
            )
        if results.is_part:
            runs |= dict.fromkeys(run.folder.path for run in results.all_runs if run.folder.path.exists())
        else:
            runs |= dict.fromkeys(_runs_in(results.folder))
    whole = tuple(results for results in given if not results.is_part)
    real = {path.resolve() for path in runs if not path.is_symlink()}
    places = {results.folder.resolve().parent for results in given}
    linking = [link for place in sorted(places) for link in _links_in(place) if link.resolve() in real]
    links = tuple(link for link in linking if link not in {path.absolute() for path in runs})
    sizes = [_num_bytes(path) for path in runs if not path.is_symlink()]
    sizes += [_num_bytes(path) for results in whole for path in _own_files(results) if path.name != REPEATS]
    return Removal(tuple(runs), links, whole, sum(sizes))


def remove(removal: Removal) -> None:
    """Remove it; all, or, where something of it is in use, nothing.

    A grid's run is computed again by the next ``harness run``, and so is a sweep's trial, whose study keeps its number
    and values.

    Raises:
        StorageError: something is in use, a study's storage cannot be reached, or a file cannot be removed.
    """
    with ExitStack() as held:
        for results in removal.experiments:
            held.enter_context(hold_study(results.folder))
        studies = [(results, _studies_of(results)) for results in removal.experiments if results.storage]
        storages = [open_storage(results.storage, results.folder) for results, _ in studies]
        forget(removal.runs)
        for link in removal.links:
            link.unlink(missing_ok=True)
        for storage, (_, names) in zip(storages, studies, strict=True):
            for name in names:
                forget_study(storage, name)
        for results in removal.experiments:
            for path in _own_files(results):
                _remove(path)
            if not any(results.folder.iterdir()):
                results.folder.rmdir()


def _own_files(results: Results) -> list[Path]:
    """What lies in a whole experiment's folder beside its runs; of one given as a mapping its YAML too."""
    names = (*OF_AN_EXPERIMENT, f"{results.name}.yaml", DRIVER_LOCK)
    return [path for name in names if (path := results.folder / name).exists()]


def _runs_in(folder: Path) -> list[Path]:
    """Every run of an experiment's folder, of whatever grid, links too, and links to what is gone."""
    inside = [*folder.glob("*"), *folder.glob(f"{REPEATS}/*")]
    return sorted(path for path in inside if (path / "manifest.json").exists() or path.is_symlink())


def _links_in(out: Path) -> Iterator[Path]:
    """The links to runs in the folder of all experiments."""
    return (path for path in sorted([*out.glob("*/*"), *out.glob(f"*/{REPEATS}/*")]) if path.is_symlink())


def _studies_of(results: Results) -> list[str]:
    """The names of every study that asked for one of its runs, today's first."""
    found = {results.study: None}
    for path in _runs_in(results.folder):
        try:
            manifest = RunFolder(path).manifest()
        except HarnessError:  # a damaged one goes like the others
            continue
        found |= dict.fromkeys(record["study"] for record in manifest.trials) if manifest else {}
    return [name for name in found if name.startswith(f"{results.name}-")]


def _num_bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if file.is_file() and not file.is_symlink())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
