"""What a claim can measure: a number of one run, or of a set of runs, each with its formula, its range and its source.

The numbers of a manifest (the comparable ones of ``harness.metrics`` and the losses at the finished picture) stand here
under their own names. The others are measured from the finished pictures: ``of_pictures`` of their pixels,
``of_features`` of their Gram matrices.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from harness.claims import of_features, of_pictures
from harness.claims.checks import CannotMeasureError, Floats, ImageFile, Pixels, check_done, source_of
from harness.claims.pixels import LAGS_PX, autocorrelation, luminance
from harness.config.styles import paintings_of
from harness.metrics.names import ON_VGG16
from harness.results import Results, Run
from harness.runs.measured import OneNetwork

if TYPE_CHECKING:
    from harness.claims.grams import GramDistances

REPEAT_DISTANCE = "repeat_distance"

PICTURE_MEASURES: Mapping[str, Callable[[Measuring, Run], float]] = {
    "high_frequency_correlation": of_pictures.high_frequency_correlation,
    "edge_correlation": of_pictures.edge_correlation,
    "straight_edges": of_pictures.straight_edges,
    "chroma_distance": of_pictures.chroma_distance,
    "finest_share": of_pictures.finest_share,
    "style_distance": of_pictures.style_distance,
    "autocorrelation_distance": of_pictures.autocorrelation_distance,
    "copied_patches": of_pictures.copied_patches,
    "longest_copy": of_pictures.longest_copy,
    REPEAT_DISTANCE: of_pictures.repeat_distance,
    "own_style_margin": of_features.own_style_margin,
    "luminance_gram_distance": of_features.luminance_gram_distance,
    "coarse_gram_distance": of_features.coarse_gram_distance,
    "region_margin": of_features.region_margin,
}
"""Measures of one run's picture; ``harness.config.claims`` lists their names for whoever writes a claim."""

MEASURES_TO_A_PAINTING: Mapping[str, Callable[[Measuring, Run, str], float]] = {
    "gram_distance": of_features.gram_distance
}
"""Measures of one run's picture and of the painting that the claim names."""

SET_MEASURES: Mapping[str, Callable[[Sequence[Run]], float]] = {"pair_distance": of_pictures.pair_distance}
"""Measures of a set of runs."""


class Measuring:
    """Measures an experiment's runs; pictures, spectra and Gram matrices are computed once.

    Args:
        results: the experiment; its runs tell the twins and the paintings.
    """

    def __init__(self, results: Results) -> None:
        self.runs = results.all_runs
        self._twins = {run.id: run for run in results.all_runs if run.part == "again"}
        self._numbers: dict[tuple[str, str | None, Path], float] = {}
        self._autocorrelations: dict[Path, Floats] = {}

    def of_run(self, name: str, run: Run, to: str | None = None) -> float:
        """The measure of one run, for some of ``MEASURES_TO_A_PAINTING`` to the painting ``to``.

        Raises:
            CannotMeasureError: the run is not done, the number is not there, or it is not finite.
            ImageError: a picture was deleted.
        """
        check_done(run)
        key = (name, to, run.folder.path)
        if key not in self._numbers:
            if to is not None:
                value = MEASURES_TO_A_PAINTING[name](self, run, to)
            else:
                measure = PICTURE_MEASURES.get(name)
                value = measure(self, run) if measure else self._number_of_manifest(name, run)
            if not math.isfinite(value):
                raise CannotMeasureError(f"{name} of {run.name} is {value}, which decides nothing.")
            self._numbers[key] = value
        return self._numbers[key]

    def of_set(self, name: str, runs: Sequence[Run]) -> float:
        """The measure of a set of runs.

        Raises:
            CannotMeasureError: a run is not done, or the set has no such number.
            ImageError: a picture was deleted.
        """
        for run in runs:
            check_done(run)
        return SET_MEASURES[name](runs)

    def applies(self, name: str, run: Run) -> bool:
        """Whether a run is one of those the measure is about: ``repeat_distance`` needs one computed twice."""
        return run.part != "again" and (name != REPEAT_DISTANCE or run.id in self._twins)

    def twin(self, run: Run) -> Run:
        """The same transfer, computed a second time."""
        if run.id not in self._twins:
            raise CannotMeasureError(f"{run.name} was not computed a second time.")
        return self._twins[run.id]

    def paintings(self) -> Mapping[str, tuple[Run, str]]:
        """The experiment's different paintings, each as the first run that used it and its key among the sources."""
        return {
            painting.image: (run, painting.slot)
            for run in reversed(self.runs)
            for painting in reversed(paintings_of(run.transfer))
        }

    def painting(self, name: str, run: Run) -> ImageFile:
        """A painting at a run's area: as the run itself uses it, or else the first with its photograph and size.

        Raises:
            CannotMeasureError: there is none.
            ImageError: its file was deleted.
        """
        kind = (run.transfer.content, run.transfer.size)
        alike = [other for other in self.runs if (other.transfer.content, other.transfer.size) == kind]
        for used in (run, *alike):
            for painting in paintings_of(used.transfer):
                if painting.image == name:
                    return source_of(used, painting.slot)
        raise CannotMeasureError(
            f"No run with the photograph and size of {run.name} has the painting {name}; "
            f"the experiment has {', '.join(sorted(self.paintings()))}."
        )

    @cached_property
    def distances(self) -> GramDistances:
        """Gram distances on the embedded network, which is loaded when the first is asked for."""
        from harness.claims.grams import GramDistances

        return GramDistances()

    def autocorrelation(self, path: Path, image: Pixels) -> Floats:
        """``autocorrelation`` of a file's luminance."""
        if path not in self._autocorrelations:
            self._autocorrelations[path] = autocorrelation(luminance(image), LAGS_PX[1])
        return self._autocorrelations[path]

    def _number_of_manifest(self, name: str, run: Run) -> float:
        value = self._one_network.metrics(run).get(name)
        if value is None and run.metrics.get(name) is not None:
            raise CannotMeasureError(f"{name} of {run.name} is of another network. {self._one_network.sentence}")
        if value is None:
            raise CannotMeasureError(f"{name} of {run.name} was not measured.{_CURES.get(name, '')}")
        return float(value)

    @cached_property
    def _one_network(self) -> OneNetwork:
        return OneNetwork(self.runs)


_CURES = dict.fromkeys(
    ON_VGG16, " It needs VGG-16: `harness fetch weights vgg16`, and the same harness run again measures it."
)
