"""``harness distill``: from folders of images to a network that a run can use, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from click.testing import Result
from PIL import Image
from tiny_vgg import tiny_state
from typer.testing import CliRunner

from harness.cli.app import app
from harness.distillation.image_sets import is_held_out
from harness.distillation.store import TargetStore
from harness.features.normalise import normalised_state
from harness.features.sources import WeightsFile
from harness.features.vgg import VGG, VGG16
from harness.features.weights import load_state

NAMES = [f"{n}.png" for n in range(200)]
HELD_OUT = [name for name in NAMES if is_held_out(name)]
KEPT = [name for name in NAMES if not is_held_out(name)]


def folder_of(path: Path, names: list[str], side: int = 40) -> Path:
    path.mkdir()
    for seed, name in enumerate(names):
        pixels = np.random.default_rng(seed).integers(0, 255, (side, side + 4, 3), np.uint8)
        Image.fromarray(pixels).resize((side + 4, side)).save(path / name)
    return path


def distil(*words: object) -> Result:
    return CliRunner().invoke(app, ["distill", *map(str, words), "--device", "cpu"])


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    safetensors.torch.save_file(tiny_state(11, 5, 0, VGG16), path)
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    folder = tmp_path_factory.mktemp("images")
    photographs, paintings = folder_of(folder / "a", [*HELD_OUT[:1], *KEPT[:2]]), folder_of(folder / "b", KEPT[2:4])
    return ["--images", photographs, "--paintings", paintings]


@pytest.fixture(scope="module")
def words(teacher: Path, images: list[object]) -> list[object]:
    return [*images, "--teacher", teacher, "--steps", 6, "--crops", 5, "--pictures", 12, "--rounds", 2, "--size", 32]


@pytest.fixture(scope="module")
def made(words: list[object], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    work = tmp_path_factory.mktemp("distil") / "work"
    result = distil(*words, "--work", work)
    assert result.exit_code == 0, (result.output, result.exception)
    return work, result.output


def test_command_writes_a_network_that_a_run_can_use_and_its_card(made: tuple[Path, str], tmp_path: Path) -> None:
    work, output = made
    assert "2 photographs and 2 paintings for training, 1 held out" in output and "unexplained" in output
    loaded = load_state(WeightsFile(work / "embedded.safetensors"))
    assert loaded.layers[-1] == "conv5_1" and len(loaded.layers) == 11
    network = VGG(normalised_state(loaded))
    assert network.readout("conv4_2") is not None and network.num_filters("conv4_2") == 4  # 1 never fires
    card = (work / "embedded.md").read_text()
    assert "VGG-16" in card and HELD_OUT[0] in card and "| conv5_1 | 5 of 5 |" in card and "steps 6" in card
    experiment = tmp_path / "tiny.yaml"
    experiment.write_text(
        "transfer: {content: astronaut, style: strokes, size: 48, steps: 6, "
        f"weights: {{file: {work}/embedded.safetensors}}}}\n"
        "axes: {alpha: [0.1]}\n"
    )
    run = CliRunner().invoke(
        app, ["run", str(experiment), "--out", str(tmp_path / "runs"), "--devices", "cpu:1", "--wandb", "off"]
    )
    assert run.exit_code == 0, (run.output, run.exception)


def test_same_command_again_computes_nothing_anew_and_keeps_what_the_card_says_of_pictures(
    made: tuple[Path, str], words: list[object]
) -> None:
    work, _ = made
    files = [
        work / name
        for name in ("moments.safetensors", "phase1.pt", "phase3.pt", "pictures1/crops.bin", "embedded.safetensors")
    ]
    before = [file.stat().st_mtime_ns for file in files]
    (work / "embedded.md").write_text((work / "embedded.md").read_text() + "\n## Pictures\n\nlovely\n")
    result = distil(*words, "--work", work)
    assert result.exit_code == 0, (result.output, result.exception)
    assert [file.stat().st_mtime_ns for file in files] == before
    assert (work / "embedded.md").read_text().endswith("\n## Pictures\n\nlovely\n")


def test_every_picture_of_a_round_is_another_one(made: tuple[Path, str]) -> None:
    pictures = np.fromfile(made[0] / "pictures1" / "crops.bin", np.uint8).reshape(6, -1)
    assert len({picture.tobytes() for picture in pictures}) == 6
    first, second = pictures[:4].astype(float), pictures[4:].astype(float)
    assert np.abs(first - first[0]).mean() < np.abs(second - first[0]).mean()  # of one optimisation, and of the next


def test_cut_off_within_an_optimisation_the_same_command_gives_the_same_network(
    made: tuple[Path, str], words: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, write_done = tmp_path / "work", TargetStore._write_done

    def cut(store: TargetStore, done: int) -> None:
        write_done(store, done)
        if done == 5 and store._done_file.parent.name == "pictures1":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TargetStore, "_write_done", cut)
        assert distil(*words, "--work", work).exit_code == 130
    assert distil(*words, "--work", work).exit_code == 0
    assert (work / "embedded.safetensors").read_bytes() == (made[0] / "embedded.safetensors").read_bytes()


@pytest.mark.parametrize("last", ["moments.safetensors", "phase1.pt", "pictures2"])
def test_cut_off_at_any_stage_the_same_command_gives_the_same_network(
    made: tuple[Path, str], words: list[object], tmp_path: Path, last: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    target = {
        "moments.safetensors": "harness.distillation.distil.TargetStore.fill",
        "phase1.pt": "harness.distillation.distil.make_pictures",
        "pictures2": "harness.distillation.distil.network_bytes",
    }[last]
    with monkeypatch.context() as patch:
        patch.setattr(target, cut)
        result = distil(*words, "--work", work)
    assert result.exit_code == 130 and "same command" in result.output
    assert (work / last).exists() and not (work / "embedded.safetensors").exists()
    assert distil(*words, "--work", work).exit_code == 0
    assert (work / "embedded.safetensors").read_bytes() == (made[0] / "embedded.safetensors").read_bytes()


def test_begun_with_a_network_it_goes_on_with_pictures_alone(
    made: tuple[Path, str], words: list[object], teacher: Path, tmp_path: Path
) -> None:
    begun = made[0] / "embedded.safetensors"
    work = tmp_path / "work"
    result = distil(*words, "--begin", begun, "--work", work)
    assert result.exit_code == 0, (result.output, result.exception)
    assert not (work / "phase1.pt").exists() and (work / "phase3.pt").exists()
    card = (work / "embedded.md").read_text()
    assert f"begun with the distilled network `{load_state(WeightsFile(begun)).network_hash}`" in card
    assert "`: begun as the teacher's filters that best predict the others" in card
    pictures, others = (
        np.fromfile(folder / "pictures1" / "crops.bin", np.uint8).reshape(6, -1) for folder in (work, made[0])
    )
    assert not {picture.tobytes() for picture in pictures} & {picture.tobytes() for picture in others}
    refused = distil(*words, "--begin", "embedded", "--work", tmp_path / "other")
    assert refused.exit_code == 2 and "5 are needed" in refused.output, refused.output
    refused = distil(*words, "--begin", teacher, "--work", tmp_path / "other")
    assert refused.exit_code == 2 and "no read-out" in refused.output, refused.output


def test_no_round_writes_the_network_as_it_is(made: tuple[Path, str], words: list[object], tmp_path: Path) -> None:
    begun = made[0] / "embedded.safetensors"
    result = distil(*words, "--begin", begun, "--rounds", 0, "--work", tmp_path / "same")
    assert result.exit_code == 0, (result.output, result.exception)
    before, after = (load_state(WeightsFile(f)).state for f in (begun, tmp_path / "same" / "embedded.safetensors"))
    assert all(torch.equal(before[name], after[name]) for name in before if not name.startswith("conv1_1"))
    num = before["conv1_2.weight"].shape[1]
    assert torch.equal(before["conv1_1.weight"][:num], after["conv1_1.weight"][:num])
    assert "of which nothing was trained" in (tmp_path / "same" / "embedded.md").read_text()
    refused = distil(*words, "--rounds", 0, "--work", tmp_path / "other")
    assert refused.exit_code == 2 and "--begin NETWORK" in refused.output, refused.output


@pytest.mark.long
def test_network_goes_on_wider_also_when_cut_off(images: list[object], tmp_path: Path) -> None:
    teacher = tmp_path / "teacher.safetensors"
    safetensors.torch.save_file(tiny_state(11, 24, 0, VGG16), teacher)
    words = [*images, "--teacher", teacher, "--steps", 4, "--crops", 4, "--pictures", 8, "--rounds", 1, "--size", 32]
    made = distil(*words, "--wider", "", "--work", tmp_path / "narrow")
    assert made.exit_code == 0, (made.output, made.exception)
    # some of the 24 filters never fire
    words += ["--begin", tmp_path / "narrow" / "embedded.safetensors", "--wider", "conv1_2=99"]
    whole = distil(*words, "--work", tmp_path / "whole")
    assert whole.exit_code == 0, (whole.output, whole.exception)
    state = load_state(WeightsFile(tmp_path / "whole" / "embedded.safetensors")).state
    assert state["conv1_2.readout"].shape[0] > 16 == state["conv2_1.weight"].shape[1]
    assert "wider conv1_2=" in (tmp_path / "whole" / "embedded.md").read_text()

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.distillation.distil.train", cut)
        assert distil(*words, "--work", tmp_path / "cut").exit_code == 130
    assert distil(*words, "--work", tmp_path / "cut").exit_code == 0
    cut_off, uncut = (tmp_path / name / "embedded.safetensors" for name in ("cut", "whole"))
    assert cut_off.read_bytes() == uncut.read_bytes()
    again = distil(*words, "--wider", f"conv1_2={len(state['conv1_2.readout'])}", "--work", tmp_path / "whole")
    assert again.exit_code == 0, again.output


def test_evaluate_measures_pictures_and_maps_and_writes_them_to_the_card(
    made: tuple[Path, str], teacher: Path, images: list[object], tmp_path: Path
) -> None:
    work, _ = made
    weights = work / "embedded.safetensors"
    words = ["--evaluate", "--weights", weights, "--teacher", teacher, "--work", tmp_path, "--size", 32]
    words += ["--pair", "astronaut:strokes", "--alpha", "0.1", *images]
    result = distil(*words)
    assert result.exit_code == 0, (result.output, result.exception)
    assert "astronaut:strokes" in result.output and "geometric mean" in result.output and "5 of 5" in result.output
    assert re.search(r"takes \d+ ms on the network and \d+ ms on its teacher: \d\.\d{3} of it", result.output)
    assert "| astronaut:strokes | 0.1 |" in (work / "embedded.md").read_text()
    (own,) = json.loads((tmp_path / "own_totals.json").read_text()).values()
    assert f"{own:.4g}" in result.output
    (tmp_path / "own_totals.json").write_text('{"damaged')
    again = distil(*words)
    assert again.exit_code == 0 and f"{own:.4g}" in again.output, again.output


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (["--crops", 6], "another recipe (different: num_crops)"),
        (["--steps", 9], "another recipe (different: steps)"),
        (["--images", "MORE"], "another recipe (different: images)"),
    ],
)
def test_another_recipe_in_the_same_folder_is_refused_and_nothing_is_touched(
    made: tuple[Path, str], words: list[object], tmp_path: Path, changed: list[object], said: str
) -> None:
    work, _ = made
    if "MORE" in changed:
        changed = ["--images", folder_of(tmp_path / "more", KEPT[5:6])]
    before = {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file() and path.name != "lock"}
    result = distil(*words, *changed, "--work", work)
    assert result.exit_code == 2 and said in result.output and "--work" in result.output
    assert before == {p: p.stat().st_mtime_ns for p in work.rglob("*") if p.is_file() and p.name != "lock"}


def test_what_cannot_be_done_is_a_sentence(teacher: Path, images: list[object], tmp_path: Path) -> None:
    photographs, paintings = images[1], images[3]
    work = ["--teacher", teacher, "--work", tmp_path / "work"]
    shallow, distilled = tmp_path / "shallow.safetensors", tmp_path / "distilled.safetensors"
    safetensors.torch.save_file(tiny_state(3), shallow)
    safetensors.torch.save_file(tiny_state(11, 5, 0, VGG16) | {"conv1_1.readout": torch.eye(5)}, distilled)
    small = folder_of(tmp_path / "small", [HELD_OUT[0], KEPT[0]], 20)
    faults: list[tuple[list[object], str]] = [
        ([], "Distillation needs photographs and paintings"),
        (["--images", photographs], "Distillation needs photographs and paintings"),
        (["--images", tmp_path / "none", "--paintings", paintings], "is not a folder with images"),
        (["--images", paintings, "--paintings", paintings], "None of the 4 images is held out"),
        ([*images, "--teacher", shallow], "ends at conv2_1"),
        ([*images, "--teacher", distilled], "it was distilled itself"),
        ([*images, "--teacher", tmp_path / "no.pth"], "does not exist"),
        ([*images, "--wider", "conv4_2"], "conv4_2 is not LAYER=FILTERS"),
        ([*images, "--pair", "coffee:ink"], "belong to --evaluate"),
        (["--evaluate", "--wider", "conv1_1=32"], "leave them out with --evaluate"),
        (["--evaluate", "--begin", shallow], "leave them out with --evaluate"),
        (["--evaluate", "--pair", "coffee"], "is not CONTENT:STYLE"),
        (["--evaluate", "--pair", "coffe:ink"], "Did you mean coffee"),
        (["--evaluate", "--alpha", 0], "must be above 0"),
        (["--evaluate", "--images", paintings], "None of the 2 images is held out"),
        (["--evaluate", "--weights", shallow], "ends at conv2_1"),
    ]
    for given, said in faults:
        result = distil(*work, *given)
        assert result.exit_code == 2 and said in result.output, (given, result.output, result.exception)
    assert not (tmp_path / "work").exists()
    result = distil("--images", small, "--paintings", paintings, *work)
    assert result.exit_code == 2 and "smaller than a crop of 160 px" in result.output


def test_folder_in_use_by_another_process_is_refused(made: tuple[Path, str], words: list[object]) -> None:
    import fcntl

    with (made[0] / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        result = distil(*words, "--work", made[0])
    assert result.exit_code == 1 and "is in use by another" in result.output
