"""The kinds of values that a transfer is made of: strict numbers and texts, whose descriptions make error sentences.

Numbers are strict: ``true`` is not 1.0 and ``"1e-3"`` is not a number.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, PlainSerializer, WrapValidator

from harness.odd_names import escaped

MINIMUM_SIZE_PX = 16
MAXIMUM_SIZE_PX = 8192
ORIGINAL = "original"
"""As a size: the photograph's own longer side, at most ``MAXIMUM_SIZE_PX``."""

ORIGINAL_PX = 0
"""What a size is between the word ``original`` and the reading of the photograph (``driver.sizes.resolve_size``)."""

CROSS_FIELD = "cross_field"
"""Type of the pydantic error that carries faults between fields, as ``ctx["faults"]``: (fields, sentence) pairs."""

WRITTEN = "written"
"""pydantic's context in which something is read that was validated before: its plugins need not be loaded."""


def number(kind: Literal["number", "integer"], **bounds: float) -> Any:
    """A strict, finite number whose description, used in error sentences, is derived from its bounds."""
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    limits = " and ".join(f"{signs[name]} {limit}" for name, limit in bounds.items())
    description = f"{'an integer' if kind == 'integer' else 'a finite number'} {limits}"
    finite = {} if kind == "integer" else {"allow_inf_nan": False}
    return Field(strict=True, description=description, **finite, **bounds)  # type: ignore[call-overload]


def _text(description: str) -> Any:
    return Field(strict=True, min_length=1, pattern=r"^[^\x00]+$", description=description)


Text = Annotated[str, _text("a non-empty text")]
Word = Annotated[str, Field(strict=True, min_length=1, max_length=64, description="1 to 64 characters")]
FilePath = Annotated[str, _text("the path of a file")]
Image = Annotated[
    str,
    BeforeValidator(lambda given: escaped(given) if isinstance(given, str) else given),
    _text("an image: its path or its name"),
]
Plugins = Annotated[
    tuple[Text, ...], Field(description="a list of Python files or entry points, such as [my_losses.py]")
]
Truth = Annotated[bool, Field(strict=True, description="true or false")]
Weight = Annotated[float, number("number", ge=0)]
Rate = Annotated[float, number("number", gt=0)]
Scale = Annotated[float, number("number", gt=0, le=16)]
Size = Annotated[int, number("integer", ge=MINIMUM_SIZE_PX, le=MAXIMUM_SIZE_PX)]
PictureSize = Annotated[
    Size,
    WrapValidator(lambda given, read: ORIGINAL_PX if given == ORIGINAL else read(given)),
    PlainSerializer(lambda size_px: ORIGINAL if size_px == ORIGINAL_PX else size_px),
    Field(description=f"an integer ≥ {MINIMUM_SIZE_PX} and ≤ {MAXIMUM_SIZE_PX}, or {ORIGINAL}"),
]
Count = Annotated[int, number("integer", ge=1)]
Seed = Annotated[int, number("integer", ge=0, lt=2**63)]


class Strict(BaseModel):
    """A frozen model that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def by_name(*names: str, default: str = "") -> Discriminator:
    """Tells models apart by their ``name``: the tag of ``lbfgs`` is ``<lbfgs>``; ``default`` where none is given."""

    def tag(data: Any) -> str | None:
        name = data.get("name", default) if isinstance(data, dict) else getattr(data, "name", None)
        return f"<{name}>" if name in names else None

    return Discriminator(tag)


def expand_name(data: Any) -> Any:
    """``lbfgs`` is short for ``{name: lbfgs}``."""
    return {"name": data} if isinstance(data, str) else data
