"""Sweeps: the space, how it is searched, what a trial's parameters mean, and what wrong ones get."""

import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.config import Sweep, load_experiment, load_sweep
from harness.config.dimensions import Choice, Log, Simplex, Uniform
from harness.config.identity import canonical_json
from harness.config.layers import LAYERS
from harness.config.space import as_choices, fields_of, parameters, weights_of
from harness.config.yaml_source import dump_yaml
from harness.errors import ConfigError

SWEEP = """\
transfer: {content: a, style: b, steps: 200, alpha: 1}
space:
  alpha: {log: [1e-5, 1e-1]}
  optimiser.history: {integer: [1, 40]}
  noise_sigma: {uniform: [0.1, 0.5]}
  content_layers: {choice: [{conv2_2: 1}, {conv4_2: 1}]}
  style_layers: {simplex: [conv1_1, conv2_1, conv3_1]}
  start: {choice: [content, noise, {file: my photo.png}]}
objectives: [reference_content, reference_style]
sampler: {name: tpe, seed: 3}
budget: {trials: 40, parallel: 4}
profiles:
  paper: {transfer: {size: 99, seed: 5}, sampler: {name: nsga2}, budget: {trials: 80}}
  narrow: {space: {beta: {log: [1, 2]}}}
"""
ONE = (
    "transfer: {content: a, style: b, steps: 200}\nspace: {alpha: {log: [1e-5, 1e-1]}}\nobjectives: [pixel_distance]\n"
)
ALPHA = "{alpha: {log: [1e-5, 1e-1]}}"
PARAMS = {
    "alpha": 1e-05, "optimiser.history": 7, "noise_sigma": 0.25, "content_layers": '{"conv2_2":1}',
    "u(style_layers.conv1_1)": 0.5, "u(style_layers.conv2_1)": 0.25, "u(style_layers.conv3_1)": 0.5,
    "start": '{"file":"my photo.png"}',
}  # fmt: skip


@pytest.fixture
def path(tmp_path):
    (tmp_path / "s.yaml").write_text(SWEEP)
    return tmp_path / "s.yaml"


def faults_of(tmp_path, text, words=(), profile=None, load=load_sweep):
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "s.yaml", words, profile)
    assert len(set(caught.value.faults)) == len(caught.value.faults)
    return [str(fault).replace(str(tmp_path / "s.yaml"), "FILE") for fault in caught.value.faults]


def trial(loaded, params=PARAMS):
    fields = fields_of(loaded.sweep.space, params)
    return loaded.cell(fields, {"trial": 3, **fields})


def same(one, other):
    return canonical_json(one.transfer.model_dump()) == canonical_json(other.transfer.model_dump())


def test_parameters_are_one_a_field_and_one_a_layer_of_a_simplex(path):
    found = parameters(load_sweep(path).sweep.space)
    assert list(found) == [*list(PARAMS)[:-1], "start"]
    assert found["alpha"] == Log(log=(1e-5, 1e-1)) and found["alpha"].low == 1e-5
    unit = found["u(style_layers.conv2_1)"]
    assert isinstance(unit, Uniform) and 0 < unit.low < 1e-6 and 1 - 1e-6 < unit.high < 1
    assert as_choices(found["start"].choice) == ("content", "noise", '{"file":"my photo.png"}')


def test_choices_are_stored_as_they_are_but_for_mappings_and_lists():
    plain = ("noise", 0.5, 3, None, True)
    assert as_choices(plain) == plain and [type(value) for value in as_choices(plain)] == [*map(type, plain)]
    assert as_choices(({"conv1_1": 1}, [64, 128], "all")) == ('{"conv1_1":1}', "[64,128]", "all")
    # Optuna finds a choice by ==: what is equal there stays apart as JSON.
    assert as_choices((1, True, "a")) == ("1", "true", '"a"')
    assert as_choices(("[64]", [64])) == ('"[64]"', "[64]")
    space = {"seed": Choice(choice=(1, True)), "start": Choice(choice=("noise", {"file": "a"}))}
    assert fields_of(space, {"seed": "true", "start": "noise"}) == {"seed": True, "start": "noise"}
    assert fields_of(space, {"seed": "1", "start": '{"file":"a"}'}) == {"seed": 1, "start": {"file": "a"}}


