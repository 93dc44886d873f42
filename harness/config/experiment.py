"""An experiment: a base transfer, what to vary, the figure to draw and how to track it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from harness.config.fields import nearest
from harness.config.grid import Axes, Cases, Cell, enumerate_cells, override_words, varied
from harness.config.sentences import GRID, Problem
from harness.config.transfer import Strict, Text, Transfer

CASES = "cases"
"""What a figure's columns or rows are called when they are the experiment's cases."""


class Figure(Strict):
    """How the pictures of an experiment are laid out.

    Attributes:
        columns: the axis along the columns, or ``cases``; by default the first thing that varies.
        rows: the axis along the rows; whatever else varies makes further rows.
        show: the inputs to show before the pictures.
    """

    columns: Text | None = None
    rows: Text | None = None
    show: Annotated[
        tuple[Literal["content", "style"], ...],
        Field(description="a list of content and style, such as [content, style]"),
    ] = ("content", "style")


class Tracking(Strict):
    """What an experiment's runs are called in W&B, within W&B's own limits."""

    job_type: Annotated[str, Field(strict=True, min_length=1, max_length=64, description="1 to 64 characters")] = (
        "transfer"
    )
    project: Annotated[
        str,
        Field(
            strict=True,
            pattern=r"^[^/\\#?%:\x00]{1,128}$",
            description="1 to 128 characters, none of them / \\ # ? % :",
        ),
    ] = "harness"
    tags: Annotated[
        tuple[Annotated[str, Field(strict=True, min_length=1, max_length=64, description="1 to 64 characters")], ...],
        Field(description="a list of words"),
    ] = ()
    notes: Annotated[str, Field(strict=True, description="a text")] = ""


def _instead(name: str, possible: Sequence[str]) -> str:
    close = nearest(name, possible)
    return f"did you mean {close}?" if close else f"allowed: {', '.join(possible) or 'nothing, drop this line'}"


def grid_problems(
    base: Mapping[str, Any], axes: Axes, cases: Cases, columns: str | None, rows: str | None
) -> list[Problem]:
    """Everything wrong with a grid over a valid base, and with the figure that shows it."""
    found = enumerate_cells(base, axes, cases)[1]
    if any(problem.path[0] == "axes" and len(problem.path) == 2 for problem in found):
        return found  # an axis without its right name: the figure cannot be judged
    return found + _figure_problems(columns, rows, _varying(axes, cases))


def _varying(axes: Axes, cases: Cases) -> tuple[str, ...]:
    return ((CASES,) if cases else ()) + tuple(axes)


def _figure_problems(columns: str | None, rows: str | None, possible: Sequence[str]) -> list[Problem]:
    found = [
        Problem(("figure", side), f"nothing varies {name!r}; {_instead(name, possible)}")
        for side, name in (("columns", columns), ("rows", rows))
        if name is not None and name not in possible
    ]
    if not found and rows is not None and rows == columns:
        found.append(Problem(("figure", "rows"), f"{rows} is along the columns already; drop one"))
    return found


class Experiment(Strict):
    """What one file in ``experiments/`` says.

    Attributes:
        transfer: the base, valid by itself also where axes replace its fields.
        axes: values of any dotted fields of the transfer; the grid is their product.
        cases: named combinations of fields; each is carried out for every cell of the axes.
        figure: the layout of the picture grid.
        tracking: project, tags and notes for W&B.
        profiles: partial experiments that ``--profile`` lays over this one.
    """

    transfer: Annotated[Transfer, Field(description="transfer: {content: …, style: …}")]
    axes: Annotated[
        dict[str, Annotated[list[Any], Field(min_length=1)]],
        Field(description="a mapping of fields to lists of values, such as {alpha: [1e-3, 1e-2]}"),
    ] = {}
    cases: Annotated[
        dict[Text, dict[str, Any]],
        Field(description="a mapping of labels to fields, such as {A: {start: content}, B: {start: style}}"),
    ] = {}
    figure: Annotated[Figure, Field(description="{columns: …, rows: …, show: […]}")] = Figure()
    tracking: Annotated[Tracking, Field(description="{project: …, tags: […], notes: …}")] = Tracking()
    profiles: Annotated[
        dict[Text, dict[str, Any]],
        Field(description="a mapping of names to partial experiments, such as {paper: {transfer: {size: 512}}}"),
    ] = {}

    @model_validator(mode="after")
    def _grid_is_sound(self) -> Experiment:
        """Every cell is a valid transfer and no two are the same; the figure shows what varies."""
        found = grid_problems(self.base(), self.axes, self.cases, self.figure.columns, self.figure.rows)
        if found:
            raise PydanticCustomError(GRID, "the grid has faults", {"problems": found})
        return self

    def base(self) -> dict[str, Any]:
        """The base transfer as it was written, without the defaults."""
        return self.transfer.model_dump(exclude_unset=True)

    def varies(self) -> tuple[str, ...]:
        """What sets the cells apart: ``cases`` if there are any, then the axes."""
        return _varying(self.axes, self.cases)

    def layout(self) -> tuple[str | None, tuple[str, ...]]:
        """Which parts of a cell's label run along the columns (None: one column) and along the rows.

        Every cell has a tile of its own: what the figure does not name runs along the rows too.
        """
        rows = (self.figure.rows,) if self.figure.rows else ()
        free = [part for part in self.varies() if part not in rows and part != self.figure.columns]
        columns = self.figure.columns or (free.pop(0) if free else None)
        return columns, (*rows, *free)

    def cells(self) -> list[Cell]:
        """Every cell, cases outermost, the last axis fastest; one cell with an empty label where nothing varies.

        ``overrides`` are relative to this experiment as it stands; ``Loaded.cells`` has them relative to the file.
        """
        fields = varied(self.axes, self.cases)
        return [
            replace(cell, overrides=override_words(cell.transfer, self.transfer, fields))
            for cell in enumerate_cells(self.base(), self.axes, self.cases)[0]
        ]
