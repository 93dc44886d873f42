"""The fields of a transfer as dotted names: which there are, the nearest one to a typo, and setting one.

A field is ``alpha`` or, one step deeper, ``optimiser.history`` or ``style_layers.conv1_1``; a painting among several is
``style.strokes`` (its weight), and has fields of its own, as ``style.strokes.scale``. All names are read off the
models, so that no list here can go stale.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import reduce
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, Tag
from pydantic.fields import FieldInfo

from harness.config.layers import LAYERS, may_be_layer, nearest_layer
from harness.config.registered import further_terms
from harness.config.styles import StyleImage
from harness.config.transfer import Transfer

FIELDS: tuple[str, ...] = tuple(Transfer.model_fields)


def members(annotation: Any) -> list[Any]:
    """The branches of a union with their annotations, or the type alone."""
    if get_origin(annotation) is Annotated:
        return members(get_args(annotation)[0])
    if get_origin(annotation) in (dict, Literal, list, tuple) or isinstance(annotation, type):
        return [annotation]
    return list(get_args(annotation))


def models_of(annotation: Any) -> dict[str, type[BaseModel]]:
    """The models an annotation allows, by their discriminator tag ("" where there is none)."""
    return {tag: base for tag, base in _branches(annotation) if isinstance(base, type) and issubclass(base, BaseModel)}


def entries_of(annotation: Any) -> dict[str, type[BaseModel]]:
    """The models of the values of the mappings that an annotation allows, by their discriminator tag."""
    mappings = [(tag, get_args(base)) for tag, base in _branches(annotation) if get_origin(base) is dict]
    return {tag: model for tag, (_, value) in mappings for model in models_of(value).values()}


def _branches(annotation: Any) -> Iterator[tuple[str, Any]]:
    """What an annotation allows, by tag; of a list, what its items may be."""
    for member in members(annotation):
        base, *marks = get_args(member) if get_origin(member) is Annotated else (member,)
        tag = next((mark.tag for mark in marks if isinstance(mark, Tag)), "")
        if get_origin(base) is tuple:
            yield from ((tag, item) for _, item in _branches(get_args(base)[0]))
        else:
            yield tag, base


def _may_be_list(annotation: Any) -> bool:
    bases = (get_args(member)[0] if get_origin(member) is Annotated else member for member in members(annotation))
    return any(get_origin(base) is tuple for base in bases)


def subfields(field: str) -> tuple[str, ...]:
    """What may stand behind ``field.``: layers, terms, or the fields of the models it allows."""
    annotation = Transfer.model_fields[field].annotation
    if get_origin(annotation) is dict:
        return tuple(further_terms()) if field == "terms" else LAYERS
    if _may_be_list(annotation):  # it is given as a whole
        return ()
    return tuple(dict.fromkeys(name for model in models_of(annotation).values() for name in model.model_fields))


def info_at(model: type[BaseModel], location: Iterable[str | int]) -> tuple[FieldInfo | None, type[BaseModel] | None]:
    """The field a pydantic error is about, and the model it is in.

    Args:
        model: the model that was validated.
        location: pydantic's ``loc``, with tags of unions (``<file>``) and ``[key]``.
    """
    info: FieldInfo | None = None
    holder: type[BaseModel] | None = model
    options: dict[str, type[BaseModel]] = {}
    entries: dict[str, type[BaseModel]] = {}
    entry: type[BaseModel] | None = None
    for step in location:
        if isinstance(step, int):  # an item of a list
            continue
        if entry is not None:  # a key of a mapping of models
            info, holder, entry, entries, options = None, entry, None, {}, {}
            continue
        if step.startswith("<"):
            holder, entry = options.get(step), entries.get(step)
            continue
        holder = holder or options.get("")
        info = holder.model_fields.get(step) if holder else None
        if info is None:
            return None, holder
        options, entries = models_of(info.annotation), entries_of(info.annotation)
        last, holder = holder, None
    return info, last if info else holder


OF_OTHERS = {
    "content_weight": "alpha", "style_weight": "beta", "tv_weight": "total_variation", "iterations": "steps",
    "num_iterations": "steps", "num_steps": "steps", "image_size": "size", "init": "start", "model": "weights",
    "style_blend_weights": "style",
}  # fmt: skip
"""What other projects call a field of a transfer."""


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of ``names`` that was probably meant: as another project calls it, or by difflib."""
    written = {known.lower(): known for known in names}
    if (known := OF_OTHERS.get(name.lower().replace("-", "_"))) in written:
        return known
    close = get_close_matches(name.lower().replace("-", "_"), written, n=1, cutoff=0.6)
    return written[close[0]] if close else None


