"""Removing runs, or a whole experiment or sweep: what goes is found first, so that a command can ask."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from harness.config.kept import EARLIER
from harness.driver.earlier import is_from_python
from harness.driver.folder import hold_runs, remove_runs
from harness.driver.handing_over import RUN, experiment_of, hand_over, heirs_of
from harness.driver.unchanged import STAMP
from harness.errors import HarnessError, StorageError, UsageError
from harness.files import real
from harness.results import CELLS, DRIVER_LOCK, Results
from harness.results.grids import earlier_grids, folders_of, grid_above, storage_of
from harness.results.results import EXPLORER, OF_ONE_GRID
from harness.results.run import REPEATS
from harness.runs.store import RunFolder
from harness.studies.artifacts import ARTIFACTS
from harness.studies.storage import JOURNAL, forget_study, hold_study, is_gone, open_storage

OF_AN_EXPERIMENT = (*OF_ONE_GRID, JOURNAL, STAMP, "wandb")
"""What the harness writes into an experiment's folder beside its runs."""

INSIDE = {"sources": r"[0-9a-f]{8,}(-.*)?\.png|.*-[0-9a-f]{8}\.py", ARTIFACTS: "[0-9a-f]{32}", "logs": r".*\.log"}
"""Its folders of files, and what those are called; whatever else lies there, or beside them, is the user's."""


@dataclass(frozen=True)
class Removal:
    """What would go; every path is absolute, with no link above its last step.

    Attributes:
        runs: folders of runs, and links in place of such folders.
        heirs: of a run to which other experiments link, the places it has there: it moves to the first.
        experiments: folders of those that go whole.
        earlier: folders of earlier grids that go, with the runs that no other grid has.
        files: what else goes of them.
        studies: outside these folders: the storage, and the names in it.
        num_bytes: of all files.
    """

    runs: tuple[Path, ...]
    heirs: Mapping[Path, tuple[Path, ...]]
    experiments: tuple[Path, ...]
    earlier: tuple[Path, ...]
    files: tuple[Path, ...]
    studies: Mapping[str, Sequence[str]]
    num_bytes: int


def plan_removal(given: Sequence[Results], keeps_studies: bool = False) -> Removal:
    """Find what goes with these results; nothing is changed.

    Of a whole experiment that is everything, of an earlier grid its files and the runs that no other grid of its folder
    has, else the runs. A run to which another experiment links is not lost: it moves there.

    Args:
        given: whole, or what ``select`` leaves of them.
        keeps_studies: leave studies in a database alone.

    Raises:
        UsageError: it is a folder in which the user's own file lies.
    """
    every = {_folder_of(results): results for results in given if not results.is_part}
    whole = {folder: results for folder, results in every.items() if not grid_above(folder)}
    earlier = tuple(folder for folder in every if folder not in whole and folder.parents[1] not in whole)
    for folder, results in whole.items():
        if results.file.exists() and real(results.file.parent) == real(folder) and not is_from_python(results.file):
            raise UsageError(
                f"{results.folder} holds your own {results.file.name} beside the runs; remove single runs, or what "
                "you do not need by hand."
            )
    parts = [run.folder.path for results in given if results.is_part for run in results.all_runs]
    found = [*(path for folder in whole for path in _runs_in(folder)), *_runs_of(earlier), *map(_place, parts)]
    runs = tuple(path for path in dict.fromkeys(found) if path.exists() or path.is_symlink())
    own = {path for path in runs if not path.is_symlink()}
    heirs = heirs_of(runs)
    files = tuple(path for folder in whole for path in _files_in(folder)) + tuple(
        path for folder in earlier for path in _files_of_grid(folder)
    )
    studies: dict[str, tuple[str, ...]] = {}
    for folder in whole if not keeps_studies else ():
        for storage, names in _studies_of(folder).items():
            studies[storage] = (*studies.get(storage, ()), *names)
    return Removal(runs, heirs, tuple(whole), earlier, files, studies, _num_bytes([*own.difference(heirs), *files]))


