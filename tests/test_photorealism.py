"""The matting Laplacian (Levin et al. 2008), its loss (Luan et al. 2017) and the smoothing step (Li et al. 2018)."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from harness.photorealism.laplacian import OFFSETS, MattingLaplacian, affine_loss, matting_laplacian
from harness.photorealism.smoothing import LARGEST_STRENGTH, TOLERANCE, smooth

sizes = st.tuples(st.integers(3, 6), st.integers(3, 6))
seeds = st.integers(0, 2**31)
epsilons = st.sampled_from([1e-7, 1e-4, 0.1])
few = settings(deadline=None, max_examples=15)


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dense(laplacian: MattingLaplacian) -> Tensor:
    """M as (HW, HW), column by column, in row-major order of the pixels."""
    height, width = laplacian.size
    n = height * width
    units = torch.eye(n).to(laplacian.affinity).view(n, height, width)
    return torch.stack([laplacian.product(unit).flatten() for unit in units], dim=1)


def affinity_by_loops(content: Tensor, epsilon: float) -> Tensor:
    """W_ij = Σ_k (1 + (I_i − μ_k)ᵀ (Σ_k + ε/9 U)⁻¹ (I_j − μ_k)) / 9, window by window and pair by pair, as (HW, HW)."""
    height, width = content.shape[1:]
    W = torch.zeros(height * width, height * width, dtype=torch.float64)
    for y, x in itertools.product(range(1, height - 1), range(1, width - 1)):
        window = [(y + dy, x + dx) for dy, dx in itertools.product((-1, 0, 1), repeat=2)]
        mean = sum(content[:, v, u] for v, u in window) / 9
        covariance = sum(torch.outer(content[:, v, u] - mean, content[:, v, u] - mean) for v, u in window) / 9
        inverse = torch.linalg.inv(covariance + epsilon / 9 * torch.eye(3, dtype=torch.float64))
        for (v, u), (t, s) in itertools.product(window, repeat=2):
            fit = (content[:, v, u] - mean) @ inverse @ (content[:, t, s] - mean)
            W[v * width + u, t * width + s] += (1 + fit) / 9
    return W


def laplacian_by_loops(content: Tensor, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    """D, W and M = D − W."""
    W = affinity_by_loops(content, epsilon)
    D = torch.diag(W.sum(1))
    return D, W, D - W


@few
@given(sizes, seeds, epsilons)
def test_laplacian_is_eq12_by_double_loop_over_windows(size: tuple[int, int], seed: int, epsilon: float) -> None:
    content = uniform(3, *size, seed=seed)
    laplacian = matting_laplacian(content, epsilon)
    D, _, M = laplacian_by_loops(content, epsilon)
    torch.testing.assert_close(dense(laplacian), M, rtol=0, atol=1e-9)
    torch.testing.assert_close(laplacian.windows().flatten(), D.diagonal(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", ["one colour", "greys", "two greys"])
def test_laplacian_of_windows_without_full_rank_is_eq12(kind: str) -> None:
    """Σ_k is singular there; ε alone makes it invertible."""
    if kind == "one colour":
        content = torch.full((3, 5, 6), 0.3, dtype=torch.float64)
    elif kind == "greys":
        content = uniform(1, 5, 6).expand(3, 5, 6)
    else:
        content = uniform(1, 5, 6).round().expand(3, 5, 6)
    M = laplacian_by_loops(content, 1e-7)[2]
    torch.testing.assert_close(dense(matting_laplacian(content)), M, rtol=0, atol=1e-6)  # cond(Σ_k + ε/9 U) = 1e8


def test_affinity_is_local_so_that_a_large_picture_equals_its_crops() -> None:
    """A pair's windows lie within 3 px of it. The picture is assembled in several chunks, its crops in one."""
    content = uniform(3, 400, 180)
    whole = matting_laplacian(content).affinity
    for top in range(0, 380, 20):
        crop = matting_laplacian(content[:, top : top + 40]).affinity
        torch.testing.assert_close(whole[:, top + 4 : top + 36], crop[:, 4:36], rtol=0, atol=1e-12)


