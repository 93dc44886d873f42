"""Winograd's convolutions against torch's and against sums written out, and the network's passes against autograd."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from harness.features import passes, winograd
from harness.features.vgg import VGG, VGG16, Padding, Pooling, block_of, layers_of, layers_until

WIDTHS = {1: 16, 2: 16, 3: 24, 4: 24, 5: 16}


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def convolved(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    out = torch.full((*x.shape[:2], len(bias)), torch.nan, dtype=x.dtype)
    winograd.convolve(x, winograd.map_weights(weight), bias, out)
    return out


def gradient_of(g: Tensor, activated: Tensor, weight: Tensor) -> Tensor:
    out = torch.full((*g.shape[:2], weight.shape[1]), torch.nan, dtype=g.dtype)
    winograd.input_gradient(g, activated, winograd.gradient_weights(weight), out)
    return out


@pytest.mark.parametrize(("num_in", "num_out", "sides"), [(64, 96, ((1, 1), (3, 70), (70, 3), (17, 18), (41, 38)))])
def test_what_oneDNN_multiplies_is_the_convolution_and_its_gradient(num_in, num_out, sides) -> None:
    """In single precision, in which a run goes: weights laid out, all products in one call."""
    weight, bias = normal(num_out, num_in, 3, 3) / (9 * num_in) ** 0.5, normal(num_out, seed=1)
    for height, width in sides:
        x, g = normal(height, width, num_in, seed=2), normal(height, width, num_out, seed=3)
        image = x.permute(2, 0, 1)[None].requires_grad_()
        expected = functional.conv2d(image, weight, bias, padding=1).relu()
        (gradient,) = torch.autograd.grad(expected, image, g.permute(2, 0, 1)[None])
        activated = expected.detach()[0].permute(1, 2, 0)
        found = convolved(x.float(), weight.float(), bias.float())
        assert float((found - activated).norm() / activated.norm()) < 1e-5
        back = gradient_of(g.float(), activated.float().contiguous(), weight.float()).permute(2, 0, 1)
        assert float((back - gradient[0]).norm() / gradient.norm()) < 1e-5


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 5), st.integers(1, 5), st.integers(0, 3))
def test_it_is_the_convolution_and_its_gradient(height, width, num_in, num_out, seed) -> None:
    x, weight = normal(height, width, num_in, seed=seed), normal(num_out, num_in, 3, 3, seed=seed + 10)
    bias, g = normal(num_out, seed=seed + 20), normal(height, width, num_out, seed=seed + 30)
    image = x.permute(2, 0, 1)[None].requires_grad_()
    expected = functional.conv2d(image, weight, bias, padding=1).relu()
    (expected_gradient,) = torch.autograd.grad(expected, image, g.permute(2, 0, 1)[None])
    found = convolved(x, weight, bias)
    torch.testing.assert_close(found.permute(2, 0, 1)[None], expected.detach(), rtol=1e-9, atol=1e-10)
    back = gradient_of(g, expected.detach()[0].permute(1, 2, 0).contiguous(), weight)
    torch.testing.assert_close(back.permute(2, 0, 1)[None], expected_gradient, rtol=1e-9, atol=1e-10)


def test_one_output_is_the_sum_written_out() -> None:
    x, weight, bias = normal(9, 7, 3), normal(2, 3, 3, 3, seed=1), normal(2, seed=2)
    found = convolved(x, weight, bias)
    for row, column, n in ((0, 0, 0), (8, 6, 1), (4, 3, 0), (5, 5, 1), (3, 4, 1)):
        total = float(bias[n])
        for i in range(3):
            for j in range(3):
                if 0 <= row + i - 1 < 9 and 0 <= column + j - 1 < 7:
                    total += sum(float(weight[n, c, i, j] * x[row + i - 1, column + j - 1, c]) for c in range(3))
        assert float(found[row, column, n]) == pytest.approx(max(0.0, total), rel=1e-10, abs=1e-12)


@pytest.mark.parametrize(("num_in", "num_out", "side"), [(64, 128, 64), (256, 256, 36), (512, 512, 16)])
def test_single_precision_errs_by_less_than_a_hundredth_of_a_thousandth(num_in, num_out, side) -> None:
    x, weight = normal(side, side, num_in, dtype=torch.float32), normal(num_out, num_in, 3, 3, dtype=torch.float32)
    weight, bias = weight / (9 * num_in) ** 0.5, torch.zeros(num_out)
    exact = functional.conv2d(x.double().permute(2, 0, 1)[None], weight.double(), padding=1)[0].permute(1, 2, 0)
    found = convolved(x, weight, bias)
    assert float((found - exact.relu()).norm() / exact.relu().norm()) < 1e-5
    g, fires = normal(side, side, num_out, seed=3, dtype=torch.float32), torch.ones(side, side, num_out)
    exact = torch.nn.grad.conv2d_input(
        (1, num_in, side, side), weight.double(), g.double().permute(2, 0, 1)[None], padding=1
    )
    assert float((gradient_of(g, fires, weight).permute(2, 0, 1) - exact[0]).norm() / exact.norm()) < 1e-5


def test_threads_change_no_bit(two_threads: None) -> None:
    x, weight = normal(90, 44, 64, dtype=torch.float32), normal(128, 64, 3, 3, dtype=torch.float32)
    bias, g = normal(128, dtype=torch.float32), normal(90, 44, 128, seed=4, dtype=torch.float32)
    both = convolved(x, weight, bias)
    both_back = gradient_of(g, both, weight)
    torch.set_num_threads(1)
    one = convolved(x, weight, bias)
    assert torch.equal(one, both) and torch.equal(gradient_of(g, one, weight), both_back)


class Plain(nn.Module):
    """The same network by torch's modules and autograd."""

    def __init__(self, network: VGG) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        network, maps = self.network, {}
        x = functional.conv2d(images, network.weight("input"), network.bias("input"))
        for layer in network.layers:
            if layer.endswith("_1") and block_of(layer) > 1:
                x = functional.avg_pool2d(x, 2) if network.pooling == "average" else functional.max_pool2d(x, 2)
            x = functional.pad(x, (1, 1, 1, 1), mode="constant" if network.padding == "zeros" else "reflect")
            weight = network.weight(layer)
            maps[layer] = x = functional.conv2d(x[:, : weight.shape[1]], weight, network.bias(layer)).relu()
        return maps


