"""The curvature pairs of L-BFGS and the product with its inverse Hessian, in its compact form.

R. Byrd, J. Nocedal & R. Schnabel, "Representations of quasi-Newton matrices and their use in limited memory methods",
Mathematical Programming 63 (1994), theorem 2.2; it equals the two-loop recursion (Nocedal & Wright, *Numerical
Optimization*, 2nd ed. 2006, algorithm 7.4), which reads every pair four times one after another; here S and Y are read
twice each, as matrices. With R the upper triangle of SᵀY, oldest pair first, D its diagonal, H₀ = γP:

    α = R⁻¹ Sᵀv,   r = H₀ (v − Y α),   c = R⁻ᵀ (D α − Yᵀr),   H v = r + S c.

Shapes: A rows of n values, m pairs at most. A row's sums do not depend on its neighbours: one row's products are
matrix times vector, several rows' are batched.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Preconditioner = Callable[[Tensor], Tensor]
"""P = H₀ / γ: a symmetric positive definite map of (A, n); returns a new tensor."""

CHUNKS = 16
"""In how many pieces of their n values the pairs of several rows are masked: no second history is needed for it."""


def dots(a: Tensor, b: Tensor) -> Tensor:
    """Row by row inner products of two (A, n): (A,) float64; on the CPU one by one, whose sum is each row's own."""
    if a.device.type == "cpu":
        return torch.stack([x @ y for x, y in zip(a, b, strict=True)]).double()
    return (a * b).sum(1).double()  # a matrix product might round to TF32


def column(scalars: Tensor) -> Tensor:
    """Per-row scalars (A,) as a column (A, 1) that multiplies (A, n)."""
    return scalars.unsqueeze(1)


