"""The sixteen convolutions of VGG-19 by the paper's names, and the nearest one to what somebody wrote.

Simonyan & Zisserman 2015, table 1, column E; ``conv4_2`` means the map after its ReLU (Gatys et al. 2016, eq. 2).
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Literal, get_args

LayerName = Literal[
    "conv1_1", "conv1_2",
    "conv2_1", "conv2_2",
    "conv3_1", "conv3_2", "conv3_3", "conv3_4",
    "conv4_1", "conv4_2", "conv4_3", "conv4_4",
    "conv5_1", "conv5_2", "conv5_3", "conv5_4",
]  # fmt: skip

LAYERS: tuple[str, ...] = get_args(LayerName)
"""Every layer, in the order of the network."""


def nearest_layer(name: str) -> str | None:
    """The layer somebody probably meant: other projects write ``relu4_2``, ``conv42``, ``block4_conv2`` or ``r42``."""
    digits = re.findall(r"\d", name)
    if len(digits) == 2 and (layer := f"conv{digits[0]}_{digits[1]}") in LAYERS:
        return layer
    if len(digits) == 1 and (layer := f"conv{digits[0]}_1") in LAYERS:
        return layer
    close = get_close_matches(name.lower(), LAYERS, n=1, cutoff=0.6)
    return close[0] if close else None


def in_network_order(weights: dict[str, float]) -> dict[str, float]:
    """The same layer weights, shallow layers first, so that the order they were typed in shows nowhere."""
    return {layer: weights[layer] for layer in LAYERS if layer in weights}
