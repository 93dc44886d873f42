"""L-BFGS vectors of all active rows together: (A, n) tensors, nothing asked of the host.

Made for the GPU: every operation covers all rows, rows that do not take part are masked by ``torch.where`` (never by
0 ·: 0 · NaN is NaN), and nothing is read back.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from harness.optim.memory import Direction, MemoryPlan, RowState, Turn
from harness.optim.pairs import Pairs, column, dots


def choose_(target: Tensor, rows: Tensor, source: Tensor) -> Tensor:
    """target[a] = source[a] where rows[a], in place; (A, n) or (A,)."""
    return torch.where(rows.view(-1, *(1,) * (target.dim() - 1)), source, target, out=target)


class BatchMemory:
    """The batched layout of ``harness.optim.memory.Memory``."""

    def __init__(self, plan: MemoryPlan, active: list[int], images: Tensor) -> None:
        self.plan, self.num_slots = plan, len(images)
        rows, n = len(active), images.shape[1]
        self.vectors = {name: images.new_zeros(rows, n) for name in self._names()}
        self.pairs = Pairs(plan.history, images.new_empty(rows, n), plan.precondition)
        self._place_rows(active)

    def measure(self, images: Tensor, grads: Tensor, searching: Tensor) -> tuple[Tensor, Tensor]:
        """Slope g·d at the trials, and within bounds ∇f(x₀)ᵀ(x(t) − x₀) (otherwise NaN); each (A,) float64."""
        direction, g = self.vectors["direction"], self._of(grads)
        if self.box is None:
            return (slope := dots(g, direction)), torch.full_like(slope, torch.nan)
        x = self._of(images)
        return dots(g, self.box.inwards(x, direction)), dots(self.vectors["gradient"], x - self.vectors["base"])

    def keep_low(self, grads: Tensor, rows: Tensor) -> None:
        """Keep the trial's gradient as that of the low point."""
        if "low_gradient" in self.vectors:
            choose_(self.vectors["low_gradient"], rows, self._of(grads))

    def turn(self, images: Tensor, grads: Tensor, turn: Turn, low_t: Tensor, trial_t: Tensor) -> Direction:
        """Update the histories and compute the directions of the rows that begin an iteration."""
        x, g = self._of(images), self._of(grads)
        gradient, direction = self.vectors["gradient"], self.vectors["direction"]
        if self.plan.line_search == "strong_wolfe":
            g = torch.where(column(turn.at_low), self.vectors["low_gradient"], g)
            low = torch.addcmul(self.vectors["base"], direction, column(low_t).to(x.dtype))
            x = torch.where(column(turn.at_low), low if self.box is None else self.box.clamp_(low), x)
        moved = turn.begin | turn.at_low
        if not self.plan.searches:
            s = direction
        elif self.box is None:
            s = direction * column(torch.where(turn.at_low, low_t, trial_t)).to(x.dtype)
        else:
            s = x - self.vectors["base"]
        self.pairs.push(s, g - gradient, moved & ~turn.first)
        choose_(gradient, moved, g)
        if self.plan.searches:
            x = choose_(self.vectors["base"], moved, x)
        self.clear(turn.reset)
        fresh = (turn.begin & turn.first) | turn.reset
        return self._find_directions(x, moved | turn.reset, fresh)

    def place(self, images: Tensor, step_size: Tensor, rows: Tensor) -> None:
        """Write the rows' next points x_k + t d_k, clamped to the bounds."""
        x, direction, t = self._of(images), self.vectors["direction"], column(step_size).to(images.dtype)
        base = self.vectors["base"] if self.plan.searches else x
        point = torch.addcmul(base, direction, t)
        if self.box is not None:
            self.box.clamp_(point)
        if not self.plan.searches:
            choose_(direction, rows, direction * t if self.box is None else point - x)  # from here on it is s_k
        point = torch.where(column(rows), point, x)
        images.copy_(point) if self.all_rows else images.index_copy_(0, self.index, point)

    def take_back(self, images: Tensor, rows: Tensor, part: float) -> None:
        """Shorten the step that led to these rows' points, and the points with it."""
        x, step = self._of(images), self.vectors["direction"]
        x = torch.where(column(rows), x.sub(step, alpha=1.0 - part), x)
        images.copy_(x) if self.all_rows else images.index_copy_(0, self.index, x)
        torch.where(column(rows), step * part, step, out=step)

    def clear(self, rows: Tensor) -> None:
        """Forget the rows' histories."""
        self.pairs.clear(rows)

    def select(self, positions: list[int], active: list[int]) -> None:
        """Keep the rows at these positions, −1 for a new one, and free the others' memory (one tensor at a time)."""
        device = self.index.device
        take = torch.tensor([max(p, 0) for p in positions], dtype=torch.int64, device=device)
        for name in self.vectors:
            self.vectors[name] = self.vectors[name].index_select(0, take)
        self.pairs.select(take, torch.tensor([p < 0 for p in positions], dtype=torch.bool, device=device))
        self._place_rows(active)

    def row_state(self, position: int) -> RowState:
        """Copies of one row's vectors; only the filled part of the history. Waits for the device."""
        state = {name: v[position].clone() for name, v in self.vectors.items()}
        return state | {f"pairs.{name}": tensor for name, tensor in self.pairs.state(position).items()}

    def load_row_state(self, position: int, state: RowState) -> None:
        """The inverse of ``row_state``."""
        for name, v in self.vectors.items():
            if name in state:
                v[position].copy_(state[name])
        rows = torch.arange(len(self.index), device=self.index.device)
        self.pairs.clear(rows == position)
        pairs = {name.removeprefix("pairs."): t for name, t in state.items() if name.startswith("pairs.")}
        if pairs:
            self.pairs.load(position, pairs)

    def num_bytes(self) -> int:
        """Memory held."""
        return self.pairs.num_bytes() + sum(t.untyped_storage().nbytes() for t in self.vectors.values())

    def _names(self) -> list[str]:
        names = {"none": [], "backtracking": ["base"], "strong_wolfe": ["base", "low_gradient"]}
        return ["gradient", "direction", *names[self.plan.line_search]]

    def _place_rows(self, active: list[int]) -> None:
        """Take note of which slots the rows stand in; the only place that sends indices to the device."""
        device = self.vectors["gradient"].device
        self.index = torch.tensor(active, dtype=torch.int64, device=device)
        self.box = None if self.plan.box is None else self.plan.box.at(self.index)
        self.all_rows = active == list(range(self.num_slots))  # then no gather is needed

    def _of(self, slots: Tensor) -> Tensor:
        """The active rows (A, n) of a (B, n) tensor; itself when all are active."""
        return slots if self.all_rows else slots.index_select(0, self.index)

    def _find_directions(self, x: Tensor, rows: Tensor, fresh: Tensor) -> Direction:
        """Set d = −H g, or −g with a cleared history where that does not descend, in the rows that begin."""
        g, plan = self.vectors["gradient"], self.plan
        free = None if self.box is None else self.box.free(x, g)
        descent = -g if free is None else (-g).mul_(free)
        d = self.pairs.inverse_hessian_product(descent, free)
        d = self._feasible(d, x, free)
        uphill = rows & ~(dots(g, d) < 0.0)
        steepest = descent if plan.precondition is None else plan.precondition(descent)
        steepest = self._feasible(steepest, x, free)
        self.clear(uphill)
        d = torch.where(column(self.pairs.num == 0), steepest, d)
        choose_(self.vectors["direction"], rows, d)
        shortening = torch.where(fresh | uphill, descent.abs().sum(1).reciprocal().clamp(max=1.0), 1.0)
        shortening = shortening.double()
        if not math.isinf(plan.longest_step):
            size = (dots(d, d) / d.shape[1]).sqrt()
            shortening = torch.where(size > 0.0, torch.minimum(shortening, plan.longest_step / size), shortening)
        return Direction(dots(g, d), shortening, self.pairs.num)

    def _feasible(self, d: Tensor, x: Tensor, free: Tensor | None) -> Tensor:
        """D without what is held or would leave the box at once."""
        if free is not None:
            d.mul_(free)
        return d if self.box is None else self.box.inwards(x, d)
