"""The id of a run: what its result depends on, and nothing else.

The whole resolved transfer is hashed, not its difference from the defaults: with the difference, a changed default
would leave old ids standing for new pictures.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from harness.config.transfer import StartFile, Transfer, WeightsFile, WeightsUrl

NUMERICS = 1
"""Raise by one whenever the same transfer would give another picture: another resize, another order of summation,
another embedded start, another default inside an algorithm. Not for speed, names, logging or file formats."""

ADDED_LATER: Mapping[str, Any] = MappingProxyType({})
"""Fields that came after version 1, with the value that means "as before": they enter the id only when they differ, so
that ids from before they existed stay valid. Keys are dotted fields (``optimiser.preconditioner``)."""

_INPUT_OF_NAME = {"embedded": None, "torchvision": "torchvision", "caffe": "caffe"}


def canonical_json(data: Any) -> str:
    """JSON with one spelling per value: sorted keys, no spaces, floats by ``repr`` (−0.0 as 0.0), integers as such.

    Raises:
        ValueError: at NaN or an infinity, which JSON does not have.
    """
    return json.dumps(_plain(data), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _plain(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {str(key): _plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_plain(value) for value in data]
    return data + 0.0 if isinstance(data, float) else data


def hashed_fields(transfer: Transfer) -> tuple[str, ...]:
    """The fields whose content enters the id in place of their name: ``content``, ``style``, ``weights``, ``start``.

    ``start`` only where it is a file.
    """
    return ("content", "style", "weights", *(("start",) if isinstance(transfer.start, StartFile) else ()))


def identity(
    transfer: Transfer,
    content_hashes: Mapping[str, str],
    numerics: int = NUMERICS,
    added_later: Mapping[str, Any] = ADDED_LATER,
) -> dict[str, Any]:
    """The data whose hash is the id.

    Args:
        transfer: a resolved transfer.
        content_hashes: for each of ``hashed_fields(transfer)`` the SHA-256 of what it names.
        numerics: version of the arithmetic.
        added_later: fields to leave out at their "as before" value.
    """
    needed = hashed_fields(transfer)
    assert set(content_hashes) == set(needed), f"content hashes of {needed} are needed, got {sorted(content_hashes)}"
    data: dict[str, Any] = {**transfer.model_dump(), **content_hashes, "numerics": numerics}
    weights = transfer.weights
    reading = weights.input if isinstance(weights, WeightsFile | WeightsUrl) else _INPUT_OF_NAME[weights]
    data["weights"] = {"content": content_hashes["weights"], "input": reading}  # the same file read otherwise differs
    if isinstance(transfer.start, StartFile):
        data["start"] = {"file": content_hashes["start"]}
    for dotted, as_before in added_later.items():
        *parents, last = dotted.split(".")
        holder: Any = data
        for step in parents:
            holder = holder.get(step) if isinstance(holder, dict) else None
        if isinstance(holder, dict) and last in holder and canonical_json(holder[last]) == canonical_json(as_before):
            del holder[last]
    return data


def run_id(transfer: Transfer, content_hashes: Mapping[str, str]) -> str:
    """The first 12 hexadecimal digits of the SHA-256 of the canonical JSON of ``identity``."""
    return hashlib.sha256(canonical_json(identity(transfer, content_hashes)).encode()).hexdigest()[:12]
