"""A sweep: a base transfer, the space to search, what to minimise, and how."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from harness.config.dimensions import Choice, Dimension, Integer
from harness.config.experiment import Tracking
from harness.config.figure import OF_A_GRID, Figure
from harness.config.levels import AUTO
from harness.config.objectives import Maximised, Objective, measure_of
from harness.config.samplers import (
    Budget,
    MedianPruner,
    NoPruner,
    Pruner,
    Sampler,
    SuccessiveHalving,
    Tpe,
    rungs_of,
)  # fmt: skip
from harness.config.sentences import GRID, Problem
from harness.config.space_checks import read_space, value_problems
from harness.config.transfer import Transfer
from harness.config.transfer_parts import PyramidLevel
from harness.config.values import WRITTEN, Plugins, Strict, Text
from harness.config.varied import with_varied


class Sweep(Strict):
    """What one file in ``sweeps/`` says; its parts may be mappings (or objects, see ``harness.config``).

    Attributes:
        transfer: the base; the space replaces its fields.
        space: the dimension of each dotted field to search.
        objectives: the measures to minimise, each once; ``{maximise: ssim}``: one to maximise.
        sampler: who chooses the trials.
        budget: how many.
        pruner: who ends hopeless ones early; with one objective only.
        figure: the inputs shown beside the pictures.
        tracking: project, tags and notes for W&B.
        plugins: files of one's own that register measures and more, or installed packages' entry points.
        profiles: partial sweeps that ``--profile`` lays over this one.
    """

    transfer: Annotated[Transfer, Field(description="transfer: {content: …, style: …}")]
    space: Annotated[
        dict[Text, Dimension],
        BeforeValidator(read_space),
        Field(description="space: {field: dimension}, such as {alpha: {log: [1e-5, 1e-1]}}"),
    ]
    objectives: Annotated[
        tuple[Objective, ...],
        Field(
            min_length=1,
            description="a list of one or more of the measures, such as [reference_style, {maximise: ssim}]",
        ),
    ]
    sampler: Sampler = Tpe()
    budget: Annotated[Budget, Field(description="{trials: …, parallel: …}")] = Budget()
    pruner: Pruner = NoPruner()
    figure: Annotated[Figure, Field(description="{show: […]}")] = Figure()
    tracking: Annotated[Tracking, Field(description="{project: …, tags: […], notes: …}")] = Tracking()
    plugins: Plugins = ()
    profiles: Annotated[
        dict[Text, dict[str, Any]],
        Field(description="a mapping of names to partial sweeps, such as {paper: {transfer: {size: 512}}}"),
    ] = {}

    @model_validator(mode="before")
    @classmethod
    def _base_has_what_varies(cls, data: Any) -> Any:
        """A photograph and a painting that vary need not stand in the base, too."""
        return with_varied(data)

    @model_validator(mode="after")
    def _search_is_sound(self, info: ValidationInfo) -> Sweep:
        """Every value of the space is a valid field, and what is asked of Optuna can be done.

        What the harness has written into a sweep's folder was found so before.
        """
        if info.context == WRITTEN:
            return self
        found = value_problems(self.base(), self.space)
        wrong = {problem.path[1] for problem in found if problem.path[0] == "space" and len(problem.path) > 1}
        found += self._search_problems(are_levels_sound=not wrong & {"steps", "pyramid"})
        if found:
            raise PydanticCustomError(GRID, "the search has faults", {"problems": found})
        return self

    def base(self) -> dict[str, Any]:
        """The base transfer as it was written, without the defaults."""
        return self.transfer.model_dump(exclude_unset=True)

    @property
    def objective_names(self) -> tuple[str, ...]:
        """The measures of the objectives."""
        return tuple(measure_of(objective) for objective in self.objectives)

    @property
    def maximised(self) -> tuple[str, ...]:
        """Those of them that are maximised."""
        return tuple(objective.maximise for objective in self.objectives if isinstance(objective, Maximised))

    def costs(self, values: Sequence[float]) -> tuple[float, ...]:
        """A trial's values, of which the smaller is the better one: those that are maximised with the other sign."""
        pairs = zip(self.objectives, values, strict=True)
        return tuple(-value if isinstance(objective, Maximised) else value for objective, value in pairs)

    def rungs(self) -> tuple[int, ...]:
        """Loss evaluations at which the objective is measured on the way, rising; none without a pruner."""
        return rungs_of(self.pruner, self.min_evaluations())

    def min_evaluations(self) -> int:
        """The fewest loss evaluations any trial has, over all its levels; a pyramid left to ``auto`` may have none."""
        steps, pyramid = self.space.get("steps"), self.space.get("pyramid")
        fewest = self.transfer.steps
        if isinstance(steps, Choice):
            fewest = min(steps.choice)
        elif isinstance(steps, Integer):
            fewest = steps.low
        pyramids = pyramid.choice if isinstance(pyramid, Choice) else (self.transfer.pyramid,)
        read = [() if levels == AUTO else tuple(map(PyramidLevel.model_validate, levels)) for levels in pyramids]
        return fewest + min(sum(level.steps for level in levels) for levels in read)

    def _search_problems(self, are_levels_sound: bool) -> Iterator[Problem]:
        """Faults between sections; ``involved`` names the sections, or the transfer's fields."""
        names = self.objective_names
        for index, name in enumerate(names):
            if self.objectives[index] == "ssim":
                sentence = "ssim grows with likeness, and objectives are minimised; write {maximise: ssim}"
                yield Problem(("objectives", str(index)), sentence, ("objectives",))
            if name in names[:index]:
                yield Problem(("objectives", str(index)), f"{name} stands there twice; keep one", ("objectives",))
        for side in OF_A_GRID:
            if getattr(self.figure, side) != Figure.model_fields[side].default:
                yield Problem(
                    ("figure", side), "a sweep's figure is its front, not a grid; drop this line", ("figure",)
                )
        if isinstance(self.pruner, NoPruner):
            return
        if len(self.objectives) > 1:
            sentence = (
                f"prunes by one objective and there are {len(self.objectives)}; drop pruner, or keep one objective"
            )
            yield Problem(("pruner",), sentence, ("pruner", "objectives"))
        if not are_levels_sound:
            return
        num, involved = self.min_evaluations(), ("pruner", "steps", "pyramid")
        has_levels = self.transfer.pyramid not in (AUTO, ()) or "pyramid" in self.space
        whole = f"{'the evaluations of all levels, which are' if has_levels else 'transfer.steps, which is'} {num}"
        if isinstance(self.pruner, MedianPruner) and self.pruner.rungs is not None:
            for index, rung in enumerate(self.pruner.rungs):
                path = ("pruner", "rungs", str(index))
                if rung >= num:
                    yield Problem(path, f"got {rung}; a rung lies below {whole}", involved)
                elif rung < self.pruner.warmup:
                    sentence = (
                        f"got {rung}; nothing is pruned before warmup, {self.pruner.warmup}: drop it or lower warmup"
                    )
                    yield Problem(path, sentence, ("pruner",))
        elif not self.rungs():
            first = "min_resource" if isinstance(self.pruner, SuccessiveHalving) else "warmup"
            sentence = f"nothing would be pruned: no rung lies below {whole}; lower {first}"
            yield Problem(("pruner", first), sentence, involved)
