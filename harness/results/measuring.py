"""Measures of runs as their folders have them: a manifest's numbers as they are, others from the pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from harness.config.claims import COMPARABLE, LOSSES
from harness.config.file_names import FileNames
from harness.config.styles import Painting, paintings_of
from harness.config.transfer import Transfer
from harness.errors import CannotMeasureError, UsageError
from harness.measures.arrays import Floats
from harness.measures.calling import call_measure
from harness.measures.names import ON_VGG16
from harness.measures.of_features import NEEDS_VGG16
from harness.registries import asked_by, measure, use_plugins
from harness.results.alike import MeasuredAlike
from harness.results.run import Run, label_name
from harness.runs.measured import is_of_now
from harness.runs.store import Status

AGAIN = "again"


class Measuring:
    """Measures runs that stand beside each other; a number is measured once.

    Args:
        runs: of one experiment; they tell the twins, the other paintings, and which numbers compare.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = runs
        self._twins = {run.id: run for run in runs if run.part == AGAIN}
        self._names = FileNames(run.label for run in runs)
        self._numbers: dict[tuple[str, str | None, Path], float] = {}

    def name(self, run: Run) -> str:
        """What a run is called among the others: its label on one line, images by stem where that tells them apart."""
        return self.label_name(run.label)

    def label_name(self, label: Mapping[str, Any]) -> str:
        """The same of a label, or of a part of one."""
        return label_name(self._names.label(label))

    def check_done(self, run: Run) -> None:
        """A run that waits, goes on or failed has no number.

        Raises:
            CannotMeasureError: it is not done.
        """
        if run.status is not Status.DONE:
            reason = f" ({run.reason})" if run.reason else ""
            raise CannotMeasureError(f"{self.name(run)} {run.status.value}{reason}.")

    def of_run(self, name: str, run: Run, to: str | None = None) -> float:
        """The measure of one run; of one that asks for it, to the painting ``to``.

        Raises:
            CannotMeasureError: the run is not done, the number is not there, or it is not finite.
            ImageError: a picture was deleted.
            UsageError: there is no such measure, or its plugin is gone.
            PluginError: a user's measure fails.
        """
        key = (name, to, run.folder.path)
        if key not in self._numbers:
            self._numbers[key] = self._measured(name, run, to)
        return self._numbers[key]

    def computed(self, name: str, run: Run, to: str | None = None) -> float:
        """The measure of a run's picture, whatever its manifest says; errors as of ``of_run``."""
        self.check_done(run)
        _use_plugins_for(name, run)
        try:
            return call_measure(name, run.colours() / 255, Sources(self, run, to))
        except CannotMeasureError as error:
            raise CannotMeasureError(f"{self.name(run)}: {error}") from error

    def of_set(self, name: str, runs: Sequence[Run]) -> float:
        """The measure of a set of runs; errors as of ``of_run``."""
        for run in runs:
            self.check_done(run)
        pictures = [run.colours() for run in runs]
        for run, picture in zip(runs, pictures, strict=True):
            names = self.name(run), f"the picture of {self.name(runs[0])}"
            _check_same_size(names[0], picture, pictures[0], names[1])
        _use_plugins_for(name, runs[0])
        return call_measure(name, [picture / 255 for picture in pictures], None)

    def applies(self, name: str, run: Run) -> bool:
        """Whether a run is one of those the measure is about: ``repeat_distance`` needs one computed twice."""
        asks_for_a_twin = name in measure and AGAIN in asked_by(measure[name])
        return run.part != AGAIN and (not asks_for_a_twin or run.id in self._twins)

    def twin(self, run: Run) -> Run:
        """The same transfer, computed a second time."""
        if run.id not in self._twins:
            raise CannotMeasureError("It was not computed a second time.")
        return self._twins[run.id]

    def paintings(self) -> Mapping[str, tuple[Run, str]]:
        """The experiment's different paintings, each as the first run that used it and its key among the sources."""
        return {
            painting.image: (run, painting.slot)
            for run in reversed(self.runs)
            for painting in reversed(paintings_of(run.transfer))
        }

    def painting(self, name: str, run: Run) -> tuple[Run, str]:
        """A painting at a run's area: as the run itself uses it, or else the first with its photograph and size.

        Returns:
            The run, and its key among the sources.

        Raises:
            CannotMeasureError: there is none.
        """
        kind = (run.transfer.content, run.transfer.size)
        alike = [other for other in self.runs if (other.transfer.content, other.transfer.size) == kind]
        for used in (run, *alike):
            for painting in paintings_of(used.transfer):
                if painting.image == name:
                    return used, painting.slot
        raise CannotMeasureError(
            f"No run with the photograph and size of {self.name(run)} has the painting {name}; "
            f"the experiment has {', '.join(sorted(self.paintings()))}."
        )

    def _measured(self, name: str, run: Run, to: str | None) -> float:
        self.check_done(run)
        kept = self._alike.metrics(run).get(name)
        if name in COMPARABLE or name in LOSSES:
            if kept is not None:
                return float(kept)
            if run.metrics.get(name) is not None:
                raise CannotMeasureError(f"{name} of {self.name(run)} is of another network. {self._alike.sentence}")
            cure = f" {NEEDS_VGG16}" if name in ON_VGG16 else ""
            raise CannotMeasureError(f"{name} of {self.name(run)} was not measured.{cure}")
        try:
            _use_plugins_for(name, run)
        except UsageError:
            if kept is None:
                raise
            return float(kept)  # what was measured while the plugin was there
        if kept is not None and run.manifest is not None and is_of_now(run.manifest, [name]):
            return float(kept)
        return self.computed(name, run, to)

    @cached_property
    def _alike(self) -> MeasuredAlike:
        return MeasuredAlike(self.runs)


