"""Processes of a running command, to be killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path


def workers_of(driver: int) -> list[int]:
    """The worker processes that a driver has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == driver and "harness.engines.worker" in (path / "cmdline").read_text():
                found.append(int(path.name))
    return found


def kill_all(process: subprocess.Popen[bytes]) -> None:
    """``kill -9`` for a driver and its workers."""
    signal_all(process, signal.SIGKILL)
    process.communicate()


def signal_all(process: subprocess.Popen[bytes], number: int) -> None:
    """A signal for a driver and its workers; these first: one that loses its driver checkpoints before it ends."""
    for pid in (*workers_of(process.pid), process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
