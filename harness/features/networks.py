"""Feature networks by name: a user's, and any model of torchvision's by the names of its nodes.

    @harness.network("resnet18")
    def resnet18():
        model = torchvision.models.resnet18(weights="IMAGENET1K_V1")
        return harness.node_network(model, {"first": "relu", "early": "layer1", "late": "layer3"})

    transfer: {weights: {network: resnet18}, content_layers: {late: 1}, style_layers: {first: 0.5, early: 0.5}, …}

A network is anything with ``layers``, names in its order, and ``forward(images, layers)``, which takes (B, 3, H, W)
sRGB in [0, 1] and gives the map (B, N, h, w) of each layer asked for; each row's must depend on its own image alone.
Its maps are compared as they are (nothing is normalised, and a transfer's ``pooling`` and ``padding`` say nothing to
it), and images go through it as a whole, never in tiles. Shapes: B rows, N = N_l filters, h × w positions.
"""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.errors import PluginError, WeightsError
from harness.features.sources import NetworkInput
from harness.features.state import input_convolution
from harness.features.vgg import ReadOut
from harness.registries import Registered, blame, blamed, network

PROBE_SIZE_PX = 128
"""Longer side at most of the image on which the memory of a pass is measured."""


class Network(Protocol):
    """What the objective asks of a network."""

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of its layers, in order."""

    def __call__(self, images: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """(B, 3, H, W) sRGB in [0, 1] to the (B, N, h, w) map of each layer asked for."""

    def maps(self, images: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """The same before what is compared is read out of them (``read_out``)."""

    def read_out(self, layer: str) -> ReadOut | None:
        """What is compared of a layer's map; None: the map itself."""

    def shapes(self, layers: Iterable[str], height: int, width: int) -> dict[str, tuple[int, int, int]]:
        """Filters, height and width of layers' maps for an image of that size."""


