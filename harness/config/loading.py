"""Read an experiment: file, then profile, then overrides, with every fault in one report."""

from __future__ import annotations

import copy
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.config.experiment import CASES, Experiment, grid_problems
from harness.config.fields import unknown_name
from harness.config.grid import Cell, override_words
from harness.config.located import Located
from harness.config.overrides import SECTIONS, Overrides, fields_of, merge_profile
from harness.config.reading import Source, read_source
from harness.config.sentences import GRID, Problem, problems
from harness.config.transfer import Transfer
from harness.errors import ConfigError, Fault


@dataclass(frozen=True)
class Loaded:
    """An experiment as it was asked for.

    Attributes:
        experiment: file, profile and overrides together.
        name: the file's stem; its runs lie in ``<out>/<name>``.
        source: the file.
        cells: every cell; its ``overrides`` are relative to the file alone.
        located: where each field was written.
        data: the resolved experiment as plain data with all defaults, without profiles (``experiment.yaml``).
    """

    experiment: Experiment
    name: str
    source: Path
    cells: tuple[Cell, ...]
    located: Located
    data: Mapping[str, Any]

    def fault(self, cell: Cell, field: str, message: str) -> Fault:
        """A fault found later (an image that is not there, …) in a dotted field of a cell's transfer."""
        return self.located.fault(cell.path(field), message)

    def command(self, cell: Cell) -> str:
        """The shell command that carries out one cell."""
        return shlex.join(["harness", "run", str(self.source), *cell.overrides])


def load_experiment(
    path: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    profile: str | None = None,
    fault_of_image: Callable[[str], str | None] = lambda name_or_path: None,
) -> Loaded:
    """Read and check an experiment.

    Paths of images and weights are kept as they are given, relative to the working directory. The profiles that were
    not asked for are checked as well.

    Args:
        path: a YAML file.
        overrides: ``key=value`` words, applied from left to right after the profile.
        profile: one of the file's profiles.
        fault_of_image: what is wrong with an image, if anything; asked only where there are other faults, so that
            one report has them all (a sound experiment's images are read and hashed later).

    Raises:
        ConfigError: with every fault found, by line, those of overrides last.
    """
    source = read_source(Path(path))
    profiles = {name: part for name, part in _mapping(source.data.get("profiles")).items() if isinstance(part, dict)}
    faults = list(source.faults)
    if profile is not None and profile not in profiles:
        faults.append(Fault(f"--profile {profile}", "", unknown_name(profile, profiles, "profile")))
        profile = None
    experiment, located, found = _resolve(source, profile, overrides, fault_of_image)
    unread = {(fault.where, fault.field) for fault in source.faults}  # values that YAML could not give
    faults += [fault for fault in found if (fault.where, fault.field) not in unread]
    for other in profiles:
        if other != profile:
            places = {place for known, place in source.located.places.items() if known[:2] == ("profiles", other)}
            faults += [fault for fault in _resolve(source, other, ())[2] if fault.where in places]
    if faults or experiment is None:
        raise ConfigError(sorted(dict.fromkeys(_without_renamed(faults)), key=_line))
    return Loaded(
        experiment=experiment,
        name=source.path.stem,
        source=source.path,
        cells=_cells(experiment, source.data),
        located=located,
        data=experiment.model_dump(mode="json", exclude={"profiles"}),
    )


def _without_renamed(faults: Sequence[Fault]) -> list[Fault]:
    """The faults without those that say a field is missing where another says that it is there under another name."""
    meant = {match[1] for fault in faults if (match := re.search(r"did you mean (\w+)\?", fault.message))}
    return [f for f in faults if not (f.message.startswith("is missing") and f.field.rpartition(".")[2] in meant)]


def _image_faults(
    data: Mapping[str, Any], located: Located, fault_of_image: Callable[[str], str | None]
) -> list[Fault]:
    """What is wrong with the images that the base and the axes name."""
    named: list[tuple[tuple[str, ...], Any]] = []
    for side in ("content", "style"):
        values = _mapping(data.get("axes")).get(side)
        named.append((("transfer", side), _mapping(data.get("transfer")).get(side)))
        named += [(("axes", side, str(i)), value) for i, value in enumerate(values if isinstance(values, list) else [])]
    faults = [(path, fault_of_image(value)) for path, value in named if isinstance(value, str) and value]
    return [located.fault(path, sentence) for path, sentence in faults if sentence]


