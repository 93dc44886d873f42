"""What claims measure and the arithmetic that decides them, against double loops and exact properties."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from results_folder import make_results_folder, picture

from harness.claims.expectations import changes, equal, greater, within
from harness.claims.measures import (
    PICTURE_MEASURES,
    SET_MEASURES,
    CannotMeasureError,
    Measuring,
    autocorrelation,
    blurred,
    luminance,
    root_mean_square,
)
from harness.config import claims as stated
from harness.results import Results, load


def results_of(path: Path, cells: list[dict[str, Any]], **experiment: Any) -> Results:
    return load(make_results_folder(path / "fig", cells, experiment))


def test_every_measure_a_claim_may_name_is_measured_somewhere() -> None:
    from harness.metrics import METRICS

    assert set(stated.MEASURES) == {*stated.METRICS, *stated.LOSSES, *PICTURE_MEASURES, *SET_MEASURES}
    assert {*stated.PICTURE_MEASURES} == {*PICTURE_MEASURES, *SET_MEASURES} and set(stated.METRICS) <= set(METRICS)


def test_blur_is_a_gaussian_of_2_px_mirrored_at_the_borders() -> None:
    from scipy.ndimage import gaussian_filter

    Y = luminance(picture(1, 13, 21))
    np.testing.assert_allclose(blurred(Y), gaussian_filter(Y, 2.0, mode="reflect", truncate=4.0), atol=1e-12)


def test_luminance_is_rec_709() -> None:
    image = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], dtype=np.uint8)
    np.testing.assert_allclose(luminance(image), [[0.2126, 0.7152, 0.0722, 1.0]], atol=1e-12)


def test_autocorrelation_is_the_mean_over_overlapping_pairs_by_double_loop() -> None:
    Y = luminance(picture(2, 9, 7))
    Z = Y - Y.mean()
    found = autocorrelation(Y, 3)
    for down in range(-3, 4):
        for across in range(-3, 4):
            products = [
                Z[i, j] * Z[i + down, j + across]
                for i in range(9)
                for j in range(7)
                if 0 <= i + down < 9 and 0 <= j + across < 7
            ]
            assert found[down + 3, across + 3] == pytest.approx(np.mean(products) / (Z * Z).mean(), abs=1e-12)
    assert found[3, 3] == pytest.approx(1)


@settings(deadline=None, max_examples=20)
@given(st.floats(0.1, 5), st.floats(-3, 3))
def test_autocorrelation_is_blind_to_brightness_and_contrast(contrast: float, brightness: float) -> None:
    Y = luminance(picture(3, 12, 12))
    np.testing.assert_allclose(autocorrelation(contrast * Y + brightness, 5), autocorrelation(Y, 5), atol=1e-9)


def test_autocorrelation_of_a_shifted_wave_hardly_moves_and_of_a_turned_one_does_not() -> None:
    across = np.arange(96)
    wave, shifted = (np.tile(np.sin(2 * np.pi * (across + shift) / 24), (96, 1)) for shift in (0, 7))
    assert root_mean_square(autocorrelation(wave, 32) - autocorrelation(shifted, 32)) < 0.1
    assert root_mean_square(autocorrelation(wave, 32) - autocorrelation(wave.T, 32)) > 0.5


def measured(path: Path, name: str, **cell: Any) -> float:
    results = results_of(path, [cell])
    return Measuring(results).of_run(name, results.runs[0])


def test_fine_structure_of_the_photograph_itself_correlates_fully(tmp_path: Path) -> None:
    photograph = picture(4, 20, 24)
    name = "high_frequency_correlation"
    assert measured(tmp_path / "a", name, image=photograph, content=photograph) == pytest.approx(1, abs=1e-12)
    assert measured(tmp_path / "b", name, image=255 - photograph, content=photograph) == pytest.approx(-1, abs=1e-12)


def test_high_frequency_correlation_ignores_a_slow_shade_and_is_numpys_corrcoef(tmp_path: Path) -> None:
    photograph, image = picture(5, 32, 32) // 2, picture(6, 32, 32) // 2
    shade = np.linspace(0, 120, 32)[:, None, None].astype(np.uint8)
    name = "high_frequency_correlation"
    assert measured(tmp_path / "a", name, image=photograph + shade, content=photograph) > 0.99
    fine = [(Y - blurred(Y)).ravel() for Y in (luminance(image), luminance(photograph))]
    expected = np.corrcoef(*fine)[0, 1]
    assert abs(expected) > 1e-3
    assert measured(tmp_path / "b", name, image=image, content=photograph) == pytest.approx(expected, abs=1e-12)


def test_pictures_without_structure_or_of_another_size_are_not_measured(tmp_path: Path) -> None:
    flat, noise = np.full((40, 40, 3), 77, np.uint8), picture(1, 40, 40)
    with pytest.raises(CannotMeasureError, match="flat"):
        measured(tmp_path / "a", "high_frequency_correlation", image=flat, content=noise)
    with pytest.raises(CannotMeasureError, match="40 × 40 px and the photograph 16 × 16 px"):
        measured(tmp_path / "b", "high_frequency_correlation", image=noise, content=picture(1))
    with pytest.raises(CannotMeasureError, match="flat"):
        measured(tmp_path / "c", "autocorrelation_distance", image=flat, style=noise)
    with pytest.raises(CannotMeasureError, match="32 px or less"):
        measured(tmp_path / "d", "autocorrelation_distance", image=noise, style=picture(1, 32, 40))


def test_style_distance_is_the_root_mean_square_to_the_painting(tmp_path: Path) -> None:
    painting, image = picture(7), picture(8)
    expected = math.sqrt(((image / 255 - painting / 255) ** 2).mean())
    assert measured(tmp_path / "a", "style_distance", image=image, style=painting) == pytest.approx(expected, abs=1e-6)
    white = np.full((8, 40, 3), 255, np.uint8)
    black = np.zeros((16, 16, 3), np.uint8)
    assert measured(tmp_path / "b", "style_distance", image=black, style=white) == pytest.approx(1)


def test_autocorrelation_distance_is_0_to_the_painting_and_compares_lags_of_8_to_32_px(tmp_path: Path) -> None:
    painting, image = picture(9, 48, 40), picture(10, 44, 36)
    name = "autocorrelation_distance"
    assert measured(tmp_path / "a", name, image=painting, style=painting) == 0
    ρ_x, ρ_s = (autocorrelation(luminance(x), 32) for x in (image, painting))
    squares = [
        (ρ_x[i + 32, j + 32] - ρ_s[i + 32, j + 32]) ** 2
        for i in range(-32, 33)
        for j in range(-32, 33)
        if 8 <= math.hypot(i, j) <= 32
    ]
    expected = math.sqrt(np.mean(squares))
    assert measured(tmp_path / "b", name, image=image, style=painting) == pytest.approx(expected)


def test_pair_distance_is_that_of_the_nearest_pair(tmp_path: Path) -> None:
    images = [picture(k) for k in range(3)]
    near = images[1].copy()
    near[0, 0, 0] ^= 16
    cells = [{"label": {"seed": k}, "image": image} for k, image in enumerate([*images, near])]
    results = results_of(tmp_path, cells, axes={"seed": [0, 1, 2, 3]})
    expected = 16 / 255 / math.sqrt(16 * 16 * 3)
    assert Measuring(results).of_set("pair_distance", results.runs) == pytest.approx(expected)
    with pytest.raises(CannotMeasureError, match="at least two"):
        Measuring(results).of_set("pair_distance", results.runs[:1])


def test_own_style_margin_is_the_ratio_of_reference_style_distances(tmp_path: Path) -> None:
    import torch

    from harness.images.resize import to_tensor
    from harness.metrics import REFERENCE_STYLE, measure
    from harness.runs.prepare import embedded_network

    paintings = [picture(20), picture(21, 24, 20) // 3, picture(22) // 2 + 100]
    images = [picture(23), picture(24) // 2, picture(25)]
    cells = [
        {"label": {"style": f"s{k}"}, "image": image, "style": painting}
        for k, (image, painting) in enumerate(zip(images, paintings, strict=True))
    ]
    results = results_of(tmp_path, cells, axes={"style": ["s0", "s1", "s2"]})
    network = embedded_network()

    def distance(image: np.ndarray, painting: np.ndarray) -> float:
        x, s = (to_tensor(each / np.float32(255)) for each in (image, painting))
        return float(measure(x, torch.zeros_like(x), s, network, ())[REFERENCE_STYLE])

    measuring = Measuring(results)
    for k, run in enumerate(results.runs):
        own, *others = (distance(images[k], paintings[j]) for j in (k, *({0, 1, 2} - {k})))
        assert measuring.of_run("own_style_margin", run) == pytest.approx(min(others) / own, rel=1e-4)


def test_margin_to_other_paintings_needs_another(tmp_path: Path) -> None:
    cells = [{"label": {"seed": k}} for k in (0, 1)]  # two runs, one painting
    results = results_of(tmp_path, cells, axes={"seed": [0, 1]})
    with pytest.raises(CannotMeasureError, match="only one painting"):
        Measuring(results).of_run("own_style_margin", results.runs[0])


def test_painting_used_at_two_scales_is_one_painting(tmp_path: Path) -> None:
    cells = [{"label": {"style_scale": scale}, "style": picture(k)} for k, scale in enumerate((1.0, 2.0))]
    results = results_of(tmp_path, cells, axes={"style_scale": [1.0, 2.0]})
    with pytest.raises(CannotMeasureError, match="only one painting"):
        Measuring(results).of_run("own_style_margin", results.runs[0])


# Expectations


def test_direction_needs_every_step_and_the_whole() -> None:
    assert changes("rises", [1, 2, 3], None, None).holds
    assert changes("falls", [3, 2, 1], None, None).holds
    assert not changes("rises", [1, 3, 2], None, None).holds
    assert changes("rises", [1, 2, 3], 2, None).holds  # ≥
    assert not changes("rises", [1, 2, 3], 2.001, None).holds
    assert changes("falls", [8, 4, 2], None, 4).holds
    assert not changes("falls", [8, 4, 2], None, 4.001).holds
    assert changes("falls", [8, 4, 2], None, 3).margin == pytest.approx(1)
    assert changes("rises", [1, 3, 2], 0.5, None).margin == -1
    assert "step 2 of 2" in changes("rises", [1, 3, 2], 0.5, None).remark


def test_a_tie_is_no_rise() -> None:
    assert not changes("rises", [1, 1, 2], None, None).holds
    assert not changes("falls", [2, 1, 1], None, None).holds
    assert not greater(1, 1, None, None).holds
    assert not greater(1, 0, 1, None).holds
    assert equal([1], [1], 0).holds


def test_ratios_across_zero_are_not_decided_by_their_sign() -> None:
    with pytest.raises(CannotMeasureError, match="no meaning"):
        changes("rises", [-1, 2, 3], None, 2)
    with pytest.raises(CannotMeasureError, match="no meaning"):
        greater(-1, -3, None, 2)
    unbounded = changes("falls", [2, 1, 0], None, 5)
    assert unbounded.holds and unbounded.quantity is None and unbounded.margin is None
    assert not greater(0, 0, None, 2).holds
    assert greater(1e300, 1e-300, None, 2).quantity is None


def test_spread_is_relative_to_the_size_of_the_median() -> None:
    assert within([9, 10, 11], 0.2).holds
    assert not within([9, 10, 11.1], 0.2).holds
    assert not within([-9, -10, -11.1], 0.2).holds  # a negative median must not make every spread small
    assert within([0, 0], 0).holds
    with pytest.raises(CannotMeasureError, match="median is 0"):
        within([-1, 0, 1], 0.2)
    with pytest.raises(CannotMeasureError, match="at least two"):
        within([1], 0.2)


def test_equality_is_that_of_single_runs_not_of_means() -> None:
    assert not equal([0.5, -0.5], None, 0).holds
    assert equal([0.5, -0.5], None, 0.5).holds
    assert equal([1, 3], [2], 0.5).margin == -0.5


@settings(deadline=None, max_examples=25)
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=6), st.floats(0, 1e6))
def test_falling_is_rising_backwards_and_margins_have_the_verdicts_sign(values: list[float], by: float) -> None:
    rising, falling = changes("rises", values, by, None), changes("falls", values[::-1], by, None)
    assert rising == falling or rising.remark != falling.remark and rising.holds == falling.holds
    assert rising.margin is not None and (rising.margin >= 0 if rising.holds else rising.margin <= 0)
