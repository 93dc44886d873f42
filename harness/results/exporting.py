"""Runs as a folder to send to a colleague: pictures, what they were made from, and the command that repeats each.

README.txt             what is here: every run's images by hash, its network, its numbers, its command
LABEL-ID.png           a run's picture
LABEL-ID.yaml          its transfer: ``harness run`` of it, in that folder, is a run of the same id
LABEL-ID.json, .csv    its manifest and its losses
images/, plugins/      the files that it names, as they were
NAME-figure.png …      of an experiment exported whole: its figures, its claims

Nothing in it names the sender's folders, project or database.
"""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.config.commands import harness_command
from harness.config.kept import kept_plugin
from harness.config.methods import is_used
from harness.config.styles import image_slots
from harness.config.transfer_parts import WeightsPath
from harness.config.yaml_source import dump_yaml
from harness.downloads import file_sha256
from harness.errors import ImageError, StorageError, UsageError
from harness.files import real
from harness.images.library import find_image
from harness.registries import is_file
from harness.results.grids import CELLS, grid_above
from harness.results.results import OF_ONE_GRID, Results
from harness.results.run import Run
from harness.runs.store import Manifest
from harness.system import is_running

MAX_LABEL = 60
"""Letters of a label in a file's name; file systems allow 255 bytes."""

PAINTING = re.compile("images/[0-9][0-9]-")
"""What the names of a mixture's files begin with."""

FOLDERS = re.compile(r"(?<![\w.:/~])~?(?:/[^\s/'\"`,;:)\]}]+)+/(?=[^\s/])")
"""The folders of an absolute path in a text."""

OF_FILES = ("content", "style")
"""The fields that name an image by a text alone; ``start`` and ``weights`` say other things that way."""


@dataclass(frozen=True)
class _File:
    """A file that a run's transfer names.

    Attributes:
        given: as the transfer, or the experiment, names it.
        name: in the exported folder.
        source: what is copied there; None where nothing is.
        about: what README.txt says of it.
    """

    given: str
    name: str
    source: Path | None
    about: str


def export_runs(given: Sequence[Results], folder: Path | str) -> Path:
    """Copy finished runs into a new folder, from which each can be looked at, and computed again to the same id.

    Images and plugins are looked for as ``harness run`` looks for them, and are copied where they are what the run was
    made from, by their hashes. Where one is not, README.txt says so, and a photograph or painting is there at the size
    at which it was used. Weights are not copied: README.txt has the network's hash.

    Args:
        given: of one experiment or of several: whole, or those that ``select`` leaves.
        folder: is made, and appears complete or not at all.

    Returns:
        The folder.

    Raises:
        UsageError: the folder is there already, or no run has a picture.
        StorageError: a manifest cannot be read, or something cannot be copied.
    """
    folder = Path(folder)
    _check_new(folder)
    runs: dict[str, tuple[Run, Manifest]] = {}
    for one in given:
        for run in one.all_runs:
            is_meant = run.part != "again" or one.is_part
            if is_meant and run.manifest is not None and run.folder.image_path.exists():
                runs.setdefault(run.id, (run, run.manifest))
    if not runs:
        names = ", ".join(str(one.folder) for one in given)
        raise UsageError(f"No run of {names} has a picture yet, so there is nothing to export; see harness status.")
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.exporting")
    for left in folder.absolute().parent.glob(f".{glob.escape(folder.name)}.*.exporting"):
        number = left.name.split(".")[-2]
        if number.isdigit() and (left.name == temporary.name or not is_running(int(number))):
            shutil.rmtree(left, ignore_errors=True)  # of an export that was killed
    try:
        temporary.mkdir()
        told = [_export(run, manifest, temporary) for run, manifest in runs.values()]
        whole = [_copy_whole(one, temporary) for one in given if not one.is_part]
        (temporary / "README.txt").write_text(
            "\n".join([*_head(len(runs)), *filter(None, whole), "", *told]), encoding="utf-8"
        )
        temporary.rename(folder)
    except OSError as error:
        raise StorageError(
            f"{folder} could not be written ({error.filename or folder}: {error.strerror}); see to that, or name "
            "another folder."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _check_new(folder: Path) -> None:
    if (folder / CELLS).exists() or (folder / "manifest.json").exists():
        raise UsageError(f"{folder} is a folder of runs; name a new folder to export to behind it.")
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder} is there already; name a folder that is not.")
    if not folder.absolute().parent.is_dir():
        raise UsageError(f"There is no folder {folder.parent} to export to; make it, or name another.")


