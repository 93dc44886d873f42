"""Commands and their workers as real processes, forked from one that has imported everything: each costs milliseconds.

    drivers = Forked()
    pid = drivers.start(["run", "tiny.yaml", …], folder / "log")      a driver; its workers are its children
    os.kill(…)
    drivers.ended(within_s=60)                                        its exit code, or None

What is forked instead of begun anew is the interpreter alone: drivers and workers speak, die, lock and write as ever.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any


class Forked:
    """The test's end; one driver at a time."""

    def __init__(self) -> None:
        words = [sys.executable, __file__]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    def start(self, words: Sequence[str], log: Path) -> int:
        """Begin a command, whose output is appended to a file; its process."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps([[*words], str(log)])}\n".encode())
        return self._number("pid")

    def ended(self, within_s: float = 0.0) -> int | None:
        """The exit code, negative for a signal, of the command that was begun last; None while it runs."""
        ready, _, _ = select.select([self._process.stdout], [], [], within_s)
        return self._number("exit") if ready else None

    def close(self) -> None:
        """End the process that forks."""
        self._process.communicate()

    def _number(self, word: str) -> int:
        assert self._process.stdout is not None
        found, number = self._process.stdout.readline().decode().split()
        assert found == word, f"{found} came where {word} was due"
        return int(number)


def children_of(process: int) -> list[int]:
    """Its children that live."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (path / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == process and state != "Z":
            found.append(int(path.name))
    return found


class ForkedWorker:
    """Stands for ``subprocess.Popen`` of a worker."""

    def __init__(self, words: Sequence[str], env: dict[str, str], stdout: Any, **unused: Any) -> None:
        self._code: int | None = None
        descriptor, device, threads, _ = words[3:]

        def work() -> None:
            from harness.engines import worker

            os.setsid()
            os.environ.clear()
            os.environ.update(env)
            kept = os.dup2(int(descriptor), 3)
            os.closerange(4, 1 << 16)  # what a new interpreter would not have: the driver's ends and locks
            worker.main(kept, device, int(threads))

        self.pid = fork(work, stdout.fileno())

    def poll(self) -> int | None:
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        until = time.monotonic() + (timeout if timeout is not None else 1e9)
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("worker", timeout or 0.0)
            time.sleep(0.005)
        return code

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def fork(work: Callable[[], None], output: int) -> int:
    """Do something in a child, which says in ``output`` what it has to say."""
    sys.stdout.flush()
    if pid := os.fork():
        return pid
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        work()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except KeyboardInterrupt:  # a second one, when the command had ended and its workers were being let go
        code = 130
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Fork a driver for each line that comes in, and say when it has ended."""
    from harness.__main__ import main as harness_command
    from harness.cli import app  # noqa: F401 - imported for the children
    from harness.driver import carrying, experiment, sweep  # noqa: F401
    from harness.engines import process, work, worker  # noqa: F401

    carrying.draw = lambda results: []  # type: ignore[assignment]
    names = {name: getattr(subprocess, name) for name in ("DEVNULL", "STDOUT", "TimeoutExpired")}
    process.subprocess = SimpleNamespace(Popen=ForkedWorker, **names)  # type: ignore[assignment]
    for line in sys.stdin:
        words, log = json.loads(line)

        def drive(words: list[str] = words) -> None:
            sys.argv = ["harness", *words]
            try:
                harness_command()
            finally:
                process.end_idle_workers()

        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        pid = fork(drive, output)
        os.close(output)
        print("pid", pid, flush=True)
        print("exit", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
