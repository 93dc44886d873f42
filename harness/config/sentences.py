"""Pydantic's errors as sentences for the user: what was given, what is allowed, the likely intention.

One sentence for each fault, also where a field may be one of several things.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from harness.config.claims import COMPARABLE
from harness.config.fields import info_at, members, models_of, nearest, unknown_name
from harness.config.layers import LAYERS, nearest_layer
from harness.config.places import FieldPath
from harness.config.registered import UNREGISTERED
from harness.config.styles import StyleImage
from harness.config.values import CROSS_FIELD
from harness.config.yaml_source import flow

GRID = "grid"
SPACE = "space"
"""Types of the pydantic errors that carry ``Problem``s of our own, as ``ctx["problems"]``: those found once every field
is valid by itself, and those of one section."""

_FILE_ENDINGS = {
    "weights": (".pth", ".pt", ".safetensors"),
    "start": (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"),
}
_ENTRIES = {
    "axes": "a list of one value or more, such as [1, 2]",
    "cases": "a mapping of fields to values, such as {start: content}",
    "profiles": "a partial experiment, such as {transfer: {size: 512}}",
    "claims": "{says: …, where: …, measure: …, expect: …, because: …}",
    "repeat": "{where: …, seeds: […]}",
}
_TRUTHS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false", 1: "true", 0: "false"}


@dataclass(frozen=True)
class Problem:
    """A fault without its place.

    Attributes:
        path: the field, from the root of what was validated.
        message: the sentence.
        involved: every field that could be changed to cure it (names of a transfer's fields).
    """

    path: FieldPath
    message: str
    involved: tuple[str, ...] = ()


def shown(value: Any) -> str:
    """A value as YAML would write it, shortened to 60 characters."""
    text = "nothing" if value is None else repr(value) if isinstance(value, str) else flow(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def choices_of(annotation: Any) -> tuple[str, ...]:
    """The names a field may have, read off its ``Literal``; with several branches, those of the first."""
    for member in members(annotation):
        base = get_args(member)[0] if get_origin(member) not in (Literal, dict) and get_args(member) else member
        if get_origin(base) is Literal:
            return tuple(map(str, get_args(base)))
        if get_origin(member) is Literal:
            return tuple(map(str, get_args(member)))
    return ()


def allowed(info: FieldInfo | None) -> str:
    """What a field may be, in words."""
    if info is None:
        return ""
    if info.description:
        return info.description
    for member in members(info.annotation):  # of what may be left out, the part that may not
        for mark in get_args(member)[1:] if get_origin(member) is Annotated else ():
            if isinstance(mark, FieldInfo) and mark.description:
                return mark.description
    for model in models_of(info.annotation).values():
        return f"{{{', '.join(f'{name}: …' for name in model.model_fields)}}}"
    choices = choices_of(info.annotation)
    return f"one of {', '.join(choices)}" if len(choices) > 1 else "".join(choices)


def problems(error: ValidationError, model: type[BaseModel]) -> Iterator[Problem]:
    """Every fault pydantic found in ``model``."""
    details = error.errors(include_url=False)
    around = {detail["loc"][:length] for detail in details for length in range(len(detail["loc"]))}
    for detail in details:
        if detail["type"] == "too_short" and detail["loc"] in around:
            continue  # it is short only of its faulty items, which have sentences of their own
        if detail["type"] == CROSS_FIELD:
            prefix = tuple(map(str, detail["loc"]))
            for fields, sentence in detail["ctx"]["faults"]:
                first, *inner = fields[0].split(".", 1)
                yield Problem((*prefix, first, *inner), sentence, (first, *fields[1:]))
            continue
        if detail["type"] in (GRID, SPACE):
            yield from detail["ctx"]["problems"]
            continue
        location = detail["loc"]
        path = tuple(str(step) for step in location if not str(step).startswith(("<", "[")))
        if detail["type"] == UNREGISTERED:
            yield Problem(path, detail["ctx"]["sentence"])
            continue
        yield Problem(path, _sentence(detail["type"], detail["input"], location, path, model))


def _sentence(kind: str, given: Any, location: tuple[int | str, ...], path: FieldPath, model: type[BaseModel]) -> str:
    info, holder = info_at(model, location)
    if kind == "extra_forbidden" and path[:-1] == ("transfer",) and path[-1] in model.model_fields:
        return f"{path[-1]} is a section of the file's own, not of transfer: it begins at the margin, as transfer: does"
    if kind == "extra_forbidden":
        return unknown_name(path[-1], holder.model_fields if holder else ())
    if kind == "missing":
        return f"is missing; give {allowed(info) or 'it'}"
    if location[-1] == "[key]" and _is_of_layers(path):
        return unknown_name(str(given), LAYERS, "VGG-19 layer")
    if location[-1] == "[key]":
        return f"got {shown(given)} as a name; allowed: a non-empty text"
    if kind == "value_error":
        return f"got {shown(given)}"
    if path[-1].isdecimal():  # an item of a list: what the list may hold
        info, holder = info_at(model, location[:-1])
    hint = _hint(given, path, info)
    expected = _allowed_inside(path) or allowed(info)
    return f"got {shown(given)}; allowed: {expected}{f'; {hint}' if hint else ''}"


def _allowed_inside(path: FieldPath) -> str:
    """What the entries of a mapping may be; pydantic has no field for them."""
    if len(path) == 2 and path[0] in _ENTRIES:
        return _ENTRIES[path[0]]
    if len(path) > 1 and path[-2] == "style":
        return f"a weight ≥ 0, or {{{', '.join(f'{name}: …' for name in StyleImage.model_fields)}}}"
    what = "layer" if _is_of_layers(path) else "term" if len(path) > 1 and path[-2] == "terms" else ""
    return f"a finite number ≥ 0 (0 switches the {what} off)" if what else ""


def _is_of_layers(path: FieldPath) -> bool:
    return len(path) > 1 and path[-2].endswith("_layers")


def _hint(given: Any, path: FieldPath, info: FieldInfo | None) -> str:
    """The likely intention, where there is one."""
    field, annotation = path[-1], info.annotation if info else None
    if len(path) > 1 and path[-2] == "style":
        return _number_hint(given, integer=False)
    if field == "style" and isinstance(given, list) and given and all(isinstance(image, str) for image in given):
        return f"did you mean {{{', '.join(f'{image}: 1' for image in given)}}}?"
    if field == "objectives" and isinstance(given, str):
        return f"did you mean [{nearest(given, COMPARABLE) or given}]?"
    if field == "objectives" and isinstance(given, dict):
        return f"did you mean [{flow(given)}]?"
    if type(None) in get_args(annotation):  # it may be left out
        [annotation, *_] = [get_args(member)[0] for member in members(annotation) if get_args(member)] or [annotation]
    if annotation is bool:
        word = given.lower() if isinstance(given, str) else given
        return f"did you mean {_TRUTHS[word]}?" if word in _TRUTHS else ""
    if field.endswith("_layers"):
        if isinstance(given, str | list):
            layers = [given] if isinstance(given, str) else [item for item in given if isinstance(item, str)]
            meant = ", ".join(f"{nearest_layer(layer) or layer}: 1" for layer in layers)
            return f"did you mean {{{meant}}}?" if meant else ""
        return ""
    if annotation in (float, int) or annotation is None:
        return _number_hint(given, integer=annotation is int)
    if annotation is str:
        return "put it in quotes" if isinstance(given, int | float) and not isinstance(given, bool) else ""
    if isinstance(given, dict) and field in ("optimiser", "sampler", "pruner"):
        given = given.get("name")
    if isinstance(given, dict):
        return "give either file or url, not both" if {"file", "url"} <= given.keys() else ""
    if not isinstance(given, str):
        return ""
    if given.lower().endswith(_FILE_ENDINGS.get(field, ("\0",))):
        return f"did you mean {{file: {given}}}?"
    if field == "weights" and given.startswith(("http://", "https://")):
        return f"did you mean {{url: {given}, sha256: …}}?"
    close = nearest(given, choices_of(annotation) or _model_names(annotation))
    return f"did you mean {close}?" if close else ""


def _model_names(annotation: Any) -> tuple[str, ...]:
    """The values of ``name`` that tell the models of a union apart."""
    fields = [model.model_fields.get("name") for model in models_of(annotation).values()]
    return tuple(name for field in fields if field for name in choices_of(field.annotation))


def _number_hint(given: Any, *, integer: bool) -> str:
    if isinstance(given, str):
        try:
            float(given)
        except ValueError:
            return ""
        return "write it without quotes"
    if integer and isinstance(given, float) and given.is_integer() and abs(given) < 1e6:
        return f"write {int(given)}"
    return ""
