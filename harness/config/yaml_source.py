"""YAML as configuration: plain data with the line of every value, every fault a sentence.

Scalars follow the YAML 1.2 core schema (section 10.3.2), not PyYAML's 1.1: ``1e3`` and ``1e-3`` are numbers, ``on``,
``off``, ``yes`` and ``no`` are words. Duplicate keys and custom tags are faults, anchors and ``<<`` merges are allowed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

import yaml

from harness.config.places import FieldPath, Located
from harness.errors import Fault
from harness.odd_names import escaped_word

MAX_NODES = 100_000
"""Values in one document, aliases counted each time: more is a mistake or an alias bomb."""

MAX_DIGITS = 50
"""Of an integer; Python refuses to print those of more than 4,300."""

_TAG = "tag:yaml.org,2002:"
_CORE = (
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+0123456789.",
    ),
)
_RESOLVERS: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
for _name, _pattern, _first in _CORE:
    for _letter in _first:
        _RESOLVERS.setdefault(_letter.replace("\0", ""), []).append((_TAG + _name, re.compile(rf"(?:{_pattern})\Z")))


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the core schema's scalars."""

    yaml_implicit_resolvers = _RESOLVERS


class _Dumper(yaml.SafeDumper):
    """Its counterpart: quotes exactly what ``_Loader`` would not read back as text."""

    yaml_implicit_resolvers = _RESOLVERS

    def ignore_aliases(self, data: Any) -> bool:
        """Write everything out."""
        return True


LINE_BREAKS = re.compile("[\x85\u2028\u2029]")
"""What YAML takes for the end of a line and nobody sees: only escaped, in double quotes, is it read back."""

_ALL_BLANKS = "".join(map(chr, (0xA0, 0x1680, *range(0x2000, 0x200E), 0x202F, 0x205F, 0x2060, 0x3000, 0xFEFF)))
"""What looks like a space, or like nothing, and is a letter like any other to YAML: copied from web pages and chats."""

_NO_SPACE = re.compile(rf"(?:^ *|: *)([{_ALL_BLANKS}])|^[^#'\"]*?(\uff1a)", re.MULTILINE)
"""Such a character where a space belongs; or a full-width colon."""

_Dumper.add_representer(
    str,
    lambda dumper, data: dumper.represent_scalar(_TAG + "str", data, style='"' if LINE_BREAKS.search(data) else None),
)
_Dumper.add_representer(float, lambda dumper, data: dumper.represent_scalar(_TAG + "float", _spell(data)))


def _spell(number: float) -> str:
    """``repr``, with YAML's spelling of what is not finite."""
    return {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}.get(repr(number), repr(number))


def dump_yaml(data: Any) -> str:
    """YAML text that ``parse`` reads back to the same data, one field a line."""
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110))


def flow(data: Any) -> str:
    """The same on one line, as it is written behind ``key=``."""
    text = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=True, width=2**30)
    return str(text).removesuffix("\n").removesuffix("\n...")


def assignments(fields: Mapping[str, Any]) -> str:
    """Fields with their values on one line: ``alpha=0.001, start=noise``."""
    return ", ".join(f"{field}={flow(value)}" for field, value in fields.items())


def parse_document(text: str, name: str) -> tuple[Any, Located, list[Fault]]:
    """Read one YAML document.

    Args:
        text: the document.
        name: what to call it in faults; each becomes ``name:line``.

    Returns:
        Plain data (None where nothing could be read), the line of every value, and the faults.
    """
    located = Located(f"{name}:1")
    try:
        node = yaml.compose(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError) as error:
        line, sentence = _syntax_sentence(error, text)
        return None, located, [Fault(f"{name}:{line}" if line else name, "", sentence)]
    if node is None:
        return None, located, []
    reader = _Reader(name, located)
    try:
        return reader.read(node, ()), located, reader.faults
    except RecursionError:
        return None, located, [Fault(name, "", "it is nested too deeply to be a configuration")]


def parse_word(text: str, where: str) -> tuple[Any, list[Fault]]:
    """Read the value of an override; a plain text is taken whole, ``#`` and all.

    Characters that no YAML may have, as a file's name may, are escaped: see ``harness.odd_names``.
    """
    text = escaped_word(text)
    try:
        node = yaml.compose(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError) as error:
        return None, [Fault(where, "", f"{_syntax_sentence(error, text)[1]}; put special characters in quotes")]
    plain = text.strip(" \t\r\n")  # no other blanks: a no-break space may be part of a name
    if node is None:
        return (None, []) if not plain else (plain, [])
    if isinstance(node, yaml.ScalarNode) and node.style is None and node.tag == _TAG + "str":
        return plain, []
    reader = _Reader(where, Located(where))
    value = reader.read(node, ())
    return value, [Fault(where, fault.field, fault.message) for fault in reader.faults]


