"""Files that are whole or not there."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer  # collections.abc has it from Python 3.12 on


def write_whole(path: Path, content: bytes | Iterable[Buffer], survives_power_cut: bool = False) -> None:
    """Write a file by a temporary one beside it and a rename; on an error the old file stays as it was.

    Args:
        path: the file; the temporary one is hidden beside it, and ends in ``.tmp``.
        content: all of it, or parts that are written one after another.
        survives_power_cut: wait until it is on the disk, before it takes the old one's place.

    Raises:
        OSError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with temporary.open("wb") as file:
            for part in (content,) if isinstance(content, bytes) else content:
                file.write(part)
            if survives_power_cut:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with suppress(OSError):  # the folder itself may not be there
            temporary.unlink(missing_ok=True)
