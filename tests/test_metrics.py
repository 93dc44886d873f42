"""The comparable numbers: each against a formula written out another way, and what must hold exactly."""

from __future__ import annotations

import io
import itertools
import math

import numpy as np
import pytest
import torch
from against import measure
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.metrics import structural_similarity

from harness.features.vgg import LAYERS, VGG, layers_until
from harness.images.files import png_bytes
from harness.measures.names import MEASURED, METRICS
from harness.measures.of_pixels import as_saved, pixel_distance, ssim, total_variation
from harness.measures.reference import Reference

FILTERS = {1: 3, 2: 4, 3: 4, 4: 5, 5: 5}
STYLE = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
HELDOUT = ("conv1_2", "conv2_2", "conv3_3", "conv4_3")


def tiny_network() -> VGG:
    """VGG-19's layers with a handful of random filters each, compared through read-outs, as the embedded network's."""
    generator = torch.Generator().manual_seed(3)
    state = {"input.weight": torch.eye(3)[:, :, None, None], "input.bias": torch.full((3,), -0.5)}
    width = 3
    for layer in layers_until("conv5_1", LAYERS):
        filters = FILTERS[int(layer[4])]
        state[f"{layer}.weight"] = torch.randn(filters, width, 3, 3, generator=generator) * (2 / (9 * width)) ** 0.5
        state[f"{layer}.bias"] = torch.rand(filters, generator=generator) * 0.1
        if layer in ("conv1_2", "conv4_2", "conv5_1"):
            state[f"{layer}.readout"] = torch.randn(filters + 1, filters, generator=generator)
        width = filters
    return VGG(state)


NETWORK = tiny_network()


def picture(seed: int, height: int = 33, width: int = 40) -> torch.Tensor:
    """Random 8-bit pixels over a smooth ramp."""
    generator = torch.Generator().manual_seed(seed)
    ramp = torch.linspace(0, 0.5, width).expand(3, height, width)
    return ((ramp + 0.5 * torch.rand(3, height, width, generator=generator)) * 255).round() / 255


def maps_of(image: torch.Tensor) -> dict[str, np.ndarray]:
    maps = NETWORK(image[None], layers_until("conv5_1", LAYERS))
    return {layer: map_[0].flatten(1).double().numpy() for layer, map_ in maps.items()}


def style_distance_by_loops(image: torch.Tensor, style: torch.Tensor, layers: tuple[str, ...]) -> float:
    """Equations 3, 4 and 5 written out, each Gram matrix divided by its own number of positions."""
    F, S = maps_of(image), maps_of(style)
    total = 0.0
    for layer in layers:
        num_filters = F[layer].shape[0]
        E = 0.0
        for i, j in itertools.product(range(num_filters), repeat=2):
            G_ij = sum(a * b for a, b in zip(F[layer][i], F[layer][j], strict=True)) / F[layer].shape[1]
            A_ij = sum(a * b for a, b in zip(S[layer][i], S[layer][j], strict=True)) / S[layer].shape[1]
            E += (G_ij - A_ij) ** 2
        total += E / (4 * num_filters**2) / len(layers)
    return total


COUNTED = ("evaluations", "kept_evaluation", "still_falling", "seconds")


def test_measured_are_the_declared_names_in_order():
    numbers = measure(picture(0), picture(1), picture(2, 24, 50), NETWORK, STYLE)
    assert tuple(numbers) == MEASURED
    assert all(type(value) in (float, bool) for value in numbers.values())
    assert METRICS == (*MEASURED, "lpips", "style_swd", *COUNTED)


def test_reference_content_is_eq1_by_double_loop():
    image, content = picture(0), picture(1)
    F, P = maps_of(image)["conv4_2"], maps_of(content)["conv4_2"]
    expected = 0.0
    for i in range(F.shape[0]):
        for j in range(F.shape[1]):
            expected += 0.5 * (F[i, j] - P[i, j]) ** 2
    measured = measure(image, content, picture(2), NETWORK, STYLE)["reference_content"]
    assert expected > 0
    assert measured == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("name", "layers"), [("reference_style", STYLE), ("heldout_style", HELDOUT)])
