"""What an experiment or a sweep is given as: a file, a name, a mapping as the YAML would be, or a definition."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.config.experiment import Experiment
from harness.config.kept import home_of, where_it_is
from harness.config.places import FieldPath, Located
from harness.config.shipped import find_file, shipped
from harness.config.source import NAME, Source, over_base, read_source
from harness.config.sweep import Sweep
from harness.errors import Fault, UsageError

Spec = str | os.PathLike[str] | Mapping[str, Any] | Experiment | Sweep
"""A file, the name of one that comes with the harness, a mapping as the YAML would be, or a definition."""

CALLED = "mapping"
"""What a mapping without a name is called in faults."""

MAX_DEPTH = 50
"""Levels of a mapping; one that holds itself has more."""


def read_spec(spec: Spec, name: str | None = None, out: Path = Path("runs")) -> Source:
    """The data of an experiment or a sweep, and where each field stands.

    Args:
        spec: what was given.
        name: of the runs' folder; None for the file's, or the mapping's key ``name``.
        out: the folder of all runs' folders, in which a mapping is kept as ``NAME/NAME.yaml``.

    Raises:
        ConfigError: it is no such thing, or cannot be read.
        UsageError: it is none of these, or ``name`` is none of a folder.
    """
    if isinstance(spec, Experiment | Sweep):
        spec = spec.model_dump(mode="json", exclude_none=True)
    if isinstance(spec, Mapping):
        return _read_mapping(spec, name, out)
    if not isinstance(spec, str | os.PathLike):
        raise UsageError(
            f"An experiment or a sweep is a file, the name of one that comes with the harness, a mapping, or an "
            f"Experiment or Sweep of harness.config; got {type(spec).__name__}."
        )
    if name is not None and not (isinstance(name, str) and re.fullmatch(NAME, name)):
        raise UsageError(f"name {name!r}: it names the folder of the runs; letters, digits, _ and - are allowed.")
    path = where_it_is(find_file(spec))
    is_named = path != Path(spec) and path == shipped().get(str(spec))
    source = replace(read_source(path), called=str(spec if is_named else path), name=name or "")
    if source.owner is None:
        return source
    home = home_of(path)
    own = Path(os.path.abspath(home)).name
    return replace(source, path=source.owner, name=name or own, home=home if name in (None, own) else None)


def _read_mapping(spec: Mapping[str, Any], name: str | None, out: Path) -> Source:
    """A mapping as a source: in place of lines, faults have its name."""
    named = spec.get("name") if name is None else name
    called = named if isinstance(named, str) and named else CALLED
    faults: list[Fault] = []
    located = Located(called)
    data = _plain({key: value for key, value in spec.items() if key != "name"}, (), located, faults)
    if named is None:
        faults.append(
            Fault(called, "name", "is missing: its runs' folder has that name; give it as a key, or as name=")
        )
    elif not isinstance(named, str) or not re.fullmatch(NAME, named):
        faults.append(
            Fault(called, "name", f"got {named!r}; it names the folder of its runs: letters, digits, _ and -")
        )
    path = out / called / f"{called}.yaml"
    source = over_base(Source(path, data, located, tuple(faults)), Path())
    return replace(source, called=str(path), is_given=True)


def _plain(value: Any, path: FieldPath, located: Located, faults: list[Fault]) -> Any:
    """What YAML would have read: numbers of numpy as Python's, tuples as lists, paths as texts."""
    profile = f", profiles.{path[1]}" if path[:1] == ("profiles",) and len(path) > 1 else ""
    located.places[path] = f"{located.document}{profile}"
    if len(path) > MAX_DEPTH:
        faults.append(Fault(located.document, ".".join(path[:3]), "is nested too deeply to be a configuration"))
        return None
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json", exclude_none=True)
    elif hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(inner, (*path, str(key)), located, faults) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, (*path, str(k)), located, faults) for k, inner in enumerate(value)]
    if isinstance(value, os.PathLike):
        return str(value)
    if value is None or type(value) in (bool, int, float, str):
        return value
    sentence = "allowed is what YAML can say: a number, a text, true, false, null, a list or a mapping"
    faults.append(located.fault(path, f"got a value of type {type(value).__name__}; {sentence}"))
    return None
