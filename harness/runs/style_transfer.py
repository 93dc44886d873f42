"""The LightningModule whose only parameter is the image: a batch of pictures, a whole ablation at once.

Shapes: B slots of the batch, b rows of one pass through the network, H × W pixels, C channels: 3, or 1 of pictures that
are grey because all they are made from is. The network sees such a channel three times; its gradient is the sum of
the three, so that optimiser and checkpoint know of no colours.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from harness.features.networks import PluginNetwork
from harness.features.vgg import VGG
from harness.objective.gradient import evaluate
from harness.objective.rows import Losses, Objective
from harness.optim import BatchedOptimizer, RowStatus
from harness.runs.asynchronous import clock_of
from harness.runs.batch_module import SHARE, BatchModule, Progress, Record
from harness.runs.history import is_log_spaced


class StyleTransfer(BatchModule):
    """Optimises ``images`` (B, C, H, W), its only parameter, each row towards its own objective.

    One training step makes several evaluations of every active row, as many as fit into ``pace_s``: Lightning, logging
    and tracking cost a fixed time per training step.

    Args:
        start: (B, C, H, W) where each row starts, sRGB in [0, 1].
        objective: what each row minimises.
        network: frozen; kept in a tuple, which hides it from ``parameters()`` and ``state_dict()``.
        make_optimizer: from ``[images]`` to the batched optimiser.
        steps: evaluations of every row.
        microbatch: rows that go through the network at once.
        pace_s: how long a training step aims to take, in seconds.
        rungs: evaluations at which a training step ends, so that a row's numbers can be taken just there.
        progress: how far the rows have come; left out: they begin.
        last_evaluation: at which rows leave, where this is not the run's last level.
        is_last: whether it is.
        further_columns: of each row's history: its terms, and ``size`` where its run has several.
    """

    def __init__(
        self,
        start: Tensor,
        objective: Objective,
        network: VGG | PluginNetwork,
        make_optimizer: Callable[[list[nn.Parameter]], BatchedOptimizer],
        steps: int,
        microbatch: int = 1,
        pace_s: float = 0.5,
        rungs: Collection[int] = (),
        progress: Progress | None = None,
        last_evaluation: int | None = None,
        is_last: bool = True,
        further_columns: Sequence[tuple[str, ...]] = (),
    ) -> None:
        super().__init__(progress or Progress.of(len(start)), last_evaluation or steps, steps, is_last)
        self.further_columns = further_columns
        self.images = nn.Parameter(start.contiguous())
        self.objective = objective
        self._network = (network,)
        self.optimizer = make_optimizer([self.images])
        self.microbatch = microbatch
        self.pace_s = pace_s
        self.rungs = frozenset(rungs)
        self.clock = clock_of(self.images.device)
        self._indices: dict[tuple[int, ...], Tensor] = {}

    @property
    def network(self) -> VGG | PluginNetwork:
        """The frozen network."""
        return self._network[0]

    @property
    def active(self) -> list[int]:
        """The slots still optimised."""
        return self.optimizer.active

    def statuses(self) -> list[RowStatus]:
        """Every slot's status; waits for the device."""
        return self.optimizer.statuses()

    def drop(self, rows: Iterable[int]) -> None:
        """Take rows out and free their optimiser's memory."""
        self.optimizer.drop(rows)

    def row_state(self, row: int) -> Mapping[str, Tensor]:
        """The optimiser's state of a row, its next image and its best one included."""
        return self.optimizer.row_tensors(row)

    def load_row_state(self, row: int, state: Mapping[str, Tensor]) -> None:
        """Put a row back to where ``row_state`` saw it."""
        self.optimizer.load_row_state(row, state)

    def best_image(self, row: int) -> Tensor:
        """A row's best iterate, (3, H, W): without a line search the last one need not be it."""
        best: Tensor = self.optimizer.best_images[row]
        return _in_colour(best.detach().clamp(0, 1).float().cpu())

    def columns_of(self, row: int) -> tuple[str, ...]:
        """The losses, those of the layers that the row weighs, what its run has besides, and the content's share."""
        layers = [f"style/{layer}" for layer in self.objective.rows[row].weighed_style()]
        further = self.further_columns[row] if self.further_columns else ()
        return ("total", "content", "style", *layers, *further, SHARE)

    def configure_optimizers(self) -> BatchedOptimizer:
        """The one optimiser, made with the module so that rows can be resumed before fitting."""
        return self.optimizer

    def on_fit_start(self) -> None:
        """Move the hidden network to where Lightning has put the images."""
        self.network.to(self.device)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """Evaluate and advance every active row, several times."""
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        until = time.monotonic() + self.pace_s
        while self.optimizer.active:
            optimizer.step(self.evaluate_active)
            finished = {row for row in self.optimizer.active if self.evaluation[row] >= self.last_evaluation}
            if self.optimizer.row_by_row:  # elsewhere asking would wait for the device: ``on_train_batch_end`` does
                statuses = self.optimizer.statuses()
                finished |= {row for row in self.optimizer.active if statuses[row] is not RowStatus.RUNNING}
            if finished:
                self.optimizer.drop(sorted(finished))
            at_rung = not self.rungs.isdisjoint(self.evaluation[row] for row in self.optimizer.active)
            if at_rung or time.monotonic() >= until:
                return

    def evaluate_active(self) -> Tensor:
        """The losses of all active rows at their present images, (A,); each row's gradient goes to ``images.grad``."""
        if self.images.grad is None:  # Lightning clears it when fitting begins
            self.images.grad = torch.zeros_like(self.images)
        rows = list(self.optimizer.active)
        totals = [self._evaluate(rows[i : i + self.microbatch]) for i in range(0, len(rows), self.microbatch)]
        return torch.cat(totals)

    def _evaluate(self, rows: list[int]) -> Tensor:
        data, gradients = self.images.detach(), self.images.grad
        assert gradients is not None
        # One row, or all of them, needs no index: indexing copies the index to the device and waits.
        whole = len(rows) == len(data)
        index = slice(rows[0], rows[0] + 1) if len(rows) == 1 else slice(None) if whole else self._index(rows)
        images = data[index]
        for row in rows:
            self.evaluation[row] += 1
        evaluations = tuple(self.evaluation[row] for row in rows)
        kept = any(is_log_spaced(evaluation, self.steps) for evaluation in evaluations)
        shown = _in_colour(images)
        measured = evaluate(self.objective, self.network, shown, rows, with_content_gradient=kept)
        gradients[index] = measured.gradient if shown is images else measured.gradient.sum(1, keepdim=True)
        columns = _columns(measured.losses)
        columns["size"] = torch.full_like(measured.losses.total, max(images.shape[2:]))
        if measured.content_gradient is not None:
            content, rest = measured.content_gradient, measured.gradient - measured.content_gradient
            of_content = content.flatten(1).norm(dim=1)
            share = of_content / (of_content + rest.flatten(1).norm(dim=1))
            columns[SHARE] = torch.where(measured.losses.content.isnan(), torch.nan, share)
        copy = (images.clone() if shown is images else shown) if kept else None
        self.records.append(Record(tuple(rows), evaluations, self.clock(), columns, copy))
        return measured.losses.total

    def _index(self, rows: Sequence[int]) -> Tensor:
        """Some rows as an index on the device, copied there once."""
        key = tuple(rows)
        if key not in self._indices:
            self._indices[key] = torch.tensor(rows, device=self.images.device)
        return self._indices[key]


def _in_colour(images: Tensor) -> Tensor:
    """(…, 3, H, W) of (…, C, H, W): themselves, or one channel three times."""
    if images.shape[-3] == 3:
        return images
    return images.expand(*images.shape[:-3], 3, *images.shape[-2:]).contiguous()


def _columns(losses: Losses) -> dict[str, Tensor]:
    """The losses by their columns in history.csv, (b,) each."""
    columns = {"total": losses.total, "content": losses.content, "style": losses.style}
    return columns | {f"style/{layer}": values for layer, values in losses.style_layers.items()} | losses.terms
