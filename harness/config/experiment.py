"""An experiment: a base transfer, what to vary, the figure to draw and how to track it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from harness.config.cells import Axes, Cases, Cell, enumerate_cells
from harness.config.claims import Claim, Repeat, matches
from harness.config.fields import misspelt
from harness.config.figure import Figure, figure_problems
from harness.config.identity import picture_key
from harness.config.methods import GATYS
from harness.config.places import FieldPath
from harness.config.sentences import GRID, Problem
from harness.config.transfer import Transfer
from harness.config.values import WRITTEN, Plugins, Strict, Text, Word
from harness.config.varied import with_varied

CASES = "cases"
"""What a figure's columns or rows are called when they are the experiment's cases."""


class Tracking(Strict):
    """What an experiment's runs are called in W&B, within W&B's own limits.

    Attributes:
        job_type: the kind of run.
        project: the W&B project.
        tags: words to find them by.
        notes: a text beside each.
    """

    job_type: Word = "transfer"
    project: Annotated[
        str,
        Field(
            strict=True,
            pattern=r"^[^/\\#?%:\x00]{1,128}$",
            description="1 to 128 characters, none of them / \\ # ? % :",
        ),
    ] = "harness"
    tags: Annotated[tuple[Word, ...], Field(description="a list of words")] = ()
    notes: Annotated[str, Field(strict=True, description="a text")] = ""


def grid_problems(found: list[Problem], axes: Axes, cases: Cases, figure: Mapping[str, Any]) -> list[Problem]:
    """What was found wrong with a grid's cells, and everything wrong with the figure, plain data, that shows them."""
    if (meant := misspelt(axes)) is None:
        return found  # an axis without its right name: the figure cannot be judged
    values = ({CASES: list(cases)} if cases else {}) | {field: list(values) for field, values in axes.items()}
    values |= {name: list(axes[axis]) for axis, name in meant.items()}
    return found + list(figure_problems(figure, values))


def _varying(axes: Axes, cases: Cases) -> tuple[str, ...]:
    return ((CASES,) if cases else ()) + tuple(axes)


def _from_seed(cell: Cell, seed: int, source: FieldPath) -> Cell:
    """A cell once more, from another seed."""
    label = {part: value for part, value in cell.label.items() if part != "seed"} | {"seed": seed}
    return Cell(label, cell.transfer.model_copy(update={"seed": seed}), {**cell.sources, "seed": source})


def _is_random(transfer: Transfer) -> bool:
    """Whether the seed may change anything: the noise to start from, the blocks that are drawn, a plugin's method."""
    return transfer.method != GATYS or transfer.start == "noise"


class Experiment(Strict):
    """What one file in ``experiments/`` says; its parts may be mappings (or objects, see ``harness.config``).

    Attributes:
        transfer: the base, valid by itself also where axes replace its fields.
        axes: values of any dotted fields of the transfer; the grid is their product. ``content`` and ``style`` may be a
            folder or a pattern, ``photos/*.jpg``: its image files, sorted.
        cases: named combinations of fields; each is carried out for every cell of the axes.
        figure: the layout of the picture grid.
        claims: the sentences it must bear out.
        repeat: cells to carry out once more, for the claims.
        tracking: project, tags and notes for W&B.
        plugins: files of one's own that register measures and more, or installed packages' entry points.
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
    figure: Annotated[Figure, Field(description="{columns: …, rows: …, show: […], width: …, …}")] = Figure()
    claims: Annotated[
        tuple[Claim, ...],
        Field(description="a list of {says: …, where: …, measure: …, expect: …, because: …}"),
    ] = ()
    repeat: Annotated[
        tuple[Repeat, ...], Field(description="a list of {where: …, seeds: […]}, such as [{seeds: [1, 2]}]")
    ] = ()
    tracking: Annotated[Tracking, Field(description="{project: …, tags: […], notes: …}")] = Tracking()
    plugins: Plugins = ()
    profiles: Annotated[
        dict[Text, dict[str, Any]],
        Field(description="a mapping of names to partial experiments, such as {paper: {transfer: {size: 512}}}"),
    ] = {}

    @model_validator(mode="before")
    @classmethod
    def _base_has_what_varies(cls, data: Any) -> Any:
        """A photograph and a painting that vary need not stand in the base, too."""
        return with_varied(data)

    @model_validator(mode="after")
    def _grid_is_sound(self, info: ValidationInfo) -> Experiment:
        """Every cell is a valid transfer and no two are the same; the figure shows what varies.

        What the harness has written into an experiment's folder was found so before.
        """
        if info.context == WRITTEN:
            return self
        found = grid_problems(self._grid[1], self.axes, self.cases, self.figure.model_dump())
        if found:
            raise PydanticCustomError(GRID, "the grid has faults", {"problems": found})
        return self

    @cached_property
    def _grid(self) -> tuple[list[Cell], list[Problem]]:
        """Its cells and everything wrong with the others: enumerated once, as a rule when it is validated."""
        return enumerate_cells(self.base(), self.axes, self.cases)

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
        rows = self.figure.row_parts
        free = [part for part in self.varies() if part not in rows and part != self.figure.columns]
        columns = self.figure.columns or (free.pop(0) if free else None)
        return columns, (*rows, *free)

    def repeats(self) -> list[Cell]:
        """The cells of ``repeat`` that have seeds, each seed's a cell with ``seed`` at the end of its label.

        A transfer in which nothing is drawn at random, or that stands there already, is left out, and so is everything
        where the grid is a single cell.
        """
        cells = self.cells() if self.repeat else []
        known = {picture_key(cell.transfer) for cell in cells}
        found: list[Cell] = []
        for index, repeat in enumerate(self.repeat if len(cells) > 1 else ()):
            for cell, (k, seed) in itertools.product(cells, enumerate(repeat.seeds or ())):
                if matches(repeat.where, cell.label) and _is_random(cell.transfer):
                    again = _from_seed(cell, seed, ("repeat", str(index), "seeds", str(k)))
                    if picture_key(again.transfer) not in known:
                        known.add(picture_key(again.transfer))
                        found.append(again)
        return found

    def again(self) -> list[Cell]:
        """The cells to compute a second time as they are; none where the grid is a single cell."""
        cells = self.cells() if self.repeat else []
        wanted = [repeat for repeat in self.repeat if repeat.seeds is None and len(cells) > 1]
        return [cell for cell in cells if any(matches(repeat.where, cell.label) for repeat in wanted)]

    def cells(self) -> list[Cell]:
        """Every cell, cases outermost, the last axis fastest; one cell with an empty label where nothing varies.

        They have no ``overrides``: those of ``LoadedExperiment.cells`` are relative to the file.
        """
        return list(self._grid[0])
