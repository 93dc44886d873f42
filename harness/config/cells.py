"""The cells of an experiment: its cases × its axes, in the order they are written, each a validated transfer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from harness.config.fields import FIELDS, overlaps, set_fields, unknown_field
from harness.config.identity import picture_key
from harness.config.methods import is_used
from harness.config.places import FieldPath
from harness.config.sentences import Problem, problems, shown
from harness.config.styles import shortest
from harness.config.transfer import Transfer
from harness.config.yaml_source import assignments, flow

MAX_CELLS = 10_000
"""A grid beyond this is a slip of the pen: at 20 s a picture it takes more than two days."""

Axes = Mapping[str, Sequence[Any]]
Cases = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Cell:
    """One transfer of an experiment.

    Attributes:
        label: what sets it apart: ``{"cases": "A", "alpha": 0.01}``, in the experiment's order; empty for a single one.
        transfer: the resolved transfer.
        sources: for each field that varies, where in the document its value stands (``axes``, ``alpha``, ``2``).
        overrides: the ``transfer.…=value`` words that make it, pasted behind ``harness run FILE``.
    """

    label: Mapping[str, Any]
    transfer: Transfer
    sources: Mapping[str, FieldPath]
    overrides: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The label on one line, e.g. ``cases=A, alpha=0.01``."""
        return assignments(self.label)

    def path(self, field: str | FieldPath) -> FieldPath:
        """Where in the document the value of a transfer's field stands: dotted, or its path (names may have dots)."""
        steps = tuple(field.split(".")) if isinstance(field, str) else field
        return _source(steps, self.sources) or ("transfer", *steps)


def override_words(transfer: Transfer, base: Transfer | None, varied_fields: Collection[str]) -> tuple[str, ...]:
    """The words that turn a base into a transfer: every field that differs, and every field to pin.

    Args:
        transfer: what is wanted.
        base: what the file alone says; None when that is no valid transfer, then every field is named.
        varied_fields: dotted fields that the file varies.
    """
    wanted = _words(transfer)
    before = _words(base) if base else {}
    return tuple(
        f"transfer.{field}={flow(wanted[field])}"
        for field in FIELDS
        if field not in before
        or before[field] != wanted[field]
        or any(overlaps(field, other) for other in varied_fields)
    )


def _words(transfer: Transfer) -> dict[str, Any]:
    """Every field as plain data, the paintings as short as they can be written."""
    data = {**dict.fromkeys(FIELDS), **transfer.plain()}
    return {**data, "style": shortest(data["style"])}


def enumerate_cells(base: Mapping[str, Any], axes: Axes, cases: Cases) -> tuple[list[Cell], list[Problem]]:
    """Every cell that is a valid transfer, and everything wrong with the others; one cell where nothing varies.

    Args:
        base: a valid transfer as raw data.
        axes: values of each dotted field.
        cases: fields of each label.
    """
    found = list(_naming_problems(axes, cases))
    named_wrong = {problem.path for problem in found}
    axes = {field: values for field, values in axes.items() if ("axes", field) not in named_wrong}
    cases = {
        label: {field: value for field, value in case.items() if ("cases", label, field) not in named_wrong}
        for label, case in cases.items()
    }
    incomplete_cases = any(path[0] == "cases" for path in named_wrong)  # they may look alike without the wrong field
    num_cells = max(1, len(cases)) * math.prod(map(len, axes.values()))
    if num_cells > MAX_CELLS:
        found.append(Problem(("axes",), f"these are {num_cells} cells; at most {MAX_CELLS} are allowed: vary less"))
        return [], found
    cells: dict[str, Cell] = {}
    for cell_label, sources, raw in combinations(base, axes, cases):
        try:
            cell = Cell(cell_label, Transfer.model_validate(raw), sources)
        except ValidationError as error:
            for problem in problems(error, Transfer):
                found.append(_at_source(problem, sources))
            continue
        key = picture_key(cell.transfer)
        if key in cells and not incomplete_cases:
            found.append(_repeated(cell, cells[key]))
        cells.setdefault(key, cell)
    return list(cells.values()), list(dict.fromkeys(found))


