"""``key=value`` words and profiles laid over the data of a file.

Words take effect from left to right. Setting a field of the transfer pins it: it leaves ``axes`` and ``cases``. Nothing
behind ``=`` (or ``null``) takes an axis, a case or a figure's field away.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from harness.config.fields import FIELDS, nearest, overlaps, set_field, unknown_field, unknown_name
from harness.config.identity import canonical_json
from harness.config.located import Located, Path
from harness.config.transfer import Transfer
from harness.config.yaml_source import parse_word
from harness.errors import Fault

MERGED_SECTIONS = ("transfer", "figure", "tracking")
"""Sections that a profile changes field by field; every other value is replaced as a whole."""

SECTIONS = (*MERGED_SECTIONS, "axes", "cases")


def merge_profile(data: dict[str, Any], located: Located, name: str) -> None:
    """Lay the profile ``name`` over ``data``; null takes a section away."""
    places = dict(located.places)
    for section, value in data["profiles"][name].items():
        source: Path = ("profiles", name, section)
        if section in MERGED_SECTIONS and isinstance(value, dict) and isinstance(data.get(section, {}), dict):
            for field, inner in value.items():
                data[section] = {**data.get(section, {}), field: inner}
                located.adopt((section, field), (*source, field), places)
        elif value is None:
            data.pop(section, None)
        else:
            data[section] = value
            located.adopt((section,), source, places)


class Overrides:
    """Applies override words to one document; ``faults`` is what was wrong with them."""

    def __init__(self, data: dict[str, Any], located: Located) -> None:
        """Work on ``data`` and ``located`` in place."""
        self.data = data
        self.located = located
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
        if section not in SECTIONS:
            self._fault(where, "", _unknown_section(key, text))
        elif not steps:
            self._set_section(where, section, value)
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

    def _set_transfer(self, where: str, field: str, value: Any) -> None:
        if sentence := unknown_field(field):
            self._fault(where, f"transfer.{field}", sentence)
            return
        axes, cases = self.data.get("axes"), self.data.get("cases")
        whole = [held for held in fields_of(axes, cases) if field.startswith(held + ".")]
        if whole:
            sentence = f"{whole[0]} varies as a whole; give transfer.{whole[0]}=… or axes.{whole[0]}=[…]"
            self._fault(where, f"transfer.{field}", sentence)
            return
        if isinstance(axes, dict):
            self.data["axes"] = {held: values for held, values in axes.items() if not overlaps(held, field)}
        if isinstance(cases, dict):
            self.data["cases"] = {label: self._unpinned(case, field) for label, case in cases.items()}
        self.data["transfer"] = set_field(self.data.get("transfer", {}), field, value)
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
        if value is not None:
            self.data[section] = {**entries, name: value}
            self.located.replace((section, name), where)
        elif name in entries:
            self.data[section] = {held: inner for held, inner in entries.items() if held != name}
            self.located.remove((section, name))
        elif section in ("axes", "cases"):
            self._fault(
                where, f"{section}.{name}", unknown_name(name, entries, {"axes": "axis", "cases": "case"}[section])
            )


def fields_of(axes: Any, cases: Any) -> list[str]:
    """Every dotted field that axes or cases set, whatever state they are in."""
    fields = list(axes) if isinstance(axes, dict) else []
    for case in cases.values() if isinstance(cases, dict) else ():
        fields += list(case) if isinstance(case, dict) else []
    return fields


def _resolved(base: Mapping[str, Any], case: Any) -> str:
    """One spelling for what a case makes of the base."""
    raw: dict[str, Any] = dict(base)
    for field, value in case.items() if isinstance(case, dict) else ():
        raw = set_field(raw, field, value) if unknown_field(field) is None else {**raw, field: value}
    try:
        return canonical_json(Transfer.model_validate(raw).model_dump())
    except ValidationError:
        return repr(raw)


def _unknown_section(key: str, text: str) -> str:
    """The sentence about a word that begins with no section."""
    section = key.split(".")[0]
    if section == "profiles":
        return "profiles are chosen by --profile NAME, not by an override"
    field, dot, inner = key.partition(".")
    close = field if field in FIELDS else nearest(field, FIELDS) if nearest(section, SECTIONS) is None else None
    if close:
        return f"fields of the transfer begin with transfer.; did you mean transfer.{close}{dot}{inner}={text}?"
    return unknown_name(section, SECTIONS, "section")
