"""What was asked for before in an experiment's folder: moved away when another grid is asked for, and back.

earlier/<hash>/   the files of one grid (``OF_ONE_GRID``); of one given from Python also the YAML that it was

The runs stay where they are, since several grids may have one. A grid that is asked for again is no earlier one.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from contextlib import chdir, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from harness.config.commands import FileCommand
from harness.config.kept import EARLIER, KEPT, home_of, kept_plugin
from harness.config.reading import data_of, load_experiment, load_sweep
from harness.driver.given_files import replaced, told_replaced
from harness.errors import HarnessError
from harness.files import real
from harness.images.files import image_hash
from harness.results import Results
from harness.results.grids import CELLS
from harness.results.results import EXPLORER, OF_ONE_GRID
from harness.runs.store import write_durably

FROM_PYTHON = "# What harness was given from Python."
"""The first line of a file that stands for a mapping."""


def is_same(before: Any, now: Mapping[str, Any]) -> bool:
    """Whether two experiment.yaml ask for the same runs, however drawn, or for more trials of one study."""
    of_no_run = dict.fromkeys(("budget", "figure"))  # claims may ask for runs of their own
    return isinstance(before, dict) and {**before, **of_no_run} == {**now, **of_no_run}


def read_yaml(path: Path) -> Any:
    """A YAML file's data; None where it is damaged."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None


def is_from_python(path: Path) -> bool:
    """Whether a YAML beside runs is one that the harness wrote for a mapping."""
    try:
        return path.read_text(encoding="utf-8").startswith(FROM_PYTHON)
    except (OSError, UnicodeDecodeError):
        return False


def move_away(folder: Path) -> Path:
    """Move what belongs to the last grid into a folder of its own, in ``earlier``.

    Returns:
        That folder.
    """
    earlier = folder / EARLIER / image_hash(folder / "experiment.yaml")[:8]
    earlier.mkdir(parents=True, exist_ok=True)
    _keep_mapping(folder, earlier)
    _keep_command(folder, folder / KEPT, earlier / KEPT)
    for name in (*(name for name in OF_ONE_GRID if name != KEPT), KEPT):  # what says that they are here goes last
        if (folder / name).exists():
            (folder / name).replace(earlier / name)
    # It would look for the pictures there; harness figure writes it anew.
    (earlier / EXPLORER).unlink(missing_ok=True)
    return earlier


def forget_same(folder: Path, now: Mapping[str, Any]) -> None:
    """What is asked for now is no earlier grid: of one that asked for the same the files are taken away."""
    for path in sorted((folder / EARLIER).glob("*/experiment.yaml")):
        before = read_yaml(path)
        if isinstance(before, dict) and is_same({**before, "file": now["file"]}, now):
            mappings = (other for other in path.parent.glob("*.yaml") if is_from_python(other))
            unneeded = [other for other in mappings if str(real(other)) != now["file"]]
            for each in (*unneeded, *(path.parent / name for name in OF_ONE_GRID)):
                each.unlink(missing_ok=True)
            if not any(path.parent.iterdir()):
                path.parent.rmdir()


def _keep_mapping(folder: Path, earlier: Path) -> None:
    """Of a grid given from Python keep the YAML, which the next mapping replaces, and name it in the grid's command."""
    data = read_yaml(folder / "experiment.yaml")
    given = Path(data["file"]) if isinstance(data, dict) and "file" in data else Path()
    if real(folder) not in real(given).parents or not is_from_python(given):
        return
    kept = earlier / given.name
    write_durably(kept, given.read_text(encoding="utf-8"))
    named = {**data, "file": str(real(kept))}
    write_durably(folder / "experiment.yaml", yaml.safe_dump(named, sort_keys=False, allow_unicode=True))
    _keep_command(folder, given, kept)


def _keep_command(folder: Path, given: Path, kept: Path) -> None:
    """In the grid's command name a file where it is kept now, if it is the one that was given."""
    with suppress(OSError, ValueError, KeyError, TypeError):  # none, or damaged: it is moved as it is
        cells = json.loads((folder / CELLS).read_text(encoding="utf-8"))
        command = FileCommand.read(cells["command"])
        if real(Path(command.file)) == real(given):
            cells["command"] = str(replace(command, file=str(kept)))
            write_durably(folder / CELLS, json.dumps(cells, indent=1, ensure_ascii=False) + "\n")


def command_back(results: Results) -> str:
    """What is typed to bring a grid or a search back: ``file_command_back``, in the working directory of then.

    Where that is gone, or the runs were moved, all paths in it are absolute: images are looked for where it is given.
    """
    where = _directory_of(results)
    if where == Path.cwd():
        return str(file_command_back(results))
    anywhere = replace(results, folder=Path(os.path.abspath(results.folder)))
    if where is None:
        return str(file_command_back(anywhere))
    with chdir(where):
        return f"cd {shlex.quote(str(where))} && {file_command_back(anywhere)}"


def replaced_since(results: Results) -> str:
    """Which files hold something else than when a grid was asked for, in words; empty where all are as they were.

    What its command computes now is then another grid.
    """
    where = _directory_of(results)
    with nullcontext() if where is None else chdir(where):
        names = replaced(results.contents)
    kept = [kept_plugin(results.home, name, results.contents[name]) for name in names]
    there = ", ".join(min(str(path), os.path.relpath(path), key=len) for path in kept if path.is_file())
    return told_replaced(names) + (f" ({there} is what it was)" if there else "")


def _directory_of(results: Results) -> Path | None:
    """Where the command that made a grid still means its folder: where it was given, or here; None where nowhere."""
    made = FileCommand.read(results.command) if results.command else FileCommand("run", "")
    of_runs = real(results.home.parent)
    places = (results.directory.absolute(), Path.cwd())
    return next((where for where in places if where.is_dir() and real(where / made.out) == of_runs), None)


def file_command_back(results: Results) -> FileCommand:
    """The command that made a grid or a search, where it still gives that.

    Where its file has changed since, or is gone, or the runs were moved, that of the ``experiment.yaml`` kept of it.
    """
    if not results.command:
        return FileCommand("sweep" if results.is_sweep else "run", str(results.folder / KEPT))
    made = FileCommand.read(results.command)
    home = home_of(results.folder / KEPT)
    is_there = real(made.out) == real(home.parent)
    load = load_sweep if made.verb == "sweep" else load_experiment
    with suppress(HarnessError, SystemExit):  # a plugin may do anything
        if is_there and is_same(data_of(results.definition), load(made.file, made.overrides, made.profile).data):
            return made
    out = made.out if is_there else home.parent
    return FileCommand(made.verb, str(results.folder / KEPT), out=out, storage=made.storage)
