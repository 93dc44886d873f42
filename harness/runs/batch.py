"""One batch's run: from transfers as plain data to finished run folders, resuming what was begun.

A batch is a list of runs that can share a tensor: network, H × W, optimiser and its numbers, steps and precision agree.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.environments import LightningEnvironment
from torch import Tensor, nn

from harness.errors import OutOfMemory
from harness.features.vgg import VGG19
from harness.images.files import read_image
from harness.images.resize import fit_area, resize, to_tensor
from harness.metrics import Reference
from harness.objective.rows import Objective, RowObjective
from harness.optim import BatchedAdam, BatchedLBFGS, BatchedOptimizer
from harness.runs.checkpoint import load_checkpoint
from harness.runs.keeper import Keeper, Listener
from harness.runs.module import StyleTransfer, UntilDone
from harness.runs.prepare import (
    Prepared,
    Row,
    box_bounds,
    embedded_network,
    load_network,
    prepare_images,
    row_objective_of,
    start_image,
)
from harness.runs.signals import Asked, stop_on_signals
from harness.runs.store import Manifest, RunFolder, Status
from harness.runs.tracking import AnyTracker, NoTracker
from harness.runs.trials import record_trial, with_trials

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class Execution:
    """How a batch is carried out; nothing here changes a picture beyond rounding.

    Attributes:
        device: ``cpu`` or ``cuda:N``.
        threads: of the CPU.
        microbatch: rows that go through the network at once; 0 means one on the CPU, all on a GPU.
        checkpoint_every_s: seconds between checkpoints.
        rungs: evaluations at which the comparable numbers are measured on the way.
        lock_wait_s: how long a folder in use is waited for: a worker whose driver was killed writes its checkpoint.
    """

    device: str = "cpu"
    threads: int = 1
    microbatch: int = 0
    checkpoint_every_s: float = 30.0
    rungs: tuple[int, ...] = ()
    lock_wait_s: float = 60.0


def run_batch(
    rows: Sequence[Row],
    execution: Execution,
    make_callbacks: Callable[[Keeper], Sequence[pl.Callback]] = lambda keeper: (),
    tracker: AnyTracker | None = None,
    asked: Asked | None = None,
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
        KeyboardInterrupt: after Ctrl-C, SIGTERM or a request to stop, with everything checkpointed.
    """
    asked, listener = asked or Asked(), listener or Listener()
    torch.set_num_threads(execution.threads)
    # TF32's 10 bits of mantissa would break the promise that a row's gradient is that of its solo run to 1e-5.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    with ExitStack() as held:
        held.enter_context(stop_on_signals(asked))
        left = []
        until = time.monotonic() + execution.lock_wait_s
        for row in rows:
            folder = RunFolder(row.folder)
            folder.create(row.transfer, row.manifest)
            folder.wait_for(until - time.monotonic(), lambda: asked.stop)
            held.callback(folder.release)
            manifest = folder.manifest()
            if manifest is not None and manifest.status is Status.DONE:  # perhaps by another process meanwhile
                listener.ended(row.id, record_trial(folder, row.manifest.trials))
                continue
            if manifest is not None and row.manifest.trials:
                folder.write_manifest(with_trials(manifest, row.manifest.trials))
            left.append((row, folder))
        if left and not asked.stop:
            try:
                _compute(left, execution, make_callbacks, tracker or NoTracker(), asked, listener)
            except (MemoryError, RuntimeError) as error:
                if isinstance(error, RuntimeError) and not _is_out_of_memory(error):
                    raise
                raise OutOfMemory(_too_large(rows)) from error
    if asked.stop:
        raise KeyboardInterrupt
    return [RunFolder(row.folder).manifest() or row.manifest for row in rows]


def _compute(
    left: Sequence[tuple[Row, RunFolder]],
    execution: Execution,
    make_callbacks: Callable[[Keeper], Sequence[pl.Callback]],
    tracker: AnyTracker,
    asked: Asked,
    listener: Listener,
) -> None:
    """Carry out the rows whose folders are held."""
    rows, folders = [row for row, _ in left], [folder for _, folder in left]
    device, dtype = torch.device(execution.device), PRECISIONS[rows[0].transfer["precision"]]
    prepared = prepare_images(rows)
    objectives = [
        row_objective_of(row.transfer, prepared.content_of[i], prepared.style_of[i]) for i, row in enumerate(rows)
    ]
    module = _make_module(rows, prepared, objectives, execution, device, dtype)
    measure = partial(_measure, objectives, _References(rows, prepared))
    keeper = Keeper(
        [row.id for row in rows], folders, measure, tracker, execution.checkpoint_every_s, asked, execution.rungs,
        listener,
    )  # fmt: skip
    _resume(module, keeper, [row.manifest.provenance for row in rows])
    try:
        _fit(module, [keeper, *make_callbacks(keeper)], device)
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
    size_px, optimiser = rows[0].transfer["size"], rows[0].transfer["optimiser"]
    shorter = f", or a shorter optimiser.history (now {optimiser['history']})" if "history" in optimiser else ""
    return (
        f"There is not enough memory for {len(rows)} pictures of {size_px} px. Everything finished is kept; ask for a "
        f"smaller transfer.size{shorter}, or for fewer cells at a time."
    )