def test_fields_of_a_trial_are_worked_out_by_hand(path):
    fields = fields_of(load_sweep(path).sweep.space, PARAMS)
    assert fields["style_layers"] == pytest.approx({"conv1_1": 0.25, "conv2_1": 0.5, "conv3_1": 0.25})  # ln ½ = ½ ln ¼
    assert fields["start"] == {"file": "my photo.png"} and fields["content_layers"] == {"conv2_2": 1}
    assert (fields["alpha"], fields["optimiser.history"]) == (1e-05, 7)
    weights = weights_of(load_sweep(path).sweep.space, fields)
    assert weights == {f"style_layers.{layer}": weight for layer, weight in fields["style_layers"].items()}


def test_no_parameter_is_called_as_a_field_with_another_value(path):
    """A parameter that bears a field's name holds that field's value, or the JSON of it."""
    space = load_sweep(path).sweep.space
    fields = fields_of(space, PARAMS)
    values = {**fields, **weights_of(space, fields)}
    shared = {name for name in PARAMS if name in values}
    assert shared == {"alpha", "optimiser.history", "noise_sigma", "content_layers", "start"}
    for name in shared:
        assert PARAMS[name] in (values[name], canonical_json(values[name]))


def test_simplex_is_uniform():
    """Every coordinate of a uniform point on the simplex of k corners is Beta(1, k − 1): P(w > t) = (1 − t)^(k − 1)."""
    import random

    space = {"style_layers": Simplex(simplex=("conv1_1", "conv2_1", "conv3_1"))}
    draw = random.Random(0)
    points = [
        fields_of(space, {name: draw.uniform(u.low, u.high) for name, u in parameters(space).items()})["style_layers"]
        for _ in range(4000)
    ]
    for layer in ("conv1_1", "conv3_1"):
        for t in (0.1, 0.5, 0.8):
            share = sum(point[layer] > t for point in points) / len(points)
            assert share == pytest.approx((1 - t) ** 2, abs=0.03)  # 4 standard deviations of 4,000 draws


units = st.floats(1e-9, 1 - 1e-9)
params_of_a_trial = st.fixed_dictionaries(
    {
        "alpha": st.floats(1e-5, 1e-1),
        "optimiser.history": st.integers(1, 40),
        "noise_sigma": st.floats(0.1, 0.5),
        "content_layers": st.sampled_from(['{"conv2_2":1}', '{"conv4_2":1}']),
        "u(style_layers.conv1_1)": units,
        "u(style_layers.conv2_1)": units,
        "u(style_layers.conv3_1)": units,
        "start": st.sampled_from(["content", "noise", '{"file":"my photo.png"}']),
    }
)


@settings(deadline=None, max_examples=25)
@given(params=params_of_a_trial)
def test_pasted_trial_is_the_same_transfer_bit_for_bit(tmp_path_factory, params):
    path = tmp_path_factory.mktemp("sweep") / "s.yaml"
    path.write_text(SWEEP)
    loaded = load_sweep(path)
    cell = trial(loaded, params)
    [again] = load_experiment(path, cell.overrides).cells
    assert same(again, cell) and again.overrides == cell.overrides
    weights = cell.transfer.style_layers
    assert set(weights) == {"conv1_1", "conv2_1", "conv3_1"} and min(weights.values()) > 0
    assert math.fsum(weights.values()) == pytest.approx(1, abs=1e-11)


