"""Standard test functions as rows of a batch, and the loops that drive an optimiser over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from harness.optim import BatchedOptimizer

Problem = Callable[[Tensor], Tensor]


def rosenbrock(x: Tensor) -> Tensor:
    return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()


def beale(x: Tensor) -> Tensor:
    a, b = x[0], x[1]
    rest = (x[2:] ** 2).sum()
    return (1.5 - a + a * b) ** 2 + (2.25 - a + a * b**2) ** 2 + (2.625 - a + a * b**3) ** 2 + rest


def booth(x: Tensor) -> Tensor:
    return (x[0] + 2 * x[1] - 7) ** 2 + (2 * x[0] + x[1] - 5) ** 2 + (x[2:] ** 2).sum()


def ill_conditioned(x: Tensor) -> Tensor:
    weights = torch.logspace(0, 5, x.numel(), dtype=x.dtype)
    return (weights * (x - 0.3) ** 2).sum()


def powell(x: Tensor) -> Tensor:
    a, b, c, d = x[0::4], x[1::4], x[2::4], x[3::4]
    return ((a + 10 * b) ** 2 + 5 * (c - d) ** 2 + (b - 2 * c) ** 4 + 10 * (a - d) ** 4).sum()


def dixon_price(x: Tensor) -> Tensor:
    i = torch.arange(2, x.numel() + 1, dtype=x.dtype)
    return (x[0] - 1) ** 2 + (i * (2 * x[1:] ** 2 - x[:-1]) ** 2).sum()


PROBLEMS: dict[str, Problem] = {
    "rosenbrock": rosenbrock,
    "beale": beale,
    "booth": booth,
    "ill_conditioned": ill_conditioned,
    "powell": powell,
    "dixon_price": dixon_price,
}


def quadratic(matrix: Tensor, centre: Tensor) -> Problem:
    """½ (x − c)ᵀ M (x − c)."""
    return lambda x: 0.5 * (x - centre) @ matrix @ (x - centre)


def closure_of(optimizer: BatchedOptimizer, problems: Sequence[Problem]) -> Callable[[], Tensor]:
    """The closure: each active slot's own problem at its own point."""
    images = optimizer.images

    def closure() -> Tensor:
        images.grad = None
        losses = torch.stack([problems[slot](images[slot].flatten()) for slot in optimizer.active])
        losses.sum().backward()
        return losses

    return closure


def run(optimizer: BatchedOptimizer, problems: Sequence[Problem], num_evaluations: int) -> tuple[Tensor, Tensor]:
    """Losses (k, A) and the points at which they were measured (k, B, ...)."""
    losses, points = [], []
    for _ in range(num_evaluations):
        points.append(optimizer.images.detach().clone())
        losses.append(optimizer.step(closure_of(optimizer, problems)))
    if not num_evaluations:
        return torch.empty(0, len(optimizer.active)), torch.empty(0, *optimizer.images.shape)
    return torch.stack(losses), torch.stack(points)
