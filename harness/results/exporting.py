"""Runs as a folder to send to a colleague: pictures, what they were made from, and the command that repeats each.

README.txt             what is here: every run's images by hash, its network, its numbers, its command
LABEL-ID.png           a run's picture
LABEL-ID.yaml          its transfer: ``harness run`` of it, in that folder, is a run of the same id
LABEL-ID.json, .csv    its manifest and its losses
images/, plugins/      the files that it names, as they were
NAME-figure.png …      of an experiment exported whole: its figures, its claims
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.config.styles import image_slots
from harness.config.yaml_source import dump_yaml
from harness.errors import ImageError, StorageError, UsageError
from harness.images.files import image_hash
from harness.images.library import find_image
from harness.results.results import Results
from harness.results.run import Run
from harness.runs.store import Manifest

OF_A_WHOLE = ("figure.png", "figure.pdf", "curves.png", "front.png", "front.pdf", "search.png", "claims.md")
"""Of an experiment's or a sweep's folder."""

MAX_LABEL = 60
"""Letters of a label in a file's name; file systems allow 255 bytes."""


def export_runs(results: Results | Sequence[Results], folder: Path | str) -> Path:
    """Copy finished runs into a new folder, from which each can be looked at, and computed again to the same id.

    Images and plugins are looked for as ``harness run`` looks for them, and are copied where they are what the run was
    made from, by their hashes. Where one is not, README.txt says so, and a photograph or painting is there at the size
    at which it was used. Weights are not copied: README.txt has the network's hash.

    Args:
        results: of one experiment or of several: whole, or those that ``select`` leaves.
        folder: is made, and appears complete or not at all.

    Returns:
        The folder.

    Raises:
        UsageError: the folder is there already, or no run has a picture.
        StorageError: a manifest cannot be read, or something cannot be written.
    """
    given, folder = [results] if isinstance(results, Results) else list(results), Path(folder)
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder} is there already; name a folder that is not, or remove it first.")
    runs = {run.id: (one, run) for one in given for run in one.all_runs if run.part != "again" and _has_picture(run)}
    if not runs:
        names = ", ".join(str(one.folder) for one in given)
        raise UsageError(f"No run of {names} has a picture yet, so there is nothing to export; see harness status.")
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    try:
        (temporary / "images").mkdir(parents=True)
        told = [_export(run, one, temporary) for one, run in runs.values()]
        whole = [line for one in given if not one.is_part for line in _copy_whole(one, temporary)]
        (temporary / "README.txt").write_text("\n".join([*_head(len(runs)), *whole, "", *told]))
        if not any((temporary / "images").iterdir()):
            (temporary / "images").rmdir()
        temporary.rename(folder)
    except OSError as error:
        raise StorageError(
            f"{folder} could not be written ({error.strerror or error}); free some space, or name another folder."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _has_picture(run: Run) -> bool:
    return run.manifest is not None and run.folder.image_path.exists()


def _head(num_runs: int) -> list[str]:
    return [
        f"{'A picture' if num_runs == 1 else f'{num_runs} pictures'} made with harness, a research harness for neural "
        "style transfer (Gatys, Ecker & Bethge, CVPR 2016).",
        "",
        "*.png is a picture, *.yaml its transfer in full, *.csv its losses by evaluation, *.json how and when it was",
        "computed and what was measured. With harness installed, and in this folder, each command below computes its",
        "picture again: a run of the same id.",
        "",
    ]


def _copy_whole(results: Results, folder: Path) -> list[str]:
    """An experiment's figures and claims, and the line that says so."""
    there = [name for name in OF_A_WHOLE if (results.folder / name).exists()]
    for name in there:
        shutil.copyfile(results.folder / name, folder / f"{results.name}-{name}")
    kind = "sweep" if results.is_sweep else "experiment"
    copied = f": {', '.join(f'{results.name}-{name}' for name in there)}" if there else ""
    return [f"Of the {kind} {results.name}, by {results.command}{copied}."]


def _export(run: Run, results: Results, folder: Path) -> str:
    """Copy one run; what README.txt says of it."""
    manifest = run.manifest
    assert manifest is not None
    stem = f"{_file_name(run.name)}-{run.id}"
    names, images = _copy_images(run, manifest, folder)
    plugins, about_plugins = _copy_plugins(run, folder)
    transfer = _renamed(run.transfer.plain(), names)
    head = f"# {run.name}, run {run.id} of {results.name}.\n# In this folder: harness run {stem}.yaml\n"
    (folder / f"{stem}.yaml").write_text(
        head + dump_yaml({**({"plugins": plugins} if plugins else {}), "transfer": transfer})
    )
    shutil.copyfile(run.folder.image_path, folder / f"{stem}.png")
    shutil.copyfile(run.folder.path / "manifest.json", folder / f"{stem}.json")
    if run.folder.history_path.exists():
        shutil.copyfile(run.folder.history_path, folder / f"{stem}.csv")
    provenance = manifest.provenance
    made = ", ".join(f"{name} {provenance['versions'][name]}" for name in ("harness", "torch", "python"))
    numbers = [f"{name} {value:.4g}" for name, value in run.metrics.items() if value is not None]
    lines = [
        f"{stem}.png",
        f"    {run.name}; it {run.status.value}" + (f": {run.reason}" if run.reason else ""),
        *(f"    {line}" for line in (*images, *about_plugins)),
        f"    made with {made}, {provenance['started']}, on {provenance['device']}",
        *([f"    {', '.join(numbers)}"] if numbers else []),
        f"    harness run {stem}.yaml",
        "",
    ]
    return "\n".join(lines)


def _copy_images(run: Run, manifest: Manifest, folder: Path) -> tuple[dict[str, str], list[str]]:
    """Copy what a run was made from: the new names by slot, and a line about each for README.txt."""
    names: dict[str, str] = {}
    told: list[str] = []
    files: Mapping[str, Mapping[str, str]] = manifest.provenance["files"]
    for slot, given in image_slots(run.transfer):
        sha256 = files.get(slot, {}).get("sha256", "")
        source, is_as_used = _original(given, sha256), False
        if source is None and slot in run.sources and run.sources[slot].exists():
            source, is_as_used = run.sources[slot], True
        if source is None:
            told.append(f"{slot}: {Path(given).name}, sha256 {sha256}; not here: its file is gone or another by now")
            continue
        # A mixture's paintings count in the order of their names, which is that of the sum and part of the id.
        order = f"{int(slot.split('.')[1]):02d}-" if slot.startswith("style.") else ""
        stem = _file_name(Path(given).stem)
        names[slot] = f"images/{order}{stem}-{(image_hash(source) if is_as_used else sha256)[:8]}{source.suffix}"
        shutil.copyfile(source, folder / names[slot])
        of_another = "; its file is gone or another by now: this is it as it was used, and gives another id"
        told.append(f"{slot}: {names[slot]}, sha256 {sha256}{of_another if is_as_used else ''}")
    if network := files.get("weights", {}).get("network"):
        weights = run.transfer.weights
        told.append(f"weights: {weights if isinstance(weights, str) else weights.model_dump()}, network {network}")
    return names, told


def _original(given: str, sha256: str) -> Path | None:
    """The file that a run was made from, where it still is that."""
    try:
        path = find_image(given)
        return path if image_hash(path) == sha256 else None
    except ImageError:
        return None


def _copy_plugins(run: Run, folder: Path) -> tuple[list[str], list[str]]:
    names: list[str] = []
    told: list[str] = []
    for given in run.plugins:
        path = Path(given).expanduser()
        if path.suffix != ".py":  # an installed package's
            names.append(given)
            told.append(f"plugin: {given}, to be installed")
        elif path.is_file():
            (folder / "plugins").mkdir(exist_ok=True)
            shutil.copyfile(path, folder / "plugins" / path.name)
            names.append(f"plugins/{path.name}")
            told.append(f"plugin: plugins/{path.name}, sha256 {image_hash(path)}")
        else:
            names.append(given)
            told.append(f"plugin: {given}; not here: the file is gone")
    return names, told


def _renamed(data: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """A transfer's plain data with its images by their new names."""
    transfer = dict(data)
    if "content" in names:
        transfer["content"] = names["content"]
    if isinstance(data["style"], str):
        transfer["style"] = names.get("style", data["style"])
    else:
        transfer["style"] = {
            names.get(f"style.{k}", image): {
                key: names.get(f"style.{k}.{key}", value) if isinstance(value, str) else value
                for key, value in part.items()
            }
            for k, (image, part) in enumerate(data["style"].items())
        }
    if data.get("segmentation"):
        sides = data["segmentation"].items()
        transfer["segmentation"] = {side: names.get(f"segmentation.{side}", given) for side, given in sides}
    if "start" in names:
        transfer["start"] = {**data["start"], "file": names["start"]}
    return transfer


def _file_name(text: str) -> str:
    """What an experiment's file may be called: letters, digits, ``_`` and ``-`` of it, at most ``MAX_LABEL``."""
    return re.sub(r"[^A-Za-z0-9-]+", "_", text).strip("_-")[:MAX_LABEL] or "run"
