"""What an experiment must bear out: the paper's sentences, each with the measurement and the bound that decide it.

Selectors name cells by parts of their labels: ``{cases: A, alpha: [1e-3, 1e-2]}`` selects every cell whose ``cases`` is
A and whose ``alpha`` is one of the two; ``{}`` selects all. How claims are measured and judged stands in
``harness.claims``; whether what they name is there is looked up in ``selectors``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from harness.config.values import CROSS_FIELD, Seed, Strict, Text, number

COMPARABLE: tuple[str, ...] = (
    "reference_content", "reference_style", "heldout_style", "ssim", "pixel_distance", "colour_distance",
    "total_variation", "lpips", "style_swd",
)  # fmt: skip
"""The comparable numbers of ``harness.measures`` that say something about a picture: those that every run reports."""

LOSSES: tuple[str, ...] = ("total", "content", "style")
"""A run's own final losses, unweighted but for ``total``, in its convention's units."""

LOSS = "loss/"
"""What the losses of further terms, ``loss/total_variation``, begin with in a manifest; in tables all of them do."""


def loss_name(number: str) -> str:
    """What a number of a manifest is called in tables and in W&B: ``loss/total``, ``loss/my_term``, ``ssim``."""
    return f"{LOSS}{number}" if number in LOSSES else number


Expect = Literal["rises", "falls", "within", "greater_than", "equal"]

Selector = Annotated[
    dict[Text, Any],
    Field(description="a mapping of label parts to a value or a list of values, such as {alpha: [1e-3, 1e-2]}"),
]


class Repeat(Strict):
    """Cells to carry out once more, for the claims only: they have no panel in the figure.

    Attributes:
        where: which cells; all of them if left out.
        seeds: the seeds to start from; their labels get ``seed``. Where noise is the start, claims want three seeds of
            every cell: its own and two more, ``[1, 2]``. Left out: the same transfer a second time, to see whether it
            repeats.
    """

    where: Selector = {}
    seeds: Annotated[
        Annotated[tuple[Seed, ...], Field(min_length=1)] | None,
        Field(description="a list of integers ≥ 0, such as [1, 2]"),
    ] = None


class Change(Strict):
    """A change of a claim's bound after it was committed.

    Attributes:
        on: the date.
        was: the bound before.
        why: the reason.
    """

    on: Annotated[str, Field(strict=True, pattern=r"^\d{4}-\d\d-\d\d$", description="a date such as 2026-01-31")]
    was: Text
    why: Text


class Claim(Strict):
    """A sentence and what decides it.

    Where chance has a part (noise is the start, or the method is quilting) it wants three seeds of every cell, which
    ``repeat: [{seeds: [1, 2]}]`` gives; with fewer it is decided all the same, and that is noted.

    Attributes:
        says: the sentence.
        where: its place in the paper, such as ``fig. 4``.
        measure: a loss, or a registered measure: ``harness fields measures`` lists them.
        to: for ``gram_distance``, the painting to which the distance is measured, as the transfers' ``style`` names it.
        along: the label part along which the measure rises or falls.
        of: which runs are measured; all if left out.
        than: the runs they are compared with, for ``greater_than`` and ``equal``.
        expect: ``rises``, ``falls``: the mean over seeds changes strictly in that direction at every step along
            ``along``, and from first to last by at least ``by`` (difference) or ``factor`` (ratio). ``within``:
            (max − min) / median over the runs is at most ``by``. ``greater_than``: the mean of ``of`` exceeds the mean
            of ``than`` by more than ``by``, or ``factor`` times; without ``than``, it exceeds ``by``. ``equal``: they
            differ by at most ``by`` (0 if left out); without ``than``, ``of`` is at most so far from 0.
        by: the bound, ≥ 0, in the measure's unit (for ``within``: relative).
        factor: the bound as a ratio, ≥ 1.
        because: the reason of the bound, or of having none.
        changed: later changes of the bound, oldest first.
    """

    says: Text
    where: Annotated[Text, Field(description="the place in the paper, such as fig. 4")]
    measure: Annotated[Text, Field(description="a measure, such as ssim")]
    to: Annotated[Text | None, Field(description="a painting, as style names it")] = None
    along: Text | None = None
    of: Selector | None = None
    than: Selector | None = None
    expect: Expect
    by: Annotated[float, number("number", ge=0)] | None = None
    factor: Annotated[float, number("number", ge=1)] | None = None
    because: Annotated[Text, Field(description="the reason of the bound, or of having none")]
    changed: Annotated[
        tuple[Change, ...], Field(description="a list of {on: 2026-01-31, was: the earlier bound, why: the reason}")
    ] = ()

    @model_validator(mode="after")
    def _bound_fits(self) -> Claim:
        """What is expected has the bound it needs and no other."""
        faults = [
            ((field, "expect"), f"{field} means nothing where the measure is expected {_PHRASES[self.expect]}; {cure}")
            for field, (kinds, cure) in _MEANINGFUL.items()
            if getattr(self, field) is not None and self.expect not in kinds
        ]
        if self.expect in ("rises", "falls") and self.along is None:
            faults.append((("along", "expect"), f"is missing: along which label part it {self.expect}"))
        if self.expect == "within" and self.by is None:
            faults.append((("by", "expect"), "is missing: the largest (max − min) / median that is allowed"))
        if self.expect == "greater_than" and self.than is None and self.by is None and self.factor is None:
            faults.append((("than", "expect"), "is missing: give the runs to compare with (than) or a number (by)"))
        if self.factor is not None and self.by is not None:
            faults.append((("factor", "by"), "stands beside by; a bound is a difference or a ratio: drop one"))
        if self.factor is not None and self.expect == "greater_than" and self.than is None:
            faults.append((("factor", "than"), "a ratio to what? give than, or by in place of factor"))
        if faults:
            raise PydanticCustomError(CROSS_FIELD, "fields contradict each other", {"faults": faults})
        return self


_PHRASES: dict[str, str] = {
    "rises": "to rise", "falls": "to fall", "within": "to lie within a bound", "greater_than": "to be greater",
    "equal": "to be equal",
}  # fmt: skip
_MEANINGFUL: dict[str, tuple[tuple[str, ...], str]] = {
    "along": (("rises", "falls"), "drop it, or expect rises or falls"),
    "than": (("greater_than", "equal"), "drop it, or expect greater_than or equal"),
    "factor": (("rises", "falls", "greater_than"), "give by"),
}
"""Fields that only some expectations have, and what to do where they stand beside another."""


def value_key(value: Any) -> str:
    """One spelling for equal values of a label: canonical JSON in which 1.0 is 1."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def values_of(selected: Any) -> tuple[Any, ...]:
    """The values that an entry of a selector allows."""
    return tuple(selected) if isinstance(selected, list | tuple) else (selected,)


def matches(selector: Mapping[str, Any] | None, label: Mapping[str, Any]) -> bool:
    """Whether a selector selects the cell of a label; a label that lacks a part it names is not selected.

    An image is also called by its stem, as in tables and figures: ``photos/fox.jpg`` by ``fox``.
    """
    return all(
        part in label and any(_is_called(part, label[part], value) for value in values_of(selected))
        for part, selected in (selector or {}).items()
    )


def _is_called(part: str, held: Any, value: Any) -> bool:
    is_image = part in ("content", "style") and isinstance(held, str)
    return value_key(held) == value_key(value) or (is_image and PurePath(held).stem == value)
