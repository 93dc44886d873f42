"""The id of a run: what enters, what does not, and that one value has one spelling."""

import hashlib
import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plugin_files import loaded

from harness.config import Transfer, load_experiment
from harness.config.fields import FIELDS, set_field
from harness.config.identity import canonical_json, hashed_fields, identity, picture_key, run_id
from harness.config.methods import is_used
from harness.config.styles import image_slots

STATISTIC = "@harness.style_statistic('other')\nclass Other:\n    statistics = distance = len\n"
HASHES = {"content": "c" * 64, "style": "5" * 64, "weights": "e" * 64}


def make(**fields):
    return Transfer(**{"content": "a", "style": "b", **fields})


def id_of(transfer):
    """With every file's content being its name."""
    slots = dict(image_slots(transfer))
    return run_id(transfer, {slot: HASHES.get(slot, "") + slots.get(slot, "") for slot in hashed_fields(transfer)})


def test_id_is_the_hash_of_the_whole_canonical_json():
    document = json.loads(canonical_json(identity(make(), HASHES)))
    assert set(document) == {*Transfer.model_fields, "numerics"} - {"quilting", "transparency"}
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    assert run_id(make(), HASHES) == hashlib.sha256(text.encode()).hexdigest()[:12]


def test_changed_default_changes_run_id():
    class Changed(Transfer):
        steps: int = 400

    assert run_id(Changed(content="a", style="b"), HASHES) != run_id(make(), HASHES)
    assert run_id(Changed(content="a", style="b"), HASHES) == run_id(make(steps=400), HASHES)


def test_every_field_enters(tmp_path):
    other = {
        "style_scale": 2, "size": 100, "steps": 7, "start": "content", "seed": 1, "noise_sigma": 0.5,
        "noise_spectrum": "pink",
        "content_layers": {"conv2_2": 1}, "style_layers": {"conv1_1": 1}, "alpha": 2, "beta": 2,
        "convention": "printed",
        "pooling": "max", "padding": "reflect", "normalised": False, "optimiser": "adam", "precision": "float64",
        "colours": "luminance", "pyramid": [{"size": 64, "steps": 9}], "total_variation": 0.5, "smoothing": 0.5,
        "photorealism": {"weight": 1}, "method": "quilting", "style_statistic": "other", "terms": {"other": 1},
    }  # fmt: skip
    hashed = {"content", "style", "segmentation", "weights"}
    unused = {"quilting", "transparency"}  # which say nothing to gatys, and of an opaque photograph
    assert set(Transfer.model_fields) - set(other) == hashed | unused
    with loaded(tmp_path, STATISTIC + "harness.term('other')(len)"):
        ids = [id_of(make(**{field: value})) for field, value in other.items()]
    assert len({id_of(make()), *ids}) == len(other) + 1


def test_first_stage_enters_also_without_the_regulariser():
    assert id_of(make(photorealism={"first_stage": 9})) != id_of(make())


QUILTING = {
    "content": "other.png", "style": "other.png", "style_scale": 2, "colours": "recoloured", "size": 100, "seed": 1,
    "smoothing": 0.5,
    **{f"quilting.{name}": value for name, value in
       {"task": "synthesis", "block": 20, "overlap": 0.25, "tolerance": 0.2, "iterations": 1}.items()},
}  # fmt: skip


def test_id_of_a_quilted_picture_has_what_quilting_uses_and_nothing_else():
    plain = {"content": "a", "style": "b", "method": "quilting"}
    ids = {id_of(Transfer(**plain))}
    plain["quilting"] = {"iterations": 3}  # the default
    for field in set(FIELDS) - {"transparency"}:  # which says nothing of an opaque photograph
        names = [name for name in QUILTING if name.split(".")[0] == field]
        assert bool(names) == is_used("quilting", field) or field == "method"
        for name in names:
            ids.add(id_of(Transfer(**set_field(plain, name, QUILTING[name]))))
    assert len(ids) == len(QUILTING) + 1
    unused = {"alpha": 3, "steps": 1, "start": {"file": "x"}, "weights": {"file": "y"}, "pyramid": [],
              "segmentation": {"content": "m", "style": "n"}, "photorealism": {"weight": 1}}  # fmt: skip
    assert id_of(Transfer(**plain, **unused)) == id_of(Transfer(**plain))


