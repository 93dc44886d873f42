"""Between a search space's fields and Optuna's parameters; pure Python, nothing of Optuna.

Every field is one parameter of its name, but for a simplex over k layers (or paintings), which is k parameters
``u(style_layers.conv1_1)`` … u_i in (0, 1): with w_i = −ln u_i / Σ_j −ln u_j the weights are uniform on the simplex
(normalised exponential variables: Devroye 1986, Non-Uniform Random Variate Generation, ch. V, theorem 4.1). No
parameter is called as a weight: the weights themselves are every trial's user attributes, ``style_layers.conv1_1`` ….
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from harness.config.dimensions import Choice, Dimension, Simplex, Uniform
from harness.config.identity import canonical_json

UNIT = Uniform(uniform=(1e-9, 1 - 1e-9))
"""What each u_i of a simplex is drawn from: (0, 1) without the ends, at which the logarithms are infinite or all 0."""

WEIGHT_DIGITS = 12
"""Significant digits of a simplex's weights: logarithms differ in the last digit between machines, ids must not."""


def parameters(space: Mapping[str, Dimension]) -> dict[str, Dimension]:
    """Optuna's parameters of a space, in its order; never a ``Simplex``.

    The values of a ``Choice`` are Optuna's as ``as_choices`` has them.
    """
    found: dict[str, Dimension] = {}
    for field, dimension in space.items():
        if isinstance(dimension, Simplex):
            found.update({_parameter(field, layer): UNIT for layer in dimension.simplex})
        else:
            found[field] = dimension
    return found


def _parameter(field: str, layer: str) -> str:
    """The name of the u_i of a simplex's layer, or painting."""
    return f"u({field}.{layer})"


def as_choices(values: Iterable[Any]) -> tuple[Any, ...]:
    """Different values as Optuna has them, in their order: as they are, mappings and lists as canonical JSON.

    Where two were then equal (1 and true, a mapping and a text that says the same), all are canonical JSON.
    """
    values = list(values)
    plain = tuple(canonical_json(value) if isinstance(value, Mapping | list | tuple) else value for value in values)
    return plain if len(set(plain)) == len(plain) else tuple(map(canonical_json, values))


def fields_of(space: Mapping[str, Dimension], params: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a transfer's dotted fields that a trial's parameters mean.

    Args:
        space: the search space.
        params: a value for each of ``parameters(space)``.

    Raises:
        KeyError: a parameter is missing.
    """
    fields: dict[str, Any] = {}
    for field, dimension in space.items():
        if isinstance(dimension, Simplex):
            shares = {layer: -math.log(params[_parameter(field, layer)]) for layer in dimension.simplex}
            total = math.fsum(shares.values())
            fields[field] = {layer: float(f"{share / total:.{WEIGHT_DIGITS}g}") for layer, share in shares.items()}
        elif isinstance(dimension, Choice):
            fields[field] = dict(zip(as_choices(dimension.choice), dimension.choice, strict=True))[params[field]]
        else:
            fields[field] = params[field]
    return fields


def weights_of(space: Mapping[str, Dimension], fields: Mapping[str, Any]) -> dict[str, float]:
    """The weights of a space's simplexes, of what ``fields_of`` gives, by dotted names: ``style_layers.conv1_1`` …."""
    return {
        f"{field}.{layer}": weight
        for field, dimension in space.items()
        if isinstance(dimension, Simplex)
        for layer, weight in fields[field].items()
    }
