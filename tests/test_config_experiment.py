"""Cells, figures, profiles and overrides of an experiment."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import harness.config.experiment as experiment_module
from harness.config import Experiment, Transfer, load_experiment
from harness.config.commands import FileCommand
from harness.config.fields import unknown_field
from harness.config.identity import hashed_fields, run_id
from harness.config.layers import LAYERS
from harness.config.yaml_source import dump_yaml

ROOT = Path(__file__).parents[1]
FILE = """\
transfer: {content: a, style: b, alpha: 1e-3, style_layers: {conv1_1: 1, conv2_1: 2}}
axes:
  alpha: [1e-2, 1e-1]
  seed: [0, 1]
cases:
  A: {start: content}
  B: {start: style, optimiser.history: 7}
figure: {columns: alpha, rows: cases}
tracking: {tags: [t], notes: n}
profiles:
  paper: {transfer: {size: 512, style_layers: {conv5_1: 1}}, axes: {alpha: [5]}, tracking: {project: p}}
  plain: {axes: null, cases: null, figure: {columns: null, rows: null}}
"""


@pytest.fixture
def path(tmp_path):
    (tmp_path / "grid.yaml").write_text(FILE)
    return tmp_path / "grid.yaml"


def identity_of(transfer):
    return run_id(transfer, {slot: slot for slot in hashed_fields(transfer)})


def test_a_load_enumerates_each_grid_once(path, monkeypatch):
    grids = []
    enumerate_cells = experiment_module.enumerate_cells
    monkeypatch.setattr(
        experiment_module, "enumerate_cells", lambda *grid: grids.append(grid) or enumerate_cells(*grid)
    )
    load_experiment(path, ["repeat=[{seeds: [2]}, {where: {seed: 0}}]"])
    assert len(grids) == 3  # what was asked for, and those of the profiles, which are checked as well
    assert len({repr(grid) for grid in grids}) == 3


def test_cells_are_cases_by_axes_in_written_order(path):
    loaded = load_experiment(path)
    assert [tuple(cell.label.values()) for cell in loaded.cells] == [
        (case, alpha, seed) for case in "AB" for alpha in (1e-2, 1e-1) for seed in (0, 1)
    ]
    assert list(loaded.cells[0].label) == ["cases", "alpha", "seed"]
    last = loaded.cells[-1].transfer
    assert (last.start, last.optimiser.history, last.alpha, last.seed, last.beta) == ("style", 7, 0.1, 1, 1.0)
    assert loaded.name == "grid"
    assert loaded.cells[1].name == "cases=A, alpha=0.01, seed=1"


def test_every_cell_has_a_tile_of_its_own(path):
    experiment = load_experiment(path).experiment
    assert experiment.layout() == ("alpha", ("cases", "seed"))
    columns, rows = experiment.layout()
    tiles = [tuple(cell.label[part] for part in (columns, *rows)) for cell in experiment.cells()]
    assert len(set(tiles)) == len(tiles) == 8


def test_layout_without_a_figure():
    transfer = Transfer(content="a", style="b")
    assert Experiment(transfer=transfer).layout() == (None, ())
    assert Experiment(transfer=transfer, axes={"alpha": [1], "seed": [1]}).layout() == ("alpha", ("seed",))
    assert Experiment(transfer=transfer, axes={"alpha": [1], "seed": [1]}, figure={"rows": "alpha"}).layout() == (
        "seed",
        ("alpha",),
    )


def test_nothing_varied_is_one_cell(tmp_path):
    (tmp_path / "one.yaml").write_text("transfer: {content: a, style: b}\naxes:\ncases:\n")
    [cell] = load_experiment(tmp_path / "one.yaml").cells
    assert (dict(cell.label), cell.overrides) == ({}, ())


@pytest.mark.parametrize("words, profile", [((), None), (("transfer.size=99", "axes.beta=[1,2]"), None), ((), "paper")])
def test_pasted_overrides_reproduce_exactly_that_cell(path, words, profile):
    for cell in load_experiment(path, words, profile).cells:
        again = load_experiment(path, cell.overrides)
        assert [identity_of(other.transfer) for other in again.cells] == [identity_of(cell.transfer)]
        assert not again.experiment.axes and not again.experiment.cases


def test_command_survives_the_shell(path):
    import shlex

    loaded = load_experiment(path)
    words = shlex.split(loaded.command(loaded.cells[0], Path("runs"), None, "0123456789ab"))
    assert words == ["harness", "run", str(path), *loaded.cells[0].overrides, "--id", "0123456789ab"]


def test_profiles_are_laid_one_over_the_other(path):
    both = load_experiment(path, profile="plain,paper").experiment
    assert both.axes == {"alpha": [5]} and not both.cases and both.transfer.size == 512
    other = load_experiment(path, profile="paper, plain").experiment
    assert not other.axes and not other.cases and other.transfer.size == 512
    command = FileCommand("run", str(path), profile="plain,paper")
    assert FileCommand.read(str(command)) == command


@pytest.mark.parametrize("name, ours", [("content_weight", "alpha"), ("style-weight", "beta"), ("num_steps", "steps")])
def test_what_other_projects_call_a_field_leads_to_ours(name, ours):
    assert unknown_field(name) == f"there is no field {name!r}; did you mean {ours}?"


def test_override_of_an_axis_pins_it(path):
    experiment = load_experiment(path, ["transfer.alpha=3"]).experiment
    assert list(experiment.axes) == ["seed"]
    assert {cell.transfer.alpha for cell in experiment.cells()} == {3.0}
    assert experiment.figure.columns is None and experiment.figure.rows == "cases"


def test_override_of_a_case_field_pins_it_and_leaves_the_rest(path):
    experiment = load_experiment(path, ["transfer.start=noise"]).experiment
    assert experiment.cases == {"A": {}, "B": {"optimiser.history": 7}}
    experiment = load_experiment(path, ["transfer.start=noise", "transfer.optimiser.history=3"]).experiment
    assert experiment.cases == {}


def test_cases_that_pinning_makes_the_same_become_one(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "transfer: {content: a, style: b, seed: 1}\n"
        "cases: {A: {start: content}, B: {start: style}, C: {start: noise, seed: 1}, D: {start: noise, seed: 2}}\n"
    )
    loaded = load_experiment(tmp_path / "a.yaml", ["transfer.start=noise"])
    assert loaded.experiment.cases == {"A": {}, "D": {"seed": 2}}
    assert load_experiment(tmp_path / "a.yaml").experiment.varies() == ("cases",)


def test_words_take_effect_from_left_to_right(path):
    assert load_experiment(path, ["transfer.alpha=3", "axes.alpha=[4, 5]"]).experiment.axes["alpha"] == [4, 5]
    assert "alpha" not in load_experiment(path, ["axes.alpha=[4, 5]", "transfer.alpha=3"]).experiment.axes
    assert load_experiment(path, ["transfer.size=64", "transfer.size=65"]).cells[0].transfer.size == 65


def test_axes_and_cases_are_set_and_removed(path):
    axes = load_experiment(path, ["axes.alpha=[1e1]", "axes.seed=", "axes.beta=[2, 3]"]).experiment.axes
    assert axes == {"alpha": [10.0], "beta": [2, 3]}
    assert load_experiment(path, ["axes={seed: [4]}"]).experiment.axes == {"seed": [4]}
    assert load_experiment(path, ["axes="]).experiment.axes == {}
    assert list(load_experiment(path, ["cases.A=null"]).experiment.cases) == ["B"]
    assert load_experiment(path, ["cases.A.start=noise"]).experiment.cases["A"] == {"start": "noise"}
    assert load_experiment(path, ["figure.rows=seed"]).experiment.layout() == ("alpha", ("seed", "cases"))


def test_whole_layers_are_replaced_and_one_layer_is_set(path):
    whole = load_experiment(path, ["transfer.style_layers={conv5_1: 3}"]).cells[0].transfer
    assert whole.style_layers == {"conv5_1": 3.0}
    one = load_experiment(path, ["transfer.style_layers.conv1_1=0.5"]).cells[0].transfer
    assert one.style_layers == {"conv1_1": 0.5, "conv2_1": 2.0}
    default = load_experiment(path, ["transfer.content_layers.conv2_2=0.5"]).cells[0].transfer
    assert default.content_layers == {"conv2_2": 0.5, "conv4_2": 1.0}


def test_field_of_the_optimiser_is_set_behind_its_shorthand(tmp_path):
    (tmp_path / "a.yaml").write_text("transfer: {content: a, style: b, optimiser: adam}\n")
    optimiser = load_experiment(tmp_path / "a.yaml", ["transfer.optimiser.learning_rate=1"]).cells[0].transfer.optimiser
    assert (optimiser.name, optimiser.learning_rate) == ("adam", 1.0)
    (tmp_path / "a.yaml").write_text("transfer: {content: a, style: b, optimiser: {history: 5}}\n")
    assert (
        load_experiment(tmp_path / "a.yaml", ["transfer.optimiser.name=adam"]).cells[0].transfer.optimiser.name
        == "adam"
    )


def test_text_of_an_override_is_taken_whole(path):
    transfer = (
        load_experiment(path, ["transfer.content=my photo #1.jpg", "transfer.style=a=b, c.png"]).cells[0].transfer
    )
    assert (transfer.content, transfer.style) == ("my photo #1.jpg", "a=b, c.png")


def test_profile_is_merged_before_overrides(path):
    loaded = load_experiment(path, ["transfer.size=64"], "paper")
    transfer = loaded.experiment.transfer
    assert (transfer.size, transfer.style_layers, transfer.content) == (64, {"conv5_1": 1.0}, "a")
    assert loaded.experiment.axes == {"alpha": [5]}  # axes given as a whole are replaced as a whole
    assert loaded.experiment.tracking.project == "p" and loaded.experiment.tracking.tags == ("t",)
    assert len(load_experiment(path, (), "plain").cells) == 1


def test_faults_found_later_point_at_the_line_of_the_cell(path):
    loaded = load_experiment(path, ["transfer.style=c"])
    cell = loaded.cells[-1]
    places = [
        loaded.fault(cell, field, "x").where for field in ("content", "alpha", "start", "optimiser.history", "beta")
    ]
    assert places == [f"{path}:{line}" for line in (1, 3, 7, 7, 1)]
    assert loaded.fault(cell, "style", "x").where == "override 'transfer.style=c'"
    assert loaded.fault(cell, "alpha", "x").field == "axes.alpha"
    assert loaded.located.where("tracking.notes") == f"{path}:9"


def test_resolved_data_reads_back_as_the_same_experiment(path):
    loaded = load_experiment(path, ["transfer.alpha=1e-5"])
    copy = path.with_name("copy.yaml")
    copy.write_text(dump_yaml(dict(loaded.data)))
    again = load_experiment(copy)
    assert [cell.transfer for cell in again.cells] == [cell.transfer for cell in loaded.cells]
    assert again.data == loaded.data


names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
positive = st.floats(1e-12, 1e12)
layer_weights = st.dictionaries(st.sampled_from(LAYERS), positive, min_size=1, max_size=4)
transfers = st.builds(
    Transfer,
    content=names,
    style=names,
    size=st.integers(17, 8192),
    seed=st.integers(0, 2**63 - 1),
    alpha=positive,
    beta=positive,
    content_layers=layer_weights,
    style_layers=layer_weights,
    normalised=st.booleans(),
    start=st.sampled_from(["content", "noise"]) | st.fixed_dictionaries({"file": names}),
    segmentation=st.none() | st.fixed_dictionaries({"content": names, "style": names}),
    photorealism=st.fixed_dictionaries({}, optional={"weight": positive, "first_stage": st.integers(0, 499)}),
    pyramid=st.sampled_from([[], [{"size": 16, "steps": 3}]]),
    weights=st.just("caffe") | st.fixed_dictionaries({"file": names}, optional={"input": st.just("torchvision")}),
    optimiser=st.just("adam") | st.fixed_dictionaries({"history": st.integers(1, 200), "learning_rate": positive}),
)


@settings(deadline=None, max_examples=25)
@given(transfer=transfers)
def test_any_transfer_survives_its_own_words(tmp_path_factory, transfer):
    folder = tmp_path_factory.mktemp("words")
    (folder / "wanted.yaml").write_text(dump_yaml({"transfer": transfer.model_dump()}), encoding="utf-8")
    (folder / "other.yaml").write_text(
        "transfer: {content: x, style: y}\naxes: {alpha: [1, 2], style_layers.conv1_1: [1, 2]}"
    )
    [cell] = load_experiment(folder / "wanted.yaml").cells
    assert cell.transfer == transfer
    words = [f"transfer.{name}={value}" for name, value in _words(transfer).items()]
    [again] = load_experiment(folder / "other.yaml", words).cells
    assert again.transfer == transfer
    assert identity_of(again.transfer) == identity_of(transfer)
    [third] = load_experiment(folder / "other.yaml", again.overrides).cells
    assert third.transfer == transfer


def _words(transfer):
    """Every field as JSON, which is YAML too: independent of the words that the harness writes."""
    import json

    return {
        name: json.dumps(value, ensure_ascii=False) for name, value in transfer.model_dump(exclude_none=True).items()
    }


@pytest.mark.parametrize("profile", [None, "paper"])
@pytest.mark.parametrize("name", ["relative_weight", "single"])
def test_shipped_experiments_load(name, profile):
    loaded = load_experiment(ROOT / "experiments" / f"{name}.yaml", profile=profile)
    assert loaded.experiment.transfer.weights == ("caffe" if profile else "embedded")
    if name == "relative_weight":
        assert [cell.transfer.alpha for cell in loaded.cells] == [1e-4, 1e-3, 1e-2, 1e-1]
        assert loaded.experiment.layout() == ("alpha", ())