def combinations(
    base: Mapping[str, Any], axes: Axes, cases: Cases
) -> Iterator[tuple[dict[str, Any], dict[str, FieldPath], dict[str, Any]]]:
    """Label, sources and raw transfer of every cell; the last axis runs fastest."""
    for label, case in cases.items() if cases else [(None, {})]:
        for choice in itertools.product(*(enumerate(values) for values in axes.values())):
            cell_label: dict[str, Any] = {} if label is None else {"cases": label}
            sources: dict[str, FieldPath] = {field: ("cases", str(label), field) for field in case}
            chosen = {field: value for field, (_, value) in zip(axes, choice, strict=True)}
            sources |= {field: ("axes", field, str(index)) for field, (index, _) in zip(axes, choice, strict=True)}
            yield cell_label | chosen, sources, set_fields(set_fields(base, case), chosen)


def _naming_problems(axes: Axes, cases: Cases) -> Iterator[Problem]:
    """Fields that are not there, and fields that are set twice."""
    before: list[str] = []
    for field in axes:
        if sentence := unknown_field(field):
            yield Problem(("axes", field), sentence)
        elif other := next((other for other in before if overlaps(field, other)), None):
            yield Problem(("axes", field), f"{field} and {other} vary the same field; keep one axis")
        else:
            before.append(field)
    for label, case in cases.items():
        own: list[str] = []
        for field in case:
            if sentence := unknown_field(field):
                yield Problem(("cases", label, field), sentence)
            elif other := next((other for other in before if overlaps(field, other)), None):
                yield Problem(
                    ("cases", label, field), f"{other} is an axis too; vary it in axes or in cases, not in both"
                )
            elif other := next((other for other in own if overlaps(field, other)), None):
                yield Problem(("cases", label, field), f"{field} and {other} set the same field; keep one")
            else:
                own.append(field)


def _source(field: FieldPath, sources: Mapping[str, FieldPath]) -> FieldPath | None:
    """Where the value of a field comes from; None when it is the base's."""
    for varied_field, path in sources.items():
        steps = tuple(varied_field.split("."))
        shared = min(len(steps), len(field))
        if steps[:shared] == field[:shared]:
            return (*path, *field[shared:])
    return None


def _at_source(problem: Problem, sources: Mapping[str, FieldPath]) -> Problem:
    """A problem of a cell, moved to the axis or case that brought it in."""
    for field in (problem.path, *(tuple(name.split(".")) for name in problem.involved)):
        if path := _source(field, sources):
            return Problem(path, problem.message, problem.involved)
    return Problem(("transfer", *problem.path), problem.message, problem.involved)


def _repeated(cell: Cell, earlier: Cell) -> Problem:
    """The sentence about a cell that is the same transfer as an earlier one."""
    differing = [field for field in cell.label if cell.label[field] != earlier.label[field]]
    index_differs = [field for field in cell.sources if cell.sources[field] != earlier.sources.get(field)]
    axis_fields = [field for field in index_differs if cell.sources[field][0] == "axes"]
    unused = [field for field in index_differs if not is_used(cell.transfer.method, field)]
    if unused:
        sentence = (
            f"{cell.transfer.method} does not use {' and '.join(unused)}, so that ({cell.name}) and ({earlier.name}) "
            f"are the same picture; name what is wanted in cases, with {cell.transfer.method} once"
        )
        return Problem(cell.sources[unused[0]], sentence)
    if "cases" in differing and not axis_fields:
        return Problem(
            ("cases", cell.label["cases"]), f"case {cell.label['cases']} is the same as case {earlier.label['cases']}"
        )
    if "cases" not in differing and len(axis_fields) == 1:
        field = axis_fields[0]
        value, before = cell.label[field], earlier.label[field]
        return Problem(
            cell.sources[field], f"{shown(value)} is the same as {shown(before)}, which stands before it; keep one"
        )
    path = cell.sources[axis_fields[0]] if axis_fields else ("axes",)
    return Problem(path, f"the cells ({cell.name}) and ({earlier.name}) are the same transfer; keep one")
