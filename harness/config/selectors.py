"""Whether claims, repeats and objectives name what is there: cells by selectors, paintings by ``to``, measures.

Judged on plain data beside the axes and cases they were written for: where overrides or a profile have changed those,
a claim that selects nothing is no fault, only not measured. Measures are those of the harness and of the plugins that
are loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from harness.config.cells import combinations
from harness.config.claims import COMPARABLE, LOSSES, matches, value_key
from harness.config.fields import misspelt, nearest, suggestion
from harness.config.objectives import measure_of
from harness.config.places import FieldPath
from harness.config.sentences import Problem, shown
from harness.config.styles import Painting, paintings_of
from harness.config.transfer import Transfer
from harness.config.varied import with_varied
from harness.registries import asked_by, is_of_one_run, measure

Parts = Mapping[str, list[Any]]
"""The values of every part of the labels."""

NO_PARTS = "nothing, for nothing varies"

MAX_SHOWN = 8
"""Allowed values that a sentence lists."""


def label_parts(data: Mapping[str, Any]) -> Parts | None:
    """The label parts of an experiment's grid and their values; None where its axes or cases are faulty themselves.

    A misspelt axis counts under the name that was meant, too: what names it rightly is no fault.
    """
    axes, cases = (data.get(section) or {} for section in ("axes", "cases"))
    if not isinstance(axes, dict) or not isinstance(cases, dict):
        return None
    if not all(isinstance(values, list) for values in axes.values()):
        return None
    if (meant := misspelt(axes)) is None:
        return None
    return ({"cases": list(cases)} if cases else {}) | axes | {field: axes[axis] for axis, field in meant.items()}


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
    paintings = _paintings(data) if "claims" in sections else []
    found: list[Problem] = []
    for index, entry in enumerate(_list(data.get("repeat"))):
        if "repeat" in sections and isinstance(entry, dict):
            found += of_selector(entry.get("where"), parts, ("repeat", str(index), "where"))
    for index, entry in enumerate(_list(data.get("claims"))):
        if "claims" in sections and isinstance(entry, dict):
            found += _claim(entry, parts, of_runs, repeats, ("claims", str(index)))
            found += _of_paintings(entry, paintings, ("claims", str(index)))
    return found


def _paintings(data: Mapping[str, Any]) -> list[tuple[Painting, ...]]:
    """The paintings of every case and style, where a claim is about paintings; none where one is faulty itself."""
    claims = [claim for claim in _list(data.get("claims")) if isinstance(claim, dict)]
    cases = data.get("cases") or {}
    if not any({"to", "masks"} & set(_asked_by(claim)) for claim in claims):
        return []
    if not isinstance(cases, dict) or not all(isinstance(case, dict) for case in cases.values()):
        return []
    try:
        base = Transfer.model_validate(with_varied(data).get("transfer")).model_dump(exclude_unset=True)
    except ValidationError:
        return []
    of_style = {field: values for field, values in (data.get("axes") or {}).items() if field.split(".")[0] == "style"}
    try:
        return [paintings_of(Transfer.model_validate(raw)) for _, _, raw in combinations(base, of_style, cases)]
    except ValidationError:
        return []


def _of_paintings(
    claim: Mapping[str, Any], paintings: list[tuple[Painting, ...]], path: FieldPath
) -> Iterator[Problem]:
    """What a claim says of paintings and no cell has."""
    if not paintings:
        return
    to, asked = claim.get("to"), _asked_by(claim)
    images = list(dict.fromkeys(painting.image for held in paintings for painting in held))
    if "to" in asked and isinstance(to, str) and to not in images:
        yield Problem((*path, "to"), f"no cell has the painting {shown(to)}; {_suggested_value(to, images)}")
    if "masks" in asked and all(sum(part.mask is not None for part in held) < 2 for held in paintings):
        sentence = f"{claim['measure']} compares regions, and no cell has two paintings with a mask; give each its mask"
        yield Problem((*path, "measure"), sentence)


def _claim(
    claim: Mapping[str, Any], parts: Parts, of_runs: Parts, repeats: list[dict[str, Any]], path: FieldPath
) -> Iterator[Problem]:
    along, of = claim.get("along"), claim.get("of")
    faults = [*of_selector(of, of_runs, (*path, "of")), *of_selector(claim.get("than"), of_runs, (*path, "than"))]
    yield from faults
    if isinstance(along, str) and along not in parts:
        yield Problem((*path, "along"), f"nothing varies {along!r}; {suggestion(along, parts, NO_PARTS)}")
    elif isinstance(along, str) and not faults:
        chosen = of.get(along, parts[along]) if isinstance(of, dict) else parts[along]
        if len(_list(chosen)) < 2:
            yield Problem((*path, "along"), f"{along} has one value here; nothing {claim.get('expect')} along it")
    if "again" in _asked_by(claim) and all(entry.get("seeds") is not None for entry in repeats):
        sentence = f"{claim['measure']} needs cells computed twice; add `repeat: [{{where: …}}]`, without seeds"
        yield Problem((*path, "measure"), sentence)


def measure_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Measures of claims and objectives that nobody has registered, or that cannot be asked for there."""
    for index, objective in enumerate(_list(data.get("objectives"))):
        name = measure_of(objective)
        possible = [held for held in dict.fromkeys((*COMPARABLE, *measure)) if is_of_one_run(held)]
        if isinstance(name, str) and name and name not in possible:
            path, expected = ("objectives", str(index)), f"a list of one or more of {', '.join(possible)}"
            yield Problem(path, f"got {shown(name)}; allowed: {expected}{_meant(name, possible)}", ("objectives",))
    for index, claim in enumerate(_list(data.get("claims"))):
        name = claim.get("measure") if isinstance(claim, dict) else None
        if not isinstance(name, str) or not name:
            continue
        names, path = list(dict.fromkeys((*COMPARABLE, *LOSSES, *measure))), ("claims", str(index))
        if name not in names:
            expected = f"one of {', '.join(names)}"
            yield Problem((*path, "measure"), f"got {shown(name)}; allowed: {expected}{_meant(name, names)}")
        elif "to" in _asked_by(claim) and claim.get("to") is None:
            yield Problem((*path, "to"), "is missing: to which painting, as the transfers' style names it")
        elif "to" not in _asked_by(claim) and claim.get("to") is not None:
            to_a_painting = [held for held in measure if "to" in asked_by(measure[held])]
            sentence = f"to means nothing to {name}; drop it, or measure {' or '.join(to_a_painting)}"
            yield Problem((*path, "to"), sentence)


