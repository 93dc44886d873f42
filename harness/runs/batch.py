"""One batch's run: from transfers to finished run folders, resuming what was begun.

A batch is a list of runs that can share a tensor: network, H × W, optimiser and its numbers, steps and precision agree.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.environments import LightningEnvironment, SLURMEnvironment
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import Tensor

from harness.config.methods import has_network
from harness.config.transfer_parts import Lbfgs
from harness.errors import OutOfMemory, PluginError
from harness.features.single_precision import multiply_as
from harness.measures.comparable import Comparable
from harness.runs.again import can_be_brought_up_to_date, measure_again
from harness.runs.batch_module import BatchModule, Progress, UntilDone
from harness.runs.checkpoint import load_checkpoint
from harness.runs.finishing import Finishing
from harness.runs.keeper import Keeper, Listener
from harness.runs.measured import measured_on
from harness.runs.module_makers import Execution, module_makers
from harness.runs.prepare import Row, prepare_images, target_of
from harness.runs.provenance import reset_peak_memory
from harness.runs.row_folders import RowFolders
from harness.runs.signals import Orders
from harness.runs.store import Manifest, RunFolder, Status
from harness.runs.tracker import Tracker
from harness.runs.trials import record_trial, with_ended_trials, with_trials
from harness.runs.writer import open_writer
from harness.system import on_signals

__all__ = ["Execution", "run_batch"]


def run_batch(
    rows: Sequence[Row],
    execution: Execution,
    make_callbacks: Callable[[Keeper], Sequence[pl.Callback]] = lambda keeper: (),
    tracker: Tracker | None = None,
    asked: Orders | None = None,
    listener: Listener | None = None,
) -> list[Manifest]:
    """Carry out a batch: resume or begin every row, optimise, and leave finished run folders.

    Args:
        rows: runs that can share a batch.
        execution: device, threads, microbatch.
        make_callbacks: further callbacks, such as the progress display, which reads the keeper.
        tracker: mirrors the run folders in W&B.
        asked: through which rows, or the batch, can be ended early from another thread.
        listener: is told of rungs and ends.

    Returns:
        Each row's manifest as it was left: done, failed or pruned.

    Raises:
        StorageError: a folder is in use or cannot be written.
        OutOfMemory: the memory does not suffice.
        DeviceError: the device does not have the rows' precision.
        KeyboardInterrupt: after Ctrl-C, SIGTERM or a request to stop, with everything checkpointed.
    """
    asked, listener = asked or Orders(), listener or Listener()
    torch.set_num_threads(execution.threads)
    if has_network(rows[0].transfer.method):
        multiply_as(rows[0].transfer.precision, execution.device)
    reset_peak_memory(execution.device)  # the manifests tell this batch's
    with ExitStack() as held:
        held.enter_context(on_signals(asked.ask_to_stop))
        left = []
        until = time.monotonic() + execution.lock_wait_s
        for row in rows:
            folder = RunFolder(row.folder)
            folder.create(row.transfer, row.manifest)
            folder.wait_for(until - time.monotonic(), lambda: asked.stop)
            held.callback(folder.release)
            manifest = folder.readable_manifest()
            if manifest is None:
                folder.write_manifest(row.manifest)
            if manifest is not None and manifest.status is Status.DONE:  # perhaps by another process meanwhile
                if can_be_brought_up_to_date(manifest, execution.objectives):
                    _measure_again(row, folder, execution, tracker or Tracker())
                listener.ended(row.id, record_trial(folder, row.manifest.trials))
                continue
            if manifest is not None and row.manifest.trials:
                folder.write_manifest(with_trials(manifest, row.manifest.trials))
            left.append((row, folder))
        if left and not asked.stop:
            try:
                _compute_all_that_can(left, execution, make_callbacks, tracker or Tracker(), asked, listener)
            except (MemoryError, RuntimeError) as error:
                if isinstance(error, RuntimeError) and not _is_out_of_memory(error):
                    raise
                raise OutOfMemory(_too_large(rows)) from error
    if asked.stop:
        raise KeyboardInterrupt
    return [RunFolder(row.folder).manifest() or row.manifest for row in rows]


def _measure_again(row: Row, folder: RunFolder, execution: Execution, tracker: Tracker) -> None:
    """Bring a finished run's numbers up to date, and its mirror."""
    measure_again(row, folder, execution.objectives)
    tracker.add(folder)
    tracker.finish(folder)


def _compute_all_that_can(
    left: Sequence[tuple[Row, RunFolder]],
    execution: Execution,
    make_callbacks: Callable[[Keeper], Sequence[pl.Callback]],
    tracker: Tracker,
    asked: Orders,
    listener: Listener,
) -> None:
    """Carry out the rows whose folders are held; where a plugin fails, halved until those it fails for are alone.

    These are left as failed, with the plugin's sentence as the reason; the others go on from their checkpoints.
    """
    try:
        _compute(left, execution, make_callbacks, tracker, asked, listener)
    except PluginError as error:
        manifests = [(row, folder, folder.manifest() or row.manifest) for row, folder in left]
        still = [(row, folder, manifest) for row, folder, manifest in manifests if manifest.status is Status.RUNNING]
        for row, folder, manifest in still:
            if len(still) == 1:
                failed = with_ended_trials(replace(manifest, status=Status.FAILED, reason=str(error)))
                folder.write_manifest(failed)
                folder.checkpoint_path.unlink(missing_ok=True)
                listener.ended(row.id, failed)
            tracker.finish(folder)
        middle = len(still) // 2
        for half in (still[:middle], still[middle:]) if middle else ():
            again = [(row, folder) for row, folder, _ in half]
            _compute_all_that_can(again, execution, make_callbacks, tracker, asked, listener)


