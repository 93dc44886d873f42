"""The numbers that a batch's rows report: always on the same networks and the CPU, whatever was optimised."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from torch import Tensor

from harness.config.styles import Painting, paintings_of
from harness.config.transfer import Transfer
from harness.errors import CannotMeasureError, PluginError
from harness.features.normalise import embedded_network
from harness.features.registry import cached_vgg16, fetch_vgg16
from harness.images.resize import painting_of
from harness.measures.arrays import Floats
from harness.measures.calling import OfOneRun, call_measure
from harness.measures.names import COLOUR_DISTANCE, HELDOUT_STYLE, LPIPS, METRICS, ON_VGG16, REFERENCE_STYLE, STYLE_SWD
from harness.measures.of_pictures import mean_over_paintings
from harness.measures.of_pixels import as_saved
from harness.measures.perceptual import Perceptual, PerceptualNetworks, load_networks
from harness.measures.reference import Reference

TO_THE_STYLE = (REFERENCE_STYLE, HELDOUT_STYLE, COLOUR_DISTANCE, STYLE_SWD)
"""The numbers that compare with a painting; with several, means weighted by ω, whatever their masks."""


@dataclass(frozen=True)
class Target:
    """What a run's pictures are measured against.

    Attributes:
        transfer: the run's, resolved.
        content: (3, H, W), its photograph at the pictures' size; rows that share one share its features.
        files: every image's path, by its slot.
        optimised: the layers whose Gram matrices it optimises.
    """

    transfer: Transfer
    content: Tensor
    files: Mapping[str, str]
    optimised: tuple[str, ...]


class Numbers(NamedTuple):
    """What was measured of a picture.

    Attributes:
        metrics: by name; None for an objective that could not be measured.
        unmeasured: why that was so, a sentence for each of these.
    """

    metrics: Mapping[str, Any]
    unmeasured: Mapping[str, str]


class Comparable:
    """The measured photographs and paintings, made when first asked for and shared by rows.

    A painting is measured at the photograph's area whatever its scale, in its own colours and without its masks: runs
    of different scale, colours and guidance compare.

    Args:
        targets: of the batch's rows.
        objectives: numbers that are asked for on the way too, which may be any measures; for one that is measured on
            VGG-16 that is fetched.
    """

    def __init__(self, targets: Sequence[Target], objectives: Collection[str] = ()) -> None:
        self._targets = targets
        self._further = [name for name in objectives if name not in METRICS]
        self._needs_vgg16 = not set(ON_VGG16).isdisjoint(objectives)
        self._styles: dict[tuple[int, str], Tensor] = {}
        self._made: dict[tuple[int, str], tuple[Reference, Perceptual | None]] = {}

    def measure(self, row: int, picture: Tensor, is_finished: bool = True) -> Numbers:
        """The numbers of a row's picture.

        Args:
            row: of the batch.
            picture: (3, H, W) in [0, 1].
            is_finished: whether the run has come to its end. Before it, what takes a pass at full width is measured
                only where it is an objective.

        Returns:
            ``MEASURED``, where VGG-16 is on the machine ``ON_VGG16``, and the objectives.

        Raises:
            DownloadError: an objective needs VGG-16, which cannot be had.
        """
        numbers = dict(self._comparable(row, picture, is_finished))
        unmeasured: dict[str, str] = {}
        for name in self._further:
            try:
                numbers[name] = call_measure(name, _array(picture), self._given(row))
            except (CannotMeasureError, PluginError) as error:
                numbers[name], unmeasured[name] = None, str(error)
        return Numbers(numbers, unmeasured)

    def _comparable(self, row: int, picture: Tensor, is_finished: bool) -> Mapping[str, Any]:
        target = self._targets[row]
        every = paintings_of(target.transfer)
        paintings = [painting for painting in every if painting.weight > 0] or every[:1]
        measured: list[dict[str, Any]] = []
        for painting in paintings:
            reference, perceptual = self._of(target, painting)
            numbers: dict[str, Any] = reference.measure(picture, target.optimised)
            if perceptual is not None and (is_finished or self._needs_vgg16):
                if not measured:
                    numbers[LPIPS] = perceptual.lpips(picture)  # of the photograph alone, whichever the painting
                numbers[STYLE_SWD] = perceptual.style_swd(picture)
            measured.append(numbers)
        if len(measured) == 1:
            return measured[0]
        means = {
            name: mean_over_paintings([numbers[name] for numbers in measured], target.transfer)
            for name in TO_THE_STYLE
            if name in measured[0]
        }
        return {**measured[0], **means}

    def _given(self, row: int) -> OfOneRun:
        target = self._targets[row]
        styles = tuple(_array(self._style(target, painting)) for painting in paintings_of(target.transfer))
        return OfOneRun(_array(target.content), styles, target.transfer)

    def _style(self, target: Target, painting: Painting) -> Tensor:
        key = id(target.content), target.files[painting.slot]
        if key not in self._styles:
            height, width = target.content.shape[1:]
            self._styles[key] = painting_of(target.files[painting.slot], (height, width), 1.0)
        return self._styles[key]

    def _of(self, target: Target, painting: Painting) -> tuple[Reference, Perceptual | None]:
        key = id(target.content), target.files[painting.slot]
        if key not in self._made:
            content, style = target.content, self._style(target, painting)
            perceptual = Perceptual(content, style, self._vgg16) if self._vgg16 is not None else None
            self._made[key] = Reference(content, style, embedded_network()), perceptual
        return self._made[key]

    @cached_property
    def _vgg16(self) -> PerceptualNetworks | None:
        """VGG-16 where it is on the machine, or has to be."""
        path = fetch_vgg16() if self._needs_vgg16 else cached_vgg16()
        return load_networks(path) if path is not None else None


def _array(image: Tensor) -> Floats:
    """(3, H, W) to (H, W, 3) float64, as its file holds it."""
    array: Floats = as_saved(image).permute(1, 2, 0).cpu().numpy()
    return array