def test_style_numbers_are_eq5_by_double_loop_also_for_a_style_of_another_size(name, layers):
    image, style = picture(0), picture(2, 24, 50)
    expected = style_distance_by_loops(image, style, layers)
    assert expected > 0
    assert measure(image, picture(1), style, NETWORK, STYLE)[name] == pytest.approx(expected, rel=1e-4)


def test_a_picture_equal_to_the_content_is_exactly_at_distance_zero():
    content = picture(1)
    content[:, :, :20] = 0.7  # a flat area, whose variance is 0
    numbers = measure(content.clone(), content, picture(2), NETWORK, STYLE)
    assert numbers["reference_content"] == 0
    assert numbers["ssim"] == 1
    assert numbers["pixel_distance"] == 0
    assert numbers["reference_style"] > 0 and numbers["colour_distance"] > 0


def test_a_picture_equal_to_the_style_is_exactly_at_distance_zero():
    style = picture(2)
    numbers = measure(style.clone(), picture(1), style, NETWORK, STYLE)
    assert numbers["reference_style"] == 0
    assert numbers["heldout_style"] == 0
    assert numbers["colour_distance"] == 0
    assert numbers["reference_content"] > 0 and numbers["pixel_distance"] > 0


@pytest.mark.parametrize(
    ("optimised", "marked"),
    [(STYLE, False), ((), False), (("conv1_1", "conv2_2"), True), (["conv4_3"], True), ({"conv3_2"}, False)],
)
def test_heldout_style_is_marked_where_a_run_optimised_one_of_its_layers(optimised, marked):
    numbers = measure(picture(0), picture(1), picture(2), NETWORK, optimised)
    assert numbers["heldout_style_optimised"] is marked


def test_ssim_is_that_of_scikit_image():
    image, content = picture(0), picture(1)
    expected = structural_similarity(
        image.numpy().astype(np.float64), content.numpy().astype(np.float64), channel_axis=0, data_range=1.0,
        gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    )  # fmt: skip
    assert ssim(image, content) == pytest.approx(expected, abs=1e-9)
    assert 0.05 < expected < 0.95


def test_pixel_distance_of_a_constant_shift_is_the_shift():
    content = torch.full((3, 16, 20), 0.2)
    assert pixel_distance(content + 0.4, content) == pytest.approx(0.4, rel=1e-6)
    assert pixel_distance(torch.ones(3, 16, 16), torch.zeros(3, 16, 16)) == 1


def test_colour_distance_is_half_the_l1_distance_of_numpy_histograms():
    image, style = picture(0), picture(2, 24, 50)
    edges = [np.arange(0, 257, 32)] * 3
    histograms = []
    for tensor in (image, style):
        pixels = np.rint(tensor.numpy().reshape(3, -1).T * 255)
        histograms.append(np.histogramdd(pixels, edges)[0] / len(pixels))
    expected = np.abs(histograms[0] - histograms[1]).sum() / 2
    numbers = measure(image, picture(1), style, NETWORK, STYLE)
    assert numbers["colour_distance"] == pytest.approx(expected, abs=1e-12)
    assert 0 < expected < 1


def test_colours_without_a_box_in_common_are_at_distance_one():
    red, blue = torch.zeros(3, 16, 16), torch.zeros(3, 16, 16)
    red[0], blue[2] = 1, 1
    assert measure(red, red, blue, NETWORK, STYLE)["colour_distance"] == 1


def test_colour_distance_tells_permuted_channels_apart():
    image = picture(0)
    image[0] *= 0.3
    assert measure(image, image, image.flip(0), NETWORK, STYLE)["colour_distance"] > 0.3


def test_total_variation_is_the_double_loop_over_neighbours():
    image = picture(0, 17, 19).numpy().astype(np.float64)
    expected = 0.0
    for c, y, x in itertools.product(range(3), range(17), range(19)):
        if y + 1 < 17:
            expected += abs(image[c, y + 1, x] - image[c, y, x])
        if x + 1 < 19:
            expected += abs(image[c, y, x + 1] - image[c, y, x])
    assert total_variation(torch.from_numpy(image)) == pytest.approx(expected / (3 * 17 * 19), rel=1e-12)
    assert total_variation(torch.full((3, 16, 16), 0.3)) == 0


