"""Colours kept: Gatys et al. 2016 (colour), each function against a formula written out another way."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from skimage.color import rgb2yiq

from harness.images.colour import _matched, grey, luminance, matched_luminance, recoloured, with_colours_of

DTYPES = (torch.float32, torch.float64)
SEEDS = st.integers(0, 2**31)
SIDES = st.integers(3, 12)


def picture(seed: int, height: int = 9, width: int = 11, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
    """Random colours whose channels hang together, between low and high; float64."""
    rng = np.random.default_rng(seed)
    mixed = np.einsum("cd,dhw->chw", rng.uniform(-1, 1, (3, 3)), rng.random((3, height, width)))
    mixed = (mixed - mixed.min()) / (mixed.max() - mixed.min())
    return torch.from_numpy(low + (high - low) * mixed)


def yiq(image: torch.Tensor) -> np.ndarray:
    return rgb2yiq(image.permute(1, 2, 0).numpy())


def statistics(image: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Mean (3) and covariance (3, 3) over the pixels, by loops over the channels."""
    rows = image.double().flatten(1).numpy()
    means = np.array([row.sum() / len(row) for row in rows])
    covariance = np.empty((3, 3))
    for i, j in itertools.product(range(3), repeat=2):
        covariance[i, j] = ((rows[i] - means[i]) * (rows[j] - means[j])).sum() / rows.shape[1]
    return means, covariance


def test_luminance_is_y_of_yiq_by_double_loop():
    image = picture(1)
    result = luminance(image)
    assert result.shape == (1, 9, 11)
    for row, column in itertools.product(range(9), range(11)):
        red, green, blue = image[:, row, column].tolist()
        assert result[0, row, column].item() == pytest.approx(0.299 * red + 0.587 * green + 0.114 * blue, abs=1e-15)
    np.testing.assert_allclose(result[0], yiq(image)[..., 0], atol=1e-12)


