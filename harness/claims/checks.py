"""What keeps a number from being measured: runs that are not done, sizes that differ, paintings too many."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.config.styles import paintings_of
from harness.errors import HarnessError
from harness.results import Run
from harness.runs.store import Status

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]


class CannotMeasureError(HarnessError):
    """A number that is not there or has no meaning for these runs; the message says why."""


class ImageFile(NamedTuple):
    """An image and the file it was read from, by which what is computed of it is kept."""

    path: Path
    pixels: Pixels


def picture_of(run: Run) -> ImageFile:
    """The finished picture."""
    return ImageFile(run.folder.image_path, run.image())


def source_of(run: Run, key: str) -> ImageFile:
    """One of the images a run was made from, as it was used."""
    pixels = run.source(key)
    return ImageFile(run.sources[key], pixels)


def painting_of(run: Run) -> ImageFile:
    """The run's one painting, at the picture's area.

    Raises:
        CannotMeasureError: it has several, and none is its own.
        ImageError: its file was deleted.
    """
    if len(paintings_of(run.transfer)) > 1:
        raise CannotMeasureError(
            f"{run.name} has several paintings and none is its own; gram_distance measures it against one of them."
        )
    return source_of(run, "style")


def check_done(run: Run) -> None:
    """A run that waits, goes on or failed has no number."""
    if run.status is not Status.DONE:
        reason = f" ({run.reason})" if run.reason else ""
        raise CannotMeasureError(f"{run.name} {run.status.value}{reason}.")


def check_same_size(run: Run, picture: Pixels, other: Pixels, what: str) -> None:
    """What is compared position by position needs one size."""
    if picture.shape[:2] != other.shape[:2]:
        sizes = [f"{image.shape[1]} × {image.shape[0]} px" for image in (picture, other)]
        raise CannotMeasureError(f"{run.name} is {sizes[0]} and {what} {sizes[1]}; one size is needed.")
