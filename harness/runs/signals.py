"""What a batch is asked while it is fitted: to end (Ctrl-C, SIGTERM, its driver), or to let some rows go.

Whoever asks does so from another thread or a signal's handler; the batch looks at every training step.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Orders:
    """What has been asked of a batch; both are plain assignments, so that they are safe between threads.

    Attributes:
        stop: the training step ends, everything is checkpointed, then the batch ends.
        pruned: ids of rows that are to leave the batch; those of other batches do no harm.
    """

    stop: bool = False
    pruned: frozenset[str] = frozenset()

    def ask_to_stop(self) -> None:
        """Ask for the end."""
        self.stop = True

    def prune(self, run_ids: Iterable[str]) -> None:
        """Ask for more rows to leave; one thread at a time."""
        self.pruned = self.pruned | frozenset(run_ids)


@contextmanager
def on_signals(ask: Callable[[], None]) -> Iterator[None]:
    """Turn SIGINT and SIGTERM into a request, such as to stop; a second Ctrl-C is not held back.

    Outside the main thread signals stay as they are.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def request(number: int, frame: FrameType | None) -> None:
        ask()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
