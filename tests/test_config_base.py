"""``base:`` in an experiment or a sweep: what the file says lies over what its base says, faults where they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.config import load_experiment, load_sweep
from harness.config.shipped import shipped
from harness.errors import ConfigError

BASE = """\
transfer:
  content: astronaut
  style: strokes
  size: 128
  style_layers: {conv1_1: 0.5, conv2_1: 0.5}
axes:
  alpha: [1e-3, 1e-2]
figure: {columns: alpha, show: [content]}
tracking: {tags: [base], notes: of the base}
profiles:
  large: {transfer: {size: 512, steps: 100}, axes: {alpha: [1e-4, 1]}}
"""


def write(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def faults_of(path: Path, *words: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_experiment(path, words)
    return [str(fault).replace(str(path.parent), "DIR") for fault in caught.value.faults]


@pytest.fixture(autouse=True)
def _base(tmp_path: Path) -> None:
    write(tmp_path, BASE, "base.yaml")


def test_mappings_are_merged_lists_and_scalars_replaced(tmp_path: Path) -> None:
    text = "base: base.yaml\ntransfer: {size: 64, style_layers: {conv3_1: 1}}\ntracking: {tags: [mine]}\n"
    loaded = load_experiment(write(tmp_path, text))
    transfer = loaded.experiment.transfer
    assert (transfer.content, transfer.size, transfer.style_layers) == ("astronaut", 64, {"conv3_1": 1.0})
    assert (loaded.experiment.tracking.tags, loaded.experiment.tracking.notes) == (("mine",), "of the base")
    assert len(loaded.cells) == 2 and loaded.name == "mine"
    assert "base" not in loaded.data


def test_axes_are_replaced_and_the_figure_forgets_those_of_the_base(tmp_path: Path) -> None:
    loaded = load_experiment(write(tmp_path, "base: base.yaml\naxes: {style: [ink, mosaic]}\n"))
    assert [cell.label for cell in loaded.cells] == [{"style": "ink"}, {"style": "mosaic"}]
    assert loaded.experiment.figure.columns is None and loaded.experiment.figure.show == ("content",)
    [fault] = faults_of(write(tmp_path, "base: base.yaml\naxes: {style: [ink]}\nfigure: {columns: alpha}\n"))
    assert fault.startswith("DIR/mine.yaml:3: figure.columns: nothing varies 'alpha'")


def test_null_takes_a_section_of_the_base_away(tmp_path: Path) -> None:
    loaded = load_experiment(write(tmp_path, "base: base.yaml\naxes:\ntransfer:\n"))
    assert len(loaded.cells) == 1 and loaded.experiment.transfer.size == 128


def test_path_is_relative_to_the_files_own_folder_and_chains_are_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "base: ../base.yaml\ntransfer: {size: 96, steps: 9}\n", "between/second.yaml")
    path = write(tmp_path, "base: between/second.yaml\ntransfer: {steps: 5}\n")
    monkeypatch.chdir("/")
    transfer = load_experiment(path).experiment.transfer
    assert (transfer.content, transfer.size, transfer.steps) == ("astronaut", 96, 5)


def test_profiles_of_the_base_are_there_and_one_of_the_same_name_lies_over_it(tmp_path: Path) -> None:
    path = write(
        tmp_path, "base: base.yaml\nprofiles: {large: {transfer: {steps: 7}, axes: }, tiny: {transfer: {size: 32}}}\n"
    )
    assert set(load_experiment(path).experiment.profiles) == {"large", "tiny"}
    large = load_experiment(path, (), "large")
    assert (large.experiment.transfer.size, large.experiment.transfer.steps, len(large.cells)) == (512, 7, 1)
    assert len(load_experiment(path, (), "tiny").cells) == 2


def test_overrides_lie_over_both_and_a_cells_words_repeat_it(tmp_path: Path) -> None:
    path = write(tmp_path, "base: base.yaml\ntransfer: {size: 64}\n")
    for cell in load_experiment(path, ("transfer.steps=4",)).cells:
        [again] = load_experiment(path, cell.overrides).cells
        assert again.transfer == cell.transfer and again.transfer.steps == 4


def test_fault_stands_where_the_faulty_value_stands(tmp_path: Path) -> None:
    write(tmp_path, BASE.replace("size: 128", "size: 7").replace("size: 512", "size: 9"), "base.yaml")
    faults = faults_of(write(tmp_path, "base: base.yaml\ntransfer: {alpha: -1, seeed: 3}\n"))
    assert [fault.split(": ")[0] for fault in faults] == [
        "DIR/mine.yaml:2", "DIR/mine.yaml:2", "DIR/base.yaml:4", "DIR/base.yaml:11",
    ]  # fmt: skip
    assert "transfer.size: got 7" in faults[2] and "transfer.size: got 9" in faults[3]
    assert faults_of(write(tmp_path, "base: base.yaml\ntransfer: {size: 64}\n"))[0].startswith("DIR/base.yaml:11: ")


def test_claims_of_the_base_that_no_longer_fit_say_what_to_do(tmp_path: Path) -> None:
    claim = "claims: [{says: x, where: y, measure: ssim, along: alpha, expect: rises, because: z}]\n"
    write(tmp_path, BASE + claim, "base.yaml")
    [fault] = faults_of(write(tmp_path, "base: base.yaml\naxes: {style: [ink, mosaic]}\n"))
    assert fault.startswith("DIR/base.yaml:12: claims.0.along: nothing varies 'alpha'")
    assert fault.endswith(
        "or say claims: in " + str(tmp_path / "mine.yaml").replace(str(tmp_path), "DIR") + ", [] for none"
    )
    assert load_experiment(write(tmp_path, "base: base.yaml\naxes: {style: [ink, mosaic]}\nclaims: []\n")).cells


def test_name_without_yaml_is_one_that_comes_with_the_harness(tmp_path: Path) -> None:
    loaded = load_experiment(write(tmp_path, "base: relative_weight\ntransfer: {content: coffee}\n"))
    assert loaded.experiment.transfer.content == "coffee" and len(loaded.cells) == 4 and loaded.experiment.claims
    assert (
        load_experiment(write(tmp_path, "base: relative_weight\n"), (), "vgg16").experiment.transfer.weights == "vgg16"
    )


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_file_can_be_a_base(name: str, tmp_path: Path) -> None:
    path = write(tmp_path, f"base: {name}\ntransfer: {{seed: 5}}\n")
    loaded = load_sweep(path).sweep if shipped()[name].parent.name == "sweeps" else load_experiment(path).experiment
    assert loaded.transfer.seed == 5


def test_base_of_the_other_kind_gives_what_both_kinds_have(tmp_path: Path) -> None:
    text = "base: base.yaml\nspace: {alpha: {log: [1e-4, 1]}}\nobjectives: [reference_style]\n"
    sweep = load_sweep(write(tmp_path, text), (), "large").sweep
    assert sweep.transfer.size == 512 and sweep.figure.show == ("content",)
    loaded = load_experiment(write(tmp_path, "base: pareto\naxes: {alpha: [1e-3, 1e-2]}\ntransfer: {size: 64}\n"))
    assert len(loaded.cells) == 2 and loaded.experiment.transfer.size == 64


BAD = {
    "no such file": (
        "base: bse.yaml",
        "DIR/mine.yaml:1: base: there is no file DIR/bse.yaml; did you mean DIR/base.yaml?",
    ),
    "unknown name": ("base: relative_wieght", "did you mean relative_weight? There are colour, "),
    "itself": ("base: mine.yaml", "leads in a circle: DIR/mine.yaml → DIR/mine.yaml; drop it in one of them"),
    "circle": (
        "base: circle.yaml",
        "DIR/circle.yaml:1: base: leads in a circle: DIR/mine.yaml → DIR/circle.yaml → DIR/m",
    ),
    "several": ("base: [base.yaml]", "DIR/mine.yaml:1: base: got [base.yaml]; allowed: the path of one file"),
    "nothing": ("base:", "DIR/mine.yaml:1: base: got nothing; allowed: the path of one file"),
    "no YAML": ("base: text.yaml", "DIR/text.yaml:2: not readable as YAML"),
    "a folder": ("base: .", "base: there is no file DIR"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_base_gets_a_sentence_at_its_line(kind: str, tmp_path: Path) -> None:
    write(tmp_path, "base: mine.yaml\n", "circle.yaml")
    write(tmp_path, "transfer: [a\n", "text.yaml")
    text, expected = BAD[kind]
    [fault] = faults_of(write(tmp_path, text + "\n"))
    assert expected in fault
