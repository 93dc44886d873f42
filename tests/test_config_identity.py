"""The id of a run: what enters, what does not, and that one value has one spelling."""

import hashlib
import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.config import Transfer, canonical_json, hashed_fields, load_experiment, run_id
from harness.config.identity import identity

HASHES = {"content": "c" * 64, "style": "5" * 64, "weights": "e" * 64}


def make(**fields):
    return Transfer(**{"content": "a", "style": "b", **fields})


def test_id_is_the_hash_of_the_whole_canonical_json():
    document = json.loads(canonical_json(identity(make(), HASHES)))
    assert set(document) == {*Transfer.model_fields, "numerics"}
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    assert run_id(make(), HASHES) == hashlib.sha256(text.encode()).hexdigest()[:12]


def test_changed_default_changes_run_id():
    class Changed(Transfer):
        steps: int = 400

    assert run_id(Changed(content="a", style="b"), HASHES) != run_id(make(), HASHES)
    assert run_id(Changed(content="a", style="b"), HASHES) == run_id(make(steps=400), HASHES)


def test_every_field_enters():
    other = {
        "style_scale": 2, "size": 100, "steps": 7, "start": "content", "seed": 1, "noise_sigma": 0.5,
        "content_layers": {"conv2_2": 1}, "style_layers": {"conv1_1": 1}, "alpha": 2, "beta": 2,
        "convention": "printed",
        "pooling": "max", "padding": "reflect", "normalised": False, "optimiser": "adam", "precision": "float64",
    }  # fmt: skip
    assert set(Transfer.model_fields) - set(other) == {"method", "content", "style", "weights"}  # one value, or hashed
    ids = [run_id(make(**{field: value}), HASHES) for field, value in other.items()]
    assert len({run_id(make(), HASHES), *ids}) == len(other) + 1


def test_names_do_not_enter_but_content_does():
    assert run_id(make(content="photo.jpg"), HASHES) == run_id(make(content="copy/of/photo.png"), HASHES)
    for field in HASHES:
        assert run_id(make(), {**HASHES, field: "0" * 64}) != run_id(make(), HASHES)


def test_weights_file_is_its_content_and_how_it_is_read():
    def weights(value):
        return run_id(make(weights=value), HASHES)

    assert weights({"file": "x.pth", "input": "caffe"}) == weights({"file": "y/z.pth", "input": "caffe"})
    assert weights({"file": "x.pth", "input": "caffe"}) == weights("caffe")
    assert weights({"url": "https://a/b", "sha256": "abcdef01", "input": "caffe"}) == weights("caffe")
    assert weights({"file": "x.pth", "input": "caffe"}) != weights({"file": "x.pth", "input": "torchvision"})


def test_start_file_is_its_content():
    hashes = {**HASHES, "start": "1" * 64}
    start = make(start={"file": "x.png"})
    assert hashed_fields(start) == ("content", "style", "weights", "start")
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


def test_field_added_later_enters_only_when_it_differs():
    added = {"pooling": "average", "optimiser.bounds": "source"}
    plain = identity(make(), HASHES, added_later=added)
    assert "pooling" not in plain and "bounds" not in plain["optimiser"]
    assert identity(make(pooling="max"), HASHES, added_later=added)["pooling"] == "max"
    bounded = identity(make(optimiser={"bounds": "unit"}), HASHES, added_later=added)
    assert bounded["optimiser"]["bounds"] == "unit"


def test_numerics_enters():
    assert identity(make(), HASHES, numerics=2) != identity(make(), HASHES, numerics=1)


def test_canonical_json_has_no_nan_and_keeps_integers():
    assert canonical_json({"b": 1, "a": [1e-3, -0.0, True, None, "ü"]}) == '{"a":[0.001,0.0,true,null,"ü"],"b":1}'
    with pytest.raises(ValueError):
        canonical_json(float("nan"))


def test_id_of_the_default_transfer_is_pinned():
    """Whoever changes a default or the spelling sees here that every id changes with it."""
    assert run_id(make(), HASHES) == "bff1da8bb24b"


def test_config_imports_neither_torch_nor_numpy():
    code = "import sys, harness.config; print({'torch', 'numpy', 'PIL'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