@few
@given(sizes, seeds)
def test_laplacian_is_symmetric_and_between_0_and_its_degrees(size: tuple[int, int], seed: int) -> None:
    laplacian = matting_laplacian(uniform(3, *size, seed=seed))
    M, D = dense(laplacian), torch.diag(laplacian.windows().flatten())
    torch.testing.assert_close(M, M.T, rtol=0, atol=1e-12)
    torch.testing.assert_close(M.sum(1), torch.zeros(len(M), dtype=M.dtype), rtol=0, atol=1e-12)
    assert float(torch.linalg.eigvalsh(M).min()) >= -1e-12
    assert float(torch.linalg.eigvalsh(D - M).min()) >= -1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constants_cost_exactly_nothing(dtype: torch.dtype) -> None:
    laplacian = matting_laplacian(uniform(3, 7, 9).to(dtype))
    constant = torch.full((1, 3, 7, 9), 0.7, dtype=dtype, requires_grad=True)
    loss = affine_loss(constant, laplacian)
    loss.sum().backward()
    assert constant.grad is not None
    assert loss.item() == 0 and not constant.grad.any()


@few
@given(sizes, seeds, epsilons)
def test_colours_affine_in_the_photographs_cost_at_most_epsilon(
    size: tuple[int, int], seed: int, epsilon: float
) -> None:
    """V_c = a_cᵀ I + b_c costs at most ε Σ_c |a_c|² a window: Vᵀ M V = Σ_k min_(a, b) Σ_i (V_i − aᵀ I_i − b)² + ε |a|².

    1e-9 is for float64's rounding: entries of M are of order 1, and Σ_k's condition number here below 1e7.
    """
    content = uniform(3, *size, seed=seed)
    A, b = 4 * uniform(3, 3, seed=seed + 1) - 2, uniform(3, 1, 1, seed=seed + 2)
    image = torch.einsum("ca,ahw->chw", A, content) + b
    loss = affine_loss(image[None], matting_laplacian(content, epsilon)).item()
    windows = (size[0] - 2) * (size[1] - 2)
    assert -1e-9 <= loss <= epsilon * float(A.square().sum()) * windows + 1e-9


def test_other_colours_cost_what_the_best_affine_fits_leave() -> None:
    """One window: least squares of V on I and 1, with √ε a as the rows of the slopes' cost."""
    content, image, epsilon = uniform(3, 3, 3), uniform(3, 3, 3, seed=1), 1e-3
    colours = torch.cat([content.flatten(1).T, torch.ones(9, 1, dtype=torch.float64)], dim=1)
    ridge = epsilon**0.5 * torch.eye(3, 4, dtype=torch.float64)
    system = torch.cat([colours, ridge])
    values = torch.cat([image.flatten(1).T, torch.zeros(3, 3, dtype=torch.float64)])
    left = values - system @ torch.linalg.lstsq(system, values).solution
    loss = affine_loss(image[None], matting_laplacian(content, epsilon))
    assert loss.item() == pytest.approx(left.square().sum().item(), rel=1e-9)
    assert loss.item() > 0.1


@few
@given(sizes, seeds)
def test_loss_and_gradient_are_eq2_and_2MV(size: tuple[int, int], seed: int) -> None:
    content, images = uniform(3, *size, seed=seed), uniform(2, 3, *size, seed=seed + 1).requires_grad_()
    laplacian = matting_laplacian(content)
    M = dense(laplacian)
    scale = torch.tensor([2.0, -3.0], dtype=torch.float64)
    V = images.flatten(2)
    expected = torch.einsum("bci,ij,bcj->b", V, M, V)
    measured = affine_loss(images, laplacian)
    torch.testing.assert_close(measured, expected, rtol=0, atol=1e-10)
    (by_autograd,) = torch.autograd.grad(scale @ expected, images)
    (gradient,) = torch.autograd.grad(scale @ measured, images)
    torch.testing.assert_close(gradient, by_autograd, rtol=0, atol=1e-10)
    torch.testing.assert_close(gradient, 2 * scale[:, None, None, None] * (V @ M).view_as(images), rtol=0, atol=1e-10)


