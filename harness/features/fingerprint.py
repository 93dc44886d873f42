"""What a network is, in 64 digits: the same for every file that spells it, whatever its kind, keys and precision.

Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

CANONICAL = ("weight", "bias", "compared", "readout")
"""The parts of a layer that say what is computed."""


def network_hash(state: Mapping[str, Any], normalised: str | None = None) -> str:
    """SHA-256 of a network over its tensors in the form ``VGG`` takes: sorted names, shapes and values.

    Values are hashed as little-endian float32, indices as int64. A list of compared filters that has them all says
    nothing and does not count.

    Args:
        state: ``convB_I.weight|bias|compared|readout`` and ``input.weight|bias``, arrays or tensors on the CPU.
        normalised: ``pooling/padding`` for which its mean activations are said to be 1: for these it is used as it is,
            so that it makes another picture than the same tensors without the remark.

    Returns:
        64 hex digits.
    """
    digest = hashlib.sha256(f"normalised {normalised}\n".encode())
    for name in sorted(state):
        layer, part = name.rsplit(".", 1)
        assert part in CANONICAL, f"{name} is no tensor of a network in its canonical form"
        values = np.asarray(state[name])
        if part == "compared" and np.array_equal(values, np.arange(len(state[f"{layer}.weight"]))):
            continue
        values = np.ascontiguousarray(values, dtype="<i8" if part == "compared" else "<f4")
        digest.update(f"{name} {values.shape}\n".encode())
        digest.update(values.reshape(-1).data)
    return digest.hexdigest()
