"""The teacher: a full-width network to conv5_1, normalised as a run has it, average pooling and zero padding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from harness.downloads import OnBytes
from harness.errors import WeightsError
from harness.features.normalise import normalised_state
from harness.features.sources import WeightsSource
from harness.features.vgg import VGG, Padding, Pooling, with_all_filters
from harness.features.weights import LoadedWeights, load_state, require_layers

DEEPEST = "conv5_1"
POOLING: Pooling = "average"
PADDING: Padding = "zeros"


@dataclass(frozen=True)
class Teacher:
    """A network to learn from.

    Attributes:
        loaded: its weights as they were published.
        state: normalised.
    """

    loaded: LoadedWeights
    state: Mapping[str, Tensor]

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """Those that the student gets, in order."""
        return self.network(torch.device("cpu")).layers

    @cached_property
    def compared(self) -> dict[str, Tensor]:
        """Layer to the indices of the filters that its maps have, for layers where these are not all."""
        found = {layer: self.state.get(f"{layer}.compared") for layer in self.layers}
        return {layer: indices for layer, indices in found.items() if indices is not None}

    def num_compared(self, layer: str) -> int:
        """N of a layer."""
        return len(self.compared.get(layer, self.state[f"{layer}.bias"]))

    def network(self, device: torch.device) -> VGG:
        """As a run has it: its maps have the compared filters."""
        return VGG(self.state, DEEPEST, POOLING, PADDING).to(device)

    def whole_network(self, device: torch.device) -> VGG:
        """The same, its maps with all filters: those that are not compared feed the next layer too."""
        return VGG(with_all_filters(self.state), DEEPEST, POOLING, PADDING).to(device)


def load_teacher(source: WeightsSource, on_bytes: OnBytes | None = None) -> Teacher:
    """Load and normalise a network.

    Raises:
        WeightsError: it cannot be used, ends before conv5_1, or is itself a distilled one.
        DownloadError: it could not be downloaded.
    """
    loaded = load_state(source, on_bytes)
    require_layers(loaded.layers, [DEEPEST], loaded.description)
    if any(name.endswith(".readout") for name in loaded.state):
        raise WeightsError(
            f"{loaded.description} has read-outs: it was distilled itself. Name a full-width network: vgg16, or a file."
        )
    return Teacher(loaded, normalised_state(loaded))