def _resolve(
    source: Source,
    profile: str | None,
    words: Sequence[str],
    fault_of_image: Callable[[str], str | None] = lambda name_or_path: None,
) -> tuple[Experiment | None, Located, list[Fault]]:
    """The experiment with one profile and the overrides, where its fields stand, and everything wrong with it."""
    data, located = copy.deepcopy(source.data), source.located.copy()
    for section in {*SECTIONS, "profiles"} - {"transfer"}:
        if section in data and data[section] is None:  # all its lines are commented out
            del data[section]
    varied_before = _varies(data)
    if profile is not None:
        merge_profile(data, located, profile)
        varied_before |= _varies(data)
    overrides = Overrides(data, located)
    for word in words:
        overrides.apply(word)
    overrides.finish()
    _forget_pinned(data, varied_before)
    try:
        return Experiment.model_validate(data), located, overrides.faults
    except ValidationError as error:
        found = list(problems(error, Experiment))
        if error.errors()[0]["type"] != GRID:
            found += _hidden_problems(data, found)
        faults = overrides.faults + [located.fault(problem.path, problem.message) for problem in found]
        return None, located, faults + _image_faults(data, located, fault_of_image)


def _varies(data: Mapping[str, Any]) -> set[str]:
    """What a figure may name: the axes, and the cases if there are any."""
    return {*_mapping(data.get("axes")), *((CASES,) if data.get("cases") else ())}


def _forget_pinned(data: dict[str, Any], varied_before: set[str]) -> None:
    """Let the figure forget an axis that overrides have pinned or taken away."""
    gone = varied_before - _varies(data)
    if isinstance(figure := data.get("figure"), dict):
        data["figure"] = {
            key: value
            for key, value in figure.items()
            if not (key in ("columns", "rows") and isinstance(value, str) and value in gone)
        }


def _hidden_problems(data: Mapping[str, Any], found: Sequence[Problem]) -> list[Problem]:
    """What pydantic did not get to, because some field is faulty: faults between fields, in cells, in the figure."""
    faulty = {problem.path[1] for problem in found if problem.path[0] == "transfer" and len(problem.path) > 1}
    base = {"content": "astronaut", "style": "astronaut"} | {
        field: value for field, value in _mapping(data.get("transfer")).items() if field not in faulty
    }
    hidden: list[Problem] = []
    while True:
        try:
            Transfer.model_validate(base)
            break
        except ValidationError as error:
            between = list(problems(error, Transfer))
            if not any(problem.involved for problem in between):
                return hidden
            for problem in between:
                if not faulty.intersection(problem.involved):
                    hidden.append(Problem(("transfer", *problem.path), problem.message))
                base = {field: value for field, value in base.items() if field not in problem.involved}
                faulty.update(problem.involved)
    axes = {
        field: values for field, values in _mapping(data.get("axes")).items() if isinstance(values, list) and values
    }
    cases = {label: case for label, case in _mapping(data.get("cases")).items() if isinstance(case, dict)}
    unsound = {problem.path[0] for problem in found} & {"axes", "cases"}  # then the figure cannot be judged
    figure = {} if unsound else _mapping(data.get("figure"))
    columns, rows = (name if isinstance(name := figure.get(side), str) else None for side in ("columns", "rows"))
    faulty -= set(axes)
    return hidden + [
        problem
        for problem in grid_problems(base, axes, cases, columns, rows)
        if not faulty.intersection(problem.involved)
    ]


def _cells(experiment: Experiment, file_data: Mapping[str, Any]) -> tuple[Cell, ...]:
    """The cells, with the words that make each of them from the file alone."""
    try:
        base = Transfer.model_validate(file_data.get("transfer"))
    except ValidationError:
        base = None
    fields = fields_of(file_data.get("axes"), file_data.get("cases"))
    return tuple(replace(cell, overrides=override_words(cell.transfer, base, fields)) for cell in experiment.cells())


def _line(fault: Fault) -> float:
    """Sort key: the line in the file; overrides after it."""
    line = re.search(r":(\d+)\Z", fault.where)
    return int(line.group(1)) if line and not fault.where.startswith("override ") else float("inf")


def _mapping(value: Any) -> dict[str, Any]:
    """A mapping as it is, anything else as an empty one (it is reported elsewhere)."""
    return value if isinstance(value, dict) else {}
