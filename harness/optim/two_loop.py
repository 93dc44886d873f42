"""The two-loop recursion of L-BFGS, for one row or for a batch of rows.

J. Nocedal & S. Wright, *Numerical Optimization* (2nd ed. 2006), algorithm 7.4; symbols: s step, y gradient difference,
ρ = 1 / yᵀs, γ = yᵀs / yᵀy (eq. 7.20), H₀ initial inverse Hessian. One row has vectors (n,) and 0-dimensional
coefficients, a batch (A, n) and (A,). A row's sum must not depend on its neighbours: ``a[i] @ b[i]`` is the solo sum
bit for bit on the CPU, ``(a * b).sum(1)`` is not, and is used on the GPU only (a matrix product might round to TF32).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Pair = tuple[Tensor, Tensor, Tensor]
"""s, y, ρ"""

PairAt = Callable[[int], Pair]
"""The j-th newest pair, j = 0 the newest."""

Preconditioner = Callable[[Tensor], Tensor]
"""H₀ but for its scale γ: a symmetric positive definite map; returns a new tensor."""


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product of two vectors (n,) → (), or row by row of two batches (A, n) → (A,)."""
    return a @ b if a.dim() == 1 else (a * b).sum(1)


def column(scalars: Tensor) -> Tensor:
    """Per-row scalars (A,) as a column (A, 1) that multiplies (A, n); a single row's () stays as it is."""
    return scalars if scalars.dim() == 0 else scalars.unsqueeze(1)


def add_scaled_(x: Tensor, scale: Tensor, v: Tensor, free: Tensor | None) -> Tensor:
    """X += scale · v in place, scale () or (A,); where there is a mask ``free``, in its ones only."""
    if x.dim() > 1:
        return x.addcmul_(v if free is None else v * free, column(scale))
    return x.add_(v, alpha=scale.item()) if free is None else x.addcmul_(v, free, value=scale.item())


def inverse_hessian_product(
    v: Tensor,
    num_pairs: int,
    pair: PairAt,
    scale: Tensor,
    precondition: Preconditioner | None = None,
    free: Tensor | None = None,
) -> Tensor:
    """H v by N&W algorithm 7.4, H₀ = scale · precondition.

    Args:
        v: (n,) or (A, n), overwritten.
        num_pairs: pairs to use; one with ρ = 0 changes nothing.
        pair: the j-th newest pair.
        scale: γ, () or (A,).
        precondition: H₀ / γ; the identity when left out.
        free: 1 for each free variable, 0 for each held one, where v must be 0; H is then that of the free variables.

    Returns:
        H v, in v's own memory where there is no preconditioner.
    """
    alphas = []
    for j in range(num_pairs):
        s, y, rho = pair(j)
        alphas.append(dot(s, v) * rho)
        add_scaled_(v, -alphas[j], y, free)
    if precondition is not None:
        v = precondition(v) if free is None else precondition(v).mul_(free)
    r = v.mul_(column(scale))
    for j in reversed(range(num_pairs)):
        s, y, rho = pair(j)
        add_scaled_(r, alphas[j] - dot(y, r) * rho, s, free)
    return r


def curvature(s: Tensor, y: Tensor, precondition: Preconditioner | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Whether a pair may enter the history: yᵀs > ε ‖y‖ ‖s‖, ε the dtype's rounding.

    # Deviates from torch.optim.LBFGS: it asks yᵀs > 1e-10, which stops learning from small losses.

    Returns:
        accepted, ρ = 1 / yᵀs (0 where not accepted), γ = yᵀs / yᵀH₀y (N&W eq. 7.20; H₀ = precondition).
    """
    ys, yy = dot(y, s), dot(y, y)
    accepted = ys > torch.finfo(s.dtype).eps * (yy.sqrt() * dot(s, s).sqrt())
    gamma = ys / (yy if precondition is None else dot(y, precondition(y)))
    return accepted, torch.where(accepted, 1.0 / ys, 0.0), gamma


def restricted(
    num_pairs: int, pair: PairAt, scale: Tensor, free: Tensor, precondition: Preconditioner | None = None
) -> tuple[PairAt, Tensor]:
    """The pairs' ρ and γ among the free variables alone; s and y stay whole (``inverse_hessian_product`` masks them).

    Costs three more inner products a pair; needed only where some variable is held. γ comes from the newest pair, and
    stays as it was where that pair says nothing about the free variables.
    """
    rhos: list[Tensor] = []
    for j in range(num_pairs):
        s, y, rho = pair(j)
        y_free = y * free
        ys, yy = dot(y_free, s), dot(y_free, y)
        usable = (ys > torch.finfo(s.dtype).eps * (yy.sqrt() * dot(s, s).sqrt())) & (rho != 0)
        rhos.append(torch.where(usable, 1.0 / ys, 0.0))
        if j == 0:
            gamma = ys / (yy if precondition is None else dot(y_free, precondition(y_free)))
            scale = torch.where(usable, gamma, scale)
    return lambda j: (*pair(j)[:2], rhos[j]), scale
