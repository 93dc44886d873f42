"""L-BFGS vectors row by row: every row owns its tensors, sums are ``a[i] @ b[i]``, and the host decides.

On the CPU this is what makes row i of a batch the solo run of i bit for bit, it costs no copies, a history takes memory
only as it fills, and a row that leaves frees its own. On a GPU it works too, but waits for the device several times.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.optim.memory import Direction, MemoryPlan, RowState, Turn
from harness.optim.pairs import Pairs

ALIGNMENT_BYTES = 64  # torch's own allocations; BLAS may sum a vector that starts elsewhere in another order


def aligned(v: Tensor) -> Tensor:
    """The vector itself, or a copy where its rows start at odd addresses (images of 3·H·W not a multiple of 16)."""
    return v if v.data_ptr() % ALIGNMENT_BYTES == 0 else v.clone()


@dataclass
class RowVectors:
    """One row: vectors (n,) named as in Nocedal & Wright, and its curvature pairs, None before the first."""

    gradient: Tensor | None = None
    direction: Tensor | None = None
    base: Tensor | None = None
    low_gradient: Tensor | None = None
    pairs: Pairs | None = None

    VECTORS = ("gradient", "direction", "base", "low_gradient")

    @property
    def num_pairs(self) -> int:
        """How many it has."""
        return 0 if self.pairs is None else self.pairs.num_filled

    def push(self, s: Tensor, y: Tensor, plan: MemoryPlan) -> None:
        """Take a pair in if its curvature is positive, in the place of the oldest when full."""
        if self.pairs is None:
            self.pairs = Pairs(plan.history, s[None], plan.precondition, is_alone=True)
        self.pairs.push(s[None], y[None], torch.ones(1, dtype=torch.bool, device=s.device))


class RowMemory:
    """The row-by-row layout of ``harness.optim.memory.Memory``."""

    def __init__(self, plan: MemoryPlan, active: list[int]) -> None:
        self.plan, self.active = plan, active
        self.rows = [RowVectors() for _ in active]

    def measure(self, images: Tensor, grads: Tensor, searching: Tensor) -> tuple[Tensor, Tensor]:
        """Slope g·d at the trials, and within bounds ∇f(x₀)ᵀ(x(t) − x₀) (otherwise NaN); each (A,) float64."""
        slopes, decreases = [float("nan")] * len(self.rows), [float("nan")] * len(self.rows)
        for a, on in enumerate(searching.tolist()):
            if not on:
                continue
            row, slot = self.rows[a], self.active[a]
            assert row.direction is not None and row.base is not None and row.gradient is not None
            direction = row.direction
            if self.plan.box is not None:
                x = images[slot]
                direction = self.plan.box.at(slot).inwards(x, direction)
                decreases[a] = (row.gradient @ (x - row.base)).item()
            slopes[a] = (aligned(grads[slot]) @ direction).item()
        return self._scalars(slopes, images), self._scalars(decreases, images)

    def keep_low(self, grads: Tensor, rows: Tensor) -> None:
        """Keep the trial's gradient as that of the low point."""
        for a, on in enumerate(rows.tolist()):
            if on:
                self.rows[a].low_gradient = grads[self.active[a]].clone()

    def turn(self, images: Tensor, grads: Tensor, turn: Turn, low_t: Tensor, trial_t: Tensor) -> Direction:
        """Update the histories and compute the directions of the rows that begin an iteration."""
        begin, at_low, reset, first = (mask.tolist() for mask in turn)
        low, trial = low_t.tolist(), trial_t.tolist()
        slopes, shortenings, nums = [0.0] * len(self.rows), [1.0] * len(self.rows), [0] * len(self.rows)
        for a, row in enumerate(self.rows):
            slot = self.active[a]
            if begin[a]:
                self._to_trial(row, images[slot], grads[slot], trial[a], first[a], slot)
            elif at_low[a]:
                self._to_low(row, low[a], slot)
            elif reset[a]:
                row.pairs = None
            else:
                continue
            fresh = reset[a] or (begin[a] and first[a])
            slopes[a], shortenings[a] = self._find_direction(row, images[slot], slot, fresh)
            nums[a] = row.num_pairs
        num_pairs = torch.tensor(nums, device=images.device)
        return Direction(self._scalars(slopes, images), self._scalars(shortenings, images), num_pairs)

    def place(self, images: Tensor, step_size: Tensor, rows: Tensor) -> None:
        """Write the rows' next points x_k + t d_k, clamped to the bounds."""
        for a, (on, t) in enumerate(zip(rows.tolist(), step_size.tolist(), strict=True)):
            if not on:
                continue
            row, slot = self.rows[a], self.active[a]
            x, direction, box = images[slot], row.direction, self.plan.box
            assert direction is not None
            if self.plan.searches:
                assert row.base is not None
                torch.add(row.base, direction, alpha=t, out=x)
                if box is not None:
                    box.at(slot).clamp_(x)
            elif box is None:
                x.add_(direction, alpha=t)
                direction.mul_(t)  # from here on it is s_k
            else:
                direction.mul_(t).add_(x)
                box.at(slot).clamp_(direction)
                former = x.clone()
                x.copy_(direction)
                torch.sub(x, former, out=direction)

    def take_back(self, images: Tensor, rows: Tensor, part: float) -> None:
        """Shorten the step that led to these rows' points, and the points with it."""
        for a, on in enumerate(rows.tolist()):
            if on:
                step = self.rows[a].direction
                assert step is not None
                images[self.active[a]].sub_(step, alpha=1.0 - part)
                step.mul_(part)

    def clear(self, rows: Tensor) -> None:
        """Forget the rows' histories."""
        for a, on in enumerate(rows.tolist()):
            if on:
                self.rows[a] = RowVectors()

    def select(self, positions: list[int], active: list[int]) -> None:
        """Keep the rows at these positions, −1 for a new one, and free the others' memory."""
        self.rows = [RowVectors() if p < 0 else self.rows[p] for p in positions]
        self.active = active

    def row_state(self, position: int) -> RowState:
        """Copies of one row's vectors; only the filled part of the history."""
        row = self.rows[position]
        state = {name: t.clone() for name in row.VECTORS if (t := getattr(row, name)) is not None}
        if row.pairs is not None:
            state |= {f"pairs.{name}": tensor for name, tensor in row.pairs.state(0).items()}
        return state

    def load_row_state(self, position: int, state: RowState) -> None:
        """The inverse of ``row_state``."""
        row = self.rows[position] = RowVectors()
        for name in row.VECTORS:
            if name in state:
                setattr(row, name, state[name].clone())
        pairs = {name.removeprefix("pairs."): t for name, t in state.items() if name.startswith("pairs.")}
        if pairs:
            like = pairs["steps"].new_empty(1, pairs["steps"].shape[1])
            row.pairs = Pairs(self.plan.history, like, self.plan.precondition, is_alone=True)
            row.pairs.load(0, pairs)

    def num_bytes(self) -> int:
        """Memory held."""
        vectors: list[Tensor] = [
            t for row in self.rows for name in row.VECTORS if (t := getattr(row, name)) is not None
        ]
        pairs = sum(row.pairs.num_bytes() for row in self.rows if row.pairs is not None)
        return pairs + sum(t.untyped_storage().nbytes() for t in vectors)

    def _to_trial(self, row: RowVectors, x: Tensor, g: Tensor, t: float, first: bool, slot: int) -> None:
        """Make the evaluated point x_k, with the pair that led there."""
        if first or row.gradient is None:
            row.gradient = g.clone()
        else:
            assert row.direction is not None
            if not self.plan.searches:
                s = row.direction
            elif self.plan.box is None:
                s = row.direction.mul_(t)
            else:
                assert row.base is not None
                s = x - row.base
            y = g - row.gradient
            row.gradient.copy_(g)
            row.push(s, y, self.plan)
        if self.plan.searches:
            row.base = x.clone() if row.base is None else row.base.copy_(x)

    def _to_low(self, row: RowVectors, t: float, slot: int) -> None:
        """Make the search's low point x_k; its gradient was kept."""
        assert row.direction is not None and row.base is not None
        assert row.gradient is not None and row.low_gradient is not None
        point = torch.add(row.base, row.direction, alpha=t)
        if self.plan.box is None:
            s = row.direction.mul_(t)
        else:
            self.plan.box.at(slot).clamp_(point)
            s = point - row.base
        y = row.low_gradient - row.gradient
        row.gradient.copy_(row.low_gradient)
        row.base = point
        row.push(s, y, self.plan)

    def _find_direction(self, row: RowVectors, image: Tensor, slot: int, fresh: bool) -> tuple[float, float]:
        """Set d = −H g, or −g with a cleared history where that does not descend; returns g·d and the shortening."""
        g, plan = row.gradient, self.plan
        assert g is not None
        box = None if plan.box is None else plan.box.at(slot)
        x = image if row.base is None else row.base
        free = None if box is None else box.free(x, g)
        if free is not None and bool(free.amin() > 0.0):
            free = None
        if row.pairs is not None and row.num_pairs:
            v = -g if free is None else (-g).mul_(free)
            d = row.pairs.inverse_hessian_product(v[None], None if free is None else free[None])[0]
            slope = self._feasible(row, d, x, free, slot)
            if slope < 0.0:
                return slope, self._within_longest(row, 1.0)
            row.pairs = None
            fresh = True
        v = -g if free is None else (-g).mul_(free)
        shortening = v.abs().sum().reciprocal().clamp(max=1.0).item() if fresh else 1.0
        d = v if plan.precondition is None else plan.precondition(v[None])[0]
        slope = self._feasible(row, d, x, free, slot)
        return slope, self._within_longest(row, shortening)

    def _within_longest(self, row: RowVectors, shortening: float) -> float:
        """The shortening, less where the step would be too long."""
        d, longest = row.direction, self.plan.longest_step
        assert d is not None
        if math.isinf(longest):
            return shortening
        size = math.sqrt((d @ d).item() / len(d))
        return min(shortening, longest / size) if size > 0.0 else shortening  # NaN: as it is

    def _feasible(self, row: RowVectors, d: Tensor, x: Tensor, free: Tensor | None, slot: int) -> float:
        """Take d for the row's direction, without what is held or would leave the box at once; returns g·d."""
        assert row.gradient is not None
        if free is not None:
            d.mul_(free)
        if self.plan.box is not None:
            d = self.plan.box.at(slot).inwards(x, d)
        row.direction = d
        return (row.gradient @ d).item()

    @staticmethod
    def _scalars(values: list[float], images: Tensor) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=images.device)
