"""Faults in whatever is done to files below a folder: the n-th operation fails, is done by half, or is never reached.

    with injected(folder) as faults:                       nothing fails: what is done is counted
    with injected(folder, at=7, how=NO_SPACE) as faults:   the seventh operation raises that error
    with injected(folder, at=7, how=KILLED) as faults:     the process is as good as dead from there on

An operation is opening for writing, one of a file's first two writes, an fsync, a rename, a link, a symlink, making or
removing a file or a folder, cutting a file off. ``KILLED`` raises what no code catches, and nothing that ``finally``
does reaches the disk any more: buffers that were not flushed are dropped, files are closed and their locks freed, as by
the kernel.
"""

from __future__ import annotations

import builtins
import errno
import io
import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.engines.contract import Ended, Event, Task
from harness.engines.work import carry_out
from harness.runs.signals import Orders

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Killed(BaseException):
    """The process died here."""


@dataclass(frozen=True)
class How:
    """What goes wrong.

    Attributes:
        name: for people.
        number: the error's; 0 kills.
        half: whether a write is done by half before that.
        lasts: whether everything that takes space fails from there on, as where a disk is full.
    """

    name: str
    number: int
    half: bool = False
    lasts: bool = False


NO_SPACE = How("a full disk", errno.ENOSPC, half=True, lasts=True)
NO_QUOTA = How("a quota for one moment", errno.EDQUOT)
BROKEN = How("a broken disk for one moment", errno.EIO, half=True)
READ_ONLY = How("a disk that became read-only", errno.EROFS, lasts=True)
KILLED = How("kill -9", 0)
TORN = How("kill -9 in the middle of a write", 0, half=True)

TAKES_SPACE = ("open", "write", "mkdir", "symlink", "link")


@dataclass
class Faults:
    """What is done to files below a folder.

    Attributes:
        folder: the folder.
        at: which operation goes wrong, from 1; 0: none.
        how: it goes wrong.
        done: every operation that was tried, ``rename manifest.json``.
    """

    folder: Path
    at: int = 0
    how: How = KILLED
    done: list[str] = field(default_factory=list)
    is_dead: bool = False
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def concerns(self, path: Any) -> bool:
        try:
            given = os.path.abspath(os.fsdecode(os.fspath(path)))
        except TypeError:  # a file descriptor
            return False
        return given == str(self.folder) or given.startswith(f"{self.folder}{os.sep}")

    def before(self, kind: str, path: Any, half: Callable[[], None] = lambda: None) -> None:
        """Count an operation, and let it go wrong if it is its turn."""
        with self._lock:
            if self.is_dead:
                raise Killed
            name = os.fsdecode(os.fspath(path))
            self.done.append(f"{kind} {os.path.basename(name)}")
            number = len(self.done)
            is_later = self.at and number > self.at and self.how.lasts
            fails_later = is_later and (kind in TAKES_SPACE or self.how.number == errno.EROFS)
            if number != self.at and not fails_later:
                return
            if self.how.half and kind == "write":
                half()
            if not self.how.number:
                self.is_dead = True
                raise Killed
            named = (name,) if kind not in ("write", "fsync", "ftruncate") else ()  # these know descriptors only
            raise OSError(self.how.number, os.strerror(self.how.number), *named)


