"""An experiment's folder: what was asked for, which runs belong to it, and the images they were made from.

runs/<experiment>/   experiment.yaml   the resolved experiment or sweep last asked for
<experiment>.yaml what was given from Python in place of a file; a file like others
cells.json        its runs: id, label, folder, transfer, evaluations, sources
sources/          photographs, paintings and masks at the sizes of the pictures; plugins as they were
earlier/<hash>/   figure, claims and experiment.yaml of what was asked for before (``harness.driver.earlier``)
"""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from harness.config.experiment import Experiment
from harness.config.kept import CONTENTS, OWNER, kept_plugin
from harness.config.loaded import LoadedExperiment, LoadedSweep
from harness.config.sweep import Sweep
from harness.config.yaml_source import dump_yaml
from harness.driver.earlier import FROM_PYTHON, forget_same, is_same, move_away, read_yaml
from harness.driver.given_files import contents_of
from harness.driver.jobs import Job
from harness.driver.source_images import SourceImages
from harness.errors import StorageError, UsageError
from harness.files import link_to, make_folder, real
from harness.results import Results
from harness.results.grids import CELLS
from harness.results.run import run_of
from harness.runs.store import RunFolder, Status, write_durably
from harness.system import allow_open_files
from harness.tracking.mirror import remove_mirror

SECTIONS = [{OWNER, CONTENTS, *kind.model_fields} - {"profiles"} for kind in (Experiment, Sweep)]
"""What a whole experiment.yaml has."""


class Moved(NamedTuple):
    """Another grid or search that was the folder's own.

    Attributes:
        folder: where its files are kept now.
        replaced: the files that both name, and that held something else then.
    """

    folder: Path
    replaced: Sequence[str]


