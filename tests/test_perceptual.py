"""lpips and style_swd: against double-precision loops on a tiny random VGG-16, and what must hold exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from full_vgg import full_width
from tiny_vgg import VGG16_LAYERS, photograph, tiny_state

from harness.features.vgg import VGG, VGG16
from harness.measures import sliced_wasserstein
from harness.measures.lpips import LPIPS_LAYERS, SCALE, SHIFT, with_scaling_layer
from harness.measures.perceptual import Perceptual, PerceptualNetworks
from harness.measures.sliced_wasserstein import directions, kept_positions, sort_projections, sorted_distance
from harness.objective import memory

STYLE = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
STATE = tiny_state(13, width=4, blocks=VGG16)
LINEAR = {layer: torch.rand(4, generator=torch.Generator().manual_seed(k)) for k, layer in enumerate(LPIPS_LAYERS)}
NETWORKS = PerceptualNetworks(VGG(with_scaling_layer(STATE), pooling="max"), LINEAR, VGG(STATE, "conv5_1"))


def picture(seed: int, height: int = 32, width: int = 48) -> torch.Tensor:
    """8-bit pixels, which are measured as they are."""
    return (photograph(height, width, seed)[0] * 255).round() / 255


def double_maps(x: np.ndarray, pooling: str) -> dict[str, np.ndarray]:
    """The network written out: an einsum of nine shifted copies for a convolution, reshapes for pooling."""
    maps = {}
    for layer in VGG16_LAYERS:
        if layer.endswith("_1") and layer != "conv1_1":
            x = x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2]
            windows = x.reshape(x.shape[0], x.shape[1] // 2, 2, x.shape[2] // 2, 2)
            x = windows.max((2, 4)) if pooling == "max" else windows.mean((2, 4))
        W, b = (STATE[f"{layer}.{part}"].double().numpy() for part in ("weight", "bias"))
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
        h, w = x.shape[1:]
        shifted = np.stack([[padded[:, i : i + h, j : j + w] for j in range(3)] for i in range(3)])
        x = np.maximum(np.einsum("ncij,ijchw->nhw", W, shifted) + b[:, None, None], 0)
        maps[layer] = x
    return maps


def lpips_by_loops(image: torch.Tensor, content: torch.Tensor) -> float:
    """Zhang et al. 2018, eq. 1, position by position."""
    shift, scale = (np.array(values)[:, None, None] for values in (SHIFT, SCALE))
    first, second = (double_maps((2 * x.double().numpy() - 1 - shift) / scale, "max") for x in (image, content))
    total = 0.0
    for layer in LPIPS_LAYERS:
        w, (_, height, width) = LINEAR[layer].double().numpy(), first[layer].shape
        for i in range(height):
            for j in range(width):
                f, p = first[layer][:, i, j], second[layer][:, i, j]
                f, p = f / (np.sqrt((f**2).sum()) + 1e-10), p / (np.sqrt((p**2).sum()) + 1e-10)
                total += (w * (f - p) ** 2).sum() / (height * width)
    return total


def swd_by_loops(image: torch.Tensor, style: torch.Tensor) -> float:
    """Heitz et al. 2021, eqs 2 and 3, direction by direction; quantiles interpolated by numpy."""
    b, W = (STATE[f"input.{part}"].double().numpy() for part in ("bias", "weight"))
    inputs = (np.einsum("nc,chw->nhw", W[:, :, 0, 0], x.double().numpy()) + b[:, None, None] for x in (image, style))
    first, second = (double_maps(x, "average") for x in inputs)
    total = 0.0
    for block, layer in enumerate(STYLE, 1):
        V = directions(4, block).double().numpy()
        for v in V:
            a, c = (sorted(v @ maps[layer].reshape(4, -1)) for maps in (first, second))
            num = max(len(a), len(c))
            at = (np.arange(num) + 0.5) / num
            a, c = (np.interp(at, (np.arange(len(x)) + 0.5) / len(x), x) for x in (a, c))
            total += ((a - c) ** 2).mean() / len(V) / 5
    return total


def test_lpips_is_eq1_of_zhang_et_al_by_loops_in_double_precision() -> None:
    image, content = picture(0, 33, 41), picture(1, 33, 41)
    expected = lpips_by_loops(image, content)
    assert expected > 0.01
    assert Perceptual(content, picture(2), NETWORKS).measure(image)["lpips"] == pytest.approx(expected, rel=1e-4)


def test_style_swd_is_eqs_2_and_3_of_heitz_et_al_by_loops_also_for_a_painting_of_another_size() -> None:
    image = picture(0)
    for style in (picture(2), picture(3, 27, 50)):
        expected = swd_by_loops(image, style)
        assert expected > 0.001
        assert Perceptual(picture(1), style, NETWORKS).measure(image)["style_swd"] == pytest.approx(expected, rel=1e-4)


def test_scaling_layer_is_the_published_one() -> None:
    x = photograph(2, 2)[0].double()
    state = with_scaling_layer(STATE)
    found = torch.einsum("nc,chw->nhw", state["input.weight"][:, :, 0, 0].double(), x)
    found += state["input.bias"].double()[:, None, None]
    expected = ((2 * x - 1) - torch.tensor([-0.030, -0.088, -0.188])[:, None, None]) / torch.tensor(
        [0.458, 0.448, 0.450]
    )[:, None, None]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_equal_pictures_are_at_distance_exactly_zero() -> None:
    content, style = picture(1), picture(2)
    content[:, :, :20] = 0  # a flat area
    assert Perceptual(content, style, NETWORKS).measure(content.clone())["lpips"] == 0
    assert Perceptual(content, style, NETWORKS).measure(style.clone())["style_swd"] == 0


def test_distances_are_symmetric_and_not_negative() -> None:
    for seed in range(3):
        a, b = picture(seed), picture(seed + 10)
        there, back = Perceptual(b, b, NETWORKS).measure(a), Perceptual(a, a, NETWORKS).measure(b)
        assert there == back and there["lpips"] > 0 and there["style_swd"] > 0


def test_one_object_measures_as_a_new_one_and_pictures_are_measured_as_saved() -> None:
    one = Perceptual(picture(1), picture(2), NETWORKS)
    raw = picture(0) * 1.5 - 0.2 + 0.001
    assert one.measure(raw) == one.measure(raw) == Perceptual(picture(1), picture(2), NETWORKS).measure(raw)
    assert one.measure(raw) == one.measure((raw.clamp(0, 1) * 255).round() / 255)


def test_swd_does_not_depend_on_where_the_positions_are() -> None:
    generator = torch.Generator().manual_seed(0)
    F, G = torch.randn(5, 90, generator=generator), torch.randn(5, 70, generator=generator)
    V = directions(5, 1)
    shuffled = F[:, torch.randperm(90, generator=generator)]
    there, same = (sorted_distance(sort_projections(V @ x), sort_projections(V @ G)) for x in (F, shuffled))
    assert there > 0 and same == pytest.approx(there, rel=1e-6)
    assert sorted_distance(sort_projections(V @ F), sort_projections(V @ shuffled)) == pytest.approx(0, abs=1e-12)


def test_quantiles_of_repeated_points_are_those_of_the_points() -> None:
    """Each point of one set three times: between two points the quantiles are interpolated, at them they are equal."""
    constant = torch.full((1, 4), 2.0)
    assert sorted_distance(constant, torch.full((1, 12), 2.0)) == 0
    assert sorted_distance(constant, torch.full((1, 7), 5.0)) == 9
    ramp = lambda num: ((torch.arange(num, dtype=torch.float64) + 0.5) / num).float()[None]  # noqa: E731
    assert sorted_distance(ramp(64), ramp(4096)) < 1e-6


def test_directions_are_fixed_unit_vectors_at_most_128() -> None:
    for num_filters in (3, 64, 512):
        V = directions(num_filters, 4)
        assert V.shape == (min(num_filters, 128), num_filters) and torch.equal(V, directions(num_filters, 4))
        torch.testing.assert_close(V.norm(dim=1), torch.ones(len(V)))
    assert not torch.equal(directions(512, 4), directions(512, 5))


def test_picture_in_tiles_has_the_numbers_of_the_whole_to_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    image, content, style = picture(0, 250, 282), picture(1, 250, 282), picture(2, 230, 304)
    whole = Perceptual(content, style, NETWORKS).measure(image)
    monkeypatch.setattr("harness.measures.perceptual.choose_tile", lambda *given: 96)
    tiled = Perceptual(content, style, NETWORKS).measure(image)
    assert tiled == pytest.approx(whole, rel=1e-5)
    assert Perceptual(image, image, NETWORKS).measure(image) == {"lpips": 0, "style_swd": 0}
    monkeypatch.setattr(sliced_wasserstein, "MAX_POSITIONS", 2000)
    some = Perceptual(content, style, NETWORKS).measure(image)
    assert some["style_swd"] == pytest.approx(whole["style_swd"], rel=0.25) and some["lpips"] == tiled["lpips"]
    monkeypatch.undo()
    monkeypatch.setattr(sliced_wasserstein, "MAX_POSITIONS", 2000)
    assert Perceptual(content, style, NETWORKS).measure(image)["style_swd"] == pytest.approx(
        some["style_swd"], rel=1e-5
    )


def test_positions_are_all_kept_up_to_the_limit_and_that_many_beyond(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kept_positions(512, 512) is None
    monkeypatch.setattr(sliced_wasserstein, "MAX_POSITIONS", 50)
    kept, again = kept_positions(10, 7), kept_positions(10, 7)
    assert kept is not None and again is not None
    assert kept.sum() == 50 and torch.equal(kept, again)


def test_full_width_large_picture_goes_in_tiles() -> None:
    network = VGG(full_width(VGG16))
    assert memory.choose_tile(network, STYLE, 512, 512) is None
    assert memory.choose_tile(network, STYLE, 2048, 2048) is not None


@pytest.mark.parametrize(
    ("image", "words"), [(picture(0, 32, 47), "both need the same size"), (picture(0) / 0, "not finite")]
)
def test_pictures_that_cannot_be_measured_are_named(image: torch.Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Perceptual(picture(1), picture(2), NETWORKS).measure(image)
