"""L-BFGS against torch.optim.LBFGS, the dense BFGS matrix and its own contract of memory and synchronisation."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optim_problems import PROBLEMS, closure_of, dixon_price, powell, quadratic, rosenbrock, run
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from harness.optim import BatchedAdam, BatchedLBFGS
from harness.optim.bounds import Bounds
from harness.optim.pairs import Pairs
from harness.optim.preconditioner import FourierFilter

LINE_SEARCHES = ["none", "backtracking", "strong_wolfe"]


def torch_run(start: Tensor, problem, num: int, **options) -> tuple[Tensor, Tensor]:
    x = nn.Parameter(start.clone())
    optimizer = torch.optim.LBFGS([x], max_iter=1, **options)
    losses, points = [], []
    for _ in range(num):

        def closure() -> Tensor:
            x.grad = None
            loss = problem(x[0].flatten())
            loss.backward()
            return loss

        points.append(x.detach().clone())
        losses.append(optimizer.step(closure).detach())
    return torch.stack(losses), torch.stack(points)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("problem", "rate"), [(rosenbrock, 1.0), (rosenbrock, 0.3), (dixon_price, 1.0), (powell, 1.0)])
def test_lbfgs_equals_torch(problem, dtype, rate) -> None:
    start = (torch.rand(1, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 0.3).to(dtype)
    num = 18 if problem is dixon_price else 30  # torch's absolute thresholds end dixon_price there
    expected_losses, expected = torch_run(start, problem, num, lr=rate, history_size=5)
    optimizer = BatchedLBFGS([nn.Parameter(start.clone())], learning_rate=rate, history=5, overshoot=math.inf)
    losses, points = run(optimizer, [problem], num)
    # torch's two loops and the compact form round otherwise, and every step takes that further
    tolerance, first = (1e-6, num) if dtype is torch.float64 else (1e-3, 12)
    torch.testing.assert_close(points[:first], expected[:first], rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(losses[:first, 0], expected_losses[:first], rtol=tolerance, atol=1e-3 * tolerance)


def test_lbfgs_equals_torch_through_a_convolutional_network() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(8, 3, 3, 3), (8, 8, 3, 3)]
    layers = [torch.randn(s, generator=generator, dtype=torch.float64) / (3 * s[1] ** 0.5) for s in shapes]
    target = torch.rand(64, generator=generator, dtype=torch.float64)

    def gram_loss(x: Tensor) -> Tensor:
        f = x.view(1, 3, 10, 10)
        for weight in layers:
            f = torch.relu(torch.conv2d(f, weight, padding=1))
        f = f.flatten(2)[0]
        return ((f @ f.T / 100 - target.view(8, 8)) ** 2).sum() * 100

    start = torch.rand(1, 3, 10, 10, generator=generator, dtype=torch.float64)
    expected_losses, expected = torch_run(start, gram_loss, 40, history_size=10)
    optimizer = BatchedLBFGS([nn.Parameter(start.clone())], history=10, overshoot=math.inf)
    losses, points = run(optimizer, [gram_loss], 40)
    torch.testing.assert_close(points, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(losses[:, 0], expected_losses, rtol=1e-6, atol=1e-9)
    assert losses[-1] < 0.5 * losses[0]


def dense_inverse(pairs: list[tuple[Tensor, Tensor]], first: Tensor) -> Tensor:
    """H by the BFGS update H ← (I − ρ s yᵀ) H (I − ρ y sᵀ) + ρ s sᵀ (N&W eq. 6.17)."""
    h = first
    eye = torch.eye(len(first), dtype=first.dtype)
    for s, y in pairs:
        rho = 1.0 / (y @ s)
        h = (eye - rho * torch.outer(s, y)) @ h @ (eye - rho * torch.outer(y, s)) + rho * torch.outer(s, s)
    return h


def convex_pairs(n: int, num: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(n, n, generator=generator, dtype=torch.float64)
    steps = torch.randn(num, n, generator=generator, dtype=torch.float64)
    return [(s, (root @ root.T + torch.eye(n, dtype=torch.float64)) @ s) for s in steps]


def ring_of(batch: list[list[tuple[Tensor, Tensor]]], history: int) -> Pairs:
    """Rows' pairs, pushed oldest first."""
    everyone = torch.ones(len(batch), dtype=torch.bool)
    like = torch.empty(len(batch), len(batch[0][0][0]), dtype=torch.float64)
    ring = Pairs(history, like, None, is_alone=len(batch) == 1)
    for pairs in zip(*batch, strict=True):
        s, y = (torch.stack([pair[k] for pair in pairs]) for k in (0, 1))
        ring.push(s, y, everyone)
    return ring


