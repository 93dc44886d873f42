"""Line searches: the conditions of Nocedal & Wright at what they accept, and scipy's minima at the end of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from optim_problems import PROBLEMS, run
from scipy.optimize import minimize
from torch import Tensor, nn

from harness.optim import BatchedLBFGS, RowStatus
from harness.optim import line_search as search

# φ, φ' along a direction: smooth, kinked far out, many minima, nearly flat, steep wall
FUNCTIONS = {
    "parabola": lambda t: (t - 3.0) ** 2,
    "far": lambda t: (t - 300.0) ** 2,
    "near": lambda t: (t - 3e-4) ** 2,
    "quartic": lambda t: (t - 2.0) ** 4 - t,
    "waves": lambda t: 0.05 * t**2 - t + torch.sin(5.0 * t),
    "wall": lambda t: torch.exp(8.0 * t) - 20.0 * t,
    # falls, rises again (but not above its start), falls
    "step": lambda t: 0.02 * t**2 - t + 0.0945 * torch.sigmoid((t - 0.06) / 0.003),
    "barrier": lambda t: -torch.log(1.0 - 4.0 * t) - 9.0 * t,
}


def evaluate(function, t: Tensor) -> tuple[Tensor, Tensor]:
    t = t.detach().clone().requires_grad_()
    value = function(t)
    return value.detach(), torch.autograd.grad(value, t)[0]


def fresh_table(num: int) -> search.Table:
    return {name: torch.full((num,), fresh) for name, fresh in search.FRESH.items()}  # doubles: see the fixture


def drive(algorithm, num_allowed: int) -> dict[str, tuple[float, int, bool]]:
    """Search along every function at once; the accepted t, evaluations, and whether it was exhausted, by name."""
    names = list(FUNCTIONS)
    zero = torch.zeros(len(names), dtype=torch.float64)
    table = fresh_table(len(names))
    base = [evaluate(f, zero[a]) for a, f in enumerate(FUNCTIONS.values())]
    value, slope = (torch.stack(v) for v in zip(*base, strict=True))
    search.begin(table, torch.ones(len(names), dtype=torch.bool), value, slope, torch.ones_like(zero))
    results: dict[str, tuple[float, int, bool]] = {}
    for count in range(1, num_allowed + 1):
        t = table["step_size"]
        measured = [evaluate(f, t[a]) for a, f in enumerate(FUNCTIONS.values())]
        value, slope = (torch.stack(v) for v in zip(*measured, strict=True))
        value = torch.where(value.isfinite(), value, torch.inf)
        verdict, state = algorithm(table, value, slope, table["base_slope"] * t, num_allowed)
        assert (verdict.accept.long() + verdict.accept_low.long() + verdict.exhausted.long()).max() <= 1
        for a, name in enumerate(names):
            if name in results:
                continue
            if verdict.accept[a]:
                results[name] = t[a].item(), count, False
            elif verdict.accept_low[a]:
                results[name] = state["low_t"][a].item(), count, False
            elif verdict.exhausted[a]:
                results[name] = 0.0, count, True
        table = state
    assert set(results) == set(names)
    return results


@pytest.fixture(autouse=True)
def _double():
    former = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(former)


def test_strong_wolfe_holds_at_what_is_accepted() -> None:
    for name, (t, num, exhausted) in drive(search.strong_wolfe, 25).items():
        value, slope = evaluate(FUNCTIONS[name], torch.tensor(t))
        start, descent = evaluate(FUNCTIONS[name], torch.tensor(0.0))
        assert not exhausted and num <= 12, name
        assert value <= start + 1e-4 * t * descent, name
        assert abs(slope) <= 0.9 * abs(descent), name


def test_armijo_holds_at_what_backtracking_accepts() -> None:
    for name, (t, num, exhausted) in drive(search.backtracking, 25).items():
        value, _ = evaluate(FUNCTIONS[name], torch.tensor(t))
        start, descent = evaluate(FUNCTIONS[name], torch.tensor(0.0))
        assert not exhausted and num <= 8 and 0 < t <= 1, name
        assert value <= start + 1e-4 * t * descent, name


@pytest.mark.parametrize("algorithm", [search.strong_wolfe, search.backtracking])
def test_search_ends_at_its_best_point_when_it_may_evaluate_no_more(algorithm) -> None:
    for name, (t, num, exhausted) in drive(algorithm, 2).items():
        assert num <= 2
        value, _ = evaluate(FUNCTIONS[name], torch.tensor(t))
        start, _ = evaluate(FUNCTIONS[name], torch.tensor(0.0))
        assert value < start or (exhausted and t == 0.0), name


def test_cubic_minimum_is_the_minimum_of_the_interpolated_cubic() -> None:
    polynomial = np.polynomial.Polynomial([2.0, -3.0, 0.5, 1.0])
    derivative = polynomial.deriv()
    (expected,) = [r.real for r in derivative.roots() if derivative.deriv()(r.real) > 0]
    for ends in ((0.0, 2.0), (2.0, 0.0)):
        points = [torch.tensor(v) for x in ends for v in (x, polynomial(x), derivative(x))]
        found = search.cubic_minimum(*points, torch.tensor(0.0), torch.tensor(2.0))
        assert found.item() == pytest.approx(expected, rel=1e-12)


def cubic(t1: float, f1: float, d1: float, t2: float, f2: float, d2: float) -> float:
    """N&W eq. 3.59, by numpy: the cubic in Hermite form, its derivative's root with positive curvature."""
    h = t2 - t1
    basis = [f1, d1 * h, 3 * (f2 - f1) - (2 * d1 + d2) * h, 2 * (f1 - f2) + (d1 + d2) * h]
    if abs(basis[3]) < 1e-9 * max(map(abs, basis)):
        basis.pop()  # a parabola
    derivative = np.polynomial.Polynomial(basis).deriv()
    minima = [r.real for r in derivative.roots() if abs(r.imag) < 1e-12 and derivative.deriv()(r.real) > 0]
    return t1 + h * minima[0] if minima else np.nan


