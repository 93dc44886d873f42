"""The terminal that commands write to."""

from __future__ import annotations

import shutil

from rich.console import Console

WIDTH_WITHOUT_TERMINAL = 140


def make_console() -> Console:
    """A console that does not fold tables where the output goes to a file or a pipe."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=max(WIDTH_WITHOUT_TERMINAL, shutil.get_terminal_size().columns))
    return console
