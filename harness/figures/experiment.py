"""An experiment's figure and loss curves, drawn from its run folders; nothing is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.config import Experiment
from harness.driver import Job
from harness.figures.curves import draw_curves
from harness.figures.grid import Tile, draw_grid
from harness.figures.labels import format_value
from harness.images.files import read_image
from harness.images.resize import fit_area, resize, to_array, to_tensor
from harness.runs.store import Status

SYMBOLS = {"alpha": r"$\alpha$", "beta": r"$\beta$"}


def draw_experiment(experiment: Experiment, jobs: Sequence[Job], folder: Path) -> list[Path]:
    """Draw ``figure`` (the pictures) and ``curves`` (the losses), each as PNG and PDF, from the run folders.

    Args:
        experiment: says what runs along columns and rows, and which source images to show.
        jobs: its cells' runs; those that are not done are drawn as missing, with the reason.
        folder: the experiment's.

    Returns:
        The files written.

    Raises:
        StorageError: a file cannot be written.
    """
    columns, rows = experiment.layout()
    column_keys = _keys(jobs, () if columns is None else (columns,))
    row_keys = _keys(jobs, rows)
    by_place = {(_key(job, rows), _key(job, () if columns is None else (columns,))): job for job in jobs}
    tiles = [[_tile(by_place.get((row, column)), experiment) for column in column_keys] for row in row_keys]
    png, pdf = folder / "figure.png", folder / "figure.pdf"
    draw_grid(
        tiles,
        ["" if columns == "alpha" else _label((columns,) if columns else (), key) for key in column_keys],
        [_label(rows, key) for key in row_keys],
        _sources(experiment, jobs),
        "",
        png,
        pdf,
    )
    histories = {
        _label(tuple(job.cell.label), tuple(job.cell.label.values())) or job.row.id: job.folder.history()
        for job in jobs
    }
    histories = {label: history for label, history in histories.items() if history}
    written = [png, pdf]
    if histories:
        draw_curves(histories, folder / "curves.png", folder / "curves.pdf")
        written += [folder / "curves.png", folder / "curves.pdf"]
    return written


def _key(job: Job, parts: Sequence[str]) -> tuple[Any, ...]:
    return tuple(repr(job.cell.label[part]) for part in parts)


def _keys(jobs: Sequence[Job], parts: Sequence[str]) -> list[tuple[Any, ...]]:
    """The distinct values of some parts of the labels, in the experiment's order."""
    return list(dict.fromkeys(_key(job, parts) for job in jobs))


def _label(parts: Sequence[str], key: Sequence[Any]) -> str:
    """Field and value as they stand in a figure; the values of ``key`` may be ``repr``s."""
    texts = []
    for part, value in zip(parts, key, strict=True):
        plain = _plain(value)
        texts.append(
            str(plain) if part == "cases" else f"{SYMBOLS.get(part, part.replace('_', ' '))} = {format_value(plain)}"
        )
    return ", ".join(texts)


def _plain(value: Any) -> Any:
    import ast

    return ast.literal_eval(value) if isinstance(value, str) and value[:1] in "'\"{[(-0123456789TFN" else value


def _tile(job: Job | None, experiment: Experiment) -> Tile:
    if job is None:
        return Tile(None, "", "not in the grid")
    transfer = job.cell.transfer
    ratio = format_value(transfer.alpha / transfer.beta) if transfer.beta else "no style term"
    caption = rf"$\alpha/\beta$ = {ratio}"
    status, manifest = job.status, job.folder.manifest()
    if status is not Status.DONE:
        return Tile(None, caption, (manifest.reason if manifest and manifest.reason else status.value))
    return Tile(_bytes(read_image(job.folder.image_path)), caption, "")


def _sources(experiment: Experiment, jobs: Sequence[Job]) -> list[Tile]:
    """The photograph and the painting where all pictures share them, at the size at which they were used."""
    tiles = []
    for side in experiment.figure.show:
        files = {job.row.files[side] for job in jobs}
        if len(files) > 1:
            continue
        job = jobs[0]
        image = to_tensor(read_image(next(iter(files))))
        if side == "content":
            image = resize(image, job.height, job.width)
        else:
            image = resize(
                image, *fit_area(image.shape[1], image.shape[2], job.height * job.width, job.cell.transfer.style_scale)
            )
        tiles.append(Tile(_bytes(to_array(image)), side, ""))
    return tiles


def _bytes(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(image * 255).astype(np.uint8)


def histories_of(jobs: Sequence[Job]) -> Mapping[str, list[dict[str, float]]]:
    """Run id to history."""
    return {job.row.id: job.folder.history() for job in jobs}