def test_gradient_is_that_of_finite_differences() -> None:
    laplacian = matting_laplacian(uniform(3, 4, 5))
    images = uniform(2, 3, 4, 5, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: affine_loss(x, laplacian), images)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_row_equals_solo_row_whatever_its_neighbours_and_memory_format(dtype: torch.dtype) -> None:
    laplacian = matting_laplacian(uniform(3, 33, 47).to(dtype))
    images = uniform(4, 3, 33, 47, seed=1).to(dtype)
    images[2] = torch.nan

    def loss_and_gradient(rows: Tensor) -> tuple[Tensor, Tensor]:
        rows = rows.detach().clone().requires_grad_()
        loss = affine_loss(rows, laplacian)
        return loss.detach(), torch.autograd.grad(loss.sum(), rows)[0]

    solo = [loss_and_gradient(images[i : i + 1]) for i in range(4)]
    assert solo[2][0].isnan().all()
    for memory_format in (torch.contiguous_format, torch.channels_last):
        for rows in ([0, 1, 2, 3], [3, 1], [2, 0]):
            loss, gradient = loss_and_gradient(images[rows].contiguous(memory_format=memory_format))
            for at, row in enumerate(rows):
                if row != 2:
                    assert torch.equal(loss[at], solo[row][0][0]) and torch.equal(gradient[at], solo[row][1][0])


def test_laplacian_keeps_the_contents_precision_and_repeats_its_bits() -> None:
    content = uniform(3, 20, 24).float()
    single, again = matting_laplacian(content), matting_laplacian(content)
    double = matting_laplacian(content.double())
    assert single.affinity.dtype == torch.float32 and torch.equal(single.affinity, again.affinity)
    assert torch.equal(single.affinity, double.affinity.float())
    assert torch.equal(double.to("cpu", torch.float32).affinity, single.affinity)
    assert single.size == (20, 24) and len(OFFSETS) == len(single.affinity) == 12


def smoothed_by_dense_solve(picture: Tensor, content: Tensor, alpha: float, epsilon: float) -> Tensor:
    """D^-½ (1 − α)(I − αS)⁻¹ D^½ Y, S = D^-½ W D^-½: Li et al. 2018, with the documented weighing of the border."""
    D, W, _ = laplacian_by_loops(content, epsilon)
    root = D.diagonal().sqrt()
    S = W / root[:, None] / root
    system = torch.eye(len(S), dtype=S.dtype) - alpha * S
    values = torch.linalg.eigvalsh(system)
    assert float(values.min()) >= 1 - alpha - 1e-9 and float(values.max()) <= 1 + 1e-9
    ranked = (1 - alpha) * torch.linalg.solve(system, root[:, None] * picture.flatten(1).T)
    return (ranked / root[:, None]).T.view_as(picture)