@pytest.mark.parametrize("words, profile", [((), None), (("transfer.size=77",), None), ((), "paper")])
def test_pasted_trial_is_that_transfer_whatever_else_was_asked_for(path, words, profile):
    loaded = load_sweep(path, words, profile)
    cell = trial(loaded)
    pinned = load_experiment(path, cell.overrides)
    assert same(pinned.cells[0], cell) and len(pinned.cells) == 1
    assert cell.transfer.size == (99 if profile else 77 if words else 512)
    assert loaded.fault(cell, "style_layers.conv1_1", "x").where == f"{path}:7"
    assert loaded.fault(cell, "start", "x").field == "space.start"
    assert loaded.command(cell, Path("runs"), None, "0123456789ab").startswith(f"harness run {path} ")
    assert "space" not in pinned.data and not pinned.repeats


def test_trial_of_a_profile_with_another_space_is_pasted_behind_the_file(path):
    loaded = load_sweep(path, profile="narrow")
    cell = loaded.cell({"beta": 1.5}, {"trial": 0})
    assert same(load_experiment(path, cell.overrides).cells[0], cell)


def test_override_pins_a_field_of_the_space(path):
    sweep = load_sweep(path, ["transfer.alpha=3", "transfer.optimiser={history: 3}"]).sweep
    assert list(sweep.space) == ["noise_sigma", "content_layers", "style_layers", "start"]
    assert sweep.transfer.alpha == 3


def test_overrides_reach_every_section(path):
    words = [
        "space.alpha={log: [1, 2]}", "space.start=", "space.seed={integer: [0, 3]}", "budget.trials=4",
        "sampler.seed=9", "objectives=[heldout_style]", "pruner=median", "pruner.warmup=50", "tracking.project=p",
    ]  # fmt: skip
    sweep = load_sweep(path, words).sweep
    assert sweep.space["alpha"] == Log(log=(1, 2)) and "start" not in sweep.space and "seed" in sweep.space
    assert (sweep.budget.trials, sweep.budget.parallel, sweep.sampler.seed) == (4, 4, 9)
    assert (sweep.objectives, sweep.pruner.warmup, sweep.rungs()) == (("heldout_style",), 50, (50, 100))
    assert load_sweep(path, ["sampler.name=random"]).sweep.sampler.seed == 0  # another algorithm has other fields


def test_profile_of_a_sweep_merges_budget_and_replaces_the_sampler(path):
    sweep = load_sweep(path, profile="paper").sweep
    assert (sweep.budget.trials, sweep.budget.parallel) == (80, 4)
    assert sweep.sampler.model_dump() == {"name": "nsga2", "seed": 0, "population": 20}
    assert list(load_sweep(path, profile="narrow").sweep.space) == ["beta"]


def test_resolved_data_reads_back_as_the_same_sweep(path):
    loaded = load_sweep(
        path, ["objectives=[pixel_distance]", "pruner={name: median, rungs: [30, 60]}", "space.beta={log: [1e-12, 1]}"]
    )
    assert "profiles" not in loaded.data
    assert Sweep.model_validate(yaml.safe_load(yaml.safe_dump(dict(loaded.data)))) == loaded.sweep.model_copy(
        update={"profiles": {}}
    )
    path.with_name("copy.yaml").write_text(dump_yaml(dict(loaded.data)))
    assert load_sweep(path.with_name("copy.yaml")).data == loaded.data


@pytest.mark.parametrize(
    "pruner, steps, rungs",
    [
        ("none", 200, ()),
        ("median", 200, (20, 50, 100)),
        ("{name: median, warmup: 0}", 501, (10, 20, 50, 100, 200, 500)),
        ("{name: median, rungs: [60, 30]}", 200, (30, 60)),
        ("successive_halving", 400, (20, 80, 320)),
        ("{name: successive_halving, min_resource: 10, reduction: 2}", 80, (10, 20, 40)),
    ],
)
def test_rungs_lie_below_steps(tmp_path, pruner, steps, rungs):
    (tmp_path / "s.yaml").write_text(f"{ONE}pruner: {pruner}\n")
    assert load_sweep(tmp_path / "s.yaml", [f"transfer.steps={steps}"]).sweep.rungs() == rungs


