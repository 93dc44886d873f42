"""What a worker's C library does with memory that is freed."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""glibc's malloc.h."""

NEVER = 2**30


def keep_freed_memory() -> None:
    """Let glibc keep what is freed, for this process's life; elsewhere nothing happens.

    Every evaluation takes the same maps and gives them back. Left to itself, glibc returns the large ones to the
    system, and each of their pages costs a fault the next time: an eighth of an evaluation of VGG-16 at 256 px with two
    threads. What a worker holds at its peak it then holds until it ends.
    """
    if sys.platform != "linux":
        return
    with suppress(OSError, AttributeError):  # another C library
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, NEVER)
        libc.mallopt(M_TRIM_THRESHOLD, NEVER)
