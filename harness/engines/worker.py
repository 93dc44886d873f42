"""A worker process of the local engine: it keeps one device for life and takes one task at a time.

    python -m harness.engines.worker FD DEVICE THREADS NAME

FD is its end of a socket pair; what comes in are tuples of plain data, what goes out are events:

    ("submit", number, name, working folder, pickled Task)    ("prune", row ids)    ("stop",)
    ("rest",)    ("free",)    ("quit",)

The heavy imports begin at once, beside the driver's own planning. When the driver's end closes, also because the driver
was killed, the worker checkpoints and ends. stdout and stderr are its log.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import queue
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.runs.signals import Orders

MAX_BACKLOG = 200
"""Events that may wait for the driver before those that only say how far a row has come are left out."""
LAST_WORDS_S = 10.0
"""How long a worker that ends waits for its driver to take the last events."""

RESTED = "rested"
"""Goes out when everything that was tracked is with W&B."""


class Outbox:
    """Sends in a thread of its own, so that a driver that is busy drawing a figure does not hold up the work."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)
        self._thread.start()

    def put(self, message: Any) -> None:
        """Send when the driver can take it."""
        if type(message).__name__ != "Advanced" or self._waiting.qsize() < MAX_BACKLOG:
            self._waiting.put(message)

    def close(self) -> None:
        """Wait, for a bounded time, until all is sent."""
        self._waiting.put(None)
        self._thread.join(LAST_WORDS_S)

    def _work(self) -> None:
        while (message := self._waiting.get()) is not None:
            try:
                self._connection.send(message)
            except OSError:  # the driver is gone; the inbox knows
                return


class Inbox:
    """Reads in a thread of its own: tasks wait for the main thread, requests reach the task at once.

    Attributes:
        tasks: messages for the main thread; None: end.
        has_ended: the driver is gone, or wants no more of this worker.
    """

    def __init__(self, connection: Connection) -> None:
        self.tasks: queue.SimpleQueue[tuple[Any, ...] | None] = queue.SimpleQueue()
        self.has_ended = False
        self._connection = connection
        self._lock = threading.Lock()
        self._asked: Orders | None = None
        self._early: list[tuple[Any, ...]] = []  # requests for a task that the main thread has not begun
        threading.Thread(target=self._work, name="inbox", daemon=True).start()

    def attend(self, asked: Orders | None) -> None:
        """Give the requests to this task from now on, those that came before it began included; None: to none."""
        with self._lock:
            self._asked = asked
            early, self._early = self._early, []
            if asked is not None:
                for message in early:
                    self._apply(asked, message)
                asked.stop = asked.stop or self.has_ended

    def _work(self) -> None:
        while True:
            try:
                message = self._connection.recv()
            except (EOFError, OSError):
                message = ("quit",)
            with self._lock:
                if message[0] == "quit":
                    self.has_ended = True
                    if self._asked is not None:
                        self._asked.stop = True
                    self.tasks.put(None)
                    return
                if message[0] in ("submit", "rest", "free"):
                    self._early = []
                    self.tasks.put(message)
                elif self._asked is not None:
                    self._apply(self._asked, message)
                else:
                    self._early.append(message)

    @staticmethod
    def _apply(asked: Orders, message: tuple[Any, ...]) -> None:
        if message[0] == "stop":
            asked.stop = True
        else:
            asked.prune(message[1])


def main(descriptor: int, device: str, threads: int) -> None:
    """Work until the driver's end closes."""
    os.set_inheritable(descriptor, False)  # W&B's service would keep this end open after this process has died
    connection = Connection(descriptor)
    inbox, outbox = Inbox(connection), Outbox(connection)

    from harness.engines.contract import Ended, Free
    from harness.engines.devices import free_bytes
    from harness.engines.work import KeptTracker, carry_out
    from harness.runs.signals import Orders

    trackers = KeptTracker(outbox.put)
    while (message := inbox.tasks.get()) is not None:
        if message[0] == "rest":
            trackers.close()
            outbox.put(RESTED)
            continue
        if message[0] == "free":
            outbox.put(Free(free_bytes(device)))
            continue
        _, number, name, folder, pickled = message
        with suppress(FileNotFoundError):
            os.chdir(folder)
        asked = Orders()
        inbox.attend(asked)
        end = carry_out(pickle.loads(pickled), device, threads, name, outbox.put, asked, trackers)
        inbox.attend(None)
        outbox.put(Ended(number, name, *end))
        if inbox.has_ended:
            break
    trackers.close()
    outbox.close()


if __name__ == "__main__":
    faulthandler.enable()
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
