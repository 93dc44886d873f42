"""Pictures as run folders have them: 8-bit pixels, read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.images.files import read_image

Pixels = NDArray[np.uint8]


class Iterates(Mapping[int, Pixels]):
    """Evaluation to the picture at which it was measured, (H, W, 3) uint8; a picture is read when it is asked for."""

    def __init__(self, paths: Mapping[int, Path]) -> None:
        self.paths = paths

    def __getitem__(self, evaluation: int) -> Pixels:
        if evaluation not in self.paths:
            raise KeyError(f"no picture was kept of evaluation {evaluation!r}; there are {[*self.paths]}")
        return read_pixels(self.paths[evaluation])

    def __iter__(self) -> Iterator[int]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)


def read_pixels(path: Path) -> Pixels:
    """An image file as (H, W, 3) uint8."""
    return np.rint(read_image(path) * 255).astype(np.uint8)
