"""Which fields of a transfer say anything to its method: the others change no pixel and do not enter the run's id."""

from __future__ import annotations

GATYS = "gatys"
QUILTING = "quilting"
USED_BY_QUILTING: frozenset[str] = frozenset(
    {"method", "content", "style", "style_scale", "colours", "transparency", "size", "seed", "smoothing", "quilting"}
)
"""Two quilted transfers that differ only in other fields are the same picture."""


def has_network(method: str) -> bool:
    """Whether a method optimises a picture through a network; a plugin's is a function of images."""
    return method == GATYS


def is_used(method: str, field: str) -> bool:
    """Whether a field (dotted or not) says anything to a method; a plugin's may read whatever the transfer says."""
    field = field.split(".")[0]
    return field in USED_BY_QUILTING if method == QUILTING else field != QUILTING