def test_rungs_lie_below_the_fewest_steps_of_any_trial(tmp_path):
    (tmp_path / "s.yaml").write_text(ONE + "pruner: median\n")
    assert load_sweep(tmp_path / "s.yaml", ["space.steps={integer: [60, 400]}"]).sweep.rungs() == (20, 50)
    assert load_sweep(tmp_path / "s.yaml", ["space.steps={choice: [300, 30]}"]).sweep.rungs() == (20,)


def test_rungs_count_the_evaluations_of_all_levels(tmp_path):
    text = ONE.replace("steps: 200", "steps: 200, pyramid: [{size: 64, steps: 100}]")
    (tmp_path / "s.yaml").write_text(text + "pruner: {name: median, rungs: [50, 250]}\n")
    assert load_sweep(tmp_path / "s.yaml").sweep.rungs() == (50, 250)
    [fault] = faults_of(tmp_path, text + "pruner: {name: median, rungs: [50, 300]}\n")
    assert "got 300; a rung lies below the evaluations of all levels, which are 300" in fault
    searched = ["space.pyramid={choice: [[], [{size: 32, steps: 30}, {size: 64, steps: 100}]]}", "pruner=median"]
    assert load_sweep(tmp_path / "s.yaml", searched).sweep.min_evaluations() == 200
    searched[0] = searched[0].replace("[[], ", "[[{size: 64, steps: 7}], ")
    assert load_sweep(tmp_path / "s.yaml", searched).sweep.rungs() == (20, 50, 100, 200)


def test_sweep_has_defaults_for_all_but_what_to_search_and_why(tmp_path):
    (tmp_path / "s.yaml").write_text(ONE)
    sweep = load_sweep(tmp_path / "s.yaml").sweep
    assert sweep.sampler.model_dump() == {"name": "tpe", "seed": 0, "startup": 10}
    assert sweep.budget.model_dump() == {"trials": 40, "parallel": 8}
    assert sweep.pruner.name == "none"