class PluginNetwork(nn.Module):
    """A network of the registry, frozen, its faults reported with the plugin's own line.

    Args:
        held: as it is registered.

    Attributes:
        layers: in order.
        sha256: over its parameters and buffers, names and values, 64 hex digits.

    Raises:
        PluginError: it cannot be made, or is no network.
    """

    def __init__(self, held: Registered[Any]) -> None:
        super().__init__()
        self.name, self.plugin, self._make = held.name, held.plugin, held.what
        self._told = f"in the network {held.name!r}"
        with blamed(held.plugin, self._told):
            made = held.what()
        layers = getattr(made, "layers", None)
        if not callable(getattr(made, "forward", None)) or not isinstance(layers, Sequence):
            raise self._wrong(f"is of type {type(made).__name__}, without layers and forward(images, layers)")
        bad = [layer for layer in layers if not (isinstance(layer, str) and re.fullmatch(r"\w+", layer))]
        if bad or not layers or len(set(layers)) < len(layers):
            raise self._wrong(
                f"has the layers {', '.join(map(str, layers)) or 'none'}; allowed: one or more different names of "
                "letters, digits and underscores"
            )
        self.layers = tuple(layers)
        if isinstance(made, nn.Module):
            made.eval().requires_grad_(False)
        self._made = made
        self._rounds = False
        self._shapes: dict[tuple[str, int, int], tuple[int, int, int]] = {}
        self.sha256 = _sha256(self.state_dict())

    def in_precision(self, dtype: torch.dtype, rounds: bool) -> PluginNetwork:
        """The same network, in that type; where it rounds, what torch's autocast knows is computed in bfloat16."""
        found = copy.copy(self)  # of the same parameters
        found._rounds = rounds
        return found.to(dtype)

    def check_is(self, sha256: str) -> None:
        """Raise a ``PluginError`` where this is not the network of that hash, which a run's id holds."""
        if self.sha256 != sha256:
            raise self._wrong(
                "has other weights each time it is made; allowed: the same ones (torch.manual_seed before random ones)"
            )

    def forward(self, images: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """The maps of the layers asked for.

        Raises:
            PluginError: it fails, or gives other than (B, N, h, w) for each of them, with a gradient.
        """
        wanted = [layer for layer in self.layers if layer in set(layers)]
        if not wanted:
            return {}
        rounded = torch.autocast(images.device.type, torch.bfloat16, enabled=self._rounds)
        with blamed(self.plugin, self._told), rounded:
            maps = self._made.forward(images, wanted)
        if not isinstance(maps, Mapping) or set(wanted) - set(maps):
            there = ", ".join(map(str, maps)) if isinstance(maps, Mapping) else type(maps).__name__
            raise self._wrong(f"gave {there} for the layers {', '.join(wanted)}; allowed: a mapping that has them all")
        for layer in wanted:
            features = maps[layer]
            if not isinstance(features, Tensor) or features.dim() != 4 or len(features) != len(images):
                given = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
                raise self._wrong(f"gave {given} for {layer}; allowed: a tensor ({len(images)}, N, h, w)")
            if images.requires_grad and torch.is_grad_enabled() and not features.requires_grad:
                raise self._wrong(f"gave {layer} without a gradient; it must be differentiable in the images")
        return {layer: maps[layer].to(images.dtype) if self._rounds else maps[layer] for layer in wanted}

    def maps(self, images: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """As ``forward``."""
        found: dict[str, Tensor] = self(images, layers)
        return found

    def read_out(self, layer: str) -> None:
        """Its maps are compared as they are."""

    def shapes(self, layers: Iterable[str], height: int, width: int) -> dict[str, tuple[int, int, int]]:
        """Filters, height and width of layers' maps, by a pass of a grey image of that size.

        Raises:
            PluginError: it fails for that size, or its maps are not finite.
        """
        wanted = [layer for layer in self.layers if layer in set(layers)]
        if any((layer, height, width) not in self._shapes for layer in wanted):
            with torch.no_grad():
                maps = self(self._grey(height, width), wanted)
            for layer, features in maps.items():
                if not bool(features.isfinite().all()):
                    raise self._wrong(f"gave values of {layer} that are not finite for a grey image")
                self._shapes[layer, height, width] = features.shape[1], features.shape[2], features.shape[3]
        return {layer: self._shapes[layer, height, width] for layer in wanted}

    def pass_bytes(self, layers: Iterable[str], height: int, width: int, itemsize: int) -> int:
        """About what autograd keeps of a pass, in bytes: measured on a smaller image, in proportion to the area."""
        scale = min(1.0, PROBE_SIZE_PX / max(height, width))
        h, w = max(1, round(scale * height)), max(1, round(scale * width))
        try:
            numbers = self._numbers_kept(layers, h, w)
        except PluginError:  # a network of one size, or of large ones
            h, w = height, width
            numbers = self._numbers_kept(layers, h, w)
        return round(numbers * itemsize * height * width / (h * w))

    def _numbers_kept(self, layers: Iterable[str], height: int, width: int) -> int:
        kept: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes() // tensor.element_size()
            return tensor

        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            maps: dict[str, Tensor] = self(self._grey(height, width).requires_grad_(), layers)
        own = {tensor.untyped_storage().data_ptr() for tensor in (*self.parameters(), *self.buffers())}
        weighed: int = 2 * sum(features.numel() for features in maps.values())
        return weighed + sum(size for pointer, size in kept.items() if pointer not in own)

    def _grey(self, height: int, width: int) -> Tensor:
        """Where its own parameters are, and in their precision."""
        like = next((p for p in self.parameters() if p.is_floating_point()), torch.empty(0))
        return like.new_full((1, 3, height, width), 0.5)

    def _wrong(self, sentence: str) -> Exception:
        return blame(self.plugin, self._make, f"the network {self.name!r} {sentence}")


def plugin_network(name: str) -> PluginNetwork:
    """A network of the registry; the last one is kept.

    Raises:
        UsageError: there is none of that name.
        PluginError: it cannot be made.
    """
    return _made(network.registered(name))


@lru_cache(maxsize=1)
def _made(held: Registered[Any]) -> PluginNetwork:
    return PluginNetwork(held)


def require_named_layers(held: Sequence[str], wanted: Iterable[str], description: str) -> None:
    """Check that a plugin's network has every layer asked for; arguments as of ``require_layers``.

    Raises:
        WeightsError: it has not.
    """
    for layer in wanted:
        if layer not in held:
            near = get_close_matches(layer, held, n=1)
            meant = f"; did you mean {near[0]}?" if near else "."
            raise WeightsError(f"{layer} is no layer of {description}; there are {', '.join(held)}{meant}")


def _sha256(state: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(state):
        values = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tuple(values.shape)} {values.dtype}\n".encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


class NodeNetwork(nn.Module):
    """See ``node_network``."""

    def __init__(self, model: nn.Module, layers: Mapping[str, str], network_input: NetworkInput | None) -> None:
        super().__init__()
        from torchvision.models.feature_extraction import create_feature_extractor  # 2 s, for those who have one

        self.layers = tuple(layers)
        self._extractor = create_feature_extractor(model.eval(), {node: name for name, node in layers.items()})
        for module in self._extractor.modules():
            if getattr(module, "inplace", False):
                module.inplace = False  # else it would write over the map that was asked for
        weight, bias = (
            input_convolution(network_input) if network_input else (torch.eye(3)[:, :, None, None], torch.zeros(3))
        )
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, images: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """All its maps, whichever are asked for: up to the deepest one they are computed in any case."""
        found: dict[str, Tensor] = self._extractor(
            functional.conv2d(images, self.get_buffer("weight"), self.get_buffer("bias"))
        )
        return found


def node_network(
    model: nn.Module, layers: Mapping[str, str], input: NetworkInput | None = "torchvision"
) -> NodeNetwork:
    """A network of any of torchvision's models, or of another that torch.fx can trace, from the names of its nodes.

    Args:
        model: it is put into evaluation mode.
        layers: the names that a transfer gives, in the model's order, to the nodes whose output they mean, such as
            ``{"early": "layer1", "late": "layer3"}``; ``torchvision.models.feature_extraction.get_graph_node_names``
            lists a model's nodes.
        input: what the model takes: ``torchvision`` (by ImageNet's mean and standard deviation), ``caffe`` (blue,
            green, red, from 0 to 255, less the mean), or None: sRGB in [0, 1] as it is.

    Raises:
        ValueError: the model has no such node.
    """
    return NodeNetwork(model, layers, input)
