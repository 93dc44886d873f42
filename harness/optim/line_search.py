"""Line searches as state machines of per-row scalars: one evaluation in, one decision out, no row waits for another.

J. Nocedal & S. Wright, *Numerical Optimization* (2nd ed. 2006): backtracking is algorithm 3.1 with the interpolation of
section 3.5, strong Wolfe is algorithms 3.5 (extrapolate until a bracket is found) and 3.6 (zoom) with the cubic of
eq. 3.59. φ(t) is the loss at step length t. Symbols: t ``step_size``, φ(0) ``base_loss``, φ'(0) ``base_slope``,
α_lo ``low_t``, α_hi ``high_t``; while extrapolating, α_lo is the previous trial.

Every value is a tensor (A,) of A rows and every operation acts on each row alone, so that a row's numbers do not depend
on its neighbours, nothing waits for the device, and the state is plain tensors (it is saved with the row).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

LineSearch = Literal["none", "backtracking", "strong_wolfe"]

Table = dict[str, Tensor]
"""Per-row scalars by name, each (A,)."""

SUFFICIENT_DECREASE = 1e-4  # c₁, N&W section 3.1
CURVATURE = 0.9  # c₂, the same, for quasi-Newton directions
SHORTEST, LONGEST = 0.1, 0.5  # a backtracked step lies within these parts of the last one, N&W section 3.5
FARTHEST = 10.0  # an extrapolated step is at most ten times the last one, as in torch.optim.LBFGS
NARROW = 0.1  # a bracket this narrow relative to its far end is searched no further: xtol of L-BFGS-B's dcsrch
MAX_NONFINITE_TRIALS = 5  # trials of a search that may be non-finite (each is followed by a ten times shorter one)

FRESH: dict[str, float | int | bool] = {
    "step_size": 0.0,
    "base_loss": 0.0,
    "base_slope": 0.0,
    "num_trials": 0,
    "zooming": False,
    "near_end": False,
    "low_t": 0.0,
    "low_loss": 0.0,
    "low_slope": 0.0,
    "high_t": 0.0,
    "high_loss": 0.0,
    "high_slope": 0.0,
}


class SearchStep(NamedTuple):
    """What a trial led to; at most one of the first three is true of a row, where none is the search goes on.

    Attributes:
        accept: the trial ends the search.
        accept_low: the search ends at the earlier point ``low_t``, whose gradient was kept.
        exhausted: the search ends without any lower point.
        new_low: the trial is the new ``low_t``: its gradient is to be kept.
    """

    accept: Tensor
    accept_low: Tensor
    exhausted: Tensor
    new_low: Tensor


def begin(table: Table, rows: Tensor, loss: Tensor, slope: Tensor, step_size: Tensor) -> None:
    """Start a search in some rows.

    Args:
        table: changed in place of its entries.
        rows: (A,) bool.
        loss: φ(0).
        slope: φ'(0) < 0.
        step_size: first trial.
    """
    start: Table = {"base_loss": loss, "base_slope": slope, "low_loss": loss, "low_slope": slope}
    start["step_size"] = step_size
    for name, fresh in FRESH.items():
        table[name] = torch.where(rows, start.get(name, torch.full_like(table[name], fresh)), table[name])


def cubic_minimum(
    t1: Tensor, f1: Tensor, d1: Tensor, t2: Tensor, f2: Tensor, d2: Tensor, low: Tensor, high: Tensor
) -> Tensor:
    """Minimiser, clamped, of the cubic through two points with slopes (N&W eq. 3.59); the middle if there is none."""
    a = d1 + d2 - 3.0 * (f1 - f2) / (t1 - t2)
    square = a * a - d1 * d2
    b = torch.where(t2 >= t1, 1.0, -1.0) * square.clamp_min(0.0).sqrt()
    t = t2 - (t2 - t1) * ((d2 + b - a) / (d2 - d1 + 2.0 * b))
    return torch.where((square >= 0.0) & t.isfinite(), t.clamp(low, high), (low + high) / 2.0)


def backtracking(
    table: Table, loss: Tensor, slope: Tensor, decrease: Tensor, max_trials: int
) -> tuple[SearchStep, Table]:
    """Armijo's condition, then a shorter step by quadratic interpolation (N&W algorithm 3.1, eq. 3.58).

    Args:
        table: the rows' state.
        loss: φ(t), +inf where it was not finite.
        slope: unused: this search needs no derivative at the trial.
        decrease: φ'(0) t; within bounds ∇f(x₀)ᵀ(x(t) − x₀) (Bertsekas 1982).
        max_trials: evaluations after which the search is exhausted.

    Returns:
        The verdict and the new state, for every row whether it is searching or not.
    """
    t, num_trials = table["step_size"], table["num_trials"] + 1
    accept = loss <= table["base_loss"] + SUFFICIENT_DECREASE * decrease
    rise = loss - table["base_loss"] - table["base_slope"] * t
    shorter = -table["base_slope"] * t * t / (2.0 * rise)
    shorter = torch.where(shorter.isfinite(), shorter.clamp(SHORTEST * t, LONGEST * t), SHORTEST * t)
    never = torch.zeros_like(accept)
    exhausted = ~accept & (num_trials >= max_trials)
    return SearchStep(accept, never, exhausted, never), {**table, "step_size": shorter, "num_trials": num_trials}


def strong_wolfe(
    table: Table, loss: Tensor, slope: Tensor, decrease: Tensor, max_trials: int
) -> tuple[SearchStep, Table]:
    """The strong Wolfe conditions by bracketing and zooming (N&W algorithms 3.5 and 3.6).

    # Deviates from N&W algorithm 3.6: a narrow bracket (``NARROW``) or ``max_trials`` ends the search at its low point.

    Args:
        table: the rows' state.
        loss: φ(t), +inf where it was not finite.
        slope: φ'(t).
        decrease: φ'(0) t; within bounds ∇f(x₀)ᵀ(x(t) − x₀) (Bertsekas 1982).
        max_trials: evaluations after which the search takes its low point.

    Returns:
        The verdict and the new state, for every row whether it is searching or not.
    """
    t, num_trials, zooming = table["step_size"], table["num_trials"] + 1, table["zooming"]
    low = (table["low_t"], table["low_loss"], table["low_slope"])
    high = (table["high_t"], table["high_loss"], table["high_slope"])
    trial = (t, loss, slope)

    too_high = ~(loss <= table["base_loss"] + SUFFICIENT_DECREASE * decrease)
    too_high |= (loss >= low[1]) & (zooming | (num_trials > 1))
    accept = ~too_high & (slope.abs() <= -CURVATURE * table["base_slope"])
    new_low = ~too_high & ~accept
    turned = torch.where(zooming, slope * (high[0] - low[0]), slope) >= 0.0  # the minimum lies behind the trial
    high = tuple(
        torch.where(too_high, new, torch.where(new_low & turned, former_low, old))
        for new, former_low, old in zip(trial, low, high, strict=True)
    )  # type: ignore[assignment]
    former_t = low
    low = tuple(torch.where(new_low, new, old) for new, old in zip(trial, low, strict=True))  # type: ignore[assignment]
    bracketed = zooming | too_high | (new_low & turned)

    left, right = torch.minimum(low[0], high[0]), torch.maximum(low[0], high[0])
    width = right - left
    inside = cubic_minimum(*low, *high, left, right)
    inside, near_end = _keep_off_ends(inside, left, right, table["near_end"])
    inside = torch.where(high[1].isinf(), low[0] + SHORTEST * (high[0] - low[0]), inside)
    outside = cubic_minimum(*former_t, *trial, t + 0.01 * (t - former_t[0]), FARTHEST * t)

    over = ~accept & ((num_trials >= max_trials) | (bracketed & (width <= NARROW * right)))
    accept = accept | (over & new_low)
    accept_low = over & ~new_low & (low[0] > 0.0)
    exhausted = over & ~new_low & (low[0] <= 0.0)
    state = {
        **table,
        "step_size": torch.where(bracketed, inside, outside),
        "num_trials": num_trials,
        "zooming": bracketed,
        "near_end": bracketed & near_end,
    }
    for name, point in (("low", low), ("high", high)):
        state[f"{name}_t"], state[f"{name}_loss"], state[f"{name}_slope"] = point
    return SearchStep(accept, accept_low, exhausted, new_low & ~accept), state


def _keep_off_ends(t: Tensor, left: Tensor, right: Tensor, near_end: Tensor) -> tuple[Tensor, Tensor]:
    """Move a trial that lies at an end of its bracket, or near one twice running, a tenth inwards (as torch does)."""
    margin = 0.1 * (right - left)
    near = torch.minimum(right - t, t - left) < margin
    move = near & (near_end | (t >= right) | (t <= left))
    inwards = torch.where(right - t < t - left, right - margin, left + margin)
    return torch.where(move, inwards, t), near & ~move