def _asked_by(claim: Mapping[str, Any]) -> tuple[str, ...]:
    """What a claim's measure asks for; nothing where there is none of that name, which is reported elsewhere."""
    name = claim.get("measure")
    return asked_by(measure[name]) if isinstance(name, str) and name in measure else ()


def _meant(name: str, possible: list[str]) -> str:
    """What was probably meant, and where one's own measure is to be found."""
    close = nearest(name, possible)
    return f"; did you mean {close}?" if close else "; one of your own is found where plugins: [FILE.py] names its file"


def of_selector(selector: Any, parts: Parts, path: FieldPath) -> Iterator[Problem]:
    """What one selector names and no cell has."""
    for part, selected in selector.items() if isinstance(selector, dict) else ():
        if part not in parts:
            yield Problem((*path, part), f"nothing varies {part!r}; {suggestion(part, parts, NO_PARTS)}")
        elif isinstance(selected, list) and not selected:
            yield Problem((*path, part), f"selects nothing; give one of {_listed(parts[part])}")
        else:
            values = list(enumerate(selected)) if isinstance(selected, list) else [(None, selected)]
            for index, value in values:
                if not any(matches({part: [value]}, {part: held}) for held in parts[part]):
                    place = (*path, part) if index is None else (*path, part, str(index))
                    yield Problem(place, f"no cell has {part} {shown(value)}; {_suggested_value(value, parts[part])}")


def _suggested_value(value: Any, possible: list[Any]) -> str:
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
