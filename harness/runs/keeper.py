"""The callback that keeps a batch's run folders: history, iterates, checkpoints, finished and failed rows."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from harness.images.files import read_image, write_png
from harness.images.resize import to_array, to_tensor
from harness.optim import RowStatus
from harness.runs.checkpoint import Checkpoint, save_checkpoint
from harness.runs.module import Record, StyleTransfer, is_log_spaced
from harness.runs.signals import Stop
from harness.runs.store import Attempt, RunFolder, Status
from harness.runs.tracking import AnyTracker

Measure = Callable[[int, Tensor], Mapping[str, Any]]


class Keeper(pl.Callback):
    """Writes everything that the run folders hold while a batch is fitted.

    Args:
        folders: the batch's, held by their locks.
        measure: from a row and its (3, H, W) picture in [0, 1] to the comparable numbers.
        tracker: mirrors the folders.
        checkpoint_every_s: seconds between checkpoints.
        stop: set by a signal: checkpoint and end.
    """

    def __init__(
        self,
        folders: Sequence[RunFolder],
        measure: Measure,
        tracker: AnyTracker,
        checkpoint_every_s: float,
        stop: Stop,
    ) -> None:
        self.folders = folders
        self.measure = measure
        self.tracker = tracker
        self.checkpoint_every_s = checkpoint_every_s
        self.stop = stop
        self.open_rows = set(range(len(folders)))
        self.latest: list[dict[str, float]] = [{} for _ in folders]
        self._seconds_before = [0.0 for _ in folders]
        self._started = time.monotonic()
        self._saved = self._started

    def resume(self, row: int, evaluation: int, provenance: Mapping[str, Any]) -> None:
        """Roll a folder back to its checkpoint and open a new attempt; 0 evaluations begin it."""
        folder = self.folders[row]
        folder.remove_temporary_files()
        manifest = folder.manifest()
        assert manifest is not None
        history = folder.history()
        attempts = list(manifest.attempts)
        if attempts and history:  # what the last attempt computed, also what was lost with its process
            attempts[-1] = Attempt(attempts[-1].first, int(history[-1]["evaluation"]))
        folder.roll_back(evaluation)
        kept = [line for line in history if line["evaluation"] <= evaluation]
        self._seconds_before[row] = kept[-1]["seconds"] if kept else 0.0
        attempts.append(Attempt(evaluation + 1, evaluation))
        changes: dict[str, Any] = {"attempts": tuple(attempts), "provenance": dict(provenance)}
        folder.write_manifest(replace(manifest, status=Status.RUNNING, reason="", **changes))
        self.tracker.add(folder)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *unused: Any) -> None:
        """Write what was measured; finish rows that are done or failed; checkpoint when it is time."""
        assert isinstance(pl_module, StyleTransfer)
        self.write(pl_module)
        statuses = pl_module.optimizer.statuses()
        for row in sorted(self.open_rows):
            if statuses[row] is not RowStatus.RUNNING or pl_module.evaluation[row] >= pl_module.steps:
                self.finish(pl_module, row, statuses[row])
        # Lightning fetches one batch ahead, so that this is called once more after the rows have left: their state is
        # then empty and must not be saved over the checkpoints.
        if pl_module.optimizer.active:
            if self.stop.requested or time.monotonic() - self._saved > self.checkpoint_every_s:
                self.save(pl_module)
            if self.stop.requested:
                pl_module.optimizer.drop(list(pl_module.optimizer.active))
        self.tracker.poke()

    def write(self, module: StyleTransfer) -> None:
        """Append what the module has measured to the histories, and write the iterates that are kept."""
        lines: dict[int, list[dict[str, float]]] = {}
        for record in module.take_records():
            values = {name: tensor.tolist() for name, tensor in record.columns().items()}
            for position, (row, evaluation) in enumerate(zip(record.rows, record.evaluations, strict=True)):
                is_kept = is_log_spaced(evaluation, module.steps)
                weighed = module.objective.rows[row].weighed_style()
                line = self._line(
                    record, {name: column[position] for name, column in values.items()}, position, weighed
                )
                if not is_kept:
                    line["gradient_share/content"] = math.nan
                lines.setdefault(row, []).append(line)
                self.latest[row] = line
                if is_kept and record.images is not None:
                    picture = record.images[position].clamp(0, 1)
                    if bool(torch.isfinite(picture).all()):
                        write_png(self.folders[row].iterate_path(evaluation), to_array(picture))
        for row, rows in lines.items():
            self.folders[row].append_history(rows)

    def _line(
        self, record: Record, values: Mapping[str, float], position: int, layers: Sequence[str]
    ) -> dict[str, float]:
        """One line of a row's history; its columns are the row's own, whatever its neighbours weigh."""
        seconds = self._seconds_before[record.rows[position]] + record.seconds - self._started
        return {
            "evaluation": record.evaluations[position],
            "seconds": round(seconds, 4),
            **{name: values[name] for name in ("total", "content", "style")},
            **{f"style/{layer}": values[f"style/{layer}"] for layer in layers},
            "gradient_share/content": values.get("gradient_share/content", math.nan),
        }

    def save(self, module: StyleTransfer) -> None:
        """Checkpoint every open row, and say in its manifest how far it has come."""
        for row in sorted(self.open_rows):
            folder, evaluation = self.folders[row], module.evaluation[row]
            folder.flush_history()  # a checkpoint is never ahead of its history, also after a power cut
            save_checkpoint(folder, Checkpoint(evaluation, module.optimizer.row_state(row)))
            self._close_attempt(folder, evaluation)
        self._saved = time.monotonic()

    def finish(self, module: StyleTransfer, row: int, status: RowStatus = RowStatus.RUNNING) -> None:
        """Leave a row's folder finished: picture, numbers, manifest; then its checkpoint and history can go.

        The picture is the best iterate: without a line search the last one need not be it.
        """
        folder = self.folders[row]
        picture = module.optimizer.best_images[row].detach().clamp(0, 1).float().cpu()
        self._close_attempt(folder, module.evaluation[row])
        manifest = folder.manifest()
        assert manifest is not None
        reason = "" if status is RowStatus.RUNNING else status.value  # also of a row that ended early
        if status is RowStatus.FAILED:
            folder.write_manifest(replace(manifest, status=Status.FAILED, reason=reason))
        else:
            write_png(folder.image_path, to_array(picture))
            picture = to_tensor(read_image(folder.image_path))  # as saved, so that the numbers can be computed again
            history = folder.history()
            best = min((line for line in history), key=lambda line: (line["total"] != line["total"], line["total"]))
            metrics = {
                **self.measure(row, picture),
                "total": best["total"],
                "content": best["content"],
                "style": best["style"],
                "evaluations": module.evaluation[row],
                "seconds": history[-1]["seconds"],
            }
            metrics = {name: None if value != value else value for name, value in metrics.items()}  # NaN: not measured
            folder.write_manifest(replace(manifest, status=Status.DONE, reason=reason, metrics=metrics))
        folder.checkpoint_path.unlink(missing_ok=True)
        self.open_rows.discard(row)
        if row in module.optimizer.active:
            module.optimizer.drop([row])
        self.tracker.finish(folder)

    def _close_attempt(self, folder: RunFolder, evaluation: int) -> None:
        manifest = folder.manifest()
        assert manifest is not None and manifest.attempts
        attempts = (*manifest.attempts[:-1], replace(manifest.attempts[-1], last=evaluation))
        folder.write_manifest(replace(manifest, attempts=attempts))
