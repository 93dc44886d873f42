"""The dimensions of a search space: what may stand behind a field in ``space``.

space:
alpha: {log: [1e-5, 1e-1]}                 # a float, uniform in its logarithm
noise_sigma: {uniform: [0.05, 0.5]}        # a float, uniform
steps: {integer: [100, 400]}               # an integer, both ends included
start: {choice: [content, noise]}          # one of a list, of anything the field may be
style_layers: {simplex: [conv1_1, conv3_1]}   # weights ≥ 0 that sum to 1, uniform on the simplex
style: {simplex: [strokes, mosaic]}        # the same of paintings
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from harness.config.strict import Strict, Text, number

Finite = Annotated[float, number("number")]
Whole = Annotated[int, number("integer")]


class Log(Strict):
    """A float between two bounds > 0, uniform in its logarithm."""

    log: tuple[Finite, Finite]

    @property
    def low(self) -> float:
        """The smallest value."""
        return self.log[0]

    @property
    def high(self) -> float:
        """The largest value."""
        return self.log[1]


class Uniform(Strict):
    """A float between two bounds."""

    uniform: tuple[Finite, Finite]

    @property
    def low(self) -> float:
        """The smallest value."""
        return self.uniform[0]

    @property
    def high(self) -> float:
        """The largest value."""
        return self.uniform[1]


class Integer(Strict):
    """An integer between two bounds, both included."""

    integer: tuple[Whole, Whole]

    @property
    def low(self) -> int:
        """The smallest value."""
        return self.integer[0]

    @property
    def high(self) -> int:
        """The largest value."""
        return self.integer[1]


class Choice(Strict):
    """One of two values or more, of anything the field may be."""

    choice: Annotated[tuple[Any, ...], Field(min_length=2)]


class Simplex(Strict):
    """Weights > 0 that sum to 1, of two layers or more, or of two paintings or more.

    The field is ``content_layers``, ``style_layers`` or ``style``.
    """

    simplex: Annotated[tuple[Text, ...], Field(min_length=2)]


Dimension = Log | Uniform | Integer | Choice | Simplex