def gamma_of(s: Tensor, y: Tensor) -> Tensor:
    """N&W eq. 7.20 times the identity."""
    return (y @ s) / (y @ y) * torch.eye(len(s), dtype=torch.float64)


@pytest.mark.parametrize(("num", "history"), [(1, 4), (4, 4), (4, 9), (7, 3), (9, 4)])
def test_compact_product_is_the_dense_bfgs_matrix(num, history) -> None:
    n = 11
    batch = [convex_pairs(n, num, seed) for seed in (0, 1, 2)]
    g = torch.randn(3, n, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    batched = ring_of(batch, history).inverse_hessian_product(g)
    for a, pairs in enumerate(batch):
        dense = dense_inverse(pairs[-history:], gamma_of(*pairs[-1])) @ g[a]
        solo = ring_of([pairs], history).inverse_hessian_product(g[a][None])[0]
        torch.testing.assert_close(solo, dense, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(batched[a], dense, rtol=1e-10, atol=1e-12)


def test_rows_with_other_numbers_of_pairs_do_not_meet() -> None:
    n = 9
    pairs = convex_pairs(n, 5, 1)
    ring = Pairs(3, torch.empty(2, n, dtype=torch.float64), None)
    for number, (s, y) in enumerate(pairs):
        ring.push(torch.stack([s, s]), torch.stack([y, y]), torch.tensor([True, number < 2]))
    ring.clear(torch.tensor([False, False]))
    g = torch.randn(2, n, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    found = ring.inverse_hessian_product(g)
    for row, kept in enumerate((pairs[-3:], pairs[:2])):
        dense = dense_inverse(kept, gamma_of(*kept[-1])) @ g[row]
        torch.testing.assert_close(found[row], dense, rtol=1e-10, atol=1e-12)
    ring.clear(torch.tensor([True, False]))
    assert torch.equal(ring.inverse_hessian_product(g)[0], g[0])


@pytest.mark.parametrize("rows", [1, 2])
def test_cleared_row_goes_on_elsewhere_without_its_pairs(rows) -> None:
    """Its ring had gone round; where it is loaded no row has a pair, or this one has others."""
    n, bounds, problems = 8, (-2.0, 2.0), [rosenbrock] * rows
    start = torch.rand(rows, n, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def make(row_by_row: bool) -> BatchedLBFGS:
        return BatchedLBFGS([nn.Parameter(start.clone())], history=3, bounds=bounds, row_by_row=row_by_row)

    optimizer = make(False)
    run(optimizer, problems, 9)
    optimizer._forget(torch.ones(rows, dtype=torch.bool))
    state = optimizer.row_state(0)
    for layout in (False, True):
        other, used = make(layout), make(layout)
        run(used, problems, 7)
        for loaded in (other, used):
            loaded.load_row_state(0, state)
            assert int(loaded.row_state(0)["memory.pairs.num"] if "memory.pairs.num" in loaded.row_state(0) else 0) == 0
            losses, _ = run(loaded, problems, 3)
            assert losses.isfinite().all()


def test_pair_without_positive_curvature_is_not_taken() -> None:
    s = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    ring = Pairs(3, s, None)
    ring.push(s, -s, torch.tensor([True]))
    assert ring.num.tolist() == [0] and torch.equal(ring.inverse_hessian_product(s), s)


@pytest.mark.parametrize("keep", [[0, 2, 3, 6], [1, 4], [0, 1, 2, 3, 4, 5]])
@pytest.mark.parametrize("rows", [1, 2])
def test_held_variables_leave_the_dense_matrix_of_the_free_ones(keep, rows) -> None:
    n = 7
    pairs = convex_pairs(n, 3, 5)
    free = torch.zeros(n, dtype=torch.float64)
    free[keep] = 1.0
    g = free * torch.randn(n, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    ours = ring_of([pairs] * rows, 5).inverse_hessian_product(g.expand(rows, n).clone(), free.expand(rows, n))
    short = [(s[keep], y[keep]) for s, y in pairs if y[keep] @ s[keep] > 0]
    s, y = (v[keep] for v in pairs[-1])
    gamma = gamma_of(s, y) if y @ s > 0 else gamma_of(*pairs[-1])[: len(keep), : len(keep)]
    dense = dense_inverse(short, gamma) @ g[keep]
    for row in ours:
        torch.testing.assert_close(row[keep], dense, rtol=1e-10, atol=1e-12)
        assert not row[free == 0].any()


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("before", [None, [0.0, 1.0, 1.0, 1.0]])
def test_pair_that_says_nothing_of_the_free_variables_scales_by_all_of_them(rows, before) -> None:
    """Whatever was asked before: y·s is 1.5 over all variables, −0.5 over the free ones."""
    s, y = (torch.tensor(v, dtype=torch.float64) for v in ([1.0, 1.0, 0.0, 0.0], [-0.5, 2.0, 0.0, 0.0]))
    ring = ring_of([[(s, y)]] * rows, 3)
    g = torch.tensor([3.0, 0.0, -1.0, 2.0], dtype=torch.float64).repeat(rows, 1)
    if before is not None:
        ring.inverse_hessian_product(
            g * torch.tensor(before), torch.tensor(before, dtype=torch.float64).repeat(rows, 1)
        )
    free = torch.tensor([1.0, 0.0, 1.0, 1.0], dtype=torch.float64).repeat(rows, 1)
    torch.testing.assert_close(ring.inverse_hessian_product(g, free), 1.5 / 4.25 * g, rtol=1e-12, atol=0)


def held_by_comparison(x: Tensor, gradient: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return ((x <= low) & (gradient > 0)) | ((x >= high) & (gradient < 0))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([(4, 3, 2, 5), (4, 7), (4,)]), st.integers(0, 3), st.integers(0, 10**6))
def test_bounds_are_what_comparisons_say(shape: tuple[int, ...], kind: int, seed: int) -> None:
    """Of a number, of a channel, of each value or of each row; a channel whose bounds meet is held both ways."""
    generator = torch.Generator().manual_seed(seed)

    def integers(*of: int) -> Tensor:
        return torch.randint(-3, 4, of, generator=generator).double()

    of_bound = ((), (*shape[:1], *shape[1:2], *[1] * (len(shape) - 2)), shape, (1, *shape[1:]))[kind]
    ends = integers(2, *of_bound)
    low, high = ends.amin(0), ends.amax(0)
    images = torch.clamp(integers(*shape), low, high)
    wide_low, wide_high = (torch.broadcast_to(bound, shape).reshape(4, -1) for bound in (low, high))
    x, g, d = images.reshape(4, -1), integers(*shape).reshape(4, -1), integers(*shape).reshape(4, -1)
    held = held_by_comparison(x, g, wide_low, wide_high)
    leaving = held_by_comparison(x, -d, wide_low, wide_high)
    box = Bounds.of((low, high), images)
    for rows, at in ((slice(None), box.at(torch.arange(4))), (2, box.at(2))):
        assert torch.equal(at.free(x[rows], g[rows]), (~held[rows]).double())
        assert torch.equal(at.free_gradient(x[rows], g[rows]), g[rows].masked_fill(held[rows], 0.0))
        assert torch.equal(at.inwards(x[rows], d[rows]), d[rows].masked_fill(leaving[rows], 0.0))
        assert torch.equal(at.clamp_(2 * x[rows]), torch.clamp(2 * x[rows], wide_low[rows], wide_high[rows]))


@pytest.mark.parametrize("row_by_row", [True, False])
@pytest.mark.parametrize("bounds", [None, (-500.0, 500.0)])
def test_step_that_multiplies_the_loss_is_taken_back(row_by_row, bounds) -> None:
    """After a point above ten times the lowest loss comes the one a tenth of the way to it from where it began."""
    start = torch.rand(1, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64).repeat(2, 1) - 0.3
    options = {"history": 5, "bounds": bounds, "row_by_row": row_by_row}
    losses, points = run(BatchedLBFGS([nn.Parameter(start.clone())], **options), [rosenbrock, powell], 40)
    for row in range(2):
        overshot, lowest, base = 0, losses[0, row], points[0, row]
        for number in range(1, 39):
            if losses[number, row] > 10.0 * lowest:
                overshot += 1
                expected = base + 0.1 * (points[number, row] - base)
                torch.testing.assert_close(points[number + 1, row], expected, rtol=1e-9, atol=1e-12)
            else:
                base = points[number, row]
            lowest = torch.minimum(lowest, losses[number, row])
        assert overshot and losses[-1, row] <= 10.0 * losses[:, row].min()


@pytest.mark.parametrize("row_by_row", [True, False])
@pytest.mark.parametrize("line_search", LINE_SEARCHES)
def test_first_trial_of_a_search_is_no_longer_than_the_longest_step(row_by_row, line_search) -> None:
    """A valley that is flat between its walls: the pairs say nothing of how far the next wall is."""
    longest, starts = 0.02, torch.tensor([[0.2, 0.9, 0.4], [0.5, 0.1, 0.7]], dtype=torch.float64)
    options = {"line_search": line_search, "row_by_row": row_by_row, "longest_step": longest, "bounds": (0.0, 1.0)}
    optimizer = BatchedLBFGS([nn.Parameter(starts.clone())], learning_rate=1.0, **options)
    _, points = run(optimizer, [lambda x: (x - 0.6).pow(4).sum()] * 2, 12)
    sizes = (points[1:] - points[:-1]).square().mean(-1).sqrt()
    if line_search == "none":  # it has no trial that could be shortened
        assert sizes.max() > 2 * longest
    else:
        assert sizes.max() <= longest * (1 + 1e-9) and (sizes > 0.999 * longest).sum() > 4


@pytest.mark.parametrize("row_by_row", [True, False])
def test_half_filled_history_is_a_short_history(row_by_row) -> None:
    start = torch.full((2, 6), 0.1, dtype=torch.float64)
    trajectories = [
        run(BatchedLBFGS([nn.Parameter(start.clone())], history=m, row_by_row=row_by_row), [rosenbrock, powell_six], 8)
        for m in (7, 50)
    ]
    assert torch.equal(trajectories[0][1], trajectories[1][1])


def powell_six(x: Tensor) -> Tensor:
    return powell(torch.cat([x, x[:2]]))


@pytest.mark.parametrize("line_search", LINE_SEARCHES)
def test_batched_ring_wraps_around_like_lists_of_pairs(line_search) -> None:
    problems = list(PROBLEMS.values())
    start = torch.rand(len(problems), 8, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    rows, batch = (
        run(
            BatchedLBFGS([nn.Parameter(start.clone())], history=3, line_search=line_search, row_by_row=layout),
            problems,
            16,
        )
        for layout in (True, False)
    )
    torch.testing.assert_close(batch[0], rows[0], rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(batch[1], rows[1], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("line_search", LINE_SEARCHES)
@pytest.mark.parametrize("row_by_row", [True, False])
def test_scaling_the_loss_changes_nothing_but_the_first_step(line_search, row_by_row) -> None:
    scale = 2.0**-40  # about 1e-12, and exact, so that the comparison is of bits
    start = torch.full((1, 8), 0.2)

    def trajectory(factor: float) -> Tensor:
        optimizer = BatchedLBFGS([nn.Parameter(start.clone())], line_search=line_search, row_by_row=row_by_row)
        first = BatchedLBFGS([nn.Parameter(start.clone())])
        run(first, [rosenbrock], 1)
        length = first._table["step_size"].item()  # 1 / ‖g‖₁ of the unscaled loss
        optimizer.param_groups[0]["lr"] = 1.0 if factor == 1.0 else length / factor
        scaled = [lambda x: factor * rosenbrock(x)]
        run(optimizer, scaled, 1)
        optimizer.param_groups[0]["lr"] = 1.0
        return run(optimizer, scaled, 40)[1]

    assert torch.equal(trajectory(scale), trajectory(1.0))


def test_small_losses_are_minimised_where_torch_stops() -> None:
    start = torch.full((1, 8), 0.2, dtype=torch.float64)

    def small(x: Tensor) -> Tensor:
        return 1e-8 * rosenbrock(x)

    options = {"line_search": "strong_wolfe"}
    optimizer = BatchedLBFGS([nn.Parameter(start.clone())], **options)
    run(optimizer, [small], 150)
    assert optimizer.best_losses.item() < 1e-20
    stopped, _ = torch_run(start, small, 150, line_search_fn="strong_wolfe")
    assert stopped.min() > 1e-10


def test_first_step_follows_torchs_rule() -> None:
    matrix = torch.diag(torch.tensor([3.0, 5.0]))
    for centre, length in ((torch.tensor([9.0, 1.0]), 1 / 32), (torch.tensor([0.01, 0.01]), 1.0)):
        optimizer = BatchedLBFGS([nn.Parameter(torch.zeros(1, 2))])
        _, points = run(optimizer, [quadratic(matrix, centre)], 2)
        torch.testing.assert_close(points[1, 0], length * (matrix @ centre))


class NoHostReads(TorchDispatchMode):
    """Raises on whatever would make the host wait for the device."""

    FORBIDDEN = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "item", "unique")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in self.FORBIDDEN:
            raise AssertionError(f"aten::{name} waits for the device")
        if name in ("index", "index_put", "index_put_"):
            for index in args[1]:
                assert index is None or index.dtype != torch.bool, f"aten::{name} by a mask waits for the device"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("line_search", LINE_SEARCHES)
@pytest.mark.parametrize("bounds", [None, (0.0, 1.0)])
@pytest.mark.parametrize("keep_last", [False, True])
def test_batched_evaluation_never_waits_for_the_device(line_search, bounds, keep_last) -> None:
    images = nn.Parameter(torch.rand(4, 3, 4, 4, generator=torch.Generator().manual_seed(0)))
    options = {"bounds": bounds, "keep_last": keep_last, "row_by_row": False}
    lbfgs = BatchedLBFGS([images], line_search=line_search, history=2, initial_hessian="fourier", **options)
    for optimizer in (lbfgs, BatchedAdam([images], **options)):
        problems = [rosenbrock, lambda x: x.sum() * torch.nan, rosenbrock, rosenbrock]
        for dropped in ([], [2]):
            optimizer.drop(dropped)
            for _ in range(4):
                with NoHostReads():
                    optimizer.step(closure_of(optimizer, problems))
        assert [status.name for status in optimizer.statuses()].count("FAILED") == 1


def test_the_check_for_host_reads_sees_them() -> None:
    images = nn.Parameter(torch.rand(2, 3, 4, 4))
    optimizer = BatchedLBFGS([images], row_by_row=True)
    with pytest.raises(AssertionError, match="waits"), NoHostReads():
        optimizer.step(closure_of(optimizer, [rosenbrock] * 2))


@pytest.mark.parametrize("row_by_row", [True, False])
def test_dropped_rows_free_their_memory(row_by_row) -> None:
    images = nn.Parameter(torch.rand(4, 3, 8, 8, dtype=torch.float64))
    optimizer = BatchedLBFGS([images], history=5, row_by_row=row_by_row)
    run(optimizer, [rosenbrock] * 4, 10)
    full, pairs = optimizer.num_bytes(), 4 * 2 * 5 * 192 * 8
    assert full >= pairs
    optimizer.drop([0, 1, 3])
    assert optimizer.num_bytes() <= full // 4 + 100
    assert optimizer.active == [2]
    run(optimizer, [rosenbrock] * 4, 5)


def test_plane_wave_is_multiplied_by_the_fourier_filter() -> None:
    shape = (1, 6, 8)
    square = FourierFilter(shape)
    rows, columns = torch.arange(6.0, dtype=torch.float64)[:, None], torch.arange(8.0, dtype=torch.float64)[None, :]
    for p, q in ((1, 2), (0, 0), (3, 4), (2, 0)):  # by 1 / max(f, 1/64)
        wave = torch.cos(2 * torch.pi * (p * rows / 6 + q * columns / 8)).expand(shape)
        f = max(((p / 6) ** 2 + (q / 8) ** 2) ** 0.5, 1 / 64)
        torch.testing.assert_close(square(wave.flatten()).view(shape), wave / f)


@pytest.mark.parametrize("row_by_row", [True, False])
def test_fourier_hessian_is_lbfgs_in_filtered_variables(row_by_row) -> None:
    shape, square = (1, 4, 4), FourierFilter((1, 4, 4))
    generator = torch.Generator().manual_seed(2)
    eye = torch.eye(16, dtype=torch.float64)
    squared = torch.stack([square(e) for e in eye])
    values, vectors = torch.linalg.eigh(squared)
    p = vectors @ torch.diag(values.sqrt()) @ vectors.T  # x = P u
    start = torch.rand(1, 16, generator=generator, dtype=torch.float64)
    lengths = []
    x = BatchedLBFGS([nn.Parameter(start.view(1, *shape).clone())], initial_hessian="fourier", row_by_row=row_by_row)
    u = BatchedLBFGS([nn.Parameter(start @ torch.linalg.inv(p))])
    for optimizer, problem in ((x, rosenbrock), (u, lambda v: rosenbrock(p @ v))):
        run(optimizer, [problem], 1)
        lengths.append(optimizer._table["step_size"].item())
    # the first step's length is by x's gradient here and by u's there: make it the same
    u.images.data = u.images.data + (lengths[0] / lengths[1] - 1) * u._memory.rows[0].direction
    u._memory.rows[0].direction.mul_(lengths[0] / lengths[1])
    _, in_x = run(x, [rosenbrock], 12)
    _, in_u = run(u, [lambda v: rosenbrock(p @ v)], 12)
    torch.testing.assert_close(in_x.flatten(1), in_u[:, 0] @ p, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"line_search": "wolfe"}, "choose one of none, backtracking, strong_wolfe"),
        ({"history": 0}, "at least 1"),
        ({"learning_rate": 0.0}, "above 0"),
        ({"learning_rate": float("nan")}, "above 0"),
        ({"max_restarts": -1}, "not below 0"),
        ({"bounds": (1.0, 0.0)}, "lower bound above"),
        ({"bounds": (torch.zeros(5), 1.0)}, "do not broadcast"),
        ({"initial_hessian": "wavelet"}, "choose one of scaled_identity, fourier"),
        ({"initial_hessian": "fourier"}, "height and width"),
    ],
)
def test_impossible_options_are_sentences(options, sentence) -> None:
    with pytest.raises(ValueError, match=sentence):
        BatchedLBFGS([nn.Parameter(torch.zeros(2, 8))], **options)


def test_wrong_parameters_and_closures_are_sentences() -> None:
    with pytest.raises(ValueError, match="2 parameters"):
        BatchedLBFGS([nn.Parameter(torch.zeros(1, 2)), nn.Parameter(torch.zeros(1, 2))])
    with pytest.raises(ValueError, match="contiguous"):
        BatchedLBFGS([nn.Parameter(torch.zeros(4, 2).T)])
    optimizer = BatchedLBFGS([nn.Parameter(torch.zeros(2, 2))])
    with pytest.raises(ValueError, match=r"expected \(2,\) losses"):
        optimizer.step(lambda: torch.zeros(()))
    with pytest.raises(ValueError, match="no gradient"):
        optimizer.step(lambda: torch.zeros(2))
    with pytest.raises(ValueError, match="keep_last"):
        _ = optimizer.last_evaluated