class ExperimentFolder:
    """The folder of one file's runs.

    Args:
        loaded: the experiment or sweep.
        out: the folder of all experiments' folders.
    """

    def __init__(self, loaded: LoadedExperiment | LoadedSweep, out: Path) -> None:
        self.loaded = loaded
        self.path = out / loaded.name
        self._sources = SourceImages(self.path)

    def check_owner(self) -> None:
        """Refuse a folder that is none, that belongs to another file of the same name, or that does not keep the file.

        Raises:
            UsageError: it is none, it does, or does not.
        """
        for path in (*reversed(self.path.parents), self.path):
            check_place(path)
        home = self.loaded.home
        if home is not None and real(home) != real(self.path):
            raise UsageError(
                f"{self.loaded.called} belongs to the runs in {home}: add --out {shlex.quote(str(home.parent))}, or "
                "--name for a folder of its own."
            )
        data = read_yaml(self.path / "experiment.yaml")
        if not isinstance(data, dict) or "file" not in data:
            return
        owner = Path(data["file"])
        given, inside = real(self.loaded.source), real(self.path)
        is_own = inside in real(owner).parents and inside in given.parents  # mappings, kept as files there
        if owner.exists() and real(owner) != given and not is_own:
            now = given if self.loaded.given is None else "the mapping of that name"
            raise UsageError(
                f"{self.path} holds the runs of {owner}, not of {now}; choose another folder with --out, or another "
                "name with --name."
            )

    @property
    def is_a_sweeps(self) -> bool:
        """Whether the folder holds a sweep while an experiment is loaded: one of its trials, pinned by overrides."""
        data = read_yaml(self.path / "experiment.yaml")
        return isinstance(data, dict) and "space" in data and "space" not in self.loaded.data

    def make(self) -> None:
        """Make the folder itself.

        Raises:
            StorageError: it cannot be made.
        """
        try:
            make_folder(self.path)
        except OSError as error:
            raise StorageError(
                f"{self.path} could not be made ({error.strerror}); choose another folder with --out."
            ) from error

    def open(self, jobs: Sequence[Job]) -> Moved | None:
        """Write experiment.yaml; what belongs to another grid or search of the same file moves to ``earlier/<hash>/``.

        A search with another budget is the same one: it goes on.

        Args:
            jobs: that between them name all its files.

        Returns:
            What was moved, if it was.
        """
        path = self.path / "experiment.yaml"
        contents = contents_of(jobs)
        own = {OWNER: str(real(self.loaded.source)), CONTENTS: contents}
        data = json.loads(json.dumps({**own, **self.loaded.data}))
        before = read_yaml(path)
        is_whole = isinstance(before, dict) and {*before, CONTENTS} in SECTIONS  # a damaged one is written anew
        moved = None
        if is_whole and not is_same(before, data):
            had = before.get(CONTENTS) or {}
            names = [name for name, sha256 in contents.items() if had.get(name, sha256) != sha256]
            moved = Moved(move_away(self.path), names)
        write_durably(path, yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
        self._keep_plugins()
        forget_same(self.path, data)  # last: it may have been all that said what is asked for now
        if self.loaded.given is not None:
            write_durably(self.loaded.source, f"{FROM_PYTHON}\n{dump_yaml(self.loaded.given)}")
        return moved

    def _keep_plugins(self) -> None:
        """Keep what the plugins' files say: they are edited, and no run can be computed again without."""
        for plugin in self.loaded.plugins:
            content, kept = plugin.path.read_bytes(), kept_plugin(self.path, plugin.name, plugin.sha256)
            if not kept.exists() and hashlib.sha256(content).hexdigest() == plugin.sha256:
                make_folder(kept.parent)
                write_durably(kept, content)

    def results_of(self, jobs: Sequence[Job]) -> Results:
        """Runs that are no cells of what the folder holds: one trial of its sweep, pinned by overrides."""
        assert isinstance(self.loaded, LoadedExperiment)
        plugins = self.loaded.experiment.plugins
        runs = tuple(run_of(self.path, self._cell(job), plugins) for job in jobs)
        name, file = self.loaded.name, self.loaded.source
        return Results(self.path, name, self.loaded.experiment, "", None, runs, file, is_part=True)

    def write_cells(self, study: str, storage: str | None, command: str, jobs: Sequence[Job]) -> None:
        """Write cells.json, and the source images that are not there yet.

        Args:
            study: the name of the study.
            storage: as it was given, without its password; None for the folder's journal.
            command: that carries this out again, in this working directory.
            jobs: its runs.
        """
        cells = [self._cell(job) for job in jobs]
        data = {"study": study, "storage": storage, "command": command, "directory": str(Path.cwd()), "cells": cells}
        write_durably(self.path / CELLS, json.dumps(data, indent=1, ensure_ascii=False) + "\n")

    def _cell(self, job: Job) -> dict[str, Any]:
        """What cells.json has of a run, its sources written: what ``run_of`` reads."""
        return {
            "id": job.id,
            "label": dict(job.cell.label),
            "part": job.part,
            "transfer": job.transfer.plain(),
            "overrides": list(job.cell.overrides),
            "folder": str(job.row.folder.relative_to(self.path)),
            "evaluations": job.num_evaluations,
            "sources": self._sources.write(job),
        }


def check_place(path: Path) -> None:
    """Refuse a file in a folder's place, and a link to where no folder can be made, such as a disk that is not mounted.

    Raises:
        UsageError: it is one of these.
    """
    there = real(path)
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file, not a folder; choose another folder with --out, or another --name.")
    if path.is_symlink() and there.is_symlink():
        raise UsageError(f"{path} is a link that leads in a circle; remove it, or choose another folder with --out.")
    if path.is_symlink() and not there.parent.is_dir():
        raise UsageError(
            f"{path} is a link to {there}, and {there.parent} is not there: mount its disk, make that folder, or "
            "choose another with --out."
        )


def link_finished(jobs: Sequence[Job], linked: Mapping[str, Path]) -> None:
    """Link runs that another experiment has finished; links whose run was deleted are taken away.

    Where the file system has no links, they are copied.
    """
    for job in jobs:
        folder = job.row.folder
        if folder.is_symlink() and not folder.exists():
            folder.unlink()
        if job.row.id in linked and not folder.exists():
            make_folder(folder.parent)
            link_to(linked[job.row.id], folder)
            if not folder.is_symlink():
                _make_own(job, folder)


def _make_own(job: Job, folder: Path) -> None:
    """A copied run is this experiment's, so that no mirror takes it for the other's."""
    manifest, own = RunFolder(folder).manifest(), job.row.manifest
    assert manifest is not None
    of_this = replace(manifest, experiment=own.experiment, label=own.label, tracking=own.tracking, token=own.token)
    RunFolder(folder).write_manifest(replace(of_this, trials=()))


def finished_elsewhere(out: Path, job: Job) -> Path | None:
    """The folder of another experiment in which this very run is done."""
    return next(finished_in(out, job.row.id), None)


def finished_in(out: Path, run_id: str) -> Iterator[Path]:
    """The folders, links apart, in which a run is done."""
    for path in sorted(out.glob(f"*/{run_id}")):
        manifest = RunFolder(path).readable_manifest() if path.is_dir() and not path.is_symlink() else None
        if manifest is not None and manifest.status is Status.DONE:
            yield path


@contextmanager
def hold_runs(folders: Sequence[Path]) -> Iterator[None]:
    """Hold the locks of runs' folders, all or none, so that nobody works on them; links are nobody's.

    Raises:
        StorageError: one is in use.
    """
    allow_open_files(len(folders) + 1024)
    with ExitStack() as held:
        for folder in folders:
            if folder.is_dir() and not folder.is_symlink():
                held.enter_context(RunFolder(folder))
        yield


def forget(folders: Sequence[Path]) -> None:
    """Take runs' folders away, all of them or, where one is in use, none; a linked one only loses its link.

    The manifest goes first: a folder that is gone in part is no finished run.

    Raises:
        StorageError: one is in use.
    """
    with hold_runs(folders):
        remove_runs(folders)


def remove_runs(folders: Sequence[Path]) -> None:
    """Take folders away that are held, and what waits of their runs to be uploaded to W&B."""
    for folder in folders:
        remove_mirror(folder)
        if folder.is_symlink():
            folder.unlink()
        elif folder.exists():
            (folder / "manifest.json").unlink(missing_ok=True)
            shutil.rmtree(folder)
