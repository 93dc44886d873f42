r"""Names of files with characters that must not be printed, or are none: control characters, bytes that are not UTF-8.

Such a name is escaped where it comes in, ``caf\xe9.png``, and is that from then on, in files, figures, terminals and
W&B; only where the file is opened is it turned back. So the commands that are printed can be pasted.
"""

from __future__ import annotations

import re
import unicodedata

_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
"""Marks that let a name read otherwise than it is."""

_ESCAPE = re.compile(r"\\x([0-9a-f]{2})|\\u([0-9a-f]{4})")
_NOT_IN_YAML = re.compile("[^\\x09\\x0a\\x0d\\x20-\\x7e\\x85\\xa0-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
_FIRST_BYTE = 0xDC00
"""Bytes that are not UTF-8 are from here on in Python's names of files (PEP 383)."""


def escaped(name: str) -> str:
    r"""The name with ``\xNN`` for a control character or a byte that is not UTF-8, ``\uNNNN`` for marks nobody sees."""
    return "".join(_escape(c) if _is_odd(c) else c for c in name)


def escaped_text(text: str) -> str:
    """The same of a text of several lines, fit for a terminal."""
    return "\n".join(map(escaped, text.split("\n")))


def escaped_word(word: str) -> str:
    r"""A word such as ``transfer.content=caf\xe9.png`` with what no YAML may have escaped."""
    return _NOT_IN_YAML.sub(lambda odd: escaped(odd[0]), word)


def unescaped(name: str) -> str:
    """The inverse of ``escaped``: what the file is called."""
    return _ESCAPE.sub(lambda found: _character(found[1], found[2]), name)


def _is_odd(c: str) -> bool:
    return c in _BIDI or unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")


def _escape(c: str) -> str:
    code = ord(c)
    if _FIRST_BYTE + 0x80 <= code <= _FIRST_BYTE + 0xFF:
        return f"\\x{code - _FIRST_BYTE:02x}"
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}"


def _character(byte: str | None, code: str | None) -> str:
    if byte is None:
        return chr(int(str(code), 16))
    value = int(byte, 16)
    return chr(value if value < 0x80 else _FIRST_BYTE + value)
