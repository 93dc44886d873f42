"""Everything that can be wrong with a search space: its shape, and its values as fields of the transfer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError, ValidationInfo
from pydantic_core import PydanticCustomError

from harness.config.dimensions import Choice, Dimension, Integer, Log, Simplex, Uniform
from harness.config.fields import nearest, overlaps, set_fields, unknown_field, unknown_name
from harness.config.identity import picture_key
from harness.config.layers import LAYERS, may_be_layer
from harness.config.methods import is_used
from harness.config.places import FieldPath
from harness.config.sentences import SPACE, Problem, problems, shown
from harness.config.transfer import Transfer
from harness.config.values import WRITTEN

KINDS: dict[str, type[Log | Uniform | Integer | Choice | Simplex]] = {
    "log": Log, "uniform": Uniform, "integer": Integer, "choice": Choice, "simplex": Simplex,
}  # fmt: skip
ALLOWED = (
    "one of {log: [low, high]}, {uniform: [low, high]}, {integer: [low, high]}, {choice: […]}, {simplex: [layers]}"
)
LAYERED = ("content_layers", "style_layers")
SIDES = (
    "alpha", "beta", *LAYERED, "method", "style", "segmentation", "colours", "photorealism", "size", "pyramid", "steps",
    "style_statistic", "weights",
)  # fmt: skip
"""The fields that can contradict each other."""

MAX_COMBINATIONS = 1_000
"""Of the extreme values of those fields: beyond it they are not tried together."""


def read_space(data: Any, info: ValidationInfo) -> Any:
    """The dimensions of a space from plain data, with every fault in its shape; dimensions are kept as they are.

    Raises:
        PydanticCustomError: carries the ``Problem``s.
    """
    if not isinstance(data, Mapping):
        sentence = (
            f"got {shown(data)}; allowed: a mapping of fields to dimensions, such as {{alpha: {{log: [1e-5, 1e-1]}}}}"
        )
        found = [Problem(("space",), sentence)]
    elif not data:
        found = [Problem(("space",), "is empty; a sweep varies something, such as {alpha: {log: [1e-5, 1e-1]}}")]
    else:
        found = [] if info.context == WRITTEN else shape_problems(data)
    if found:
        raise PydanticCustomError(SPACE, "the space has faults", {"problems": found})
    return {field: _read(dimension) for field, dimension in data.items()}


def _read(data: Any) -> Any:
    if not isinstance(data, Mapping):
        return data
    [kind] = data
    return KINDS[kind].model_validate(data)


def shape_problems(space: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with a space before any value is tried on the transfer."""
    found: list[Problem] = []
    before: list[str] = []
    for field, dimension in space.items():
        if sentence := unknown_field(str(field)):
            found.append(Problem(("space", str(field)), sentence))
        elif other := next((other for other in before if overlaps(field, other)), None):
            found.append(Problem(("space", field), f"{field} and {other} vary the same field; keep one"))
        else:
            before.append(field)
        if not isinstance(dimension, Log | Uniform | Integer | Choice | Simplex):
            found += _dimension(str(field), dimension)
        else:
            found += _dimension(field, dimension.model_dump(mode="json"))
    return found


def _dimension(field: str, data: Any) -> Iterator[Problem]:
    path: FieldPath = ("space", field)
    if not isinstance(data, Mapping) or len(data) != 1 or not set(data) <= set(KINDS):
        yield Problem(path, f"got {shown(data)}; allowed: {ALLOWED}{_kind_hint(data)}")
        return
    [(kind, given)] = data.items()
    path = (*path, kind)
    if kind == "choice":
        yield from _choice(field, given, path)
    elif kind == "simplex":
        yield from _simplex(field, given, path)
    else:
        yield from _range(kind, given, path)


def _kind_hint(data: Any) -> str:
    if isinstance(data, list):
        is_range = len(data) == 2 and all(_is_number(value, integer=False) for value in data)
        return "" if is_range else f"; did you mean {{choice: {shown(data)}}}?"
    if isinstance(data, Mapping):
        close = next((close for key in data if key not in KINDS and (close := nearest(str(key), KINDS))), None)
        return f"; did you mean {close}?" if close else ""
    return ""


def _choice(field: str, given: Any, path: FieldPath) -> Iterator[Problem]:
    if not isinstance(given, list | tuple) or not given:
        yield Problem(path, f"got {shown(given)}; allowed: a list of two values or more")
    elif len(given) == 1:
        yield Problem(path, f"{shown(given[0])} alone leaves nothing to choose; write it as transfer.{field} instead")


def _simplex(field: str, given: Any, path: FieldPath) -> Iterator[Problem]:
    if field not in (*LAYERED, "style"):
        yield Problem(path, f"a simplex is for {', '.join(LAYERED)} and style; {field} is none of them")
    of, such = ("paintings", "[strokes, mosaic]") if field == "style" else ("layers", "[conv1_1, conv2_1]")
    if not isinstance(given, list | tuple) or len(given) < 2:
        yield Problem(path, f"got {shown(given)}; allowed: a list of two {of} or more, such as {such}")
        return
    for index, layer in enumerate(given):
        if field == "style" and (not isinstance(layer, str) or not layer):
            yield Problem((*path, str(index)), f"got {shown(layer)}; allowed: an image: its path or its name")
        elif field != "style" and not (isinstance(layer, str) and may_be_layer(layer)):
            yield Problem((*path, str(index)), unknown_name(str(layer), LAYERS, "VGG-19 layer"))
        elif layer in given[:index]:
            yield Problem((*path, str(index)), f"{layer} stands there twice; keep one")