class _Reader:
    """Turns nodes into data, noting lines and faults as it goes."""

    def __init__(self, name: str, located: Located) -> None:
        """Read into ``located``; ``name`` is what the document is called."""
        self.name = name
        self.located = located
        self.faults: list[Fault] = []
        self.num_nodes = 0
        self.open: set[int] = set()

    def _fault(self, node: yaml.Node, path: FieldPath, message: str) -> None:
        self.faults.append(Fault(f"{self.name}:{node.start_mark.line + 1}", ".".join(path), message))

    def read(self, node: yaml.Node, path: FieldPath) -> Any:
        """Data of ``node``, which stands at ``path``."""
        self.num_nodes += 1
        if self.num_nodes > MAX_NODES:
            if self.num_nodes == MAX_NODES + 1:
                self._fault(node, (), f"more than {MAX_NODES} values: this is not a configuration, or an alias bomb")
            return None
        if id(node) in self.open:
            self._fault(node, path, "an anchor that contains itself; write the value out")
            return None
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return self._sequence(node, path)
            return self._scalar(node, path)
        finally:
            self.open.discard(id(node))

    def _scalar(self, node: yaml.Node, path: FieldPath) -> Any:
        kind, text = node.tag.removeprefix(_TAG), node.value
        try:
            if kind == "str":
                return text
            if kind == "null":
                return None
            if kind == "bool":
                return {"true": True, "false": False}[text.lower()]
            if kind == "int" and len(text) <= MAX_DIGITS:
                return int(text, 0 if text[:2] in ("0o", "0x") else 10)
            if kind == "float":
                return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        except (ValueError, KeyError):
            self._fault(node, path, f"{text[:40]!r} cannot be read as the {kind} it is marked to be")
            return None
        if kind == "int":
            self._fault(node, path, f"{text[:20]}… has {len(text)} digits; no number here is that long")
            return None
        self._fault(node, path, f"the tag {node.tag.replace(_TAG, '!!')} is not allowed; write plain values")
        return None

    def _sequence(self, node: yaml.SequenceNode, path: FieldPath) -> list[Any]:
        if node.tag != _TAG + "seq":
            self._fault(node, path, f"the tag {node.tag.replace(_TAG, '!!')} is not allowed; write plain values")
        values = []
        for index, item in enumerate(node.value):
            self.located.places[(*path, str(index))] = self._line(item)
            values.append(self.read(item, (*path, str(index))))
        return values

    def _mapping(self, node: yaml.MappingNode, path: FieldPath) -> dict[str, Any]:
        if node.tag != _TAG + "map":
            self._fault(node, path, f"the tag {node.tag.replace(_TAG, '!!')} is not allowed; write plain values")
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in sorted(node.value, key=lambda pair: pair[0].value != "<<"):  # merges first
            if not isinstance(key_node, yaml.ScalarNode):
                self._fault(key_node, path, "a key must be a word, not a list or a mapping")
                continue
            key, line = key_node.value, key_node.start_mark.line + 1
            if key_node.style is None and (plain := key.strip(_ALL_BLANKS)) != key:
                odd = next(char for char in key if char in _ALL_BLANKS)
                self._fault(key_node, path, f"{_named(odd)} stands beside {plain!r}; take it out")
                continue
            if key in lines:
                self._fault(key_node, (*path, key), f"stands twice, first on line {lines[key]}; keep one of them")
                continue
            lines[key] = line
            if key == "<<" and key_node.style is None:
                merged = self._merge(value_node, path)
                continue
            if key in merged:
                self.located.remove((*path, key))
            self.located.places[(*path, key)] = f"{self.name}:{line}"
            own[key] = self.read(value_node, (*path, key))
        return {**{key: value for key, value in merged.items() if key not in own}, **own}

    def _merge(self, node: yaml.Node, path: FieldPath) -> dict[str, Any]:
        """What ``<<`` brings in: a mapping or a list of mappings, the first to have a key wins."""
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for part in reversed(parts):
            if isinstance(part, yaml.MappingNode):
                merged.update(self.read(part, path))
            else:
                self._fault(part, path, "<< merges mappings only")
        return merged

    def _line(self, node: yaml.Node) -> str:
        return f"{self.name}:{node.start_mark.line + 1}"


def _named(char: str) -> str:
    """``a no-break space (U+00A0)``."""
    name = unicodedata.name(char, "character").lower()
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name} (U+{ord(char):04X})"


def _syntax_sentence(error: Exception, text: str) -> tuple[int, str]:
    """Line (0 where there is none) and sentence of what PyYAML could not read."""
    if isinstance(error, RecursionError):
        return 0, "it is nested too deeply to be a configuration"
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return line, f"the character U+{ord(text[error.position]):04X} is not allowed in YAML"
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "context", None) or "cannot be read"
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    until = [*re.finditer("\n|$", text)][max(0, line - 1)].end() if mark else len(text)
    if (odd := _NO_SPACE.search(text, 0, until)) is not None:
        char = odd[1] or odd[2]
        at = odd.end() - 1
        column = at - text.rfind("\n", 0, at)
        wanted = "a plain colon" if odd[2] else "plain spaces"
        return text.count("\n", 0, at) + 1, f"{_named(char)} stands at column {column}; YAML takes {wanted} only"
    if "'\\t'" in problem:
        return line, f"a tab stands at column {column}; YAML is indented by spaces"
    if "expected a single document" in str(error):
        return line, "a second document begins here (---); a configuration is one document"
    return line, f"not readable as YAML: {problem} (column {column})"
