"""What a batch is asked while it is fitted: to end (Ctrl-C, SIGTERM, its driver), or to let some rows go.

Whoever asks does so from another thread or a signal's handler; the batch looks at every training step.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


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
