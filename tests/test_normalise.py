from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_vgg import photograph, tiny_state

from harness.errors import WeightsError
from harness.features import means_cache, winograd
from harness.features.normalise import (
    CALIBRATION_PHOTOGRAPHS,
    calibration_photographs,
    mean_activations,
    normalised_state,
    raised_means,
    rescale,
    verify_unchanged,
)
from harness.features.passes import by_winograd
from harness.features.published_means import published_means
from harness.features.vgg import LAYERS, NETWORKS, VGG, VGG16
from harness.features.weights import LoadedWeights

PHOTOGRAPHS = [photograph(32, 36, seed=1), photograph(41, 32, seed=2)]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An own cache folder."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def loaded(state=None, sha256="0" * 64, **fields):
    return LoadedWeights(state or tiny_state(), sha256, "the tiny network", **fields)


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    width=st.integers(1, 5),
    num_layers=st.integers(1, 16),
    pooling=st.sampled_from(["average", "max"]),
    padding=st.sampled_from(["zeros", "reflect"]),
)
def test_normalising_makes_means_1_and_leaves_the_function_unchanged(seed, width, num_layers, pooling, padding):
    state = tiny_state(num_layers, width, seed)
    means = mean_activations(state, PHOTOGRAPHS, pooling, padding)
    scaled = rescale(state, means)
    after = mean_activations(scaled, PHOTOGRAPHS, pooling, padding)
    other = photograph(32, 32, seed + 1) * 2 - 0.5
    original, rescaled = VGG(state, None, pooling, padding), VGG(scaled, None, pooling, padding)
    maps = rescaled(other, LAYERS[:num_layers])
    for layer, expected in original(other, LAYERS[:num_layers]).items():
        divisor = raised_means(layer, means[layer])
        fires = means[layer] == divisor
        assert fires[0]
        torch.testing.assert_close(after[layer][fires], torch.ones(int(fires.sum())).double(), rtol=0, atol=1e-4)
        assert (after[layer][~fires] < 1).all()
        product = maps[layer] * divisor[:, None, None]
        torch.testing.assert_close(product.float(), expected, rtol=1e-3, atol=1e-5 * float(expected.max()))


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("pooling", ["average", "max"])
def test_means_are_over_all_positions_of_all_photographs(pooling, padding):
    state, network = tiny_state(), VGG(tiny_state(), None, pooling, padding)
    means = mean_activations(state, [*PHOTOGRAPHS, photograph(64, 64, rows=2)], pooling, padding)
    for layer in LAYERS:
        values: list[list[float]] = [[], [], []]
        for image in (*PHOTOGRAPHS, *photograph(64, 64, rows=2).split(1)):
            for filter_, map_ in enumerate(network(image, [layer])[layer][0]):
                values[filter_] += map_.flatten().tolist()
        expected = torch.tensor([sum(v) / len(v) for v in values], dtype=torch.float64)
        assert means[layer].dtype == torch.float64
        torch.testing.assert_close(means[layer], expected, rtol=1e-5, atol=1e-9)


def test_means_below_a_thousandth_of_the_median_are_raised_to_it():
    means = torch.tensor([1e-4, 1.0, 3.0, 7.0, 0.02, 2.9e-3]).double()
    assert raised_means("conv1_1", means).tolist() == pytest.approx([1e-3, 1.0, 3.0, 7.0, 0.02, 2.9e-3])


@pytest.mark.parametrize("silent", [0.0, 1e-7])
def test_median_leaves_out_filters_that_never_fire(silent):
    means = torch.tensor([silent, 2.0, silent, 4.0, silent, 8.0, silent, silent]).double()
    assert raised_means("conv1_1", means).tolist() == pytest.approx([4e-3, 2, 4e-3, 4, 4e-3, 8, 4e-3, 4e-3])


def test_filter_that_never_fires_is_divided_by_the_floor():
    state = tiny_state(2)
    state["conv1_1.bias"][2], state["conv1_1.weight"][2] = -1.0, 0.0
    means = mean_activations(state, PHOTOGRAPHS, "average", "zeros")
    assert means["conv1_1"][2] == 0
    scaled = rescale(state, means)
    floor = 1e-3 * float(means["conv1_1"][:2].min())
    assert float(scaled["conv1_1.bias"][2]) == pytest.approx(-1 / floor, rel=1e-5)
    assert all(tensor.isfinite().all() for tensor in scaled.values())


def test_layer_without_a_firing_filter_is_named():
    state = tiny_state(4)
    state["conv2_1.weight"].zero_()
    state["conv2_1.bias"].fill_(-1)
    means = mean_activations(state, PHOTOGRAPHS, "average", "zeros")
    with pytest.raises(WeightsError, match="No filter of conv2_1 fires"):
        rescale(state, means)


