import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_vgg import photograph, tiny_state
from torch.nn import functional

from harness.features import vgg
from harness.features.vgg import LAYERS, VGG19

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


def naive_maps(image, state, pooling, padding):
    """All maps of one (3, H, W) image, in float64."""
    state = {name: tensor.double().numpy() for name, tensor in state.items()}
    x = np.einsum("oi,ihw->ohw", state["input.weight"][:, :, 0, 0], image) + state["input.bias"][:, None, None]
    maps = {}
    for name in "1_1 1_2 P 2_1 2_2 P 3_1 3_2 3_3 3_4 P 4_1 4_2 4_3 4_4 P 5_1 5_2 5_3 5_4".split():
        if name == "P":
            x = pool(x, pooling)
        else:
            x = convolve(x, state[f"conv{name}.weight"], state[f"conv{name}.bias"], padding)
            x = np.where(x > 0, x, 0.0)
            maps[f"conv{name}"] = x
    return maps


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_forward_is_plain_loops_in_all_layers(pooling, padding):
    state = tiny_state(width=2)
    images = photograph(33, 34, rows=2) * 1.4 - 0.2
    maps = VGG19(state, pooling=pooling, padding=padding)(images, LAYERS)
    assert tuple(maps) == LAYERS
    for row in range(2):
        for layer, expected in naive_maps(images[row].double().numpy(), state, pooling, padding).items():
            np.testing.assert_allclose(maps[layer][row].numpy(), expected, rtol=2e-4, atol=2e-5 * expected.max())


def test_layers_are_column_e_of_the_vgg_paper():
    assert [sum(layer.startswith(f"conv{block}_") for layer in LAYERS) for block in range(1, 6)] == [2, 2, 4, 4, 4]
    assert vgg.layers_until("conv3_1") == ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1")
    assert vgg.deepest_of(["conv4_2", "conv1_1", "conv3_4"]) == "conv4_2"


def test_only_the_layers_asked_for_are_returned():
    assert set(VGG19(tiny_state())(photograph(32, 32), ["conv4_2", "conv1_1"])) == {"conv4_2", "conv1_1"}
    assert VGG19(tiny_state())(photograph(32, 32), []) == {}


def test_nothing_deeper_than_asked_for_is_computed():
    network = VGG19(tiny_state(), padding="reflect")
    image = photograph(4, 4)  # a 1 × 1 map at block 3, which cannot be reflected
    assert network(image, ["conv2_2"])["conv2_2"].shape == (1, 3, 2, 2)
    with pytest.raises(RuntimeError):
        network(image, ["conv3_1"])


def test_truncated_network_holds_no_deeper_weights_and_gives_the_same_maps():
    state, image = tiny_state(), photograph(20, 20)
    truncated = VGG19(state, deepest="conv3_2")
    assert truncated.layers == LAYERS[:6]
    assert {name.rsplit("_", 1)[0] for name, _ in truncated.named_buffers()} == {"input", *LAYERS[:6]}
    assert torch.equal(truncated(image, ["conv3_2"])["conv3_2"], VGG19(state)(image, ["conv3_2"])["conv3_2"])


def test_network_ends_where_its_state_ends():
    assert VGG19(tiny_state(num_layers=13)).layers[-1] == "conv5_1"


def test_network_is_frozen_and_image_gets_the_gradient():
    network = VGG19(tiny_state())
    assert list(network.parameters()) == []
    image = photograph(32, 32).requires_grad_()
    network(image, ["conv5_1"])["conv5_1"].square().sum().backward()
    assert image.grad.isfinite().all() and image.grad.abs().max() > 0
    assert all(not buffer.requires_grad and buffer.grad is None for buffer in network.buffers())


def test_network_leaves_the_state_it_was_made_of_unchanged():
    state = tiny_state()
    before = {name: tensor.clone() for name, tensor in state.items()}
    VGG19(state)(photograph(32, 32), LAYERS)
    assert all(torch.equal(state[name], before[name]) for name in before)


def test_gradient_is_that_of_the_same_operations_written_out():
    state, image = tiny_state(num_layers=3), photograph(8, 10).double()
    double = {name: tensor.double() for name, tensor in state.items()}
    ours, plain = image.clone().requires_grad_(), image.clone().requires_grad_()
    VGG19(double)(ours, ["conv2_1"])["conv2_1"].square().sum().backward()
    x = functional.conv2d(plain, double["input.weight"], double["input.bias"])
    for layer in LAYERS[:3]:
        x = functional.avg_pool2d(x, 2) if layer == "conv2_1" else x
        x = functional.relu(functional.conv2d(x, double[f"{layer}.weight"], double[f"{layer}.bias"], padding=1))
    x.square().sum().backward()
    torch.testing.assert_close(ours.grad, plain.grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("layer", ["conv1_1", "conv2_2", "conv3_4", "conv4_2", "conv5_4"])
def test_minimum_size_is_the_smallest_that_reflects(layer):
    network, side = VGG19(tiny_state(), padding="reflect"), vgg.minimum_size_px(layer)
    assert network(photograph(side, side), [layer])[layer].shape[2:] == (2, 2)
    with pytest.raises(RuntimeError):
        network(photograph(side - 1, side - 1), [layer])


@settings(deadline=None, max_examples=15)
@given(height=st.integers(32, 50), width=st.integers(32, 50), padding=st.sampled_from(PADDINGS))
def test_map_shape_is_the_shape_of_the_map(height, width, padding):
    maps = VGG19(tiny_state(width=2), padding=padding)(photograph(height, width), LAYERS)
    assert {layer: vgg.map_shape(layer, height, width) for layer in LAYERS} == {
        layer: tuple(map_.shape[2:]) for layer, map_ in maps.items()
    }


def test_maps_are_channels_last_and_not_negative():
    for map_ in VGG19(tiny_state())(photograph(32, 32, rows=2), LAYERS).values():
        assert map_.is_contiguous(memory_format=torch.channels_last)
        assert map_.min() >= 0


def test_rows_of_a_batch_are_independent():
    network, images = VGG19(tiny_state()), photograph(33, 32, rows=3)
    together = network(images, ["conv5_4"])["conv5_4"]
    for row in range(3):
        torch.testing.assert_close(together[row : row + 1], network(images[row : row + 1], ["conv5_4"])["conv5_4"])


def test_filters_that_are_not_compared_are_left_out_of_the_maps_and_still_feed_the_next_layer() -> None:
    state = tiny_state(4, 3, 0)
    image = photograph(12, 16, 1)
    whole = VGG19(state)(image, ["conv1_1", "conv2_2"])
    part = VGG19(state | {"conv1_1.compared": torch.tensor([0, 2])})
    maps = part(image, ["conv1_1", "conv2_2"])
    assert torch.equal(maps["conv1_1"], whole["conv1_1"][:, [0, 2]])
    assert torch.equal(maps["conv2_2"], whole["conv2_2"])
    assert part.num_filters("conv1_1") == 2 and part.num_filters("conv2_2") == 3
    assert maps["conv1_1"].is_contiguous(memory_format=torch.channels_last)