def test_what_is_seen_of_the_images_enters_where_it_makes_another_picture():
    keep, white = make(), make(transparency="white")
    assert run_id(keep, HASHES) == run_id(white, HASHES)
    ids = {run_id(transfer, HASHES, seen) for transfer in (keep, white) for seen in ((), ("grey",), ("alpha",))}
    assert len(ids) == 1 + 1 + 2  # opaque in colour, in grey; with alpha kept, painted white
    assert run_id(keep, HASHES, ("alpha", "grey")) == run_id(keep, HASHES, frozenset({"grey", "alpha"}))


def test_synthesis_has_one_iteration_whatever_number_stands_there():
    one, other = (
        Transfer(content="a", style="b", method="quilting", quilting={"task": "synthesis", "iterations": n})
        for n in (1, 5)
    )
    assert id_of(one) == id_of(other) and picture_key(one) == picture_key(other)
    assert one.quilting.iterations == 1  # nothing was taken from the transfer itself


def test_paintings_enter_by_content_weight_scale_and_masks():
    both = {"strokes": 0.75, "mosaic": 0.25}
    masked = {"strokes": {"weight": 0.75, "mask": "m"}, "mosaic": 0.25}
    others = [
        {"strokes": 0.25, "mosaic": 0.75}, {"strokes": {"weight": 0.75, "scale": 2}, "mosaic": 0.25}, masked,
        {"strokes": {"weight": 0.75, "own_mask": "m"}, "mosaic": 0.25}, {"strokes": 0.75}, "strokes",
    ]  # fmt: skip
    assert len({id_of(make(style=style)) for style in (both, *others)}) == len(others) + 1
    assert id_of(make(style={"mosaic": 0.25, "strokes": 0.75})) == id_of(make(style=both))
    one = make(style=masked)
    hashes = {slot: slot for slot in hashed_fields(one)}
    assert set(hashes) == {"content", "weights", "style.0", "style.1", "style.1.mask"}  # by name: mosaic is the first
    assert run_id(one, {**hashes, "style.1.mask": "x"}) != run_id(one, hashes)
    assert run_id(one, {**hashes, "style.0": "x"}) != run_id(one, hashes)
    renamed = make(style={"strokes": {"weight": 0.75, "mask": "another/path"}, "mosaic": 0.25})
    assert run_id(renamed, hashes) == run_id(one, hashes)


def test_single_plain_painting_is_its_name():
    for style in ({"b": 1}, {"b": {"scale": 1}}, {"b": 1.0, "c": 0}):
        assert make(style=style) == make()
        assert run_id(make(style=style), HASHES) == run_id(make(), HASHES)


def test_segmentation_is_its_files_content():
    one = make(segmentation={"content": "x", "style": "y"})
    hashes = {slot: slot for slot in hashed_fields(one)}
    assert {"segmentation.content", "segmentation.style"} <= set(hashes)
    assert run_id(make(segmentation={"content": "v", "style": "w"}), hashes) == run_id(one, hashes)
    assert run_id(one, {**hashes, "segmentation.style": "z"}) != run_id(one, hashes)


def test_names_do_not_enter_but_content_does():
    assert run_id(make(content="photo.jpg"), HASHES) == run_id(make(content="copy/of/photo.png"), HASHES)
    for field in HASHES:
        assert run_id(make(), {**HASHES, field: "0" * 64}) != run_id(make(), HASHES)


def test_weights_are_their_network_however_they_are_spelled():
    spellings = (
        "caffe", "embedded", {"file": "x.pth", "input": "caffe"}, {"file": "y/z.pth"},
        {"url": "https://a/b", "sha256": "abcdef01", "input": "torchvision"},
    )  # fmt: skip
    assert {run_id(make(weights=weights), HASHES) for weights in spellings} == {run_id(make(), HASHES)}
    assert identity(make(), HASHES)["weights"] == HASHES["weights"]
    assert run_id(make(), {**HASHES, "weights": "dcbb9e9d"}) != run_id(make(), HASHES)