def remove(removal: Removal) -> None:
    """Remove it; where something of it is in use, or a study's storage cannot be reached, nothing.

    What was interrupted is removed by the same once more: what others link to is handed over before anything goes, of a
    run its manifest goes first, of an experiment what says that it is one goes last. A grid's run is computed again by
    the next ``harness run``, and so is a sweep's trial, whose study keeps its number and values.

    Raises:
        StorageError: something is in use or cannot be removed.
    """
    try:
        with ExitStack() as held:
            above = [folder.parents[1] for folder in removal.earlier]
            taken = dict.fromkeys([*removal.experiments, *above, *_homes(removal.heirs)])
            for folder in taken:
                held.enter_context(hold_study(folder))
            held.enter_context(hold_runs(removal.runs))
            heirs = heirs_of(removal.runs)  # some may have linked to them since it was planned
            for folder in dict.fromkeys(home for home in _homes(heirs) if home not in taken):
                held.enter_context(hold_study(folder))
            _forget_studies(removal.studies)
            for run, places in heirs.items():
                hand_over(run, places)
            _forget_judgements(removal.runs)
            remove_runs(removal.runs)
            marks = [folder / CELLS for folder in removal.experiments]
            for path in (path for path in removal.files if path not in marks):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
            for folder in removal.earlier:
                for empty in (folder, folder.parent):
                    if empty.is_dir() and not any(empty.iterdir()):
                        empty.rmdir()
            for folder in removal.experiments:
                _remove_whole(folder)
    except OSError as error:
        why = f"{error.filename} could not be removed ({error.strerror})" if error.filename else str(error)
        raise StorageError(f"Not everything was removed: {why}; mend that, then remove the rest.") from error


def is_remainder(folder: Path) -> bool:
    """Whether a removal that was interrupted near its end has left neither runs nor experiment.yaml of a folder."""
    own, empty = (DRIVER_LOCK, CELLS), (EARLIER, REPEATS, *INSIDE)
    left = list(folder.iterdir()) if folder.is_dir() else []
    is_own = (folder / DRIVER_LOCK).is_file() or storage_of(folder) is not None
    return is_own and all(path.name in own or (path.name in empty and not any(path.iterdir())) for path in left)


def remove_remainder(folder: Path) -> None:
    """Remove it.

    Raises:
        StorageError: it is in use.
    """
    with hold_study(folder):
        _remove_whole(folder)


def _remove_whole(folder: Path) -> None:
    """Remove what is left of an experiment's folder, the lock that is held last."""
    _remove_empty([*(folder / EARLIER).glob("*"), *(folder / name for name in (EARLIER, REPEATS, *INSIDE))])
    for name in (CELLS, DRIVER_LOCK):
        (folder / name).unlink(missing_ok=True)
    _remove_empty([folder])


def _remove_empty(folders: Iterable[Path]) -> None:
    for folder in folders:
        if folder.is_dir() and not any(folder.iterdir()):
            real(folder).rmdir()
            if folder.is_symlink():
                folder.unlink()


def _forget_judgements(runs: Sequence[Path]) -> None:
    """Take away what was said of all runs of the grids of which some go: their claims, and their pages."""
    for home in dict.fromkeys(experiment_of(run) for run in runs):
        going = {os.path.relpath(run, home) for run in runs}
        for grid in (home, *earlier_grids(home)):
            for name in ("claims.json", "claims.md", EXPLORER) if going.intersection(folders_of(grid)) else ():
                (grid / name).unlink(missing_ok=True)


def _forget_studies(studies: Mapping[str, Sequence[str]]) -> None:
    try:
        storages = {given: open_storage(given, Path()) for given in studies if not is_gone(given)}
        for given, storage in storages.items():
            for name in studies[given]:
                forget_study(storage, name)
    except HarnessError as error:
        raise StorageError(f"{error} Nothing was removed; --keep-studies leaves the study where it is.") from error


def _place(path: Path) -> Path:
    """A path with the links above its last step followed, and that step itself not; of a folder ``.``, its name."""
    given = Path(os.path.abspath(path))
    return real(given.parent) / given.name


