"""Claims and repeats of an experiment: what may stand there, which cells they mean, and what faults they get."""

import pytest
import yaml

from harness.config import Experiment, load_experiment
from harness.config.claims import COMPARABLE, LOSSES, Claim, Repeat, matches, value_key
from harness.config.identity import canonical_json
from harness.config.yaml_source import flow
from harness.errors import ConfigError

GRID = """\
transfer: {content: a, style: b, seed: 0}
axes:
  alpha: [1e-3, 1e-2]
  content_layers: [{conv2_2: 1}, {conv4_2: 1}]
cases:
  A: {start: content}
  N: {start: noise}
"""
LINES = GRID.count("\n")
CLAIM = {
    "says": "s", "where": "fig. 4", "measure": "ssim", "along": "alpha", "expect": "rises", "because": "r",
}  # fmt: skip


def written(tmp_path, extra, grid=GRID):
    (tmp_path / "a.yaml").write_text(grid + extra)
    return tmp_path / "a.yaml"


def with_claim(**fields):
    """The section of one claim, a field to a line: the first, ``says``, on the line after ``claims:``."""
    claim = {name: value for name, value in (CLAIM | fields).items() if value is not None}
    lines = [f"    {name}: {flow(value)}" for name, value in claim.items()]
    return "claims:\n" + "\n".join(lines).replace("    says", "  - says", 1) + "\n"


def faults_of(path, words=(), profile=None):
    with pytest.raises(ConfigError) as caught:
        load_experiment(path, words, profile)
    return [str(fault).replace(str(path), "FILE") for fault in caught.value.faults]


def keys(cells):
    return [canonical_json(cell.transfer.model_dump()) for cell in cells]


def test_measures_are_the_comparable_numbers_the_losses_and_what_pictures_show():
    from harness.measures import names

    assert set(COMPARABLE) == set(names.METRICS) - {
        "heldout_style_optimised",
        "evaluations",
        "kept_evaluation",
        "still_falling",
        "seconds",
    }
    assert LOSSES == ("total", "content", "style")


@pytest.mark.parametrize(
    "one, other, same",
    [
        (1e-3, 0.001, True),
        (1, 1.0, True),
        (2**62 + 1, 2**62, False),
        (True, 1, False),
        ("1", 1, False),
        ({"conv1_1": 1, "conv2_1": 2}, {"conv2_1": 2.0, "conv1_1": 1.0}, True),
        ({"conv1_1": 1}, {"conv2_1": 1}, False),
    ],
)
def test_values_are_the_same_as_canonical_json(one, other, same):
    assert (value_key(one) == value_key(other)) is same
    assert matches({"x": one}, {"x": other}) is same
    assert matches({"x": ["other", one]}, {"x": other}) is same


def test_selector_needs_every_part_it_names():
    assert matches({}, {}) and matches(None, {"alpha": 1})
    assert not matches({"seed": 0}, {"alpha": 1})
    assert matches({"alpha": [1, 2], "cases": "A"}, {"cases": "A", "alpha": 2, "seed": 1})
    assert not matches({"alpha": [1, 2], "cases": "A"}, {"cases": "B", "alpha": 2})


def test_repeats_are_the_selected_cells_from_each_seed(tmp_path):
    where = "{cases: N, content_layers: {conv2_2: 1.0}}"
    loaded = load_experiment(written(tmp_path, f"repeat: [{{where: {where}, seeds: [0, 1, 2, 1]}}]\n"))
    labels = [tuple(cell.label.values()) for cell in loaded.repeats]
    assert labels == [("N", alpha, {"conv2_2": 1}, seed) for alpha in (1e-3, 1e-2) for seed in (1, 2)]
    assert list(loaded.repeats[0].label) == ["cases", "alpha", "content_layers", "seed"]
    assert [cell.transfer.seed for cell in loaded.repeats] == [1, 2, 1, 2]
    assert {cell.transfer.start for cell in loaded.repeats} == {"noise"}
    assert not set(keys(loaded.repeats)) & set(keys(loaded.cells))
    assert not loaded.again
    assert loaded.fault(loaded.repeats[1], "seed", "x").field == "repeat.0.seeds"


def test_repeats_of_several_entries_have_each_transfer_once(tmp_path):
    loaded = load_experiment(written(tmp_path, "repeat: [{seeds: [1, 2]}, {where: {cases: A}, seeds: [2, 3]}]\n"))
    assert len(set(keys(loaded.repeats))) == len(loaded.repeats) == 4 * 2  # case A starts from the photograph
    assert not load_experiment(loaded.source, ["axes.seed=[0, 1, 2]"]).repeats


