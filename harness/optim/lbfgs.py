"""L-BFGS for a batch of independent rows, each with its own history, step length, line search and status."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar, get_args

import torch
from torch import Tensor

from harness.optim import line_search as search
from harness.optim.batch_memory import BatchMemory
from harness.optim.bounds import Bound
from harness.optim.line_search import LineSearch
from harness.optim.memory import Memory, MemoryPlan, RowState, Turn
from harness.optim.preconditioner import InitialHessian, initial_hessian_of
from harness.optim.row_memory import RowMemory
from harness.optim.rows import BatchedOptimizer, Outcome

TAKEN_BACK = 0.1
"""What is left of a step that was far too long."""


class BatchedLBFGS(BatchedOptimizer):
    """L-BFGS, algorithm 7.5 of Nocedal & Wright, *Numerical Optimization* (2nd ed. 2006), in every row by itself.

    x_k ``images[i]`` at the start of an iteration · g_k its gradient · d_k = −H_k g_k (algorithm 7.4, in the compact
    form of ``harness.optim.pairs``) over m = ``history`` pairs s_k = x_{k+1} − x_k, y_k = g_{k+1} − g_k · H_k⁰ = γ_k I,
    γ_k = sᵀy / yᵀy (eq. 7.20) · x_{k+1} = x_k + t d_k. The first t (and the first after the history was cleared) is
    ``learning_rate`` · min(1, 1 / ‖g‖₁), torch.optim.LBFGS's rule, afterwards ``learning_rate``: so scaling a loss
    changes its first step where ‖g‖₁ < 1, and nothing else. Without a line search one row takes
    torch.optim.LBFGS's steps, but for rounding and the safeguard.

    # Deviates from torch.optim.LBFGS: without a line search, a step to more than ten times the lowest loss so far is
    # taken back to a tenth of it, as often as needed: of 60 short transfers without bounds 33 went to five times their
    # first loss and more, and with it their median lowest loss after 40 evaluations is a quarter lower.

    # Deviates from torch.optim.LBFGS: its absolute thresholds (1e-7, 1e-9, 1e-10) are gone; a pair is kept when
    # yᵀs > ε ‖y‖ ‖s‖, a direction that does not descend clears the history, and nothing stops early.

    Args:
        params: exactly one contiguous floating-point parameter (B, ...).
        learning_rate: step length, or a line search's first trial; above 0.
        history: pairs kept, at least 1; each is two image-sized vectors a row.
        line_search: ``none``; ``backtracking`` (N&W 3.1); ``strong_wolfe`` (N&W 3.5 and 3.6).
        bounds: (low, high): see ``harness.optim.bounds``.
        max_restarts: how often a row that is not finite starts again from its best iterate.
        max_line_search: evaluations a search may take before it ends at its best point, at least 1.
        initial_hessian: H⁰ is γI (``scaled_identity``), or γ times a Fourier filter and, of rows of three channels, the
            colours' covariance (``fourier``).
        gradient_tolerance: see ``BatchedOptimizer``.
        keep_last: see ``BatchedOptimizer``.
        row_by_row: see ``BatchedOptimizer``.
        overshoot: the loss over the lowest one so far, if that is above 0, from which a step without a line search was
            too long; above 1, ``inf``: never.
        longest_step: with a line search, the root mean square of its first trial's step over the row's values at most,
            times ``learning_rate``; above 0, ``inf``: any.
    """

    FRESH: ClassVar = {**BatchedOptimizer.FRESH, "num_pairs": 0, **search.FRESH}

    def __init__(
        self,
        params: Iterable[Tensor],
        *,
        learning_rate: float = 1.0,
        history: int = 20,
        line_search: LineSearch = "none",
        bounds: tuple[Bound, Bound] | None = None,
        max_restarts: int = 1,
        max_line_search: int = 25,
        initial_hessian: InitialHessian = "scaled_identity",
        gradient_tolerance: float = 0.0,
        keep_last: bool = False,
        row_by_row: bool | None = None,
        overshoot: float = 10.0,
        longest_step: float = math.inf,
    ) -> None:
        if line_search not in get_args(LineSearch):
            raise ValueError(f"line_search is {line_search!r}; choose one of {', '.join(get_args(LineSearch))}.")
        if history < 1 or max_line_search < 1:
            raise ValueError(f"history {history}, max_line_search {max_line_search}: at least 1.")
        super().__init__(
            params,
            learning_rate=learning_rate,
            bounds=bounds,
            max_restarts=max_restarts,
            gradient_tolerance=gradient_tolerance,
            keep_last=keep_last,
            row_by_row=row_by_row,
        )
        if not overshoot > 1.0:
            raise ValueError(f"overshoot is {overshoot}; it must be above 1 (inf takes no step back).")
        if not longest_step > 0.0:
            raise ValueError(f"longest_step is {longest_step}; it must be above 0 (inf bounds no step).")
        self.max_line_search, self.overshoot = max_line_search, overshoot
        precondition = initial_hessian_of(initial_hessian, tuple(self.images.shape[1:]))
        self._plan = MemoryPlan(
            history, line_search, self._box, precondition, longest_step if line_search != "none" else math.inf
        )
        self._memory: Memory = (
            RowMemory(self._plan, self.active)
            if self.row_by_row
            else BatchMemory(self._plan, self.active, self._flat(self.images.detach()))
        )

    def num_bytes(self) -> int:
        """Memory of histories, directions and gradients, without the parameter and the best iterates."""
        return self._memory.num_bytes()

    def _advance(self, eligible: Tensor, loss: Tensor, finite: Tensor, images: Tensor, grads: Tensor) -> Outcome:
        table, memory, started = self._table, self._memory, self._table["started"]
        nowhere = torch.zeros_like(eligible)
        trial_t, low_t, base_loss = table["step_size"], table["low_t"], loss
        if not self._plan.searches:
            lost, stalled = eligible & ~finite, nowhere
            best = self.best_losses.index_select(0, self._index)
            overshot = eligible & started & finite & (best > 0) & (loss > self.overshoot * best)
            memory.take_back(images, overshot, TAKEN_BACK)
            eligible = eligible & ~overshot
            turn = Turn(eligible & finite, nowhere, nowhere, ~started)
        else:
            searching = eligible & started
            verdict, state = self._try(loss, finite, images, grads, searching)
            lost = eligible & ~finite & (~started | (state["num_trials"] > search.MAX_NONFINITE_TRIALS))
            searching = searching & ~lost
            exhausted = searching & verdict.exhausted
            stalled = exhausted & (table["num_pairs"] == 0)
            memory.keep_low(grads, searching & verdict.new_low)
            turn = Turn(
                begin=eligible & finite & (~started | verdict.accept),
                at_low=searching & verdict.accept_low,
                reset=exhausted & ~stalled,
                first=~started,
            )
            base_loss = torch.where(turn.at_low, state["low_loss"], torch.where(turn.reset, state["base_loss"], loss))
            low_t = state["low_t"]
            for name in search.FRESH:
                table[name] = torch.where(searching, state[name], table[name])
        found = memory.turn(images, grads, turn, low_t, trial_t)
        rate, turned = self._rate(), turn.begin | turn.at_low | turn.reset
        dtype = images.dtype
        step_size = (found.shortening.to(dtype) * rate.to(dtype)).double()  # rounded as torch.optim.LBFGS does
        table["num_pairs"] = torch.where(turned, found.num_pairs, table["num_pairs"])
        if self._plan.searches:
            search.begin(table, turned, base_loss, found.slope, step_size)
        else:
            table["step_size"] = torch.where(turned, step_size, table["step_size"])
        memory.place(images, table["step_size"], eligible & ~lost & ~stalled)
        return Outcome(lost, stalled)

    def _try(
        self, loss: Tensor, finite: Tensor, images: Tensor, grads: Tensor, searching: Tensor
    ) -> tuple[search.SearchStep, search.Table]:
        """Show the trials to the line search; a trial that is not finite counts as infinitely high."""
        table = self._table
        slope, decrease = self._memory.measure(images, grads, searching)
        if self._plan.box is None:
            decrease = table["base_slope"] * table["step_size"]
        algorithm = search.strong_wolfe if self._plan.line_search == "strong_wolfe" else search.backtracking
        return algorithm(table, torch.where(finite, loss, torch.inf), slope, decrease, self.max_line_search)

    def _forget(self, rows: Tensor) -> None:
        self._memory.clear(rows)
        self._table["num_pairs"] = torch.where(rows, 0, self._table["num_pairs"])

    def _select_memory(self, positions: list[int], active: list[int]) -> None:
        self._memory.select(positions, active)

    def _memory_state(self, position: int) -> RowState:
        return self._memory.row_state(position)

    def _load_memory_state(self, position: int, state: RowState) -> None:
        self._memory.load_row_state(position, state)
