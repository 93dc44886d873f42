"""What W&B is told of several paintings, regularisers, sizes and quilting: one plain value for each thing compared."""

from __future__ import annotations

import json
import math

import pytest

from harness.config import Transfer
from harness.runs.store import Manifest
from harness.tracking.records import comparable, history_record, plain_field, run_config, run_name


def resolved(**fields):
    return Transfer(**{"content": "a/photo.png", "style": "b/one.png", "pyramid": (), **fields})


def test_what_a_run_is_compared_by_is_plain():
    style = {"one.png": 0.75, "b/two.png": {"weight": 0.25, "mask": "m.png"}}
    transfer = resolved(
        style=style, photorealism={"weight": 1e4, "first_stage": 9}, total_variation=0.5, smoothing=0.8,
        pyramid=[{"size": 64, "steps": 3}, {"size": 128, "steps": 3}], colours="recoloured",
    )  # fmt: skip
    found = comparable(transfer)
    assert all(isinstance(value, str | int | float) for value in found.values())
    assert found["style"] == "two.png 0.25 + one.png 0.75" and found["content"] == "photo.png"
    assert (found["photorealism"], found["total_variation"], found["smoothing"]) == (1e4, 0.5, 0.8)
    assert (found["sizes"], found["colours"], found["method"]) == ("64 128 512", "recoloured", "gatys")
    assert comparable(resolved())["style"] == "one.png" and "sizes" not in comparable(resolved())


def test_quilting_has_its_blocks_and_no_ratio_of_weights():
    found = comparable(resolved(method="quilting", quilting={"block": 20}))
    assert (found["method"], found["block"], found["seed"]) == ("quilting", 20, 0)
    assert not {"alpha_over_beta", "alpha", "start", "content_layer", "style_layers", "photorealism"} & set(found)
    assert "block" not in comparable(resolved())


def test_label_of_several_paintings_is_one_word_of_text():
    label = {"style": {"strokes": 0.75, "mosaic": 0.25}, "photorealism.weight": 10.0}
    config = run_config(resolved(), Manifest("id", "name", label=label))
    assert config["style"] == "strokes 0.75 + mosaic 0.25"
    assert config["photorealism_weight"] == 10.0
    assert config["transfer"]["photorealism"] == {"weight": 0.0, "first_stage": 0}
    json.dumps(config)
    assert run_name(label, "name") == "style=strokes 0.75 + mosaic 0.25 photorealism.weight=10.0"
    assert plain_field("style", "a/b.png") == "b.png" and plain_field("style", None) is None
    assert plain_field("pyramid", [{"size": 1}]) == '[{"size": 1}]'


def test_every_term_of_the_total_is_recorded_with_its_weight():
    transfer = resolved(alpha=2, beta=3, total_variation=0.5, photorealism={"weight": 10})
    row = {"evaluation": 1, "seconds": 0.5, "total": 20.0, "content": 1.0, "style": 2.0, "total_variation": 4.0,
           "photorealism": 1.0, "size": 64}  # fmt: skip
    record = history_record(row, transfer)
    weighted = {name.removeprefix("weighted/"): value for name, value in record.items() if name.startswith("weighted/")}
    assert weighted == {"content": 2.0, "style": 6.0, "total_variation": 2.0, "photorealism": 10.0}
    assert sum(weighted.values()) == record["loss/total"]
    assert (record["loss/total_variation"], record["loss/photorealism"], record["size"]) == (4.0, 1.0, 64)
    assert "weighted/photorealism" not in history_record({**row, "photorealism": math.nan}, transfer)


@pytest.mark.parametrize("content", [0.25, math.nan])
def test_quiltings_errors_are_no_weighted_terms(content):
    row = {"evaluation": 1, "seconds": 0.5, "total": 3.0, "content": content, "style": 2.0}
    record = history_record(row, resolved(method="quilting"))
    assert record["loss/total"] == 3.0 and ("loss/content" in record) == (content == content)
    assert not any(name.startswith("weighted/") for name in record)
