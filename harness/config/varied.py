"""What varies need not be said twice: a base without a photograph or a painting has the first of those that vary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from harness.config.dimensions import Choice, Simplex
from harness.config.fields import set_fields, unknown_field
from harness.config.transfer import Transfer

STAND_IN = "astronaut"
"""Takes the place of an image that is missing or faulty while the rest is checked."""

NEEDED = tuple(name for name, info in Transfer.model_fields.items() if info.is_required())
"""The fields without a default: ``content`` and ``style``."""


def with_varied(data: Any) -> Any:
    """An experiment or a sweep as plain data, whose transfer has of ``NEEDED`` also what only axes, cases or space say.

    The base is then valid by itself, as it has to be. A case says it for all only where every case does.
    """
    if not isinstance(data, Mapping) or not isinstance(data.get("transfer"), Mapping):
        return data
    transfer = dict(data["transfer"])
    for field in NEEDED:
        if field not in transfer and (first := _first_values(data, field)):
            transfer |= _sound(field, set_fields({}, first))
    return {**data, "transfer": transfer}


def _first_values(data: Mapping[str, Any], field: str) -> dict[str, Any]:
    """The first value of everything that varies a field, or what is inside it, by dotted names."""
    axes, space, cases = (_mapping(data.get(section)) for section in ("axes", "space", "cases"))
    of_cases = [
        {name: value for name, value in _mapping(case).items() if _is_of(name, field)} for case in cases.values()
    ]
    found = {
        name: values[0]
        for name, values in axes.items()
        if _is_of(name, field) and isinstance(values, list | tuple) and values
    }
    found |= {name: _first(dimension) for name, dimension in space.items() if _is_of(name, field)}
    return found or (of_cases[0] if of_cases and all(of_cases) else {})


def _sound(field: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The field as it was given; a stand-in where it is faulty, which is said where it stands."""
    try:
        Transfer.model_validate({**dict.fromkeys(NEEDED, STAND_IN), **given})
        return given
    except ValidationError:
        return {field: STAND_IN}


def _first(dimension: Any) -> Any:
    if isinstance(dimension, Choice | Simplex):
        dimension = dimension.model_dump()
    values = [values for values in _mapping(dimension).values() if isinstance(values, list | tuple) and values]
    if not values:
        return None
    return dict.fromkeys(values[0], 1.0) if "simplex" in dimension else values[0][0]


def _is_of(name: str, field: str) -> bool:
    return name.partition(".")[0] == field and unknown_field(name) is None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
