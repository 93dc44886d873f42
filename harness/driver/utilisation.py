"""How much of a study's time its workers had something to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.engines.contract import Ended


@dataclass
class Utilisation:
    """Adds up how long each worker has a batch: from when it is handed over until its last file is written.

    Args:
        workers: the engine's, all of them idle.
        clock: seconds.
    """

    workers: Sequence[str]
    clock: Callable[[], float] = time.monotonic
    _busy_s: dict[str, float] = field(default_factory=dict)
    _since: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._begun = self.clock()

    def given(self, task: int) -> None:
        """A worker got a task."""
        self._since[task] = self.clock()

    def ended(self, event: Ended) -> None:
        """Its task has ended."""
        busy_s = self.clock() - self._since.pop(event.task)
        self._busy_s[event.worker] = self._busy_s.get(event.worker, 0.0) + busy_s

    def sentence(self) -> str:
        """``Workers: cpu:0 98%, cpu:1 94% busy of 312 s.`` after the last task; empty for one worker, or no task."""
        seconds = self.clock() - self._begun
        if len(self.workers) < 2 or not self._busy_s:
            return ""
        shares = (f"{worker} {self._busy_s.get(worker, 0.0) / seconds:.0%}" for worker in self.workers)
        return f"Workers: {', '.join(shares)} busy of {seconds:.0f} s."
