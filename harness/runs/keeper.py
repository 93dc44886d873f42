"""The callback that keeps a batch's run folders: history, iterates, checkpoints; finished, failed and pruned rows."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from harness.images.files import read_image, write_png
from harness.images.resize import to_array, to_tensor
from harness.measures.comparable import Numbers
from harness.measures.names import EVALUATIONS, KEPT_EVALUATION, SECONDS, STILL_FALLING
from harness.optim import RowStatus
from harness.runs.batch_module import SHARE, BatchModule, Progress, Record
from harness.runs.checkpoint import Checkpoint, save_checkpoint
from harness.runs.finishing import Finishing
from harness.runs.history import is_log_spaced
from harness.runs.provenance import peak_memory_mb
from harness.runs.signals import Orders
from harness.runs.store import Attempt, Manifest, Metrics, RunFolder, Status
from harness.runs.tracker import Tracker
from harness.runs.trials import with_ended_trials

Measure = Callable[[int, Tensor, bool], Numbers]


class Listener:
    """Who wants to know what happens to a batch's rows; this one does not."""

    def measured(self, row_id: str, evaluation: int, metrics: Metrics) -> None:
        """A row's comparable numbers at a rung are known."""

    def ended(self, row_id: str, manifest: Manifest) -> None:
        """A row has ended, or was found done."""