def test_seeds_repeat_only_what_starts_from_noise(tmp_path):
    """From another start the seed changes nothing: the same picture would be computed again under another id."""
    loaded = load_experiment(written(tmp_path, "repeat: [{seeds: [1]}]\n"))
    assert {cell.transfer.start for cell in loaded.cells} == {"content", "noise"}
    assert {cell.transfer.start for cell in loaded.repeats} == {"noise"}


def test_entry_without_seeds_computes_the_selected_cells_a_second_time(tmp_path):
    loaded = load_experiment(written(tmp_path, "repeat: [{where: {cases: A, alpha: 0.01}}, {where: {alpha: 1e-2}}]\n"))
    assert [cell.label["cases"] for cell in loaded.again] == ["A", "A", "N", "N"]
    assert set(keys(loaded.again)) < set(keys(loaded.cells)) and not loaded.repeats
    assert [cell.overrides for cell in loaded.again] == [
        cell.overrides for cell in loaded.cells if cell.label["alpha"] == 1e-2
    ]


def test_pasted_words_of_any_cell_give_that_cell_alone(tmp_path):
    path = written(tmp_path, "repeat: [{seeds: [1]}, {where: {cases: A}}]\nprofiles: {p: {transfer: {seed: 5}}}\n")
    for profile in (None, "p"):
        loaded = load_experiment(path, ["transfer.size=99"], profile)
        assert loaded.repeats and loaded.again
        for cell in (*loaded.cells, *loaded.repeats, *loaded.again):
            alone = load_experiment(path, cell.overrides)
            assert keys(alone.cells) == keys([cell])
            assert alone.repeats == alone.again == ()


def test_pinned_seed_drops_the_repeats_from_other_seeds(tmp_path):
    path = written(tmp_path, "repeat: [{seeds: [1]}, {where: {cases: A}}]\n")
    assert load_experiment(path, ["transfer.seed=7"]).experiment.repeat == (Repeat(where={"cases": "A"}),)
    assert len(load_experiment(path, ["transfer.seed=7", "repeat=[{seeds: [8]}]"]).repeats) == 4
    assert load_experiment(path, ["repeat="]).experiment.repeat == ()


def test_resolved_claims_read_back_as_the_same(tmp_path):
    change = {"on": "2026-01-31", "was": "by 0.1", "why": "w"}
    path = written(tmp_path, with_claim(by=0.05, of={"cases": "A"}, changed=[change]) + "repeat: [{seeds: [1]}]\n")
    loaded = load_experiment(path)
    again = Experiment.model_validate(yaml.safe_load(yaml.safe_dump(dict(loaded.data))))
    assert again.claims == loaded.experiment.claims and again.repeat == loaded.experiment.repeat
    assert again.claims[0].changed[0].on == "2026-01-31"
    assert keys(again.repeats()) == keys(loaded.repeats)


