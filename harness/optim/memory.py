"""The image-sized state of L-BFGS: what both layouts (row by row, batched) share.

Per row of n values: gradient g_k and, per pair kept, s and y; the direction d_k (without a line search the step s_k in
its place); with a line search also the point x_k, with strong Wolfe the gradient at α_lo. So 2 · history + 2 to 4
vectors, beside the parameter, its gradient and the best iterate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from torch import Tensor

from harness.optim.bounds import Bounds
from harness.optim.line_search import LineSearch
from harness.optim.pairs import Preconditioner

RowState = dict[str, Tensor]
"""One row's state as plain tensors by name."""


@dataclass(frozen=True)
class MemoryPlan:
    """What the memory has to know of the algorithm.

    Attributes:
        history: pairs kept.
        line_search: which search; decides the vectors needed.
        box: bounds or None.
        precondition: H₀ / γ or None for the identity.
        longest_step: root mean square of a search's first step over the row's values at most; ``inf``: no bound.
    """

    history: int
    line_search: LineSearch
    box: Bounds | None
    precondition: Preconditioner | None
    longest_step: float = math.inf

    @property
    def searches(self) -> bool:
        """Whether there is a line search, so that x_k is kept."""
        return self.line_search != "none"


class Turn(NamedTuple):
    """Which rows begin an iteration, and where; each (A,) bool.

    Attributes:
        begin: at the point just evaluated.
        at_low: at the search's low point.
        reset: again at x_k, with a cleared history.
        first: of the rows of ``begin``: those without a former point, so without a pair.
    """

    begin: Tensor
    at_low: Tensor
    reset: Tensor
    first: Tensor


class Direction(NamedTuple):
    """The iteration begun; each (A,), meaningless where none was begun.

    Attributes:
        slope: g·d < 0.
        shortening: of the step: min(1, 1 / ‖g‖₁) for the first one along −g (torch.optim.LBFGS's rule), otherwise 1;
            less where the step would be longer than ``longest_step``.
        num_pairs: pairs in the history.
    """

    slope: Tensor
    shortening: Tensor
    num_pairs: Tensor


class Memory(Protocol):
    """The contract of both layouts; ``images`` and ``grads`` are (B, n), everything else follows the A active rows."""

    def measure(self, images: Tensor, grads: Tensor, searching: Tensor) -> tuple[Tensor, Tensor]:
        """Slope g·d at the trials, and within bounds ∇f(x₀)ᵀ(x(t) − x₀) (otherwise NaN); each (A,) float64."""

    def keep_low(self, grads: Tensor, rows: Tensor) -> None:
        """Keep the trial's gradient as that of the low point."""

    def turn(self, images: Tensor, grads: Tensor, turn: Turn, low_t: Tensor, trial_t: Tensor) -> Direction:
        """Update the histories and compute the directions of the rows that begin an iteration."""

    def place(self, images: Tensor, step_size: Tensor, rows: Tensor) -> None:
        """Write the rows' next points x_k + t d_k, clamped to the bounds."""

    def take_back(self, images: Tensor, rows: Tensor, part: float) -> None:
        """Without a line search: shorten the step that led to these rows' points, and the points with it."""

    def clear(self, rows: Tensor) -> None:
        """Forget the rows' histories."""

    def select(self, positions: list[int], active: list[int]) -> None:
        """Keep the rows at these positions, −1 for a new one, and free the others' memory."""

    def row_state(self, position: int) -> RowState:
        """Copies of one row's vectors; only the filled part of the history."""

    def load_row_state(self, position: int, state: RowState) -> None:
        """The inverse of ``row_state``."""

    def num_bytes(self) -> int:
        """Memory held."""