def state_of(dtype: torch.dtype, further: int = 0) -> dict[str, Tensor]:
    """A narrow VGG-16; each layer has so many filters that the next one does not take."""
    state, num_in = {"input.weight": normal(3, 3, 1, 1, seed=9), "input.bias": normal(3, seed=8)}, 3
    for seed, layer in enumerate(layers_until("conv5_1", layers_of(VGG16))):
        num_out = WIDTHS[block_of(layer)]
        state[f"{layer}.weight"] = normal(num_out + further, num_in, 3, 3, seed=seed) * (2 / (9 * num_in)) ** 0.5
        state[f"{layer}.bias"] = 0.1 * normal(num_out + further, seed=seed)
        num_in = num_out
    return {name: tensor.to(dtype) for name, tensor in state.items()}


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("further", [0, 3])
@pytest.mark.parametrize("size", [(48, 64), (45, 39)])
def test_passes_are_autograds(pooling: Pooling, padding: Padding, further: int, size: tuple[int, int]) -> None:
    network = VGG(state_of(torch.float64, further), pooling=pooling, padding=padding)
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(3), dtype=torch.float64).requires_grad_()
    wanted = ["conv1_1", "conv2_2", "conv3_1", "conv5_1"]
    expected, found = Plain(network)(images), network.maps(images, wanted)
    for layer in wanted:
        torch.testing.assert_close(found[layer], expected[layer], rtol=1e-11, atol=1e-11)

    def loss(maps: dict[str, Tensor]) -> Tensor:
        return sum(maps[layer].pow(3).sum() for layer in wanted) + maps["conv2_2"][:, 1:].sum()

    (expected_gradient,) = torch.autograd.grad(loss(expected), images)
    (gradient,) = torch.autograd.grad(loss(found), images, retain_graph=True)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-9, atol=1e-9)
    (again,) = torch.autograd.grad(loss(found), images)  # nothing that was kept has been written over
    assert torch.equal(again, gradient)
    for layer in wanted:  # of one map alone, the others without a gradient
        (one,) = torch.autograd.grad(network.maps(images, wanted)[layer].sum(), images)
        (expected_one,) = torch.autograd.grad(Plain(network)(images)[layer].sum(), images)
        torch.testing.assert_close(one, expected_one, rtol=1e-9, atol=1e-9)


def test_single_precision_gradient_is_the_double_ones_to_a_ten_thousandth(monkeypatch: pytest.MonkeyPatch) -> None:
    """With Winograd's kernels wherever they can be, whatever wins."""
    monkeypatch.setattr(passes, "LEAST_FILTERS", 1)
    monkeypatch.setattr(passes, "LEAST_PRODUCTS", 1)
    monkeypatch.setattr(passes, "LEAST_TILES", 1)
    used: list[object] = []
    original = winograd.input_gradient
    monkeypatch.setattr(winograd, "input_gradient", lambda *given: (used.append(1), original(*given)))
    images = torch.rand(2, 3, 64, 56, generator=torch.Generator().manual_seed(3))
    gradients = []
    for dtype in (torch.float32, torch.float64):
        network, x = VGG(state_of(dtype)), images.to(dtype).requires_grad_()
        maps = network.maps(x, ["conv1_1", "conv4_2", "conv5_1"])
        gradients += torch.autograd.grad(sum(features.square().sum() for features in maps.values()), x)
        assert len(used) == 2 * len(network.layers)  # in single precision alone
    assert float((gradients[0] - gradients[1]).norm() / gradients[1].norm()) < 1e-4


