"""Loss and gradient in tiles are those of one pass: at odd sizes, every depth, padding and pooling, with every term."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_vgg import photograph, tiny_state
from torch import Tensor

from harness.features.vgg import (
    GRID_PX,
    LAYERS,
    VGG,
    VGG16,
    VGG19,
    Padding,
    Pooling,
    block_of,
    halo_px,
    layers_of,
    map_shape,
)
from harness.objective.equations import gram_per_position
from harness.objective.gradient import Evaluation, evaluate
from harness.objective.memory import BOUND_BYTES, bound_of, choose_tile, plain_pass_bytes, tiled_pass_bytes
from harness.objective.rows import Objective, RowObjective, StylePart
from harness.objective.tiles import spans_of, tiles_of


def both_ways(
    network: VGG,
    rows: list[RowObjective],
    height: int,
    width: int,
    tile_px: int,
    dtype: torch.dtype = torch.float64,
    with_masks: bool = False,
) -> tuple[Evaluation, Evaluation]:
    """The rows evaluated in one pass, in double precision, and in tiles; the paintings are of another odd size.

    In single precision the plain pass is the less exact of the two: its sums are longer.
    """

    def evaluated(tile_px: int | None, dtype: torch.dtype) -> Evaluation:
        def made(height: int, width: int, seed: int) -> Tensor:
            return photograph(height, width, seed)[0].to(dtype)

        contents = [made(height, width, seed) for seed in (1, 2)]
        styles = [
            made(height + 21, width - 7, seed) ** 2 for seed in (3, 4)
        ]  # unlike the others: G − A does not cancel
        masks = [made(height, width, seed)[0] for seed in (5, 6)] if with_masks else []
        own_masks = [made(height + 21, width - 7, 7)[0]] if with_masks else []
        its_network = network.to(dtype)
        objective = Objective(rows, its_network, contents, styles, masks, own_masks, tile_px)
        images = torch.stack([made(height, width, 10 + i) for i in range(len(rows))])
        return evaluate(objective, its_network, images, range(len(rows)), with_content_gradient=True)

    tiled = evaluated(tile_px, dtype)
    return evaluated(None, torch.float64), tiled


def assert_equal(plain: Evaluation, tiled: Evaluation, dtype: torch.dtype = torch.float64) -> None:
    rtol = {torch.float64: 1e-10, torch.float32: 1e-5}[dtype]

    def assert_near(found: Tensor, expected: Tensor, rtol: float, atol: float = 0.0) -> None:
        assert found.dtype == dtype
        torch.testing.assert_close(found.double(), expected, rtol=rtol, atol=atol, equal_nan=True)

    for name in ("total", "content", "style"):
        assert_near(getattr(tiled.losses, name), getattr(plain.losses, name), rtol)
    for several in ("style_layers", "terms"):
        own, of_whole = getattr(tiled.losses, several), getattr(plain.losses, several)
        assert own.keys() == of_whole.keys()
        for name, expected in of_whole.items():
            assert_near(own[name], expected, rtol)
    for expected, found in ((plain.gradient, tiled.gradient), (plain.content_gradient, tiled.content_gradient)):
        assert (expected is None) == (found is None)
        if expected is not None and found is not None:
            assert_near(found, expected, 0, rtol * float(expected.abs().max()))


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_as_the_deepest(layer: str) -> None:
    """The halo of each depth suffices; that no smaller multiple of 16 px would, the next test shows."""
    row = RowObjective(0.7, 1.3, {layer: 1.0}, {layer: 1.0})
    side = 2 * halo_px(layer, LAYERS) + 21
    plain, tiled = both_ways(VGG(tiny_state(width=2)), [row], side, 40, tile_px=GRID_PX)
    assert_equal(plain, tiled)


@pytest.mark.parametrize("layer", ["conv3_3", "conv4_1", "conv5_1", "conv5_3"])
def test_tiles_of_vgg16_have_its_own_halo_which_suffices(layer: str) -> None:
    network = VGG(tiny_state(width=2, blocks=VGG16))
    row = RowObjective(0.7, 1.3, {layer: 1.0}, {layer: 1.0})
    plain, tiled = both_ways(network, [row], 2 * network.halo_px(layer) + 21, 40, tile_px=GRID_PX)
    assert_equal(plain, tiled)


def test_tiles_of_a_network_with_readouts_give_what_one_pass_gives() -> None:
    random = torch.Generator().manual_seed(0)
    readouts = {
        f"{layer}.readout": torch.randn(num, 3, generator=random)
        for layer, num in {"conv1_1": 2, "conv3_1": 5, "conv4_2": 3}.items()
    }
    row = RowObjective(0.7, 1.3, {"conv4_2": 1.0, "conv3_1": 0.5}, {"conv1_1": 1.0, "conv3_1": 1.0, "conv2_1": 1.0})
    plain, tiled = both_ways(VGG(tiny_state(blocks=VGG16) | readouts), [row], 115, 77, 48)
    assert_equal(plain, tiled)


@pytest.mark.parametrize(
    ("blocks", "layer"), [(blocks, layer) for blocks in (VGG19, VGG16) for layer in layers_of(blocks)]
)
def test_halo_is_the_receptive_field_by_the_gradient_of_a_position(blocks: tuple[int, ...], layer: str) -> None:
    """A position has a gradient as far as its layer sees: within the halo, and beyond the halo less 16 px."""
    network, factor = VGG(tiny_state(width=2, blocks=blocks)).double(), 2 ** (block_of(layer) - 1)
    halo = network.halo_px(layer)
    middle = -(-2 * halo // factor)
    image = photograph(4 * halo, 33).double().requires_grad_()
    rows = torch.autograd.grad(network(image, [layer])[layer][0, 0, middle].sum(), image)[0].abs().sum((0, 1, 3))
    seen = rows.nonzero()[:, 0]
    reach = max(middle * factor - int(seen.min()), int(seen.max()) - (middle + 1) * factor + 1)
    assert halo - GRID_PX < reach <= halo


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("pooling", ["average", "max"])
def test_tiles_give_what_one_pass_gives(pooling: Pooling, padding: Padding, dtype: torch.dtype) -> None:
    """Rows of different terms together: several parts, masks, luminance, regularisers, content only, style only."""
    network = VGG(tiny_state(width=3), pooling=pooling, padding=padding)
    style = {"conv1_1": 0.3, "conv2_2": 0.2, "conv4_1": 0.5}
    parts = (StylePart(0, 0.4, mask=0, own_mask=0), StylePart(1, 2.0, mask=1), StylePart(1, 0.3), StylePart(0, 0.0))
    rows = [
        RowObjective(0.1, 1.0, {"conv3_2": 1.0, "conv1_2": 0.2}, style, styles=parts),
        RowObjective(0.5, 2.0, {"conv2_1": 1.0}, style, "printed", 1, terms={"total_variation": 0.5}, luminance=True),
        RowObjective(0.0, 1.0, {}, {"conv5_1": 1.0}, "neural_style", styles=parts[1:2], terms={"photorealism": 3.0}),
        RowObjective(1.0, 0.0, {"conv4_2": 1.0}, {}),
    ]
    plain, tiled = both_ways(network, rows, 115, 77, 48, dtype, with_masks=True)
    assert_equal(plain, tiled, dtype)


@settings(deadline=None, max_examples=12)
@given(
    height=st.integers(33, 130),
    width=st.integers(40, 100),
    tile_px=st.integers(1, 8).map(lambda k: 16 * k),
    layer=st.sampled_from(LAYERS),
    padding=st.sampled_from(["zeros", "reflect"]),
)
def test_any_size_in_any_tiles(height: int, width: int, tile_px: int, layer: str, padding: Padding) -> None:
    row = RowObjective(0.7, 1.3, {layer: 1.0}, {layer: 1.0, "conv1_1": 0.1})
    plain, tiled = both_ways(VGG(tiny_state(width=2), padding=padding), [row], height, width, tile_px)
    assert_equal(plain, tiled)


def test_targets_are_measured_in_tiles_to_rounding_and_photographs_maps_stored_whole() -> None:
    network = VGG(tiny_state(width=3)).double()
    image, own = photograph(115, 90)[0].double(), photograph(115, 90, 1)[0, 0].double()
    style = {"conv1_1": 1.0, "conv3_1": 1.0}
    row = RowObjective(1.0, 1.0, {"conv2_2": 1.0, "conv4_2": 1.0}, style, styles=(StylePart(own_mask=0), StylePart()))
    plain, tiled = (
        dict(Objective([row], network, [image], [image], style_masks=[own], tile_px=tile).named_buffers())
        for tile in (None, 32)
    )
    assert plain.keys() == tiled.keys() and len(plain) == 6
    for name, target in plain.items():
        torch.testing.assert_close(tiled[name], target, rtol=1e-12, atol=1e-12)


@given(length=st.integers(1, 500), tile_px=st.integers(1, 12).map(lambda k: 16 * k), layer=st.sampled_from(LAYERS))
def test_every_position_is_one_tiles_own(length: int, tile_px: int, layer: str) -> None:
    spans = spans_of(length, tile_px, halo_px(layer, LAYERS))
    positions = [i for span in spans for i in range(length)[span.own(layer)]]
    assert positions == list(range(map_shape(layer, length, length)[0]))
    for span in spans:
        assert span.stop - span.start <= tile_px and span.first % GRID_PX == 0
        assert 0 <= span.first <= span.start < span.stop <= span.last <= length
        assert span.first == 0 or span.start - span.first >= halo_px(layer, LAYERS)
        assert span.last == length or span.last - span.stop >= halo_px(layer, LAYERS)


@pytest.mark.parametrize("tile_px", [0, 8, 100, -16])
def test_tile_off_the_grid_is_refused(tile_px: int) -> None:
    with pytest.raises(ValueError, match="multiple of 16"):
        next(tiles_of(64, 64, tile_px, 16))


def test_tile_is_chosen_by_the_bound_alone() -> None:
    """Plain where a pass stays below the bound; else the fewest tiles whose pass does, of any precision."""
    network, layers = VGG(tiny_state(width=64)), ["conv4_2", "conv5_1", "conv1_1"]
    assert choose_tile(network, layers, 512, 512) is None
    assert plain_pass_bytes(network, layers, 512, 512) < BOUND_BYTES < plain_pass_bytes(network, layers, 1024, 1024)

    def num_tiles(height: int, width: int, tile_px: int) -> int:
        return len(list(tiles_of(height, width, tile_px, network.halo_px("conv5_1"))))

    for height, width, itemsize in ((1024, 1024, 4), (2048, 1536, 4), (2048, 1536, 8), (1003, 5001, 4)):
        tile_px = choose_tile(network, layers, height, width, itemsize)
        assert tile_px is not None
        assert tiled_pass_bytes(network, layers, height, width, tile_px, itemsize) <= BOUND_BYTES
        for other in range(GRID_PX, width, GRID_PX):
            if num_tiles(height, width, other) < num_tiles(height, width, tile_px):
                assert tiled_pass_bytes(network, layers, height, width, other, itemsize) > BOUND_BYTES


def test_tiles_are_for_what_a_devices_bound_does_not_hold() -> None:
    network, layers = VGG(tiny_state(width=64)), ["conv4_2", "conv5_1", "conv1_1"]
    whole = plain_pass_bytes(network, layers, 2048, 1536)
    assert choose_tile(network, layers, 2048, 1536) is not None
    assert choose_tile(network, layers, 2048, 1536, bound_bytes=whole) is None
    for bound_bytes in (whole - 1, whole / 3, whole / 20):
        tile_px = choose_tile(network, layers, 2048, 1536, bound_bytes=bound_bytes)
        assert tile_px is not None
        assert tiled_pass_bytes(network, layers, 2048, 1536, tile_px) <= bound_bytes


def test_bound_is_a_part_of_a_gpus_free_memory_and_the_same_on_every_cpu() -> None:
    assert bound_of("cuda:0#2", 80e9) == 20e9
    assert bound_of("cuda:0", math.inf) is None  # not known
    assert bound_of("cpu", 80e9) is bound_of("cpu:1", 1e9) is None


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_plain_pass_is_modelled_by_what_a_backward_pass_keeps(pooling: Pooling, padding: Padding) -> None:
    """What is saved of a pass, each storage once, is what the model says beside the images and what is on its way."""
    network, layers = VGG(tiny_state(width=3), pooling=pooling, padding=padding), ["conv5_1"]
    storages: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    image = photograph(128, 96).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = network(image, layers)["conv5_1"].sum()
    own = {network.weight(layer).untyped_storage().data_ptr() for layer in ("input", *network.layers)}
    kept = sum(size for pointer, size in storages.items() if pointer not in own)
    map_, weighed, images = 3 * 128 * 96 * 4, 3 * 8 * 6 * 4, 2 * 3 * 128 * 96 * 4
    assert (
        plain_pass_bytes(network, layers, 128, 96)
        == kept + weighed + (5 if padding == "reflect" else 3) * map_ + images
    )
    del loss


def test_plain_pass_counts_the_maps_of_readouts() -> None:
    """A Gram matrix keeps the read-out's map, which is another one than the next layer's input."""
    state = tiny_state(width=3, num_layers=4, blocks=VGG16)
    network, layers = VGG(state | {"conv2_1.readout": torch.ones(5, 3)}), ["conv2_1"]
    storages: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    image = photograph(64, 48).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = gram_per_position(network(image, layers)["conv2_1"], 1).diagonal(dim1=1, dim2=2).sum()
    tensors = [network.weight(layer) for layer in ("input", *network.layers)] + [network.readout("conv2_1")]
    own = {tensor.untyped_storage().data_ptr() for tensor in tensors if tensor is not None}
    kept = sum(size for pointer, size in storages.items() if pointer not in own)
    map_, weighed, images = 3 * 64 * 48 * 4, 5 * 32 * 24 * 4, 2 * 3 * 64 * 48 * 4
    assert plain_pass_bytes(network, layers, 64, 48) == kept + weighed + 3 * map_ + images
    del loss


def test_row_without_a_weighed_layer_has_its_regularisers_alone() -> None:
    network = VGG(tiny_state(num_layers=4)).double()
    row = RowObjective(0.0, 0.0, {}, {}, terms={"total_variation": 2.0})
    plain, tiled = both_ways(network, [row], 40, 50, 32)
    assert torch.equal(plain.gradient, tiled.gradient) and float(plain.gradient.abs().max()) > 0
    assert plain.content_gradient is None and tiled.content_gradient is None