def make_optimizer(
    numbers: Mapping[str, Any], bounds: tuple[Tensor, Tensor] | None, parameters: list[nn.Parameter]
) -> BatchedOptimizer:
    """The optimiser that a transfer names."""
    if numbers["name"] == "adam":
        return BatchedAdam(parameters, learning_rate=numbers["learning_rate"], bounds=bounds)
    return BatchedLBFGS(
        parameters,
        learning_rate=numbers["learning_rate"],
        history=numbers["history"],
        line_search=numbers["line_search"],
        initial_hessian=numbers["initial_hessian"],
        bounds=bounds,
    )


def _make_module(
    rows: Sequence[Row],
    prepared: Prepared,
    objectives: Sequence[RowObjective],
    execution: Execution,
    device: torch.device,
    dtype: torch.dtype,
) -> StyleTransfer:
    layers = {layer for o in objectives for layer in (*o.weighed_content(), *o.weighed_style())}
    network: VGG19 = load_network(rows[0].transfer, layers).to(device, dtype)
    contents = [image.to(device, dtype) for image in prepared.contents]
    styles = [image.to(device, dtype) for image in prepared.styles]
    starts = [start_image(row, prepared, i) for i, row in enumerate(rows)]
    bounds = box_bounds(rows, prepared, dtype)
    if bounds is not None:
        bounds = (bounds[0].to(device), bounds[1].to(device))
    return StyleTransfer(
        torch.stack(starts).to(device, dtype),
        Objective(objectives, network, contents, styles),
        network,
        partial(make_optimizer, rows[0].transfer["optimiser"], bounds),
        rows[0].transfer["steps"],
        execution.microbatch or (1 if device.type == "cpu" else len(rows)),
        rungs=execution.rungs,
    )


def _resume(module: StyleTransfer, keeper: Keeper, provenance: Sequence[Mapping[str, Any]]) -> None:
    """Put every row where its checkpoint left it, or at its start where there is none that its history reaches."""
    for row, folder in enumerate(keeper.folders):
        checkpoint = load_checkpoint(folder)
        history = folder.history()
        if checkpoint is not None and (not history or history[-1]["evaluation"] < checkpoint.evaluation):
            checkpoint = None
        keeper.resume(row, checkpoint.evaluation if checkpoint else 0, provenance[row])
        if checkpoint is not None:
            module.optimizer.load_row_state(row, checkpoint.optimizer)
            module.evaluation[row] = checkpoint.evaluation


class _References:
    """The embedded network and the measured photographs and paintings, made when first asked for and shared by rows.

    The painting is measured at the photograph's area whatever the ``style_scale``: runs of different scale compare.
    """

    def __init__(self, rows: Sequence[Row], prepared: Prepared) -> None:
        self.rows = rows
        self.prepared = prepared
        self.network: VGG19 | None = None
        self.made: dict[tuple[int, str], Reference] = {}

    def of(self, row: int) -> Reference:
        """The reference of a row's pair."""
        if self.network is None:
            self.network = embedded_network()
        content, file = self.prepared.contents[self.prepared.content_of[row]], self.rows[row].files["style"]
        key = (self.prepared.content_of[row], file)
        if key not in self.made:
            style = to_tensor(read_image(file))
            style = resize(style, *fit_area(style.shape[1], style.shape[2], content.shape[1] * content.shape[2], 1.0))
            self.made[key] = Reference(content, style, self.network)
        return self.made[key]


def _measure(
    objectives: Sequence[RowObjective], references: _References, row: int, picture: Tensor
) -> Mapping[str, Any]:
    """The comparable numbers of a row's picture, always on the CPU."""
    return references.of(row).measure(picture, objectives[row].weighed_style())


def _fit(module: StyleTransfer, callbacks: list[pl.Callback], device: torch.device) -> None:
    """Lightning's fit, without its own logging, checkpoints, bars and prints."""
    if not module.optimizer.active:
        return
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        trainer = pl.Trainer(
            accelerator="gpu" if device.type == "cuda" else "cpu",
            devices=[device.index or 0] if device.type == "cuda" else 1,
            max_epochs=1,
            callbacks=callbacks,
            plugins=[LightningEnvironment()],  # a batch is one process, also inside a SLURM allocation
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, UntilDone(module))
