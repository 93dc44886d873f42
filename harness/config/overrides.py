"""``key=value`` words, profiles and files laid over the data of a file.

Words take effect from left to right. Setting a field of the transfer pins it: it leaves ``axes``, ``cases`` and
``space``; a pinned ``seed`` takes the repeats from other seeds away. Nothing behind ``=`` (or ``null``) takes an axis,
a case, a searched field or a figure's field away.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from harness.config.experiment import CASES, Experiment, grid_problems
from harness.config.fields import FIELDS, nearest, overlaps, set_field, unknown_field, unknown_name
from harness.config.figure import Figure, without
from harness.config.identity import picture_key
from harness.config.places import FieldPath, Located
from harness.config.sentences import problems
from harness.config.transfer import Transfer
from harness.config.yaml_source import parse_word
from harness.errors import ConfigError, Fault

NAMED_SECTIONS = ("sampler", "pruner")
"""Sections whose other fields depend on their ``name``: with another name they are forgotten."""

MERGED_SECTIONS = ("transfer", "figure", "tracking", "budget", *NAMED_SECTIONS)
"""Sections that a profile changes field by field; every other value is replaced as a whole."""

SWEEP_ONLY = ("space", "objectives", "sampler", "pruner", "budget")
EXPERIMENT_ONLY = ("axes", "cases", "claims", "repeat")
EXPERIMENT_SECTIONS = ("transfer", "figure", "tracking", *EXPERIMENT_ONLY, "plugins")
SWEEP_SECTIONS = ("transfer", "figure", "tracking", *SWEEP_ONLY, "plugins")
LIST_SECTIONS = ("claims", "repeat", "objectives", "plugins")

_ENTRY = {"axes": "axis", "cases": "case", "space": "searched field"}


def mapping(value: Any) -> dict[str, Any]:
    """A mapping as it is, anything else as an empty one (it is reported elsewhere)."""
    return value if isinstance(value, dict) else {}


def lay_over(
    data: dict[str, Any],
    located: Located,
    part: Mapping[str, Any],
    places: Mapping[FieldPath, str],
    source: FieldPath = (),
    at: FieldPath = (),
) -> None:
    """Lay a part over an experiment or a sweep: a profile, a file over its base, or a profile over the base's.

    Args:
        data: is changed in place.
        located: where its fields stand, with it.
        part: sections; null takes one away (of a profile it is kept: there it takes one away later).
        places: where the part's fields stand.
        source: the way to the part in its document.
        at: the way to ``data`` in its own.
    """
    for section, value in part.items():
        here, there = (*at, section), (*source, section)
        if section in NAMED_SECTIONS and isinstance(value, dict) and isinstance(data.get(section), str):
            data[section] = {"name": data[section]}
        if section in MERGED_SECTIONS and isinstance(value, dict) and isinstance(data.get(section, {}), dict):
            if section in NAMED_SECTIONS and "name" in value:
                data[section] = {}  # another algorithm has other fields
            for field, inner in value.items():
                data[section] = {**data.get(section, {}), field: inner}
                located.adopt((*here, field), (*there, field), places)
        elif value is None and not at:
            data.pop(section, None)
        else:
            data[section] = value
            located.adopt(here, there, places)


def varies(data: Mapping[str, Any]) -> set[str]:
    """What a figure may name: the axes, and the cases if there are any."""
    return {*mapping(data.get("axes")), *((CASES,) if data.get("cases") else ())}


def forget_gone(data: dict[str, Any], gone: Collection[str], own: Collection[str] = ()) -> None:
    """Let the figure forget axes that were taken away, but for its fields in ``own``."""
    if isinstance(figure := data.get("figure"), dict):
        left = without(figure, gone)
        data["figure"] = {
            key: value if key in own else left[key] for key, value in figure.items() if key in own or key in left
        }


class Overrides:
    """Applies override words to one document.

    Attributes:
        faults: what was wrong with the words.
        replaced: sections that words set as a whole.
    """

    def __init__(self, data: dict[str, Any], located: Located, sections: Sequence[str] = EXPERIMENT_SECTIONS) -> None:
        """Work on ``data`` and ``located`` in place; words may change ``sections``."""
        self.data = data
        self.located = located
        self.sections = sections
        self.replaced: list[str] = []
        self.faults: list[Fault] = []
        self.pinned_case = False

    def apply(self, word: str) -> None:
        """Apply one word."""
        where = f"override {word!r}"
        key, equals, text = word.partition("=")
        key = key.strip()
        if not equals or not key:
            self._fault(where, "", "is not of the form key=value, such as transfer.alpha=1e-2")
            return
        value, faults = parse_word(text, where)
        if faults:
            self.faults += [Fault(where, key, fault.message) for fault in faults]
            return
        section, *steps = key.split(".")
        if section not in self.sections:
            self._fault(where, "", _unknown_section(key, text, self.sections))
        elif not steps:
            self._set_section(where, section, value)
        elif section in LIST_SECTIONS:
            self._fault(where, key, f"{section} is a list; give it as a whole: {section}=[…]")
        elif section in NAMED_SECTIONS and isinstance(self.data.get(section), str):
            self.data[section] = {"name": self.data[section]}
            self._set_entry(where, section, ".".join(steps), value)
        elif not isinstance(self.data.get(section, {}), dict):
            pass  # the section itself is faulty, and reported as such
        elif section == "transfer":
            self._set_transfer(where, ".".join(steps), value)
        elif section == "cases" and len(steps) > 1:
            self._set_case(where, steps[0], ".".join(steps[1:]), value)
        else:
            self._set_entry(where, section, ".".join(steps), value)

    def finish(self) -> None:
        """Drop the cases that pinning has made the same, keeping the first of each."""
        cases, base = self.data.get("cases"), self.data.get("transfer")
        if not self.pinned_case or not isinstance(cases, dict) or not isinstance(base, dict):
            return
        kept: dict[str, str] = {}
        for label, case in cases.items():
            kept.setdefault(_resolved(base, case), label)
        self.data["cases"] = {label: cases[label] for label in kept.values()}
        if len(kept) == 1 and not any(self.data["cases"].values()):
            del self.data["cases"]

    def _fault(self, where: str, field: str, message: str) -> None:
        self.faults.append(Fault(where, field, message))

    def _set_section(self, where: str, section: str, value: Any) -> None:
        if section == "transfer" and isinstance(value, dict):
            for field, inner in value.items():
                self._set_transfer(where, field, inner)
        elif value is None and section != "transfer":
            self.data.pop(section, None)
            self.located.remove((section,))
        else:
            self.data[section] = value
            self.located.replace((section,), where)
            self.replaced.append(section)

    def _set_transfer(self, where: str, field: str, value: Any) -> None:
        if sentence := unknown_field(field):
            self._fault(where, f"transfer.{field}", sentence)
            return
        axes, cases = self.data.get("axes"), self.data.get("cases")
        whole = [held for held in varied_fields(self.data) if field.startswith(held + ".")]
        if whole:
            other = f"space.{whole[0]}={{…}}" if whole[0] in (self.data.get("space") or ()) else f"axes.{whole[0]}=[…]"
            sentence = f"{whole[0]} varies as a whole; give transfer.{whole[0]}=… or {other}"
            self._fault(where, f"transfer.{field}", sentence)
            return
        if isinstance(axes, dict):
            self.data["axes"] = {held: values for held, values in axes.items() if not overlaps(held, field)}
        if isinstance(cases, dict):
            self.data["cases"] = {label: self._unpinned(case, field) for label, case in cases.items()}
        if isinstance(space := self.data.get("space"), dict):
            self.data["space"] = {held: values for held, values in space.items() if not overlaps(held, field)}
        if field == "seed" and isinstance(repeat := self.data.get("repeat"), list):
            self.data["repeat"] = [r for r in repeat if not (isinstance(r, dict) and r.get("seeds") is not None)]
        base = self.data.get("transfer")
        self.data["transfer"] = set_field(base if isinstance(base, dict) else {}, field, value)
        self.located.replace(("transfer", *field.split(".")), where)

    def _unpinned(self, case: Any, field: str) -> Any:
        """A case without the fields that ``field`` pins."""
        if not isinstance(case, dict):
            return case
        left = {held: value for held, value in case.items() if not overlaps(held, field)}
        self.pinned_case = self.pinned_case or len(left) < len(case)
        return left

    def _set_case(self, where: str, label: str, field: str, value: Any) -> None:
        cases = self.data.get("cases", {})
        if not isinstance(cases.get(label), dict):
            self._fault(where, f"cases.{label}", unknown_name(label, cases, "case"))
            return
        self.data["cases"] = {**cases, label: {**cases[label], field: value}}
        self.located.replace(("cases", label, field), where)

    def _set_entry(self, where: str, section: str, name: str, value: Any) -> None:
        entries = self.data.get(section, {})
        if section in NAMED_SECTIONS and name == "name":
            entries = {}  # another algorithm has other fields
        if value is not None:
            self.data[section] = {**entries, name: value}
            self.located.replace((section, name), where)
        elif name in entries:
            self.data[section] = {held: inner for held, inner in entries.items() if held != name}
            self.located.remove((section, name))
        elif section in _ENTRY:
            self._fault(where, f"{section}.{name}", unknown_name(name, entries, _ENTRY[section]))


def figure_over(experiment: Experiment, words: Sequence[str]) -> Figure:
    """An experiment's figure with words such as ``figure.width=column`` laid over it.

    Raises:
        ConfigError: with every fault found.
    """
    data: dict[str, Any] = {"figure": experiment.figure.model_dump(mode="json", exclude_unset=True)}
    located = Located("figure")
    overrides = Overrides(data, located, ("figure",))
    for word in words:
        overrides.apply(word)
    found = list(overrides.faults)
    try:
        figure = Figure.model_validate(data.get("figure", {}))
    except ValidationError as error:
        inside = [replace(problem, path=("figure", *problem.path)) for problem in problems(error, Figure)]
        raise ConfigError([*found, *(located.fault(problem.path, problem.message) for problem in inside)]) from None
    found += [
        located.fault(problem.path, problem.message)
        for problem in grid_problems([], experiment.axes, experiment.cases, figure.model_dump())
    ]
    if found:
        raise ConfigError(found)
    return figure


def varied_fields(data: Mapping[str, Any]) -> list[str]:
    """Every dotted field that axes, cases or the space set, whatever state they are in."""
    axes, cases, space = (data.get(section) for section in ("axes", "cases", "space"))
    fields = [*axes] if isinstance(axes, dict) else []
    for case in cases.values() if isinstance(cases, dict) else ():
        fields += list(case) if isinstance(case, dict) else []
    return fields + [*space] if isinstance(space, dict) else fields


def _resolved(base: Mapping[str, Any], case: Any) -> str:
    """One spelling for what a case makes of the base."""
    raw: dict[str, Any] = dict(base)
    for field, value in case.items() if isinstance(case, dict) else ():
        raw = set_field(raw, field, value) if unknown_field(field) is None else {**raw, field: value}
    try:
        return picture_key(Transfer.model_validate(raw))
    except ValidationError:
        return repr(raw)


def _unknown_section(key: str, text: str, sections: Sequence[str]) -> str:
    """The sentence about a word that begins with no section."""
    section = key.split(".")[0]
    if section == "profiles":
        return "profiles are chosen by --profile NAME, not by an override"
    if section in (*EXPERIMENT_SECTIONS, *SWEEP_SECTIONS):
        kind = "sweeps" if section in SWEEP_ONLY else "experiments"
        return f"{section} is a section of {kind}; allowed here: {', '.join(sections)}"
    field, dot, inner = key.partition(".")
    if "figure" in sections and section not in FIELDS and section in Figure.model_fields:
        return f"fields of the figure begin with figure.; did you mean figure.{key}={text}?"
    close = field if field in FIELDS else nearest(field, FIELDS) if nearest(section, sections) is None else None
    if close:
        return f"fields of the transfer begin with transfer.; did you mean transfer.{close}{dot}{inner}={text}?"
    return unknown_name(section, sections, "section")
