"""From a batch's rows to the modules that carry them out, one for each level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from harness.config.levels import Level, levels_of, num_evaluations, sizes_of
from harness.config.transfer import Transfer
from harness.config.transfer_parts import Adam, Lbfgs
from harness.features.networks import PluginNetwork
from harness.features.vgg import VGG
from harness.images.resize import fit_longer_side, resize
from harness.objective.rows import Objective
from harness.optim import BatchedAdam, BatchedLBFGS, BatchedOptimizer
from harness.quilting import Quilting
from harness.quilting.levels import overlap_px
from harness.registries import method
from harness.runs.batch_module import BatchModule, Progress
from harness.runs.function_rows import FunctionRows
from harness.runs.prepare import (
    PRECISIONS,
    Prepared,
    Row,
    box_bounds,
    load_network,
    prepare_images,
    row_objective_of,
    start_image,
    tile_px_of,
)
from harness.runs.quilting import QuiltedRows
from harness.runs.style_transfer import StyleTransfer
from harness.runs.writer import Writing

LONGEST_STEP = 0.05
"""Root mean square over the picture's values, in [0, 1], of the step that a line search tries first at most.

What L-BFGS has learned in its first iterations, far from any minimum, may lead so far that every value stands at a
bound; the search then halves the step a dozen times (``python tests/benchmarks/longest_step.py``)."""

Layout = Literal["auto", "rows", "batch"]


@dataclass(frozen=True)
class Execution:
    """How a batch is carried out; nothing here changes a picture beyond rounding.

    Attributes:
        device: ``cpu`` or ``cuda:N``.
        threads: of the CPU.
        layout: ``rows``: every row by itself, bit-equal to its solo run; ``batch``: rows as one tensor, of which the
            host reads nothing on the way; ``auto``: rows on the CPU, a batch on a GPU.
        microbatch: rows that go through the network at once; 0 means all in a batch, and one where rows are by
            themselves or go in tiles.
        checkpoint_every_s: seconds between checkpoints.
        rungs: evaluations at which the comparable numbers are measured on the way.
        objectives: the measures that are minimised or wanted: those are measured at the rungs whatever it takes.
        tiles: ``auto``: a pass through the network that would take much memory goes tile by tile, as a function of the
            transfer and the bound alone, never of the other rows; ``off``: never.
        pass_bound_bytes: above what a row's pass goes tile by tile; None: the CPU's bound.
        lock_wait_s: how long a folder in use is waited for: a worker whose driver was killed writes its checkpoint.
        writing: in which thread the run folders are written and measured: see ``harness.runs.writer``.
    """

    device: str = "cpu"
    threads: int = 1
    layout: Layout = "auto"
    microbatch: int = 0
    checkpoint_every_s: float = 30.0
    rungs: tuple[int, ...] = ()
    objectives: tuple[str, ...] = ()
    tiles: Literal["auto", "off"] = "auto"
    pass_bound_bytes: float | None = None
    lock_wait_s: float = 60.0
    writing: Writing = "auto"

    @property
    def is_batched(self) -> bool:
        """Whether rows are worked on as one tensor."""
        return self.layout == "batch" or (self.layout == "auto" and self.device != "cpu")


def module_makers(
    rows: Sequence[Row], prepared: Prepared, execution: Execution, progress: Progress
) -> list[Callable[[], BatchModule]]:
    """What makes the module of each level, once the rows have come so far."""
    name = rows[0].transfer.method
    if name in method.own:
        makers: list[Callable[[], BatchModule]] = method[name](rows, prepared, execution, progress)
        return makers
    return [partial(FunctionRows, rows, prepared, progress)]


@method("gatys")
def by_optimisation(
    rows: Sequence[Row], prepared: Prepared, execution: Execution, progress: Progress
) -> list[Callable[[], BatchModule]]:
    """Equation 7 of Gatys et al. 2016 and its descendants, a module for each level."""
    weighed = [row_objective_of(row.transfer) for row in rows]
    layers = {layer for numbers in weighed for layer in (*numbers.weighed_content(), *numbers.weighed_style())}
    network = load_network(rows[0].transfer, layers)
    if isinstance(network, PluginNetwork):
        network.check_is(rows[0].manifest.provenance["files"]["weights"]["network"])
    return [
        partial(_make_module, rows, prepared, network, execution, progress, level)
        for level in levels_of(rows[0].transfer)
    ]


def make_optimizer(
    optimiser: Lbfgs | Adam,
    bounds: tuple[Tensor, Tensor] | None,
    parameters: list[nn.Parameter],
    row_by_row: bool | None = None,
) -> BatchedOptimizer:
    """The optimiser that a transfer names; ``row_by_row`` as ``BatchedOptimizer`` has it."""
    if isinstance(optimiser, Adam):
        rate = optimiser.learning_rate
        return BatchedAdam(parameters, learning_rate=rate, bounds=bounds, row_by_row=row_by_row)
    return BatchedLBFGS(
        parameters,
        learning_rate=optimiser.learning_rate,
        history=optimiser.history,
        line_search=optimiser.line_search,
        initial_hessian=optimiser.initial_hessian,
        bounds=bounds,
        row_by_row=row_by_row,
        longest_step=LONGEST_STEP,
    )


def _make_module(
    rows: Sequence[Row],
    at_full_size: Prepared,
    network: VGG | PluginNetwork,
    execution: Execution,
    progress: Progress,
    level: Level,
) -> StyleTransfer:
    """One level of the paper's method, its rows where they begin it."""
    transfer = rows[0].transfer
    device, dtype = torch.device(execution.device), PRECISIONS[transfer.precision]
    full = at_full_size.photographs[0]  # all rows have its size, and so one size at each level
    size = fit_longer_side(full.shape[1], full.shape[2], level.size_px)
    prepared = at_full_size if level.size_px == transfer.size else prepare_images(rows, size)
    objectives = [
        row_objective_of(row.transfer, prepared.content_of[i], prepared.parts_of[i], level.is_regularised)
        for i, row in enumerate(rows)
    ]
    network = network.to(device)
    height, width = prepared.photographs[0].shape[1:]
    objective = Objective(
        objectives,
        network,
        [image.to(device, dtype) for image in prepared.contents],
        [image.to(device, dtype) for image in prepared.styles],
        [mask.to(device, dtype) for mask in prepared.masks],
        [mask.to(device, dtype) for mask in prepared.style_masks],
        tile_px_of(network, transfer, height, width, execution.pass_bound_bytes) if execution.tiles == "auto" else None,
    )
    starts = []
    for i, row in enumerate(rows):
        carried = progress.carried[i]
        start = start_image(row, prepared, i) if carried is None else resize(carried, height, width)
        starts.append(start[:1] if row.is_grey else start)
    bounds = box_bounds(rows, prepared, dtype)
    if bounds is not None:
        bounds = (bounds[0].to(device), bounds[1].to(device))
    one_by_one = not execution.is_batched or objective.tile_px is not None  # tiles are chosen for one row's memory
    return StyleTransfer(
        torch.stack([start.to(dtype) for start in starts]).to(device),
        objective,
        network,
        partial(make_optimizer, transfer.optimiser, bounds, row_by_row=not execution.is_batched),
        num_evaluations(transfer),
        execution.microbatch or (1 if one_by_one else len(rows)),
        rungs=execution.rungs,
        progress=progress,
        last_evaluation=level.last_evaluation,
        is_last=level.is_last,
        further_columns=[_further_columns(row.transfer) for row in rows],
    )