def _folder_of(results: Results) -> Path:
    """The folder of an experiment, a link too, or of an earlier grid in it."""
    home = _place(results.home)
    return home if real(results.folder) == real(home) else home / EARLIER / real(results.folder).name


def _files_in(folder: Path) -> list[Path]:
    """What the harness wrote into an experiment's folder beside its runs; what says that it is one comes last."""
    found = [folder / name for name in OF_AN_EXPERIMENT]
    found += [path for name, called in INSIDE.items() for path in folder.glob(f"{name}/*") if _is(called, path)]
    grids = [path for path in folder.glob(f"{EARLIER}/*") if _is("[0-9a-f]{8}", path)]
    found += [path for grid in grids for path in _files_of_grid(grid)]
    found += [path] if is_from_python(path := folder / f"{folder.name}.yaml") else []
    last = (folder / "experiment.yaml", folder / CELLS)
    return [path for path in (*(path for path in found if path not in last), *last) if path.exists()]


def _files_of_grid(folder: Path) -> list[Path]:
    """What the harness keeps of an earlier grid."""
    mappings = [path for path in folder.glob("*.yaml") if is_from_python(path)]
    return [*mappings, *(path for name in OF_ONE_GRID if (path := folder / name).exists())]


def _runs_of(earlier: Sequence[Path]) -> list[Path]:
    """The runs of earlier grids that no other grid of their folders has."""
    found = []
    for home in dict.fromkeys(folder.parents[1] for folder in earlier):
        kept = {cell for grid in (home, *earlier_grids(home)) if grid not in earlier for cell in folders_of(grid)}
        going = [cell for grid in earlier if grid.parents[1] == home for cell in folders_of(grid)]
        found += [home / cell for cell in dict.fromkeys(going) if cell not in kept]
    return found


def _is(called: str, path: Path) -> bool:
    return re.fullmatch(called, path.name) is not None


def _runs_in(folder: Path) -> list[Path]:
    """Every run of an experiment's folder, of whatever grid, links too, and links to what is gone."""
    grids = [folder, *sorted(folder.glob(f"{EARLIER}/*"))]
    known = {cell for grid in grids for cell in folders_of(grid)}
    inside = [path for path in (*folder.glob("*"), *folder.glob(f"{REPEATS}/*")) if RUN.fullmatch(path.name)]
    return sorted(
        path
        for path in inside
        if path.is_symlink() or (path / "transfer.yaml").exists() or str(path.relative_to(folder)) in known
    )


def _studies_of(folder: Path) -> dict[str, tuple[str, ...]]:
    """The studies in databases that asked for a whole experiment's runs, today's and those of earlier grids."""
    of_grids = [found for path in (folder, *sorted((folder / EARLIER).glob("*"))) if (found := storage_of(path))]
    asking = [study for study, _ in of_grids]
    for path in _runs_in(folder):
        try:
            manifest = None if path.is_symlink() else RunFolder(path).manifest()
        except HarnessError:  # a damaged one goes like the others
            continue
        asking += [record["study"] for record in manifest.trials] if manifest else []
    own = f"{re.escape(folder.name)}-[0-9a-f]{{8}}"  # a copied folder's are the original's
    names = dict.fromkeys(study for study in asking if re.fullmatch(own, study))
    return {storage: tuple(names) for storage in dict.fromkeys(storage for _, storage in of_grids) if storage}


def _homes(heirs: Mapping[Path, tuple[Path, ...]]) -> list[Path]:
    """The experiments whose folders change where runs are handed over."""
    return [experiment_of(place) for places in heirs.values() for place in places]


def _num_bytes(paths: Sequence[Path]) -> int:
    """Of all files, one with several names once."""
    files = (file for path in paths for file in ([path] if path.is_file() else path.rglob("*")))
    sizes = {(of.st_dev, of.st_ino): of.st_size for file in files if file.is_file() and (of := file.lstat())}
    return sum(sizes.values())