class Writing:
    """A file opened for writing whose writes are counted; everything else is the file's own."""

    def __init__(self, file: Any, path: Any, faults: Faults) -> None:
        self._file, self._path, self._faults, self._num_writes = file, path, faults, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._file)

    def write(self, content: Any) -> Any:
        def half() -> None:
            view = content if isinstance(content, str) else memoryview(content).cast("B")
            self._file.write(view[: len(view) // 2])
            self._file.flush()

        self._num_writes += 1
        if self._num_writes <= 2 or self._faults.is_dead:  # a checkpoint has dozens, all alike
            self._faults.before("write", self._path, half)
        return self._file.write(content)

    def flush(self) -> None:
        if not self._faults.is_dead:
            self._file.flush()

    def close(self) -> None:
        if self._faults.is_dead and not self._file.closed:  # what is buffered dies with the process
            os.dup2(_null(), self._file.fileno())
        self._file.close()

    def __enter__(self) -> Writing:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def __del__(self) -> None:
        if not self._file.closed:
            self.close()


def _null() -> int:
    global _NULL
    if _NULL is None:
        _NULL = os.open(os.devnull, os.O_RDWR)
    return _NULL


_NULL: int | None = None


@contextmanager
def injected(folder: Path, at: int = 0, how: How = KILLED) -> Iterator[Faults]:
    """Count what is done to files below a folder in this process, and let the ``at``-th go wrong; 0: none."""
    faults = Faults(Path(os.path.abspath(folder)), at, how)
    opened = builtins.open

    def opening(path: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if not set(mode) & set("wax+") or not faults.concerns(path):
            return opened(path, mode, *args, **kwargs)
        faults.before("open", path)
        file = opened(path, mode, *args, **kwargs)
        return Writing(file, path, faults)

    def descriptor(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if flags & WRITING and faults.concerns(path):
            faults.before("open", path)
        return real["open"](path, flags, *args, **kwargs)  # type: ignore[no-any-return]

    def by_descriptor(name: str) -> Callable[..., Any]:
        def call(descriptor: Any, *args: Any, **kwargs: Any) -> Any:
            number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
            path = os.readlink(f"/proc/self/fd/{number}")
            if faults.concerns(path):
                faults.before(name, path)
            return real[name](descriptor, *args, **kwargs)

        return call

    def by_path(name: str, kind: str, which: int) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            path = args[which]
            if kwargs.get("dir_fd") is not None:  # as shutil.rmtree does
                path = os.path.join(os.readlink(f"/proc/self/fd/{kwargs['dir_fd']}"), path)
            if faults.concerns(path):
                faults.before(kind, path)
            return real[name](*args, **kwargs)

        return call

    kinds = {"replace": "rename", "rename": "rename", "link": "link", "symlink": "symlink", "mkdir": "mkdir"}
    kinds |= {"unlink": "unlink", "remove": "unlink", "rmdir": "rmdir"}
    real: dict[str, Any] = {name: getattr(os, name) for name in (*kinds, "open", "fsync", "ftruncate")}
    with pytest.MonkeyPatch.context() as patch:
        for name, kind in kinds.items():
            patch.setattr(os, name, by_path(name, kind, 1 if kind in ("rename", "link", "symlink") else 0))
        for name in ("fsync", "ftruncate"):
            patch.setattr(os, name, by_descriptor(name))
        patch.setattr(os, "open", descriptor)
        patch.setattr(builtins, "open", opening)
        patch.setattr(io, "open", opening)
        yield faults


class Inline:
    """Keeps an engine's promises in its driver's own process and thread, so that a fault meets whoever writes."""

    workers = ("cpu:0", "cpu:1")  # of several each gets one row at a time

    def __init__(self, *unused: Any) -> None:
        self._events: list[Event] = []
        self._num_tasks = 0

    @property
    def idle(self) -> tuple[str, ...]:
        return () if self._events else self.workers

    def free_bytes(self, worker: str) -> float:
        return math.inf

    def submit(self, task: Task) -> int:
        number, self._num_tasks = self._num_tasks, self._num_tasks + 1
        end = carry_out(task, "cpu", 1, "cpu:0", self._events.append, Orders())
        self._events.append(Ended(number, "cpu:0", *end))
        return number

    def prune(self, run_ids: Sequence[str]) -> None:
        pass

    def events(self, timeout_s: float) -> list[Event]:
        found, self._events = self._events, []
        return found

    def stop(self) -> None:
        pass

    def close(self) -> None:
        pass
