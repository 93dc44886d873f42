"""Pictures as run folders have them: 8-bit pixels, read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.images.files import read_image, without_warnings

Pixels = NDArray[np.uint8]


class Iterates(Mapping[int, Pixels]):
    """Evaluation to the picture at which it was measured; a picture is read when it is asked for.

    It is (H, W, 3) uint8, or (H, W, 4) with alpha where its photograph is transparent.
    """

    def __init__(self, paths: Mapping[int, Path]) -> None:
        self.paths = paths

    def __getitem__(self, evaluation: int) -> Pixels:
        if evaluation not in self.paths:
            raise KeyError(f"no picture was kept of evaluation {evaluation!r}; there are {[*self.paths]}")
        return read_pixels(self.paths[evaluation], with_alpha=True)

    def __iter__(self) -> Iterator[int]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)


def read_pixels(path: Path, with_alpha: bool = False) -> Pixels:
    """An image file as (H, W, 3) uint8, over white where it is transparent; with alpha (H, W, 4), where it has any."""
    if with_alpha:
        # A file that is no image has its sentence from read_image.
        with suppress(OSError, SyntaxError, ValueError), without_warnings(), Image.open(path) as image:
            if image.mode == "RGBA":  # as the harness writes it
                return np.asarray(image)
    return np.rint(read_image(path) * 255).astype(np.uint8)
