"""The experiments and sweeps that come with the harness, by name: ``relative_weight``, ``pareto``.

``harness/shipped`` links to ``experiments/`` and ``sweeps/`` of the source tree; a wheel holds copies of their files.
"""

from __future__ import annotations

import os
from pathlib import Path

from harness.config.fields import nearest
from harness.errors import ConfigError, Fault

FOLDERS = tuple(Path(__file__).parents[1] / "shipped" / kind for kind in ("experiments", "sweeps"))


def shipped() -> dict[str, Path]:
    """Name to file, experiments first; the path is short where it lies below the working directory."""
    found = {path.stem: path for folder in FOLDERS for path in sorted(folder.glob("*.yaml"))}
    short = {name: os.path.relpath(path) for name, path in found.items()}
    return {name: path if short[name].startswith("..") else Path(short[name]) for name, path in found.items()}


def unknown_shipped(name: str) -> str:
    """The sentence about a name that no file and nothing shipped has."""
    close = nearest(name, shipped())
    meant = f"did you mean {close}? There are" if close else "there are"
    return f"neither a file nor an experiment or sweep that comes with the harness; {meant} {', '.join(shipped())}"


def find_file(given: str | os.PathLike[str]) -> Path:
    """The file that is meant: as it is given, ``NAME.yaml`` in the working directory, or the shipped one of that name.

    Raises:
        ConfigError: a bare name that is none of them.
    """
    path = Path(given)
    if path.suffix or len(path.parts) != 1 or path.is_file():
        return path
    if (beside := path.with_suffix(".yaml")).is_file():
        return beside
    if (found := shipped().get(str(path))) is not None:
        return found
    if path.exists():
        return path  # a folder, which gets its own sentence
    raise ConfigError([Fault(str(path), "", f"is {unknown_shipped(str(path))}")])
