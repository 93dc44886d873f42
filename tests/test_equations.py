"""Gatys, Ecker & Bethge (CVPR 2016), eqs 1 to 7, guided Gram matrices, TV: double loops and closed-form gradients."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from harness.features.vgg import ReadOut
from harness.objective.equations import (
    content_loss,
    gram,
    gram_per_position,
    guided_gram_per_position,
    style_layer_loss,
    style_loss,
    total_loss,
    total_variation_loss,
)

shapes = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 5))
seeds = st.integers(0, 2**31)
few = settings(deadline=None, max_examples=25)


def normal(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def matrix(features: Tensor) -> list[list[float]]:
    """F_ik of one row: filters × positions."""
    return features.flatten(1).tolist()


@few
@given(shapes, seeds)
def test_content_loss_is_eq1_by_double_loop(shape: tuple[int, int, int, int], seed: int) -> None:
    F, P = normal(shape, seed), normal(shape, seed + 1)
    for row, measured in enumerate(content_loss(F, P)):
        f, p = matrix(F[row]), matrix(P[row])
        expected = sum((f[i][j] - p[i][j]) ** 2 for i in range(len(f)) for j in range(len(f[0]))) / 2
        assert float(measured) == pytest.approx(expected, rel=1e-12)


@few
@given(shapes, seeds)
def test_gram_is_eq3_by_double_loop(shape: tuple[int, int, int, int], seed: int) -> None:
    features = normal(shape, seed)
    for memory_format in (torch.contiguous_format, torch.channels_last):
        G = gram(features.contiguous(memory_format=memory_format))
        for row in range(shape[0]):
            f = matrix(features[row])
            for i, j in itertools.product(range(shape[1]), repeat=2):
                assert float(G[row, i, j]) == pytest.approx(
                    sum(a * b for a, b in zip(f[i], f[j], strict=True)), abs=1e-12
                )


@few
@given(shapes, seeds)
def test_style_layer_loss_is_eq4_by_double_loop(shape: tuple[int, int, int, int], seed: int) -> None:
    F, S = normal(shape, seed), normal(shape, seed + 1)
    N, M = shape[1], shape[2] * shape[3]
    measured = style_layer_loss(gram_per_position(F), gram_per_position(S))
    for row in range(shape[0]):
        G, A = gram(F)[row].tolist(), gram(S)[row].tolist()
        squares = sum((G[i][j] - A[i][j]) ** 2 for i in range(N) for j in range(N))
        assert float(measured[row]) == pytest.approx(squares / (4 * N**2 * M**2), rel=1e-9, abs=1e-14)


def test_style_with_its_own_size_is_compared_per_position() -> None:
    """A style image tiled twice has the same Gram matrix per position, so the loss between them is 0."""
    features = normal((1, 3, 4, 5), 0)
    twice = torch.cat([features, features], dim=3)
    assert float(style_layer_loss(gram_per_position(twice), gram_per_position(features))) == pytest.approx(0, abs=1e-24)
    assert not torch.allclose(gram(twice), gram(features))


def test_style_loss_is_eq5_and_total_loss_is_eq7() -> None:
    losses = {"conv1_1": torch.tensor([2.0, 3.0]), "conv2_1": torch.tensor([5.0, 7.0])}
    style = style_loss(losses, {"conv1_1": 0.25, "conv2_1": 0.5})
    assert style.tolist() == [0.25 * 2 + 0.5 * 5, 0.25 * 3 + 0.5 * 7]
    assert total_loss(torch.tensor([11.0, 13.0]), style, 0.1, 10.0).tolist() == pytest.approx([1.1 + 30, 1.3 + 42.5])


@few
@given(shapes, seeds)
def test_autograd_of_eq1_is_eq2(shape: tuple[int, int, int, int], seed: int) -> None:
    """Equation 2 is the gradient with respect to the ReLU's input: (F − P)_ij where F_ij > 0, else 0."""
    before, P = normal(shape, seed).requires_grad_(), normal(shape, seed + 1).relu()
    F = before.relu()
    (gradient,) = torch.autograd.grad(content_loss(F, P).sum(), before)
    eq2 = torch.where(F > 0, F - P, 0.0)
    torch.testing.assert_close(gradient, eq2, rtol=1e-12, atol=1e-12)


@few
@given(shapes, seeds)
def test_autograd_of_eq4_is_eq6(shape: tuple[int, int, int, int], seed: int) -> None:
    """Equation 6: ((Fᵀ (G − A))_ji) / (N² M²) where F_ij > 0, else 0."""
    before = normal(shape, seed).requires_grad_()
    S = normal(shape, seed + 1).relu()
    F = before.relu()
    N, M = shape[1], shape[2] * shape[3]
    (gradient,) = torch.autograd.grad(style_layer_loss(gram_per_position(F), gram_per_position(S)).sum(), before)
    for row in range(shape[0]):
        f, s = F[row].detach().flatten(1), S[row].flatten(1)
        eq6 = (f.T @ (f @ f.T - s @ s.T)).T / (N**2 * M**2)
        expected = torch.where(f > 0, eq6, 0.0).view(shape[1:])
        torch.testing.assert_close(gradient[row], expected, rtol=1e-9, atol=1e-12)


@few
@given(shapes, seeds)
def test_gram_is_symmetric_and_positive_semi_definite(shape: tuple[int, int, int, int], seed: int) -> None:
    G = gram(normal(shape, seed))
    assert torch.equal(G, G.transpose(1, 2))
    assert float(torch.linalg.eigvalsh(G).min()) >= -1e-9


