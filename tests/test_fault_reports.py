"""What is said of faults: all in one report, and what was probably meant where it lies."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import harness
from harness.cli.app import app
from harness.config import load_experiment, load_sweep
from harness.errors import ConfigError, ImageError, WeightsError
from harness.features.state import vgg_state
from harness.images.files import write_png
from harness.images.library import find_image

TRANSFER = "size: 48, steps: 2, pyramid: [], content_layers: {conv1_1: 1}, style_layers: {conv1_1: 1}"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def faults_of(text: str, *words: str) -> list[str]:
    """The report of ``harness run``, a fault to a line."""
    Path("a.yaml").write_text(text)
    result = CliRunner().invoke(app, ["run", "a.yaml", *words, "--devices", "cpu", "--wandb", "off"])
    assert result.exit_code == 2, result.output
    return result.output.splitlines()[1:]


@pytest.mark.parametrize(
    ("varied", "styles"),
    [
        ("axes: {style: [strokes, mosaic]}", ["strokes", "mosaic"]),
        ("cases: {A: {style: strokes}, B: {style: mosaic}}", ["strokes", "mosaic"]),
        ("axes: {style.strokes: [0.5, 2], style.mosaic: [1]}", None),
    ],
)
def test_a_painting_that_varies_need_not_stand_in_the_base(varied: str, styles: list[str] | None) -> None:
    Path("a.yaml").write_text(f"transfer: {{content: astronaut, {TRANSFER}}}\n{varied}\n")
    loaded = load_experiment("a.yaml")
    told = [cell.transfer.style for cell in loaded.cells]
    if styles is not None:
        assert told == styles
    else:
        assert [{image: part.weight for image, part in style.items()} for style in told] == [
            {"mosaic": 1.0, "strokes": 0.5}, {"mosaic": 1.0, "strokes": 2.0},
        ]  # fmt: skip
    for cell in loaded.cells:
        [again] = load_experiment("a.yaml", cell.overrides).cells
        assert again.transfer == cell.transfer


def test_a_photograph_that_is_searched_need_not_stand_in_the_base() -> None:
    Path("a.yaml").write_text(
        f"transfer: {{{TRANSFER}}}\nobjectives: [pixel_distance]\n"
        "space: {content: {choice: [coffee, rocket]}, style: {simplex: [strokes, mosaic]}}\n"
    )
    loaded = load_sweep("a.yaml")
    assert loaded.sweep.transfer.content == "coffee"
    cell = loaded.cell({"content": "rocket", "style": {"strokes": 0.5, "mosaic": 0.5}}, {})
    [again] = load_experiment("a.yaml", cell.overrides).cells
    assert again.transfer == cell.transfer


def test_what_only_some_cases_say_is_missing_and_a_faulty_one_is_said_once() -> None:
    [fault] = faults_of(f"transfer: {{content: astronaut, {TRANSFER}}}\ncases: {{A: {{style: ink}}, B: {{seed: 1}}}}\n")
    assert fault.startswith("a.yaml:1: transfer.style: is missing; give an image")
    [fault] = faults_of(f"transfer: {{content: astronaut, {TRANSFER}}}\naxes: {{style: [3, ink]}}\n")
    assert fault.startswith("a.yaml:2: axes.style: got 3;")


def test_images_and_weights_are_in_the_report_whatever_else_is_wrong() -> None:
    files = "content: none.png, style: strokes, start: {file: nor.png}, weights: {file: no.pth}"
    text = f"transfer: {{{files}, {TRANSFER}}}\n"
    missing = ["none.png", "nor.png", "no.pth"]
    claim = "claims:\n  - {says: x, where: y, measure: ssim, along: alfa, expect: rises, because: z}\n"
    for wrong, words, others in (
        ("axes: {alpha: [1, 2]}\n" + claim, (), ["nothing varies 'alfa'; did you mean alpha?"]),
        ("", ("transfer.sede=1",), ["did you mean seed?"]),
        (
            "axes: {alhpa: [1, 2]}\nfigure: {columns: alfa, rows: alpha}\n",
            (),
            ["did you mean alpha?", "nothing varies 'alfa'"],
        ),
        ("", (), []),
    ):
        report = faults_of(text + wrong, *words)
        assert len(report) == len(missing) + len(others), report
        assert all(any(name in line for line in report) for name in [*missing, *others])


def test_sizes_are_in_the_report_beside_images_and_weights_that_are_missing() -> None:
    deep = "content_layers: {conv5_1: 1}, style_layers: {conv1_1: 1}"
    report = faults_of(
        "transfer: {content: coffee, style: no.png, size: 16, steps: 2, pyramid: [], weights: {file: no.pth}, "
        f"{deep}}}\n"
    )
    fields = sorted(line.split(": ")[1] for line in report)
    assert fields == ["transfer.size", "transfer.style", "transfer.weights"]


def test_a_file_of_a_near_name_in_that_folder_is_what_was_meant() -> None:
    Path("photos").mkdir()
    write_png(Path("photos/Astronauts.png"), torch.zeros(4, 4, 3).numpy())
    Path("photos/astronaut.txt").write_text("no image")
    for given in ("photos/astronaut.png", "photos/astronauts.jpg", "photos/Astronots.png"):
        with pytest.raises(ImageError, match="Did you mean photos/Astronauts.png[?]"):
            find_image(given)
    with pytest.raises(ImageError, match="Did you mean mosaic[?]"):
        find_image("photos/mosaic.png")
    Path("photos/vgg.pth").write_bytes(b"x")
    with pytest.raises((ConfigError, WeightsError), match="Did you mean photos/vgg.pth[?]"):
        harness.explain(
            {"transfer": {"content": "coffee", "style": "ink", "weights": {"file": "photos/vg.pth"}}, "name": "a"}
        )


def test_an_image_that_is_not_there_gets_near_names_and_no_list_of_all() -> None:
    [fault] = faults_of(f"transfer: {{content: astronuat, style: ink, {TRANSFER}}}\n")
    assert "There is no image 'astronuat'" in fault and "Did you mean astronaut or astronaut_figure?" in fault
    assert fault.endswith("Give an image file, or a name: harness fields images lists the bundled ones.")
    [fault] = faults_of(f"transfer: {{content: qqqq, style: ink, {TRANSFER}}}\n")
    assert "Did you mean" not in fault and len(fault) < 250
    assert "astronaut" in CliRunner().invoke(app, ["fields", "images"]).output


def test_a_section_inside_transfer_is_said_to_be_the_files_own() -> None:
    text = "transfer:\n  content: coffee\n  style: ink\n  axes: {alpha: [1, 2]}\n  {}\n"
    [fault] = faults_of(text.replace("  {}\n", "".join(f"  {part}\n" for part in TRANSFER.split(", ")[:3])))
    assert fault.startswith("a.yaml:4: transfer.axes: axes is a section of the file's own, not of transfer")
    [fault] = faults_of(f"transfer: {{content: coffee, style: ink, axse: 1, {TRANSFER}}}\n")
    assert "there is no field 'axse'" in fault


def test_a_misspelt_value_of_an_axis_is_the_only_fault() -> None:
    claim = "{says: x, where: y, measure: ssim, along: alpha, expect: rises, because: z, of: {start: noise}}"
    text = f"transfer: {{content: coffee, style: ink, {TRANSFER}}}\naxes: {{alpha: [1, 2], start: [content, START]}}\n"
    text += f"claims: [{claim}]\n"
    [fault] = faults_of(text.replace("START", "nois"))
    assert fault.startswith("a.yaml:2: axes.start: got 'nois'") and fault.endswith("did you mean noise?")
    [fault] = faults_of(text.replace("START", "style"))
    assert fault.startswith("a.yaml:3: claims.0.of.start: no cell has start 'noise'")


def test_a_resnet_is_no_vgg_with_batch_normalisation() -> None:
    state = {
        "conv1.weight": torch.zeros(64, 3, 7, 7),
        "bn1.running_mean": torch.zeros(64),
        "layer1.0.conv1.weight": torch.zeros(2, 2, 3, 3),
    }
    with pytest.raises(WeightsError, match=r"no convolution of a VGG.*such as a ResNet, .*\{network: NAME\}") as caught:
        vgg_state(state, "torchvision", "the weights file resnet18.pth")
    assert "looks like" not in str(caught.value)


def test_nothing_is_announced_where_runs_are_only_told(undrawn: None) -> None:
    Path("a.yaml").write_text(f"transfer: {{content: astronaut, style: ink, {TRANSFER}}}\naxes: {{seed: [0, 1]}}\n")
    words = ["run", "a.yaml", "--devices", "cpu", "--wandb", "off"]
    assert "a on cpu:0: 2 runs" in CliRunner().invoke(app, words).output
    Path("runs/a/study.journal").unlink()
    for path in Path("runs/a").glob("*/manifest.json"):  # as of another study: nothing is rebuilt, all is told anew
        path.write_text(path.read_text().replace('"study": "a-', '"study": "b-'))
    told = CliRunner().invoke(app, words).output
    assert "2 of 2 runs are done already; 0 to compute." in told and "0 runs" not in told
