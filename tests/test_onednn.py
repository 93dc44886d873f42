"""oneDNN's convolutions and products against torch's."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from harness.features import onednn

pytestmark = pytest.mark.skipif(not onednn.is_for(torch.zeros(1)), reason="torch was built without oneDNN")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def error(found: Tensor, exact: Tensor) -> float:
    assert found.shape == exact.shape
    return float((found.double() - exact).norm() / exact.norm())


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 70), st.integers(1, 12), st.integers(1, 12), st.integers(1, 3))
def test_gram_is_the_sum_over_positions(num, height, width, seed) -> None:
    features = channels_last(normal(1, num, height, width, seed=seed))
    flat = features.double().flatten(2)[0]
    assert error(onednn.gram(features), flat @ flat.T) < 1e-5


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 70), st.integers(1, 70))
def test_linear_and_its_gradients_are_torchs(num_rows, num_in, num_out) -> None:
    x, weight = normal(num_rows, num_in).requires_grad_(), normal(num_out, num_in, seed=1)
    g = normal(num_rows, num_out, seed=2)
    found = onednn.linear(x, weight)
    (gradient,) = torch.autograd.grad(found, x, g)
    assert error(found.detach(), x.detach().double() @ weight.double().T) < 1e-5
    assert error(gradient, g.double() @ weight.double()) < 1e-5


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("laid_out_for", [4, 64])
def test_packed_weights_serve_every_size(relu: bool, padding: int, laid_out_for: int) -> None:
    weight, bias = normal(24, 16, 3, 3, seed=1), normal(24, seed=2)
    weights = onednn.packed(weight, (1, 16, laid_out_for, laid_out_for), padding=1)
    assert onednn.is_packed(weights) and not onednn.is_packed(weight)
    for side in (5, 33):
        x = channels_last(normal(1, 16, side, side + 2))
        exact = functional.conv2d(x.double(), weight.double(), bias.double(), padding=padding)
        found = onednn.convolved(x, weights, bias, padding, relu=relu)
        assert error(found, exact.relu() if relu else exact) < 1e-5


def test_rows_are_each_its_own_to_the_bit() -> None:
    batch = channels_last(normal(3, 32, 9, 7))
    grams = onednn.by_rows(lambda of_row: onednn.gram(of_row)[None], batch)
    for row, found in zip(batch.split(1), grams, strict=True):
        assert torch.equal(onednn.gram(row.clone(memory_format=torch.channels_last)), found)
