"""What Optuna Dashboard shows beside the numbers: every trial's final image, its command, and the study's figure.

All of it is a mirror of the run folders, written again from them at any time; what is there already is left as it is.
Images lie in ``<experiment folder>/artifacts`` as hard links to the run folders' own, their metadata in the storage.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.artifacts import FileSystemArtifactStore
from optuna.storages import BaseStorage
from optuna_dashboard.artifact import get_artifact_path

from harness.config.commands import FileCommand
from harness.config.dimensions import Simplex
from harness.config.experiment import Experiment
from harness.results import Results, Run
from harness.runs.store import Status
from harness.studies.internals import attributes_of, id_of, save_note, set_attribute

ARTIFACTS = "artifacts"
"""The folder, inside an experiment's, in which Optuna's artifact store keeps its files."""

MIMETYPE = "image/png"

logger = logging.getLogger("harness.studies")


def artifact_store(folder: Path) -> FileSystemArtifactStore:
    """The store of an experiment's folder."""
    path = folder / ARTIFACTS
    path.mkdir(exist_ok=True)
    return FileSystemArtifactStore(path)


def note_figure(study: optuna.Study, folder: Path, figure_path: Path, text: str) -> None:
    """Write the study's note: a text, above it the figure where there is one.

    Args:
        study: the study.
        folder: the experiment's.
        figure_path: a PNG file; it need not exist.
        text: what the study is, as Markdown.
    """
    body = text
    if figure_path.exists():
        identity = _attach(study, "artifacts:", "figure", figure_path, folder)
        title, _, rest = text.partition("\n")
        body = f"{title}\n\n![{figure_path.name}]({get_artifact_path(study, identity)})\n{rest}"
    save_note(study, None, body)


def mirror_study(results: Results, storage: BaseStorage) -> str:
    """Bring a study's images and notes up to date from the run folders.

    Args:
        results: the experiment or sweep.
        storage: holds its study.

    Returns:
        What went wrong, as a sentence (also logged); empty where nothing did. A dashboard never stops a run.
    """
    try:
        study = optuna.load_study(study_name=results.study, storage=storage)
        ids = {trial.number: id_of(trial) for trial in study.get_trials(deepcopy=False)}
        for number, run in _runs_of_trials(results):
            if number in ids:
                if run.folder.image_path.exists():
                    _attach(study, _prefix(ids[number]), f"trial {number}", run.folder.image_path, results.home)
                save_note(study, ids[number], describe_trial(run, results.command))
        note_figure(study, results.home, figure_of(results.folder), describe(results))
    except KeyError:
        told = f"`{results.command}` brings it back from the run folders."
        sentence = f"The study {results.study} is not in its storage; {told}"
        logger.warning(sentence)
        return sentence
    except Exception as error:  # any kind: files, databases and networks of three storages
        told = " ".join(str(error).split()) or type(error).__name__
        sentence = (
            f"The dashboard's images and notes could not be brought up to date ({told}); "
            "the run folders hold everything, and harness dashboard tries again."
        )
        logger.warning(sentence)
        return sentence
    return ""


def figure_of(folder: Path) -> Path:
    """The picture that shows a study best: a sweep's front or course, an experiment's figure; it need not exist."""
    paths = [folder / f"{name}.png" for name in ("front", "search", "figure")]
    return next((path for path in paths if path.exists()), paths[-1])


def describe(results: Results) -> str:
    """What a study is and what has become of it, as Markdown; the first line is the title."""
    definition = results.definition
    if isinstance(definition, Experiment):
        varied = ", ".join(definition.varies()) or "nothing"
        what = (
            f"An experiment: {len(results.runs)} cells, varied: {varied}. Its trials are the grid; nothing is searched."
        )
    else:
        minimised = [name for name in definition.objective_names if name not in definition.maximised]
        named = {"minimised": minimised, "maximised": definition.maximised}
        objectives = "; ".join(f"{which}: {', '.join(names)}" for which, names in named.items() if names)
        what = f"A sweep over {', '.join(definition.space)}; {objectives}."
        if on_simplex := [field for field, dimension in definition.space.items() if isinstance(dimension, Simplex)]:
            what += (
                f" The weights of {' and '.join(on_simplex)} are user attributes; a parameter u is what a weight was "
                "drawn by, w = ln u / Σ ln u."
            )
    counts = {status: sum(run.status is status for run in results.all_runs) for status in Status}
    lines = [f"# {results.name}", what]
    lines += [definition.tracking.notes] if definition.tracking.notes else []
    told = ", ".join(f"{number} {status.name.lower()}" for status, number in counts.items() if number)
    lines.append(f"{len(results.all_runs)} runs: {told or 'none yet'}.")
    claims = results.folder / "claims.md"
    if claims.exists():
        lines.append(claims.read_text(encoding="utf-8"))
    return "\n\n".join(lines)


def describe_trial(run: Run, command: str) -> str:
    """What a trial was and the command that repeats it, as Markdown.

    Args:
        run: the trial's run.
        command: what carried out the experiment or the sweep.
    """
    unsettled = f"But {run.unsettled}." if run.unsettled else ""
    lines = [
        " ".join(filter(None, (f"**{run.name}** {run.status.value}.", run.reason, unsettled))),
        f"```\n{FileCommand.read(command).of_cell(run.overrides, run.devices, run.id)}\n```",
        f"Run folder: `{run.folder.path.name}`",
    ]
    return "\n\n".join(lines)


def _runs_of_trials(results: Results) -> Iterator[tuple[int, Run]]:
    for run in results.all_runs:
        for record in run.manifest.trials if run.manifest else ():
            if record["study"] == results.study:
                yield record["number"], run


def _prefix(trial_id: int) -> str:
    return f"dashboard:artifacts:{trial_id}:"


def _attach(study: optuna.Study, prefix: str, of: str, image_path: Path, folder: Path) -> str:
    """Link a file into the store and tell the storage; the id is made of the content, so that nothing is sent twice.

    # Deviates from optuna.artifacts.upload_artifact: storages refuse to change a trial that was told, and an image is
    # there only then or shortly before. The dashboard also reads a trial's artifacts from the study's attributes.
    """
    content = image_path.read_bytes()
    identity = hashlib.sha256(f"{study.study_name} {of} ".encode() + content).hexdigest()[:32]
    link = folder / ARTIFACTS / identity
    if not link.exists():
        link.parent.mkdir(exist_ok=True)
        _link(image_path, link)
    metadata = {"artifact_id": identity, "filename": image_path.name, "mimetype": MIMETYPE, "encoding": None}
    told = attributes_of(study)
    for key, value in told.items():
        if key.startswith(prefix) and key != prefix + identity and _is_named(value, image_path.name):
            set_attribute(study, key, json.dumps(None))  # as the dashboard deletes
            (link.parent / key.removeprefix(prefix)).unlink(missing_ok=True)
    if told.get(prefix + identity) != json.dumps(metadata):
        set_attribute(study, prefix + identity, json.dumps(metadata))
    return identity


def _is_named(metadata: Any, filename: str) -> bool:
    data = json.loads(metadata)
    return data is not None and data["filename"] == filename


def _link(source: Path, link: Path) -> None:
    """Hard link, or a copy where the file system has none; files are only ever replaced, never changed in place."""
    try:
        os.link(source.resolve(), link)
    except FileExistsError:
        return  # another process was quicker
    except OSError:
        temporary = link.with_name(f".{link.name}.{os.getpid()}.tmp")
        shutil.copyfile(source, temporary)
        temporary.replace(link)
