"""Load network weights from any source into the form ``VGG`` takes.

Sources: the embedded network, torchvision's VGG-19, the original Caffe VGG-19 of Simonyan & Zisserman 2015, a file, or
a URL with its hash.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from harness.downloads import OnBytes
from harness.errors import WeightsError
from harness.features.fingerprint import network_hash
from harness.features.sources import (
    LocalWeights,
    WeightsSource,
    describe,
    fetch,
    network_input_of,
)
from harness.features.state import vgg_state
from harness.features.vgg import LAYERS, NETWORKS, layers_in, network_of
from harness.features.weights_file import read_tensors


@dataclass(frozen=True)
class LoadedWeights:
    """A network's weights as they were published.

    Attributes:
        state: ``convB_I.weight`` (N, C, 3, 3), ``convB_I.bias`` (N,), ``input.weight`` (3, 3, 1, 1) and ``input.bias``
            (3,), float32; for some layers ``convB_I.compared`` or ``convB_I.readout``: see ``VGG``.
        sha256: of the file's bytes, 64 hex digits.
        description: what the source is called in a sentence.
        normalised: ``pooling/padding`` the file's metadata says its mean activations are 1 for, e.g. ``average/zeros``.
    """

    state: dict[str, Tensor]
    sha256: str
    description: str
    normalised: str | None = None

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers held, in order."""
        return layers_in(self.state)

    @cached_property
    def network_hash(self) -> str:
        """Of what the weights say, however their file spells it: see ``harness.features.fingerprint``."""
        return network_hash(self.state, self.normalised)


def load_state(source: WeightsSource, on_bytes: OnBytes | None = None) -> LoadedWeights:
    """The weights of a source, downloaded where they must be.

    Args:
        source: ``embedded``, ``torchvision``, ``caffe``, a ``WeightsFile`` or a ``WeightsURL``. Their ``input`` may be
            left out for a file with a known hash or with its own ``input.weight``.
        on_bytes: handed on to ``harness.downloads.download``.

    Raises:
        WeightsError: the weights cannot be found, read or used.
        DownloadError: they could not be downloaded, or have another hash.
    """
    return load_local(source, fetch(source, on_bytes))


def load_local(source: WeightsSource, local: LocalWeights) -> LoadedWeights:
    """The weights of a source whose file is here.

    Raises:
        WeightsError: they cannot be read or used.
    """
    tensors, metadata = read_tensors(local.path)
    state = vgg_state(tensors, network_input_of(source, local.sha256), describe(source))
    return LoadedWeights(state, local.sha256, describe(source), metadata.get("normalised"))


def require_layers(held: Iterable[str], wanted: Iterable[str], description: str) -> None:
    """Check that weights reach every layer asked for.

    Args:
        held: the layers of the weights.
        wanted: the layers a transfer names.
        description: what the weights are called, e.g. ``the embedded network``.

    Raises:
        WeightsError: a layer that no VGG has, that this one has not, or that is beyond the weights' last.
    """
    held = tuple(held)
    network = network_of(held)
    for layer in wanted:
        if layer not in LAYERS:
            near = difflib.get_close_matches(layer, LAYERS, n=1)
            meant = f" Did you mean {near[0]}?" if near else ""
            raise WeightsError(f"{layer!r} is no layer of VGG-19; its layers are {', '.join(LAYERS)}.{meant}")
        if layer not in NETWORKS[network]:
            raise WeightsError(
                f"{layer} is no layer of {network}, which {description} is: there are {', '.join(held)}. Choose one of "
                "these, or weights of VGG-19 (torchvision, caffe)."
            )
        if layer not in held:
            raise WeightsError(
                f"{layer} is beyond these weights: {description} ends at {held[-1]}. Choose layers up to {held[-1]}, "
                "or weights that reach further (torchvision, caffe)."
            )
