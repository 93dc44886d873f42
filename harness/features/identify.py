"""Which network a source is, for a run's id: known from the file's hash once it has been read, so without torch.

A small JSON file in the cache folder for each weights file and input. It holds nothing that the file does not say: a
cache that is missing, damaged or cannot be written costs the time of reading the weights.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from harness.downloads import OnBytes, cache_folder, keep
from harness.features.fingerprint import network_hash
from harness.features.sources import (
    LocalWeights,
    NamedNetwork,
    NetworkInput,
    NetworkSource,
    WeightsSource,
    fetch,
    network_input_of,
)

VERSION = 2
"""To be raised when the same file would be read as another network: old records are then not read."""


@dataclass(frozen=True)
class Identified:
    """A source's network.

    Attributes:
        network: its hash (64 digits), which a run's id holds; see ``harness.features.fingerprint``.
        layers: held, in order.
        sha256: of the file; of a plugin's network the plugin's.
    """

    network: str
    layers: tuple[str, ...]
    sha256: str


def identify(source: NetworkSource, on_bytes: OnBytes | None = None) -> Identified:
    """Hash and layers of a source's network, downloaded where it must be.

    Args:
        source: where the weights come from.
        on_bytes: handed on to ``harness.downloads.download``.

    Raises:
        WeightsError: the weights cannot be found, read or used.
        DownloadError: they could not be downloaded, or have another hash.
        PluginError: a plugin's network cannot be made.
    """
    if isinstance(source, NamedNetwork):
        from harness.features.networks import plugin_network  # torch

        made = plugin_network(source.name)
        return Identified(made.sha256, made.layers, made.plugin.sha256 if made.plugin else made.sha256)
    local = fetch(source, on_bytes)
    if source == "embedded" and (packaged := _of_the_package(local)):
        return packaged
    network_input = network_input_of(source, local.sha256)
    record = _record_of(local, network_input)
    if (known := _read(record)) is None or known.sha256 != local.sha256:
        known = _measure(source, local)
        keep(record, json.dumps({**asdict(known), "digest": _digest(known)}).encode())
    return known


def _of_the_package(local: LocalWeights) -> Identified | None:
    """The embedded network, whose file has the canonical names: read in milliseconds, by numpy; None if damaged."""
    try:
        with safe_open(local.path, framework="numpy") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            normalised = (file.metadata() or {}).get("normalised")
    except (SafetensorError, OSError, ValueError):
        return None  # reading it in full gives the sentence
    layers = tuple(sorted({name.split(".")[0] for name in state} - {"input"}))
    return Identified(network_hash(state, normalised), layers, local.sha256)


def _measure(source: WeightsSource, local: LocalWeights) -> Identified:
    from harness.features.weights import load_local  # torch

    loaded = load_local(source, local)
    return Identified(loaded.network_hash, loaded.layers, local.sha256)


def _record_of(local: LocalWeights, network_input: NetworkInput | None) -> Path:
    key = hashlib.sha256(f"{VERSION} {local.sha256} {network_input}".encode()).hexdigest()
    return cache_folder() / "networks" / f"{key[:24]}.json"


def _read(path: Path) -> Identified | None:
    """A record; None where there is none or it is damaged (its own digest tells)."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        known = Identified(data["network"], tuple(data["layers"]), data["sha256"])
        return known if data["digest"] == _digest(known) else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _digest(known: Identified) -> str:
    return hashlib.sha256(f"{known.network} {','.join(known.layers)} {known.sha256}".encode()).hexdigest()
