"""An experiment's figure and loss curves, drawn from its run folders; nothing is computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.config import Experiment, canonical_json
from harness.config.experiment import CASES
from harness.figures.curves import draw_curves
from harness.figures.grid import Tile, draw_grid
from harness.figures.labels import escape, format_value
from harness.images.files import read_image
from harness.images.resize import fit_area, resize, to_array, to_tensor
from harness.jobs import Job
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
    column, rows = experiment.layout()
    columns = () if column is None else (column,)
    column_keys, row_keys = _values(jobs, columns), _values(jobs, rows)
    by_place = {(_key(job, rows), _key(job, columns)): job for job in jobs}
    tiles = [[_tile(by_place.get((row, column_key))) for column_key in column_keys] for row in row_keys]
    # The captions say α/β already, so a column of its own for α needs no label.
    column_labels = ["" if column == "alpha" else _label(columns, values) for values in column_keys.values()]
    row_labels = [_label(rows, values) for values in row_keys.values()]
    png, pdf = folder / "figure.png", folder / "figure.pdf"
    draw_grid(tiles, column_labels, row_labels, _sources(experiment, jobs), "", png, pdf)
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


def _key(job: Job, parts: Sequence[str]) -> str:
    return canonical_json([job.cell.label[part] for part in parts])


def _values(jobs: Sequence[Job], parts: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """The distinct values of some parts of the labels by their keys, in the experiment's order."""
    return {_key(job, parts): tuple(job.cell.label[part] for part in parts) for job in jobs}


def _label(parts: Sequence[str], values: Sequence[Any]) -> str:
    """Fields and values as they stand in a figure."""
    texts = []
    for part, value in zip(parts, values, strict=True):
        field = SYMBOLS.get(part, part.replace("_", " "))
        texts.append(escape(str(value)) if part == CASES else f"{field} = {format_value(value)}")
    return ", ".join(texts)


def _tile(job: Job | None) -> Tile:
    if job is None:
        return Tile(None, "", "not in the grid")
    transfer = job.cell.transfer
    ratio = format_value(transfer.alpha / transfer.beta) if transfer.beta else "no style term"
    caption = rf"$\alpha/\beta$ = {ratio}"
    status, manifest = job.status, job.folder.manifest()
    if status is not Status.DONE:
        return Tile(None, caption, escape(manifest.reason if manifest and manifest.reason else status.value))
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
