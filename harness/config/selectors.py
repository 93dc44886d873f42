"""Whether the selectors of claims and repeats name what the experiment has.

Judged on plain data beside the axes and cases they were written for: where overrides or a profile have changed those,
a claim that selects nothing is no fault, only not measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.config.claims import matches, value_key
from harness.config.fields import nearest, unknown_field
from harness.config.located import Path
from harness.config.sentences import Problem, shown

Parts = Mapping[str, list[Any]]
"""The values of every part of the labels."""

MAX_SHOWN = 8
"""Allowed values that a sentence lists."""


def label_parts(data: Mapping[str, Any]) -> Parts | None:
    """The label parts of an experiment's grid and their values; None where its axes or cases are faulty themselves."""
    axes, cases = (data.get(section) or {} for section in ("axes", "cases"))
    if not isinstance(axes, dict) or not isinstance(cases, dict):
        return None
    if any(unknown_field(field) or not isinstance(values, list) for field, values in axes.items()):
        return None
    return ({"cases": list(cases)} if cases else {}) | axes


def selector_problems(data: Mapping[str, Any], sections: tuple[str, ...] = ("claims", "repeat")) -> list[Problem]:
    """What the claims and repeats of an experiment name and it does not have; shapes that pydantic reports are skipped.

    Args:
        data: the experiment.
        sections: which of the two to judge.
    """
    parts = label_parts(data)
    if parts is None:
        return []
    repeats = [entry for entry in _list(data.get("repeat")) if isinstance(entry, dict)]
    seeds = [seed for entry in repeats for seed in _list(entry.get("seeds"))]
    of_runs = {**parts, "seed": [*parts.get("seed", []), *seeds]} if seeds else parts
    found: list[Problem] = []
    for index, entry in enumerate(_list(data.get("repeat"))):
        if "repeat" in sections and isinstance(entry, dict):
            found += _selector(entry.get("where"), parts, ("repeat", str(index), "where"))
    for index, entry in enumerate(_list(data.get("claims"))):
        if "claims" in sections and isinstance(entry, dict):
            found += _claim(entry, parts, of_runs, repeats, ("claims", str(index)))
    return found


def _claim(
    claim: Mapping[str, Any], parts: Parts, of_runs: Parts, repeats: list[dict[str, Any]], path: Path
) -> Iterator[Problem]:
    along, of = claim.get("along"), claim.get("of")
    faults = [*_selector(of, of_runs, (*path, "of")), *_selector(claim.get("than"), of_runs, (*path, "than"))]
    yield from faults
    if isinstance(along, str) and along not in parts:
        yield Problem((*path, "along"), f"nothing varies {along!r}; {_instead(along, list(parts))}")
    elif isinstance(along, str) and not faults:
        chosen = of.get(along, parts[along]) if isinstance(of, dict) else parts[along]
        if len(_list(chosen)) < 2:
            yield Problem((*path, "along"), f"{along} has one value here; nothing {claim.get('expect')} along it")
    if claim.get("measure") == "repeat_distance" and all(entry.get("seeds") is not None for entry in repeats):
        sentence = "repeat_distance needs cells computed twice; add `repeat: [{where: …}]`, without seeds"
        yield Problem((*path, "measure"), sentence)


def _selector(selector: Any, parts: Parts, path: Path) -> Iterator[Problem]:
    """What one selector names and no cell has."""
    for part, selected in selector.items() if isinstance(selector, dict) else ():
        if part not in parts:
            yield Problem((*path, part), f"nothing varies {part!r}; {_instead(part, list(parts))}")
        elif isinstance(selected, list) and not selected:
            yield Problem((*path, part), f"selects nothing; give one of {_listed(parts[part])}")
        else:
            values = list(enumerate(selected)) if isinstance(selected, list) else [(None, selected)]
            for index, value in values:
                if not any(matches({part: [value]}, {part: held}) for held in parts[part]):
                    place = (*path, part) if index is None else (*path, part, str(index))
                    yield Problem(place, f"no cell has {part} {shown(value)}; {_value_instead(value, parts[part])}")


def _instead(name: str, possible: list[str]) -> str:
    close = nearest(name, possible)
    return f"did you mean {close}?" if close else f"allowed: {', '.join(possible) or 'nothing, for nothing varies'}"


def _value_instead(value: Any, possible: list[Any]) -> str:
    """The value that was probably meant: a text alike, or a number that stands in quotes; else all of them."""
    if isinstance(value, str):
        texts = [held for held in possible if isinstance(held, str)]
        if close := nearest(value, texts):
            return f"did you mean {close}?"
        try:
            if value_key(float(value)) in map(value_key, possible):
                return "write it without quotes"
        except ValueError:
            pass
    return f"allowed: {_listed(possible)}"


def _listed(values: list[Any]) -> str:
    more = f" and {len(values) - MAX_SHOWN} more" if len(values) > MAX_SHOWN else ""
    return ", ".join(shown(value) for value in values[:MAX_SHOWN]) + more


def _list(value: Any) -> list[Any]:
    """A list as it is, anything else as an empty one (it is reported elsewhere)."""
    return value if isinstance(value, list) else []
