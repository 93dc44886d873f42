"""The terminal that commands write to."""

from __future__ import annotations

import codecs
import io
import shutil
import sys
import unicodedata
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from harness.odd_names import escaped_text

WIDTH_WITHOUT_TERMINAL = 140

PLAIN_EVERY_S = 15.0
"""Seconds between lines of progress where the output is not a terminal."""

PLAIN = {
    "…": "...", "–": "-", "—": "-", "−": "-", "×": "x", "·": ".", "•": "*", "→": "->", "←": "<-", "±": "+-", "†": "+",
    "≥": ">=", "≤": "<=", "≠": "!=", "≈": "~", "∞": "inf", "√": "sqrt", "‖": "=", "✓": "v", "✗": "x", "✂": "%",
    "▶": ">", "α": "alpha", "β": "beta", "γ": "gamma", "λ": "lambda", "σ": "sigma", "Σ": "sum", "∂": "d", "″": '"',
    "‘": "'", "’": "'", "“": '"', "”": '"',
}  # fmt: skip
"""What stands for characters that the terminal's encoding lacks."""


def _plainer(error: UnicodeError) -> tuple[str, int]:
    r"""An error handler of codecs: characters that look alike, letters without their accents, else ``\u4e2d``."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    parts = []
    for char in error.object[error.start : error.end]:
        plain = PLAIN.get(char) or unicodedata.normalize("NFKD", char).encode("ascii", "ignore").decode("ascii")
        if "─" <= char <= "╿":  # of boxes
            plain = "-" if char in "─━═" else "|" if char in "│┃║" else "+"
        parts.append(plain or char.encode("ascii", "backslashreplace").decode("ascii"))
    return "".join(parts), error.end


codecs.register_error("plainer", _plainer)


def degrade_output() -> None:
    """Let stdout and stderr write what their encoding lacks in plainer characters: no sentence ends in an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors != "plainer":
            stream.reconfigure(errors="plainer")


class SafeConsole(Console):
    """Shows what would steer the terminal, in a text that a YAML or a file's name has, as an escape of four letters."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What is written, by pieces of one style."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else escaped_text(text), style, control)


def make_console() -> Console:
    """A console that does not fold tables where the output goes to a file or a pipe."""
    degrade_output()
    console = SafeConsole(highlight=False)
    if not console.is_terminal:
        console = SafeConsole(highlight=False, width=max(WIDTH_WITHOUT_TERMINAL, shutil.get_terminal_size().columns))
    return console
