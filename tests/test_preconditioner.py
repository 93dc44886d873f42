"""H⁰ = F ⊗ Cᵖ: the Fourier filter and the colours of photographs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.images.files import read_image
from harness.images.library import find_image
from harness.optim.preconditioner import COLOUR_COVARIANCE, FourierFilter, colour_factor

SHAPE = (3, 6, 8)
EYE = torch.eye(3, dtype=torch.float64)


def vectors(num: int, shape: tuple[int, ...] = SHAPE, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(num, *shape, generator=generator, dtype=dtype).flatten(1)


def dense_fourier(height: int, width: int, exponent: float) -> np.ndarray:
    """F as a real matrix (HW, HW): inverse DFT × gain × DFT, by explicit exponentials."""
    positions = [(r, c) for r in range(height) for c in range(width)]
    dft = np.array(
        [[np.exp(-2j * np.pi * (p * r / height + q * c / width)) for r, c in positions] for p, q in positions]
    )
    f = np.array([np.hypot(min(p, height - p) / height, min(q, width - q) / width) for p, q in positions])
    gain = 1 / np.maximum(f, 1 / 64) ** exponent
    matrix = dft.conj().T @ np.diag(gain) @ dft / (height * width)
    assert abs(matrix.imag).max() < 1e-9
    return matrix.real


@pytest.mark.parametrize("exponent", [1.0, 1.5])
@pytest.mark.parametrize(
    "colours", [None, torch.tensor([[2.0, 0.5, 0.1], [0.5, 1.0, -0.2], [0.1, -0.2, 3.0]]).double()]
)
def test_filter_is_the_kronecker_product_of_colours_and_a_dense_fourier_matrix(
    exponent: float, colours: Tensor | None
) -> None:
    shape = (3, 4, 5)
    C = (colour_factor() if colours is None else colours).numpy()
    dense = np.kron(C, dense_fourier(4, 5, exponent))
    given = FourierFilter(shape, exponent, colours)
    found = torch.stack([given(e) for e in torch.eye(60, dtype=torch.float64)])
    np.testing.assert_allclose(found.numpy(), dense, rtol=1e-9, atol=1e-9)
    assert np.linalg.eigvalsh(dense).min() > 0


def test_filter_is_symmetric_and_positive() -> None:
    H = FourierFilter(SHAPE)
    u, v = vectors(2)
    torch.testing.assert_close(H(u) @ v, u @ H(v))
    assert H(u) @ u > 0 and H(v) @ v > 0


def test_colours_of_an_identity_change_nothing() -> None:
    u = vectors(1)[0]
    plane = FourierFilter((1, 6, 8))
    expected = torch.cat([plane(channel) for channel in u.view(3, 48)])
    torch.testing.assert_close(FourierFilter(SHAPE, colours=EYE)(u), expected)


def test_constant_colour_is_multiplied_by_64_and_the_colours_factor() -> None:
    H = FourierFilter(SHAPE)
    for colour in torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [-1.0, 2.0, -1.0]], dtype=torch.float64):
        found = H(colour[:, None, None].expand(SHAPE).flatten()).view(SHAPE)
        torch.testing.assert_close(found, (64 * colour_factor() @ colour)[:, None, None].expand(SHAPE))
    grey, green_magenta = (torch.tensor(c, dtype=torch.float64) for c in ([1.0, 1.0, 1.0], [-1.0, 2.0, -1.0]))
    lengths = [float((colour_factor() @ c).norm() / c.norm()) for c in (grey, green_magenta)]
    assert lengths[0] > 0.9 and lengths[1] < 0.2  # photographs differ in lightness, hardly from green to magenta


@pytest.mark.parametrize("shape", [(1, 6, 8), (4, 6, 8), (6, 8), (2, 3, 6, 8)])
def test_rows_without_three_channels_have_no_colours(shape: tuple[int, ...]) -> None:
    u = vectors(1, shape)[0]
    plane = FourierFilter((6, 8))
    torch.testing.assert_close(FourierFilter(shape)(u), torch.cat([plane(one) for one in u.view(-1, 48)]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(3, 6, 8), (3, 15, 17), (3, 33, 47)])
def test_row_of_a_batch_is_the_solo_row_bit_for_bit(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    batch = vectors(5, shape, dtype)
    before = batch.clone()
    found = FourierFilter(shape)(batch)
    assert torch.equal(batch, before)
    for row, alone in zip(found, batch, strict=True):
        assert torch.equal(row, FourierFilter(shape)(alone.clone()))


def test_colour_covariance_is_that_of_four_bundled_photographs() -> None:
    of_each = []
    for name in ("astronaut", "chelsea", "coffee", "rocket"):
        covariance = np.cov(read_image(find_image(name)).reshape(-1, 3).T.astype(np.float64), bias=True)
        of_each.append(covariance / np.trace(covariance))
    mean = np.mean(of_each, axis=0)
    np.testing.assert_allclose(np.array(COLOUR_COVARIANCE), mean / np.linalg.eigvalsh(mean)[-1], atol=1e-4)


def test_colour_factor_is_a_power_of_the_covariance() -> None:
    torch.testing.assert_close(colour_factor(0.5) @ colour_factor(0.5), torch.tensor(COLOUR_COVARIANCE).double())
    torch.testing.assert_close(colour_factor(0.0), EYE)