@few
@given(shapes, seeds)
def test_gradient_of_gram_is_f_times_d_plus_its_transpose(shape: tuple[int, int, int, int], seed: int) -> None:
    """Also where D is not symmetric; and equal to differences of the function itself."""
    features, D = normal(shape, seed).requires_grad_(), normal((shape[0], shape[1], shape[1]), seed + 1)
    (gradient,) = torch.autograd.grad((gram(features) * D).sum(), features)
    for row in range(shape[0]):
        F = features[row].detach().flatten(1)
        torch.testing.assert_close(gradient[row].flatten(1), (D[row] + D[row].T) @ F, rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(gram, (features,))


@few
@given(shapes, seeds)
def test_guided_gram_is_by_loops_over_positions(shape: tuple[int, int, int, int], seed: int) -> None:
    """Σ_k t_k² F_ik F_jk / Σ_k t_k²: T_r ∘ F with Σ T_r² = 1."""
    features, t = normal(shape, seed), normal(shape[2:], seed + 1).abs() + 0.01
    G = guided_gram_per_position(features, t)
    weights = [value**2 for value in t.flatten().tolist()]
    for row in range(shape[0]):
        f = matrix(features[row])
        for i, j in itertools.product(range(shape[1]), repeat=2):
            expected = sum(w * a * b for w, a, b in zip(weights, f[i], f[j], strict=True)) / sum(weights)
            assert float(G[row, i, j]) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@few
@given(shapes, seeds, st.floats(0.01, 100))
def test_guidance_of_any_constant_is_gram_per_position(shape: tuple[int, int, int, int], seed: int, t: float) -> None:
    features = normal(shape, seed)
    guided = guided_gram_per_position(features, torch.full(shape[2:], t, dtype=torch.float64))
    torch.testing.assert_close(guided, gram_per_position(features), rtol=1e-12, atol=1e-12)


def test_binary_guidance_is_gram_of_the_region_alone() -> None:
    features, t = normal((2, 3, 4, 6), 0), torch.zeros(4, 6, dtype=torch.float64)
    t[:, :2] = 1
    expected = gram_per_position(features[..., :2])
    torch.testing.assert_close(guided_gram_per_position(features, t), expected, rtol=1e-12, atol=1e-12)


@few
@given(shapes, seeds, st.integers(1, 3))
def test_parts_of_a_map_add_up_to_the_whole(shape: tuple[int, int, int, int], seed: int, cut: int) -> None:
    features, t = normal((*shape[:3], shape[3] + 3), seed), normal((shape[2], shape[3] + 3), seed + 1).abs()
    parts = [slice(0, cut), slice(cut, None)]
    num_positions, squares = t.numel(), t.square().sum()
    plain = sum(gram_per_position(features[..., part], num_positions) for part in parts)
    guided = sum(guided_gram_per_position(features[..., part], t[:, part], squares) for part in parts)
    torch.testing.assert_close(plain, gram_per_position(features), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(guided, guided_gram_per_position(features, t), rtol=1e-12, atol=1e-12)


@few
@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), seeds)
def test_total_variation_is_mean_squared_difference_by_double_loop(B: int, H: int, W: int, seed: int) -> None:
    images = normal((B, 3, H, W), seed)
    for x, measured in zip(images.tolist(), total_variation_loss(images), strict=True):
        squares = 0.0
        for c, i, j in itertools.product(range(3), range(H), range(W)):
            squares += (x[c][i + 1][j] - x[c][i][j]) ** 2 if i + 1 < H else 0.0
            squares += (x[c][i][j + 1] - x[c][i][j]) ** 2 if j + 1 < W else 0.0
        assert float(measured) == pytest.approx(squares / (3 * H * W), rel=1e-9, abs=1e-14)


@few
@given(shapes, seeds, st.booleans())
def test_distances_of_what_is_read_out_need_no_read_out_maps(
    shape: tuple[int, int, int, int], seed: int, selects: bool
) -> None:
    """Equations 1 and 4 with a read-out are those of R F and R P, their values by double loops, and their gradients."""
    N = shape[1]
    num_compared = 1 + seed % (N if selects else N + 2)
    chosen = torch.randperm(N, generator=torch.Generator().manual_seed(seed))[:num_compared]
    R = torch.eye(N, dtype=torch.float64)[chosen] if selects else normal((num_compared, N), seed + 2)
    read_out = ReadOut(chosen, None) if selects else ReadOut(None, R)
    F, P = normal(shape, seed).requires_grad_(), normal(shape, seed + 1)

    def read(maps: Tensor) -> Tensor:
        return torch.einsum("kn,bnhw->bkhw", R, maps)

    torch.testing.assert_close(read_out.of_map(F), read(F), rtol=1e-12, atol=1e-12)
    for own, expected in (
        (content_loss(F, P, read_out), content_loss(read(F), read(P))),
        (
            style_layer_loss(gram_per_position(F), gram_per_position(P), read_out),
            style_layer_loss(gram_per_position(read(F)), gram_per_position(read(P))),
        ),
    ):
        torch.testing.assert_close(own, expected, rtol=1e-9, atol=1e-12)
        gradients = [torch.autograd.grad(losses.sum(), F)[0] for losses in (own, expected)]
        torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-12)
    f, p = (matrix(read(maps)[0].detach()) for maps in (F, P))
    squares = sum((a - b) ** 2 for of_f, of_p in zip(f, p, strict=True) for a, b in zip(of_f, of_p, strict=True))
    assert float(content_loss(F.detach(), P, read_out)[0]) == pytest.approx(squares / 2, rel=1e-9, abs=1e-12)
