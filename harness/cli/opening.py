"""``--open``: a figure in the desktop's own viewer, and what is said where there is no desktop."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import webbrowser
from pathlib import Path

VIEWERS = {"darwin": "open", "linux": "xdg-open"}
"""The program that opens a file as a double click does."""


def open_picture(path: Path) -> str:
    """Open a picture in the desktop's viewer, or in the browser, without waiting for it.

    Args:
        path: of the file.

    Returns:
        What was done, or why nothing was, as a sentence.
    """
    if not has_display():
        return f"There is no desktop here to open {path} on."
    viewer = shutil.which(VIEWERS.get(sys.platform, ""))
    try:
        if viewer is not None:
            process = subprocess.Popen(
                [viewer, str(path)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
            threading.Thread(target=process.wait, daemon=True).start()
            return f"Opened: {path}"
        is_open = webbrowser.open(path.resolve().as_uri())
    except OSError as error:
        return f"{path} could not be opened ({error.strerror or error})."
    return f"Opened: {path}" if is_open else f"No program was found to open {path} with."


def has_display() -> bool:
    """Whether a window has somewhere to open; without a display Python would start a browser in the terminal."""
    return sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