class Sources:
    """What a measure can ask of a finished run: see ``harness.registries.MEASURE_CAN_ASK_FOR``."""

    def __init__(self, measuring: Measuring, run: Run, to: str | None) -> None:
        self._measuring = measuring
        self._run = run
        self._to = to

    @property
    def content(self) -> Floats:
        """The photograph."""
        photograph = self._run.source("content")
        _check_same_size("It", self._run.colours(), photograph, "the photograph")
        return photograph / 255

    @property
    def styles(self) -> tuple[Floats, ...]:
        """The paintings at the picture's area."""
        return tuple(self._run.source(painting.slot) / 255 for painting in self._paintings)

    @property
    def used_styles(self) -> tuple[Floats, ...]:
        """The paintings at the scale and in the colours in which they were used."""
        slots = [painting.slot for painting in self._paintings]
        used = [f"{slot}_as_used" if f"{slot}_as_used" in self._run.sources else slot for slot in slots]
        return tuple(self._run.source(key) / 255 for key in used)

    @property
    def masks(self) -> tuple[Floats | None, ...]:
        """The paintings' masks over the picture."""
        return tuple(self._mask(painting) for painting in self._paintings)

    @property
    def transfer(self) -> Transfer:
        """What the run was told."""
        return self._run.transfer

    @property
    def others(self) -> tuple[Floats, ...]:
        """The experiment's other paintings, at the size their own runs used."""
        own = {painting.image for painting in self._paintings}
        return tuple(
            run.source(key) / 255 for image, (run, key) in self._measuring.paintings().items() if image not in own
        )

    @property
    def to(self) -> Floats:
        """The painting that was named."""
        if self._to is None:
            raise CannotMeasureError("It needs to be told which painting is meant: to=NAME.")
        run, key = self._measuring.painting(self._to, self._run)
        return run.source(key) / 255

    @property
    def again(self) -> Floats:
        """The picture of the same transfer, computed a second time."""
        run, twin = self._run, self._measuring.twin(self._run)
        self._measuring.check_done(twin)
        ways = [
            [r.manifest.provenance.get(key) for key in ("device", "threads")] if r.manifest else [] for r in (run, twin)
        ]
        if ways[0] != ways[1]:
            raise CannotMeasureError(
                f"It and its repetition were computed on different devices or threads ({ways[0]}, {ways[1]}), "
                "which round differently; compute both again with --fresh."
            )
        picture = twin.colours()
        _check_same_size("It", run.colours(), picture, "its second computation")
        return picture / 255

    @property
    def _paintings(self) -> tuple[Painting, ...]:
        return paintings_of(self._run.transfer)

    def _mask(self, painting: Painting) -> Floats | None:
        if painting.mask is None:
            return None
        mask = self._run.source(painting.mask)
        _check_same_size("It", self._run.colours(), mask, f"the mask of {painting.image}")
        return mask[..., 0] / 255


def _use_plugins_for(name: str, run: Run) -> None:
    """Load the plugins of a run's experiment, where a measure is not the harness's own."""
    if name not in measure or measure.registered(name).plugin is not None:
        use_plugins(run.plugins)
        measure.registered(name)


def _check_same_size(who: str, picture: NDArray[Any], other: NDArray[Any], what: str) -> None:
    """What is compared position by position needs one size."""
    if picture.shape[:2] != other.shape[:2]:
        sizes = [f"{image.shape[1]} × {image.shape[0]} px" for image in (picture, other)]
        raise CannotMeasureError(f"{who} is {sizes[0]} and {what} {sizes[1]}; one size is needed.")
