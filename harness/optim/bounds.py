"""Box bounds by the projected two-metric method.

D. P. Bertsekas, "Projected Newton methods for optimization problems with simple constraints", SIAM J. Control and
Optimization 20 (1982): variables at a bound whose gradient points outwards are held, the others take a quasi-Newton
step among themselves, and the step is clamped to the box.

# Deviates from L-BFGS-B (Byrd et al. 1995): no generalised Cauchy point; the free variables are those of the iterate.

Shapes: n values of a row, in C channels; every function takes one row (n,) or A rows (A, n), within the bounds.
Nothing is compared: on the CPU torch's comparisons are slower than its sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

Bound = float | Tensor


@dataclass(frozen=True)
class Bounds:
    """Lower and upper bounds, (B, C, 1), or (B, C, n / C) where a channel's values have bounds of their own."""

    low: Tensor
    high: Tensor

    @staticmethod
    def of(bounds: tuple[Bound, Bound], images: Tensor) -> Bounds:
        """Bounds for a parameter of shape (B, C, ...) or (B, n).

        Raises:
            ValueError: not two bounds, a shape that does not broadcast, or a lower bound above its upper one.
        """
        if len(bounds) != 2:
            raise ValueError(f"bounds has {len(bounds)} entries; give a pair (low, high) of numbers or tensors.")
        low, high = (torch.as_tensor(b, dtype=images.dtype, device=images.device) for b in bounds)
        try:
            for bound in (low, high):
                torch.broadcast_to(bound, images.shape)
        except RuntimeError:
            shapes = f"{tuple(low.shape)} and {tuple(high.shape)}"
            raise ValueError(f"bounds of shapes {shapes} do not broadcast to {tuple(images.shape)}.") from None
        if not bool((low <= high).all()):
            raise ValueError("bounds has a lower bound above its upper bound, or one that is not a number.")
        return Bounds(_by_channel(low, images), _by_channel(high, images))

    def at(self, rows: int | Tensor) -> Bounds:
        """The bounds of one row, or of the rows of an index tensor (A,)."""
        return Bounds(self.low[rows], self.high[rows])

    def clamp_(self, x: Tensor) -> Tensor:
        """Move x into the box, in place."""
        self._channels(x).clamp_min_(self.low).clamp_max_(self.high)
        return x

    def inwards(self, x: Tensor, direction: Tensor) -> Tensor:
        """The direction without what leaves the box at once; a new tensor."""
        down, up = self._room(x)
        return up.mul_(direction.clamp_min(0.0)).addcmul_(down, direction.clamp_max(0.0))

    def free_gradient(self, x: Tensor, gradient: Tensor) -> Tensor:
        """The gradient, 0 for each held variable; a new tensor."""
        down, up = self._room(x)
        return down.mul_(gradient.clamp_min(0.0)).addcmul_(up, gradient.clamp_max(0.0))

    def free(self, x: Tensor, gradient: Tensor) -> Tensor:
        """1 for each free variable, 0 for each held one, in x's dtype.

        Held is what lies at a bound with its gradient pointing out (Bertsekas 1982, eq. 32 with ε = 0).
        """
        sign = gradient.sign()
        return self.free_gradient(x, sign).sub_(sign).abs_().neg_().add_(1.0)

    def _room(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """1 where x can still fall, and where it can still rise, otherwise 0; two new tensors like x."""
        channels = self._channels(x)
        down, up = channels - self.low, self.high - channels
        return down.sign_().clamp_min_(0.0).view_as(x), up.sign_().clamp_min_(0.0).view_as(x)

    def _channels(self, x: Tensor) -> Tensor:
        """(C, n / C) or (A, C, n / C); a view."""
        return x.view(*x.shape[:-1], self.low.shape[-2], -1)


def _by_channel(bound: Tensor, images: Tensor) -> Tensor:
    """A bound that broadcasts to (B, C, ...), as (B, C, 1) if it can be, or (B, C, n / C)."""
    rows, num_channels = images.shape[0], images.shape[1] if images.dim() > 2 else 1
    bound = bound.reshape((1,) * (images.dim() - bound.dim()) + bound.shape)
    if images.dim() <= 2:
        return bound.reshape(len(bound), 1, -1).expand(rows, -1, -1)
    if bound[0, 0].numel() > 1:
        bound = bound.expand(*bound.shape[:2], *images.shape[2:])
    return bound.flatten(2).expand(rows, num_channels, -1)
