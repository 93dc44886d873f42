"""The noise that a picture may start from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from engine_rows import make_rows

from harness.images.noise import noise
from harness.runs.prepare import prepare_images, start_image


def generator(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_white_noise_is_a_half_plus_sigma_times_the_generators_normals() -> None:
    expected = 0.5 + 0.25 * torch.randn(3, 20, 31, generator=generator())
    assert torch.equal(noise(20, 31, 0.25, "white", generator()), expected)


@pytest.mark.parametrize("height, width", [(16, 16), (40, 33), (33, 40), (129, 64)])
def test_pink_noise_has_its_mean_and_standard_deviation_in_every_channel(height: int, width: int) -> None:
    pink = noise(height, width, 0.02, "pink", generator()).double()
    assert pink.shape == (3, height, width)
    torch.testing.assert_close(pink.mean((1, 2)), torch.full((3,), 0.5, dtype=torch.float64), atol=1e-6, rtol=0)
    deviations = pink.std((1, 2), correction=0)
    torch.testing.assert_close(deviations, torch.full((3,), 0.02, dtype=torch.float64), rtol=1e-4, atol=0)


def test_amplitudes_of_pink_noise_fall_as_one_over_f() -> None:
    """Pink over white at every frequency but 0 is c / f, by numpy's whole FFT."""
    white, pink = (np.fft.fft2(noise(24, 30, 1.0, kind, generator()).double().numpy()) for kind in ("white", "pink"))
    f = np.hypot(np.fft.fftfreq(24)[:, None], np.fft.fftfreq(30))
    ratio = (pink / white)[:, f > 0] * f[f > 0]
    np.testing.assert_allclose(ratio, ratio[:, :1] * np.ones_like(ratio), rtol=1e-3)
    assert np.all(ratio.real > 0)


def test_channels_and_seeds_of_pink_noise_are_independent() -> None:
    first, other = (noise(64, 64, 1.0, "pink", generator(seed)) for seed in (0, 1))
    assert torch.equal(first, noise(64, 64, 1.0, "pink", generator(0)))
    assert not torch.equal(first, other)
    assert torch.corrcoef(first.flatten(1)).triu(1).abs().max() < 0.5  # few low frequencies hold most of the energy


def test_rows_start_from_the_noise_of_their_own_seed_and_spectrum(tmp_path) -> None:
    rows = make_rows(tmp_path, "transfer.noise_sigma=0.1", varied="axes: {noise_spectrum: [white, pink], seed: [0, 5]}")
    prepared = prepare_images(rows)
    for k, row in enumerate(rows):
        spectrum, seed = row.transfer.noise_spectrum, row.transfer.seed
        start = start_image(row, prepared, k)
        assert torch.equal(start, noise(*start.shape[1:], 0.1, spectrum, generator(seed)))
    assert {(row.transfer.noise_spectrum, row.transfer.seed) for row in rows} == {
        (kind, seed) for kind in ("white", "pink") for seed in (0, 5)
    }