def _compute(
    left: Sequence[tuple[Row, RunFolder]],
    execution: Execution,
    make_callbacks: Callable[[Keeper], Sequence[pl.Callback]],
    tracker: Tracker,
    asked: Orders,
    listener: Listener,
) -> None:
    """Carry out the rows whose folders are held."""
    rows, folders = [row for row, _ in left], [folder for _, folder in left]
    prepared = prepare_images(rows)
    photographs = [prepared.photographs[k] for k in prepared.photograph_of]
    alphas = [None if k is None else prepared.alphas[k] for k in prepared.alpha_of]
    finishing = Finishing([row.transfer for row in rows], photographs, alphas)
    progress = Progress.of(len(rows))
    comparable = Comparable([*map(target_of, rows, photographs)], execution.objectives)
    terms = [[name for name, weight in row.transfer.every_term().items() if weight > 0] for row in rows]
    files = RowFolders(folders, comparable.measure, finishing, measured_on(execution.objectives), terms)
    with _quiet_lightning(), open_writer(execution.writing, execution.device) as writer:
        keeper = Keeper(
            [row.id for row in rows], files, writer, progress, tracker,
            execution.checkpoint_every_s, asked, execution.rungs, listener,
        )  # fmt: skip
        states = _resume(progress, keeper, [row.manifest.provenance for row in rows])
        for number, make_module in enumerate(module_makers(rows, prepared, execution, progress)):
            inside = {row for row in keeper.open_rows if progress.level[row] == number}
            if not inside or asked.stop:
                continue
            module = make_module()
            module.drop([row for row in module.active if row not in inside])
            module.rows_inside &= inside
            for row in inside & states.keys():
                module.load_row_state(row, states.pop(row))
            try:
                _fit(module, [keeper, *make_callbacks(keeper)], torch.device(execution.device))
            except SIGTERMException:  # Lightning's own end, of a SIGTERM that came when the keeper had looked already
                keeper.let_go(module)
            except SystemExit:  # what Lightning makes of a second Ctrl-C
                if not asked.stop:
                    raise


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch says that memory has run out; on the CPU it has no type of its own for that."""
    words = (
        "can't allocate memory",
        "out of memory",
        "could not create a",
        "STATUS_ALLOC_FAILED",
    )  # torch, oneDNN, cuBLAS and cuDNN
    return isinstance(error, torch.OutOfMemoryError) or any(word in str(error) for word in words)


def _too_large(rows: Sequence[Row]) -> str:
    size_px, optimiser = rows[0].transfer.size, rows[0].transfer.optimiser
    shorter = f", or a shorter optimiser.history (now {optimiser.history})" if isinstance(optimiser, Lbfgs) else ""
    return (
        f"There is not enough memory for {len(rows)} pictures of {size_px} px. Everything finished is kept; ask for a "
        f"smaller transfer.size{shorter}, or for fewer cells at a time."
    )


def _resume(
    progress: Progress, keeper: Keeper, provenance: Sequence[Mapping[str, Any]]
) -> dict[int, Mapping[str, Tensor]]:
    """Put every row where its checkpoint left it, or at its start where there is none that its history reaches.

    Returns:
        The states of the rows that are within a level.
    """
    states: dict[int, Mapping[str, Tensor]] = {}
    for row, folder in enumerate(keeper.folders):
        checkpoint = load_checkpoint(folder)
        history = folder.history()
        if checkpoint is not None and (not history or history[-1]["evaluation"] < checkpoint.evaluation):
            checkpoint = None
        keeper.resume(row, checkpoint.evaluation if checkpoint else 0, provenance[row])
        if checkpoint is None:
            continue
        progress.evaluation[row] = checkpoint.evaluation
        progress.level[row], progress.level_began[row] = checkpoint.level, checkpoint.level_began
        if checkpoint.is_at_end:
            progress.move_on(row, checkpoint.optimizer["best_image"])
        else:
            states[row] = checkpoint.optimizer
    return states


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Without Lightning's warnings and news; set back when the writer's thread, which reads images, has ended."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        for package in ("pytorch_lightning", "lightning_fabric"):
            warnings.filterwarnings("ignore", module=package)
        yield


@contextmanager
def _one_process() -> Iterator[None]:
    """A batch is one process, also inside an allocation of Slurm: Lightning looks for nothing else.

    It is given its environment, and looks for Slurm nevertheless: for ``srun``, of which it warns, and for a checkpoint
    of the job in the working directory, which it would load.
    """
    detect = SLURMEnvironment.detect
    SLURMEnvironment.detect = staticmethod(lambda: False)  # type: ignore[method-assign]
    try:
        yield
    finally:
        SLURMEnvironment.detect = staticmethod(detect)  # type: ignore[method-assign]


def _fit(module: BatchModule, callbacks: list[pl.Callback], device: torch.device) -> None:
    """Lightning's fit, without its own logging, checkpoints, bars and prints."""
    if not module.active:
        return
    trainer = pl.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=[device.index or 0] if device.type == "cuda" else 1,
        max_epochs=1,
        callbacks=callbacks,
        plugins=[LightningEnvironment()],  # none is guessed from RANK, SLURM_*, LSB_*, OMPI_*
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with _one_process():
        trainer.fit(module, UntilDone(module))