def test_pictures_are_measured_as_their_files_hold_them():
    raw = picture(0) * 1.6 - 0.3 + 0.001
    file = np.asarray(Image.open(io.BytesIO(png_bytes(raw.permute(1, 2, 0).numpy()))))
    saved = torch.from_numpy(file.copy()).permute(2, 0, 1)
    assert torch.equal((as_saved(raw) * 255).round().to(torch.uint8), saved)
    reference = Reference(picture(1), picture(2), NETWORK)
    assert reference.measure(raw, STYLE) == reference.measure(saved.double() / 255, STYLE)


def test_content_and_style_are_compared_as_files_too():
    content, style = picture(1) + 0.0015, picture(2) - 0.0015
    content_file, style_file = as_saved(content).float(), as_saved(style).float()
    assert measure(content_file, content, style, NETWORK, STYLE)["reference_content"] == 0
    assert measure(style_file, content, style, NETWORK, STYLE)["reference_style"] == 0


def test_one_reference_measures_as_a_new_one_would():
    content, style = picture(1), picture(2, 24, 50)
    reference = Reference(content, style, NETWORK)
    for seed in (3, 4, 3):
        assert reference.measure(picture(seed), STYLE) == measure(picture(seed), content, style, NETWORK, STYLE)


def test_measuring_leaves_the_picture_and_its_gradient_alone():
    image = picture(0).requires_grad_()
    before = image.detach().clone()
    measure(image, picture(1), picture(2), NETWORK, STYLE)
    assert image.grad is None and torch.equal(image.detach(), before)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10**6), height=st.integers(16, 40), width=st.integers(16, 40),
    style_height=st.integers(16, 40), style_width=st.integers(16, 40), gain=st.floats(0, 3), lift=st.floats(-1, 1),
)  # fmt: skip
def test_every_number_is_finite_and_in_its_range(seed, height, width, style_height, style_width, gain, lift):
    image, content = picture(seed, height, width) * gain + lift, picture(seed + 1, height, width)
    numbers = measure(image, content, picture(seed + 2, style_height, style_width), NETWORK, STYLE)
    assert all(math.isfinite(value) for value in numbers.values())
    for name in ("reference_content", "reference_style", "heldout_style"):
        assert numbers[name] >= 0
    assert -1 <= numbers["ssim"] <= 1
    assert 0 <= numbers["pixel_distance"] <= 1
    assert 0 <= numbers["colour_distance"] <= 1 + 1e-12
    assert 0 <= numbers["total_variation"] < 2


def test_distances_do_not_depend_on_which_of_two_pictures_is_the_picture():
    a, b = picture(0), picture(1)
    there, back = measure(a, b, b, NETWORK, STYLE), measure(b, a, a, NETWORK, STYLE)
    for name in ("reference_content", "reference_style", "heldout_style", "ssim", "pixel_distance", "colour_distance"):
        assert there[name] == pytest.approx(back[name], rel=1e-6)


@pytest.mark.parametrize(
    ("image", "content", "style", "words"),
    [
        (picture(0), picture(1, 33, 41), picture(2), "picture is 40 × 33 px and the content image 41 × 33 px"),
        (picture(0)[0], picture(1), picture(2), r"picture has the shape \(33, 40\)"),
        (picture(0), picture(1)[None], picture(2), "content image has the shape"),
        (picture(0), picture(1), picture(2, 15, 40), "style image is 40 × 15 px.* at least 16 px"),
        (picture(0) * math.nan, picture(1), picture(2), "picture has values that are not finite"),
        (picture(0), picture(1), picture(2) / 0, "style image has values that are not finite"),
    ],
)
def test_images_that_cannot_be_measured_are_named(image, content, style, words):
    with pytest.raises(ValueError, match=words):
        measure(image, content, style, NETWORK, STYLE)