FAULTS = {
    "no reason": ({"because": None}, "because: is missing; give the reason of the bound"),
    "no place": ({"where": None}, "where: is missing; give the place in the paper, such as fig. 4"),
    "no such measure": ({"measure": "sim"}, "measure: got 'sim'; allowed: one of reference_content, "),
    "typo": ({"expct": "rises"}, "expct: there is no field 'expct'; did you mean expect?"),
    "expectation": ({"expect": "raises"}, "did you mean rises?"),
    "bound in quotes": ({"by": "0.1"}, "by: got '0.1'; allowed: a finite number ≥ 0; write it without quotes"),
    "small ratio": ({"factor": 0.5}, "factor: got 0.5; allowed: a finite number ≥ 1"),
    "two bounds": ({"factor": 2, "by": 1}, "factor: stands beside by; a bound is a difference or a ratio: drop one"),
    "along what": ({"along": None}, "along: is missing: along which label part it rises"),
    "along nothing": ({"along": "alpah"}, "along: nothing varies 'alpah'; did you mean alpha?"),
    "along a fixed field": ({"along": "beta"}, "nothing varies 'beta'; allowed: cases, alpha, content_layers"),
    "along one value": ({"of": {"alpha": 0.01}}, "along: alpha has one value here; nothing rises along it"),
    "along beside within": ({"expect": "within", "by": 1}, "along means nothing where the measure is expected"),
    "within what": ({"expect": "within", "along": None}, "by: is missing: the largest (max − min) / median"),
    "than beside rises": ({"than": {"cases": "A"}}, "than: than means nothing where the measure is expected to rise"),
    "factor of equal": ({"expect": "equal", "along": None, "factor": 2}, "expected to be equal; give by"),
    "greater than what": ({"expect": "greater_than", "along": None}, "than: is missing: give the runs to compare with"),
    "ratio to what": ({"expect": "greater_than", "along": None, "factor": 2}, "factor: a ratio to what?"),
    "part": ({"of": {"case": "A"}}, "of.case: nothing varies 'case'; did you mean cases?"),
    "label": ({"of": {"cases": "B"}}, "of.cases: no cell has cases 'B'; allowed: 'A', 'N'"),
    "value": ({"of": {"alpha": [0.01, 0.1]}}, "of.alpha: no cell has alpha 0.1; allowed: 0.001, 0.01"),
    "value in quotes": ({"of": {"alpha": "1e-2"}}, "no cell has alpha '1e-2'; write it without quotes"),
    "layers": ({"of": {"content_layers": {"conv3_2": 1}}}, "no cell has content_layers {conv3_2: 1}; allowed: {"),
    "nothing selected": ({"of": {"cases": []}}, "of.cases: selects nothing; give one of 'A', 'N'"),
    "no repeat": ({"measure": "repeat_distance", "along": None, "expect": "equal"}, "needs cells computed twice"),
    "to which": ({"measure": "gram_distance"}, "to: is missing: to which painting, as the transfers' style names it"),
    "to beside ssim": ({"to": "strokes"}, "to: to means nothing to ssim; drop it, or measure gram_distance"),
    "to no name": ({"measure": "gram_distance", "to": 3}, "to: got 3; allowed: a painting, as style names it"),
    "no seeds": ({"of": {"seed": 1}}, "nothing varies 'seed'"),
    "selector": ({"of": ["A"]}, "of: got [A]; allowed: a mapping of label parts to a value or a list of values"),
    "date": ({"changed": [{"on": "May", "was": "x", "why": "y"}]}, "on: got 'May'; allowed: a date such as 2026-01-31"),
}  # fmt: skip


@pytest.mark.parametrize("fields, sentence", FAULTS.values(), ids=FAULTS)
def test_fault_of_a_claim_is_one_sentence_at_its_line(tmp_path, fields, sentence):
    section = with_claim(**fields)
    [fault] = faults_of(written(tmp_path, section))
    assert sentence in fault
    line = int(fault.split(":")[1])
    assert LINES + 2 <= line <= LINES + section.count("\n") and "claims.0." in fault


@pytest.mark.parametrize(
    "section, sentence",
    [
        ("claims: {says: x}", "FILE:8: claims: got {says: x}; allowed: a list of {says: …"),
        ("claims: [3]", "FILE:8: claims: got 3; allowed: {says: …"),
        ("repeat: [{seeds: []}]", "FILE:8: repeat.0.seeds: got []; allowed: a list of integers ≥ 0, such as [1, 2]"),
        ("repeat: [{seeds: 1}]", "FILE:8: repeat.0.seeds: got 1; allowed: a list of integers ≥ 0, such as [1, 2]"),
        ("repeat: [{seed: [1]}]", "FILE:8: repeat.0.seed: there is no field 'seed'; did you mean seeds?"),
        ("repeat: [{where: {cases: a}}]", "FILE:8: repeat.0.where.cases: no cell has cases 'a'; did you mean A?"),
        ("repeat: [{seeds: [1], where: {seed: 1}}]", "FILE:8: repeat.0.where.seed: nothing varies 'seed'"),
        ("figure: {wrap: 0}", "FILE:8: figure.wrap: got 0; allowed: an integer ≥ 1"),
        ("figure: {wrap: 3, rows: alpha}", "FILE:8: figure.wrap: 3 panels to a line, yet alpha has the rows"),
    ],
)
def test_fault_of_a_section_is_one_sentence(tmp_path, section, sentence):
    [fault] = faults_of(written(tmp_path, section + "\n"))
    assert sentence in fault


MASKED = "{strokes: {mask: cup}, shards: {mask: table}}"
OF_GRAMS = {"measure": "gram_distance", "along": None, "expect": "greater_than", "by": 1}


