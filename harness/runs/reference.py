"""The comparable numbers of a batch's rows: always on the same networks and the CPU, whatever was optimised."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any

from torch import Tensor

from harness.config.methods import has_network
from harness.config.styles import Painting, paintings_of
from harness.config.transfer import WeightsNetwork
from harness.features.registry import cached_vgg16, fetch_vgg16
from harness.features.vgg import VGG
from harness.metrics.names import COLOUR_DISTANCE, HELDOUT_STYLE, LPIPS, ON_VGG16, REFERENCE_STYLE, STYLE_SWD
from harness.metrics.perceptual import Perceptual, PerceptualNetworks, load_networks
from harness.metrics.reference import Reference
from harness.runs.prepare import Prepared, Row, embedded_network, painting_of, row_objective_of

TO_THE_STYLE = (REFERENCE_STYLE, HELDOUT_STYLE, COLOUR_DISTANCE, STYLE_SWD)
"""The numbers that compare with a painting; with several, means weighted by ω, whatever their masks."""


class References:
    """The measured photographs and paintings, made when first asked for and shared by rows.

    A painting is measured at the photograph's area whatever its scale, in its own colours and without its masks: runs
    of different scale, colours and guidance compare.

    Args:
        rows: of the batch.
        prepared: their images at the pictures' size.
        objectives: numbers that are asked for on the way too; for one that is measured on VGG-16 that is fetched.
    """

    def __init__(self, rows: Sequence[Row], prepared: Prepared, objectives: Collection[str] = ()) -> None:
        self._rows = rows
        self._prepared = prepared
        self._needs_vgg16 = not set(ON_VGG16).isdisjoint(objectives)
        self._made: dict[tuple[int, str], tuple[Reference, Perceptual | None]] = {}

    def measure(self, row: int, picture: Tensor, is_finished: bool = True) -> Mapping[str, Any]:
        """The numbers of a row's picture.

        Args:
            row: of the batch.
            picture: (3, H, W) in [0, 1].
            is_finished: whether the run has come to its end. Before it, what takes a pass at full width is measured
                only where it is an objective.

        Returns:
            ``MEASURED``, and where VGG-16 is on the machine ``ON_VGG16``.

        Raises:
            DownloadError: an objective needs VGG-16, which cannot be had.
        """
        transfer = self._rows[row].transfer
        objective = row_objective_of(transfer)
        is_of_vgg = has_network(transfer.method) and not isinstance(transfer.weights, WeightsNetwork)
        optimised = objective.weighed_style() if is_of_vgg else ()
        paintings = [p for p in paintings_of(transfer) if p.weight > 0] or paintings_of(transfer)[:1]
        measured: list[dict[str, Any]] = []
        for painting in paintings:
            reference, perceptual = self._of(row, painting)
            numbers: dict[str, Any] = reference.measure(picture, optimised)
            if perceptual is not None and (is_finished or self._needs_vgg16):
                if not measured:
                    numbers[LPIPS] = perceptual.lpips(picture)  # of the photograph alone, whichever the painting
                numbers[STYLE_SWD] = perceptual.style_swd(picture)
            measured.append(numbers)
        if len(measured) == 1:
            return measured[0]
        whole = sum(painting.weight for painting in paintings) or 1.0
        means = {
            name: sum(p.weight * numbers[name] for p, numbers in zip(paintings, measured, strict=True)) / whole
            for name in TO_THE_STYLE
            if name in measured[0]
        }
        return {**measured[0], **means}

    def _of(self, row: int, painting: Painting) -> tuple[Reference, Perceptual | None]:
        photograph, file = self._prepared.photograph_of[row], self._rows[row].files[painting.slot]
        if (photograph, file) not in self._made:
            content = self._prepared.photographs[photograph]
            style = painting_of(file, (content.shape[1], content.shape[2]), 1.0)
            perceptual = Perceptual(content, style, self._vgg16) if self._vgg16 is not None else None
            self._made[photograph, file] = Reference(content, style, self._network), perceptual
        return self._made[photograph, file]

    @cached_property
    def _network(self) -> VGG:
        return embedded_network()

    @cached_property
    def _vgg16(self) -> PerceptualNetworks | None:
        """VGG-16 where it is on the machine, or has to be."""
        path = fetch_vgg16() if self._needs_vgg16 else cached_vgg16()
        return load_networks(path) if path is not None else None
