"""Claims' Gram distances, against the comparable numbers of ``harness.measures``, double loops and exact properties."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from against import measure
from hypothesis import given, settings
from hypothesis import strategies as st
from results_folder import picture
from test_claim_measures import measured, results_of

from harness.errors import CannotMeasureError
from harness.features.normalise import embedded_network
from harness.images.colour import grey
from harness.images.resize import to_tensor
from harness.measures.grams import coarse
from harness.measures.names import REFERENCE_STYLE
from harness.measures.of_features import coarse_gram_distance, gram_distance, luminance_gram_distance
from harness.measures.reference import STYLE_WEIGHTS
from harness.results.measuring import Measuring

NETWORK = embedded_network()


def distance(image: np.ndarray, painting: np.ndarray) -> float:
    """``reference_style``."""
    x, s = (to_tensor(each / np.float32(255)) for each in (image, painting))
    return float(measure(x, torch.zeros_like(x), s, NETWORK, ())[REFERENCE_STYLE])


# Own paintings, others' and named ones


def test_own_style_margin_is_the_ratio_of_reference_style_distances(tmp_path: Path) -> None:
    paintings = [picture(20), picture(21, 24, 20) // 3, picture(22) // 2 + 100]
    images = [picture(23), picture(24) // 2, picture(25)]
    cells = [
        {"label": {"style": f"s{k}"}, "image": image, "style": painting}
        for k, (image, painting) in enumerate(zip(images, paintings, strict=True))
    ]
    results = results_of(tmp_path, cells, axes={"style": ["s0", "s1", "s2"]})
    measuring = Measuring(results.all_runs)
    for k, run in enumerate(results.runs):
        own, *others = (distance(images[k], paintings[j]) for j in (k, *({0, 1, 2} - {k})))
        assert measuring.of_run("own_style_margin", run) == pytest.approx(min(others) / own, rel=1e-4)


def test_margin_to_other_paintings_needs_another(tmp_path: Path) -> None:
    cells = [{"label": {"seed": k}} for k in (0, 1)]  # two runs, one painting
    results = results_of(tmp_path, cells, axes={"seed": [0, 1]})
    with pytest.raises(CannotMeasureError, match="only one painting"):
        Measuring(results.all_runs).of_run("own_style_margin", results.runs[0])


def test_painting_used_at_two_scales_is_one_painting(tmp_path: Path) -> None:
    cells = [{"label": {"style_scale": scale}, "style": picture(k)} for k, scale in enumerate((1.0, 2.0))]
    results = results_of(tmp_path, cells, axes={"style_scale": [1.0, 2.0]})
    with pytest.raises(CannotMeasureError, match="only one painting"):
        Measuring(results.all_runs).of_run("own_style_margin", results.runs[0])


BLEND = {"s0": 0.5, "s1": 0.5}
PAINTINGS = {f"s{k}": picture(30 + k) // (k + 1) for k in range(3)}


def blends(path: Path, styles: Iterable[Any], **transfer: Any) -> Measuring:
    """Runs with one painting or several of ``PAINTINGS``, each a picture of its own."""
    cells = []
    for k, style in enumerate(styles):
        names = [style] if isinstance(style, str) else list(style)
        several = {f"style.{number}": PAINTINGS[name] for number, name in enumerate(names)}
        cell = {"label": {"style": style}, "style": PAINTINGS[names[0]], "image": picture(40 + k)}
        cells.append({**cell, "sources": {} if isinstance(style, str) else several, "transfer": transfer})
    return Measuring(results_of(path, cells, axes={"style": list(styles)}).all_runs)


def test_gram_distance_is_reference_style_to_the_painting_that_is_named(tmp_path: Path) -> None:
    measuring = blends(tmp_path, ["s2", BLEND, "s1"])
    for k, run in enumerate(measuring.runs):
        for name, painting in PAINTINGS.items():
            expected = distance(picture(40 + k), painting)
            assert measuring.of_run("gram_distance", run, to=name) == pytest.approx(expected, rel=1e-4)


def test_painting_a_run_lacks_is_taken_from_one_of_its_photograph_and_size(tmp_path: Path) -> None:
    cells = [
        {"label": {"size": size, "style": style}, "style": image, "image": picture(50, size, size)}
        for size, style, image in (
            (16, "s0", picture(51)),
            (32, "s0", picture(52)),
            (32, "s1", picture(53)),
            (64, "s1", picture(54)),
        )
    ]
    results = results_of(tmp_path, cells, axes={"size": [16, 32, 64], "style": ["s0", "s1"]})
    measuring, runs = Measuring(results.all_runs), results.runs
    assert measuring.painting("s0", runs[2]) == (runs[1], "style")
    assert measuring.painting("s1", runs[3]) == (runs[3], "style")
    with pytest.raises(CannotMeasureError, match="size of size=16, style=s0 has the painting s1"):
        measuring.of_run("gram_distance", runs[0], to="s1")
    with pytest.raises(CannotMeasureError, match="has s0, s1"):
        measuring.of_run("gram_distance", runs[1], to="S1")


@pytest.mark.parametrize(
    "name",
    ["own_style_margin", "style_distance", "autocorrelation_distance", "luminance_gram_distance",
     "coarse_gram_distance", "copied_patches", "longest_copy"],
)  # fmt: skip
def test_measures_to_the_painting_mean_nothing_where_there_are_several(tmp_path: Path, name: str) -> None:
    measuring = blends(tmp_path, [BLEND, "s2"], style_scale=2.0)
    with pytest.raises(CannotMeasureError, match="several paintings and none is its own; gram_distance"):
        measuring.of_run(name, measuring.runs[0])


def test_other_paintings_are_also_those_of_blends(tmp_path: Path) -> None:
    measuring = blends(tmp_path, ["s2", BLEND, "s0"])
    single, blend, _ = measuring.runs
    assert measuring.paintings() == {"s2": (single, "style"), "s0": (blend, "style.0"), "s1": (blend, "style.1")}
    own, *others = (distance(picture(40), PAINTINGS[name]) for name in ("s2", "s0", "s1"))
    found = measuring.of_run("own_style_margin", measuring.runs[0])
    assert found == pytest.approx(min(others) / own, rel=1e-4)


# Luminance


def test_luminance_gram_distance_compares_grey_images_of_one_mean_and_deviation(tmp_path: Path) -> None:
    image, painting = picture(60) // 2 + 40, picture(61, 20, 24)
    Y_x, Y_s = (each.astype(float) @ np.array([0.299, 0.587, 0.114]) / 255 for each in (image, painting))
    matched = (Y_x - Y_x.mean()) * Y_s.std() / Y_x.std() + Y_s.mean()
    grams = []
    for Y in (matched, Y_s):
        pixels = torch.from_numpy(np.stack([Y] * 3)).float()[None]
        with torch.inference_mode():
            maps = NETWORK(pixels, list(STYLE_WEIGHTS))
        grams.append({layer: F[0].flatten(1) @ F[0].flatten(1).T / F[0, 0].numel() for layer, F in maps.items()})
    expected = sum(0.2 * ((grams[0][k] - A) ** 2).sum().item() / (4 * len(A) ** 2) for k, A in grams[1].items())
    found = measured(tmp_path, "luminance_gram_distance", image=image, style=painting)
    assert found == pytest.approx(expected, rel=1e-3)


@settings(deadline=None, max_examples=10)
@given(st.floats(0.2, 1), st.integers(0, 50), st.integers(0, 2**20))
def test_luminance_gram_distance_is_blind_to_colour_brightness_and_contrast(
    contrast: float, brightness: int, seed: int
) -> None:
    painting = picture(62, 24, 24)
    shades = np.random.default_rng(seed).integers(0, 200, (24, 24, 1)).repeat(3, 2)
    flatter = contrast * shades + brightness  # not rounded: at a low contrast that alone is more than a few per cent
    as_it_was = luminance_gram_distance(shades / 255, styles=(painting / 255,))
    changed = luminance_gram_distance(flatter / 255, styles=(painting / 255,))
    assert changed == pytest.approx(as_it_was, rel=1e-3)
    in_grey = grey(to_tensor(painting / np.float32(255))).permute(1, 2, 0).numpy()
    grey_painting = np.rint(in_grey * 255) / 255
    assert luminance_gram_distance(grey_painting, styles=(painting / 255,)) < as_it_was / 100


# Larger structures


def test_coarse_pixels_are_means_over_4_by_4_by_double_loop() -> None:
    pixels = torch.rand(3, 66, 71, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = coarse(pixels)
    assert found.shape == (3, 16, 17)
    for i in range(16):
        for j in range(17):
            mean = sum(pixels[:, 4 * i + k, 4 * j + m] for k in range(4) for m in range(4)) / 16
            assert torch.allclose(found[:, i, j], torch.as_tensor(mean))


def test_coarse_gram_distance_is_that_of_the_smaller_images(tmp_path: Path) -> None:
    small, painting = picture(63, 16, 20), picture(64, 18, 16)
    grown = [np.kron(each, np.ones((4, 4, 1), np.uint8)) for each in (small, painting)]
    found = measured(tmp_path / "a", "coarse_gram_distance", image=grown[0], style=grown[1])
    assert found == pytest.approx(distance(small, painting), rel=1e-4)
    within = np.clip(grown[0], 40, 215)
    # strokes finer than a square leave its mean
    stroked = (within.astype(int) + np.tile([[1, -1], [-1, 1]], (32, 40))[..., None] * 40).astype(np.uint8)
    plain = measured(tmp_path / "b", "coarse_gram_distance", image=within, style=grown[1])
    assert measured(tmp_path / "c", "coarse_gram_distance", image=stroked, style=grown[1]) == pytest.approx(plain)


def test_coarse_gram_distance_needs_64_px(tmp_path: Path) -> None:
    with pytest.raises(CannotMeasureError, match="below 64 px"):
        measured(tmp_path, "coarse_gram_distance", image=picture(1, 63, 80), style=picture(2, 80, 80))


def test_what_is_kept_of_an_image_is_kept_for_each_kind_of_distance() -> None:
    x, s = picture(65, 64, 64) / 255, picture(66, 64, 64) // 2 / 255

    def measured() -> list[float]:
        return [gram_distance(x, to=s), coarse_gram_distance(x, styles=(s,)), luminance_gram_distance(x, styles=(s,))]

    alone = measured()
    assert len(set(alone)) == 3 and measured() == alone


# Regions


def regions(path: Path, image: np.ndarray, masks: list[np.ndarray | None], paintings: list[np.ndarray]) -> Measuring:
    names = [f"s{k}" for k in range(len(masks))]
    sources = {f"style.{k}": painting for k, painting in enumerate(paintings)}
    sources |= {f"style.{k}.mask": mask[..., None].repeat(3, 2) for k, mask in enumerate(masks) if mask is not None}
    parts = [{} if mask is None else {"mask": f"m{k}"} for k, mask in enumerate(masks)]
    style = dict(zip(names, parts, strict=True))
    cell = {"transfer": {"style": style}, "style": paintings[0], "sources": sources, "image": image}
    return Measuring(results_of(path, [cell]).all_runs)


def guided_distance(image: np.ndarray, mask: np.ndarray, painting: np.ndarray) -> float:
    """Σ_l w_l E_l with Σ t² F Fᵀ / Σ t², position by position, t the means of the mask's squares."""
    total = 0.0
    with torch.inference_mode():
        x, s = (to_tensor(each / np.float32(255))[None] for each in (image, painting))
        maps, targets = (NETWORK(each, list(STYLE_WEIGHTS)) for each in (x, s))
    for block, layer in enumerate(STYLE_WEIGHTS):
        side = 2**block
        F, S = maps[layer][0].double().numpy(), targets[layer][0].double().numpy()
        N, h, w = F.shape
        G, squares = np.zeros((N, N)), 0.0
        for i in range(h):
            for j in range(w):
                t = mask[i * side : (i + 1) * side, j * side : (j + 1) * side].mean() / 255
                G += t**2 * np.outer(F[:, i, j], F[:, i, j])
                squares += t**2
        A = np.einsum("nij,mij->nm", S, S) / S[0].size
        total += STYLE_WEIGHTS[layer] * ((G / squares - A) ** 2).sum() / (4 * N**2)
    return total