def wolfe_by_nested_loops(function, first: float) -> list[float]:
    """The trials of N&W algorithms 3.5 and 3.6, written as they are printed; the last entry is the accepted step."""

    def phi(t: float) -> tuple[float, float]:
        value, slope = evaluate(function, torch.tensor(t))
        return (value.item() if value.isfinite() else np.inf), slope.item()

    f0, d0 = phi(0.0)
    trials: list[float] = []

    def zoom(low: tuple, high: tuple) -> float:
        near_before = False
        while True:
            left, right = min(low[0], high[0]), max(low[0], high[0])
            if right - left <= 0.1 * right:
                return low[0]
            if np.isinf(high[1]):
                t = low[0] + 0.1 * (high[0] - low[0])
            else:
                t = cubic(*low, *high)
                t = (left + right) / 2 if np.isnan(t) else min(max(t, left), right)
                margin = 0.1 * (right - left)
                if min(right - t, t - left) >= margin:
                    near_before = False
                elif near_before or t in (left, right):
                    t, near_before = (right - margin if right - t < t - left else left + margin), False
                else:
                    near_before = True
            trials.append(t)
            f, d = phi(t)
            if f > f0 + 1e-4 * t * d0 or f >= low[1]:
                high = (t, f, d)
            else:
                if abs(d) <= -0.9 * d0:
                    return t
                if d * (high[0] - low[0]) >= 0:
                    high = low
                low = (t, f, d)

    former, t, i = (0.0, f0, d0), first, 1
    while True:
        trials.append(t)
        f, d = phi(t)
        if f > f0 + 1e-4 * t * d0 or (f >= former[1] and i > 1):
            accepted = zoom(former, (t, f, d))
            break
        if abs(d) <= -0.9 * d0:
            accepted = t
            break
        if d >= 0:
            accepted = zoom((t, f, d), former)
            break
        middle = cubic(*former, t, f, d)
        nearest, farthest = t + 0.01 * (t - former[0]), 10 * t
        longer = (nearest + farthest) / 2 if np.isnan(middle) else min(max(middle, nearest), farthest)
        former, t, i = (t, f, d), longer, i + 1
    return [*trials, accepted]


