"""Image quilting as rows of a batch: no parameter and no gradient, but run folders like any other run's.

One evaluation is one row of blocks. ``total`` is the error that chose the blocks, ``content`` that of the
correspondence to the photograph, ``style`` that of the overlaps: means per pixel of a row of blocks.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from harness.quilting import Quilting
from harness.runs.asynchronous import now
from harness.runs.batch_module import Progress, Record, UnoptimisedRows
from harness.runs.history import is_log_spaced


class QuiltedRows(UnoptimisedRows):
    """Quilts every row, block row by block row.

    Args:
        quiltings: one for each slot; all of one number of steps.
        progress: how far the rows have come.
        pace_s: how long a training step aims to take, in seconds.
        rungs: evaluations at which a training step ends.
    """

    def __init__(
        self,
        quiltings: Sequence[Quilting],
        progress: Progress,
        pace_s: float = 0.5,
        rungs: Iterable[int] = (),
    ) -> None:
        super().__init__(progress, quiltings[0].num_steps)
        self.quiltings = quiltings
        self.pace_s = pace_s
        self.rungs = frozenset(rungs)

    def row_state(self, row: int) -> Mapping[str, Tensor]:
        """The canvas and where the next block goes."""
        return self.quiltings[row].state()

    def load_row_state(self, row: int, state: Mapping[str, Tensor]) -> None:
        """Put a row back to where ``row_state`` saw it."""
        self.quiltings[row].load_state(dict(state))

    def best_image(self, row: int) -> Tensor:
        """The canvas."""
        return self.quiltings[row].picture.clamp(0, 1).float()

    def final_losses(self, lines: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
        """Means over the last iteration: a line is one row of blocks, and the last line only the bottom one's."""
        last = lines[-self.quiltings[0].levels[-1].num_rows :]
        means = {name: math.fsum(line[name] for line in last) / len(last) for name in ("total", "content", "style")}
        return {"evaluation": last[-1]["evaluation"], **means}

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """Quilt one row of blocks of every active row, several times."""
        until = time.monotonic() + self.pace_s
        while self._active:
            for row in list(self._active):
                self._advance(row)
            self.drop([row for row in self._active if self.evaluation[row] >= self.steps])
            at_rung = not self.rungs.isdisjoint(self.evaluation[row] for row in self._active)
            if at_rung or time.monotonic() >= until:
                return

    def _advance(self, row: int) -> None:
        errors = self.quiltings[row].advance()
        self.evaluation[row] += 1
        columns = {"total": errors.total, "content": errors.correspondence, "style": errors.overlap}
        is_kept = is_log_spaced(self.evaluation[row], self.steps)
        self.records.append(
            Record(
                (row,),
                (self.evaluation[row],),
                now(),
                {name: torch.tensor([value]) for name, value in columns.items()},
                self.quiltings[row].picture[None].clone() if is_kept else None,
            )
        )
