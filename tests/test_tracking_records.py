"""What W&B is told of several paintings, regularisers, sizes and quilting: one plain value for each thing compared."""

from __future__ import annotations

import json
import math

import pytest

from harness.config import Transfer
from harness.measures.names import METRICS
from harness.runs.store import Manifest
from harness.tracking.records import (
    comparable,
    history_record,
    init_arguments,
    plain_field,
    run_config,
    run_name,
    summary_record,
)


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
    assert found["style_image"] == "two 0.25 + one 0.75" and found["content_image"] == "photo"
    assert (found["photorealism_weight"], found["total_variation_weight"], found["smoothing"]) == (1e4, 0.5, 0.8)
    assert (found["sizes"], found["colours"], found["method"]) == ("64 128 512", "recoloured", "gatys")
    assert comparable(resolved())["style_image"] == "one" and "sizes" not in comparable(resolved())


def test_quilting_has_its_blocks_and_no_ratio_of_weights():
    found = comparable(resolved(method="quilting", quilting={"block": 20}))
    assert (found["method"], found["quilting_block"], found["seed"]) == ("quilting", 20, 0)
    assert not {"alpha_over_beta", "alpha", "start", "content_layers", "style_layers", "photorealism_weight"} & set(
        found
    )
    assert "quilting_block" not in comparable(resolved())


def test_label_of_several_paintings_is_one_word_of_text():
    label = {"style": {"strokes": 0.75, "mosaic": 0.25}, "photorealism.weight": 10.0}
    transfer = resolved(style=label["style"], photorealism={"weight": 10.0})
    config = run_config(transfer, Manifest("id", "name", label=label))
    assert config["style_image"] == "mosaic 0.25 + strokes 0.75"
    assert config["photorealism_weight"] == 10.0
    assert config["transfer"]["photorealism"] == {"weight": 10.0, "first_stage": 0}
    json.dumps(config)
    assert run_name(label, "name") == "style=strokes 0.75 + mosaic 0.25 photorealism.weight=10.0"
    assert plain_field("style", "a/b.png") == "b" and plain_field("style", None) is None
    assert plain_field("pyramid", [{"size": 1}]) == '[{"size": 1}]'


def test_files_of_one_stem_are_told_apart():
    label = {"style": "b/one.png", "start": {"file": "c/first.png"}}
    alike = {"b/one.png": "b/one", "c/one.png": "c/one"}
    manifest = Manifest("id", "name", label=label, tracking={"file_names": alike})
    config = run_config(resolved(), manifest)
    assert (config["style_image"], config["content_image"], config["start"]) == ("b/one", "photo", "noise")
    assert init_arguments("name", manifest)["name"] == config["cell"] == "style=b/one start=first"
    assert "tracking" not in config and "style=one start=first" == run_name(label, "name")
    two = resolved(style={"b/one.png": 0.75, "c/one.png": 0.25})
    assert comparable(two, alike)["style_image"] == "b/one 0.75 + c/one 0.25"


def test_every_term_of_the_total_is_recorded_with_its_weight():
    transfer = resolved(alpha=2, beta=3, total_variation=0.5, photorealism={"weight": 10})
    row = {"evaluation": 1, "seconds": 0.5, "total": 20.0, "content": 1.0, "style": 2.0, "total_variation": 4.0,
           "photorealism": 1.0, "size": 64}  # fmt: skip
    record = history_record(row, transfer)
    weighted = {name.removeprefix("weighted/"): value for name, value in record.items() if name.startswith("weighted/")}
    assert weighted == {"content": 2.0, "style": 6.0, "total_variation": 2.0, "photorealism": 10.0}
    assert sum(weighted.values()) == record["loss/total"]
    assert (record["loss/total_variation"], record["loss/photorealism"], record["level_size"]) == (4.0, 1.0, 64)
    assert "weighted/photorealism" not in history_record({**row, "photorealism": math.nan}, transfer)


@pytest.mark.parametrize("content", [0.25, math.nan])
def test_quiltings_errors_are_no_weighted_terms(content):
    row = {"evaluation": 1, "seconds": 0.5, "total": 3.0, "content": content, "style": 2.0}
    record = history_record(row, resolved(method="quilting"))
    assert record["loss/total"] == 3.0 and ("loss/content" in record) == (content == content)
    assert not any(name.startswith("weighted/") for name in record)


@pytest.mark.parametrize("method", ["gatys", "quilting"])
def test_no_name_means_two_things(method):
    """Configuration, history and summary share W&B's tables and axes: a name there is one thing."""
    transfer = resolved(
        method=method, photorealism={"weight": 10.0}, total_variation=0.5,
        pyramid=[{"size": 64, "steps": 3}, {"size": 128, "steps": 3}],
    )  # fmt: skip
    label = {name: value for name, value in transfer.plain().items()} | {"cases": "A", "optimiser.history": 10}
    metrics = {
        "total": 2.0,
        "content": 1.0,
        "style": 0.5,
        "a plugin's": 0.1,
        "size": 3.0,
        **dict.fromkeys(METRICS, 0.5),
    }
    trial = {"study": "s", "number": 7, "params": {"alpha": 1e-3}, "distributions": {}}
    provenance = {"device": "cpu", "peak_memory_mb": 700}
    manifest = Manifest("id", "fig4", label=label, metrics=metrics, trials=(trial,), provenance=provenance, reason="so")
    line = {"evaluation": 1, "seconds": 0.5, "total": 2.0, "content": 1.0, "style": 0.5, "style/conv1_1": 0.5,
            "total_variation": 1.0, "photorealism": 1.0, "gradient_share/content": 0.5, "size": 64}  # fmt: skip
    config, history = run_config(transfer, manifest, "grid"), history_record(line, transfer)
    summary = summary_record(transfer, manifest, history)
    assert not set(config) & (set(history) | set(summary))
    assert set(history) & set(summary) - {"seconds"} == {name for name in history if "/" in name}, "the same losses"
    assert not {"content", "style", "total"} & {*config, *history, *summary}
    assert (summary["loss/style"], summary["measure/size"], summary["peak_memory_mb"]) == (0.5, 3.0, 700)


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ({"conv1_1": 0.5, "conv2_1": 0.0, "conv3_1": 0.5}, "conv1_1 conv3_1"),
        ({"conv1_1": 0.2, "conv3_1": 0.8}, "conv1_1 0.2 conv3_1 0.8"),
        ({"conv1_1": 0.0}, "none"),
    ],
)
def test_layers_are_told_with_weights_where_these_differ(weights, told):
    assert plain_field("style_layers", weights) == told
    config = run_config(resolved(style_layers=weights, beta=0 if told == "none" else 1), Manifest("id", "x"))
    assert config["style_layers"] == told


def test_cells_of_other_seeds_are_one_cell():
    labels = [{"alpha": 0.1}, {"alpha": 0.1, "seed": 2}, {"trial": 3, "alpha": 0.1}]
    assert {run_config(resolved(), Manifest("id", "x", label=label))["cell"] for label in labels} == {"alpha=0.1"}
    assert run_config(resolved(), Manifest("id", "x", label={"seed": 1}))["cell"] == "x"
