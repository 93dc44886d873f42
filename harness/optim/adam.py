"""Adam for a batch of independent rows, each with its own step count and status."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor

from harness.optim.bounds import Bound
from harness.optim.memory import RowState
from harness.optim.pairs import column
from harness.optim.rows import BatchedOptimizer, Outcome


class BatchedAdam(BatchedOptimizer):
    """Adam, algorithm 1 of Kingma & Ba, "Adam: a method for stochastic optimization" (ICLR 2015), in every row.

    α ``learning_rate`` · β₁, β₂ ``betas`` · ε ``epsilon`` · m, v the moments · t a row's own count: a restarted or
    refilled row begins at t = 0. β₁ᵗ and β₂ᵗ are kept as running products.

    Args:
        params: exactly one contiguous floating-point parameter (B, ...).
        learning_rate: α, above 0.
        betas: decay of the moments, each in [0, 1).
        epsilon: ε, at least 0.
        bounds: (low, high); each step is clamped to them.
        max_restarts: how often a row that is not finite starts again from its best iterate.
        gradient_tolerance: see ``BatchedOptimizer``.
        keep_last: see ``BatchedOptimizer``.
        row_by_row: see ``BatchedOptimizer``.
    """

    FRESH: ClassVar = {**BatchedOptimizer.FRESH, "beta1_power": 1.0, "beta2_power": 1.0}

    def __init__(
        self,
        params: Iterable[Tensor],
        *,
        learning_rate: float = 0.02,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        bounds: tuple[Bound, Bound] | None = None,
        max_restarts: int = 1,
        gradient_tolerance: float = 0.0,
        keep_last: bool = False,
        row_by_row: bool | None = None,
    ) -> None:
        if not all(0.0 <= beta < 1.0 for beta in betas) or epsilon < 0.0:
            raise ValueError(f"betas {betas} must lie in [0, 1) and epsilon {epsilon} must not be below 0.")
        super().__init__(
            params,
            learning_rate=learning_rate,
            bounds=bounds,
            max_restarts=max_restarts,
            gradient_tolerance=gradient_tolerance,
            keep_last=keep_last,
            row_by_row=row_by_row,
        )
        self.betas, self.epsilon = betas, epsilon
        values = self._flat(self.images.detach())
        # (A, n); row by row a list of (n,), so that a row that leaves frees its own
        self._moments: list[tuple[Tensor, Tensor]] = (
            [self._zeros(values[slot]) for slot in self.active] if self.row_by_row else [self._zeros(values)]
        )

    def num_bytes(self) -> int:
        """Memory of the moments."""
        return sum(t.untyped_storage().nbytes() for pair in self._moments for t in pair)

    def _advance(self, eligible: Tensor, loss: Tensor, finite: Tensor, images: Tensor, grads: Tensor) -> Outcome:
        moving, table = eligible & finite, self._table
        for name, beta in zip(("beta1_power", "beta2_power"), self.betas, strict=True):
            table[name] = torch.where(moving, table[name] * beta, table[name])
        rate = self._rate() / (1.0 - table["beta1_power"])  # α / (1 − β₁ᵗ)
        unbias = (1.0 - table["beta2_power"]).sqrt()
        rate, unbias = rate.to(images.dtype), unbias.to(images.dtype)
        if self.row_by_row:
            for a, (slot, on) in enumerate(zip(self.active, moving.tolist(), strict=True)):
                if on:
                    x, (m, v) = images[slot], self._moments[a]
                    x.copy_(self._update(x, grads[slot], m, v, rate[a], unbias[a]))
                    self._clamp(slot)
        else:
            x, g, (m, v) = images[self._index], grads[self._index], self._moments[0]
            g = torch.where(column(moving), g, 0.0)
            new = self._update(x, g, m, v, column(rate), column(unbias))
            if self._box is not None:
                self._box.at(self._index).clamp_(new)
            images.index_copy_(0, self._index, torch.where(column(moving), new, x))
        return Outcome(eligible & ~finite, torch.zeros_like(eligible))

    def _update(self, x: Tensor, g: Tensor, m: Tensor, v: Tensor, rate: Tensor, unbias: Tensor) -> Tensor:
        """One step of algorithm 1: θ − α m̂ / (√v̂ + ε), m and v updated in place."""
        beta1, beta2 = self.betas
        m.mul_(beta1).add_(g, alpha=1.0 - beta1)
        v.mul_(beta2).addcmul_(g, g, value=1.0 - beta2)
        denominator = v.sqrt().div_(unbias).add_(self.epsilon)
        return x - torch.div(m, denominator, out=denominator).mul_(rate)

    def _forget(self, rows: Tensor) -> None:
        for name in ("beta1_power", "beta2_power"):
            self._table[name] = torch.where(rows, 1.0, self._table[name])
        if self.row_by_row:
            for a, on in enumerate(rows.tolist()):
                if on:
                    for moment in self._moments[a]:
                        moment.zero_()
        else:
            for moment in self._moments[0]:
                moment.masked_fill_(column(rows), 0.0)

    def _select_memory(self, positions: list[int], active: list[int]) -> None:
        if self.row_by_row:
            fresh = self._flat(self.images.detach())[0] if len(self.images) else self.images.detach()
            self._moments = [self._zeros(fresh) if p < 0 else self._moments[p] for p in positions]
            return
        new = torch.tensor([p < 0 for p in positions], dtype=torch.bool, device=self.images.device)
        take = torch.tensor([max(p, 0) for p in positions], dtype=torch.int64, device=self.images.device)
        m, v = (torch.where(column(new), 0.0, t.index_select(0, take)) for t in self._moments[0])
        self._moments = [(m, v)]

    def _memory_state(self, position: int) -> RowState:
        m, v = self._moment(position)
        return {"first_moment": m.clone(), "second_moment": v.clone()}

    def _load_memory_state(self, position: int, state: RowState) -> None:
        for moment, name in zip(self._moment(position), ("first_moment", "second_moment"), strict=True):
            moment.copy_(state[name])

    def _moment(self, position: int) -> tuple[Tensor, Tensor]:
        m, v = self._moments[position if self.row_by_row else 0]
        return (m, v) if self.row_by_row else (m[position], v[position])

    @staticmethod
    def _zeros(like: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(like), torch.zeros_like(like)
