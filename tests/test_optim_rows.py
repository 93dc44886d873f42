"""Rows are independent: neighbours, failures, leaving, refilling and resuming never change another row's numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optim_problems import PROBLEMS, Problem, quadratic, rosenbrock, run
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from harness.optim import BatchedAdam, BatchedLBFGS, BatchedOptimizer, RowStatus

Make = Callable[[Tensor], BatchedOptimizer]


def lbfgs(line_search: str, **options) -> Make:
    return lambda start: BatchedLBFGS(
        [nn.Parameter(start.clone())], line_search=line_search, **{"history": 4, **options}
    )


MAKERS: dict[str, Make] = {
    "none": lbfgs("none"),
    "backtracking": lbfgs("backtracking"),
    "strong_wolfe": lbfgs("strong_wolfe"),
    "none bounded": lbfgs("none", bounds=(0.0, 0.7)),
    "strong_wolfe bounded": lbfgs("strong_wolfe", bounds=(0.0, 0.7)),
    "adam": lambda start: BatchedAdam([nn.Parameter(start.clone())], learning_rate=0.1),
    "adam bounded": lambda start: BatchedAdam([nn.Parameter(start.clone())], learning_rate=0.1, bounds=(0.0, 0.7)),
    "batched none": lbfgs("none", row_by_row=False),
    "batched strong_wolfe": lbfgs("strong_wolfe", row_by_row=False),
    "batched adam": lambda start: BatchedAdam([nn.Parameter(start.clone())], row_by_row=False),
}
every_optimizer = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
row_by_row = pytest.mark.parametrize(
    "make", [m for name, m in MAKERS.items() if "batched" not in name], ids=[n for n in MAKERS if "batched" not in n]
)


def starts(num: int = 6, n: int = 8, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(num, n, generator=torch.Generator().manual_seed(7), dtype=torch.float64).to(dtype)


def poisoned(problem: Problem, what: float, after: int = 0, gradient_only: bool = False) -> Problem:
    """A problem that is not finite from its ``after``-th evaluation on."""
    calls = iter(range(10**6))

    def evaluate(x: Tensor) -> Tensor:
        loss = problem(x)
        if next(calls) < after:
            return loss
        if gradient_only:
            x.register_hook(lambda g: g * what)
            return problem(x)
        return loss * what

    return evaluate


@row_by_row
@given(
    conditions=st.lists(st.floats(0.0, 4.0), min_size=2, max_size=4),
    n=st.integers(1, 37),
    seed=st.integers(0, 2**31),
    double=st.booleans(),
)
@settings(deadline=None, max_examples=6)
def test_row_equals_solo_run(make, conditions, n, seed, double) -> None:
    dtype = torch.float64 if double else torch.float32
    generator = torch.Generator().manual_seed(seed)
    problems = []
    for exponent in conditions:
        basis = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))[0]
        matrix = basis @ torch.diag(torch.logspace(0, exponent, n, dtype=torch.float64)) @ basis.T
        problems.append(quadratic(matrix.to(dtype), torch.rand(n, generator=generator).to(dtype)))
    start = torch.rand(len(problems), n, generator=generator, dtype=torch.float64).to(dtype)
    losses, points = run(make(start), problems, 20)
    for i, problem in enumerate(problems):
        solo_losses, solo = run(make(start[i : i + 1]), [problem], 20)
        assert torch.equal(points[:, i], solo[:, 0])
        assert torch.equal(losses[:, i], solo_losses[:, 0])


@every_optimizer
@pytest.mark.parametrize(("what", "after"), [(torch.nan, 0), (torch.inf, 1), (torch.nan, 5)])
def test_nonfinite_row_leaves_neighbours_unchanged(make, what, after) -> None:
    problems = list(PROBLEMS.values())
    problems[2] = rosenbrock
    expected_losses, expected = run(make(starts()), problems, 20)
    problems[2] = poisoned(problems[2], what, after)
    optimizer = make(starts())
    losses, points = run(optimizer, problems, 20)
    others = [0, 1, 3, 4, 5]
    assert torch.equal(points[:, others], expected[:, others])
    assert torch.equal(losses[:, others], expected_losses[:, others])
    assert points.isfinite().all()
    statuses = optimizer.statuses()
    assert statuses[2] is RowStatus.FAILED and RowStatus.FAILED not in [statuses[i] for i in others]
    assert torch.equal(optimizer.images[2], optimizer.best_images[2])
    if after == 0:
        assert torch.equal(points[:, 2], points[:1, 2].expand(20, -1)) and optimizer.best_losses[2] == torch.inf
    else:
        assert optimizer.best_losses[2] == expected_losses[:after, 2].min()


@every_optimizer
def test_nonfinite_gradient_fails_like_a_nonfinite_loss(make) -> None:
    problems = list(PROBLEMS.values())
    problems[2] = rosenbrock
    _, expected = run(make(starts()), problems, 12)
    problems[2] = poisoned(problems[2], torch.nan, 3, gradient_only=True)
    optimizer = make(starts())
    _, points = run(optimizer, problems, 20)
    assert torch.equal(points[:12, 3], expected[:, 3]) and points.isfinite().all()
    assert optimizer.statuses()[2] is RowStatus.FAILED


@pytest.mark.parametrize("name", ["none", "adam", "batched none", "batched adam"])
def test_nonfinite_row_restarts_from_its_best_iterate_at_half_the_rate(name) -> None:
    def hiccup(problem: Problem, at: int) -> Problem:
        calls = iter(range(10**6))
        return lambda x: problem(x) * (torch.nan if next(calls) == at else 1.0)

    optimizer = MAKERS[name](starts(1))
    losses, points = run(optimizer, [hiccup(rosenbrock, 6)], 8)
    best = losses[:6, 0].argmin()
    assert torch.equal(points[7, 0], points[best, 0]) and torch.equal(losses[7], losses[best])
    fresh = MAKERS[name](points[best])
    fresh.param_groups[0]["lr"] *= 0.5
    again, anew = run(optimizer, [rosenbrock], 15)[1], run(fresh, [rosenbrock], 16)[1][1:]
    torch.testing.assert_close(again, anew, rtol=1e-4, atol=1e-5)  # batched: sums over places that are empty here
    assert torch.equal(again, anew) or name == "batched none"
    assert optimizer.statuses() == [RowStatus.RUNNING]


@pytest.mark.parametrize("num", [0, 1, 3])
def test_row_restarts_as_often_as_allowed_then_fails(num) -> None:
    optimizer = BatchedLBFGS([nn.Parameter(starts(1))], max_restarts=num)
    problem = [poisoned(rosenbrock, torch.nan, 2)]
    run(optimizer, problem, 2 + num)
    assert optimizer.statuses() == [RowStatus.RUNNING]
    run(optimizer, problem, 1)
    assert optimizer.statuses() == [RowStatus.FAILED]


@every_optimizer
def test_dropped_row_leaves_neighbours_unchanged(make) -> None:
    problems = list(PROBLEMS.values())
    _, expected = run(make(starts()), problems, 20)
    optimizer = make(starts())
    run(optimizer, problems, 9)
    optimizer.drop([1, 4])
    assert optimizer.active == [0, 2, 3, 5]
    frozen = optimizer.images.detach()[[1, 4]].clone()
    losses, points = run(optimizer, problems, 11)
    assert losses.shape == (11, 4)
    assert torch.equal(points[:, [0, 2, 3, 5]], expected[9:, [0, 2, 3, 5]])
    assert torch.equal(optimizer.images.detach()[[1, 4]], frozen)
    with pytest.raises(ValueError, match=r"rows \[1\] are not active"):
        optimizer.drop([1])
    optimizer.drop(optimizer.active)
    assert optimizer.active == []


@every_optimizer
@pytest.mark.parametrize("dropped_before", [True, False])
def test_refilled_slot_is_a_fresh_row(make, dropped_before) -> None:
    problems = list(PROBLEMS.values())
    _, expected = run(make(starts()), problems, 20)
    optimizer = make(starts())
    run(optimizer, problems, 9)
    if dropped_before:
        optimizer.drop([2])
    optimizer.images.data[2] = starts()[4]
    optimizer.refill(2)
    assert optimizer.active == list(range(6))
    problems[2] = problems[4]
    _, points = run(optimizer, problems, 11)
    assert torch.equal(points[:, 2], expected[:11, 4])
    assert torch.equal(points[:, [0, 1, 3, 4, 5]], expected[9:, [0, 1, 3, 4, 5]])


@every_optimizer
@pytest.mark.parametrize("at", [0, 2, 5, 13])
def test_resumed_rows_equal_the_uninterrupted_run(make, at, tmp_path) -> None:
    problems = list(PROBLEMS.values())
    expected_losses, expected = run(make(starts()), problems, 20)
    optimizer = make(starts())
    run(optimizer, problems, at)
    for i in range(len(problems)):
        save_file(optimizer.row_state(i), tmp_path / f"{i}.safetensors")
    order = [3, 0, 5]  # a row may go on in another slot beside other neighbours
    resumed = make(torch.full((3, 8), 0.5))
    for slot, i in enumerate(order):
        resumed.load_row_state(slot, load_file(tmp_path / f"{i}.safetensors"))
    losses, points = run(resumed, [problems[i] for i in order], 20 - at)
    assert torch.equal(points, expected[at:, order]) and torch.equal(losses, expected_losses[at:, order])
    best = make(starts())
    run(best, problems, 20)
    assert torch.equal(resumed.best_losses, best.best_losses[order])
    assert torch.equal(resumed.best_images, best.best_images[order])


@pytest.mark.parametrize("row_by_row", [True, False])
def test_resumed_search_may_end_at_its_low_point(row_by_row) -> None:
    make = lbfgs("strong_wolfe", row_by_row=row_by_row)
    # valleys with a kink have no strong Wolfe point: the bracket narrows until its low point is taken
    problems = [lambda x, i=i: (x.sum() - i).abs() + 0.01 * rosenbrock(x) for i in range(6)]
    whole = make(starts())
    num_low_points = 0
    for _ in range(25):
        halfway = make(starts())
        for i in range(len(problems)):
            halfway.load_row_state(i, whole.row_state(i))
        former = whole._table["base_loss"].clone()
        losses, _ = run(whole, problems, 1)
        run(halfway, problems, 1)
        assert torch.equal(whole.images, halfway.images)
        for i, problem in enumerate(problems):  # whatever point became x_k, the gradient kept is its own
            state = whole.row_state(i)
            gradient = torch.func.grad(problem)(state["memory.base"])
            torch.testing.assert_close(state["memory.gradient"], gradient, rtol=1e-4, atol=1e-4)
        turned = whole._table["base_loss"] != former
        num_low_points += int((turned & (whole._table["base_loss"] != losses[0].double())).sum())
    assert num_low_points > 3


@every_optimizer
def test_state_dict_makes_the_round_trip(make, tmp_path) -> None:
    problems = list(PROBLEMS.values())
    optimizer = make(starts())
    run(optimizer, problems, 7)
    optimizer.drop([5])
    torch.save(optimizer.state_dict(), tmp_path / "state.pt")
    _, expected = run(optimizer, problems, 10)
    resumed = make(starts())
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert resumed.active == [0, 1, 2, 3, 4]
    assert torch.equal(run(resumed, problems, 10)[1], expected)


def test_history_is_saved_only_as_far_as_it_is_filled() -> None:
    for layout in (True, False):
        optimizer = BatchedLBFGS([nn.Parameter(starts(1))], history=50, row_by_row=layout)
        run(optimizer, [rosenbrock], 4)
        assert optimizer.row_state(0)["memory.pairs.steps"].shape == (3, 8)


def test_foreign_row_states_are_sentences() -> None:
    optimizer = BatchedLBFGS([nn.Parameter(starts(2))])
    with pytest.raises(ValueError, match=r"image is \(4,\); this batch has \(8,\)"):
        optimizer.load_row_state(0, BatchedLBFGS([nn.Parameter(torch.zeros(1, 4))]).row_state(0))
    with pytest.raises(ValueError, match="another optimiser"):
        optimizer.load_row_state(0, BatchedAdam([nn.Parameter(starts(1))]).row_state(0))


@every_optimizer
def test_row_with_zero_gradient_has_converged_and_stays(make) -> None:
    start = torch.full((2, 8), 0.5)
    problems = [lambda x: ((x - 0.5) ** 2).sum(), rosenbrock]
    optimizer = make(start)
    run(optimizer, problems, 5)
    assert optimizer.statuses()[0] is RowStatus.CONVERGED
    assert torch.equal(optimizer.images[0], start[0]) and optimizer.best_losses[0] == 0.0


def test_relative_tolerance_stops_a_row_whatever_the_scale_of_its_loss() -> None:
    optimizer = BatchedLBFGS([nn.Parameter(starts(2))], gradient_tolerance=1e-2, line_search="strong_wolfe")
    _, points = run(optimizer, [rosenbrock, lambda x: 2.0**30 * rosenbrock(x)], 60)
    assert optimizer.statuses() == [RowStatus.CONVERGED] * 2
    for i in range(2):
        gradients = [torch.func.grad(rosenbrock)(x[i]).abs().max() for x in points]
        stopped = next(k for k in range(60) if torch.equal(points[k, i], points[-1, i]))
        assert gradients[stopped] <= 1e-2 * gradients[0] < min(gradients[:stopped])


def test_statuses_are_sentences() -> None:
    for status in RowStatus:
        assert status.value.endswith(".") and len(status.value) > 20
    assert len({status.code for status in RowStatus}) == len(RowStatus)


@every_optimizer
def test_best_iterate_is_the_lowest_point_measured(make) -> None:
    problems = list(PROBLEMS.values())
    optimizer = make(starts())
    losses, points = run(optimizer, problems, 25)
    lowest = losses.double().argmin(0)
    for i in range(6):
        assert torch.equal(optimizer.best_images[i], points[lowest[i], i])
        assert optimizer.best_losses[i] == losses[lowest[i], i].double()


@pytest.mark.parametrize("kind", [BatchedAdam, BatchedLBFGS])
@pytest.mark.parametrize("layout", [True, False])
def test_last_evaluated_is_the_point_of_the_losses(kind, layout) -> None:
    optimizer = kind([nn.Parameter(starts(2))], keep_last=True, row_by_row=layout)
    for _ in range(5):
        _, points = run(optimizer, [rosenbrock] * 2, 1)
        assert torch.equal(optimizer.last_evaluated, points[0])
        assert not torch.equal(optimizer.last_evaluated, optimizer.images)


@pytest.mark.parametrize("layout", [True, False])
def test_adam_is_torchs_in_every_row(layout) -> None:
    problems = list(PROBLEMS.values())
    optimizer = BatchedAdam([nn.Parameter(starts(dtype=torch.float64))], learning_rate=0.05, row_by_row=layout)
    _, points = run(optimizer, problems, 50)
    for i, problem in enumerate(problems):
        x = nn.Parameter(starts(dtype=torch.float64)[i].clone())
        reference = torch.optim.Adam([x], lr=0.05)
        for point in points[:, i]:
            torch.testing.assert_close(point, x.detach(), rtol=1e-9, atol=1e-12)
            reference.zero_grad()
            problem(x).backward()
            reference.step()


@every_optimizer
def test_images_of_any_shape_are_the_same_problem(make) -> None:
    flat = starts(2, 12)
    _, expected = run(make(flat), [rosenbrock] * 2, 10)
    _, points = run(make(flat.view(2, 3, 2, 2)), [rosenbrock] * 2, 10)
    assert torch.equal(points.flatten(2), expected)