def unknown_name(name: str, names: Iterable[str], kind: str = "field") -> str:
    """The sentence about a name that is not there: the nearest one, or all of them."""
    names = list(names)
    close = nearest_layer(name) if names == list(LAYERS) else nearest(name, names)
    if close:
        return f"there is no {kind} {name!r}; did you mean {close}?"
    return f"there is no {kind} {name!r}; allowed: {', '.join(names) or 'nothing'}"


def suggestion(name: str, names: Iterable[str], nothing: str) -> str:
    """What may stand in place of a name: the nearest one, or all of them, or ``nothing`` where there is none."""
    names = list(names)
    close = nearest(name, names)
    return f"did you mean {close}?" if close else f"allowed: {', '.join(names) or nothing}"


def unknown_field(dotted: str) -> str | None:
    """What is wrong with a dotted name of a transfer's field; None if it is one."""
    field, *rest = dotted.split(".")
    if dotted.startswith("transfer."):
        return f"fields are named without their section here: write {dotted.removeprefix('transfer.')}"
    if field not in FIELDS:
        return unknown_name(dotted, FIELDS)
    if not rest:
        return None
    if field == "style":
        return _unknown_painting(rest)
    if len(rest) > 1 or not (subfields(field) or field == "terms"):
        return f"{field} has no field {'.'.join(rest)!r}; write {field} alone"
    if rest[0] not in subfields(field) and not (subfields(field) == LAYERS and may_be_layer(rest[0])):
        kind = "VGG-19 layer" if subfields(field) == LAYERS else "term" if field == "terms" else f"field of {field}"
        return unknown_name(rest[0], subfields(field), kind)
    return None


def misspelt(axes: Iterable[str]) -> dict[str, str] | None:
    """The axes that are no fields, with those that were probably meant; None where that cannot be told of one."""
    unknown = {axis: axis.removeprefix("transfer.") for axis in axes if unknown_field(axis)}
    meant = {axis: nearest(name, FIELDS) if "." not in name else None for axis, name in unknown.items()}
    found = {axis: name for axis, name in meant.items() if name is not None}
    return found if len(found) == len(unknown) else None


def _unknown_painting(rest: list[str]) -> str | None:
    """What is wrong with the steps behind ``style.``: a painting's name, and perhaps one of its fields."""
    painting, *inner = rest
    if not painting:
        return "style. needs a painting's name, such as style.strokes"
    if len(inner) == 1 and inner[0] in StyleImage.model_fields or not inner:
        return None
    if len(inner) == 1 and (close := nearest(inner[0], StyleImage.model_fields)):
        return unknown_name(inner[0], (close,), "field of a painting")
    sentence = (
        f"here a painting is called by a name without dots, behind it may stand {', '.join(StyleImage.model_fields)}"
    )
    return f"{sentence}; a file is named in the whole mapping: style={{{'.'.join(rest)}: …}}"


def overlaps(one: str, other: str) -> bool:
    """Whether two dotted fields are the same or one holds the other."""
    return one == other or one.startswith(other + ".") or other.startswith(one + ".")


def set_field(transfer: Mapping[str, Any], dotted: str, value: Any) -> dict[str, Any]:
    """A copy of a raw transfer in which one field is replaced; deeper steps keep the field's other entries."""
    field, _, inner = dotted.partition(".")
    if not inner:
        return {**transfer, field: value}
    default = Transfer.model_fields[field].default
    if isinstance(default, BaseModel):
        default = None  # its fields have their own
    before = transfer[field] if field in transfer else default
    if field == "optimiser" and isinstance(before, str):
        before = {"name": before}
    if field == "optimiser" and inner == "name":
        before = None  # another algorithm has other fields
    if field == "style":
        return {**transfer, field: _set_painting(before, inner, value)}
    return {**transfer, field: {**(before if isinstance(before, dict) else {}), inner: value}}


def set_fields(transfer: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a raw transfer in which dotted fields are replaced, one after another."""
    return reduce(lambda raw, field: set_field(raw, field, fields[field]), fields, dict(transfer))


def _set_painting(before: Any, inner: str, value: Any) -> dict[str, Any]:
    """The paintings with one more, or with one's weight or field replaced; a painting alone has the weight 1."""
    paintings = {before: 1.0} if isinstance(before, str) else dict(before) if isinstance(before, dict) else {}
    painting, _, part = inner.partition(".")
    held = paintings.get(painting, {})
    held = held if isinstance(held, dict) else {"weight": held}
    if not part and not isinstance(value, dict):
        part = "weight"
    return paintings | {painting: {**held, part: value} if part else value}
