"""What is written into a batch's run folders while its rows are fitted: history, iterates, checkpoints, ends.

The keeper decides what is written and when; this is carried out by the batch's writer, perhaps in its thread, in the
order in which it was decided. So it knows the rows by what was handed over, never by what has become of them since.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from harness.config.claims import LOSS, LOSSES
from harness.images.files import read_image, write_png
from harness.images.resize import to_array, to_tensor
from harness.measures.comparable import Numbers
from harness.measures.names import EVALUATIONS, KEPT_EVALUATION, SECONDS, STILL_FALLING
from harness.runs.asynchronous import OnHost
from harness.runs.batch_module import SHARE, RecordOnHost
from harness.runs.checkpoint import Checkpoint, save_checkpoint
from harness.runs.finishing import Finishing
from harness.runs.history import is_log_spaced
from harness.runs.provenance import peak_memory_mb
from harness.runs.store import Attempt, Manifest, Metrics, RunFolder, Status
from harness.runs.trials import with_ended_trials

Measure = Callable[[int, Tensor, bool], Numbers]
Lines = Sequence[Mapping[str, float]]


@dataclass(frozen=True)
class Standing:
    """How a row stands when it is measured.

    Attributes:
        row: the row.
        evaluation: evaluations behind it.
        level_began: those behind it when its level began.
        level_before_began: the same of the level before.
        picture: (3, h, w) in [0, 1] on the CPU, as it would be if it ended now, before finishing.
        final_losses: from the lines of the last level to evaluation and losses of the best picture.
        still_falling: from the same to the part of itself by which the loss still fell.
    """

    row: int
    evaluation: int
    level_began: int
    level_before_began: int
    picture: Tensor
    final_losses: Callable[[Lines], Mapping[str, float]]
    still_falling: Callable[[Lines], float]


class RowFolders:
    """Writes a batch's run folders.

    Args:
        folders: held by their locks.
        measure: from a row, its (3, H, W) picture in [0, 1], and whether it is finished, to the comparable numbers.
        finishing: makes pictures of iterates.
        measured_on: what the manifests say of the numbers: see ``harness.runs.measured``.
        terms: each row's, beside content and style.

    Attributes:
        latest: each row's last line of history; empty before the first.
    """

    def __init__(
        self,
        folders: Sequence[RunFolder],
        measure: Measure,
        finishing: Finishing,
        measured_on: Mapping[str, str],
        terms: Sequence[Sequence[str]],
    ) -> None:
        self.folders = folders
        self.measure = measure
        self.finishing = finishing
        self.measured_on = measured_on
        self.terms = terms
        self.latest: list[dict[str, float]] = [{} for _ in folders]
        self._seconds_before = [0.0 for _ in folders]
        self._started = time.monotonic()

    def resume(self, row: int, evaluation: int, provenance: Mapping[str, Any]) -> Mapping[str, Metrics]:
        """Roll a folder back to its checkpoint and open a new attempt; 0 evaluations begin it.

        Returns:
            What was measured at rungs before the checkpoint; with another embedded network or plugin it is forgotten.
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
        return rungs

    def append(self, records: Sequence[RecordOnHost], columns_of: Mapping[int, Sequence[str]], steps: int) -> None:
        """Append what was measured to the histories, behind the iterates that are kept.

        Args:
            records: in the order in which they were measured.
            columns_of: each row's own columns, whatever its neighbours weigh.
            steps: evaluations of a whole run.
        """
        lines: dict[int, list[dict[str, float]]] = {}
        for record in records:
            values, images, seconds = record.values(), record.images(), record.moment() - self._started
            for position, (row, evaluation) in enumerate(zip(record.rows, record.evaluations, strict=True)):
                columns = {name: values[name][position] if name in values else math.nan for name in columns_of[row]}
                is_kept = is_log_spaced(evaluation, steps)
                if not is_kept and SHARE in columns:  # measured for the sake of another row of the record
                    columns[SHARE] = math.nan
                line = {"evaluation": evaluation, "seconds": round(self._seconds_before[row] + seconds, 4), **columns}
                lines.setdefault(row, []).append(line)
                if is_kept and images is not None:
                    self._write_iterate(row, evaluation, images[position].clamp(0, 1))
        for row, rows in lines.items():
            self.folders[row].append_history(rows)
            self.latest[row] = rows[-1]

    def _write_iterate(self, row: int, evaluation: int, picture: Tensor) -> None:
        if bool(torch.isfinite(picture).all()):
            picture = self.finishing.for_file(row, self.finishing.of_iterate(row, picture.float()))
            write_png(self.folders[row].iterate_path(evaluation), to_array(picture))

    def save(self, row: int, evaluation: int, state: OnHost, level: int, level_began: int, is_at_end: bool) -> None:
        """Checkpoint a row, and say in its manifest how far it has come."""
        folder = self.folders[row]
        folder.flush_history()  # a checkpoint is never ahead of its history, also after a power cut
        save_checkpoint(folder, Checkpoint(evaluation, state.tensors(), level, level_began, is_at_end))
        self._close_attempt(folder, evaluation)

    def measure_rung(self, standing: Standing) -> Metrics:
        """Measure a row's best iterate, which ``measure`` rounds to 8 bits, and keep the numbers."""
        folder, picture = self.folders[standing.row], self.finishing.of_picture(standing.row, standing.picture)
        metrics = dict(self._numbers(standing, picture).metrics)
        manifest = self._manifest(folder)
        folder.write_manifest(replace(manifest, rungs={**manifest.rungs, str(standing.evaluation): metrics}))
        return metrics

    def finish(self, standing: Standing, reason: str) -> Manifest:
        """Leave a row's folder finished: picture, numbers, manifest; then its checkpoint can go."""
        folder = self.folders[standing.row]
        self._close_attempt(folder, standing.evaluation)
        numbers = self._numbers(standing, self._write_picture(standing), is_finished=True)
        manifest = self._end(folder, Status.DONE, reason, numbers)
        folder.checkpoint_path.unlink(missing_ok=True)
        return manifest

    def fail(self, row: int, evaluation: int, reason: str) -> Manifest:
        """Leave a row's folder failed, without picture and checkpoint."""
        folder = self.folders[row]
        self._close_attempt(folder, evaluation)
        manifest = self._end(folder, Status.FAILED, reason, Numbers({}, {}))
        folder.checkpoint_path.unlink(missing_ok=True)
        return manifest

    def prune(self, standing: Standing, reason: str) -> Manifest:
        """Like ``finish``, but the checkpoint stays, so that the row can be carried to the end later."""
        numbers = self._numbers(standing, self._write_picture(standing))
        return self._end(self.folders[standing.row], Status.PRUNED, reason, numbers)

    def _write_picture(self, standing: Standing) -> Tensor:
        """Write the picture; returns it as saved, so that the numbers can be computed again from the file."""
        path = self.folders[standing.row].image_path
        picture = self.finishing.of_picture(standing.row, standing.picture)
        pixels = to_array(self.finishing.for_file(standing.row, picture))
        write_png(path, pixels, survives_power_cut=True)  # before the manifest speaks of it
        return to_tensor(read_image(path))

    def _numbers(self, standing: Standing, picture: Tensor, is_finished: bool = False) -> Numbers:
        """The comparable numbers, and the losses where they were lowest; None for what could not be measured."""
        history = self.folders[standing.row].history()
        # A row that is let go between two levels has its picture, and its losses, from the one before.
        lines = [line for line in history if line["evaluation"] > standing.level_began] or [
            line for line in history if line["evaluation"] > standing.level_before_began
        ]
        best = standing.final_losses(lines)
        numbers = self.measure(standing.row, picture, is_finished)
        metrics = {
            **numbers.metrics,
            **{name: best[name] for name in LOSSES},
            **{f"{LOSS}{name}": best[name] for name in self.terms[standing.row] if name in best},
            EVALUATIONS: standing.evaluation,
            KEPT_EVALUATION: int(best["evaluation"]),
            STILL_FALLING: standing.still_falling(lines),
            SECONDS: history[-1]["seconds"],
        }
        metrics = {name: None if value != value else value for name, value in metrics.items()}  # NaN: not measured
        return Numbers(metrics, numbers.unmeasured)

    def _end(self, folder: RunFolder, status: Status, reason: str, numbers: Numbers) -> Manifest:
        """Write the manifest that ends a run, the trials that asked for it included."""
        folder.flush_history()  # a run that has ended has its history and picture, also after a power cut
        ended = replace(self._manifest(folder), status=status, reason=reason)
        peak = {"peak_memory_mb": peak_memory_mb(ended.provenance.get("device", "cpu"))}
        ended = replace(ended, provenance=ended.provenance | peak)
        ended = replace(ended, metrics=dict(numbers.metrics), unmeasured=dict(numbers.unmeasured))
        ended = with_ended_trials(ended)
        folder.write_manifest(ended)
        return ended

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
