"""The LightningModule whose only parameter is the image: a batch of pictures, a whole ablation at once.

Shapes: B slots of the batch, b rows of one pass through the network, H × W pixels.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from harness.features.vgg import VGG19
from harness.objective.rows import Losses, Objective
from harness.optim import BatchedOptimizer, RowStatus


def is_log_spaced(evaluation: int, steps: int) -> bool:
    """Whether an evaluation is 1, 2 or 5 times a power of ten, or the last: where iterates are kept."""
    return evaluation == steps or str(evaluation).rstrip("0") in ("1", "2", "5")


@dataclass
class Record:
    """One evaluation of some rows.

    Attributes:
        rows: the slots evaluated.
        evaluations: each row's count, from 1.
        seconds: when it was measured, by the clock of ``time.monotonic``.
        losses: (b,) each, on the module's device: reading them waits for it.
        content_share: (b,) ‖∇αC‖ / (‖∇αC‖ + ‖∇βS‖), the content term's share of the gradient, where measured.
        images: (b, 3, H, W) the iterates themselves where they are kept, else None.
    """

    rows: tuple[int, ...]
    evaluations: tuple[int, ...]
    seconds: float
    losses: Losses
    content_share: Tensor | None = None
    images: Tensor | None = None

    def columns(self) -> dict[str, Tensor]:
        """The columns of history.csv as (b,) tensors on the CPU, fetched from the device at once."""
        named = {"total": self.losses.total, "content": self.losses.content, "style": self.losses.style}
        named |= {f"style/{layer}": values for layer, values in self.losses.style_layers.items()}
        if self.content_share is not None:
            named["gradient_share/content"] = self.content_share
        fetched = torch.stack(list(named.values())).cpu()
        return dict(zip(named, fetched, strict=True))


class StyleTransfer(pl.LightningModule):
    """Optimises ``images`` (B, 3, H, W), its only parameter, each row towards its own objective.

    One training step makes several evaluations of every active row, as many as fit into ``pace_s``: Lightning, logging
    and tracking cost a fixed time per training step.

    Args:
        start: (B, 3, H, W) where each row starts, sRGB in [0, 1].
        objective: what each row minimises.
        network: frozen; kept in a tuple, which hides it from ``parameters()`` and ``state_dict()``.
        make_optimizer: from ``[images]`` to the batched optimiser.
        steps: evaluations of every row.
        microbatch: rows that go through the network at once.
        pace_s: how long a training step aims to take, in seconds.
        rungs: evaluations at which a training step ends, so that a row's numbers can be taken just there.
    """

    def __init__(
        self,
        start: Tensor,
        objective: Objective,
        network: VGG19,
        make_optimizer: Callable[[list[nn.Parameter]], BatchedOptimizer],
        steps: int,
        microbatch: int = 1,
        pace_s: float = 0.5,
        rungs: Collection[int] = (),
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.images = nn.Parameter(start.contiguous())
        self.objective = objective
        self._network = (network,)
        self.optimizer = make_optimizer([self.images])
        self.steps = steps
        self.evaluation = [0] * start.shape[0]
        """Evaluations that each row has behind it."""
        self.microbatch = microbatch
        self.pace_s = pace_s
        self.rungs = frozenset(rungs)
        self.records: list[Record] = []
        self._indices: dict[tuple[int, ...], Tensor] = {}

    @property
    def network(self) -> VGG19:
        """The frozen VGG-19."""
        return self._network[0]

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
            finished = {row for row in self.optimizer.active if self.evaluation[row] >= self.steps}
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

    @torch.enable_grad()  # type: ignore[untyped-decorator, unused-ignore]
    def _evaluate(self, rows: list[int]) -> Tensor:
        data, gradients = self.images.detach(), self.images.grad
        assert gradients is not None
        # One row, or all of them, needs no index: indexing copies the index to the device and waits.
        whole = len(rows) == len(data)
        index = slice(rows[0], rows[0] + 1) if len(rows) == 1 else slice(None) if whole else self._index(rows)
        images = data[index].requires_grad_()
        for row in rows:
            self.evaluation[row] += 1
        evaluations = tuple(self.evaluation[row] for row in rows)
        kept = any(is_log_spaced(evaluation, self.steps) for evaluation in evaluations)
        losses = self.objective(self.network, images, rows)
        share = None
        if kept and losses.content_term is not None:
            (content,) = torch.autograd.grad(losses.content_term.sum(), images, retain_graph=True)
        (gradient,) = torch.autograd.grad(losses.total.sum(), images)
        if kept and losses.content_term is not None:
            of_content = content.flatten(1).norm(dim=1)
            share = of_content / (of_content + (gradient - content).flatten(1).norm(dim=1))
            share = torch.where(losses.content.isnan(), torch.nan, share)
        gradients[index] = gradient
        losses = Losses(losses.total.detach(), losses.content, losses.style, losses.style_layers)
        copy = images.detach().clone() if kept else None
        self.records.append(Record(tuple(rows), evaluations, time.monotonic(), losses, share, copy))
        return losses.total

    def _index(self, rows: Sequence[int]) -> Tensor:
        """Some rows as an index on the device, copied there once."""
        key = tuple(rows)
        if key not in self._indices:
            self._indices[key] = torch.tensor(rows, device=self.images.device)
        return self._indices[key]

    def take_records(self) -> list[Record]:
        """What was measured since the last call."""
        records, self.records = self.records, []
        return records


class UntilDone:
    """Lightning's data source: one empty batch after another while any row is active."""

    def __init__(self, module: StyleTransfer) -> None:
        self.module = module

    def __iter__(self) -> Iterator[int]:
        """Count training steps."""
        number = 0
        while self.module.optimizer.active:
            yield number
            number += 1