SPACE_FAULTS = {
    "typo": ("alpah: {log: [1, 2]}", "space.alpah: there is no field 'alpah'; did you mean alpha?"),
    "section": ("transfer.alpha: {log: [1, 2]}", "fields are named without their section here: write alpha"),
    "a list": ("start: [content, noise]", "did you mean {choice: [content, noise]}?"),
    "a value": ("start: noise", "space.start: got 'noise'; allowed: one of {log: [low, high]}"),
    "kind": ("start: {chioce: [content, noise]}", "did you mean choice?"),
    "two kinds": ("beta: {log: [1, 2], uniform: [1, 2]}", "allowed: one of {log: [low, high]}"),
    "one end": ("beta: {log: [1]}", "space.beta.log: got [1]; allowed: two finite numbers, [low, high]"),
    "turned round": ("beta: {log: [2, 1]}", "the first must be below the second; did you mean [1, 2]?"),
    "one point": ("beta: {uniform: [1, 1.0]}", "one value leaves nothing to search"),
    "log of 0": ("beta: {log: [0, 1]}", "space.beta.log: got [0, 1]; a log range lies above 0"),
    "infinite": ("beta: {uniform: [0, .inf]}", "space.beta.uniform: got .inf; allowed: two finite numbers"),
    "truth": ("beta: {uniform: [0, true]}", "space.beta.uniform: got true"),
    "quotes": ("beta: {uniform: ['0', 1]}", "[low, high]; write it without quotes"),
    "fraction": ("seed: {integer: [0, 1.5]}", "space.seed.integer: got 1.5; allowed: two integers"),
    "floats of an integer": ("size: {log: [64, 512]}", "size is an integer; write {integer: [64, 512]}"),
    "low end": ("noise_sigma: {uniform: [0, 1]}", "space.noise_sigma.uniform: got 0.0; allowed: a finite number > 0"),
    "high end": ("size: {integer: [64, 9000]}", "space.size.integer: got 9000; allowed: an integer ≥ 16 and ≤ 8192"),
    "one choice": ("start: {choice: [noise]}", "'noise' alone leaves nothing to choose; write it as transfer.start"),
    "no choice": ("start: {choice: []}", "space.start.choice: got []; allowed: a list of two values or more"),
    "wrong choice": ("pooling: {choice: [average, maxx]}", "space.pooling.choice: got 'maxx'; allowed: one of average"),
    "the same twice": ("beta: {choice: [1, 2, 1.0]}", "space.beta.choice: 1.0 is the same as"),
    "the same in other words": ("optimiser: {choice: [lbfgs, {name: lbfgs}]}", "is the same as"),
    "wrong layer": ("style_layers: {simplex: [conv1_1, relu4_2]}", "no VGG-19 layer 'relu4_2'; did you mean conv4_2?"),
    "one layer": ("style_layers: {simplex: [conv1_1]}", "got [conv1_1]; allowed: a list of two layers or more"),
    "a layer twice": ("style_layers: {simplex: [conv1_1, conv1_1]}", "conv1_1 stands there twice; keep one"),
    "simplex of numbers": ("beta: {simplex: [conv1_1, conv2_1]}", "a simplex is for content_layers, style_layers and"),
    "overlap": (
        "style_layers: {simplex: [conv1_1, conv2_1]}\n  style_layers.conv1_1: {uniform: [0, 1]}",
        "FILE:5: space.style_layers.conv1_1: style_layers.conv1_1 and style_layers vary the same field; keep one",
    ),
    "nothing left of both sides": (
        "alpha: {choice: [0, 1]}\n  beta: {choice: [0, 1]}",
        "FILE:4: space.alpha.choice: alpha and beta are both 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("lines, sentence", SPACE_FAULTS.values(), ids=SPACE_FAULTS)
def test_fault_of_the_space_is_one_sentence(tmp_path, lines, sentence):
    first = "" if "seed:" in lines else "  seed: {integer: [0, 9]}"
    [fault] = faults_of(tmp_path, ONE.replace(ALPHA, f"\n{first}\n  {lines}"))
    assert sentence in fault
    assert fault.startswith(("FILE:4: ", "FILE:5: "))


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("transfer: {content: a, style: b}\nobjectives: [pixel_distance]\n", "FILE:1: space: is missing; give space:"),
        (ONE.replace(ALPHA, "{}"), "FILE:2: space: is empty; a sweep varies something"),
        (ONE.replace(ALPHA, "[alpha]"), "FILE:2: space: got [alpha]; allowed: a mapping"),
        (ONE.replace("objectives: [pixel_distance]\n", ""), "FILE:1: objectives: is missing; give a list"),
        (ONE.replace("[pixel_distance]", "[]"), "FILE:3: objectives: got []; allowed: a list of one or more of"),
        (ONE.replace("[pixel_distance]", "[sim]"), "objectives: got 'sim'; allowed: a list of one or more of"),
        (ONE.replace("[p", "[pixel_distance, p"), "FILE:3: objectives: pixel_distance stands there twice; keep one"),
        (ONE.replace("[pixel_distance]", "[total]"), "FILE:3: objectives: got 'total'; allowed"),
        (ONE.replace("[pixel_distance]", "[ssim]"), "FILE:3: objectives: ssim grows with likeness"),
        (ONE + "sampler: tpee\n", "FILE:4: sampler: got {name: tpee}; allowed: {name: tpe, random, nsga2"),
        (ONE + "sampler: {name: random, startup: 3}\n", "FILE:4: sampler.startup: there is no field 'startup'"),
        (ONE + "sampler: {seed: -1}\n", "FILE:4: sampler.seed: got -1; allowed: an integer ≥ 0"),
        (ONE + "budget: {trials: 0}\n", "FILE:4: budget.trials: got 0; allowed: an integer ≥ 1"),
        (ONE + "budget: {paralel: 3}\n", "there is no field 'paralel'; did you mean parallel?"),
        (ONE + "budget: 40\n", "FILE:4: budget: got 40; allowed: {trials: …, parallel: …}"),
        (ONE + "pruner: medain\n", "FILE:4: pruner: got {name: medain}; allowed: none, {name: median"),
        (ONE + "pruner: {name: median, warmpu: 3}\n", "there is no field 'warmpu'; did you mean warmup?"),
        (ONE + "pruner: {warmup: 3}\n", "FILE:4: pruner: got {warmup: 3}; allowed: none, {name: median, …} or"),
        (ONE + "pruner: {name: successive_halving, reduction: 1}\n", "reduction: got 1; allowed: an integer ≥ 2"),
        (ONE + "pruner: {name: median, rungs: [50, 200]}\n", "got 200; a rung lies below transfer.steps"),
        (ONE + "pruner: {name: median, rungs: [10]}\n", "pruner.rungs: got 10; nothing is pruned before warmup, 20"),
        (ONE + "pruner: {name: median, warmup: 300}\n", "warmup: nothing would be pruned: no rung lies"),
        (ONE + "pruner: {name: successive_halving, min_resource: 200}\n", "nothing would be pruned"),
        (ONE.replace("[p", "[total_variation, p") + "pruner: median\n", "FILE:4: pruner: prunes by one"),
        (ONE + "figure: {columns: alpha}\n", "FILE:4: figure.columns: a sweep's figure is its front, not a grid"),
        (ONE + "axes: {seed: [1]}\n", "FILE:4: axes: there is no field 'axes'"),
        (ONE + "profiles:\n  p: {budget: {trials: -1}}\n", "FILE:5: budget.trials: got -1"),
        ("", "FILE: is empty"),
        ("transfer: {content: a, style: b}\n", "FILE:1: this is an experiment (it has no space to search)"),
    ],
)  # fmt: skip
def test_fault_of_a_sweep_is_one_sentence(tmp_path, text, sentence):
    [fault] = faults_of(tmp_path, text)
    assert sentence in fault


