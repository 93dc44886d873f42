"""Mean activations on disk, so that the same weights are measured once: a safetensors file per measurement."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from harness.downloads import cache_folder, keep

MEANS_VERSION = 3
"""To be raised when the same weights and photographs would give other means: old files are then not read."""


def means_file(measured_on: str, photographs: Iterable[Tensor]) -> Path:
    """Where the means of one measurement are kept.

    Args:
        measured_on: what they depend on besides the photographs: hash of the network, pooling, padding.
        photographs: the calibration set; every pixel counts.
    """
    key = hashlib.sha256(f"{MEANS_VERSION} {measured_on}".encode())
    for photograph in photographs:
        key.update(f" {tuple(photograph.shape)} ".encode())
        key.update(photograph.contiguous().numpy().tobytes())
    return cache_folder() / "means" / f"{key.hexdigest()[:24]}.safetensors"


def read_means(path: Path, layers: Iterable[str]) -> dict[str, Tensor] | None:
    """Layer to (N,) float64; None when there is no such file or it is damaged (its own digest tells)."""
    try:
        with safe_open(path, framework="pt") as file:
            means = {layer: file.get_tensor(layer) for layer in layers}
            return means if (file.metadata() or {}).get("digest") == _digest(means) else None
    except Exception:  # a cache that cannot be read, for whatever reason, is measured again
        return None


def write_means(path: Path, means: Mapping[str, Tensor]) -> None:
    """Keep the means for the next time."""
    keep(path, save(dict(means), metadata={"digest": _digest(means)}))


def _digest(means: Mapping[str, Tensor]) -> str:
    return hashlib.sha256(b"".join(means[layer].contiguous().numpy().tobytes() for layer in sorted(means))).hexdigest()
