"""Muon: momentum whose update is orthogonalised (Jordan et al. 2024, "Muon: An optimizer for hidden layers")."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised by five Newton-Schulz iterations.

    In a first trial (900 steps, one seed, an earlier recipe) it left 0.22 of the variance unexplained at rate 0.02 and
    diverged at 0.05; Adam left 0.42 and 0.36 at 4e-3 and 8e-3.

    # Deviates from Muon: the step is relative to the norm of the weights, so that one rate serves layers whose weights
    # differ in scale: ‖ΔW‖ is about ``learning_rate`` ‖W‖.
    """

    def __init__(self, parameters: Iterable[Tensor], learning_rate: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": learning_rate, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every (N, C, 3, 3) parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if "average" not in state:
                    state["average"] = torch.zeros_like(parameter)
                average = state["average"]
                average.lerp_(parameter.grad, 1 - group["momentum"])
                x = orthogonalised(parameter.grad.lerp(average, group["momentum"]).flatten(1))
                relative = group["lr"] * parameter.norm() / min(x.shape) ** 0.5
                parameter.sub_(x.view_as(parameter) * relative)


def orthogonalised(x: Tensor) -> Tensor:
    """A matrix with about the singular vectors of ``x`` and singular values near 1 (0.7 to 1.2)."""
    x = x / x.norm().clamp_min(1e-12)
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x