def _is_number(value: Any, integer: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if integer else int | float):
        return False
    return math.isfinite(value)


def _range(kind: str, given: Any, path: FieldPath) -> Iterator[Problem]:
    numbers = "integers" if kind == "integer" else "finite numbers"
    if not isinstance(given, list | tuple) or len(given) != 2:
        yield Problem(path, f"got {shown(given)}; allowed: two {numbers}, [low, high]")
        return
    wrong = [(index, value) for index, value in enumerate(given) if not _is_number(value, kind == "integer")]
    for index, value in wrong:
        hint = "; write it without quotes" if isinstance(value, str) and _reads_as_number(value) else ""
        yield Problem((*path, str(index)), f"got {shown(value)}; allowed: two {numbers}, [low, high]{hint}")
    if wrong:
        return
    low, high = given
    if low >= high:
        hint = f"did you mean [{shown(high)}, {shown(low)}]?" if low > high else "one value leaves nothing to search"
        yield Problem(path, f"got {shown(list(given))}; the first must be below the second; {hint}")
    if kind == "log" and min(low, high) <= 0:
        yield Problem(path, f"got {shown(list(given))}; a log range lies above 0; raise its low end, or write uniform")


def _reads_as_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def value_problems(base: Mapping[str, Any], space: Mapping[str, Dimension]) -> list[Problem]:
    """What is wrong with the choices and with both ends of the ranges as fields of a valid base transfer.

    Args:
        base: the transfer as raw data.
        space: of sound shape.
    """
    found: list[Problem] = []
    alone: dict[str, list[tuple[FieldPath, Any]]] = {}
    for field, dimension in space.items():
        places: dict[str, FieldPath] = {}
        alone[field] = []
        if field == "style" and isinstance(dimension, Simplex):
            found += _dropped(base.get("style"), dimension)
        method = base.get("method", Transfer.model_fields["method"].default)
        if "method" not in space and not is_used(method, field):
            found.append(Problem(("space", field), f"{method} does not use {field}; drop this line"))
            continue
        for place, value in _extremes(field, dimension):
            problem, key = _tried(base, {field: value}, place)
            if problem is not None:
                found.append(_for_integer(problem, base, field, dimension))
            elif key in places:
                sentence = f"{shown(value)} is the same as the choice before it; keep one"
                found.append(Problem(place, sentence))
            else:
                alone[field].append((place, value))
            places.setdefault(key, place)
    if not found:
        found += _together(base, alone)
    return list(dict.fromkeys(found))


def _dropped(style: Any, dimension: Simplex) -> Iterator[Problem]:
    """What the base says of paintings that weights alone would drop."""
    for image, part in style.items() if isinstance(style, Mapping) else ():
        own = sorted(set(part) - {"weight"}) if isinstance(part, Mapping) and image in dimension.simplex else []
        if own:
            each = ", ".join(f"style.{name}: {{uniform: [0.01, 1]}}" for name in dimension.simplex)
            sentence = f"a simplex is of weights alone and would drop {image}'s {' and '.join(own)}; search {each}"
            yield Problem(("space", "style", "simplex"), sentence)


def _extremes(field: str, dimension: Dimension) -> list[tuple[FieldPath, Any]]:
    """The values to try, with the place of each: choices, or both ends."""
    if isinstance(dimension, Choice):
        return [(("space", field, "choice", str(index)), value) for index, value in enumerate(dimension.choice)]
    if isinstance(dimension, Simplex):
        weights = {layer: 1 / len(dimension.simplex) for layer in dimension.simplex}
        return [(("space", field, "simplex"), weights)]
    [kind] = type(dimension).model_fields
    return [(("space", field, kind, str(index)), end) for index, end in enumerate((dimension.low, dimension.high))]


def _tried(base: Mapping[str, Any], fields: Mapping[str, Any], place: FieldPath) -> tuple[Problem | None, str]:
    """What is wrong with a base in which fields are set, moved to ``place``; and one spelling of the transfer."""
    try:
        return None, picture_key(Transfer.model_validate(set_fields(base, fields)))
    except ValidationError as error:
        first = next(problems(error, Transfer))
        return Problem(place, first.message, first.involved), repr(place)


def _for_integer(problem: Problem, base: Mapping[str, Any], field: str, dimension: Dimension) -> Problem:
    """The same problem, saying so where only the kind of range is wrong."""
    if not isinstance(dimension, Log | Uniform) or not (dimension.low.is_integer() and dimension.high.is_integer()):
        return problem
    ends = (int(dimension.low), int(dimension.high))
    if any(_tried(base, {field: end}, problem.path)[0] for end in ends):
        return problem
    return Problem(problem.path, f"{field} is an integer; write {{integer: [{ends[0]}, {ends[1]}]}}")


def _together(base: Mapping[str, Any], alone: Mapping[str, list[tuple[FieldPath, Any]]]) -> Iterator[Problem]:
    """Extremes that are valid alone and contradict each other: both sides switched off."""
    involved = [values for field, values in alone.items() if field.split(".")[0] in SIDES]
    if len(involved) < 2 or math.prod(map(len, involved)) > MAX_COMBINATIONS:
        return
    for combination in itertools.product(*involved):
        fields = {place[1]: value for place, value in combination}
        problem, _ = _tried(base, fields, combination[0][0])
        if problem is not None:
            place = next((p for p, _ in combination if p[1].split(".")[0] in problem.involved), problem.path)
            words = ", ".join(f"{field} {shown(value)}" for field, value in fields.items())
            yield Problem(place, f"{problem.message} (with {words})", problem.involved)
            return
