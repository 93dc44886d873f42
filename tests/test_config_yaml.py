"""YAML 1.2 scalars, anchors, merges, and that what is written reads back."""

import math

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.config.yaml_source import dump_yaml, flow, parse_document, parse_word


@pytest.mark.parametrize(
    "text, value",
    [
        ("1e3", 1000.0), ("1e-3", 1e-3), ("-1E+2", -100.0), (".5", 0.5), ("5.", 5.0), ("1.5", 1.5), ("12", 12),
        ("-3", -3), ("010", 10), ("0o17", 15), ("0x1f", 31), (".inf", math.inf), ("-.Inf", -math.inf),
        ("true", True), ("False", False), ("null", None), ("~", None), ("", None),
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"), ("1_000", "1_000"), ("12:30", "12:30"),
        ("2026-11-22", "2026-11-22"), ("1e", "1e"), ("'1e3'", "1e3"), ("!!str 5", "5"), ("none", "none"), ("=", "="),
    ],
)  # fmt: skip
def test_scalars_are_yaml_1_2(text, value):
    data, _, faults = parse_document(f"a: {text}", "f")
    assert faults == []
    assert data == {"a": value} and type(data["a"]) is type(value)


def test_lines_of_every_value_are_known():
    _, located, _ = parse_document("a:\n  b:\n    - 1\n    - {c: 2}\nd: 3\n", "f")
    lines = {path: located.where(path) for path in ("a", "a.b", "a.b.0", "a.b.1.c", "d", "a.x", "y")}
    assert lines == {"a": "f:1", "a.b": "f:2", "a.b.0": "f:3", "a.b.1.c": "f:4", "d": "f:5", "a.x": "f:1", "y": "f:1"}


def test_anchors_and_merges():
    data, located, faults = parse_document("x: &x {a: 1, b: 2}\ny:\n  b: 3\n  <<: *x\nz: *x\n", "f")
    assert faults == []
    assert data == {"x": {"a": 1, "b": 2}, "y": {"a": 1, "b": 3}, "z": {"a": 1, "b": 2}}
    assert located.where("y.b") == "f:3"


plain = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=12
)  # fmt: skip
trees = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=25)
@given(data=trees)
@example(data="\x85")
@example(data=["a\u2028b", "\u2029"])
def test_what_is_written_reads_back(data):
    assert parse_document(dump_yaml({"k": data}), "f")[0] == {"k": data}
    value, faults = parse_word(flow(data), "w")
    assert faults == [] and value == data and type(value) is type(data)


@pytest.mark.parametrize(
    "text", ["1e3", "yes", "null", "~", "0o7", "a #b", "a: b", "- a", "x\ny", "é😀", " a", "", "{", "#"]
)
def test_text_stays_text(text):
    assert parse_word(flow(text), "w") == (text, [])


def test_a_word_is_quoted_exactly_where_it_must_be():
    assert [flow(text) for text in ("yes", "photo.jpg", "1e3", "true")] == ["yes", "photo.jpg", "'1e3'", "'true'"]
    assert flow({"conv1_1": 0.2, "conv2_1": 1e-5}) == "{conv1_1: 0.2, conv2_1: 1e-05}"


def test_pyyaml_itself_is_left_alone():
    assert yaml.safe_load("[1e3, yes]") == ["1e3", True]
