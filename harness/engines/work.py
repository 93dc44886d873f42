"""Carry out one task in this process; every engine's workers do nothing else.

task ─► carry_out ─► run_batch ─► events by ``send`` as they happen ─► how it ended
"""

from __future__ import annotations

import errno
import gc
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from harness.config.methods import has_network
from harness.engines.contract import Advanced, End, Event, Finished, Measured, Noted, Task
from harness.errors import HarnessError, OutOfMemory, is_of_device
from harness.registries import use_as_read
from harness.runs.batch import Execution, run_batch
from harness.runs.keeper import Keeper, Listener
from harness.runs.prepare import Row
from harness.runs.provenance import provenance
from harness.runs.signals import Orders
from harness.runs.store import Manifest, Metrics
from harness.runs.tracker import Tracker
from harness.tracking.mode import Mode
from harness.tracking.wandb_tracker import open_tracker

ADVANCED_EVERY_S = 0.25

OF_STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.EACCES, errno.EPERM)
"""Errors of the system that are no row's fault, so that trying it again would make it one that failed."""

Send = Callable[[Event], None]


class KeptTracker:
    """A worker's tracker, kept open between tasks: one of W&B's services serves them all.

    Args:
        send: is told the tracker's warning.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._of: tuple[str, Path] | None = None
        self._tracker: Tracker = Tracker()
        self._told = ""

    def of(self, task: Task) -> Tracker:
        """The tracker of a task's mode and folder; another one's is closed."""
        wanted = (task.tracking, task.wandb_folder.absolute())
        if wanted != self._of:
            self.close()
            self._tracker = open_tracker(Mode(task.tracking), wanted[1])  # type: ignore[arg-type]
            self._of = wanted
        return self._tracker

    def tell(self) -> None:
        """Pass on the tracker's warning, once."""
        if self._tracker.warning and self._tracker.warning != self._told:
            self._told = self._tracker.warning
            self._send(Noted(self._told))

    def close(self) -> None:
        """End what is mirrored, waiting at most as long as the tracker does."""
        self._tracker.close()
        self.tell()
        self._tracker, self._of, self._told = Tracker(), None, ""


class _Reporter(pl.Callback):
    """Sends how far the rows have come, at most every ``ADVANCED_EVERY_S``."""

    def __init__(self, keeper: Keeper, worker: str, send: Send) -> None:
        self._keeper = keeper
        self._worker = worker
        self._send = send
        self._next_s = 0.0

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *unused: Any) -> None:
        """Send every open row's latest losses; after the keeper, so that its folder has them."""
        now = time.monotonic()
        if now < self._next_s:
            return
        self._next_s = now + ADVANCED_EVERY_S
        for row in sorted(self._keeper.open_rows):
            latest = self._keeper.latest[row]
            if latest:
                losses = {name: latest[name] for name in ("total", "content", "style") if latest[name] == latest[name]}
                self._send(Advanced(self._worker, self._keeper.ids[row], int(latest["evaluation"]), losses))


class _Ends(Listener):
    """Sends rungs and ends."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def measured(self, row_id: str, evaluation: int, metrics: Metrics) -> None:
        """A rung's numbers."""
        self._send(Measured(row_id, evaluation, metrics))

    def ended(self, row_id: str, manifest: Manifest) -> None:
        """A row's end."""
        self._send(Finished(row_id, manifest))


def carry_out(
    task: Task,
    device: str,
    threads: int,
    worker: str,
    send: Send,
    asked: Orders,
    trackers: KeptTracker | None = None,
) -> tuple[End, str, int]:
    """Carry out a task in this thread; whatever goes wrong comes back as its end.

    Args:
        task: the batch.
        device: ``cpu`` or ``cuda:N`` as this process sees it.
        threads: of the CPU.
        worker: the name that the events bear.
        send: takes ``Advanced``, ``Measured``, ``Finished`` and ``Noted``, in this thread; must not raise.
        asked: through which other threads stop the task or let rows go.
        trackers: keeps W&B's service between tasks; left out: it is ended with this one.

    Returns:
        How it ended, the sentence (empty when done), and the exit code. The traceback of an error that is not the
        harness's own goes to stderr, which is the worker's log.
    """
    kept = trackers or KeptTracker(send)
    execution = Execution(
        device,
        threads,
        checkpoint_every_s=task.checkpoint_every_s,
        rungs=task.rungs,
        objectives=task.objectives,
        pass_bound_bytes=task.pass_bound_bytes,
    )
    is_lost = False
    try:
        use_as_read(task.plugins)
        rows = _with_provenance(task, device, threads)
        run_batch(rows, execution, lambda keeper: [_Reporter(keeper, worker, send)], kept.of(task), asked, _Ends(send))
        return End.DONE, "", 0
    except KeyboardInterrupt:
        return End.STOPPED, End.STOPPED.value, 130
    except OutOfMemory as error:
        return End.OUT_OF_MEMORY, str(error), error.exit_code
    except HarnessError as error:
        return End.ERROR, str(error), error.exit_code
    except Exception as error:  # any kind: the worker lives on, unless its device is lost to it
        if isinstance(error, OSError) and error.errno in OF_STORAGE:
            what = f"{error.filename}: " if error.filename else "A run's folder: "
            why = f"{what}{error.strerror}. Nothing finished is lost; mend it and run the same command again."
            return End.ERROR, why, 1
        with suppress(OSError):  # the log lies among the temporary files, and their disk may be full
            traceback.print_exc()
            sys.stderr.flush()
        told = " ".join(str(error).split())
        is_lost = is_of_device(error)
        end = End.DEVICE_LOST if is_lost else End.UNFORESEEN
        return end, f"{type(error).__name__}: {told} ({end.value}).", 1
    finally:
        kept.tell()
        if trackers is None or is_lost:
            kept.close()
        gc.collect()  # Lightning's trainer and module refer to each other; their tensors would stay until much later
        if device.startswith("cuda") and not is_lost:
            torch.cuda.empty_cache()


def _with_provenance(task: Task, device: str, threads: int) -> list[Row]:
    """The task's rows, whose manifests say what they are computed with."""
    details = provenance(device, threads, len(task.rows))
    rows = []
    for row in task.rows:
        own = {**row.manifest.provenance, **details, "seeds": {"start": row.transfer.seed}}
        if has_network(row.transfer.method):
            own |= {"precision": row.transfer.precision, "pass_bound_bytes": task.pass_bound_bytes}
        rows.append(replace(row, manifest=replace(row.manifest, provenance=own)))
    return rows