def shallow(a: float, b: float, c: float):
    """Long descents with ripples: extrapolation, both ends of a bracket and several zooms all occur."""
    return lambda t: (t - a) ** 2 / a + b * torch.sin(c * t) - 2.0 * b * c * t / (1.0 + t)


@pytest.mark.parametrize("first", [0.01, 0.3, 1.0, 40.0])
def test_strong_wolfe_tries_what_the_printed_algorithm_tries(first) -> None:
    generator = np.random.default_rng(0)
    functions = [*FUNCTIONS.values()]
    functions += [
        shallow(*(generator.uniform(low, high) for low, high in ((0.5, 30), (0.1, 3), (0.5, 6)))) for _ in range(30)
    ]
    functions = [f for f in functions if evaluate(f, torch.tensor(0.0))[1] < 0]
    assert len(functions) > 25
    table = fresh_table(len(functions))
    base = [evaluate(f, torch.tensor(0.0)) for f in functions]
    value, slope = (torch.stack(v) for v in zip(*base, strict=True))
    search.begin(table, torch.ones(len(functions), dtype=torch.bool), value, slope, torch.full_like(value, first))
    expected = [wolfe_by_nested_loops(f, first) for f in functions]
    done: dict[int, float] = {}
    for k in range(60):
        t = table["step_size"]
        for a, trials in enumerate(expected):
            if a not in done:
                assert t[a].item() == pytest.approx(trials[k], rel=1e-6), (a, k)
        measured = [evaluate(f, t[a]) for a, f in enumerate(functions)]
        value, slope = (torch.stack(v) for v in zip(*measured, strict=True))
        value = torch.where(value.isfinite(), value, torch.inf)
        verdict, table = search.strong_wolfe(table, value, slope, table["base_slope"] * t, 60)
        for a, trials in enumerate(expected):
            if a not in done and (verdict.accept[a] or verdict.accept_low[a]):
                done[a] = t[a].item() if verdict.accept[a] else table["low_t"][a].item()
                assert k == len(trials) - 2
    assert len(done) == len(functions)
    for a, trials in enumerate(expected):
        assert done[a] == pytest.approx(trials[-1], rel=1e-6)


def scipy_minimum(problem, start: Tensor, bounds: tuple[float, float] | None) -> float:
    def value_and_gradient(x: np.ndarray) -> tuple[float, np.ndarray]:
        t = torch.tensor(x, requires_grad=True)
        value = problem(t)
        value.backward()
        return value.item(), t.grad.numpy()

    result = minimize(
        value_and_gradient,
        start.numpy(),
        jac=True,
        method="L-BFGS-B",
        bounds=None if bounds is None else [bounds] * len(start),
        options={"maxiter": 5000, "maxfun": 5000, "ftol": 1e-15, "gtol": 1e-10},
    )
    return result.fun


@pytest.mark.parametrize(
    ("bounds", "row_by_row"),
    [(None, True), ((0.1, 0.8), True), ((-0.5, 0.25), True), (None, False), ((0.1, 0.8), False)],
)
@pytest.mark.parametrize("line_search", ["backtracking", "strong_wolfe"])
def test_rows_of_one_batch_reach_scipys_minima(line_search, bounds, row_by_row) -> None:
    problems = list(PROBLEMS.values())
    start = torch.rand(len(problems), 8, generator=torch.Generator().manual_seed(0)) * 2 - 0.5
    start = start if bounds is None else start.clamp(*bounds)
    images = nn.Parameter(start.clone())
    optimizer = BatchedLBFGS([images], line_search=line_search, bounds=bounds, row_by_row=row_by_row)
    _, points = run(optimizer, problems, 80)
    for a, name in enumerate(PROBLEMS):
        expected = scipy_minimum(problems[a], start[a], bounds)
        assert optimizer.best_losses[a].item() <= expected + 1e-6 * max(1.0, abs(expected)), name
        assert problems[a](optimizer.best_images[a]).item() == optimizer.best_losses[a].item()
    if bounds is not None:
        assert bounds[0] <= points.min() and points.max() <= bounds[1]
    assert RowStatus.FAILED not in optimizer.statuses()


