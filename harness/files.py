"""Files that are whole or not there, and those that were probably meant."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Iterable
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer  # collections.abc has it from Python 3.12 on


def write_whole(path: Path, content: bytes | Iterable[Buffer], survives_power_cut: bool = False) -> None:
    """Write a file by a temporary one beside it and a rename; on an error the old file stays as it was.

    Args:
        path: the file; the temporary one is hidden beside it, and ends in ``.tmp``.
        content: all of it, or parts that are written one after another.
        survives_power_cut: wait until it is on the disk, before it takes the old one's place; then until its name is.

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
        if survives_power_cut:
            flush_folder(path.parent)
    finally:
        with suppress(OSError):  # the folder itself may not be there
            temporary.unlink(missing_ok=True)


def flush_folder(folder: Path) -> None:
    """See that the names in a folder are on the disk, as far as the file system knows of that.

    Raises:
        OSError: the disk is full or damaged.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno in (errno.EIO, errno.ENOSPC, errno.EDQUOT):  # any other: folders cannot be opened or flushed
            raise


def real(path: Path) -> Path:
    """Where a path leads, absolute, all links followed; of links in a circle as far as that goes."""
    return Path(os.path.realpath(path))  # Path.resolve raises RuntimeError of such a circle


def make_folder(folder: Path) -> None:
    """Make a folder, those above it too; a link to where no folder is yet leads to one then.

    Raises:
        OSError: it cannot be made.
    """
    real(folder).mkdir(parents=True, exist_ok=True)


def link_to(target: Path, link: Path) -> None:
    """Make a link to a folder, relative from where the link really lies; a copy where the file system has no links.

    Raises:
        OSError: it cannot be made.
    """
    own = real(link.parent) / link.name
    try:
        named = os.path.relpath(target, link.parent)  # as it was given, where that leads there from the disk too
        is_right = real(own.parent / named) == real(target)
        own.symlink_to(named if is_right else os.path.relpath(real(target), own.parent), target_is_directory=True)
    except FileExistsError:
        raise
    except (OSError, NotImplementedError):  # FAT, some network file systems; Windows without the right to
        copied = own.with_name(f".{own.name}.{os.getpid()}.copy")
        try:
            shutil.copytree(target, copied)
            copied.rename(own)
        finally:
            shutil.rmtree(copied, ignore_errors=True)


def nearest_file(path: Path, suffixes: Iterable[str]) -> Path | None:
    """The file of such a kind in the same folder that was probably meant by a path where there is none.

    Args:
        path: where there is no file.
        suffixes: of the files that may be meant, in lower case, such as ``.png``.

    Returns:
        Its path, in the folder as it was given; None where none is alike.
    """
    try:
        names = [found.name for found in path.parent.iterdir() if found.suffix.lower() in suffixes]
    except (OSError, ValueError):  # no such folder, or one that may not be read; a null byte
        return None
    whole, stems = {name.lower(): name for name in sorted(names)}, {Path(name).stem.lower(): name for name in names}
    for given, known in ((path.name.lower(), whole), (path.stem.lower(), stems)):
        if close := get_close_matches(given, known, n=1):
            return path.with_name(known[close[0]])
    return None
