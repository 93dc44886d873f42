"""Box bounds by the projected two-metric method.

D. P. Bertsekas, "Projected Newton methods for optimization problems with simple constraints", SIAM J. Control and
Optimization 20 (1982): variables at a bound whose gradient points outwards are held, the others take a quasi-Newton
step among themselves, and the step is clamped to the box.

# Deviates from L-BFGS-B (Byrd et al. 1995): no generalised Cauchy point; the free variables are those of the iterate.

Shapes: n values of a row; every function takes one row (n,) or A rows (A, n).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

Bound = float | Tensor


@dataclass(frozen=True)
class Bounds:
    """Lower and upper bounds: two 0-dimensional tensors for all rows, or two (B, n) ones."""

    low: Tensor
    high: Tensor

    @staticmethod
    def of(bounds: tuple[Bound, Bound], images: Tensor) -> Bounds:
        """Bounds for a parameter of shape (B, ...).

        Raises:
            ValueError: not two bounds, a shape that does not broadcast, or a lower bound above its upper one.
        """
        if len(bounds) != 2:
            raise ValueError(f"bounds has {len(bounds)} entries; give a pair (low, high) of numbers or tensors.")
        low, high = (torch.as_tensor(b, dtype=images.dtype, device=images.device) for b in bounds)
        try:
            wide = [torch.broadcast_to(b, images.shape) for b in (low, high)]
        except RuntimeError:
            shapes = f"{tuple(low.shape)} and {tuple(high.shape)}"
            raise ValueError(f"bounds of shapes {shapes} do not broadcast to {tuple(images.shape)}.") from None
        if not bool((low <= high).all()):
            raise ValueError("bounds has a lower bound above its upper bound, or one that is not a number.")
        if low.dim() == 0 and high.dim() == 0:
            return Bounds(low, high)
        flat = [b.reshape(images.shape[0], -1) for b in wide]
        return Bounds(flat[0], flat[1])

    def at(self, rows: int | Tensor) -> Bounds:
        """The bounds of one row (n,), or of the rows of an index tensor (A, n)."""
        return self if self.low.dim() == 0 else Bounds(self.low[rows], self.high[rows])

    def clamp_(self, x: Tensor) -> Tensor:
        """Move x into the box, in place."""
        return x.clamp_(self.low, self.high)

    def outwards(self, x: Tensor, direction: Tensor) -> Tensor:
        """True where x is at a bound and the direction leaves the box."""
        return ((x <= self.low) & (direction < 0)) | ((x >= self.high) & (direction > 0))

    def held(self, x: Tensor, gradient: Tensor) -> Tensor:
        """True for each held variable: at a bound, its gradient pointing out (Bertsekas 1982, eq. 32 with ε = 0)."""
        return ((x <= self.low) & (gradient > 0)) | ((x >= self.high) & (gradient < 0))

    def free(self, x: Tensor, gradient: Tensor) -> Tensor:
        """1 for each free variable, 0 for each held one, in x's dtype."""
        return self.held(x, gradient).logical_not_().to(x.dtype)
