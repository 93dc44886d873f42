"""The explorer with its pictures in one file, to send to somebody who has no harness."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from harness.errors import StorageError, UsageError
from harness.figures.explorer.contents import contents
from harness.figures.explorer.page import page, relative_href
from harness.results import Results
from harness.results.exporting import FOLDERS
from harness.results.results import EXPLORER

HREFS = ("folder", "files", "sources")
"""What the page's data has that names files; relative, as they are."""


def export_explorer(given: Sequence[Results], path: Path | str) -> Path:
    """Write a ZIP file with a folder for each of some experiments or sweeps: ``explore.html`` and all its pictures.

    Nothing in it names the sender's folders.

    Args:
        given: whole, or what ``select`` leaves of them.
        path: ends in ``.zip``; the file appears complete or not at all.

    Returns:
        The file.

    Raises:
        UsageError: it is there already, there is no folder for it, or no run has a picture.
        StorageError: something cannot be read or written.
    """
    path = Path(path)
    if path.exists() or path.is_symlink():
        raise UsageError(f"{path} is there already; name a file that is not.")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"There is no folder {path.parent} to export to; make it, or name another.")
    if not any(run.folder.image_path.exists() for results in given for run in results.all_runs):
        names = ", ".join(str(results.folder) for results in given)
        raise UsageError(f"No run of {names} has a picture yet, so there is nothing to export; see harness status.")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with zipfile.ZipFile(temporary, "x", strict_timestamps=False) as file:
            for results, name in zip(given, _names(given), strict=True):
                _add(file, results, name)
        temporary.replace(path)
    except OSError as error:
        raise StorageError(
            f"{path} could not be written ({error.filename or path}: {error.strerror}); see to that, or name another "
            "file."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()
    return path


def _names(given: Sequence[Results]) -> Iterator[str]:
    """A folder for each: the experiment's name, numbered from the second of one name on."""
    taken: dict[str, int] = {}
    for results in given:
        taken[results.name] = taken.get(results.name, 0) + 1
        yield results.name + (f"-{taken[results.name]}" if taken[results.name] > 1 else "")


def _add(file: zipfile.ZipFile, results: Results, name: str) -> None:
    def href(path: Path) -> str:
        """Below the page, also of an earlier grid, whose runs lie above it."""
        return re.sub(r"^(\.\./)+", "", relative_href(path, results.folder))

    data = _without_folders(contents(replace(results, command=""), href))  # no --out, no --storage of the sender's
    file.writestr(f"{name}/{EXPLORER}", page(data), zipfile.ZIP_DEFLATED)
    paths = [results.folder / each for each in data["files"]]
    for run in results.all_runs:
        paths += [run.folder.image_path, *run.folder.iterates().values(), *run.sources.values()]
    for path in dict.fromkeys(paths):
        if path.exists():  # PNGs are compressed already
            file.write(path, f"{name}/{unquote(href(path))}")


def _without_folders(data: Any) -> Any:
    """The same data, in whose texts files in folders have none but their names."""
    if isinstance(data, Mapping):
        return {key: value if key in HREFS else _without_folders(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_without_folders(value) for value in data]
    return FOLDERS.sub("", data) if isinstance(data, str) else data
