"""A transfer's defaults, its layers, and what no field can see alone."""

import pytest
from pydantic import ValidationError

from harness.config import Transfer
from harness.config.layers import LAYERS, nearest_layer


def make(**fields):
    return Transfer(**{"content": "a", "style": "b", **fields})


def test_defaults_are_the_papers():
    transfer = make()
    assert transfer.alpha / transfer.beta == 1e-3
    assert transfer.content_layers == {"conv4_2": 1.0}
    assert transfer.style_layers == {f"conv{block}_1": 0.2 for block in range(1, 6)}
    assert (transfer.pooling, transfer.normalised, transfer.start, transfer.size) == ("average", True, "noise", 512)
    assert (transfer.optimiser.name, transfer.optimiser.history) == ("lbfgs", 20)


def test_layers_are_vgg19s_sixteen():
    assert list(LAYERS) == [f"conv{block}_{n}" for block, num in zip(range(1, 6), (2, 2, 4, 4, 4), strict=True)
                            for n in range(1, num + 1)]  # fmt: skip


@pytest.mark.parametrize(
    "name, layer",
    [("relu4_2", "conv4_2"), ("conv42", "conv4_2"), ("block4_conv2", "conv4_2"), ("r31", "conv3_1"),
     ("conv4-2", "conv4_2"), ("CONV5_1", "conv5_1"), ("conv1", "conv1_1"), ("pool", None), ("", None)],
)  # fmt: skip
def test_nearest_layer(name, layer):
    assert nearest_layer(name) == layer


def test_layers_stand_in_network_order():
    assert list(make(style_layers={"conv5_1": 1, "conv1_1": 0, "conv3_1": 2}).style_layers) == [
        "conv1_1",
        "conv3_1",
        "conv5_1",
    ]


@pytest.mark.parametrize("fields", [{"alpha": 0, "content_layers": {}}, {"beta": 0, "style_layers": {}},
                                    {"beta": 0, "style_layers": {"conv1_1": 0}}])  # fmt: skip
def test_side_without_weight_needs_no_layers(fields):
    assert set(fields) <= make(**fields).model_fields_set


@pytest.mark.parametrize("fields", [{"alpha": 0, "beta": 0}, {"content_layers": {}}, {"style_layers": {}},
                                    {"style_layers": {"conv1_1": 0, "conv2_1": 0.0}}])  # fmt: skip
def test_side_with_weight_needs_layers(fields):
    with pytest.raises(ValidationError):
        make(**fields)


def test_hash_is_lower_case():
    assert make(weights={"url": "http://a/b", "sha256": "ABCDEF01"}).weights.sha256 == "abcdef01"


def test_transfer_is_frozen():
    with pytest.raises(ValidationError):
        make().alpha = 2
