"""The callback that keeps a batch's run folders: it decides what is written of the rows, and hands it to the writer."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from harness.optim import RowStatus
from harness.runs.asynchronous import OnHost
from harness.runs.batch_module import BatchModule, Progress
from harness.runs.row_folders import RowFolders, Standing
from harness.runs.signals import Orders
from harness.runs.store import Manifest, Metrics, RunFolder
from harness.runs.tracker import Tracker
from harness.runs.writer import Job, Tell, Writer


class Listener:
    """Who wants to know what happens to a batch's rows; this one does not."""

    def measured(self, row_id: str, evaluation: int, metrics: Metrics) -> None:
        """A row's comparable numbers at a rung are known."""

    def ended(self, row_id: str, manifest: Manifest) -> None:
        """A row has ended, or was found done."""


@dataclass(eq=False)
class Keeper(pl.Callback):
    """Has everything written that the run folders hold while a batch is fitted.

    Args:
        ids: the rows' ids.
        files: writes their folders.
        writer: when, and in which thread; what it writes is told to tracker and listener in this one.
        progress: how far the rows have come.
        tracker: mirrors the folders.
        checkpoint_every_s: seconds between a row's checkpoints.
        asked: looked at before and after every training step.
        rungs: evaluations at which a row's best iterate is measured on the way.
        listener: is told of rungs and ends.
    """

    ids: Sequence[str]
    files: RowFolders
    writer: Writer
    progress: Progress
    tracker: Tracker
    checkpoint_every_s: float
    asked: Orders
    rungs: Collection[int]
    listener: Listener

    def __post_init__(self) -> None:
        self.open_rows = set(range(len(self.folders)))
        """Rows that have not left; those of other levels than the one that is fitted are among them."""
        self._saved = [time.monotonic() for _ in self.folders]

    @property
    def folders(self) -> Sequence[RunFolder]:
        """The rows' run folders."""
        return self.files.folders

    @property
    def latest(self) -> Sequence[Mapping[str, float]]:
        """Each row's last line of history as it is written; empty before the first."""
        return self.files.latest

    def resume(self, row: int, evaluation: int, provenance: Mapping[str, Any]) -> None:
        """Roll a folder back to its checkpoint and open a new attempt; 0 evaluations begin it.

        What was measured at rungs before the checkpoint is told once more: whoever asks now may not have heard it.
        """
        rungs = self.files.resume(row, evaluation, provenance)
        self.tracker.add(self.folders[row])
        for rung, metrics in rungs.items():
            if int(rung) in self.rungs:
                self.listener.measured(self.ids[row], int(rung), metrics)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *unused: Any) -> None:
        """Let go what was asked for while the last training step was written down."""
        assert isinstance(pl_module, BatchModule)
        self.let_go(pl_module)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *unused: Any) -> None:
        """Write what was measured; finish rows that are done or failed; checkpoint when it is time."""
        assert isinstance(pl_module, BatchModule)
        self.write(pl_module)
        statuses = pl_module.statuses()
        for row in sorted(self.open_rows & pl_module.rows_inside):
            if statuses[row] is not RowStatus.RUNNING or pl_module.evaluation[row] >= pl_module.last_evaluation:
                if pl_module.is_last or statuses[row] is RowStatus.FAILED:
                    self.finish(pl_module, row, statuses[row])
                else:
                    self.end_level(pl_module, row)
            elif pl_module.evaluation[row] in self.rungs and pl_module.active:
                self.measure_rung(pl_module, row)
        self.let_go(pl_module)
        # Lightning fetches one batch ahead, so that this is called once more after the rows have left: their state is
        # then empty and must not be saved over the checkpoints.
        if pl_module.active:
            self.save_due(pl_module)
        self.tracker.poke()

    def let_go(self, module: BatchModule) -> None:
        """Take out the rows that were asked for; where the end was, checkpoint and take out all."""
        self.writer.tell()  # whoever hears of a rung may ask for it
        for row in sorted(self.open_rows & set(module.active)):
            if self.ids[row] in self.asked.pruned and module.evaluation[row] > 0:
                self.prune(module, row)
        if self.asked.stop and module.active:
            self.save(module, sorted(self.open_rows & module.rows_inside))
            module.drop(list(module.active))

    def write(self, module: BatchModule) -> None:
        """Hand over what the module has measured, for the histories and the iterates that are kept."""
        records = [record.on_host() for record in module.take_records()]
        if records:
            columns_of = {row: module.columns_of(row) for record in records for row in record.rows}
            num_bytes = sum(record.held.num_bytes for record in records)
            self.writer.put(partial(self.files.append, records, columns_of, module.steps), num_bytes)

    def save_due(self, module: BatchModule) -> None:
        """Checkpoint the rows for which it is time, the longest unsaved first.

        While the writer is behind they are put off, so that the device does not wait; at most as long again.
        """
        now, every = time.monotonic(), self.checkpoint_every_s
        for row in sorted(self.open_rows & module.rows_inside, key=lambda row: (self._saved[row], row)):
            unsaved = now - self._saved[row]
            if unsaved > 2 * every or (unsaved > every and self.writer.has_room):
                self.save(module, [row])

    def save(self, module: BatchModule, rows: Iterable[int]) -> None:
        """Checkpoint these rows."""
        for row in rows:
            self._save(module, row, module.row_state(row))

    def _save(self, module: BatchModule, row: int, state: Mapping[str, Tensor]) -> None:
        progress, held = self.progress, OnHost(state)
        level, began, is_at_end = progress.level[row], progress.level_began[row], row not in module.rows_inside
        job = partial(self.files.save, row, module.evaluation[row], held, level, began, is_at_end)
        self.writer.put(job, held.num_bytes)
        self._saved[row] = time.monotonic()

    def end_level(self, module: BatchModule, row: int) -> None:
        """Take a row's best picture to the next level; its checkpoint says so too."""
        module.rows_inside.discard(row)
        if module.evaluation[row] in self.rungs:
            self.measure_rung(module, row)
        state = module.row_state(row)
        self._save(module, row, state)
        self.progress.move_on(row, state["best_image"].cpu())
        if row in module.active:
            module.drop([row])

    def finish(self, module: BatchModule, row: int, status: RowStatus = RowStatus.RUNNING) -> None:
        """End a row: done, or failed."""
        reason = "" if status is RowStatus.RUNNING else status.value  # also of a row that ended early
        if status is RowStatus.FAILED:
            self._leave(module, row, partial(self.files.fail, row, module.evaluation[row], reason))
        else:
            standing = self._standing(module, row)
            self._leave(module, row, partial(self.files.finish, standing, reason), _num_bytes(standing))

    def prune(self, module: BatchModule, row: int) -> None:
        """Let a row go, with its checkpoint."""
        self.save(module, [row])
        reason = f"It was given up at evaluation {module.evaluation[row]} of {module.steps}."
        standing = self._standing(module, row)
        self._leave(module, row, partial(self.files.prune, standing, reason), _num_bytes(standing))

    def measure_rung(self, module: BatchModule, row: int) -> None:
        """Have a row measured as it is now, and tell the numbers."""
        standing = self._standing(module, row)

        def job() -> Tell:
            metrics = self.files.measure_rung(standing)
            return lambda: self.listener.measured(self.ids[row], standing.evaluation, metrics)

        self.writer.put(job, _num_bytes(standing))

    def _standing(self, module: BatchModule, row: int) -> Standing:
        progress = self.progress
        evaluation, began, carried = module.evaluation[row], progress.level_began[row], progress.carried[row]
        is_between = carried is not None and began == evaluation  # two levels
        picture = carried.clamp(0, 1).float() if carried is not None and is_between else module.best_image(row)
        before = progress.level_before_began[row]
        return Standing(row, evaluation, began, before, picture, module.final_losses, module.still_falling)

    def _leave(self, module: BatchModule, row: int, end: Callable[[], Manifest], num_bytes: int = 0) -> None:
        """Take a row out of the batch, and have its end written and told."""
        self.open_rows.discard(row)
        if row in module.active:
            module.drop([row])
        self.writer.put(self._ended(row, end), num_bytes)

    def _ended(self, row: int, end: Callable[[], Manifest]) -> Job:
        def job() -> Tell:
            manifest = end()

            def tell() -> None:
                self.tracker.finish(self.folders[row])
                self.listener.ended(self.ids[row], manifest)

            return tell

        return job


def _num_bytes(standing: Standing) -> int:
    return standing.picture.numel() * standing.picture.element_size()
