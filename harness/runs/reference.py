"""The comparable numbers of a batch's rows: always on the embedded network and the CPU, whatever was optimised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from harness.config.styles import Painting, paintings_of
from harness.features.vgg import VGG
from harness.metrics import COLOUR_DISTANCE, HELDOUT_STYLE, REFERENCE_STYLE, Reference
from harness.objective.rows import RowObjective
from harness.runs.prepare import Prepared, Row, embedded_network, painting_of, row_objective_of

TO_THE_STYLE = (REFERENCE_STYLE, HELDOUT_STYLE, COLOUR_DISTANCE)
"""The numbers that compare with a painting; with several, means weighted by ω, whatever their masks."""


class References:
    """The measured photographs and paintings, made when first asked for and shared by rows.

    A painting is measured at the photograph's area whatever its scale, in its own colours and without its masks: runs
    of different scale, colours and guidance compare.

    Args:
        rows: of the batch.
        prepared: their images at the pictures' size.
    """

    def __init__(self, rows: Sequence[Row], prepared: Prepared) -> None:
        self._rows = rows
        self._prepared = prepared
        self._network: VGG | None = None
        self._made: dict[tuple[int, str], Reference] = {}

    def measure(self, row: int, picture: Tensor) -> Mapping[str, Any]:
        """The numbers of a row's picture (3, H, W) in [0, 1]."""
        transfer = self._rows[row].transfer
        objective: RowObjective = row_objective_of(transfer)
        optimised = objective.weighed_style() if transfer["method"] == "gatys" else ()
        paintings = [p for p in paintings_of(transfer) if p.weight > 0] or paintings_of(transfer)[:1]
        measured = [self._of(row, painting).measure(picture, optimised) for painting in paintings]
        if len(measured) == 1:
            return measured[0]
        whole = sum(painting.weight for painting in paintings) or 1.0
        means = {
            name: sum(p.weight * numbers[name] for p, numbers in zip(paintings, measured, strict=True)) / whole
            for name in TO_THE_STYLE
        }
        return {**measured[0], **means}

    def _of(self, row: int, painting: Painting) -> Reference:
        if self._network is None:
            self._network = embedded_network()
        photograph, file = self._prepared.photograph_of[row], self._rows[row].files[painting.slot]
        if (photograph, file) not in self._made:
            content = self._prepared.photographs[photograph]
            style = painting_of(file, (content.shape[1], content.shape[2]), 1.0)
            self._made[photograph, file] = Reference(content, style, self._network)
        return self._made[photograph, file]
