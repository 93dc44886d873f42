"""An experiment and a sweep once they are read: what they say, where from, and where each field stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.config.cells import Cell, override_words
from harness.config.commands import FileCommand
from harness.config.experiment import Experiment
from harness.config.fields import set_fields
from harness.config.places import FieldPath, Located
from harness.config.sentences import problems
from harness.config.sweep import Sweep
from harness.config.transfer import Transfer
from harness.errors import ConfigError, Fault
from harness.registries import Plugin


@dataclass(frozen=True)
class LoadedFile:
    """A file, or what was given in place of one.

    Attributes:
        name: the file's stem, or what ``--name`` says; its runs lie in ``<out>/<name>``.
        source: the file.
        called: how a command names it: its path, or the name of one that comes with the harness.
        given: of a mapping, what ``source`` is to say once there are runs; None of a file, which is there.
        located: where each field was written.
        data: the resolved definition as plain data with all defaults, without profiles (``experiment.yaml``).
        plugins: those it names, as they were loaded.
        home: of an ``experiment.yaml`` that a folder of runs keeps, that folder; None of any other file.
    """

    name: str
    source: Path
    called: str
    given: Mapping[str, Any] | None
    located: Located
    data: Mapping[str, Any]
    plugins: tuple[Plugin, ...]
    home: Path | None

    def fault(self, cell: Cell, field: str | FieldPath, message: str) -> Fault:
        """A fault found later (an image that is not there, …) in a field of a cell's transfer: dotted, or its path."""
        return self.located.fault(cell.path(field), message)

    def command(self, cell: Cell, out: Path, storage: str | None, id: str) -> str:
        """The shell command that carries out one cell; the others as of ``harness_command``."""
        return str(FileCommand("run", self.called, cell.overrides, None, out, storage, self.own_name, id=id))

    @property
    def own_name(self) -> str | None:
        """Its name where that is not the file's."""
        return None if self.home is not None or self.name == self.source.stem else self.name


@dataclass(frozen=True)
class LoadedExperiment(LoadedFile):
    """An experiment as it was asked for.

    Attributes:
        experiment: file, profile and overrides together.
        cells: every cell; its ``overrides`` are relative to the file alone.
        repeats: cells of the grid from other seeds, for the claims.
        again: cells of the grid to be computed a second time as they are.
    """

    experiment: Experiment
    cells: tuple[Cell, ...]
    repeats: tuple[Cell, ...]
    again: tuple[Cell, ...]


@dataclass(frozen=True)
class LoadedSweep(LoadedFile):
    """A sweep as it was asked for.

    Attributes:
        sweep: file, profile and overrides together.
        file_transfer: the transfer that the file alone says; None where that is none by itself.
        file_space: the dotted fields that the file alone searches.
    """

    sweep: Sweep
    file_transfer: Transfer | None
    file_space: tuple[str, ...]

    def cell(self, fields: Mapping[str, Any], label: Mapping[str, Any]) -> Cell:
        """The transfer in which the fields of the space have these values, with the words that repeat it.

        Args:
            fields: a value for each field of the space, such as ``fields_of(sweep.space, trial.params)``.
            label: what sets it apart.

        Raises:
            ConfigError: they make no valid transfer.
        """
        try:
            transfer = Transfer.model_validate(set_fields(self.sweep.base(), fields))
        except ValidationError as error:
            raise ConfigError(
                [self.located.fault(("space", *problem.path), problem.message) for problem in problems(error, Transfer)]
            ) from error
        words = override_words(transfer, self.file_transfer, self.file_space)
        return Cell(dict(label), transfer, {field: ("space", field) for field in fields}, words)
