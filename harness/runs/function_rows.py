"""A user's method as rows of a batch: a function from images to a picture, called once, and run folders like any other.

    @harness.method("average")
    def average(content, styles, *, transfer):
        return (content + skimage.transform.resize(styles[0], content.shape)) / 2

``content`` is the photograph, (H, W, 3), ``styles`` the paintings, (H_s, W_s, 3) each, float32 sRGB in [0, 1] at their
sizes and in the colours that the transfer asks for; ``transfer`` is the resolved one, of which every field enters the
run's id. The picture is (H, W, 3) in [0, 1]. Its one line of history has no losses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from harness.images.resize import to_array, to_tensor
from harness.registries import blame, blamed, method
from harness.runs.asynchronous import now
from harness.runs.batch_module import Progress, Record, UnoptimisedRows
from harness.runs.prepare import Prepared, Row

FARTHEST = 1.0
"""How far outside [0, 1] values may lie, to be clipped; beyond it they are taken for another range."""


class FunctionRows(UnoptimisedRows):
    """Calls the method once for every row.

    Args:
        rows: of the batch.
        prepared: their images.
        progress: how far the rows have come.
    """

    def __init__(self, rows: Sequence[Row], prepared: Prepared, progress: Progress) -> None:
        super().__init__(progress, 1)
        self._rows = rows
        self._prepared = prepared
        self._pictures: dict[int, Tensor] = {}

    def row_state(self, row: int) -> Mapping[str, Tensor]:
        """Nothing goes on from between: a row without its picture begins again."""
        return {}

    def load_row_state(self, row: int, state: Mapping[str, Tensor]) -> None:
        """There is nothing to load."""

    def best_image(self, row: int) -> Tensor:
        """The picture."""
        return self._pictures[row]

    def training_step(self, batch: object, batch_idx: int) -> None:
        """Make the next row's picture; Lightning asks once more when there is none left."""
        for row in self._active[:1]:
            self._pictures[row] = self._picture_of(row)
            self.evaluation[row] = 1
            columns = {name: torch.tensor([math.nan]) for name in self.columns_of(row)}
            self.records.append(Record((row,), (1,), now(), columns, self._pictures[row][None]))
            self.drop([row])

    def _picture_of(self, row: int) -> Tensor:
        transfer, prepared = self._rows[row].transfer, self._prepared
        held = method.registered(transfer.method)
        content = to_array(prepared.contents[prepared.content_of[row]])
        paintings = dict.fromkeys(part.image for part in prepared.parts_of[row])
        styles = tuple(to_array(prepared.styles[image]) for image in paintings)
        with blamed(held.plugin, f"in the method {held.name!r}"):
            picture = np.asarray(held.what(content.copy(), styles, transfer=transfer))
        sentence = f"the method {held.name!r} gave"
        if picture.shape != content.shape or picture.dtype.kind != "f":
            found = f"{sentence} {picture.dtype} of the shape {picture.shape}"
            raise blame(held.plugin, held.what, f"{found}; allowed: floating-point numbers {content.shape}")
        if not np.isfinite(picture).all() or picture.min() < -FARTHEST or picture.max() > 1 + FARTHEST:
            found = f"{sentence} values from {picture.min():g} to {picture.max():g}"
            raise blame(held.plugin, held.what, f"{found}; allowed: finite ones in [0, 1]")
        return to_tensor(picture.clip(0, 1))