@dataclass(eq=False)
class Keeper(pl.Callback):
    """Writes everything that the run folders hold while a batch is fitted.

    Args:
        ids: the rows' ids.
        folders: theirs, held by their locks.
        measure: from a row, its (3, H, W) picture in [0, 1], and whether it is finished, to the comparable numbers.
        finishing: makes pictures of iterates.
        progress: how far the rows have come.
        tracker: mirrors the folders.
        checkpoint_every_s: seconds between checkpoints.
        asked: looked at before and after every training step.
        rungs: evaluations at which a row's best iterate is measured on the way.
        listener: is told of rungs and ends.
        measured_on: what the manifests say of the numbers: see ``harness.runs.measured``.
    """

    ids: Sequence[str]
    folders: Sequence[RunFolder]
    measure: Measure
    finishing: Finishing
    progress: Progress
    tracker: Tracker
    checkpoint_every_s: float
    asked: Orders
    rungs: Collection[int]
    listener: Listener
    measured_on: Mapping[str, str]

    def __post_init__(self) -> None:
        self.open_rows = set(range(len(self.folders)))
        """Rows whose runs have not ended; those of other levels than the one that is fitted are among them."""
        self.latest: list[dict[str, float]] = [{} for _ in self.folders]
        self._seconds_before = [0.0 for _ in self.folders]
        self._started = self._saved = time.monotonic()

    def resume(self, row: int, evaluation: int, provenance: Mapping[str, Any]) -> None:
        """Roll a folder back to its checkpoint and open a new attempt; 0 evaluations begin it.

        What was measured at rungs before the checkpoint is told once more: whoever asks now may not have heard it.
        Where that was with another embedded network or plugin it is forgotten.
        """
        folder = self.folders[row]
        folder.remove_temporary_files()
        manifest = self._manifest(folder)
        history = folder.history()
        attempts = list(manifest.attempts)
        if attempts and history:  # what the last attempt computed, also what was lost with its process
            attempts[-1] = Attempt(attempts[-1].first, int(history[-1]["evaluation"]))
        folder.roll_back(evaluation)
        kept = [line for line in history if line["evaluation"] <= evaluation]
        self._seconds_before[row] = kept[-1]["seconds"] if kept else 0.0
        attempts.append(Attempt(evaluation + 1, evaluation))
        is_same = manifest.measured_on == self.measured_on
        rungs = {rung: m for rung, m in manifest.rungs.items() if is_same and int(rung) <= evaluation}
        changes: dict[str, Any] = {"attempts": tuple(attempts), "provenance": dict(provenance), "rungs": rungs}
        changes["measured_on"] = self.measured_on
        folder.write_manifest(replace(manifest, status=Status.RUNNING, reason="", metrics={}, unmeasured={}, **changes))
        folder.image_path.unlink(missing_ok=True)  # of a pruned run
        self.tracker.add(folder)
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
        if pl_module.active and time.monotonic() - self._saved > self.checkpoint_every_s:
            self.save(pl_module)
        self.tracker.poke()

    def let_go(self, module: BatchModule) -> None:
        """Take out the rows that were asked for; where the end was, checkpoint and take out all."""
        for row in sorted(self.open_rows & set(module.active)):
            if self.ids[row] in self.asked.pruned and module.evaluation[row] > 0:
                self.prune(module, row)
        if self.asked.stop and module.active:
            self.save(module)
            module.drop(list(module.active))

    def write(self, module: BatchModule) -> None:
        """Append what the module has measured to the histories, and write the iterates that are kept."""
        lines: dict[int, list[dict[str, float]]] = {}
        for record in module.take_records():
            values = record.values()
            for position, (row, evaluation) in enumerate(zip(record.rows, record.evaluations, strict=True)):
                is_kept = is_log_spaced(evaluation, module.steps)
                own = {name: values[name][position] for name in module.columns_of(row) if name in values}
                line = self._line(record, own, position, module.columns_of(row))
                if not is_kept and SHARE in line:  # measured for the sake of another row of the record
                    line[SHARE] = math.nan
                lines.setdefault(row, []).append(line)
                self.latest[row] = line
                if is_kept and record.images is not None:
                    picture = record.images[position].clamp(0, 1)
                    if bool(torch.isfinite(picture).all()):
                        picture = self.finishing.of_iterate(row, picture.float().cpu())
                        write_png(self.folders[row].iterate_path(evaluation), to_array(picture))
        for row, rows in lines.items():
            self.folders[row].append_history(rows)

    def _line(
        self, record: Record, values: Mapping[str, float], position: int, columns: Sequence[str]
    ) -> dict[str, float]:
        """One line of a row's history; its columns are the row's own, whatever its neighbours weigh."""
        seconds = self._seconds_before[record.rows[position]] + record.seconds - self._started
        return {
            "evaluation": record.evaluations[position],
            "seconds": round(seconds, 4),
            **{name: values.get(name, math.nan) for name in columns},
        }

    def save(self, module: BatchModule, rows: Iterable[int] | None = None) -> None:
        """Checkpoint these rows (left out: all in this level), and say in their manifests how far they have come."""
        progress = self.progress
        for row in sorted(self.open_rows & module.rows_inside) if rows is None else rows:
            folder, evaluation = self.folders[row], module.evaluation[row]
            folder.flush_history()  # a checkpoint is never ahead of its history, also after a power cut
            level, began, is_at_end = progress.level[row], progress.level_began[row], row not in module.rows_inside
            save_checkpoint(folder, Checkpoint(evaluation, module.row_state(row), level, began, is_at_end))
            self._close_attempt(folder, evaluation)
        if rows is None:
            self._saved = time.monotonic()

    def end_level(self, module: BatchModule, row: int) -> None:
        """Take a row's best picture to the next level; its checkpoint says so too."""
        module.rows_inside.discard(row)
        if module.evaluation[row] in self.rungs:
            self.measure_rung(module, row)
        self.save(module, [row])
        self.progress.move_on(row, module.row_state(row)["best_image"])
        if row in module.active:
            module.drop([row])

    def finish(self, module: BatchModule, row: int, status: RowStatus = RowStatus.RUNNING) -> None:
        """Leave a row's folder finished: picture, numbers, manifest; then its checkpoint can go."""
        folder = self.folders[row]
        self._close_attempt(folder, module.evaluation[row])
        reason = "" if status is RowStatus.RUNNING else status.value  # also of a row that ended early
        if status is RowStatus.FAILED:
            manifest = self._end(row, Status.FAILED, reason, Numbers({}, {}))
        else:
            numbers = self._numbers(module, row, self._write_picture(module, row), is_finished=True)
            manifest = self._end(row, Status.DONE, reason, numbers)
        folder.checkpoint_path.unlink(missing_ok=True)
        self._leave(module, row, manifest)

    def prune(self, module: BatchModule, row: int) -> None:
        """Let a row go: like a finished one, but its checkpoint stays, so that it can be carried to the end later."""
        self.save(module, [row])
        reason = f"It was given up at evaluation {module.evaluation[row]} of {module.steps}."
        numbers = self._numbers(module, row, self._write_picture(module, row))
        self._leave(module, row, self._end(row, Status.PRUNED, reason, numbers))

    def measure_rung(self, module: BatchModule, row: int) -> None:
        """Measure a row's best iterate, which ``measure`` rounds to 8 bits, and keep and tell the numbers."""
        evaluation, folder = module.evaluation[row], self.folders[row]
        metrics = dict(self._numbers(module, row, self._best(module, row)).metrics)
        manifest = self._manifest(folder)
        folder.write_manifest(replace(manifest, rungs={**manifest.rungs, str(evaluation): metrics}))
        self.listener.measured(self.ids[row], evaluation, metrics)

    def _best(self, module: BatchModule, row: int) -> Tensor:
        """A row's picture as it would be if it ended now, (3, H, W) in [0, 1] on the CPU."""
        carried = self.progress.carried[row]
        if carried is not None and self.progress.level_began[row] == module.evaluation[row]:
            return self.finishing.of_picture(row, carried.clamp(0, 1).float())  # between two levels
        return self.finishing.of_picture(row, module.best_image(row))

    def _write_picture(self, module: BatchModule, row: int) -> Tensor:
        """Write the picture; returns it as saved, so that the numbers can be computed again from the file."""
        path = self.folders[row].image_path
        write_png(path, to_array(self._best(module, row)))
        return to_tensor(read_image(path))

    def _numbers(self, module: BatchModule, row: int, picture: Tensor, is_finished: bool = False) -> Numbers:
        """The comparable numbers, and the losses where they were lowest; None for what could not be measured."""
        history = self.folders[row].history()
        began, before = self.progress.level_began[row], self.progress.level_before_began[row]
        # A row that is let go between two levels has its picture, and its losses, from the one before.
        lines = [line for line in history if line["evaluation"] > began] or [
            line for line in history if line["evaluation"] > before
        ]
        best = module.final_losses(lines)
        numbers = self.measure(row, picture, is_finished)
        metrics = {
            **numbers.metrics,
            **{name: best[name] for name in ("total", "content", "style")},
            EVALUATIONS: module.evaluation[row],
            KEPT_EVALUATION: int(best["evaluation"]),
            STILL_FALLING: module.still_falling(lines),
            SECONDS: history[-1]["seconds"],
        }
        metrics = {name: None if value != value else value for name, value in metrics.items()}  # NaN: not measured
        return Numbers(metrics, numbers.unmeasured)

    def _end(self, row: int, status: Status, reason: str, numbers: Numbers) -> Manifest:
        """Write the manifest that ends a run, the trials that asked for it included."""
        folder = self.folders[row]
        ended = replace(self._manifest(folder), status=status, reason=reason)
        peak = {"peak_memory_mb": peak_memory_mb(ended.provenance.get("device", "cpu"))}
        ended = replace(ended, provenance=ended.provenance | peak)
        ended = replace(ended, metrics=dict(numbers.metrics), unmeasured=dict(numbers.unmeasured))
        ended = with_ended_trials(ended)
        folder.write_manifest(ended)
        return ended

    def _leave(self, module: BatchModule, row: int, manifest: Manifest) -> None:
        """Take a row that has ended out of the batch, and say so."""
        self.open_rows.discard(row)
        if row in module.active:
            module.drop([row])
        self.tracker.finish(self.folders[row])
        self.listener.ended(self.ids[row], manifest)

    def _close_attempt(self, folder: RunFolder, evaluation: int) -> None:
        manifest = self._manifest(folder)
        assert manifest.attempts
        attempts = (*manifest.attempts[:-1], replace(manifest.attempts[-1], last=evaluation))
        folder.write_manifest(replace(manifest, attempts=attempts))

    @staticmethod
    def _manifest(folder: RunFolder) -> Manifest:
        manifest = folder.manifest()
        assert manifest is not None
        return manifest