def test_start_file_is_its_content():
    hashes = {**HASHES, "start": "1" * 64}
    start = make(start={"file": "x.png"})
    assert set(hashed_fields(start)) == {"content", "style", "weights", "start"}
    assert run_id(start, hashes) == run_id(make(start={"file": "y.png"}), hashes)
    assert run_id(start, hashes) != run_id(start, {**hashes, "start": "2" * 64})


def test_missing_hash_is_refused():
    with pytest.raises(AssertionError):
        run_id(make(), {"content": "c"})


@pytest.mark.parametrize("one, other", [("1", "1.0"), ("1e-3", "0.001"), ("1e2", "100"), ("0", "-0.0"), ("5E-1", ".5")])
def test_one_number_has_one_id(tmp_path, one, other):
    ids = []
    for text in (one, other):
        path = tmp_path / "a.yaml"
        path.write_text(f"transfer: {{content: a, style: b, alpha: {text}}}")
        ids.append(run_id(load_experiment(path).cells[0].transfer, HASHES))
    assert ids[0] == ids[1]


def test_shorthand_has_the_same_id_as_what_it_stands_for():
    assert run_id(make(optimiser="lbfgs"), HASHES) == run_id(make(optimiser={"name": "lbfgs", "history": 20}), HASHES)


@settings(deadline=None, max_examples=20)
@given(st.permutations(["conv1_1", "conv2_1", "conv5_1"]), st.permutations(["alpha", "beta", "seed", "size"]))
def test_order_of_keys_never_matters(layers, fields):
    values = {"alpha": 1, "beta": 2, "seed": 3, "size": 64}
    weights = {"conv1_1": 1.0, "conv2_1": 2.0, "conv5_1": 3.0}
    shuffled = make(style_layers={name: weights[name] for name in layers}, **{name: values[name] for name in fields})
    assert run_id(shuffled, HASHES) == run_id(make(style_layers=weights, **values), HASHES)


def test_numerics_enters():
    assert identity(make(), HASHES, numerics=2) != identity(make(), HASHES, numerics=1)


def test_canonical_json_has_no_nan_and_keeps_integers():
    assert canonical_json({"b": 1, "a": [1e-3, -0.0, True, None, "ü"]}) == '{"a":[0.001,0.0,true,null,"ü"],"b":1}'
    with pytest.raises(ValueError):
        canonical_json(float("nan"))


def test_id_of_the_default_transfer_is_pinned():
    """Whoever changes a default or the spelling sees here that every id changes with it."""
    assert run_id(make(), HASHES) == "da2586c95561"


PINNED = [
    ({"alpha": 0.1, "beta": 2}, "8c233aa5c993"),
    ({"start": "content", "seed": 3, "size": 256, "steps": 7}, "60c0a8fc61b0"),
    ({"start": {"file": "x.png"}}, "73585f51bd15"),
    ({"weights": "caffe", "pooling": "max", "padding": "reflect", "normalised": False, "convention": "printed"},
     "dc40e8f7e187"),
    ({"weights": {"file": "w.pth", "input": "torchvision"}}, "da2586c95561"),
    ({"optimiser": "adam", "precision": "float64"}, "54f05e2150c7"),
    ({"optimiser": {"history": 5, "bounds": "none"}, "style_scale": 2, "noise_sigma": 0.5}, "d8caba058a34"),
    ({"content_layers": {"conv2_2": 1}, "style_layers": {"conv1_1": 1, "conv3_1": 0}}, "005869c5c122"),
    ({"alpha": 0, "content_layers": {}}, "c09a9489d04d"),
]  # fmt: skip


@pytest.mark.parametrize("fields, expected", PINNED)
def test_ids_are_pinned(fields, expected):
    hashes = {**HASHES, **({"start": "f" * 64} if isinstance(fields.get("start"), dict) else {})}
    assert run_id(make(**fields), hashes) == expected


def test_config_imports_neither_torch_nor_numpy():
    code = "import sys, harness.config; print({'torch', 'numpy', 'PIL'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
