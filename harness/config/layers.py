"""The sixteen convolutions of VGG-19 by the paper's names, and the nearest one to what somebody wrote.

A plugin's network has names of its own.

Simonyan & Zisserman 2015, table 1, column E; ``conv4_2`` means the map after its ReLU (Gatys et al. 2016, eq. 2).
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Annotated

from pydantic import AfterValidator, ValidationInfo

from harness.config.values import WRITTEN
from harness.registries import network

LAYERS: tuple[str, ...] = (
    "conv1_1", "conv1_2",
    "conv2_1", "conv2_2",
    "conv3_1", "conv3_2", "conv3_3", "conv3_4",
    "conv4_1", "conv4_2", "conv4_3", "conv4_4",
    "conv5_1", "conv5_2", "conv5_3", "conv5_4",
)  # fmt: skip
"""Every layer, in the order of the network."""


def may_be_layer(name: str) -> bool:
    """Whether some network may have such a layer: VGG's are these; which a plugin's has is known once it is made."""
    return name in LAYERS or (bool(list(network)) and re.fullmatch(r"\w+", name) is not None)


def _layer(name: str, info: ValidationInfo) -> str:
    if not may_be_layer(name) and info.context != WRITTEN:
        raise ValueError("no layer")
    return name


LayerName = Annotated[str, AfterValidator(_layer)]


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
    """The same layer weights, shallow layers first, so that the order they were typed in shows nowhere.

    Those of another network than a VGG stand behind them, by name.
    """
    known = [layer for layer in LAYERS if layer in weights]
    return {layer: weights[layer] for layer in (*known, *sorted(weights.keys() - LAYERS))}