@few
@given(sizes, seeds, epsilons, st.sampled_from([0.1, 0.8, 0.99, LARGEST_STRENGTH]))
def test_smoothing_is_the_dense_solve(size: tuple[int, int], seed: int, epsilon: float, strength: float) -> None:
    content, picture = uniform(3, *size, seed=seed), 3 * uniform(3, *size, seed=seed + 1) - 1
    expected = smoothed_by_dense_solve(picture, content, strength, epsilon)
    measured = smooth(picture, content, strength, epsilon)
    # TOLERANCE is of the norm weighted by D ≤ 9; what is over is the rounding of Σ_k's inverse.
    torch.testing.assert_close(measured, expected, rtol=0, atol=2 * 3 * TOLERANCE * float(picture.norm()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_strength_0_is_the_identity_and_constants_stay_bit_for_bit(dtype: torch.dtype) -> None:
    content, picture = uniform(3, 9, 8).to(dtype), (2 * uniform(3, 9, 8, seed=1) - 0.5).to(dtype)
    same = smooth(picture, content, strength=0)
    assert torch.equal(same, picture) and same.data_ptr() != picture.data_ptr()
    picture[1] = 0.7
    picture[2] = 0
    smoothed = smooth(picture, content, strength=0.9)
    assert smoothed.dtype == dtype and torch.equal(smoothed[1:], picture[1:])
    assert not torch.equal(smoothed[0], picture[0])
    assert torch.equal(smoothed, smooth(picture, content, strength=0.9))


def test_smoothing_is_linear_and_not_clamped() -> None:
    content, picture = uniform(3, 12, 10), uniform(3, 12, 10, seed=1)
    torch.testing.assert_close(smooth(5 * picture - 2, content), 5 * smooth(picture, content) - 2, rtol=0, atol=1e-6)


def test_smoothing_leaves_a_recoloured_photograph_and_takes_noise_off_it() -> None:
    """R minimises (1 − α)/α |√D (R − Y)|² + Rᵀ M R, so |R − Y|² ≤ α/(1 − α) Yᵀ M Y: nearly 0 for affine colours."""
    content, noise = uniform(3, 30, 30), 0.1 * torch.randn(3, 30, 30, generator=torch.Generator().manual_seed(1))
    recoloured = torch.einsum("ca,ahw->chw", uniform(3, 3, seed=2), content)
    assert float((smooth(recoloured, content) - recoloured).square().sum()) <= 4 * 1e-7 * 9 * 28 * 28
    laplacian = matting_laplacian(content)
    losses, errors = [], []
    for strength in (0, 0.5, 0.8, 0.99):
        smoothed = smooth(recoloured + noise, content, strength)
        losses.append(affine_loss(smoothed[None], laplacian).item())
        errors.append(float((smoothed - recoloured).norm()))
    assert losses == sorted(losses, reverse=True) and losses[-1] < losses[0] / 100
    assert errors == sorted(errors, reverse=True) and errors[-1] < errors[0] / 1.5


@pytest.mark.parametrize(
    ("content", "epsilon", "sentence"),
    [
        (torch.rand(3, 2, 9), 1e-7, r"is 9 × 2 px; the matting Laplacian needs at least 3 px a side"),
        (torch.rand(1, 3, 9, 9), 1e-7, r"\(3, H, W\) is needed"),
        (torch.ones(3, 9, 9, dtype=torch.uint8), 1e-7, "floating-point values"),
        (torch.full((3, 9, 9), torch.nan), 1e-7, "not finite"),
        (torch.rand(3, 9, 9), 0.0, "ε is 0.0; it must be finite and at least 1e-12"),
        (torch.rand(3, 9, 9), torch.inf, "ε is inf"),
    ],
)
def test_content_without_a_laplacian_is_refused(content: Tensor, epsilon: float, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        matting_laplacian(content, epsilon)


def test_pictures_that_do_not_fit_are_refused() -> None:
    content = torch.rand(3, 8, 9)
    laplacian = matting_laplacian(content)
    with pytest.raises(ValueError, match=r"\(2, 3, 9, 8\) and the photograph is 9 × 8 px; \(b, 3, 8, 9\) is needed"):
        affine_loss(torch.rand(2, 3, 9, 8), laplacian)
    with pytest.raises(ValueError, match="both need the same: convert"):
        affine_loss(torch.rand(2, 3, 8, 9).double(), laplacian)
    with pytest.raises(ValueError, match="both need the same: resize"):
        smooth(torch.rand(3, 9, 8), content)
    with pytest.raises(ValueError, match="not finite; it cannot be smoothed"):
        smooth(torch.full((3, 8, 9), torch.inf), content)
    for strength in (-0.1, 1.0, torch.nan):
        with pytest.raises(ValueError, match="must be between 0 and 0.9999"):
            smooth(content, content, strength)
