"""How often runs were lost, and beside whom: what a device's failure costs the rows that were not its cause.

A run that is lost by itself counts against it. Where a device fails that several rows had, as one batch or as two
workers' on one card, at most one of them is at fault, and nobody knows which: it counts against none, but a batch is
halved in the end (``Driver``), and a row that was lost so beside other workers' gets its card for itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from harness.driver.jobs import Job
from harness.engines.contract import End

MAX_LOSSES = 3
"""A run that was lost so often without getting further (its worker died, its device failed, the memory did not suffice
for it alone, or an error came that the harness did not foresee) is left as failed."""

Beside = Literal["nobody", "its batch", "another worker"]


class Losses:
    """Counts a study's."""

    def __init__(self) -> None:
        self._counts: dict[str, tuple[int, Counter[Beside]]] = {}
        self._workers: dict[int, str] = {}
        self._rows: dict[int, Sequence[str]] = {}
        self._had_company: set[int] = set()

    def began(self, task: int, worker: str, jobs: Sequence[Job]) -> None:
        """A worker has a task."""
        if others := self._others(worker):
            self._had_company |= {task, *others}
        self._workers[task], self._rows[task] = worker, [job.row.id for job in jobs]

    def ended(self, task: int, end: End, num_left: int) -> Beside:
        """A task is over; returns beside whom the rows that it has left were lost."""
        del self._workers[task], self._rows[task]
        had_company = task in self._had_company
        self._had_company.discard(task)
        if num_left > 1:
            return "its batch"
        return "another worker" if had_company and end is End.DEVICE_LOST else "nobody"

    def count(self, job: Job, beside: Beside) -> int:
        """How often a run has been lost so since it last got further, this time included."""
        manifest = job.folder.readable_manifest()
        reached = manifest.attempts[-1].last if manifest and manifest.attempts else 0
        before, counts = self._counts.get(job.row.id, (0, Counter()))
        if reached > before:
            counts = Counter()
        counts[beside] += 1
        self._counts[job.row.id] = reached, counts
        return counts[beside]

    def is_to_be_alone(self, run_id: str) -> bool:
        """Whether a run was lost so often beside other workers on its card that it is to have one for itself."""
        return run_id in self._counts and self._counts[run_id][1]["another worker"] >= MAX_LOSSES

    def must_wait(self, job: Job, worker: str) -> bool:
        """Whether a worker may not have a run yet: someone is on its card, and one of them is to be alone."""
        others = self._others(worker)
        on_card = [run_id for task in others for run_id in self._rows[task]]
        return bool(others) and any(map(self.is_to_be_alone, [job.row.id, *on_card]))

    def _others(self, worker: str) -> list[int]:
        """The tasks of other workers on its card."""
        card = card_of(worker)
        return [task for task, other in self._workers.items() if other != worker and card_of(other) == card]


def card_of(worker: str) -> str:
    """The device of a worker's name: of ``cuda:0#2``, which shares it with ``cuda:0``, that one."""
    return worker.split("#")[0]
