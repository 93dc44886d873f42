"""The command line as its user meets it: help, every kind of bad input, exit codes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from tiny_vgg import tiny_state
from typer.testing import CliRunner

from harness.__main__ import main
from harness.cli.app import app
from harness.features.vgg import VGG16

GOOD = "transfer: {content: astronaut, style: strokes, size: 64, steps: 2, pyramid: [], weights: embedded}\n"


COMMANDS = (
    "run",
    "sweep",
    "status",
    "compare",
    "figure",
    "claims",
    "dashboard",
    "explain",
    "fields",
    "fetch",
    "distill",
)


def test_help_answers_without_importing_torch() -> None:
    """Nothing heavy: torch alone takes seconds (the time itself is measured by ``python -X importtime``, not here)."""
    script = """
import sys
from harness.__main__ import main
sys.argv = ["harness", "--help"]
try:
    main()
except SystemExit:
    pass
heavy = {"torch", "numpy", "pydantic", "wandb", "matplotlib", "PIL", "yaml"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for command in COMMANDS:
        assert command in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"], terminal_width=200)
    assert result.exit_code == 0 and f"harness {command}" in result.output and "Example" in result.output


def write(folder: Path, text: str, name: str = "bad.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def picture(folder: Path, name: str, size: tuple[int, int] = (64, 64)) -> Path:
    path = folder / name
    Image.fromarray(np.full((size[1], size[0], 3), 128, np.uint8)).save(path)
    return path


def truncated(folder: Path) -> Path:
    path = folder / "cut.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    return path


def bomb(folder: Path) -> Path:
    path = folder / "bomb.png"
    Image.new("1", (30000, 30000)).save(path)
    return path


def weights(folder: Path, num_layers: int) -> Path:
    path = folder / "tiny.safetensors"
    safetensors.torch.save_file(tiny_state(num_layers), path)
    return path


def vgg16(folder: Path) -> Path:
    path = folder / "vgg16.pth"
    torch.save(tiny_state(blocks=VGG16), path)
    return path


def pickle_with_code(folder: Path) -> Path:
    path = folder / "code.pth"
    torch.save({"features.0.weight": print}, path)
    return path


def text_file(folder: Path, name: str) -> Path:
    return write(folder, "hello, this is no picture and no network", name)


Words = Callable[[Path], list[str]]
BAD: dict[str, tuple[Words, str]] = {
    "no such file": (lambda f: [str(f / "nowhere.yaml")], "nowhere.yaml"),
    "a folder instead of a file": (lambda f: [str(f)], "folder"),
    "an empty file": (lambda f: [str(write(f, ""))], "empty"),
    "a list instead of a mapping": (lambda f: [str(write(f, "- a\n- b\n"))], "mapping"),
    "a syntax error": (lambda f: [str(write(f, "transfer: {content: a, style: [b\n"))], "bad.yaml:"),
    "a key twice": (lambda f: [str(write(f, GOOD + GOOD))], "bad.yaml:2"),
    "not UTF-8": (lambda f: [str(_bytes(f, b"transfer: \xff\xfe"))], "UTF-8"),
    "an unknown section": (lambda f: [str(write(f, GOOD + "axis: {alpha: [1]}\n"))], "axes"),
    "a sweep file": (lambda f: [str(write(f, GOOD + "space: {alpha: {log: [1e-5, 1]}}\n"))], "sweep"),
    "an unknown field": (lambda f: [str(write(f, GOOD)), "transfer.alpa=1"], "alpha"),
    "a forgotten prefix": (lambda f: [str(write(f, GOOD)), "alpha=1"], "transfer.alpha"),
    "an override without =": (lambda f: [str(write(f, GOOD)), "transfer.alpha"], "="),
    "a negative weight": (lambda f: [str(write(f, GOOD)), "transfer.alpha=-1"], "-1"),
    "a word for a number": (lambda f: [str(write(f, GOOD)), "transfer.size=big"], "big"),
    "true for a number": (lambda f: [str(write(f, GOOD)), "transfer.alpha=true"], "true"),
    "no steps": (lambda f: [str(write(f, GOOD)), "transfer.steps=0"], "1"),
    "a fraction of a step": (lambda f: [str(write(f, GOOD)), "transfer.steps=1.5"], "1.5"),
    "both weights zero": (lambda f: [str(write(f, GOOD)), "transfer.alpha=0", "transfer.beta=0"], "beta"),
    "an unknown layer": (lambda f: [str(write(f, GOOD)), "transfer.content_layers={conv4_5: 1}"], "conv4_"),
    "no style layers": (lambda f: [str(write(f, GOOD)), "transfer.style_layers={}"], "style_layers"),
    "an unknown convention": (lambda f: [str(write(f, GOOD)), "transfer.convention=relased"], "released"),
    "an unknown optimiser": (lambda f: [str(write(f, GOOD)), "transfer.optimiser=sgd"], "lbfgs"),
    "an unknown profile": (lambda f: [str(write(f, GOOD)), "--profile", "papper"], "papper"),
    "an axis without values": (lambda f: [str(write(f, GOOD)), "axes.alpha=[]"], "alpha"),
    "an axis value twice": (lambda f: [str(write(f, GOOD)), "axes.alpha=[1, 1.0]"], "same"),
    "an image that is not there": (lambda f: [str(write(f, GOOD)), f"transfer.content={f}/no.jpg"], "no.jpg"),
    "a misspelt image name": (lambda f: [str(write(f, GOOD)), "transfer.content=astronout"], "astronaut"),
    "a paper image not fetched": (
        lambda f: [str(write(f, GOOD)), "transfer.style=starry_night"],
        "harness fetch images",
    ),
    "a text as an image": (lambda f: [str(write(f, GOOD)), f"transfer.style={text_file(f, 'a.jpg')}"], "a.jpg"),
    "a truncated image": (lambda f: [str(write(f, GOOD)), f"transfer.style={truncated(f)}"], "cut.png"),
    "an empty image": (lambda f: [str(write(f, GOOD)), f"transfer.style={_bytes(f, b'', 'e.png')}"], "e.png"),
    "a folder as an image": (lambda f: [str(write(f, GOOD)), f"transfer.style={f}"], "folder"),
    "a decompression bomb": (lambda f: [str(write(f, GOOD)), f"transfer.style={bomb(f)}"], "bomb.png"),
    "a size too small": (lambda f: [str(write(f, GOOD)), "transfer.size=16"], "conv5_1 needs at least 32 px"),
    "a content too narrow": (
        lambda f: [str(write(f, GOOD)), f"transfer.content={picture(f, 'thin.png', (640, 20))}"],
        "conv5_1 needs at least 32 px",
    ),
    "a style scaled to nothing": (lambda f: [str(write(f, GOOD)), "transfer.style_scale=0.01"], "style_scale"),
    "a size beyond all memory": (lambda f: [str(write(f, GOOD)), "transfer.size=100000"], "8192"),
    "a layer beyond the weights": (
        lambda f: [str(write(f, GOOD)), "transfer.content_layers={conv5_2: 1}"],
        "the embedded network ends at conv5_1",
    ),
    "a layer beyond a file's weights": (
        lambda f: [str(write(f, GOOD)), f"transfer.weights={{file: {weights(f, 3)}}}"],
        "ends at conv2_1",
    ),
    "a layer that VGG-16 lacks": (
        lambda f: [
            str(write(f, GOOD)),
            f"transfer.weights={{file: {vgg16(f)}}}",
            "transfer.content_layers={conv3_4: 1}",
        ],
        "conv3_4 is no layer of VGG-16",
    ),
    "weights that are not there": (
        lambda f: [str(write(f, GOOD)), f"transfer.weights={{file: {f}/no.pth, input: caffe}}"],
        "no.pth",
    ),
    "a text as weights": (
        lambda f: [str(write(f, GOOD)), f"transfer.weights={{file: {text_file(f, 'a.pth')}, input: caffe}}"],
        "a.pth",
    ),
    "weights with code": (
        lambda f: [str(write(f, GOOD)), f"transfer.weights={{file: {pickle_with_code(f)}, input: caffe}}"],
        "code.pth",
    ),
    "weights by an unknown name": (lambda f: [str(write(f, GOOD)), "transfer.weights=torchvison"], "torchvision"),
    "a URL without a hash": (
        lambda f: [str(write(f, GOOD)), "transfer.weights={url: 'http://127.0.0.1:9/a.pth'}"],
        "sha256",
    ),
    "a start that is no image": (
        lambda f: [str(write(f, GOOD)), f"transfer.start={{file: {text_file(f, 's.png')}}}"],
        "s.png",
    ),
    "an unknown device": (lambda f: [str(write(f, GOOD)), "--devices", "gpu"], "--devices gpu"),
    "a GPU that is not there": (lambda f: [str(write(f, GOOD)), "--devices", "cuda:63"], "cuda:63"),
    "an unknown W&B mode": (lambda f: [str(write(f, GOOD)), "--wandb", "on"], "online"),
    "an unknown option": (lambda f: [str(write(f, GOOD)), "--dryrun"], "--dry-run"),
    "an output folder that is a file": (
        lambda f: [str(write(f, GOOD)), "--out", str(text_file(f, "out.txt"))],
        "out.txt",
    ),
}


def _bytes(folder: Path, content: bytes, name: str = "bad.yaml") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_gets_a_sentence_and_leaves_nothing(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, expected = BAD[kind]
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    monkeypatch.chdir(tmp_path)
    arguments = words(inputs)
    if "--devices" not in arguments:
        arguments += ["--devices", "cpu"]
    result = CliRunner().invoke(app, ["run", "--wandb", "off", *arguments], terminal_width=300)
    assert result.exit_code == 2, (result.output, result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert expected in result.output, result.output
    assert "Traceback" not in result.output and "validation error" not in result.output
    assert not (tmp_path / "runs").exists()
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".tmp")]


@pytest.mark.parametrize("command", [["run"], ["run", "--dry-run"], ["explain"]])
def test_layer_that_vgg16_lacks_is_refused_with_those_that_are_there_by_every_command(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.chdir(tmp_path)
    words = [str(write(tmp_path, GOOD)), f"transfer.weights={{file: {vgg16(tmp_path)}}}"]
    refused = CliRunner().invoke(app, [*command, *words, "transfer.content_layers={conv3_4: 1}"])
    assert refused.exit_code == 2, refused.output
    assert "conv3_4 is no layer of VGG-16" in refused.output and "conv3_3, conv4_1, conv4_2" in refused.output
    assert not (tmp_path / "runs").exists()
    if command != ["run"]:
        done = CliRunner().invoke(app, [*command, *words, "transfer.content_layers={conv3_3: 1}"])
        assert done.exit_code == 0 and ("(VGG-16 to conv5_3)" in done.output) == (command == ["explain"]), done.output


def test_all_faults_come_in_one_report_each_with_its_line(tmp_path: Path) -> None:
    path = write(
        tmp_path, "transfer:\n  content: astronout\n  style: strokes\n  size: 64\n  content_layers: {conv5_2: 1}\n"
    )
    result = CliRunner().invoke(app, ["run", str(path), "--devices", "cpu", "--wandb", "off"])
    assert result.exit_code == 2
    assert "2 faults" in result.output
    assert f"{path}:2: transfer.content: " in result.output and f"{path}:5: transfer.content_layers: " in result.output


def test_faults_of_images_and_of_fields_come_together_and_a_misspelt_field_is_one_fault(tmp_path: Path) -> None:
    path = write(tmp_path, "transfer:\n  contnt: astronaut\n  style: mosiac\n  size: 7\n  content_layers: relu4_2\n")
    result = CliRunner().invoke(app, ["run", str(path), "--devices", "cpu", "--wandb", "off"])
    assert result.exit_code == 2 and "4 faults" in result.output, result.output
    for line, word in ((2, "did you mean content?"), (3, "mosaic"), (4, "16"), (5, "{conv4_2: 1}")):
        assert any(f"{path}:{line}: " in told and word in told for told in result.output.splitlines()), (line, word)


def test_unreadable_weights_url_is_a_sentence_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    path = write(tmp_path, GOOD)
    url = "transfer.weights={url: 'http://127.0.0.1:9/a.pth', sha256: " + "ab" * 32 + ", input: caffe}"
    result = CliRunner().invoke(
        app, ["run", str(path), url, "--devices", "cpu", "--wandb", "off", "--out", str(tmp_path / "r")]
    )
    assert result.exit_code == 2 and "127.0.0.1:9" in result.output and "Traceback" not in result.output
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file()] and not (tmp_path / "r").exists()


def test_explain_prints_the_printed_equations_and_every_convention(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["explain", str(write(tmp_path, GOOD, "good.yaml")), "transfer.alpha=1e-3"])
    assert result.exit_code == 0, result.output
    for word in ("eq. 1", "eq. 4", "conv4_2", "released", "printed", "neural_style", "gordicaleksa", "0.8"):
        assert word in result.output, word
    # 64 px: conv4_2's read-out has 256 channels, on 8 × 8 positions, so α_printed = 2 · 1e-3 / (256 · 64)
    assert f"{2e-3 / (256 * 64):.6g}" in result.output


def test_ctrl_c_before_a_command_has_begun_is_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.cli.app.main", interrupted)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130 and capsys.readouterr().err == "Interrupted.\n"