def test_network_that_overflows_is_refused():
    state = tiny_state(3)
    state["conv1_2.weight"] *= 1e38
    with pytest.raises(WeightsError, match="conv1_2 is not finite"):
        mean_activations(state, PHOTOGRAPHS, "average", "zeros")


def test_no_photographs_are_refused():
    with pytest.raises(WeightsError, match="at least one photograph"):
        mean_activations(tiny_state(2), [], "average", "zeros")


@pytest.mark.parametrize("name", ["conv1_1.weight", "conv2_1.bias", "conv5_4.weight", "input.bias"])
def test_a_changed_function_is_noticed(name):
    state = tiny_state()
    means = mean_activations(state, PHOTOGRAPHS, "max", "zeros")
    scaled = rescale(state, means)
    verify_unchanged(state, scaled, means, PHOTOGRAPHS[0], "max", "zeros")
    scaled[name] = scaled[name] * 3
    with pytest.raises(WeightsError, match="changed what conv"):
        verify_unchanged(state, scaled, means, PHOTOGRAPHS[0], "max", "zeros")


def test_rescaling_leaves_its_arguments_unchanged():
    state = tiny_state(5)
    means = mean_activations(state, PHOTOGRAPHS, "average", "zeros")
    kept = {layer: mean.clone() for layer, mean in means.items()}
    rescale(state, means)
    assert all(torch.equal(tensor, tiny_state(5)[name]) for name, tensor in state.items())
    assert all(torch.equal(means[layer], kept[layer]) for layer in kept)


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def only_file(folder: Path) -> Path:
    (file,) = (path for path in folder.rglob("*") if path.is_file())
    return file


def test_means_are_measured_once(cache):
    first = normalised_state(loaded(), PHOTOGRAPHS)
    assert equal(first, normalised_state(loaded(), PHOTOGRAPHS))
    file = only_file(cache)
    means = means_cache.read_means(file, LAYERS)
    assert means is not None
    means_cache.write_means(file, {layer: 2 * mean for layer, mean in means.items()})
    doubled = normalised_state(loaded(), PHOTOGRAPHS)
    torch.testing.assert_close(doubled["conv1_1.bias"], first["conv1_1.bias"] / 2)


@pytest.mark.parametrize("where", [0, 100, -1])
def test_damaged_cache_is_measured_again(where, cache):
    first = normalised_state(loaded(), PHOTOGRAPHS)
    whole = only_file(cache).read_bytes()
    damaged = bytearray(whole)
    damaged[where] ^= 0x55
    for content in (bytes(damaged), whole[: len(whole) // 2], b""):
        only_file(cache).write_bytes(content)
        assert equal(first, normalised_state(loaded(), PHOTOGRAPHS))
        assert only_file(cache).read_bytes() == whole


def test_other_weights_input_or_photographs_have_their_own_means(cache):
    normalised_state(loaded(), PHOTOGRAPHS)
    normalised_state(loaded(sha256="1" * 64), PHOTOGRAPHS)  # another spelling of the same network
    normalised_state(loaded(tiny_state(seed=1)), PHOTOGRAPHS)
    other_input = tiny_state() | {"input.bias": torch.zeros(3)}
    normalised_state(loaded(other_input), PHOTOGRAPHS)
    normalised_state(loaded(), PHOTOGRAPHS[:1])
    assert len([path for path in cache.rglob("*") if path.is_file()]) == 4


def test_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    first = normalised_state(loaded(), PHOTOGRAPHS)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "file"))
    assert equal(first, normalised_state(loaded(), PHOTOGRAPHS))


def test_means_are_measured_with_one_thread_so_that_they_do_not_depend_on_it():
    seen = []

    def photographs():
        seen.append(torch.get_num_threads())
        yield PHOTOGRAPHS[0]

    num_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        normalised_state(loaded(), photographs())
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(num_threads)
    assert seen == [1]


def test_network_normalised_already_is_left_as_it_is(cache):
    weights = loaded(normalised="max/zeros")
    assert equal(normalised_state(weights), weights.state)
    assert not cache.exists()
    assert not equal(normalised_state(loaded(normalised="average/zeros")), weights.state)


def test_calibration_photographs_are_the_bundled_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("astronaut").write_text("a file with the name of a bundled photograph")
    photographs = calibration_photographs()
    assert len(photographs) == len(CALIBRATION_PHOTOGRAPHS) == 7
    for image in photographs:
        assert image.shape[:2] == (1, 3) and max(image.shape) == 256 and image.dtype == torch.float32
        assert 0 <= image.min() and image.max() <= 1 and image.std() > 0.05


