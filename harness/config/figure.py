"""How an experiment's pictures are laid out, on a screen and on paper."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from harness.config.claims import Selector
from harness.config.fields import suggestion
from harness.config.selectors import Parts, of_selector
from harness.config.sentences import Problem
from harness.config.values import CROSS_FIELD, Strict, Text, number

WIDTHS_IN = {"column": 3.25, "text": 6.875}
"""CVPR's column, and its two columns with what is between them."""

INCHES = {"in": 1.0, "cm": 1 / 2.54, "mm": 1 / 25.4, "pt": 1 / 72.27}
"""TeX's units of length."""

NARROWEST_IN, WIDEST_IN = 1.0, 40.0
TYPE_PT = 8.0
"""Size of the type on paper where none is given."""

SMALLEST_PT, LARGEST_PT = 7, 9
"""What can be read on paper, and what does not stand out from the text around it."""

MAX_ZOOMS = 4
"""A corner of the picture for each."""

INSET_SHARE = 0.4
"""How much of a picture's width and height an enlarged region takes at most."""

_LENGTH = r"(\d+\.?\d*|\.\d+) ?(in|cm|mm|pt)"

Font = Literal["sans", "times"]
Side = Literal["content", "style", "masks"]


def _with_unit(given: Any) -> Any:
    """A number alone is inches."""
    return f"{given}in" if isinstance(given, int | float) and not isinstance(given, bool) else given


def _listed(given: Any) -> Any:
    """One region alone is a list of it."""
    is_one = isinstance(given, list | tuple) and bool(given) and not any(isinstance(v, list | tuple) for v in given)
    return [given] if is_one else given


Width = Annotated[
    str,
    BeforeValidator(_with_unit),
    Field(
        strict=True,
        pattern=rf"^(column|text|{_LENGTH})$",
        description="column (3.25 in), text (6.875 in), or a length such as 3.25in, 82mm or 240pt",
    ),
]
Share = Annotated[float, number("number", ge=0, le=1)]
Region = Annotated[
    tuple[Share, Share, Share, Share],
    Field(description="[left, top, width, height] in shares of the picture, such as [0.25, 0, 0.5, 0.5]"),
]
Names = Annotated[
    Annotated[Text, Tag("<name>")] | Annotated[tuple[Text, ...], Field(min_length=1), Tag("<list>")],
    Discriminator(lambda given: "<list>" if isinstance(given, list | tuple) else "<name>"),
    Field(description="an axis, cases, or a list of these, such as [style, alpha]"),
]