class Pairs:
    """Pairs s = x_{k+1} − x_k, y = g_{k+1} − g_k of A rows, each row's in a ring of its own.

    Args:
        history: m.
        like: (A, n): precision, device and sizes.
        precondition: P; the identity when left out.
        is_alone: one row for good, of which the host is asked what there is; else nothing waits for the device.

    Attributes:
        num: (A,) pairs that a row has.
        num_filled: places that any row has used, counted on the host; all products go no further.
    """

    def __init__(self, history: int, like: Tensor, precondition: Preconditioner | None, is_alone: bool = False) -> None:
        rows, n = like.shape
        self.history, self.precondition, self.num_filled = history, precondition, 0
        self._is_alone = is_alone
        # Alone, a row's memory is taken as it fills; else places not filled yet are read, and must be finite.
        make = like.new_empty if self._is_alone else like.new_zeros
        self.steps, self.yields = make(rows, history, n), make(rows, history, n)
        self.products = like.new_zeros(rows, history, history, dtype=torch.float64)  # s_i · y_j where s_i is older
        self.squares = like.new_zeros(2, rows, history, dtype=torch.float64)  # ‖s‖², ‖y‖²
        self.newest = torch.zeros(rows, dtype=torch.int64, device=like.device)
        self.num = torch.zeros_like(self.newest)

    STATE = ("steps", "yields", "products", "squares", "newest", "num")

    def push(self, s: Tensor, y: Tensor, rows: Tensor) -> None:
        """Take the pairs (A, n) of some rows (A,) where yᵀs > ε ‖y‖ ‖s‖, ε the precision's rounding.

        # Deviates from torch.optim.LBFGS: it asks yᵀs > 1e-10, which stops learning from small losses.
        """
        ys, yy, ss = dots(y, s), dots(y, y), dots(s, s)
        accepted = rows & _is_curved(ys, yy, ss, s.dtype)
        if self._is_alone and not bool(accepted):
            return
        self.num_filled = min(self.num_filled + 1, self.history)
        place = torch.where(self.num > 0, (self.newest + 1) % self.history, 0)
        at = torch.arange(len(s), device=s.device), place
        for ring, new in ((self.steps, s), (self.yields, y)):
            if self._is_alone:
                ring[0, int(place)].copy_(new[0])
            else:
                ring[at] = torch.where(column(accepted), new, ring[at])
        for squares, new in zip(self.squares, (ss, yy), strict=True):
            squares[at] = torch.where(accepted, new, squares[at])
        shares = _times(self.steps[:, : self.num_filled], y).double()
        own = self.products[at[0], : self.num_filled, place]
        self.products[at[0], : self.num_filled, place] = torch.where(column(accepted), shares, own)
        self.newest = torch.where(accepted, place, self.newest)
        self.num = torch.where(accepted, (self.num + 1).clamp_max(self.history), self.num)

    def clear(self, rows: Tensor) -> None:
        """Forget the pairs of some rows (A,)."""
        self.num = torch.where(rows, 0, self.num)
        self.newest = torch.where(rows, 0, self.newest)
        if self._is_alone and bool(rows):
            self.num_filled = 0

    def inverse_hessian_product(self, v: Tensor, free: Tensor | None = None) -> Tensor:
        """H v.

        Args:
            v: (A, n), 0 where it is not free.
            free: (A, n), 1 for each free variable, 0 for each held one; H is then that of the free variables, and a
                pair that says nothing about them takes no part.

        Returns:
            (A, n), a new tensor, 0 where it is not free.
        """
        k = self.num_filled
        steps, yields = self.steps[:, :k], self.yields[:, :k]
        products, yy = self.products[:, :k, :k], self.squares[1, :, :k]
        age = (column(self.newest) - torch.arange(k, device=v.device)) % self.history
        usable = age < column(self.num)
        if free is not None:
            products, yy = self._among(free, products, yy)
        ys = products.diagonal(dim1=1, dim2=2)
        usable &= _is_curved(ys, yy, self.squares[0, :, :k], v.dtype)
        scale = self._scale_among(free, ys, usable)

        order = age.argsort(dim=1, descending=True)
        used = usable.gather(1, order)
        both = used.unsqueeze(2) & used.unsqueeze(1)
        R = products.gather(1, order.unsqueeze(2).expand(-1, -1, k)).gather(2, order.unsqueeze(1).expand(-1, k, -1))
        R = torch.where(both, R, 0.0).triu() + torch.diag_embed((~used).double())

        def solved(matrix: Tensor, right: Tensor, upper: bool) -> Tensor:
            right = torch.where(used, right, 0.0).unsqueeze(2)
            found: Tensor = torch.linalg.solve_triangular(matrix, right, upper=upper)
            return found.squeeze(2)

        def in_places(of_order: Tensor) -> Tensor:
            return torch.zeros_like(of_order).scatter_(1, order, of_order).to(v.dtype)

        alpha = solved(R, _times(steps, v).double().gather(1, order), upper=True)
        r = v - _sum_of(yields, in_places(alpha))
        if self.precondition is not None:
            r = self.precondition(r if free is None else r.mul_(free))
        if free is not None:
            r.mul_(free)
        r.mul_(column(scale).to(v.dtype))
        right = R.diagonal(dim1=1, dim2=2) * alpha - _times(yields, r).double().gather(1, order)
        r += _sum_of(steps, in_places(solved(R.mT, right, upper=False)))
        return r if free is None else r.mul_(free)

    def _among(self, free: Tensor, products: Tensor, yy: Tensor) -> tuple[Tensor, Tensor]:
        """``products`` and ‖y‖² over the free variables."""
        k = self.num_filled
        if self._is_alone:  # without those held, which are few, or of those free, if they are fewer
            is_free = free[0] != 0
            few_held = 2 * int(is_free.sum()) > len(is_free)
            chosen = (is_free.logical_not() if few_held else is_free).nonzero()[:, 0]
            s, y = (pairs[0, :k].index_select(1, chosen) for pairs in (self.steps, self.yields))
            found, squares = (s @ y.T).double()[None], y.square().sum(1).double()[None]
            return (products - found, yy - squares) if few_held else (found, squares)
        found, squares = torch.zeros_like(products), torch.zeros_like(yy)
        size = -(-free.shape[1] // CHUNKS)
        for first in range(0, free.shape[1], size):
            part = slice(first, first + size)
            y = self.yields[:, :k, part] * free[:, None, part]
            found += self.steps[:, :k, part] @ y.mT
            squares += y.square().sum(2)
        return found, squares

    def _scale_among(self, free: Tensor | None, ys: Tensor, usable: Tensor) -> Tensor:
        """γ = yᵀs / yᵀP y (N&W eq. 7.20) by the newest pair: its free variables; if they say nothing, all."""
        if not self.num_filled:
            return torch.ones_like(self.squares[0, :, 0])
        at = torch.arange(len(ys), device=ys.device), self.newest
        y, is_usable = self.yields[at], usable[at]

        def by(ys: Tensor, y: Tensor) -> Tensor:
            return ys[at] / dots(y, y if self.precondition is None else self.precondition(y))

        found = by(ys, y if free is None else y * free)
        if free is not None and not (self._is_alone and bool(is_usable)):
            products = self.products[:, : self.num_filled, : self.num_filled]
            found = torch.where(is_usable, found, by(products.diagonal(dim1=1, dim2=2), y))
        return torch.where(self.num > 0, found, 1.0)

    def select(self, take: Tensor, new: Tensor) -> None:
        """Keep the rows at these places (A',), those that are ``new`` (A',) without pairs; one tensor at a time."""
        for name in self.STATE:
            held = getattr(self, name)
            setattr(self, name, held.index_select(1 if name == "squares" else 0, take))
        self.clear(new)

    def state(self, row: int) -> dict[str, Tensor]:
        """Copies of a row's pairs, in their places: sums over them keep their order. Waits for the device."""
        held = {name: getattr(self, name) for name in self.STATE}
        held = {name: (tensor[:, row] if name == "squares" else tensor[row]) for name, tensor in held.items()}
        num = int(held["num"])
        return {name: t[:num].clone() if name in ("steps", "yields") else t.clone() for name, t in held.items()}

    def load(self, row: int, state: dict[str, Tensor]) -> None:
        """The inverse of ``state``."""
        num = int(state["num"])
        for name in self.STATE:
            held = getattr(self, name)
            target = (
                held[:, row] if name == "squares" else held[row, :num] if name in ("steps", "yields") else held[row]
            )
            target.copy_(state[name])
        self.num_filled = max(self.num_filled, num)

    def num_bytes(self) -> int:
        """Memory taken: of a single row what it has filled."""
        part = self.num_filled / self.history if self._is_alone else 1.0
        return round(part * sum(t.untyped_storage().nbytes() for t in (self.steps, self.yields)))


def _is_curved(ys: Tensor, yy: Tensor, ss: Tensor, dtype: torch.dtype) -> Tensor:
    return ys > torch.finfo(dtype).eps * (yy.clamp_min(0.0).sqrt() * ss.sqrt())


def _times(pairs: Tensor, v: Tensor) -> Tensor:
    """Every pair's inner product with its row's vector: (A, k, n), (A, n) to (A, k)."""
    if len(v) == 1:
        return (pairs[0] @ v[0])[None]
    return (pairs @ v.unsqueeze(2)).squeeze(2)


def _sum_of(pairs: Tensor, weights: Tensor) -> Tensor:
    """Every row's weighted sum of its pairs: (A, k, n), (A, k) to (A, n)."""
    if len(weights) == 1:
        return (pairs[0].T @ weights[0])[None]
    return (pairs.mT @ weights.unsqueeze(2)).squeeze(2)
