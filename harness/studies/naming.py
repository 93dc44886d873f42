"""A study's name: the file's stem and a hash of all that decides which trials may be compared."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from harness.config.identity import canonical_json

STORED = 2
"""How parameters are stored; raised when that changes, so that a study in which it was otherwise is another one."""


def study_name(
    stem: str,
    base: Mapping[str, Any],
    varied: Mapping[str, Any],
    objectives: Sequence[Any],
    sampler: Mapping[str, Any] | None = None,
    pruner: Mapping[str, Any] | None = None,
) -> str:
    """``<stem>-<8 hexadecimal digits>``; what is left out (budget, parallel, devices, figure) may change in a study.

    The order of fields and parameters does not matter: no sampler depends on it.

    Args:
        stem: of the file, e.g. ``pareto``.
        base: the base transfer as plain data, with the hashes of its files where names stand for files.
        varied: all that makes the trials out of the base: axes and cases (and repeats), or the space's parameters.
        objectives: what is minimised, or maximised, as plain data.
        sampler: as plain data, with its seed; None for a grid.
        pruner: as plain data; None for a grid or where there is none.
    """
    data = {
        "base": base,
        "varied": varied,
        "objectives": list(objectives),
        "sampler": sampler,
        "pruner": pruner,
        "stored": STORED,
    }
    return f"{stem}-{hashlib.sha256(canonical_json(data).encode()).hexdigest()[:8]}"