def test_filter_that_never_fires_is_left_out_of_the_maps(cache):
    """Its scale is arbitrary: on noise it would outweigh everything."""
    state = tiny_state(3, 4, 0)
    state["conv1_2.bias"][2] = -1e6
    scaled = normalised_state(loaded(state), PHOTOGRAPHS)
    assert scaled["conv1_2.compared"].tolist() == [0, 1, 3]
    assert "conv1_1.compared" not in scaled
    network = VGG(scaled)
    measured = [network(photograph, LAYERS[:3]) for photograph in PHOTOGRAPHS]
    means = torch.stack([maps["conv1_2"].mean((0, 2, 3)) for maps in measured]).mean(0)
    torch.testing.assert_close(means, torch.ones(3), rtol=0.2, atol=0)


def test_filters_that_a_file_leaves_out_stay_left_out(cache):
    state = tiny_state(3, 4, 0) | {"conv2_1.compared": torch.tensor([0, 3])}
    scaled = normalised_state(loaded(state), PHOTOGRAPHS)
    assert set(scaled["conv2_1.compared"].tolist()) <= {0, 3}
    assert VGG(scaled).num_filters("conv2_1") == len(scaled["conv2_1.compared"])


def test_vgg16_is_normalised_in_its_own_layers(cache):
    state = tiny_state(blocks=VGG16)
    scaled = normalised_state(loaded(state), PHOTOGRAPHS)
    assert {name for name in scaled if not name.endswith(".compared")} == state.keys()
    means = mean_activations(scaled, PHOTOGRAPHS, "max", "zeros")
    assert tuple(means) == NETWORKS["VGG-16"]
    for mean in means.values():
        assert float(mean[0]) == pytest.approx(1, abs=1e-4)


def test_network_with_readouts_is_left_as_it_is(cache):
    weights = loaded(tiny_state() | {"conv2_1.readout": torch.ones(2, 3)})
    assert equal(normalised_state(weights, PHOTOGRAPHS), weights.state)
    assert not cache.exists()


def test_means_are_1_with_max_pooling_as_in_the_authors_own_network(cache):
    """Their normalised VGG-19 has means of 0.95 with max pooling from conv2_1 on, and of 0.76 and 0.54 with average."""
    scaled = normalised_state(loaded(), PHOTOGRAPHS)
    means = mean_activations(scaled, PHOTOGRAPHS, "max", "zeros")
    fires = {layer: means[layer] > 0.01 for layer in means}
    for layer, mean in means.items():
        torch.testing.assert_close(mean[fires[layer]], torch.ones_like(mean[fires[layer]]), rtol=0, atol=1e-4)
    with_average = mean_activations(scaled, PHOTOGRAPHS, "average", "zeros")
    assert float(with_average["conv2_1"].mean()) != pytest.approx(1, abs=1e-3)


def test_published_means_are_taken_for_their_network_alone(cache, monkeypatch):
    weights = loaded()
    means = {layer: torch.full_like(weights.state[f"{layer}.bias"], 2.0) for layer in weights.layers}
    monkeypatch.setattr("harness.features.normalise.published_means", {weights.network_hash: means}.get)
    assert equal(normalised_state(weights), rescale(weights.state, means))
    assert not cache.exists()
    other = loaded(tiny_state(seed=1))
    assert not equal(normalised_state(other), rescale(other.state, means))


def test_published_means_of_vgg16_are_of_the_registrys_network_and_of_its_widths():
    means = published_means("d26da93eb27f58ebf97f4c681d5cc1766cd3e0fbb598ea25cdeb004d87e15865")
    assert means is not None and tuple(sorted(means)) == tuple(sorted(NETWORKS["VGG-16"]))
    assert [len(means[f"conv{block}_1"]) for block in range(1, 6)] == [64, 128, 256, 512, 512]
    assert all(bool((mean > 0).all()) for mean in means.values())
    assert published_means("0" * 64) is None


def test_networks_are_measured_by_the_direct_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Winograd's rounding is small beside a map, not beside what a filter that hardly ever fires gives."""
    state = tiny_state(width=64)
    network = VGG(state)
    assert any(by_winograd(network, layer, 64, 64) for layer in network.layers)
    monkeypatch.setattr(winograd, "convolve", lambda *given: pytest.fail("not the direct kernel"))
    means = mean_activations(state, [photograph(64, 64)], "max", "zeros")
    verify_unchanged(state, rescale(state, means), means, photograph(64, 64), "max", "zeros")
