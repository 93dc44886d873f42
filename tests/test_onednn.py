"""oneDNN's convolutions and products against torch's."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hypothesis import example, given, settings
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
@given(st.integers(1, 70), st.integers(1, 40), st.integers(1, 40), st.integers(1, 3))
@example(64, 20, 20, 0)  # above 20480 numbers: only these are oneDNN's
@example(65, 21, 17, 0)
def test_gram_is_the_sum_over_positions(num, height, width, seed) -> None:
    features = channels_last(normal(1, num, height, width, seed=seed))
    flat = features.double().flatten(2)[0]
    assert error(onednn.gram(features), flat @ flat.T) < 1e-5


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 70), st.integers(1, 70))
@example(400, 70, 33)
@example(256, 256, 256)
def test_linear_and_its_gradients_are_torchs(num_rows, num_in, num_out) -> None:
    x, weight = normal(num_rows, num_in).requires_grad_(), normal(num_out, num_in, seed=1)
    g = normal(num_rows, num_out, seed=2)
    found = onednn.linear(x, weight)
    (gradient,) = torch.autograd.grad(found, x, g)
    assert error(found.detach(), x.detach().double() @ weight.double().T) < 1e-5
    assert error(gradient, g.double() @ weight.double()) < 1e-5


@pytest.mark.parametrize("shape", [(64, 20, 20), (256, 256)])
def test_a_single_thread_goes_by_onednn(shape: tuple[int, ...]) -> None:
    """Its own log says what it carried out."""
    call = (
        "onednn.gram(x[None].contiguous(memory_format=torch.channels_last))"
        if len(shape) == 3
        else "onednn.linear(x, x)"
    )
    script = f"""
import torch
from harness.features import onednn
torch.set_num_threads(1)
x = torch.rand({shape})
with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
    {call}
"""
    told = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert "convolution" in told


@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("laid_out_for", [4, 64])
def test_packed_weights_serve_every_size(padding: int, laid_out_for: int) -> None:
    weight, bias = normal(24, 16, 3, 3, seed=1), normal(24, seed=2)
    weights = onednn.packed(weight, (1, 16, laid_out_for, laid_out_for), padding=1)
    assert onednn.is_packed(weights) and not onednn.is_packed(weight)
    for side in (5, 33):
        x = channels_last(normal(1, 16, side, side + 2))
        exact = functional.conv2d(x.double(), weight.double(), bias.double(), padding=padding)
        assert error(onednn.convolved(x, weights, bias, padding), exact) < 1e-5


def test_rows_are_each_its_own_to_the_bit() -> None:
    batch = channels_last(normal(3, 65, 21, 17))  # rows that begin at odd addresses
    grams = onednn.by_rows(lambda of_row: onednn.gram(of_row)[None], batch)
    for row, found in zip(batch.split(1), grams, strict=True):
        assert torch.equal(onednn.gram(row.clone(memory_format=torch.channels_last)), found)
