"""Values that are names in a registry, of the harness's own or of a plugin's: a style statistic, a term, a network."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from pydantic import AfterValidator, ValidationInfo
from pydantic_core import PydanticCustomError

from harness.config.values import WRITTEN
from harness.registries import Registry, term

UNREGISTERED = "unregistered"
"""Type of the pydantic error about a name that nothing has, with the sentence as ``ctx["sentence"]``."""


def further_terms() -> list[str]:
    """The terms that ``terms`` may name: a user's; the harness's own have fields."""
    return [name for name in term if name not in term.own]


def registered_in(registry: Registry[Any]) -> AfterValidator:
    """A text must be a name in a registry; of terms, one that has no field of its own.

    Of what was written before, the plugin may be anywhere by now.
    """

    def check(name: str, info: ValidationInfo) -> str:
        names = further_terms() if registry is term else list(registry)
        if name in names or info.context == WRITTEN:
            return name
        if name in term.own and registry is term:
            field = {"photorealism": "photorealism.weight"}.get(name, name)
            sentence = f"{name} has a field of its own; write {field}: …"
        else:
            allowed = f"one of {', '.join(names)}" if len(names) > 1 else "".join(names) or "nothing yet"
            near = get_close_matches(name, names, n=1)
            meant = f"did you mean {near[0]}?" if near else f"a {registry.kind} of yours needs plugins: [FILE.py]"
            sentence = f"got {name!r}; allowed: {allowed}; {meant}"
        raise PydanticCustomError(UNREGISTERED, "{sentence}", {"sentence": sentence})

    return AfterValidator(check)
