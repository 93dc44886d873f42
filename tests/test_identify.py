"""One network has one hash and one run id, however its file spells it; known without torch once it has been read."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_vgg import VGG16_INDICES, VGG16_LAYERS, photograph, renamed, tiny_state, without_input
from torch import Tensor

from harness.config import load_experiment
from harness.driver.jobs import Job, make_jobs
from harness.errors import ConfigError, WeightsError
from harness.features import sources
from harness.features.fingerprint import network_hash
from harness.features.identify import identify
from harness.features.sources import WeightsFile
from harness.features.state import input_convolution
from harness.features.vgg import VGG16
from harness.features.weights import load_state
from harness.runs.prepare import load_network

STATE = without_input(tiny_state(blocks=VGG16))
TEXT = """\
transfer:
  content: rocket
  style: strokes
  size: 64
  content_layers: {conv4_2: 1}
  style_layers: {conv1_1: 1, conv5_1: 1}
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own cache folder."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


def records(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file() and path.parent.name == "networks"]


def in_torchvisions_keys(state: Mapping[str, Tensor]) -> str:
    keys = [f"features.{n}" for n in VGG16_INDICES]
    torch.save(renamed(state, keys) | {"classifier.0.weight": torch.zeros(2, 2)}, "torchvision.pth")
    return "{file: torchvision.pth, input: torchvision}"


def in_the_papers_keys(state: Mapping[str, Tensor]) -> str:
    torch.save(dict(state), "conv.pth")
    return "{file: conv.pth, input: torchvision}"


def as_safetensors(state: Mapping[str, Tensor]) -> str:
    save_file(dict(state), "vgg16.safetensors")
    return "{file: vgg16.safetensors, input: torchvision}"


def with_its_own_input(state: Mapping[str, Tensor]) -> str:
    weight, bias = input_convolution("torchvision")
    save_file({**state, "input.weight": weight, "input.bias": bias}, "own.safetensors")
    return "{file: own.safetensors}"


def in_double_precision(state: Mapping[str, Tensor]) -> str:
    torch.save({name: tensor.double() for name, tensor in state.items()}, "double.pth")
    return "{file: double.pth, input: torchvision}"


SPELLINGS = (in_torchvisions_keys, in_the_papers_keys, as_safetensors, with_its_own_input, in_double_precision)


def job_of(weights: str, *words: str) -> Job:
    Path("a.yaml").write_text(TEXT)
    [job] = make_jobs(load_experiment("a.yaml", (f"transfer.weights={weights}", *words)), Path("runs"))
    return job


def maps_of(job: Job) -> dict[str, Tensor]:
    network = load_network(job.row.transfer, VGG16_LAYERS)
    return network(photograph(32, 40), VGG16_LAYERS)


@pytest.mark.parametrize("normalised", ["true", "false"])
def test_one_vgg16_in_every_spelling_has_equal_maps_and_one_run_id(normalised: str) -> None:
    jobs = [job_of(spelling(STATE), f"transfer.normalised={normalised}") for spelling in SPELLINGS]
    assert len({job.id for job in jobs}) == 1
    files = [job.row.manifest.provenance["files"]["weights"] for job in jobs]
    assert len({file["network"] for file in files}) == 1 and len({file["sha256"] for file in files}) == len(SPELLINGS)
    first, *others = [maps_of(job) for job in jobs]
    assert tuple(first) == VGG16_LAYERS
    for maps in others:
        assert all(torch.equal(maps[layer], first[layer]) for layer in VGG16_LAYERS)


def changed(name: str) -> dict[str, Tensor]:
    tensor = STATE[name].clone()
    tensor.view(-1)[0] = torch.nextafter(tensor.view(-1)[0], torch.tensor(torch.inf))
    return {**STATE, name: tensor}


OTHERS: dict[str, Callable[[], str]] = {
    "another input": lambda: in_the_papers_keys(STATE).replace("torchvision}", "caffe}"),
    "one weight": lambda: in_the_papers_keys(changed("conv3_2.weight")),
    "one bias": lambda: as_safetensors(changed("conv5_3.bias")),
    "compared filters": lambda: in_the_papers_keys({**STATE, "conv1_1.compared": torch.tensor([0, 2])}),
    "a read-out": lambda: in_the_papers_keys({**STATE, "conv1_1.readout": torch.eye(3)}),
    "fewer layers": lambda: in_the_papers_keys({n: t for n, t in STATE.items() if n[:7] not in ("conv5_2", "conv5_3")}),
}


def test_another_input_or_weight_is_another_run() -> None:
    ids = {job_of(in_the_papers_keys(STATE)).id}
    ids |= {job_of(make()).id for make in OTHERS.values()}
    assert len(ids) == len(OTHERS) + 1


def test_vgg16_and_vgg19_up_to_conv3_3_are_one_network() -> None:
    assert network_hash(tiny_state(7, blocks=VGG16)) == network_hash(tiny_state(7))
    assert network_hash(tiny_state(8, blocks=VGG16)) != network_hash(tiny_state(8))


