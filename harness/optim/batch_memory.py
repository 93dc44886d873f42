"""L-BFGS vectors of all active rows together: (A, n) tensors, a ring of pairs with each row's own pointer, no host.

Made for the GPU: every operation covers all rows, rows that do not take part are masked by ``torch.where`` (never by
0 ·: 0 · NaN is NaN), and nothing is read back. A pair costs two gathers of (A, n) for each of the two loops, which at
64 rows of 512² is a few per cent of the network's time.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.optim.memory import Direction, MemoryPlan, RowState, Turn
from harness.optim.two_loop import Pair, PairAt, column, curvature, dot, inverse_hessian_product, restricted


def choose_(target: Tensor, rows: Tensor, source: Tensor) -> Tensor:
    """target[a] = source[a] where rows[a], in place; (A, n) or (A,)."""
    return torch.where(rows.view(-1, *(1,) * (target.dim() - 1)), source, target, out=target)


class BatchMemory:
    """The batched layout of ``harness.optim.memory.Memory``.

    The ring holds ``steps``, ``yields`` (A, m, n) and ``rhos`` (A, m); ``pointer`` (A,) is the newest pair's place, and
    an empty place has ρ = 0, so that it takes no part. ``num_filled`` bounds on the host how many places any row has
    used: the loops need go no further.
    """

    def __init__(self, plan: MemoryPlan, active: list[int], images: Tensor) -> None:
        self.plan, self.num_filled, self.num_slots = plan, 0, len(images)
        rows, n = len(active), images.shape[1]
        self.vectors = {name: images.new_zeros(rows, n) for name in self._names()}
        self.steps, self.yields = (images.new_zeros(rows, plan.history, n) for _ in range(2))
        self.rhos, self.scale = images.new_zeros(rows, plan.history), images.new_ones(rows)
        self.pointer = torch.zeros(rows, dtype=torch.int64, device=images.device)
        self.num_pairs = torch.zeros_like(self.pointer)
        self._place_rows(active)

    def measure(self, images: Tensor, grads: Tensor, searching: Tensor) -> tuple[Tensor, Tensor]:
        """Slope g·d at the trials, and within bounds ∇f(x₀)ᵀ(x(t) − x₀) (otherwise NaN); each (A,) float64."""
        direction, g = self.vectors["direction"], self._of(grads)
        if self.box is None:
            return dot(g, direction).double(), torch.full_like(self.scale, torch.nan, dtype=torch.float64)
        x = self._of(images)
        inside = direction.masked_fill(self.box.outwards(x, direction), 0.0)
        return dot(g, inside).double(), dot(self.vectors["gradient"], x - self.vectors["base"]).double()

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
        self._push(s, g - gradient, moved & ~turn.first)
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
            torch.mul(direction, t, out=direction) if self.box is None else torch.sub(point, x, out=direction)
        point = torch.where(column(rows), point, x)
        images.copy_(point) if self.all_rows else images.index_copy_(0, self.index, point)

    def clear(self, rows: Tensor) -> None:
        """Forget the rows' histories."""
        self.rhos = torch.where(column(rows), 0.0, self.rhos)
        self.scale = torch.where(rows, 1.0, self.scale)
        self.num_pairs = torch.where(rows, 0, self.num_pairs)

    def select(self, positions: list[int], active: list[int]) -> None:
        """Keep the rows at these positions, −1 for a new one, and free the others' memory (one tensor at a time)."""
        take = torch.tensor([max(p, 0) for p in positions], dtype=torch.int64, device=self.rhos.device)
        new = torch.tensor([p < 0 for p in positions], dtype=torch.bool, device=self.rhos.device)
        for name in self.vectors:
            self.vectors[name] = self.vectors[name].index_select(0, take)
        for name in ("steps", "yields", "rhos", "scale", "pointer", "num_pairs"):
            setattr(self, name, getattr(self, name).index_select(0, take))
        self._place_rows(active)
        self.clear(new)

    def row_state(self, position: int) -> RowState:
        """Copies of one row's vectors; only the filled part of the history. Waits for the device."""
        state = {name: v[position].clone() for name, v in self.vectors.items()} | {
            "scale": self.scale[position].clone()
        }
        count, newest, m = int(self.num_pairs[position]), int(self.pointer[position]), self.plan.history
        if count:
            places = [(newest - j) % m for j in reversed(range(count))]
            state |= {k: getattr(self, k)[position][places].clone() for k in ("steps", "yields", "rhos")}
        return state

    def load_row_state(self, position: int, state: RowState) -> None:
        """The inverse of ``row_state``."""
        for name, v in self.vectors.items():
            if name in state:
                v[position].copy_(state[name])
        count = min(len(state["steps"]), self.plan.history) if "steps" in state else 0
        self.rhos[position] = 0.0
        self.scale[position] = state["scale"] if "scale" in state else 1.0
        for name in ("steps", "yields", "rhos"):
            if count:
                getattr(self, name)[position, :count].copy_(state[name][-count:])
        self.pointer[position], self.num_pairs[position] = max(count - 1, 0), count
        self.num_filled = max(self.num_filled, count)

    def num_bytes(self) -> int:
        """Memory held."""
        held = [*self.vectors.values(), self.steps, self.yields, self.rhos, self.scale, self.pointer, self.num_pairs]
        return sum(t.untyped_storage().nbytes() for t in held)

    def _names(self) -> list[str]:
        names = {"none": [], "backtracking": ["base"], "strong_wolfe": ["base", "low_gradient"]}
        return ["gradient", "direction", *names[self.plan.line_search]]

    def _place_rows(self, active: list[int]) -> None:
        """Take note of which slots the rows stand in; the only place that sends indices to the device."""
        device = self.rhos.device
        self.index = torch.tensor(active, dtype=torch.int64, device=device)
        self.offsets = torch.arange(len(active), device=device) * self.plan.history
        self.box = None if self.plan.box is None else self.plan.box.at(self.index)
        self.all_rows = active == list(range(self.num_slots))  # then no gather is needed

    def _of(self, slots: Tensor) -> Tensor:
        """The active rows (A, n) of a (B, n) tensor; itself when all are active."""
        return slots if self.all_rows else slots.index_select(0, self.index)

    def _push(self, s: Tensor, y: Tensor, rows: Tensor) -> None:
        """Take the pairs of some rows into their rings where the curvature is positive."""
        accepted, rho, gamma = curvature(s, y, self.plan.precondition)
        accepted &= rows
        newest = torch.where(self.num_pairs > 0, (self.pointer + 1) % self.plan.history, 0)
        places = self.offsets + newest
        for ring, new in ((self.steps, s), (self.yields, y)):
            flat = ring.view(-1, ring.shape[2])
            flat.index_copy_(0, places, torch.where(column(accepted), new, flat.index_select(0, places)))
        flat = self.rhos.view(-1)
        flat.index_copy_(0, places, torch.where(accepted, rho, flat.index_select(0, places)))
        self.pointer = torch.where(accepted, newest, self.pointer)
        self.num_pairs = torch.where(accepted, (self.num_pairs + 1).clamp_max(self.plan.history), self.num_pairs)
        self.scale = torch.where(accepted, gamma, self.scale)
        self.num_filled = min(self.num_filled + 1, self.plan.history)

    def _pair(self, j: int) -> Pair:
        """The j-th newest pair of every row."""
        places = self.offsets + (self.pointer - j) % self.plan.history
        s, y = (ring.view(-1, ring.shape[2]).index_select(0, places) for ring in (self.steps, self.yields))
        rho = self.rhos.view(-1).index_select(0, places)
        return s, y, torch.where(self.num_pairs > j, rho, 0.0)

    def _find_directions(self, x: Tensor, rows: Tensor, fresh: Tensor) -> Direction:
        """Set d = −H g, or −g with a cleared history where that does not descend, in the rows that begin."""
        g, plan = self.vectors["gradient"], self.plan
        free = None if self.box is None else self.box.free(x, g)
        descent = -g if free is None else (-g).mul_(free)
        pair: PairAt = self._pair
        scale = self.scale
        if free is not None:
            pair, scale = restricted(self.num_filled, pair, scale, free, plan.precondition)
        d = inverse_hessian_product(descent.clone(), self.num_filled, pair, scale, plan.precondition, free)
        d = self._feasible(d, x, free)
        uphill = rows & ~(dot(g, d) < 0.0)
        steepest = descent if plan.precondition is None else plan.precondition(descent)
        steepest = self._feasible(steepest, x, free)
        self.clear(uphill)
        d = torch.where(column(self.num_pairs == 0), steepest, d)
        choose_(self.vectors["direction"], rows, d)
        shortening = torch.where(fresh | uphill, descent.abs().sum(1).reciprocal().clamp(max=1.0), 1.0)
        return Direction(dot(g, d).double(), shortening.double(), self.num_pairs)

    def _feasible(self, d: Tensor, x: Tensor, free: Tensor | None) -> Tensor:
        """D without what is held or would leave the box at once."""
        if free is not None:
            d.mul_(free)
        return d if self.box is None else d.masked_fill_(self.box.outwards(x, d), 0.0)