def test_what_is_measured_in_between_leaves_the_passes_usable(two_threads: None) -> None:
    """Measures are taken in inference mode, in which tensors that are kept could not be written to afterwards."""
    state = state_of(torch.float32)
    for layer, num_in in (("conv3_2", 24), ("conv3_3", 96)):  # wide enough for Winograd's kernels
        state[f"{layer}.weight"], state[f"{layer}.bias"] = normal(96, num_in, 3, 3).float(), normal(96).float()
    state["conv4_1.weight"] = normal(24, 96, 3, 3).float()
    network = VGG(state)
    assert passes.by_winograd(network, "conv3_3", 40, 40)

    def passed(side: int) -> Tensor:
        x = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(5)).requires_grad_()
        features = network.maps(x, ["conv3_3"])["conv3_3"]
        return torch.autograd.grad(features.square().sum(), x)[0]

    small = passed(64)
    with torch.inference_mode():
        assert not passes.by_winograd(network, "conv3_3", 40, 40)
        network.maps(torch.rand(1, 3, 200, 200), ["conv3_3"])
        x, weights = torch.rand(80, 80, 96), network.laid_out("conv3_3", winograd.map_weights, False)
        winograd.convolve(x, weights, torch.zeros(96), torch.empty(80, 80, 96))  # its memory grows
    passed(160)
    assert torch.equal(passed(64), small)


def test_weights_that_were_written_over_are_transformed_anew() -> None:
    network = VGG({**state_of(torch.float32), "conv5_1.weight": normal(16, 24, 3, 3).float()})
    before = network.laid_out("conv5_1", winograd.map_weights, False)
    network.weight("conv5_1").mul_(2)
    assert network.laid_out("conv5_1", winograd.map_weights, True) is not before
    after = network.laid_out("conv5_1", winograd.map_weights, False)
    assert network.laid_out("conv5_1", winograd.map_weights, False) is after
    assert torch.equal(after.to_dense(), 2 * before.to_dense())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("pooling", ["average", "max"])
def test_a_picture_that_is_not_finite_has_maps_that_are_not(dtype: torch.dtype, pooling: Pooling) -> None:
    """A run that has gone astray must see it in its loss."""
    network, image = VGG(state_of(dtype), pooling=pooling), torch.rand(1, 3, 48, 48, dtype=dtype)
    image[0, 1, 20, 20] = torch.nan
    image.requires_grad_()
    for layer, features in network.maps(image, network.layers).items():
        assert features.isnan().any(), layer
    with torch.inference_mode():
        assert network.maps(image, ["conv4_2"])["conv4_2"].isnan().any()


def test_a_network_that_has_been_used_can_be_copied_and_pickled() -> None:
    network, image = VGG(state_of(torch.float32)), torch.rand(1, 3, 48, 48)
    found = network.maps(image, ["conv5_1"])["conv5_1"]
    for other in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert torch.equal(other.maps(image, ["conv5_1"])["conv5_1"], found)


def test_a_network_made_in_inference_mode_serves_outside_it() -> None:
    with torch.inference_mode():
        network = VGG({name: tensor.clone() for name, tensor in state_of(torch.float32).items()})
    image = torch.rand(1, 3, 48, 48).requires_grad_()
    (gradient,) = torch.autograd.grad(network.maps(image, ["conv5_1"])["conv5_1"].sum(), image)
    assert float(gradient.abs().max()) > 0


def test_what_laid_out_weights_take_is_reckoned() -> None:
    state = state_of(torch.float32)
    for layer, num_in in (("conv3_2", 24), ("conv3_3", 96)):
        state[f"{layer}.weight"], state[f"{layer}.bias"] = normal(96, num_in, 3, 3).float(), normal(96).float()
    state["conv4_1.weight"] = normal(24, 96, 3, 3).float()
    network, image = VGG(state), torch.rand(1, 3, 160, 160).requires_grad_()
    torch.autograd.grad(network.maps(image, network.layers)["conv5_1"].sum(), image)
    held = sum(found.numel() * found.element_size() for _, _, found in network._laid_out.values())
    assert passes.by_winograd(network, "conv3_3", 40, 40)
    assert held == network.laid_out_bytes(160, 160)


def test_views_are_kept_of_so_many_shapes() -> None:
    weights = winograd.map_weights(normal(4, 3, 3, 3))
    for width in reversed(range(1, winograd.MOST_SHAPES + 10)):  # memory that grows forgets them all
        winograd.convolve(normal(5, width, 3), weights, torch.zeros(4, dtype=torch.float64), normal(5, width, 4))
    assert len(winograd._memory._tiles) <= winograd.MOST_SHAPES