@pytest.mark.parametrize("row_by_row", [True, False])
def test_bounds_of_each_variable_and_row_are_kept(row_by_row) -> None:
    low = torch.tensor([[0.0, 0.3, -1.0, 0.0], [-1.0, -1.0, 0.5, 0.5]])
    high = low + torch.tensor([0.5, 0.6, 0.7, 0.8])
    centre = torch.tensor([0.6, 0.35, -2.0, 5.0])
    problems = [lambda x: ((x - centre) ** 2 * torch.tensor([1.0, 9.0, 30.0, 2.0])).sum()] * 2
    images = nn.Parameter(torch.zeros(2, 4))
    optimizer = BatchedLBFGS([images], line_search="strong_wolfe", bounds=(low, high), row_by_row=row_by_row)
    _, points = run(optimizer, problems, 25)
    assert ((points >= low) & (points <= high)).all()
    torch.testing.assert_close(optimizer.best_images, torch.minimum(torch.maximum(centre.expand(2, 4), low), high))


@pytest.mark.parametrize("line_search", ["backtracking", "strong_wolfe"])
@pytest.mark.parametrize("row_by_row", [True, False])
def test_trial_that_is_not_finite_is_followed_by_a_shorter_one(line_search, row_by_row) -> None:
    def barrier(x: Tensor) -> Tensor:
        return (-torch.log(1.0 - x) - 50.0 * x).sum()

    images = nn.Parameter(torch.zeros(1, 3))
    optimizer = BatchedLBFGS([images], learning_rate=10.0, line_search=line_search, row_by_row=row_by_row)
    losses, _ = run(optimizer, [barrier], 40)
    assert not losses.isfinite().all()  # it did overshoot
    assert optimizer.best_losses.item() == pytest.approx(3 * (-np.log(0.02) - 49.0), rel=1e-9)
    assert optimizer._table["num_restarts"].item() == 0


def test_row_without_a_lower_point_stalls_and_moves_no_more() -> None:
    optimizer = BatchedLBFGS([nn.Parameter(torch.ones(1, 2))], line_search="backtracking", max_line_search=4)
    wrong = [lambda x: x.sum() + 10.0 * (x.detach() - 1.0).abs().sum()]  # its gradient lies
    run(optimizer, wrong, 12)
    assert optimizer.statuses() == [RowStatus.STALLED]
    assert torch.equal(optimizer.images.detach(), torch.ones(1, 2))


@pytest.mark.parametrize("initial_hessian", ["scaled_identity", "fourier"])
@pytest.mark.parametrize("row_by_row", [True, False])
def test_directions_hold_variables_at_their_bounds(initial_hessian, row_by_row) -> None:
    start = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(3)) * 1.4 - 0.2  # many at bounds at once
    optimizer = BatchedLBFGS(
        [nn.Parameter(start)],
        line_search="strong_wolfe",
        bounds=(0.2, 0.8),
        initial_hessian=initial_hessian,
        row_by_row=row_by_row,
    )
    # in the last, one held variable's neighbours pull the other way, and the filter would pull it along
    problems = [PROBLEMS["rosenbrock"], PROBLEMS["dixon_price"], lambda x: (x[1:] + 3).pow(2).sum() - 0.1 * x[0]]
    start[2, 0, 0, 0] = 1.0
    num_held = 0
    for _ in range(25):
        run(optimizer, problems, 1)
        for i in range(3):
            state = optimizer.row_state(i)
            x, d, g = (state[f"memory.{name}"] for name in ("base", "direction", "gradient"))
            assert not ((x <= 0.2) & (d < 0)).any() and not ((x >= 0.8) & (d > 0)).any()
            held = ((x <= 0.2) & (g > 0)) | ((x >= 0.8) & (g < 0))
            assert (d[held] == 0).all()
            num_held += int(held.sum())
            assert state["base_slope"].item() == pytest.approx((g @ d).item(), rel=1e-12)
    assert num_held > 20
