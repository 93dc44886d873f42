"""What claims measure on pictures, against double loops and exact properties."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from results_folder import make_results_folder, picture

from harness.config.claims import COMPARABLE
from harness.errors import CannotMeasureError
from harness.measures.arrays import autocorrelation, blurred, chroma, edge_strength, luminance, root_mean_square
from harness.measures.of_pictures import finest_share
from harness.measures.straight_lines import straight_points, straight_share
from harness.registries import measure
from harness.results import Results, load
from harness.results.measuring import Measuring


def results_of(path: Path, cells: list[dict[str, Any]], **experiment: Any) -> Results:
    return load(make_results_folder(path / "fig", cells, experiment))


def test_every_comparable_number_is_a_measure_too() -> None:
    assert set(COMPARABLE) < set(measure)


def mirrored(i: int, size: int) -> int:
    """The index of a row or column outside the picture: … 1 0 | 0 1 … size-1 | size-1 size-2 …, as often as needed."""
    i %= 2 * size
    return i if i < size else 2 * size - 1 - i


@pytest.mark.parametrize("height, width", [(13, 21), (3, 11)])
def test_blur_is_a_gaussian_of_2_px_cut_off_at_8_and_mirrored_at_the_borders(height: int, width: int) -> None:
    Y = luminance(picture(1, height, width) / 255)
    weights = {d: math.exp(-d * d / (2 * 2.0**2)) for d in range(-8, 9)}
    whole = sum(weights.values()) ** 2
    expected = np.zeros_like(Y)
    for i in range(height):
        for j in range(width):
            for down, a in weights.items():
                for across, b in weights.items():
                    expected[i, j] += a * b / whole * Y[mirrored(i + down, height), mirrored(j + across, width)]
    np.testing.assert_allclose(blurred(Y), expected, rtol=0, atol=1e-12)


def test_luminance_is_rec_709() -> None:
    image = np.array([[[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]])
    np.testing.assert_allclose(luminance(image), [[0.2126, 0.7152, 0.0722, 1.0]], atol=1e-12)


def test_autocorrelation_is_the_mean_over_overlapping_pairs_by_double_loop() -> None:
    Y = luminance(picture(2, 9, 7) / 255)
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
    Y = luminance(picture(3, 12, 12) / 255)
    np.testing.assert_allclose(autocorrelation(contrast * Y + brightness, 5), autocorrelation(Y, 5), atol=1e-9)


def test_autocorrelation_of_a_shifted_wave_hardly_moves_and_of_a_turned_one_does_not() -> None:
    across = np.arange(96)
    wave, shifted = (np.tile(np.sin(2 * np.pi * (across + shift) / 24), (96, 1)) for shift in (0, 7))
    assert root_mean_square(autocorrelation(wave, 32) - autocorrelation(shifted, 32)) < 0.1
    assert root_mean_square(autocorrelation(wave, 32) - autocorrelation(wave.T, 32)) > 0.5


def measured(path: Path, name: str, **cell: Any) -> float:
    results = results_of(path, [cell])
    return Measuring(results.all_runs).of_run(name, results.runs[0])


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
    fine = [(Y - blurred(Y)).ravel() for Y in (luminance(image / 255), luminance(photograph / 255))]
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


def wave(height: int, width: int, down: int, across: int) -> np.ndarray:
    """A grey sinusoid of that many periods down and across, (height, width, 3) in grey levels, not rounded."""
    phase = down * np.arange(height)[:, None] / height + across * np.arange(width) / width
    return np.repeat((127.5 + 100 * np.sin(2 * np.pi * phase))[..., None], 3, axis=2)


@pytest.mark.parametrize(
    "down, across, expected",
    [(0, 16, 1), (0, 14, 0), (15, 0, 1), (9, 9, 0), (10, 10, 1), (20, 0, 1)],  # of 40: 0.35 is 14 periods
)
def test_finest_share_of_a_wave_is_1_above_035_cycles_per_px_and_0_below(
    down: int, across: int, expected: float
) -> None:
    if down == 20:  # at Nyquist sine is 0 everywhere
        image = np.repeat(np.where(np.arange(40) % 2, 200.0, 50.0)[:, None, None], 40, axis=1).repeat(3, axis=2)
    else:
        image = wave(40, 40, down, across)
    assert finest_share(image) == pytest.approx(expected, abs=1e-12)


def test_finest_share_of_two_waves_is_that_of_their_squared_amplitudes() -> None:
    image = 0.3 * wave(40, 60, 2, 3) + 0.6 * wave(40, 60, 18, 20)
    assert finest_share(image) == pytest.approx(0.36 / (0.09 + 0.36))


def test_finest_share_of_white_noise_is_the_area_outside_the_circle() -> None:
    assert finest_share(picture(3, 300, 400)) == pytest.approx(1 - math.pi * 0.35**2, abs=0.005)


def test_finest_share_is_that_of_a_discrete_fourier_transform_by_matrices(tmp_path: Path) -> None:
    image = picture(12, 16, 22)
    x = image / 255 - (image / 255).mean((0, 1))
    bases = [np.exp(-2j * np.pi * np.outer(np.arange(n), np.arange(n)) / n) for n in (16, 22)]
    energy = sum(np.abs(bases[0] @ x[..., c] @ bases[1]) ** 2 for c in range(3))
    f = [[math.hypot(min(i, 16 - i) / 16, min(j, 22 - j) / 22) for j in range(22)] for i in range(16)]
    expected = energy[np.array(f) > 0.35].sum() / energy.sum()
    assert measured(tmp_path / "a", "finest_share", image=image) == pytest.approx(expected, abs=1e-12)
    with pytest.raises(CannotMeasureError, match="flat"):
        measured(tmp_path / "b", "finest_share", image=np.full((40, 40, 3), 77, np.uint8))


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
    ρ_x, ρ_s = (autocorrelation(luminance(x / 255), 32) for x in (image, painting))
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
    assert Measuring(results.all_runs).of_set("pair_distance", results.runs) == pytest.approx(expected)
    with pytest.raises(CannotMeasureError, match="at least two"):
        Measuring(results.all_runs).of_set("pair_distance", results.runs[:1])


# Edges


def test_edge_strength_is_sobels_by_double_loop() -> None:
    Y = luminance(picture(11, 7, 9) / 255)
    mirrored = np.pad(Y, 1, mode="symmetric")
    found = edge_strength(Y)
    for i in range(7):
        for j in range(9):
            near = mirrored[i : i + 3, j : j + 3]
            across = sum(w * (near[k, 2] - near[k, 0]) for k, w in enumerate((1 / 4, 1 / 2, 1 / 4)))
            down = sum(w * (near[2, k] - near[0, k]) for k, w in enumerate((1 / 4, 1 / 2, 1 / 4)))
            assert found[i, j] == pytest.approx(math.sqrt((across**2 + down**2) / 2), abs=1e-12)


def test_edge_correlation_is_numpys_corrcoef_and_1_for_the_photograph_or_its_negative(tmp_path: Path) -> None:
    photograph, image = picture(12, 20, 24), picture(13, 20, 24)
    name = "edge_correlation"
    assert measured(tmp_path / "a", name, image=photograph, content=photograph) == pytest.approx(1, abs=1e-12)
    assert measured(tmp_path / "b", name, image=255 - photograph, content=photograph) == pytest.approx(1, abs=1e-12)
    assert measured(tmp_path / "c", name, image=photograph // 2 * 2, content=photograph) > 0.99
    edges = [edge_strength(luminance(each / 255)).ravel() for each in (image, photograph)]
    expected = np.corrcoef(*edges)[0, 1]
    assert abs(expected) > 1e-3
    assert measured(tmp_path / "d", name, image=image, content=photograph) == pytest.approx(expected, abs=1e-12)


def building(shade: int = 0) -> np.ndarray:
    """A house front of straight edges, 128 × 160 px, on a lawn of noise."""
    image = np.full((128, 160, 3), (150, 180, 210), np.uint8)
    image[90:] = picture(14, 38, 160) // 8 + np.array([40, 80, 30], np.uint8)
    image[30:100, 20:130] = (120 + shade, 70, 60)
    for left in (30, 62, 94):
        image[42:84, left : left + 24] = (210, 200, 170)
    return image


def moved(image: np.ndarray, down: Any, across: Any) -> np.ndarray:
    """The image sampled at ``down(i, j)`` and ``across(i, j)`` px beside its own positions."""
    i, j = np.mgrid[: image.shape[0], : image.shape[1]]
    rows, columns = np.rint(i + down(i, j)).astype(int), np.rint(j + across(i, j)).astype(int)
    return image[rows.clip(0, image.shape[0] - 1), columns.clip(0, image.shape[1] - 1)]


def test_straight_points_lie_on_the_edge_and_their_normals_across_it() -> None:
    i, j = np.mgrid[:120, :120]
    angle = math.radians(25)
    distance = (i - 60) * math.cos(angle) + (j - 60) * math.sin(angle)
    image = np.repeat(np.where(distance > 0, 200, 40)[..., None], 3, 2).astype(np.uint8)
    points = straight_points(image / 255)
    assert len(points.positions) > 60
    normal = np.array([math.cos(angle), math.sin(angle)])
    assert np.abs((points.positions - 60) @ normal).max() < 1.5
    assert np.abs(points.normals @ normal).min() > math.cos(math.radians(3))


def test_straight_edges_of_the_photograph_itself_are_all_there(tmp_path: Path) -> None:
    found = [measured(tmp_path / str(k), "straight_edges", image=building(), content=building()) for k in (0, 1)]
    assert found == [1, 1]


@settings(deadline=None, max_examples=8)
@given(st.lists(st.floats(0.3, 1), min_size=3, max_size=3), st.booleans(), st.permutations([0, 1, 2]))
def test_straight_edges_stay_where_colours_change_affinely(
    gains: list[float], negative: bool, order: list[int]
) -> None:
    recoloured = np.rint(building()[..., order] * np.array(gains)).astype(np.uint8)
    share = straight_share((255 - recoloured if negative else recoloured) / 255, building() / 255)
    assert share is not None and share > 0.95


def test_straight_edges_that_bend_lean_or_drown_are_lost(tmp_path: Path) -> None:
    photograph = building()
    wave = lambda along: 4 * np.sin(2 * np.pi * along / 40)  # noqa: E731
    others = {
        "wavy": moved(photograph, lambda i, j: wave(j), lambda i, j: wave(i)),
        "sheared": moved(photograph, lambda i, j: j / 8, lambda i, j: i / 8),
        "noise": picture(15, 128, 160),
        "flat": np.full_like(photograph, 90),
    }
    shares = {k: measured(tmp_path / k, "straight_edges", image=v, content=photograph) for k, v in others.items()}
    assert shares["flat"] == 0 and max(shares.values()) < 0.2, shares
    one_px = np.roll(photograph, 1, axis=1)
    assert measured(tmp_path / "near", "straight_edges", image=one_px, content=photograph) > 0.9


@pytest.mark.parametrize(
    ("light", "dark"), [((200, 60, 60), (60, 102, 60)), ((200, 60, 60), (60, 200, 60))], ids=["luminance", "mean"]
)
def test_straight_edges_see_an_edge_between_colours_of_one_luminance_or_mean(
    tmp_path: Path, light: tuple[int, ...], dark: tuple[int, ...]
) -> None:
    photograph = building()
    image = np.where(luminance(photograph / 255)[..., None] > 0.5, light, dark).astype(np.uint8)
    assert min(np.ptp(luminance(image / 255)), np.ptp(image.mean(2)) / 255) < 0.005
    assert measured(tmp_path, "straight_edges", image=image, content=photograph) > 0.5


def test_photograph_without_straight_edges_decides_nothing(tmp_path: Path) -> None:
    i, j = np.mgrid[:128, :128]
    discs = np.repeat((((i - 64) ** 2 + (j - 64) ** 2) % 1500 < 750)[..., None] * 200, 3, 2).astype(np.uint8)
    round_one = np.where((i - 64) ** 2 + (j - 64) ** 2 < 900, 200, 50)[..., None].repeat(3, 2).astype(np.uint8)
    for k, photograph in enumerate((discs, round_one, picture(16, 128, 128), np.zeros((128, 128, 3), np.uint8))):
        with pytest.raises(CannotMeasureError, match="no straight edges"):
            measured(tmp_path / str(k), "straight_edges", image=building()[:, :128], content=photograph)


# Colours


def test_chroma_distance_is_that_of_i_and_q_by_double_loop(tmp_path: Path) -> None:
    image, photograph = picture(17, 5, 6), picture(18, 5, 6)
    squares = []
    for i in range(5):
        for j in range(6):
            R, G, B = (image[i, j].astype(float) - photograph[i, j]) / 255
            squares.append((0.5959 * R - 0.2746 * G - 0.3213 * B) ** 2 + (0.2115 * R - 0.5227 * G + 0.3112 * B) ** 2)
    expected = math.sqrt(sum(squares) / 30)
    found = measured(tmp_path, "chroma_distance", image=image, content=photograph)
    assert found == pytest.approx(expected, rel=1e-3)
    corners = np.array([[[255 * (k >> c & 1) for c in range(3)] for k in range(8)]], np.uint8)
    IQ = chroma(corners / 255)[0]
    assert 1.2 < max(np.linalg.norm(a - b) for a in IQ for b in IQ) < 1.3


def test_luminance_alone_moves_no_chroma_but_by_rounding(tmp_path: Path) -> None:
    import torch

    from harness.images.colour import with_colours_of
    from harness.images.resize import to_array, to_tensor

    photograph, strokes = picture(19) // 4 + 96, picture(20) // 4 + 96  # nothing clips
    kept = to_array(with_colours_of(to_tensor(strokes / 255), to_tensor(photograph / 255).to(torch.float32)))
    name = "chroma_distance"
    assert measured(tmp_path / "a", name, image=kept, content=photograph) < 2 / 255
    assert measured(tmp_path / "b", name, image=strokes, content=photograph) > 0.05
    assert measured(tmp_path / "c", name, image=photograph, content=photograph) == 0


# Copies


def test_copied_patches_and_longest_copy_are_those_of_the_painting_as_it_was_used(tmp_path: Path) -> None:
    painting, larger = picture(21, 24, 24), picture(22, 40, 40)
    half = np.concatenate([painting[3:19, 2:10], picture(23, 16, 8)], axis=1)  # of 12 columns of patches, 4 are copied
    quilt = {"method": "quilting"}
    for name, of_half, of_all in (("copied_patches", 4 / 12, 1), ("longest_copy", 16, 20)):
        at = tmp_path / name
        assert measured(at / "half", name, image=half, style=painting, transfer=quilt) == pytest.approx(of_half)
        assert measured(at / "all", name, image=painting[4:, 4:], style=painting, transfer=quilt) == of_all
        assert measured(at / "gatys", name, image=picture(24), style=painting) == 0
        scaled = {"style": painting, "sources": {"style_as_used": larger}, "transfer": {**quilt, "style_scale": 1.5}}
        assert measured(at / "scaled", name, image=larger[:20, :20], **scaled) == of_all
        assert measured(at / "not", name, image=painting[4:, 4:], **scaled) == 0


def test_copies_from_images_smaller_than_a_patch_are_not_measured(tmp_path: Path) -> None:
    with pytest.raises(CannotMeasureError, match="1 to 4 px"):
        measured(tmp_path, "copied_patches", image=picture(1, 4, 16), style=picture(2))