class Figure(Strict):
    """How the pictures of an experiment are laid out.

    Attributes:
        columns: the axis along the columns, or ``cases``; by default the first thing that varies.
        rows: the axis along the rows, or several: the last one changes fastest. Whatever else varies makes further
            rows.
        show: the inputs to show before the pictures.
        wrap: that many panels to a line, where nothing is named as rows; each then carries its own label.
        cells: which cells are shown; all of them if left out.
        crop: the part of every picture, and of the photograph, that is shown: [left, top, width, height] in shares of
            its width and height.
        zoom: parts that are framed, and shown larger in the picture's corners, as of ``crop``; up to four.
        captions: ``shared``: α/β that several pictures have in common stands once, and so does a painting; ``each``:
            beside every picture that has it. By default ``shared`` where a width is given.
        width: how wide it is printed: ``column`` (3.25 in), ``text`` (6.875 in), or a length. Type is then ``size``
            points large there, whatever the pictures' pixels, the PDF's page is that wide, and ``figure.tex`` has it
            with a caption.
        font: ``sans`` (DejaVu Sans) or ``times`` (STIX).
        size: of the type, in points of 1/72 in; with ``width``, 8 if left out.
    """

    columns: Text | None = None
    rows: Names | None = None
    show: Annotated[
        tuple[Side, ...],
        Field(description="a list of content, style and masks, such as [content, style]"),
    ] = ("content", "style")
    wrap: Annotated[int, number("integer", ge=1)] | None = None
    cells: Selector | None = None
    crop: Region | None = None
    zoom: Annotated[
        tuple[Region, ...],
        BeforeValidator(_listed),
        Field(
            max_length=MAX_ZOOMS,
            description=f"up to {MAX_ZOOMS} regions, such as [[0.5, 0.25, 0.2, 0.2]]: left, top, width and height in "
            "shares of what is shown",
        ),
    ] = ()
    captions: Literal["each", "shared"] | None = None
    width: Width | None = None
    font: Font = "sans"
    size: Annotated[float, number("number", ge=SMALLEST_PT, le=LARGEST_PT)] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Figure:
        """Panels are laid out in rows of a meaning or wrapped, type has a size on paper, regions lie in the picture."""
        faults: list[tuple[tuple[str, ...], str]] = []
        if self.wrap is not None and self.rows is not None:
            told = " and ".join(self.row_parts)
            verb = "have" if len(self.row_parts) > 1 else "has"
            faults.append(
                (("wrap", "rows"), f"{self.wrap} panels to a line, yet {told} {verb} the rows; drop wrap or rows")
            )
        if self.width_in is not None and not NARROWEST_IN <= self.width_in <= WIDEST_IN:
            allowed = f"allowed: {NARROWEST_IN:g} to {WIDEST_IN:g} in"
            faults.append((("width",), f"{self.width} is {self.width_in:.3g} in wide; {allowed}"))
        if self.size is not None and self.width is None:
            sentence = "is the size of type in print; say how wide the figure is printed, such as width: column"
            faults.append((("size", "width"), sentence))
        for name, regions in (("crop", [self.crop] if self.crop else []), ("zoom", self.zoom)):
            for left, top, width, height in regions:
                if not width or not height:
                    faults.append(((name,), "has a region without width or height; both are above 0"))
                elif left + width > 1 + 1e-9 or top + height > 1 + 1e-9:
                    sums = f"left + width is {left + width:.4g}, top + height {top + height:.4g}"
                    faults.append(((name,), f"has a region that leaves the picture: {sums}; at most 1 is allowed"))
                elif name == "zoom" and max(width, height) >= INSET_SHARE:
                    sentence = f"has a region of {width:g} × {height:g}; below {INSET_SHARE} a corner shows it larger"
                    faults.append(((name,), sentence))
        if faults:
            raise PydanticCustomError(CROSS_FIELD, "fields contradict", {"faults": faults})
        return self

    @property
    def row_parts(self) -> tuple[str, ...]:
        """What is named as rows."""
        return names_of(self.rows)

    @property
    def width_in(self) -> float | None:
        """How wide it is printed, in inches; None where that is not said."""
        if self.width is None or self.width in WIDTHS_IN:
            return WIDTHS_IN.get(self.width or "")
        match = re.fullmatch(_LENGTH, self.width)
        assert match is not None
        return float(match[1]) * INCHES[match[2]]

    @property
    def size_pt(self) -> float:
        """Of the type in print."""
        return TYPE_PT if self.size is None else self.size

    @property
    def is_shared(self) -> bool:
        """Whether what pictures have in common stands once."""
        return self.captions == "shared" or (self.captions is None and self.width is not None)


OF_A_GRID = ("columns", "rows", "wrap", "cells", "crop", "zoom", "captions", "width", "font", "size")
"""What says something of a grid of pictures alone."""


def names_of(value: Any) -> tuple[str, ...]:
    """A name, or the names in a list; whatever else stands there is reported elsewhere."""
    listed = [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else []
    return tuple(name for name in listed if isinstance(name, str))


def without(figure: Mapping[str, Any], gone: Collection[str]) -> dict[str, Any]:
    """A figure that does not name what was taken away any more.

    Args:
        figure: as plain data.
        gone: names.
    """
    found: dict[str, Any] = {}
    for key, value in figure.items():
        if key == "rows" and isinstance(value, list):
            left: Any = [name for name in value if name not in gone]
        elif key == "cells" and isinstance(value, dict):
            left = {part: selected for part, selected in value.items() if part not in gone}
        else:
            left = None if key in ("columns", "rows") and isinstance(value, str) and value in gone else value
        if left or left == value:
            found[key] = left
    return found


def figure_problems(figure: Mapping[str, Any], possible: Parts) -> Iterator[Problem]:
    """What a figure names and the grid does not have.

    Args:
        figure: as plain data; shapes that pydantic reports are skipped.
        possible: the values of everything that varies.
    """
    found: list[Problem] = []
    columns, rows = names_of(figure.get("columns")), names_of(figure.get("rows"))
    for side, names in (("columns", columns), ("rows", rows)):
        found += [
            Problem(
                ("figure", side), f"nothing varies {name!r}; {suggestion(name, possible, 'nothing, drop this line')}"
            )
            for name in names
            if name not in possible
        ]
    if not found:
        for k, name in enumerate(rows):
            if name in columns:
                found.append(Problem(("figure", "rows"), f"{name} is along the columns already; drop one"))
            elif name in rows[:k]:
                found.append(Problem(("figure", "rows"), f"{name} stands there twice; keep one"))
    yield from found
    yield from of_selector(figure.get("cells"), possible, ("figure", "cells"))