def halves() -> tuple[np.ndarray, np.ndarray]:
    """Soft masks of the left and the right half, 64 × 64, that sum to white."""
    left = np.tile(np.clip(255 - 8 * (np.arange(64) - 20), 0, 255), (64, 1)).astype(np.uint8)
    return left, 255 - left


def test_region_margin_is_the_worst_regions_ratio_by_double_loop(tmp_path: Path) -> None:
    left, right = halves()
    image, paintings = picture(70, 64, 64), [picture(71, 40, 32), picture(72, 32, 48) // 2]
    measuring = regions(tmp_path, image, [left, right], paintings)
    ratios = [
        guided_distance(image, mask, paintings[1 - k]) / guided_distance(image, mask, paintings[k])
        for k, mask in enumerate((left, right))
    ]
    assert measuring.of_run("region_margin", measuring.runs[0]) == pytest.approx(min(ratios), rel=1e-3)


def test_region_margin_is_above_1_only_where_every_region_is_nearest_to_its_own(tmp_path: Path) -> None:
    left, right = halves()
    textures = [picture(73, 64, 64), picture(74, 64, 64) // 8 + 100]
    shown = np.where(left[..., None] > 127, textures[0], textures[1])
    own = regions(tmp_path / "own", shown, [left, right], textures)
    assert own.of_run("region_margin", own.runs[0]) > 2
    swapped = regions(tmp_path / "swapped", shown, [right, left], textures)
    assert swapped.of_run("region_margin", swapped.runs[0]) < 0.5
    half = regions(tmp_path / "half", textures[0], [left, right], textures)  # the right half has the left one's
    assert half.of_run("region_margin", half.runs[0]) < 1


def test_region_margin_of_what_has_no_regions_is_not_measured(tmp_path: Path) -> None:
    left, right = halves()
    image, paintings = picture(75, 64, 64), [picture(76, 64, 64), picture(77, 64, 64)]
    everywhere = regions(tmp_path / "a", image, [left, None], paintings)
    with pytest.raises(CannotMeasureError, match="fewer than two paintings with masks"):
        everywhere.of_run("region_margin", everywhere.runs[0])
    other_size = regions(tmp_path / "b", image, [left, right[:32]], paintings)
    with pytest.raises(CannotMeasureError, match="the mask of s1 64 × 32 px"):
        other_size.of_run("region_margin", other_size.runs[0])
    dot = np.zeros((64, 64), np.uint8)
    dot[3:6, 3:6] = 255
    small = regions(tmp_path / "c", image, [left, dot], paintings)
    with pytest.raises(CannotMeasureError, match="less than a position of conv"):
        small.of_run("region_margin", small.runs[0])


def test_network_is_not_loaded_before_a_distance_is_asked_for() -> None:
    code = "import sys, harness.claims; sys.exit('torch' in sys.modules or 'skimage' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
