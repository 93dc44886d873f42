"""The terminal that commands write to."""

from __future__ import annotations

import shutil

from rich.console import Console

WIDTH_WITHOUT_TERMINAL = 140

PLAIN_EVERY_S = 15.0
"""Seconds between lines of progress where the output is not a terminal."""


def make_console() -> Console:
    """A console that does not fold tables where the output goes to a file or a pipe."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=max(WIDTH_WITHOUT_TERMINAL, shutil.get_terminal_size().columns))
    return console
