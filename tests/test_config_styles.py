"""Several paintings in a transfer, in axes, cases, overrides and a search; and the fields of the later methods."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.config import Transfer, load_experiment, load_sweep
from harness.config.fields import set_field
from harness.config.space import as_choices, fields_of, parameters
from harness.config.styles import image_slots, paintings_of, path_of_slot, shortest
from harness.config.transfer_parts import PyramidLevel

FILE = "transfer: {content: a, style: %s}\n%s"


def load(tmp_path, style="strokes", rest="", *words):
    (tmp_path / "a.yaml").write_text(FILE % (style, rest))
    return load_experiment(tmp_path / "a.yaml", words)


def styles(loaded):
    return [shortest(cell.transfer.plain()["style"]) for cell in loaded.cells]


def make(**fields):
    return Transfer(**{"content": "a", "style": "b", **fields})


def test_paintings_have_slots_weights_and_scales():
    transfer = make(style={"strokes": {"scale": 0.5, "mask": "cup", "own_mask": "half"}, "mosaic": 0.25}, style_scale=2)
    mosaic, strokes = paintings_of(transfer)
    assert (mosaic.slot, mosaic.image, mosaic.weight, mosaic.scale, mosaic.mask) == ("style.0", "mosaic", 0.25, 2, None)
    assert (strokes.slot, strokes.weight, strokes.scale) == ("style.1", 1.0, 1.0)
    assert (strokes.mask, strokes.own_mask) == ("style.1.mask", "style.1.own_mask")
    assert dict(image_slots(transfer)) == {
        "content": "a", "style.0": "mosaic", "style.1": "strokes", "style.1.mask": "cup", "style.1.own_mask": "half",
    }  # fmt: skip
    [alone] = paintings_of(make(style_scale=2))
    assert (alone.slot, alone.image, alone.weight, alone.scale) == ("style", "b", 1.0, 2)


def test_every_slot_has_the_field_that_names_it():
    transfers = [
        make(style={"a.b/c.jpg": {"mask": "m"}, "x": {"own_mask": "n"}}, start={"file": "s"}),
        make(segmentation={"content": "m", "style": "n"}),
    ]
    for transfer in transfers:
        for slot, image in image_slots(transfer):
            held = transfer.plain()
            *steps, last = path_of_slot(transfer, slot)
            for step in steps:
                held = held[step]
            assert image in (held[last], last)  # a painting is the key of its entry


def test_quilting_uses_two_images_only():
    fields = {"start": {"file": "s"}, "segmentation": {"content": "m", "style": "n"}, "method": "quilting"}
    assert [slot for slot, _ in image_slots(make(**fields))] == ["content", "style"]


names = st.sampled_from(["strokes", "mosaic", "a.jpg", "b c/d.png"])
parts = st.floats(0.1, 9) | st.fixed_dictionaries({}, optional={"weight": st.floats(0, 9), "mask": names})


@settings(deadline=None, max_examples=40)
@given(style=st.dictionaries(names, parts, min_size=1))
def test_shortest_spelling_means_the_same(style):
    transfer = make(style=style, beta=0)
    assert make(style=shortest(transfer.plain()["style"]), beta=0) == transfer
    assert make(style=dict(reversed(style.items())), beta=0) == transfer


def test_shortest_spelling_is_short():
    style = make(style={"strokes": 0.75, "mosaic": {"mask": "cup"}}).plain()["style"]
    assert shortest(style) == {"strokes": 0.75, "mosaic": {"mask": "cup"}}
    assert shortest("strokes") == "strokes"


@pytest.mark.parametrize(
    "before, dotted, value, after",
    [
        ("strokes", "style.mosaic", 0.5, {"strokes": 1.0, "mosaic": 0.5}),
        ("strokes", "style.strokes", 0.5, {"strokes": 0.5}),
        ({"a": {"mask": "m"}, "ink": 2}, "style.a", 0.5, {"a": {"mask": "m", "weight": 0.5}, "ink": 2}),
        ({"strokes": 0.5}, "style.strokes.mask", "m", {"strokes": {"weight": 0.5, "mask": "m"}}),
        ({"strokes": 0.5}, "style.ink", {"scale": 2}, {"strokes": 0.5, "ink": {"scale": 2}}),
    ],
)  # fmt: skip
def test_setting_one_painting_keeps_the_others_and_its_own_fields(before, dotted, value, after):
    assert make(style=set_field({"style": before}, dotted, value)["style"]) == make(style=after)


def test_paintings_in_axes_cases_and_words(tmp_path):
    axis = load(tmp_path, "strokes", "axes: {style.mosaic: [0, 0.5]}")
    assert styles(axis) == ["strokes", {"strokes": 1.0, "mosaic": 0.5}]
    case = load(tmp_path, "strokes", "cases: {A: {style.mosaic: 1, style.strokes: 3}, B: {style.ink.scale: 2}}")
    assert styles(case) == [{"strokes": 3.0, "mosaic": 1.0}, {"strokes": 1.0, "ink": {"scale": 2.0}}]
    assert styles(load(tmp_path, "strokes", "", "transfer.style.ink=2", "transfer.style.ink.mask=m")) == [
        {"strokes": 1.0, "ink": {"weight": 2.0, "mask": "m"}}
    ]
    assert styles(load(tmp_path, "strokes", "axes: {style.mosaic: [0, 0.5]}", "transfer.style.mosaic=2")) == [
        {"strokes": 1.0, "mosaic": 2.0}
    ]


def test_every_cell_comes_back_from_its_words(tmp_path):
    rest = (
        "axes: {style: [strokes, {strokes: 0.5, my file.jpg: {scale: 2, mask: m}}], photorealism.weight: [0, 1e4],"
        " segmentation: [null]}\nprofiles: {p: {transfer: {segmentation: {content: m, style: n}}}}"
    )
    loaded = load(tmp_path, "ink", rest)
    for cell in loaded.cells:
        [again] = load_experiment(loaded.source, cell.overrides).cells
        assert again.transfer == cell.transfer
    words = load(tmp_path, "ink", "axes: {segmentation: [null, {content: m, style: n}]}").cells[0].overrides
    assert words == ("transfer.segmentation=null",)


def test_mapping_of_one_painting_keeps_its_label(tmp_path):
    loaded = load(tmp_path, "ink", "axes: {style: [{strokes: 1}, {strokes: 1, mosaic: 0.5}]}")
    assert [cell.label["style"] for cell in loaded.cells] == [{"strokes": 1}, {"strokes": 1, "mosaic": 0.5}]
    assert loaded.cells[0].transfer.style == "strokes"


def test_fault_of_a_painting_found_later_points_at_its_line(tmp_path):
    text = "transfer:\n  content: a\n  style:\n    x.jpg: 1\n    y.jpg: {mask: m}\naxes: {seed: [0, 1]}\n"
    (tmp_path / "a.yaml").write_text(text)
    loaded = load_experiment(tmp_path / "a.yaml")
    transfer = loaded.cells[0].transfer
    for slot, line in (("style.0", 4), ("style.1", 5), ("style.1.mask", 5), ("content", 2)):
        fault = loaded.fault(loaded.cells[0], path_of_slot(transfer, slot), "x")
        assert fault.where == f"{tmp_path / 'a.yaml'}:{line}"


def test_seeds_are_repeated_where_blocks_are_drawn(tmp_path):
    rest = "cases: {G: {start: content}, Q: {method: quilting, start: content}}\nrepeat: [{seeds: [1]}]"
    loaded = load(tmp_path, "ink", rest)
    assert [cell.label for cell in loaded.repeats] == [{"cases": "Q", "seed": 1}]


def test_cases_that_a_method_makes_the_same_become_one(tmp_path):
    rest = "cases: {A: {method: gatys, alpha: 1}, B: {method: quilting, alpha: 1}, C: {method: quilting, alpha: 2}}"
    assert len(load(tmp_path, "ink", rest, "transfer.method=gatys").cells) == 2
    assert len(load(tmp_path, "ink", rest, "transfer.method=quilting").cells) == 1


SWEEP = (
    "transfer: {content: a, style: %s}\nobjectives: [reference_style]\n"
    "space: {style: {simplex: [strokes, mosaic, ink]}}"
)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.floats(1e-6, 1 - 1e-6), min_size=3, max_size=3))
def test_simplex_of_paintings_is_one_of_layers_weights(tmp_path_factory, draws):
    path = tmp_path_factory.mktemp("sweep") / "a.yaml"
    path.write_text(SWEEP % "ink")
    loaded = load_sweep(path)
    space = loaded.sweep.space
    assert list(parameters(space)) == ["u(style.strokes)", "u(style.mosaic)", "u(style.ink)"]
    fields = fields_of(space, dict(zip(parameters(space), draws, strict=True)))
    assert math.isclose(sum(fields["style"].values()), 1)
    assert all(weight > 0 for weight in fields["style"].values())
    cell = loaded.cell(fields, {"trial": 0})
    [pasted] = load_experiment(path, cell.overrides).cells
    assert pasted.transfer == cell.transfer


def test_simplex_would_drop_what_the_base_says_of_its_paintings(tmp_path):
    (tmp_path / "a.yaml").write_text(SWEEP % "{ink: {mask: m}}")
    with pytest.raises(Exception, match="would drop ink's mask; search style.strokes: {uniform"):
        load_sweep(tmp_path / "a.yaml")


def test_search_over_what_the_method_does_not_use_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "transfer: {content: a, style: b}\nobjectives: [reference_style]\nspace: {quilting.block: {integer: [9, 30]}}"
    )
    with pytest.raises(Exception, match="space.quilting.block: gatys does not use quilting.block; drop this line"):
        load_sweep(tmp_path / "a.yaml")


def test_choice_of_mappings_is_searched(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "transfer: {content: a, style: b}\nobjectives: [reference_style]\n"
        "space: {style: {choice: [strokes, {strokes: 0.5, mosaic: 0.5}]}, photorealism.weight: {log: [1, 1e5]}}"
    )
    space = load_sweep(tmp_path / "a.yaml").sweep.space
    for name, value in zip(
        as_choices(space["style"].choice), ("strokes", {"mosaic": 0.5, "strokes": 0.5}), strict=True
    ):
        params = {"style": name, "photorealism.weight": 10.0}
        assert fields_of(space, params) == {"style": value, "photorealism.weight": 10.0}


def test_levels_and_defaults_of_the_later_fields():
    transfer = Transfer(
        content="a", style="b", size=512, pyramid=[{"size": 128, "steps": 9}, {"size": 256, "steps": 5}]
    )
    assert transfer.pyramid == (PyramidLevel(size=128, steps=9), PyramidLevel(size=256, steps=5))
    assert (transfer.photorealism.weight, transfer.photorealism.first_stage, transfer.smoothing) == (0.0, 0, 0.0)
    assert (transfer.quilting.block, transfer.quilting.overlap) == (36, 1 / 6)