def _further_columns(transfer: Transfer) -> tuple[str, ...]:
    """What a run's history has besides its losses; the same on all its levels."""
    sizes = ("size",) if len(sizes_of(transfer)) > 1 else ()
    return (*row_objective_of(transfer).weighed_terms(), *sizes)


@method("quilting")
def by_quilting(
    rows: Sequence[Row], prepared: Prepared, execution: Execution, progress: Progress
) -> list[Callable[[], BatchModule]]:
    """Efros & Freeman 2001, one module."""
    return [partial(_make_quilting, rows, prepared, execution, progress)]


def _make_quilting(rows: Sequence[Row], prepared: Prepared, execution: Execution, progress: Progress) -> QuiltedRows:
    """Image quilting, always on the CPU."""
    quiltings = []
    for i, row in enumerate(rows):
        numbers, photograph = row.transfer.quilting, prepared.photographs[prepared.photograph_of[i]]
        is_synthesis = numbers.task == "synthesis"
        quiltings.append(
            Quilting(
                prepared.styles[prepared.parts_of[i][0].image],
                *photograph.shape[1:],
                block_px=numbers.block,
                overlap_px=overlap_px(numbers.block, numbers.overlap),
                tolerance=numbers.tolerance,
                seed=row.transfer.seed,
                target=None if is_synthesis else prepared.contents[prepared.content_of[i]],
                num_iterations=1 if is_synthesis else numbers.iterations,
            )
        )
    return QuiltedRows(quiltings, progress, rungs=execution.rungs)
