"""The lock of ``study.journal``: an flock on the journal itself, which the kernel frees when its process dies.

Optuna's own locks are files whose existence is the lock: a process killed while it holds one stalls every other for
30 s, and the half-written line it leaves behind makes the journal unreadable for ever once another is appended to it.
"""

from __future__ import annotations

import os
from pathlib import Path

from harness.studies.internals import BaseJournalFileLock
from harness.system import Lock

_BLOCK = 1 << 16
"""Bytes read at a time in search of the last whole line; a line of a journal has a few hundred."""


class FlockLock(BaseJournalFileLock):
    """Holds a journal for one append, and first cuts off what a killed process left half-written.

    Args:
        path: of the journal; it is made by ``JournalFileBackend`` and never replaced, so its inode is the lock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock(path)

    def acquire(self) -> bool:
        """Wait for the lock; then the journal ends with a whole line.

        Raises:
            OSError: the journal is gone or cannot be written.
        """
        descriptor = os.open(self._path, os.O_RDWR)  # first: where it is gone it is not made anew
        try:
            self._lock.wait()
            try:
                trim_torn_tail(descriptor)
            except BaseException:
                self._lock.release()
                raise
        finally:
            os.close(descriptor)
        return True

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()


def trim_torn_tail(descriptor: int) -> None:
    """Cut a file off behind its last newline; readers have not taken in what stands there."""
    size = end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - _BLOCK)
        os.lseek(descriptor, start, os.SEEK_SET)  # no pread: Windows has none
        newline = os.read(descriptor, end - start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        os.ftruncate(descriptor, end)
        os.fsync(descriptor)
