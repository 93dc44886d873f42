"""What a sweep's objectives may be: measures, each minimised, or maximised where that is said.

objectives: [reference_content, reference_style]
objectives: [reference_style, {maximise: ssim}]
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Tag

from harness.config.values import Strict, Text


class Maximised(Strict):
    """A measure of which more is better."""

    maximise: Text


def _plain(given: Any) -> Any:
    """``{minimise: ssim}`` is what ``ssim`` alone says."""
    return given["minimise"] if isinstance(given, dict) and [*given] == ["minimise"] else given


def _tag(data: Any) -> str | None:
    return "<name>" if isinstance(data, str) else "<maximised>" if isinstance(data, dict | Maximised) else None


Objective = Annotated[
    Annotated[Text, Tag("<name>")] | Annotated[Maximised, Tag("<maximised>")],
    Discriminator(_tag),
    BeforeValidator(_plain),
]


def measure_of(objective: Any) -> Any:
    """The measure of an objective, also of one in plain data."""
    if isinstance(objective, Maximised):
        return objective.maximise
    if isinstance(objective, dict) and len(objective) == 1:
        return objective.get("maximise", objective.get("minimise"))
    return objective
