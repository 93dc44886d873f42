import hashlib
import http.server
import threading
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_vgg import VGG16_INDICES, VGG16_LAYERS, photograph, renamed, tiny_state, without_input
from torch import nn
from torchvision.models import VGG16_Weights, VGG19_Weights
from torchvision.models.vgg import make_layers
from torchvision.transforms.functional import normalize

from harness.errors import DownloadError, UsageError, WeightsError
from harness.features import sources
from harness.features.sources import WeightsFile, WeightsURL
from harness.features.state import input_convolution
from harness.features.vgg import LAYERS, NETWORKS, VGG, VGG16
from harness.features.weights import load_state, require_layers

TORCHVISION_INDICES = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
PADDED_INDICES = (2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42, 45, 48, 51)
VGG16_PADDED_INDICES = (2, 5, 9, 12, 16, 19, 22, 26, 29, 32, 36, 39, 42)
TINY_CONFIGURATION = [2, 3, "M", 3, 4, "M", 4, 3, 3, 3, "M", 3, 3, 3, 3, "M", 3, 3, 3, 3, "M"]
TINY_VGG16 = [2, 2, "M", 2, 2, "M", 2, 2, 2, "M", 2, 2, 2, "M", 2, 2, 2, "M"]
TINY_VGG13 = [2, 2, "M", 2, 2, "M", 2, 2, "M", 2, 2, "M", 2, 2, "M"]
TINY_VGG11 = [2, "M", 2, "M", 2, 2, "M", 2, 2, "M", 2, 2, "M"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An own cache folder, no torch hub cache, and no network but this machine."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for scheme in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(scheme, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def server(tmp_path):
    """A local HTTP server over the folder ``served``; gives the folder and its address."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    folder = tmp_path / "served"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder)) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield folder, f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def is_vgg16(state):
    return "conv3_4.weight" not in state


def numbers(state):
    return VGG16_INDICES if is_vgg16(state) else TORCHVISION_INDICES


def layers_held(state):
    return VGG16_LAYERS if is_vgg16(state) else LAYERS


def padded(state):
    indices = VGG16_PADDED_INDICES if is_vgg16(state) else PADDED_INDICES
    return renamed(state, indices) | {"0.weight": state["input.weight"], "0.bias": state["input.bias"]}


KEY_STYLES = {
    "gatys": without_input,
    "torchvision": lambda s: renamed(s, [f"features.{n}" for n in numbers(s)]),
    "torchvision with classifier": lambda s: (
        renamed(s, [f"features.{n}" for n in numbers(s)]) | {"classifier.0.weight": torch.zeros(4, 4)}
    ),
    "numbers": lambda s: renamed(s, numbers(s)),
    "data parallel": lambda s: renamed(s, [f"module.features.{n}" for n in numbers(s)]),
    "module.vgg.model": lambda s: renamed(s, [f"module.vgg.model.{layer}" for layer in layers_held(s)]),
    "state_dict": lambda s: {"epoch": 3, "state_dict": renamed(s, [f"model.{layer}" for layer in layers_held(s)])},
    "nested twice": lambda s: {"model": {"state_dict": renamed(s, [f"vgg.{n}" for n in numbers(s)])}},
}


NETWORK_STATES = {"VGG-19": tiny_state, "VGG-16": lambda: tiny_state(blocks=VGG16)}


@pytest.mark.parametrize("network", NETWORK_STATES)
@pytest.mark.parametrize("style", KEY_STYLES)
def test_every_key_style_gives_the_same_state(style, network, tmp_path):
    state = NETWORK_STATES[network]()
    torch.save(KEY_STYLES[style](state), tmp_path / "a.pth")
    loaded = load_state(WeightsFile(tmp_path / "a.pth", "caffe"))
    assert loaded.layers == NETWORKS[network]
    for name, tensor in without_input(state).items():
        assert torch.equal(loaded.state[name], tensor)


@pytest.mark.parametrize("network", NETWORK_STATES)
@pytest.mark.parametrize("style", [dict, padded])
def test_own_input_convolution_is_kept(style, network, tmp_path):
    state = NETWORK_STATES[network]()
    torch.save(style(state), tmp_path / "a.pth")
    loaded = load_state(WeightsFile(tmp_path / "a.pth"))
    assert loaded.state.keys() == state.keys()
    assert all(torch.equal(loaded.state[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize("name", ["a.pth", "a.pt", "a.safetensors", "old.pth", "no suffix"])
def test_every_file_kind_gives_the_same_state_and_its_hash(name, tmp_path):
    state, path = tiny_state(), tmp_path / name
    if name == "a.safetensors":
        save_file(state, path, metadata={"normalised": "average/zeros"})
    else:
        torch.save(state, path, _use_new_zipfile_serialization=name != "old.pth")
    loaded = load_state(WeightsFile(path))
    assert all(torch.equal(loaded.state[key], tensor) for key, tensor in state.items())
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest() == sources.fetch(WeightsFile(path)).sha256
    assert loaded.normalised == ("average/zeros" if name == "a.safetensors" else None)


def test_state_survives_the_file_it_was_read_from(tmp_path):
    state = tiny_state()
    torch.save(state, tmp_path / "a.pth")
    loaded = load_state(WeightsFile(tmp_path / "a.pth"))
    (tmp_path / "a.pth").write_bytes(b"\0" * (tmp_path / "a.pth").stat().st_size)
    assert torch.equal(loaded.state["conv5_4.weight"], state["conv5_4.weight"])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_become_float32(dtype, tmp_path):
    torch.save({name: tensor.to(dtype) for name, tensor in tiny_state().items()}, tmp_path / "a.pth")
    state = load_state(WeightsFile(tmp_path / "a.pth")).state
    assert all(tensor.dtype == torch.float32 for tensor in state.values())
    torch.testing.assert_close(state["conv3_1.weight"], tiny_state()["conv3_1.weight"], rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    ("configuration", "num_modules", "deepest"), [(TINY_CONFIGURATION, 36, "conv5_4"), (TINY_VGG16, 30, "conv5_3")]
)
def test_torchvision_network_computes_what_torchvision_computes(configuration, num_modules, deepest, tmp_path):
    torch.manual_seed(0)
    features = make_layers(configuration)
    torch.save({f"features.{key}": value for key, value in features.state_dict().items()}, tmp_path / "vgg19.pth")
    state = load_state(WeightsFile(tmp_path / "vgg19.pth", "torchvision")).state
    image = photograph(32, 40)
    expected = features[:num_modules](normalize(image, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    maps = VGG(state, pooling="max")(image, [deepest])
    torch.testing.assert_close(maps[deepest], expected.detach(), rtol=1e-4, atol=1e-5)


def test_caffe_input_is_bgr_to_255_less_the_mean():
    weight, bias = input_convolution("caffe")
    red, green, blue = 0.2, 0.5, 0.9
    out = nn.functional.conv2d(torch.tensor([red, green, blue])[None, :, None, None], weight, bias).flatten()
    expected = torch.tensor([255 * blue - 103.939, 255 * green - 116.779, 255 * red - 123.68])
    torch.testing.assert_close(out, expected)


def test_truncated_network_is_read_as_far_as_it_goes(tmp_path):
    torch.save(without_input(tiny_state(num_layers=9)), tmp_path / "a.pth")
    assert load_state(WeightsFile(tmp_path / "a.pth", "caffe")).layers == LAYERS[:9]


@pytest.mark.parametrize("num_layers", range(1, 14))
@pytest.mark.parametrize("indices", [VGG16_INDICES, VGG16_PADDED_INDICES])
def test_truncated_vgg16_is_read_from_numbers_that_may_be_those_of_vgg19_too(indices, num_layers, tmp_path):
    """Up to conv3_3 the numbers do not tell the networks apart, and need not: the layers are the same."""
    state = tiny_state(num_layers, blocks=VGG16)
    numbered = {
        f"{indices[i]}.{part}": state[f"{layer}.{part}"]
        for i, layer in enumerate(VGG16_LAYERS[:num_layers])
        for part in ("weight", "bias")
    }
    own_input = {"0.weight": state["input.weight"], "0.bias": state["input.bias"]}
    torch.save(numbered | (own_input if indices is VGG16_PADDED_INDICES else {}), tmp_path / "a.pth")
    loaded = load_state(WeightsFile(tmp_path / "a.pth", None if indices is VGG16_PADDED_INDICES else "caffe"))
    assert loaded.layers == VGG16_LAYERS[:num_layers]
    assert all(torch.equal(loaded.state[name], tensor) for name, tensor in without_input(state).items())


def changed(**tensors):
    return {**tiny_state(), **{key.replace("__", "."): value for key, value in tensors.items()}}


def lacking(*names):
    return {name: tensor for name, tensor in tiny_state().items() if not {name, name.split(".")[0]} & set(names)}


def renumbered_without(layer):
    state = renamed(tiny_state(blocks=VGG16), VGG16_INDICES)
    at = VGG16_INDICES[VGG16_LAYERS.index(layer)]
    return {name: tensor for name, tensor in state.items() if name.split(".")[0] != str(at)}


class Whole(nn.Module):
    """A network that someone saved whole, code and all."""


BAD_CONTENTS = {
    "vgg13 by index": (lambda: make_layers(TINY_VGG13).state_dict(), "looks like VGG-13"),
    "vgg11 by index": (lambda: make_layers(TINY_VGG11).state_dict(), "looks like VGG-11"),
    "vgg13 by name": (lambda: tiny_state(blocks=(2, 2, 2, 2, 2)), "conv3_3 .*VGG-13"),
    "vgg11 by name": (lambda: tiny_state(blocks=(1, 1, 2, 2, 2)), "conv1_2 .*VGG-11"),
    "half vgg16": (lambda: lacking("conv3_4", "conv5_4"), "lacks conv3_4 but has deeper layers[.] Needed"),
    "batch norm vgg16": (lambda: make_layers(TINY_VGG16, batch_norm=True).state_dict(), "batch normalisation"),
    "gap by index": (lambda: renumbered_without("conv4_2"), "lacks conv4_2 but has deeper layers"),
    "read-out and compared": (
        lambda: changed(conv2_1__readout=torch.eye(3), conv2_1__compared=torch.tensor([1])),
        "both conv2_1.compared and conv2_1.readout",
    ),
    "read-out of other filters": (lambda: changed(conv2_1__readout=torch.zeros(3, 4)), r"\(3, 4\).*\(channels, 3\)"),
    "flat read-out": (lambda: changed(conv2_1__readout=torch.zeros(3)), r"conv2_1.readout has shape \(3,\)"),
    "empty read-out": (lambda: changed(conv2_1__readout=torch.zeros(0, 3)), r"conv2_1.readout has shape \(0, 3\)"),
    "nan in read-out": (lambda: changed(conv2_1__readout=torch.full((2, 3), torch.nan)), "readout .* not finite"),
    "integers in read-out": (lambda: changed(conv2_1__readout=torch.eye(3).int()), "readout is torch.int32"),
    "batch norm": (lambda: make_layers(TINY_CONFIGURATION, batch_norm=True).state_dict(), "batch normalisation"),
    "resnet": (lambda: {"layer1.0.conv1.weight": torch.zeros(2, 3, 3, 3)}, "no convolution of a VGG"),
    "unknown numbers": (
        lambda: {f"{n}.weight": torch.zeros(3, 3, 3, 3) for n in (0, 3, 4)},
        "is neither VGG-19 nor VGG-16",
    ),
    "gap": (lambda: lacking("conv2_2"), "lacks conv2_2 but has deeper layers"),
    "first layer missing": (lambda: lacking("conv1_1"), "lacks conv1_1"),
    "no bias": (lambda: lacking("conv4_1.bias"), "lacks conv4_1.bias"),
    "no weight": (lambda: lacking("conv4_1.weight"), "lacks conv4_1.weight"),
    "no input bias": (lambda: lacking("input.bias"), "lacks input.bias"),
    "sixth block": (lambda: changed(conv6_1__weight=torch.zeros(3, 3, 3, 3)), "conv6_1, which is no layer"),
    "widths": (lambda: changed(conv2_1__weight=torch.zeros(3, 5, 3, 3)), "takes 5 channels, but conv1_2 gives 3"),
    "grey": (lambda: changed(conv1_1__weight=torch.zeros(3, 1, 3, 3)), "conv1_1 takes 1 channels, but the image has 3"),
    "kernel": (lambda: changed(conv3_1__weight=torch.zeros(3, 3, 5, 5)), r"conv3_1.weight has shape \(3, 3, 5, 5\)"),
    "flat": (lambda: changed(conv3_1__weight=torch.zeros(3, 27)), r"conv3_1.weight has shape \(3, 27\)"),
    "bias shape": (lambda: changed(conv3_1__bias=torch.zeros(4)), "3 filters and biases of shape"),
    "no filters": (lambda: changed(conv1_1__weight=torch.zeros(0, 3, 3, 3), conv1_1__bias=torch.zeros(0)), "0 filters"),
    "input shape": (lambda: changed(input__weight=torch.zeros(3, 3, 3, 3)), "must be a 1×1 convolution"),
    "nan": (lambda: changed(conv3_3__bias=torch.tensor([0, float("nan"), 0])), "conv3_3.bias .* not finite"),
    "too large": (lambda: changed(conv3_3__bias=torch.full((3,), 1e200, dtype=torch.float64)), "not finite"),
    "integers": (lambda: changed(conv3_3__bias=torch.zeros(3, dtype=torch.int8)), "conv3_3.bias is torch.int8"),
    "sparse": (lambda: changed(conv3_3__bias=torch.zeros(3).to_sparse()), "conv3_3.bias is sparse"),
    "two networks": (lambda: {**tiny_state(), "vgg.conv1_1.weight": torch.zeros(3, 3, 3, 3)}, "more than one network"),
    "empty dict": (dict, "an empty dict, not a state dict"),
    "list": (lambda: [torch.zeros(3)], "a list, not a state dict"),
    "numbers only": (lambda: {"epoch": 1, "loss": 0.5}, "a dict of epoch, loss"),
    "whole module": (Whole, "could run code"),
    "unknown input": (lambda: without_input(tiny_state()), "Add input: torchvision"),
}


@pytest.mark.parametrize("case", BAD_CONTENTS)
def test_bad_contents_get_a_sentence(case, tmp_path):
    contents, sentence = BAD_CONTENTS[case]
    torch.save(contents(), tmp_path / "bad.pth")
    with pytest.raises(WeightsError, match=sentence) as caught:
        load_state(WeightsFile(tmp_path / "bad.pth"))
    assert "bad.pth" in str(caught.value)


def cut(data):
    return data[: len(data) // 2]


BAD_BYTES = {
    "empty": (lambda zip_, old, safe: b"", "is empty"),
    "text": (lambda zip_, old, safe: b"These are my weights.", "neither a torch file"),
    "web page": (lambda zip_, old, safe: b"\n<!DOCTYPE html><title>404</title>", "web page"),
    "git lfs": (lambda zip_, old, safe: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
    "cut zip": (lambda zip_, old, safe: cut(zip_), "is cut off"),
    "cut old": (lambda zip_, old, safe: cut(old), "damaged"),
    "cut safetensors": (lambda zip_, old, safe: cut(safe), "damaged or incomplete"),
    "only a head": (lambda zip_, old, safe: safe[:9], "damaged or incomplete"),
    "bad pickle": (lambda zip_, old, safe: b"\x80\x02" + b"x" * 40, "damaged"),
    "another zip": (lambda zip_, old, safe: b"PK\x05\x06" + bytes(18), "neither a torch file"),
    "damaged zip": (lambda zip_, old, safe: zip_.replace(b"data.pkl", b"data.pkx"), "damaged"),
}


@pytest.mark.parametrize("case", BAD_BYTES)
def test_bad_bytes_get_a_sentence(case, tmp_path):
    damage, sentence = BAD_BYTES[case]
    torch.save(tiny_state(), tmp_path / "zip")
    torch.save(tiny_state(), tmp_path / "old", _use_new_zipfile_serialization=False)
    save_file(tiny_state(), tmp_path / "safe")
    (tmp_path / "bad.pth").write_bytes(damage(*((tmp_path / name).read_bytes() for name in ("zip", "old", "safe"))))
    with pytest.raises(WeightsError, match=sentence) as caught:
        load_state(WeightsFile(tmp_path / "bad.pth"))
    assert "bad.pth" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "sentence"), [("missing.pth", "does not exist"), (".", "is a folder"), ("a\0b", "cannot be read")]
)
def test_path_without_weights_gets_a_sentence(name, sentence, tmp_path):
    with pytest.raises(WeightsError, match=sentence):
        load_state(WeightsFile(tmp_path / name))


def test_home_of_somebody_unknown_gets_a_sentence(cache, monkeypatch):
    with pytest.raises(WeightsError, match="The weights file ~nosuchuser/vgg.pth is in a home folder .*in full"):
        load_state(WeightsFile(Path("~nosuchuser/vgg.pth")))
    monkeypatch.setenv("TORCH_HOME", "~nosuchuser/torch")
    with pytest.raises(WeightsError, match="torch's cache ~nosuchuser/torch .*TORCH_HOME.* is in a home folder"):
        load_state("caffe")


def test_pickled_code_is_not_run(tmp_path):
    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"conv1_1.weight": Payload()}, tmp_path / "bad.pth")
    with pytest.raises(WeightsError, match="could run code"):
        load_state(WeightsFile(tmp_path / "bad.pth"))
    assert not (tmp_path / "ran").exists()


def test_input_beside_an_own_input_convolution_is_refused(tmp_path):
    torch.save(tiny_state(), tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="Leave input out"):
        load_state(WeightsFile(tmp_path / "a.pth", "torchvision"))


def test_unknown_name_lists_the_sources():
    with pytest.raises(WeightsError, match="no weights named 'vgg'.*embedded, vgg16, torchvision, caffe"):
        load_state("vgg")


@pytest.mark.parametrize("num_digits", [8, 64])
def test_url_with_right_hash_is_downloaded_once(num_digits, server, cache):
    folder, address = server
    torch.save(tiny_state(), folder / "w.pth")
    data = (folder / "w.pth").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    source = WeightsURL(f"{address}/w.pth", digest[:num_digits].upper())
    seen = []
    loaded = load_state(source, lambda done, total: seen.append((done, total)))
    assert loaded.sha256 == digest and torch.equal(loaded.state["conv1_1.bias"], tiny_state()["conv1_1.bias"])
    assert seen[-1] == (len(data), len(data))
    (folder / "w.pth").unlink()
    assert load_state(source).sha256 == digest


def test_damaged_cached_download_is_downloaded_again(server, cache):
    folder, address = server
    torch.save(tiny_state(), folder / "w.pth")
    digest = hashlib.sha256((folder / "w.pth").read_bytes()).hexdigest()
    local = sources.fetch(WeightsURL(f"{address}/w.pth", digest))
    assert cache in local.path.parents
    local.path.write_bytes(b"damaged")
    assert load_state(WeightsURL(f"{address}/w.pth", digest)).sha256 == digest


def test_url_with_wrong_hash_is_refused_and_leaves_no_file(server, cache):
    folder, address = server
    torch.save(tiny_state(), folder / "w.pth")
    with pytest.raises(DownloadError, match="from http"):
        load_state(WeightsURL(f"{address}/w.pth", "0" * 64))
    assert [path for path in cache.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("source", ["torchvision", "caffe", WeightsURL("http://127.0.0.1:9/w.pth", "0" * 64)])
def test_offline_download_says_what_to_do_and_leaves_no_file(source, cache):
    with pytest.raises(DownloadError, match="(?s)harness fetch weights.*{file: …}"):
        load_state(source)
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_a_wrong_file_in_the_cache_is_not_taken_for_torchvisions(cache):
    (cache / "weights").mkdir(parents=True)
    torch.save(tiny_state(), cache / "weights" / "vgg19-dcbb9e9d.pth")
    with pytest.raises(DownloadError):
        load_state("torchvision")


@pytest.mark.parametrize(
    ("url", "sha256"),
    [("ftp://a/b.pth", "0" * 64), ("w.pth", "0" * 64), ("http://a/b", "0" * 7), ("http://a/b", "xyz" * 5)],
)
def test_impossible_url_or_hash_is_a_usage_error(url, sha256):
    with pytest.raises(UsageError, match="weights.url|weights.sha256"):
        load_state(WeightsURL(url, sha256))


def test_hashes_of_the_published_files_are_those_in_their_names():
    assert VGG19_Weights.IMAGENET1K_V1.url.endswith(f"vgg19-{sources.TORCHVISION_SHA256}.pth")
    assert VGG16_Weights.IMAGENET1K_V1.url.endswith(f"vgg16-{sources.TORCHVISION_VGG16_SHA256}.pth")
    assert sources.CAFFE_URL.endswith(f"/vgg19-{sources.CAFFE_SHA256}.pth")


def test_layer_beyond_the_weights_names_their_last():
    with pytest.raises(WeightsError, match="conv5_2 is beyond these weights: the embedded network ends at conv5_1"):
        require_layers(LAYERS[:13], ["conv1_1", "conv5_2"], "the embedded network")
    require_layers(LAYERS[:13], ["conv1_1", "conv5_1"], "the embedded network")


@pytest.mark.parametrize("layer", ["conv3_4", "conv4_4", "conv5_4"])
def test_layer_that_vgg16_lacks_is_refused_with_those_that_are_there(layer):
    sentence = f"{layer} is no layer of VGG-16, which the file is: there are conv1_1, .*, conv5_3[.] Choose one of"
    with pytest.raises(WeightsError, match=sentence):
        require_layers(VGG16_LAYERS, ["conv1_1", layer], "the file")
    require_layers(VGG16_LAYERS, VGG16_LAYERS, "the file")
    with pytest.raises(WeightsError, match="conv5_1 is beyond these weights: the file ends at conv4_2"):
        require_layers(VGG16_LAYERS[:9], ["conv5_1"], "the file")
    with pytest.raises(WeightsError, match="conv3_4 is beyond these weights: the file ends at conv3_3"):
        require_layers(VGG16_LAYERS[:7], ["conv3_4"], "the file")  # it may be VGG-19


@pytest.mark.parametrize("kind", ["a.pth", "a.safetensors"])
def test_readouts_are_stored_in_half_precision_and_used_in_float32(kind, tmp_path):
    readout = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).half()
    state = tiny_state(4) | {"conv2_1.readout": readout}
    (save_file if kind == "a.safetensors" else torch.save)(state, tmp_path / kind)
    loaded = load_state(WeightsFile(tmp_path / kind)).state
    assert loaded["conv2_1.readout"].dtype == torch.float32 and "conv1_1.readout" not in loaded
    assert torch.equal(loaded["conv2_1.readout"].half(), readout)


def test_unknown_layer_names_the_nearest():
    with pytest.raises(WeightsError, match="'conv42' is no layer.*Did you mean conv4_2"):
        require_layers(LAYERS, ["conv42"], "torchvision's VGG-19")


def test_embedded_network_ends_at_conv5_1_and_is_small():
    loaded = load_state("embedded")
    assert loaded.layers[-1] == "conv5_1"
    assert sources.EMBEDDED.stat().st_size <= 3_000_000
    assert loaded.sha256 == sources.fetch("embedded").sha256