@pytest.mark.parametrize(
    "word, sentence",
    [
        ("transfer.alpa=3", "transfer.alpa: there is no field 'alpa'; did you mean alpha?"),
        ("space.beta=", "space.beta: there is no searched field 'beta'; allowed: alpha"),
        ("space.alpha={log: [2, 1]}", "space.alpha.log: got [2, 1]; the first must be below the second"),
        ("space.alpha=[1, 2]", "space.alpha: got [1, 2]; allowed: one of {log: [low, high]}"),
        ("objectives.0=pixel_distance", "objectives is a list; give it as a whole: objectives=[…]"),
        ("budget.trails=3", "budget.trails: there is no field 'trails'; did you mean trials?"),
        ("axes.seed=[1, 2]", "axes is a section of experiments; allowed here: transfer, figure, tracking, space"),
    ],
)
def test_fault_of_an_override_is_one_sentence(tmp_path, word, sentence):
    [fault] = faults_of(tmp_path, ONE, [word])
    assert fault.startswith(f"override {word!r}: ") and sentence in fault


def test_every_fault_is_in_one_report_by_line(tmp_path):
    text = """\
transfer: {content: a, style: b, sede: 1, content_layers: {}}
space:
  beta: {uniform: [1, 1]}
  size: {integer: [8, 64]}
objectives: [pixel_distance, pixel_distance]
budget: {trials: x}
pruner: {name: median, rungs: [1, 900]}
tracking: {tag: x}
"""
    faults = faults_of(tmp_path, text, ["sampler.seed=-1"])
    assert [fault.split(": ")[1] for fault in faults[:-1]] == [
        "transfer.sede", "transfer.content_layers", "space.beta.uniform", "space.size.integer", "objectives",
        "budget.trials", "pruner", "pruner.rungs", "pruner.rungs", "tracking.tag",
    ]  # fmt: skip
    assert faults[-1].startswith("override 'sampler.seed=-1'")


