"""What files are called beside each other in tables and figures: by stem, or by as much of the path as it takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

FILE = "file"
"""Behind it stands a path: ``start: {file: …}``, ``weights: {file: …}``, ``start.file``."""


def short_names(given: Iterable[str]) -> dict[str, str]:
    """A name for every path: ``photos/cat.jpg`` is ``cat``, beside ``old/cat.jpg`` it is ``photos/cat``.

    Names of bundled images stay as they are.
    """
    alike: dict[str, list[str]] = {}
    for path in dict.fromkeys(given):
        alike.setdefault(PurePath(path).stem, []).append(path)
    return {path: name for paths in alike.values() for path, name in zip(paths, _apart(paths), strict=True)}


def _apart(paths: list[str]) -> list[str]:
    """The shortest ends of paths of one stem that differ, without their suffixes where these are not needed."""
    parts = [PurePath(path).parts for path in paths]
    for num_folders in range(max(map(len, parts))):
        for name in ("stem", "name"):
            ends = [
                "/".join((*own[:-1][-num_folders or len(own) :], getattr(PurePath(own[-1]), name))) for own in parts
            ]
            if len(set(ends)) == len(ends):
                return ends
    return paths


class FileNames:
    """The names of what labels, or transfers' fields, name beside each other.

    Args:
        labels: fields with their values; what is no file is left alone.
    """

    def __init__(self, labels: Iterable[Mapping[str, Any]]) -> None:
        found: dict[str, list[str]] = {}
        for label in labels:
            for field, value in label.items():
                found.setdefault(field, []).extend(_paths(field, value))
        self._names = {field: short_names(paths) for field, paths in found.items()}

    @property
    def longer(self) -> dict[str, str]:
        """The paths whose names are more than their stems, with these."""
        named = ((path, name) for names in self._names.values() for path, name in names.items())
        return {path: name for path, name in named if name != PurePath(path).stem}

    def of(self, field: str, value: Any) -> Any:
        """A field's value, its files by their names."""
        names = self._names.get(field, {})
        if isinstance(value, str) and _paths(field, value):
            return names.get(value, value)
        if isinstance(value, Mapping) and isinstance(value.get(FILE), str):
            return {**value, FILE: names.get(value[FILE], value[FILE])}
        if field == "style" and isinstance(value, Mapping):
            return {names.get(image, image): part for image, part in value.items()}
        return value

    def label(self, label: Mapping[str, Any]) -> dict[str, Any]:
        """A label, its files by their names."""
        return {field: self.of(field, value) for field, value in label.items()}


def _paths(field: str, value: Any) -> list[str]:
    """The paths, or images' names, that a field's value is."""
    if isinstance(value, str):
        return [value] if field in ("content", "style") or field.endswith(f".{FILE}") else []
    if isinstance(value, Mapping):
        if isinstance(value.get(FILE), str):
            return [value[FILE]]
        return list(value) if field == "style" else []
    return []