def _head(num_runs: int) -> list[str]:
    return [
        f"{'A picture' if num_runs == 1 else f'{num_runs} pictures'} made with harness, a research harness for neural "
        "style transfer (Gatys, Ecker & Bethge, CVPR 2016).",
        "",
        "*.png is a picture, *.yaml its transfer in full, *.csv its losses by evaluation, *.json how and when it was",
        "computed and what was measured. With the same version of harness, and in this folder, each command below",
        "computes its picture again: a run of the same id where nothing below is said to be missing or another.",
        "",
    ]


def _copy_whole(results: Results, folder: Path) -> str:
    """An experiment's figures and claims, and the line that says so."""
    own = results.name if grid_above(results.folder) is None else f"{results.name}-{results.folder.name}"
    num_before = len([path for path in folder.glob(f"{own}-*figure.png")])
    own += f"-{num_before + 1}" if num_before else ""
    copied = []
    for name in OF_ONE_GRID:
        source, target = results.folder / name, folder / f"{own}-{name}"
        if not source.exists() or target.suffix not in (".png", ".pdf", ".md", ".tex"):
            continue
        if target.suffix in (".md", ".tex"):
            text = _without_folders(source.read_text(encoding="utf-8"), {})
            target.write_text(
                text.replace("{figure.pdf}", f"{{{own}-figure.pdf}}"), encoding="utf-8"
            )  # as LaTeX includes it
        else:
            shutil.copyfile(source, target)
        copied.append(target.name)
    return f"Of {own}: {', '.join(copied)}." if copied else ""


def _export(run: Run, manifest: Manifest, folder: Path) -> str:
    """Copy one run; what README.txt says of it."""
    images, plugins = list(_images(run, manifest)), list(_plugins(run, manifest))
    weights = run.transfer.weights
    if isinstance(weights, WeightsPath):
        images.append(_File(weights.file, f"weights/{Path(weights.file).name}", None, ""))
    # A painting keeps its number, also where the same file is a mask or the start.
    by_place = sorted((*images, *plugins), key=lambda file: PAINTING.match(file.name) is not None)
    names = {file.given: file.name for file in by_place if file.given != file.name}
    label = _renamed(dict(run.label), names)
    stem = f"{_file_name(_without_folders(run.name, names))}-{manifest.id}"
    for file in (*images, *plugins):
        if file.source is not None:
            (folder / file.name).parent.mkdir(exist_ok=True)
            shutil.copyfile(file.source, folder / file.name)
    named = {"plugins": [file.name for file in plugins]} if plugins else {}
    transfer = {name: value for name, value in run.transfer.plain().items() if is_used(run.transfer.method, name)}
    again = harness_command("run", f"{stem}.yaml", devices=run.devices)
    head = f"# Run {run.id}. In this folder: {again}\n"
    (folder / f"{stem}.yaml").write_text(
        head + dump_yaml({**named, "transfer": _renamed(transfer, names)}), encoding="utf-8"
    )
    kept = json.loads(replace(manifest, label=label, tracking={}, trials=()).to_json())
    text = json.dumps(kept, indent=2, ensure_ascii=False)
    (folder / f"{stem}.json").write_text(_without_folders(text, names) + "\n", encoding="utf-8")
    shutil.copyfile(run.folder.image_path, folder / f"{stem}.png")
    if run.folder.history_path.exists():
        shutil.copyfile(run.folder.history_path, folder / f"{stem}.csv")
    contents = {file_sha256(file.source) for file in plugins if file.source is not None}
    about = _about(run, manifest, names, [file.about for file in (*images, *plugins) if file.about], contents)
    return "\n".join([f"{stem}.png", *(f"    {line}" for line in about), f"    {again}", ""])


def _about(
    run: Run, manifest: Manifest, names: Mapping[str, str], files: Sequence[str], plugins: Collection[str]
) -> Iterator[str]:
    """What README.txt says of a run; ``plugins`` are the hashes of those that are exported with it."""
    made = manifest.provenance
    yield _without_folders(f"{run.name}; it {run.status.value}" + (f": {run.reason}" if run.reason else ""), names)
    yield from files
    if network := made["files"].get("weights", {}).get("network"):
        weights = run.transfer.weights
        if isinstance(weights, str):
            yield f"weights: {weights}, network {network}"
        else:
            yield f"weights: {names.get(getattr(weights, 'file', ''), 'see the YAML')}, not here, network {network}"
    versions = ", ".join(f"{name} {made['versions'][name]}" for name in ("harness", "torch", "python"))
    commit = f" (commit {made['commit']})" if made["commit"] else ""
    yield f"made with {versions}{commit}, {made['started']}, on {made['device']}"
    by = {name: manifest.measured_on.get(f"{name}()", "harness") for name in run.metrics}
    other = {name for name, sha256 in by.items() if sha256 != "harness" and sha256 not in plugins}
    told = {name: f" (by another content of its plugin, {by[name][:8]}, not here)" for name in other}
    numbers = [f"{name} {value:.4g}{told.get(name, '')}" for name, value in run.metrics.items() if value is not None]
    yield ", ".join(numbers)


