"""What the keeper of run folders needs of a batch, whatever its method: rows that advance, records of what they did.

A method's LightningModule derives from ``BatchModule``: ``harness.runs.style_transfer`` is the paper's,
``harness.runs.quilting`` the baseline's. Shapes: b rows recorded together, H × W pixels.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytorch_lightning as pl
import torch
from torch import Tensor

from harness.optim import RowStatus
from harness.runs.asynchronous import Moment, OnHost
from harness.runs.settled import still_falling

SHARE = "gradient_share/content"
"""Column of the content term's share of the gradient, ‖∇αC‖ / (‖∇αC‖ + ‖∇ the rest‖)."""


@dataclass
class Record:
    """One evaluation of some rows.

    Attributes:
        rows: the slots evaluated.
        evaluations: each row's count, from 1.
        moment: when it was measured; asking waits for the device.
        columns: of history.csv, (b,) each, on the module's device: reading them waits for it.
        images: (b, 3, H, W) the iterates themselves where they are kept, else None.

    The tensors are the record's own: nothing changes them later.
    """

    rows: tuple[int, ...]
    evaluations: tuple[int, ...]
    moment: Moment
    columns: Mapping[str, Tensor]
    images: Tensor | None = None

    def on_host(self) -> RecordOnHost:
        """The same without the device's memory; does not wait."""
        tensors = {"columns": torch.stack(list(self.columns.values()))}
        if self.images is not None:
            tensors["images"] = self.images
        return RecordOnHost(self.rows, self.evaluations, self.moment, tuple(self.columns), OnHost(tensors))


@dataclass(frozen=True)
class RecordOnHost:
    """A record on its way to whoever writes it down.

    Attributes:
        rows: see ``Record``.
        evaluations: likewise.
        moment: likewise.
        names: of the columns.
        held: ``columns`` (columns, b), and ``images`` (b, 3, H, W) where they are kept.
    """

    rows: tuple[int, ...]
    evaluations: tuple[int, ...]
    moment: Moment
    names: tuple[str, ...]
    held: OnHost

    def values(self) -> dict[str, list[float]]:
        """The columns as numbers; waits until they are there."""
        return dict(zip(self.names, self.held.tensors()["columns"].tolist(), strict=True))

    def images(self) -> Tensor | None:
        """The iterates where they are kept; waits until they are there."""
        return self.held.tensors().get("images")


@dataclass
class Progress:
    """How far the rows of a batch have come; it outlives the module of one level.

    Attributes:
        evaluation: evaluations that each row has behind it.
        level: which level each row is in.
        level_began: the evaluations it had behind it when that level began.
        level_before_began: the same of the level before; 0 in the first.
        carried: (3, h, w), the picture that each row takes into its level; None at its very beginning.
    """

    evaluation: list[int]
    level: list[int]
    level_began: list[int]
    level_before_began: list[int]
    carried: list[Tensor | None] = field(default_factory=list)

    @classmethod
    def of(cls, num_rows: int) -> Progress:
        """Of rows that have not begun."""
        return cls([0] * num_rows, [0] * num_rows, [0] * num_rows, [0] * num_rows, [None] * num_rows)

    def move_on(self, row: int, picture: Tensor) -> None:
        """A row has reached the end of its level with this picture (3, h, w)."""
        self.level[row] += 1
        self.level_before_began[row] = self.level_began[row]
        self.level_began[row] = self.evaluation[row]
        self.carried[row] = picture


class BatchModule(pl.LightningModule):
    """Rows that advance together.

    Args:
        progress: the batch's; the module counts on in it.
        last_evaluation: at which a row leaves this module.
        steps: evaluations of a row's whole run.
        is_last: whether rows are done when they leave.
    """

    def __init__(self, progress: Progress, last_evaluation: int, steps: int, is_last: bool = True) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.progress = progress
        self.last_evaluation = last_evaluation
        self.steps = steps
        self.is_last = is_last
        self.rows_inside: set[int] = set(range(len(progress.evaluation)))
        """Slots that this module works on until they leave it."""
        self.records: list[Record] = []

    @property
    def evaluation(self) -> list[int]:
        """Evaluations that each row has behind it."""
        return self.progress.evaluation

    @property
    @abstractmethod
    def active(self) -> list[int]:
        """The slots still worked on."""

    @abstractmethod
    def statuses(self) -> list[RowStatus]:
        """Every slot's status; waits for the device."""

    @abstractmethod
    def drop(self, rows: Iterable[int]) -> None:
        """Take active rows out."""

    @abstractmethod
    def row_state(self, row: int) -> Mapping[str, Tensor]:
        """What a row needs to go on, as tensors of its own on the module's device."""

    @abstractmethod
    def load_row_state(self, row: int, state: Mapping[str, Tensor]) -> None:
        """Put a row back to where ``row_state`` saw it."""

    @abstractmethod
    def best_image(self, row: int) -> Tensor:
        """A row's best picture so far, (3, H, W) float32 in [0, 1] on the CPU."""

    @abstractmethod
    def columns_of(self, row: int) -> tuple[str, ...]:
        """The columns of a row's history behind ``evaluation`` and ``seconds``, whatever its neighbours weigh."""

    def final_losses(self, lines: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
        """Of the lines of the last level: evaluation and losses of the best picture, where the total was lowest."""
        return min(lines, key=lambda line: (math.isnan(line["total"]), line["total"]))

    def still_falling(self, lines: Sequence[Mapping[str, float]]) -> float:
        """Of the lines of the last level: by which part of itself the loss still fell; NaN: nothing can be said."""
        return still_falling([line["total"] for line in lines])

    def take_records(self) -> list[Record]:
        """What was measured since the last call."""
        records, self.records = self.records, []
        return records


class UnoptimisedRows(BatchModule):
    """Rows of a method without parameters, losses or failures of single rows.

    Args:
        progress: the batch's.
        steps: evaluations of a row's whole run.
    """

    def __init__(self, progress: Progress, steps: int) -> None:
        super().__init__(progress, steps, steps)
        self._active = sorted(self.rows_inside)

    @property
    def active(self) -> list[int]:
        """The slots without their picture."""
        return self._active

    def statuses(self) -> list[RowStatus]:
        """A row that fails ends its batch's pass, with a sentence."""
        return [RowStatus.RUNNING] * len(self.evaluation)

    def drop(self, rows: Iterable[int]) -> None:
        """Take rows out."""
        leaving = set(rows)
        self._active = [row for row in self._active if row not in leaving]

    def columns_of(self, row: int) -> tuple[str, ...]:
        """The usual ones."""
        return ("total", "content", "style")

    def still_falling(self, lines: Sequence[Mapping[str, float]]) -> float:
        """No loss is minimised, so that there is nothing to say."""
        return math.nan

    def configure_optimizers(self) -> None:
        """There is nothing to optimise."""


class UntilDone:
    """Lightning's data source: one empty batch after another while any row is active."""

    def __init__(self, module: BatchModule) -> None:
        self.module = module

    def __iter__(self) -> Iterator[int]:
        """Count training steps."""
        number = 0
        while self.module.active:
            yield number
            number += 1
