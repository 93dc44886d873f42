import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_vgg import photograph, tiny_state
from torch.nn import functional

from harness.features import vgg
from harness.features.vgg import LAYERS, NETWORKS, VGG, VGG16, VGG19

POOLINGS = ("average", "max")
PADDINGS = ("zeros", "reflect")
REDUCE = {"average": np.mean, "max": np.max}
PAD_MODE = {"zeros": "constant", "reflect": "reflect"}


def convolve(x, weight, bias, padding):
    """3×3 convolution of (C, H, W) by a loop over positions."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)), mode=PAD_MODE[padding])
    out = np.empty((len(weight), *x.shape[1:]))
    for row in range(x.shape[1]):
        for column in range(x.shape[2]):
            patch = padded[:, row : row + 3, column : column + 3]
            out[:, row, column] = [np.sum(filter_ * patch) for filter_ in weight] + bias
    return out


def pool(x, pooling):
    """2×2 windows of (C, H, W), stride 2, an odd last row or column left out."""
    out = np.empty((x.shape[0], x.shape[1] // 2, x.shape[2] // 2))
    for row in range(out.shape[1]):
        for column in range(out.shape[2]):
            out[:, row, column] = REDUCE[pooling](x[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2], axis=(1, 2))
    return out


COLUMNS = {
    "E": "1_1 1_2 P 2_1 2_2 P 3_1 3_2 3_3 3_4 P 4_1 4_2 4_3 4_4 P 5_1 5_2 5_3 5_4",
    "D": "1_1 1_2 P 2_1 2_2 P 3_1 3_2 3_3 P 4_1 4_2 4_3 P 5_1 5_2 5_3",
}
"""Simonyan & Zisserman 2015, table 1: VGG-19 and VGG-16."""


def naive_maps(image, state, pooling, padding, column="E"):
    """All maps of one (3, H, W) image, in float64."""
    state = {name: tensor.double().numpy() for name, tensor in state.items()}
    x = np.einsum("oi,ihw->ohw", state["input.weight"][:, :, 0, 0], image) + state["input.bias"][:, None, None]
    maps = {}
    for name in COLUMNS[column].split():
        if name == "P":
            x = pool(x, pooling)
        else:
            x = convolve(x, state[f"conv{name}.weight"], state[f"conv{name}.bias"], padding)
            x = np.where(x > 0, x, 0.0)
            maps[f"conv{name}"] = x
    return maps


@pytest.mark.parametrize(("column", "blocks"), [("E", VGG19), ("D", VGG16)])
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_forward_is_plain_loops_in_all_layers(pooling, padding, column, blocks):
    state = tiny_state(width=2, blocks=blocks)
    images = photograph(33, 34, rows=2) * 1.4 - 0.2
    network = VGG(state, pooling=pooling, padding=padding)
    maps = network(images, network.layers)
    assert list(maps) == [f"conv{name}" for name in COLUMNS[column].split() if name != "P"]
    for row in range(2):
        for layer, expected in naive_maps(images[row].double().numpy(), state, pooling, padding, column).items():
            np.testing.assert_allclose(maps[layer][row].numpy(), expected, rtol=2e-4, atol=2e-5 * expected.max())


def test_layers_are_column_e_of_the_vgg_paper():
    assert [sum(layer.startswith(f"conv{block}_") for layer in LAYERS) for block in range(1, 6)] == [2, 2, 4, 4, 4]
    assert vgg.layers_until("conv3_1", LAYERS) == ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1")
    assert vgg.deepest_of(["conv4_2", "conv1_1", "conv3_4"]) == "conv4_2"


def test_vgg16_is_column_d_and_lacks_the_fourth_convolutions():
    assert set(LAYERS) - set(NETWORKS["VGG-16"]) == {"conv3_4", "conv4_4", "conv5_4"}
    network = VGG(tiny_state(blocks=VGG16))
    assert network.layers == NETWORKS["VGG-16"]
    assert network.layers_until("conv4_1") == NETWORKS["VGG-16"][:8] == (*LAYERS[:7], "conv4_1")
    assert vgg.deepest_of(["conv3_3", "conv4_1"]) == "conv4_1"


def test_layers_say_which_network_they_are_of():
    for num in range(1, 17):
        assert vgg.network_of(LAYERS[:num]) == "VGG-19"
    for num in range(1, 14):
        assert vgg.network_of(NETWORKS["VGG-16"][:num]) == ("VGG-19" if num <= 7 else "VGG-16")


def test_halo_is_that_of_the_network_used():
    deep, flat = VGG(tiny_state(num_layers=13)), VGG(tiny_state(num_layers=11, blocks=VGG16))
    assert deep.layers[-1] == flat.layers[-1] == "conv5_1"
    assert deep.halo_px("conv5_1") == 80 and flat.halo_px("conv5_1") == 64
    assert deep.halo_px("conv3_3") == flat.halo_px("conv3_3") == 32


def test_only_the_layers_asked_for_are_returned():
    assert set(VGG(tiny_state())(photograph(32, 32), ["conv4_2", "conv1_1"])) == {"conv4_2", "conv1_1"}
    assert VGG(tiny_state())(photograph(32, 32), []) == {}


def test_nothing_deeper_than_asked_for_is_computed():
    network = VGG(tiny_state(), padding="reflect")
    image = photograph(4, 4)  # a 1 × 1 map at block 3, which cannot be reflected
    assert network(image, ["conv2_2"])["conv2_2"].shape == (1, 3, 2, 2)
    with pytest.raises(RuntimeError):
        network(image, ["conv3_1"])


def test_truncated_network_holds_no_deeper_weights_and_gives_the_same_maps():
    state, image = tiny_state(), photograph(20, 20)
    truncated = VGG(state, deepest="conv3_2")
    assert truncated.layers == LAYERS[:6]
    assert {name.rsplit("_", 1)[0] for name, _ in truncated.named_buffers()} == {"input", *LAYERS[:6]}
    assert torch.equal(truncated(image, ["conv3_2"])["conv3_2"], VGG(state)(image, ["conv3_2"])["conv3_2"])


def test_network_ends_where_its_state_ends():
    assert VGG(tiny_state(num_layers=13)).layers[-1] == "conv5_1"


def test_network_is_frozen_and_image_gets_the_gradient():
    network = VGG(tiny_state())
    assert list(network.parameters()) == []
    image = photograph(32, 32).requires_grad_()
    network(image, ["conv5_1"])["conv5_1"].square().sum().backward()
    assert image.grad.isfinite().all() and image.grad.abs().max() > 0
    assert all(not buffer.requires_grad and buffer.grad is None for buffer in network.buffers())


def test_network_leaves_the_state_it_was_made_of_unchanged():
    state = tiny_state()
    before = {name: tensor.clone() for name, tensor in state.items()}
    VGG(state)(photograph(32, 32), LAYERS)
    assert all(torch.equal(state[name], before[name]) for name in before)


def test_gradient_is_that_of_the_same_operations_written_out():
    state, image = tiny_state(num_layers=3), photograph(8, 10).double()
    double = {name: tensor.double() for name, tensor in state.items()}
    ours, plain = image.clone().requires_grad_(), image.clone().requires_grad_()
    VGG(double)(ours, ["conv2_1"])["conv2_1"].square().sum().backward()
    x = functional.conv2d(plain, double["input.weight"], double["input.bias"])
    for layer in LAYERS[:3]:
        x = functional.avg_pool2d(x, 2) if layer == "conv2_1" else x
        x = functional.relu(functional.conv2d(x, double[f"{layer}.weight"], double[f"{layer}.bias"], padding=1))
    x.square().sum().backward()
    torch.testing.assert_close(ours.grad, plain.grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("layer", ["conv1_1", "conv2_2", "conv3_4", "conv4_2", "conv5_4"])
def test_minimum_size_is_the_smallest_that_reflects(layer):
    network, side = VGG(tiny_state(), padding="reflect"), vgg.minimum_size_px(layer)
    assert network(photograph(side, side), [layer])[layer].shape[2:] == (2, 2)
    with pytest.raises(RuntimeError):
        network(photograph(side - 1, side - 1), [layer])


@settings(deadline=None, max_examples=15)
@given(height=st.integers(32, 50), width=st.integers(32, 50), padding=st.sampled_from(PADDINGS))
def test_map_shape_is_the_shape_of_the_map(height, width, padding):
    maps = VGG(tiny_state(width=2), padding=padding)(photograph(height, width), LAYERS)
    assert {layer: vgg.map_shape(layer, height, width) for layer in LAYERS} == {
        layer: tuple(map_.shape[2:]) for layer, map_ in maps.items()
    }


def test_maps_are_channels_last_and_not_negative():
    for map_ in VGG(tiny_state())(photograph(32, 32, rows=2), LAYERS).values():
        assert map_.is_contiguous(memory_format=torch.channels_last)
        assert map_.min() >= 0


def test_rows_of_a_batch_are_independent():
    network, images = VGG(tiny_state()), photograph(33, 32, rows=3)
    together = network(images, ["conv5_4"])["conv5_4"]
    for row in range(3):
        torch.testing.assert_close(together[row : row + 1], network(images[row : row + 1], ["conv5_4"])["conv5_4"])


def test_filters_that_are_not_compared_are_left_out_of_the_maps_and_still_feed_the_next_layer() -> None:
    state = tiny_state(4, 3, 0)
    image = photograph(12, 16, 1)
    whole = VGG(state)(image, ["conv1_1", "conv2_2"])
    part = VGG(state | {"conv1_1.compared": torch.tensor([0, 2])})
    maps = part(image, ["conv1_1", "conv2_2"])
    assert torch.equal(maps["conv1_1"], whole["conv1_1"][:, [0, 2]])
    assert torch.equal(maps["conv2_2"], whole["conv2_2"])
    assert part.num_filters("conv1_1") == 2 and part.num_filters("conv2_2") == 3
    assert maps["conv1_1"].is_contiguous(memory_format=torch.channels_last)


READOUTS = {
    "conv1_2.readout": torch.randn(5, 3, generator=torch.Generator().manual_seed(1)),
    "conv4_1.readout": torch.randn(2, 3, generator=torch.Generator().manual_seed(2)),
}


@pytest.mark.parametrize("blocks", [VGG19, VGG16])
def test_readout_is_a_linear_map_of_the_filters_and_the_next_layer_takes_these(blocks):
    state, image = tiny_state(blocks=blocks), photograph(33, 36, 1, rows=2)
    plain, read = VGG(state), VGG(state | READOUTS)
    whole, maps = plain(image, plain.layers), read(image, read.layers)
    for layer in plain.layers:
        expected = whole[layer]
        if f"{layer}.readout" in READOUTS:
            R = READOUTS[f"{layer}.readout"].double().numpy()
            expected = torch.from_numpy(np.einsum("kn,bnhw->bkhw", R, expected.double().numpy())).float()
            assert maps[layer].min() < 0  # no ReLU behind it
        torch.testing.assert_close(maps[layer], expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))
        assert read.num_filters(layer) == maps[layer].shape[1]
        assert maps[layer].is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(maps["conv4_2"], whole["conv4_2"])


def test_gradient_through_a_readout_is_the_finite_difference():
    state = tiny_state(num_layers=3) | {"conv1_2.readout": READOUTS["conv1_2.readout"]}
    network, image = VGG(state).double(), photograph(6, 8).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: network(x, ["conv1_2", "conv2_1"])["conv1_2"], image)


def test_rows_of_a_batch_with_readouts_are_independent():
    network, images = VGG(tiny_state() | READOUTS), photograph(33, 32, rows=3)
    layers = ["conv1_2", "conv4_1", "conv5_1"]
    together = network(images, layers)
    for row in range(3):
        for layer, alone in network(images[row : row + 1], layers).items():
            torch.testing.assert_close(together[layer][row : row + 1], alone)


def test_all_filters_are_those_without_readout_and_choice():
    state = tiny_state() | READOUTS | {"conv1_1.compared": torch.tensor([0, 2])}
    assert vgg.with_all_filters(state).keys() == tiny_state().keys()
