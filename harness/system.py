"""What operating systems and file systems do each in their own way: locks, signals, limits.

Importing it needs none of ``fcntl``, ``msvcrt`` and ``resource``; whatever is not there has a fallback here.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

IS_WINDOWS = sys.platform == "win32"

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.EPERM)
"""What a file system answers that has no locks: some that are mounted over a network, or by FUSE."""

POLL_S = 0.025
FOR_EVER = sys.maxsize
"""Of tries to take a lock: then the kernel says when it is free, where it can."""

_FAR = 0x7FFFFFFF  # Windows locks bytes, and nobody reads a locked one: so one behind the end of the file
_LOCKED = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)


class Lock:
    """A lock on a file, held until ``release()`` or the end of the process; the kernel's flock where there is one.

    Where a file system has none, a file beside it, ``NAME.held``, is made by exclusive creation. It names the process;
    what a process of this machine leaves behind that ended is taken away.

    Args:
        path: the file; made where there is none, never removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._is_by_file = False

    @property
    def is_held(self) -> bool:
        """Whether this object holds it."""
        return self._descriptor is not None

    @property
    def advice(self) -> str:
        """What can be done where another process holds it, the end of a sentence."""
        held = _held_by_file(self.path)
        if held is None:
            return "wait for it, or stop it"
        return f"wait for it, or stop it; where no such process runs any more ({held}), remove {_beside(self.path)}"

    def acquire(self, tries: int = 5) -> bool:
        """Take it; False where another process holds it.

        Args:
            tries: 25 ms apart: ``harness status`` tries a lock for microseconds, to see whether it is held.

        Raises:
            OSError: the file cannot be made.
        """
        descriptor: int | None = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        assert descriptor is not None
        try:
            for attempt in range(tries):
                if attempt:
                    time.sleep(POLL_S)
                if self._try(descriptor, waits=tries == FOR_EVER):
                    self._descriptor, descriptor = descriptor, None
                    return True
            return False
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def wait(self) -> None:
        """Take it, however long that takes.

        Raises:
            OSError: the file cannot be made.
        """
        self.acquire(FOR_EVER)

    def release(self) -> None:
        """Give it back; closing the file frees it."""
        if self._descriptor is not None:
            if self._is_by_file:
                _beside(self.path).unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor, self._is_by_file = None, False

    def _try(self, descriptor: int, waits: bool) -> bool:
        try:
            return flock(descriptor, waits=waits)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        self._is_by_file = _make_beside(self.path)
        return self._is_by_file

    def __enter__(self) -> Lock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def flock(descriptor: int, is_shared: bool = False, waits: bool = False) -> bool:
    """Take an open file's lock until it is closed; False where another process holds it, unless this one waits.

    Raises:
        OSError: the file system has no locks (``NO_LOCKS``), or something else is wrong with it.
    """
    if fcntl is not None:
        try:
            kind = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
            fcntl.flock(descriptor, kind if waits else kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
    try:
        import msvcrt
    except ImportError:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK)) from None
    at = os.lseek(descriptor, 0, os.SEEK_CUR)
    try:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except OSError as error:
        if error.errno in _LOCKED:
            return False
        raise
    finally:
        os.lseek(descriptor, at, os.SEEK_SET)
    return True


def is_locked(path: Path) -> bool:
    """Whether a process holds a file's lock; it is tried and let go at once, within microseconds."""
    try:
        with open(path, "rb") as file:
            if not flock(file.fileno(), is_shared=True):
                return True
    except OSError:  # no lock file, so never begun; or a file system without locks
        pass
    return _held_by_file(path) is not None


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.held")


def _holder() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _held_by_file(path: Path) -> str | None:
    """Who holds a lock by a file beside it; None where nobody does, or a process of this machine that has ended."""
    try:
        said = _beside(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    match = re.fullmatch(r"process (\d+) on (.*)", said)
    if match and match[2] == socket.gethostname() and not is_running(int(match[1])):
        return None
    return said


def _make_beside(path: Path) -> bool:
    """Make the file beside a lock; False where a process holds it."""
    beside, mine = _beside(path), path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.held")
    if beside.exists() and _held_by_file(path) is None:
        with suppress(OSError):  # somebody else was quicker
            beside.rename(mine)
            mine.unlink()
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(_holder())
    return True


def is_running(process: int) -> bool:
    """Whether a process of this machine runs."""
    if IS_WINDOWS:  # there signal 0 would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


@contextmanager
def on_signals(ask: Callable[[], None]) -> Iterator[None]:
    """Turn SIGINT and SIGTERM, and on Windows Ctrl-Break, into a request to stop; a second Ctrl-C is not held back.

    Outside the main thread signals stay as they are.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def request(number: int, frame: FrameType | None) -> None:
        ask()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    stopping = [number for name in ("SIGINT", "SIGTERM", "SIGBREAK") if (number := getattr(signal, name, None))]
    before = {number: signal.signal(number, request) for number in stopping}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends what is done here as Ctrl-C does; one that somebody else handles stays theirs."""
    is_ours = threading.current_thread() is threading.main_thread()
    if not is_ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def kill_group(process: int) -> None:
    """End a process, begun in a session of its own, with all that it has begun; on Windows it alone."""
    with suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(process, signal.SIGKILL)
        else:
            os.kill(process, signal.SIGTERM)


def allow_open_files(num: int) -> None:
    """Let this process have so many files open, as far as that is allowed."""
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = num if hard == resource.RLIM_INFINITY else min(hard, num)
    if soft != resource.RLIM_INFINITY and wanted > soft:
        with suppress(ValueError, OSError):  # macOS has another bound than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def peak_memory_bytes() -> int:
    """The most memory that this process has ever held; 0 where that is not known."""
    if resource is None:
        return 0
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