def test_gradient_of_luminance_is_its_coefficients_in_a_batch():
    images = torch.rand(2, 4, 3, 5, 6, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(luminance(images).sum(), images)
    expected = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)[:, None, None].expand(images.shape)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtype_is_kept(dtype):
    one, other = picture(1).to(dtype), picture(2).to(dtype)
    results = [luminance(one), grey(one), with_colours_of(one, other), matched_luminance(one, other)]
    results.append(recoloured(one, other))
    assert {result.dtype for result in results} == {dtype}
    doubles = with_colours_of(one.double(), other.double()), recoloured(one.double(), other.double())
    torch.testing.assert_close(results[2].double(), doubles[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(results[4].double(), doubles[1], atol=1e-6, rtol=0)


@given(SEEDS, SIDES, SIDES)
@settings(deadline=None, max_examples=20)
def test_grey_is_three_equal_channels_of_the_same_luminance(seed, height, width):
    image = picture(seed, height, width)
    result = grey(image)
    assert result.shape == image.shape and torch.equal(result[0], result[1]) and torch.equal(result[0], result[2])
    torch.testing.assert_close(luminance(result), luminance(image), atol=1e-14, rtol=0)
    torch.testing.assert_close(grey(result), result, atol=1e-14, rtol=0)
    batch = torch.stack([image, image.flip(-1)])
    assert torch.equal(grey(batch)[1], grey(image.flip(-1)))


@given(SEEDS, SIDES, SIDES)
@settings(deadline=None, max_examples=20)
def test_with_colours_of_has_the_pictures_y_and_the_contents_i_and_q(seed, height, width):
    one, content = picture(seed, height, width, 0.4, 0.6), picture(seed + 1, height, width, 0.3, 0.7)
    result = with_colours_of(one, content)  # nothing is clamped: luminance changes by 0.3 at most
    np.testing.assert_allclose(yiq(result)[..., 0], yiq(one)[..., 0], atol=1e-12)
    np.testing.assert_allclose(yiq(result)[..., 1:], yiq(content)[..., 1:], atol=1e-6)  # of seven given decimals
    torch.testing.assert_close(luminance(result), luminance(one), atol=1e-14, rtol=0)


def test_with_colours_of_clamps():
    for low, high in ((0.0, 0.4), (0.6, 1.0)):
        one = picture(1, low=low, high=high)
        result = with_colours_of(one, picture(2))
        assert result.min() >= 0 and result.max() <= 1
        kept = ((result > 0) & (result < 1)).all(dim=0)
        assert kept.any() and not kept.all()
        torch.testing.assert_close(luminance(result)[0][kept], luminance(one)[0][kept], atol=1e-14, rtol=0)


def test_a_pictures_own_colours_change_nothing_and_a_grey_contents_make_it_grey():
    one, other = picture(1), picture(2)
    torch.testing.assert_close(with_colours_of(one, one), one, atol=1e-15, rtol=0)
    torch.testing.assert_close(with_colours_of(one, grey(other)), grey(one), atol=1e-15, rtol=0)


def test_colours_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"\(3, 9, 11\).*\(3, 9, 12\).*same size"):
        with_colours_of(picture(1), picture(1, width=12))


@given(SEEDS, SIDES, SIDES)
@settings(deadline=None, max_examples=20)
def test_matched_luminance_has_the_contents_mean_and_deviation_and_the_styles_order(seed, height, width):
    style, content = picture(seed, height, width), picture(seed + 1)
    result = matched_luminance(style, content)
    Y, Y_C = result[0].numpy(), yiq(content)[..., 0]
    assert result.shape == style.shape and torch.equal(result[0], result[1]) and torch.equal(result[0], result[2])
    assert Y.mean() == pytest.approx(Y_C.mean()) and Y.std() == pytest.approx(Y_C.std())
    assert np.corrcoef(Y.ravel(), yiq(style)[..., 0].ravel())[0, 1] == pytest.approx(1)


def test_matched_luminance_of_one_luminance_is_the_contents_mean():
    content = picture(1)
    mean = yiq(content)[..., 0].mean()
    assert matched_luminance(torch.full((3, 4, 5), 0.3), content).numpy() == pytest.approx(mean)
    faint = 0.3 + 0.5 / 255 * torch.rand(3, 40, 50).round()  # half a level of noise: not a style
    assert matched_luminance(faint, content).std() < 0.5 / 255
    assert matched_luminance(content, torch.full((3, 4, 5), 0.3)).numpy() == pytest.approx(0.3)


@given(SEEDS, SIDES, SIDES)
@settings(deadline=None, max_examples=30)
def test_matched_colours_have_the_contents_mean_and_covariance(seed, height, width):
    style, content = picture(seed, height, width), picture(seed + 1)
    if np.linalg.eigvalsh(statistics(style)[1]).min() < 2e-5:
        return  # a flat direction: see below
    mean, covariance = statistics(_matched(style, content))
    expected_mean, expected_covariance = statistics(content)
    np.testing.assert_allclose(mean, expected_mean, atol=1e-12)
    np.testing.assert_allclose(covariance, expected_covariance, atol=1e-12)


def test_matched_colours_are_image_analogies_by_matrix_roots():
    style, content = picture(3), picture(4, 7, 8)
    (mean_S, cov_S), (mean_C, cov_C) = statistics(style), statistics(content)
    A = sqrtm(cov_C) @ np.linalg.inv(sqrtm(cov_S))
    result = _matched(style, content)
    for row, column in itertools.product(range(9), range(11)):
        expected = A @ style[:, row, column].numpy() + (mean_C - A @ mean_S)
        np.testing.assert_allclose(result[:, row, column], expected, atol=1e-9)


def test_recoloured_is_the_matched_colours_clamped():
    style, content = picture(3), picture(4)
    result = recoloured(style, content)
    assert torch.equal(result, _matched(style, content).clamp(0, 1))
    assert result.min() == 0 or result.max() == 1  # the deviation is in force here


def test_order_of_the_channels_does_not_matter():
    style, content = picture(3), picture(4)
    order = [2, 0, 1]
    torch.testing.assert_close(_matched(style[order], content[order]), _matched(style, content)[order])


def test_own_colours_change_nothing():
    style = picture(5)
    torch.testing.assert_close(recoloured(style, style), style, atol=1e-12, rtol=0)


def test_style_of_one_colour_becomes_the_contents_mean_colour():
    content = picture(1)
    result = recoloured(torch.full((3, 4, 5), 0.7), content)
    mean = content.mean(dim=(1, 2)).float()
    torch.testing.assert_close(result, mean[:, None, None].expand(3, 4, 5))


def test_flat_direction_is_not_stretched():
    """A grey style varies along one line of colours; so does the result, and rounding noise stays noise."""
    content = picture(1)
    noise = torch.rand(3, 40, 50, generator=torch.Generator().manual_seed(0)).double() / 255
    for style in (grey(picture(2, 40, 50)), grey(picture(2, 40, 50)) + noise):
        result = _matched(style, content)
        np.testing.assert_allclose(statistics(result)[0], statistics(content)[0], atol=1e-12)
        variances = np.linalg.eigvalsh(statistics(result)[1])
        assert result.isfinite().all() and variances[1] < 1e-12 < 1e-3 < variances[2]


def test_grey_content_makes_the_style_grey():
    result = _matched(picture(1), grey(picture(2)))
    torch.testing.assert_close(result, grey(result), atol=1e-7, rtol=0)