def _images(run: Run, manifest: Manifest) -> Iterator[_File]:
    """What a run was made from.

    A mixture's paintings count in the order of their names, which is that of the sum and part of the id: each new name
    begins with the painting's number.
    """
    for slot, given in image_slots(run.transfer):
        if not is_used(run.transfer.method, slot):
            continue
        sha256 = manifest.provenance["files"][slot]["sha256"]
        order = f"{int(slot.split('.')[1]):02d}-" if re.fullmatch(r"style\.\d+", slot) else ""
        stem, suffix = _file_name(Path(given).stem), Path(given).suffix
        if (source := _original(given, sha256)) is not None:
            name = f"images/{order}{stem}-{sha256[:8]}{source.suffix}"
            yield _File(given, name, source, f"{slot}: {name}, sha256 {sha256}")
        elif slot in run.sources and run.sources[slot].exists():
            name = f"images/{order}{stem}-as_used-{run.sources[slot].stem}.png"
            about = f"{slot}: {name}, as it was used; its own file, sha256 {sha256}, is gone or another by now"
            yield _File(given, name, run.sources[slot], f"{about}: another id")
        else:
            name = f"images/{order}{stem}-{sha256[:8]}{suffix}"
            about = f"{slot}: {name}, sha256 {sha256}, is missing: gone or another by now; put the file there"
            yield _File(given, name, None, about)


def _original(given: str, sha256: str) -> Path | None:
    """The image that a run was made from, where its file is still that."""
    try:
        path = find_image(given)
        return path if file_sha256(path) == sha256 else None
    except (ImageError, OSError):
        return None


def _plugins(run: Run, manifest: Manifest) -> Iterator[_File]:
    """What a run's experiment names; of those that its picture depends on the manifest has the hash."""
    noted = {Path(given).name: sha256 for given, sha256 in manifest.provenance["plugins"].items()}
    for given in run.plugins:
        path = Path(given).expanduser()
        then = noted.get(path.name, "")
        if is_file(given) and (kept := _as_it_was(run, given, [then] if then else _measured_by(manifest))) is not None:
            path = kept
        if not is_file(given):
            yield _File(given, given, None, f"plugin: {given}, of an installed package{then and f', sha256 {then}'}")
        elif not path.is_file():
            name = f"plugins/{Path(given).stem}-{then[:8] or 'missing'}.py"
            yield _File(given, name, None, f"plugin: {name} is missing; put the file there")
        else:
            sha256 = file_sha256(path)
            name = f"plugins/{Path(given).stem}-{sha256[:8]}.py"
            changed = "; it has changed since: another id" if then not in ("", sha256) else ""
            yield _File(given, name, path, f"plugin: {name}, sha256 {sha256}{changed}")


def _measured_by(manifest: Manifest) -> list[str]:
    """The hashes of the plugins whose measures a run has."""
    return [sha256 for key, sha256 in manifest.measured_on.items() if key.endswith("()")]


def _as_it_was(run: Run, given: str, hashes: Sequence[str]) -> Path | None:
    """A plugin's file as it was when it was used, where an experiment's folder kept that."""
    homes = (run.home, real(run.folder.path).parent)
    places = (kept_plugin(home, given, sha256) for sha256 in hashes for home in homes)
    return next((path for path in places if path.is_file()), None)


def _renamed(fields: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """A transfer's fields, or a label, with files by their new names."""
    return {
        field: _deeply(value, names) if field in OF_FILES or not isinstance(value, str) else value
        for field, value in fields.items()
    }


def _deeply(data: Any, names: Mapping[str, str]) -> Any:
    if isinstance(data, Mapping):
        return {names.get(key, key): _deeply(value, names) for key, value in data.items()}
    return names.get(data, data) if isinstance(data, str) else data


def _without_folders(text: str, names: Mapping[str, str]) -> str:
    """A text in which files in folders have their new names, and others none but their own."""
    for given in sorted((given for given in names if "/" in given), key=len, reverse=True):
        text = text.replace(given, names[given])
    return FOLDERS.sub("", text)


def _file_name(text: str) -> str:
    """What an experiment's file may be called: letters, digits, ``_`` and ``-`` of it, at most ``MAX_LABEL``."""
    return re.sub(r"[^A-Za-z0-9-]+", "_", text).strip("_-")[:MAX_LABEL] or "run"