def test_hash_is_that_of_the_sorted_names_shapes_and_values() -> None:
    """Written out, so that nobody changes what is hashed without knowing."""
    state = tiny_state(1) | {"conv1_1.readout": torch.tensor([[1.0, 0.5, -2.0]])}
    text = b"normalised average/zeros\n"
    for name in ("conv1_1.bias", "conv1_1.readout", "conv1_1.weight", "input.bias", "input.weight"):
        text += f"{name} {tuple(state[name].shape)}\n".encode() + state[name].numpy().astype("<f4").tobytes()
    assert network_hash(state, "average/zeros") == hashlib.sha256(text).hexdigest() != network_hash(state)
    assert network_hash({name: tensor.numpy() for name, tensor in state.items()}) == network_hash(state)
    assert network_hash(dict(reversed(state.items()))) == network_hash(state)


def test_compared_filters_that_are_all_of_them_say_nothing() -> None:
    state = tiny_state(2)
    assert network_hash(state | {"conv1_1.compared": torch.arange(3)}) == network_hash(state)
    assert network_hash(state | {"conv1_1.compared": torch.tensor([0, 1])}) != network_hash(state)


def test_remark_that_a_file_is_normalised_makes_another_run() -> None:
    """It is used as it is, the same tensors without the remark are rescaled."""
    save_file(tiny_state(), "said.safetensors", metadata={"normalised": "average/zeros"})
    save_file(tiny_state(), "unsaid.safetensors")
    said, unsaid = (job_of(f"{{file: {name}.safetensors}}") for name in ("said", "unsaid"))
    assert said.id != unsaid.id


def test_embedded_network_is_known_by_the_same_hash_as_when_it_is_loaded(cache: Path) -> None:
    known, loaded = identify("embedded"), load_state("embedded")
    assert known.network == loaded.network_hash and known.layers == loaded.layers and known.sha256 == loaded.sha256
    assert not records(cache)


def test_published_file_is_one_run_with_every_other_spelling_of_its_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The published file is not here: a tiny one takes its place, and its hash."""
    hash_of, digits = sources.file_sha256, sources.TORCHVISION_SHA256
    monkeypatch.setattr(
        sources, "file_sha256", lambda path: (digits if path.suffix == ".pth" else "") + hash_of(path)[len(digits) :]
    )
    monkeypatch.setenv("TORCH_HOME", "torch")
    in_torchvisions_keys(STATE)
    kept = Path("torch/hub/checkpoints") / f"vgg19-{digits}.pth"
    kept.parent.mkdir(parents=True)
    shutil.copy("torchvision.pth", kept)
    spellings = ["torchvision", "{file: torchvision.pth}", as_safetensors(STATE), with_its_own_input(STATE)]
    [run_id] = {job_of(weights).id for weights in spellings}
    assert job_of("{file: torchvision.pth, input: caffe}").id != run_id
    assert identify("torchvision").network == load_state("torchvision").network_hash


def test_network_is_read_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job_of(as_safetensors(STATE))
    [record] = records(cache)
    source = WeightsFile(Path("vgg16.safetensors"), "torchvision")
    known = identify(source)
    monkeypatch.setattr("harness.features.weights.load_local", lambda *_: pytest.fail("it was read again"))
    assert identify(source) == known
    assert {"network", "layers", "sha256"} <= set(json.loads(record.read_text()))


@pytest.mark.parametrize("damage", ["", "[]", "{}", "\0", "{cut", "other network", "null"])
def test_damaged_record_is_made_again(damage: str, cache: Path) -> None:
    as_safetensors(STATE)
    source = WeightsFile(Path("vgg16.safetensors"), "torchvision")
    known = identify(source)
    [record] = records(cache)
    whole = record.read_text()
    record.write_text(whole.replace(known.network, "0" * 64) if damage == "other network" else damage)
    assert identify(source) == known and record.read_text() == whole


def test_cache_that_cannot_be_written_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    as_safetensors(STATE)
    source = WeightsFile(Path("vgg16.safetensors"), "torchvision")
    known = identify(source)
    Path("in the way").write_text("")
    monkeypatch.setenv("HARNESS_CACHE", "in the way")
    assert identify(source) == known


def test_refused_weights_leave_no_record(cache: Path) -> None:
    torch.save({"conv1_1.weight": torch.zeros(3)}, "bad.pth")
    with pytest.raises(WeightsError):
        identify(WeightsFile(Path("bad.pth"), "caffe"))
    assert not records(cache)
    as_safetensors(STATE)
    source = WeightsFile(Path("vgg16.safetensors"), "torchvision")
    identify(source)
    with pytest.raises(WeightsError, match="Add input"):  # its record is another input's
        identify(WeightsFile(Path("vgg16.safetensors")))


def test_known_networks_are_identified_without_torch() -> None:
    as_safetensors(STATE)
    known = {name: asdict(identify(source)) for name, source in {
        "embedded": "embedded", "file": WeightsFile(Path("vgg16.safetensors"), "torchvision")
    }.items()}  # fmt: skip
    program = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from harness.features.identify import identify
from harness.features.sources import WeightsFile
sources = {"embedded": "embedded", "file": WeightsFile(Path("vgg16.safetensors"), "torchvision")}
print(json.dumps({name: asdict(identify(source)) for name, source in sources.items()}))
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(json.dumps(known))


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_layer_that_vgg16_lacks_is_a_fault_at_its_line(spelling: Callable[[Mapping[str, Tensor]], str]) -> None:
    with pytest.raises(ConfigError) as caught:
        job_of(spelling(STATE), "transfer.content_layers={conv3_4: 1}")
    assert "transfer.content_layers" in str(caught.value) and "conv3_4 is no layer of VGG-16" in str(caught.value)
