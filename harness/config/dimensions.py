"""The dimensions of a search space: what may stand behind a field in ``space``.

space:
alpha: {log: [1e-5, 1e-1]}                 # a float, uniform in its logarithm
noise_sigma: {uniform: [0.05, 0.5]}        # a float, uniform
steps: {integer: [100, 400]}               # an integer, both ends included
start: {choice: [content, noise]}          # one of a list, of anything the field may be
style_layers: {simplex: [conv1_1, conv3_1]}   # weights > 0 that sum to 1, uniform on the simplex
style: {simplex: [strokes, mosaic]}        # the same of paintings
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from harness.config.values import Strict, Text, number

Finite = Annotated[float, number("number")]
Whole = Annotated[int, number("integer")]


class Range(Strict):
    """Numbers between two bounds; the one field of each kind, called as the kind, holds both."""

    @property
    def low(self) -> Any:
        """The smallest value."""
        [(_, (low, _))] = self
        return low

    @property
    def high(self) -> Any:
        """The largest value."""
        [(_, (_, high))] = self
        return high


class Log(Range):
    """A float between two bounds > 0, uniform in its logarithm."""

    log: tuple[Finite, Finite]


class Uniform(Range):
    """A float between two bounds."""

    uniform: tuple[Finite, Finite]


class Integer(Range):
    """An integer between two bounds, both included."""

    integer: tuple[Whole, Whole]


class Choice(Strict):
    """One of two values or more, of anything the field may be."""

    choice: Annotated[tuple[Any, ...], Field(min_length=2)]


class Simplex(Strict):
    """Weights > 0 that sum to 1, of two layers or more, or of two paintings or more.

    The field is ``content_layers``, ``style_layers`` or ``style``.
    In Optuna the weights are a trial's user attributes, ``style_layers.conv1_1`` …; its parameters
    ``u(style_layers.conv1_1)`` … are what they are drawn by (``harness.config.space``).
    """

    simplex: Annotated[tuple[Text, ...], Field(min_length=2)]


Dimension = Log | Uniform | Integer | Choice | Simplex
