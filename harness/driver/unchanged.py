"""Whether all that an experiment asks for is done and stands as it was left: then it can be said at once.

A stamp in the experiment's folder has what was asked for, and the size and time of change of what the runs, figures and
claims came from and of what they are, as ``make`` would: images, weights, plugins (not what these import), the
harness's own code; manifests, pictures, histories, figures, claims. Whatever differs sends the command the long way,
which looks at contents. Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import harness
from harness.config.identity import canonical_json
from harness.config.loaded import LoadedExperiment
from harness.downloads import cache_folder
from harness.driver.request import Request
from harness.errors import HarnessError
from harness.files import real
from harness.images.library import find_image
from harness.runs.store import write_durably

STAMP = "unchanged.json"
CHECKED = re.compile(r"auto|cpu(:\d+)?")
"""Devices of which no machine need be asked."""

PACKAGES = ("torch", "numpy", "scipy", "matplotlib", "pillow", "scikit-image")
"""Whose versions show in pictures and figures."""

OF_FOLDER = ("cells.json", "experiment.yaml", "study.journal", "claims.json", "claims.md")


def write_stamp(
    request: Request, loaded: LoadedExperiment, asked: str, runs: Sequence[Path], drawn: Sequence[Path]
) -> None:
    """Note how things stand, all runs being done; nothing, where what they came from has changed meanwhile.

    Args:
        request: what was asked for.
        loaded: its experiment.
        asked: ``what_is_asked``, of before it was carried out.
        runs: the folders of its runs.
        drawn: its figures.
    """
    folder = request.out / loaded.name
    named = ("manifest.json", "transfer.yaml", "image.png", "history.csv")
    of_runs = [run / name for run in runs for name in named]
    there = _files([*drawn, *of_runs, *(folder / "sources").glob("*")])
    if None in there.values() or asked != what_is_asked(request, loaded):
        return
    files = {**there, **_files(folder / name for name in OF_FOLDER)}
    stamp = {"asked": asked, "files": files, "drawn": [str(path) for path in drawn]}
    write_durably(folder / STAMP, json.dumps(stamp, indent=1) + "\n")


def figures_if_unchanged(request: Request, loaded: LoadedExperiment) -> list[Path] | None:
    """The figures of an experiment of which nothing is left to do; None where there may be something."""
    says_more = request.fresh or request.storage or request.id or request.engine != "local"
    if says_more or not CHECKED.fullmatch(request.devices):
        return None
    try:
        stamp = json.loads((request.out / loaded.name / STAMP).read_text(encoding="utf-8"))
        same = stamp["asked"] == what_is_asked(request, loaded) and stamp["files"] == _files(map(Path, stamp["files"]))
        return [Path(path) for path in stamp["drawn"]] if same else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


CODE = (".py", ".safetensors", ".html", ".css", ".js")
"""What of this package decides what is computed and written."""


def what_is_asked(request: Request, loaded: LoadedExperiment) -> str:
    """A hash of all that decides what the runs, figures and claims are, and of the code that makes them."""
    transfers = [cell.transfer.plain() for cell in (*loaded.cells, *loaded.repeats, *loaded.again)]
    named = {name: _image(name) for name in sorted(set(_texts(transfers)))}
    package = Path(harness.__file__).parent
    code = _files(path for path in package.rglob("*") if path.suffix in CODE)
    images = _files(path for path in named.values() if path)
    fetched = _files((cache_folder() / "weights").glob("*"))
    places = {name: str(path) for name, path in named.items()}
    plugins = _files(Path(plugin.path) for plugin in loaded.plugins)
    asked = [loaded.data, transfers, str(real(loaded.source)), str(real(request.out))]
    versions = [version(package) for package in PACKAGES]
    text = canonical_json([*asked, code, images, fetched, places, plugins, versions])
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()  # names of files need not be UTF-8


def _texts(value: Any) -> Iterator[str]:
    """Every text in what a transfer says: names of images and files are among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)


def _image(name: str) -> Path | None:
    try:
        return find_image(name)
    except HarnessError:
        return Path(name) if Path(name).is_file() else None


def _files(paths: Iterable[Path]) -> dict[str, list[int] | None]:
    """Size and time of change of each; None of one that is not there."""
    found: dict[str, list[int] | None] = {}
    for path in paths:
        try:
            stat = path.stat()
            found[str(path)] = [stat.st_size, stat.st_mtime_ns]
        except OSError:
            found[str(path)] = None
    return found