@pytest.mark.parametrize(
    "grid, sentence",
    [
        ("transfer: {content: a, style: strokes}", "allowed: 'strokes'"),
        ("transfer: {content: a, style: {strokes: 1, shard: 1}}", "did you mean shard?"),
        ("transfer: {content: a, style: {strokes: 1, shards: 0}}", "allowed: 'strokes'"),
        ("transfer: {content: a, style: shards}\naxes: {style: [strokes, mosaic]}", "allowed: 'strokes', 'mosaic'"),
    ],
)
def test_painting_of_a_claim_is_one_of_the_cells(tmp_path, grid, sentence):
    [fault] = faults_of(written(tmp_path, with_claim(**OF_GRAMS, to="shards"), grid + "\n"))
    assert f"claims.0.to: no cell has the painting 'shards'; {sentence}" in fault
    assert fault.startswith(f"FILE:{grid.count(chr(10)) + 9}: ")


def test_painting_of_a_claim_may_come_from_any_cell_and_is_judged_by_the_file(tmp_path):
    claim = with_claim(**OF_GRAMS, to="shards")
    base = "transfer: {content: a, style: strokes}\n"
    for grid in ("axes: {style: [strokes, shards]}", "axes: {style.shards: [0, 0.5]}", "cases: {A: {style: shards}}"):
        path = written(tmp_path, claim, base + grid + "\n")
        load_experiment(path)
    assert len(load_experiment(path, ["transfer.style=mosaic", "cases="]).cells) == 1  # then it is not measured


def test_region_margin_needs_two_masked_paintings(tmp_path):
    claim = with_claim(**{**OF_GRAMS, "measure": "region_margin"})
    load_experiment(written(tmp_path, claim, f"transfer: {{content: a, style: {MASKED}}}\n"))
    one = MASKED.replace("{mask: table}", "1")
    [fault] = faults_of(written(tmp_path, claim, f"transfer: {{content: a, style: {one}}}\n"))
    assert "claims.0.measure: region_margin compares regions, and no cell has two paintings with a mask" in fault


def test_faults_of_claims_stand_in_one_report_with_the_others(tmp_path):
    path = written(tmp_path, with_claim(of={"alpha": 7}, measure="sism"), GRID.replace("seed: 0", "sed: 0"))
    faults = faults_of(path, ["transfer.steps=0"])
    assert len(faults) == 4
    assert "sed" in faults[0] and "sism" in faults[1] and "alpha 7" in faults[2] and "steps" in faults[3]


def test_claims_are_judged_by_the_axes_they_were_written_for(tmp_path):
    path = written(
        tmp_path,
        with_claim(of={"alpha": [1e-3, 1e-2], "cases": "A"}) + "repeat: [{where: {cases: N}, seeds: [1]}]\n"
        "profiles: {p: {axes: {beta: [1, 2]}, cases: null}}\n",
    )
    assert len(load_experiment(path, ["transfer.alpha=3", "cases="]).cells) == 2
    assert load_experiment(path, ["axes.alpha=[4, 5]"]).experiment.claims[0].of["alpha"] == [1e-3, 1e-2]
    loaded = load_experiment(path, profile="p")
    assert len(loaded.cells) == 2 and loaded.repeats == ()


def test_own_claims_of_a_profile_are_judged_by_its_axes(tmp_path):
    profile = "profiles:\n  p:\n    axes: {beta: [1, 2]}\n    repeat: [{where: {alpha: 1e-3}}]\n"
    path = written(tmp_path, profile)
    for asked in (None, "p"):
        [fault] = faults_of(path, profile=asked)
        assert "repeat.0.where.alpha: nothing varies 'alpha'; allowed: cases, beta" in fault
        assert fault.startswith("FILE:11: ")


def test_an_image_is_selected_by_its_stem_too() -> None:
    label = {"content": "photos/fox.jpg", "style": "ink", "alpha": 1.0}
    assert matches({"content": "fox"}, label) and matches({"content": ["a", "photos/fox.jpg"]}, label)
    assert not matches({"content": "fo"}, label) and not matches({"content": "jpg"}, label)
    assert not matches({"cases": "fox"}, {"cases": "photos/fox.jpg"}), "images alone have stems"


def test_claims_of_the_file_are_judged_whatever_words_follow(tmp_path):
    path = written(tmp_path, with_claim(along="alpah"))
    [fault] = faults_of(path, ["transfer.alpha=3"])
    assert "did you mean alpha?" in fault


def test_seed_of_a_repeat_can_be_selected(tmp_path):
    path = written(tmp_path, with_claim(of={"seed": [1, 2]}) + "repeat: [{seeds: [1, 2]}]\n")
    assert load_experiment(path).experiment.claims[0].of == {"seed": [1, 2]}


def test_claim_is_complete_with_few_words():
    claim = Claim(says="s", where="w", measure="total", expect="within", by=0.2, because="r")
    assert (claim.of, claim.than, claim.along, claim.factor, claim.changed) == (None, None, None, None, ())
