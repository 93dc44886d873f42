"""Who writes what a batch hands over: at once, or in a thread of its own while the device goes on.

    with open_writer("auto", "cuda:0") as writer:
        writer.put(job, num_bytes)      waits while too much waits already
        writer.tell()                   every training step
                                        at the end all is written, and told

A job writes files. What it returns is called in the thread that handed it over, once the job is done: whoever is told
of a row's end (a tracker, a listener, the pipe to the driver) knows one thread only, and hears of it after its files
are there. Jobs are done one after another, in order. The first that fails is the last: what was handed over behind it
may rest on it, and is left out; its error is raised by the next call from the thread that hands over.

A batch ends when all of it is written, so that a worker's device waits for what is handed over last: each row's last
lines, picture and numbers, and nothing else where the thread has kept up. Two workers on one card (``cuda:0,cuda:0``)
fill that time with each other's evaluations.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Literal

import torch

Tell = Callable[[], None]
Job = Callable[[], Tell | None]
Writing = Literal["auto", "thread", "none"]

MAX_JOBS = 64
MAX_BYTES = 512 * 2**20
"""What may wait: about as much of the host's memory stays pinned on a machine with a GPU, once it was needed."""


def open_writer(writing: Writing, device: str) -> Writer:
    """The writer of a batch: a thread, or none.

    Args:
        writing: ``auto`` is a thread where the device is not the CPU: there a thread that encodes and measures takes
            from the evaluation what it saves it.
        device: ``cpu`` or ``cuda:N``.
    """
    is_elsewhere = torch.device(device).type != "cpu"
    return ThreadWriter() if writing == "thread" or (writing == "auto" and is_elsewhere) else Writer()


class Writer:
    """Does each job before ``put`` returns; nothing waits."""

    def put(self, job: Job, num_bytes: int = 0) -> None:
        """Hand over a job.

        Args:
            job: writes, and returns what is to be told, if anything.
            num_bytes: of the tensors that it holds.

        Raises:
            Exception: what a job has raised.
        """
        tell = job()
        if tell is not None:
            tell()

    @property
    def has_room(self) -> bool:
        """Whether what can be put off should be handed over now."""
        return True

    def tell(self) -> None:
        """Tell what came of the jobs that are done.

        Raises:
            Exception: what a job has raised.
        """

    def __enter__(self) -> Writer:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait until all is written, tell it, and raise what a job has raised, unless something else is raised."""


class ThreadWriter(Writer):
    """Does the jobs in one thread; ``put`` waits while the queue is full, so that memory stays bounded.

    A job larger than the whole queue is taken when nothing else waits.

    Args:
        max_jobs: not done yet.
        max_bytes: that they hold together.
    """

    def __init__(self, max_jobs: int = MAX_JOBS, max_bytes: int = MAX_BYTES) -> None:
        self.max_jobs = max_jobs
        self.max_bytes = max_bytes
        self._changed = threading.Condition()
        # What follows is read and written with it only.
        self._jobs: deque[tuple[Job, int]] = deque()
        self._tells: deque[Tell] = deque()
        self._num_jobs = self._num_bytes = 0  # not done yet: those that wait, and the one in hand
        self._error: BaseException | None = None
        self._is_closed = False
        self._thread = threading.Thread(target=self._work, name="run-folder-writer", daemon=True)

    def put(self, job: Job, num_bytes: int = 0) -> None:
        """Hand over a job, waiting while the queue is full."""
        with self._changed:
            self._changed.wait_for(lambda: self._error is not None or self._fits(num_bytes))
            if self._error is None:
                self._jobs.append((job, num_bytes))
                self._num_jobs += 1
                self._num_bytes += num_bytes
                self._changed.notify_all()
        self.tell()

    @property
    def has_room(self) -> bool:
        """Whether no more than half as much waits as may: then a job of up to half the queue does not wait."""
        with self._changed:
            return self._num_jobs <= self.max_jobs // 2 and self._num_bytes <= self.max_bytes // 2

    def tell(self) -> None:
        """Tell what came of the jobs that are done."""
        self._tell_done()
        with self._changed:
            error = self._error
        if error is not None:
            raise error

    def __enter__(self) -> ThreadWriter:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait until all is written; where that is interrupted (Ctrl-C), for the job in hand only."""
        try:
            with self._changed:
                self._changed.wait_for(lambda: self._num_jobs == 0)
        finally:
            with self._changed:
                self._jobs.clear()
                self._is_closed = True
                self._changed.notify_all()
            self._thread.join()  # whoever holds the folders' locks may let them go now
        self._tell_done()
        if kind is None:
            self.tell()

    def _fits(self, num_bytes: int) -> bool:
        within = self._num_jobs < self.max_jobs and self._num_bytes + num_bytes <= self.max_bytes
        return within or self._num_jobs == 0

    def _tell_done(self) -> None:
        while True:
            with self._changed:
                if not self._tells:
                    return
                tell = self._tells.popleft()
            tell()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._is_closed)
                if not self._jobs:
                    return
                job, num_bytes = self._jobs.popleft()
            tell, error = _done(job)
            del job  # and its tensors, before they count as gone
            with self._changed:
                self._num_jobs -= 1
                self._num_bytes -= num_bytes
                if tell is not None:
                    self._tells.append(tell)
                if error is not None:
                    self._error = error
                    self._num_jobs = self._num_bytes = 0
                    self._jobs.clear()
                self._changed.notify_all()


def _done(job: Job) -> tuple[Tell | None, BaseException | None]:
    """What a job returned, or raised."""
    try:
        return job(), None
    except BaseException as error:  # any kind: it is raised where the job came from
        return None, error
