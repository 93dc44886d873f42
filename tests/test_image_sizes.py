"""Sizes and resampling: the definition of cubic convolution, proportions kept, impossible sizes refused."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import ImageError
from harness.images.resize import fit_area, fit_longer_side, resize, to_array, to_tensor

RNG = np.random.default_rng(0)


def _keys_1981(row: np.ndarray, size: int) -> np.ndarray:
    """Cubic convolution (a = -0.5) of one row by its definition, the kernel widened when shrinking."""

    def kernel(t: float) -> float:
        t = abs(t)
        if t < 1:
            return 1.5 * t**3 - 2.5 * t**2 + 1
        return -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t < 2 else 0.0

    step = len(row) / size
    widening = max(step, 1.0)
    result = []
    for index in range(size):
        centre = (index + 0.5) * step
        weights = [kernel((position + 0.5 - centre) / widening) for position in range(len(row))]
        result.append(sum(w * v for w, v in zip(weights, row, strict=True)) / sum(weights))
    return np.array(result)


@pytest.mark.parametrize(("height", "width"), [(5, 6), (9, 31), (26, 13), (1, 1)])
def test_resize_is_cubic_convolution_by_definition(height, width):
    image = RNG.random((13, 17, 3))
    resized = to_array(resize(to_tensor(image), height, width))
    rows = np.stack([[_keys_1981(image[y, :, c], width) for c in range(3)] for y in range(13)])
    expected = np.stack([[_keys_1981(rows[:, c, x], height) for c in range(3)] for x in range(width)])
    assert resized.shape == (height, width, 3)
    np.testing.assert_allclose(resized, expected.transpose(2, 0, 1).clip(0, 1), atol=2e-5)


def test_shrinking_does_not_alias():
    stripes = torch.zeros(3, 64, 64)
    stripes[:, :, ::2] = 1
    assert (resize(stripes, 16, 16)[:, 2:-2, 2:-2] - 0.5).abs().max() < 0.02


def test_resize_stays_in_range_and_keeps_constants():
    edge = torch.zeros(3, 8, 8)
    edge[:, :, 4:] = 1
    larger = resize(edge, 40, 40)
    assert larger.min() >= 0 and larger.max() <= 1
    torch.testing.assert_close(resize(torch.full((3, 9, 7), 0.3), 20, 3), torch.full((3, 20, 3), 0.3))


def test_same_size_is_the_image_itself():
    image = torch.rand(3, 6, 7) * 1.2
    assert torch.equal(resize(image, 6, 7), image)


def test_tensor_and_array_are_inverse_and_share_nothing():
    image = RNG.random((4, 5, 3)).astype(np.float32)
    tensor = to_tensor(image)
    assert tensor.shape == (3, 4, 5) and tensor[2, 1, 3] == image[1, 3, 2]
    tensor_copy = tensor.clone()
    image_before = image.copy()
    np.testing.assert_array_equal(to_array(tensor), image)
    tensor.zero_()
    np.testing.assert_array_equal(image, image_before)
    np.testing.assert_array_equal(to_array(tensor_copy), image)


@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(1, 2000))
@settings(deadline=None, max_examples=25)
def test_longer_side_is_exact_and_the_other_within_half_a_pixel(height, width, size_px):
    shorter = min(height, width) * size_px / max(height, width)
    if shorter < 0.5:
        with pytest.raises(ImageError, match="at least 1 px"):
            fit_longer_side(height, width, size_px)
        return
    fitted = fit_longer_side(height, width, size_px)
    assert max(fitted) == size_px and abs(min(fitted) - shorter) <= 0.5
    assert (fitted[0] >= fitted[1]) if height >= width else (fitted[0] <= fitted[1])


def test_half_a_pixel_rounds_up():
    assert fit_longer_side(3, 4, 2) == (2, 2) and fit_longer_side(768, 1024, 512) == (384, 512)


@given(st.integers(50, 2000), st.integers(50, 2000), st.integers(10_000, 1_000_000), st.sampled_from([0.5, 1.0, 2.0]))
@settings(deadline=None, max_examples=25)
def test_style_has_the_contents_area_times_the_scale_squared(height, width, area_px, scale):
    fitted_height, fitted_width = fit_area(height, width, area_px, scale)
    exact = math.sqrt(area_px * scale**2 * height / width), math.sqrt(area_px * scale**2 * width / height)
    assert abs(fitted_height - exact[0]) <= 0.5 + 1e-9 and abs(fitted_width - exact[1]) <= 0.5 + 1e-9


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_impossible_scale_gets_a_sentence(scale):
    with pytest.raises(ImageError, match="above 0"):
        fit_area(100, 100, 10_000, scale)


def test_impossible_sizes_get_a_sentence():
    with pytest.raises(ImageError, match="at least 1 px"):
        fit_longer_side(10, 10, 0)
    with pytest.raises(ImageError, match="at least 1 px"):
        fit_area(10, 10_000, 100, 0.1)
    with pytest.raises(ImageError, match="too large.*89 million"):
        fit_area(10, 10, 10_000, 1000.0)
    with pytest.raises(ImageError, match="at least 1 px"):
        resize(torch.zeros(3, 4, 4), 0, 5)