def test_part_of_a_simplex_cannot_be_pinned(path):
    with pytest.raises(ConfigError, match=r"style_layers varies as a whole; give transfer.style_layers=… or space.sty"):
        load_sweep(path, ["transfer.style_layers.conv1_1=1"])


def test_fully_pinned_sweep_is_for_harness_run(path):
    words = trial(load_sweep(path)).overrides
    with pytest.raises(ConfigError, match="nothing to search; carry out this transfer with: harness run .*s.yaml"):
        load_sweep(path, words)
    with pytest.raises(ConfigError, match="harness sweep .*; or pin what it searches: transfer.noise_sigma=…$"):
        load_experiment(path, [word for word in words if "noise_sigma" not in word])
    assert len(load_experiment(path, [*words, "axes.seed=[1, 2]", "budget.trials=3"]).cells) == 2


def test_contradicting_trial_is_a_sentence(path):
    loaded = load_sweep(path, ["transfer.beta=0"])
    with pytest.raises(ConfigError, match="space.alpha: alpha and beta are both 0"):
        loaded.cell({"alpha": 0}, {"trial": 0})


def test_missing_image_of_a_choice_is_in_the_report(tmp_path):
    (tmp_path / "s.yaml").write_text(ONE.replace("{alpha", "{style: {choice: [b, c.png]}, alhpa"))
    with pytest.raises(ConfigError) as caught:
        load_sweep(tmp_path / "s.yaml", (), None, lambda name: f"no {name}" if name == "c.png" else None)
    assert [fault.field for fault in caught.value.faults] == ["space.alhpa", "space.style.choice"]


dimensions = st.sampled_from(
    ["{log: [1, 2]}", "{log: [0, x]}", "{uniform: [1]}", "{choice: [1, {}]}", "{choice: 3}",
     "{simplex: [conv1_1, [1]]}", "{simplex: {}}",
     "{integer: [1, 2]}", "[]", "{}", "{log: }", "3", "{choice: [content, noise], log: [1, 2]}"]
)  # fmt: skip
fields = st.sampled_from(
    ["alpha", "start", "style_layers", "style_layers.conv1_1", "optimiser.history", "steps", "1", "size"]
)
sections = st.sampled_from(
    ["pruner: median", "pruner: [1]", "pruner: {name: median, rungs: 3}", "sampler: 1", "sampler: {name: [1]}",
     "objectives: {}", "objectives: ssim", "budget: []", "figure: {wrap: 3}", "figure: []", "transfer: {}", "space: []"]
)  # fmt: skip


@settings(deadline=None, max_examples=25)
@given(space=st.dictionaries(fields, dimensions, max_size=3), rest=st.lists(sections, max_size=2))
def test_whatever_is_written_there_is_never_a_traceback(tmp_path_factory, space, rest):
    path = tmp_path_factory.mktemp("any") / "s.yaml"
    lines = [f"  {field}: {dimension}" for field, dimension in space.items()]
    path.write_text(
        "\n".join(["transfer: {content: a, style: b}", "objectives: [pixel_distance]", "space:", *lines, *rest])
    )
    for load in (load_sweep, load_experiment):
        try:
            assert load(path, ["budget.trials=3", "space.seed={integer: [0, 3]}", "sampler.seed=1"])
        except ConfigError as error:
            assert error.faults and all(fault.message for fault in error.faults)


def test_every_layer_can_be_on_a_simplex():
    assert Simplex(simplex=LAYERS[:13]).simplex == LAYERS[:13]
