"""What the harness can be given more of, by name: measures, style statistics, terms, networks, methods.

The harness's own are registered by the same decorators as a user's:

    @harness.measure("sharpness")
    def sharpness(picture, *, content, styles, transfer): ...

A user's stand in a file that the YAML names, ``plugins: [my_losses.py]``, or in a module that an installed package
names as an entry point of the group ``harness.plugins``, ``plugins: [their_name]``. Only what the YAML names is loaded:
in the driver before the file is checked, in a worker before its rows are prepared. What a plugin's file says enters the
id of every run that uses something of it, and a fault in it is reported with its own file and line.

Nothing here imports torch; a registry imports the harness's own modules when somebody first looks into it. What a
registry is, and how plugins are loaded, is ``registry.py``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from harness.errors import UsageError
from harness.registries.registry import (
    ENTRY_POINTS,
    Plugin,
    Registered,
    Registry,
    blame,
    blamed,
    each_once,
    is_file,
    load_plugins,
    new_registry,
    use_as_read,
    use_plugins,
)

__all__ = [
    "ENTRY_POINTS", "Plugin", "Registered", "Registry", "asked_by", "blame", "blamed", "each_once", "is_file",
    "is_of_a_set", "is_of_one_run", "load_plugins", "measure", "method", "network", "new_registry", "style_statistic",
    "term", "use_as_read", "use_plugins",
]  # fmt: skip

MEASURE_CAN_ASK_FOR: Mapping[str, str] = {
    "content": "the photograph as the run used it, of the picture's size",
    "styles": "the paintings at the picture's area, in the order in which the transfer names them",
    "transfer": "what the run was told: a harness.config.transfer.Transfer",
    "used_styles": "the paintings as the method was given them: at their scale, recoloured",
    "masks": "for each painting its mask over the picture, (H, W), or None",
    "others": "the experiment's other paintings",
    "to": "the painting that a claim names as its `to`",
    "again": "the picture of the same transfer, computed a second time",
}
"""What a measure gets beside the picture, by the names of its parameters; images are (H, W, 3) float64 in [0, 1]."""

WRITTEN_BY_THE_RUN = (
    "total",
    "content",
    "style",
    "evaluations",
    "kept_evaluation",
    "still_falling",
    "seconds",
    "heldout_style_optimised",
)
"""What stands among a run's numbers and is no measure."""

MEASURE_OF_ONE_RUN = ("content", "styles", "transfer")
"""What a run has by itself wherever it is computed: a sweep's objective can ask for no more."""


def asked_by(what: Callable[..., Any]) -> tuple[str, ...]:
    """What of ``MEASURE_CAN_ASK_FOR`` a measure asks for."""
    _, *others = inspect.signature(what).parameters.values()
    named = [parameter.name for parameter in others if parameter.name in MEASURE_CAN_ASK_FOR]
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in others)
    return tuple(dict.fromkeys((*named, *(MEASURE_OF_ONE_RUN if takes_all else ()))))


def is_of_a_set(what: Callable[..., Any]) -> bool:
    """Whether a measure is of several runs' pictures together: ``f(pictures) -> float``."""
    return next(iter(inspect.signature(what).parameters)) == "pictures"


def _check_measure(name: str, what: Any) -> None:
    """Refuse what cannot be called as a measure is."""
    form = f"A measure is a function, {name}(picture, *, content, styles, transfer), that gives a number"
    if name in WRITTEN_BY_THE_RUN:
        raise UsageError(f"A measure cannot be called {name!r}: a run writes a number of that name; give another one.")
    try:
        picture, *others = inspect.signature(what).parameters.values()
    except (TypeError, ValueError):
        raise UsageError(f"{form}; this is {what!r}.") from None
    if picture.kind not in (picture.POSITIONAL_ONLY, picture.POSITIONAL_OR_KEYWORD):
        raise UsageError(f"{form}; the picture comes first, by its place.")
    if is_of_a_set(what) and asked_by(what):
        raise UsageError(f"{form}; one of a set of pictures, {name}(pictures), can ask for nothing else.")
    for parameter in others:
        is_needed = parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
        if is_needed and (parameter.name not in MEASURE_CAN_ASK_FOR or parameter.kind is parameter.POSITIONAL_ONLY):
            raise UsageError(
                f"{form}; {parameter.name} is none of what it can ask for: {', '.join(MEASURE_CAN_ASK_FOR)}."
            )


measure = new_registry("measure", "harness.measures.of_pictures", "harness.measures.of_features", check=_check_measure)
"""Numbers about a finished picture: ``f(picture, *, content, styles, transfer) -> float``."""


def is_of_one_run(name: str) -> bool:
    """Whether a run has all that a measure asks for, wherever it is computed."""
    return not is_of_a_set(measure[name]) and set(asked_by(measure[name])) <= set(MEASURE_OF_ONE_RUN)


COLUMNS = ("evaluation", "seconds", "total", "content", "style", "size")
"""Columns of history.csv that no term can be called by."""


def _check_form(form: str, *methods: str) -> Callable[[str, Any], None]:
    """Refuse what cannot be called, or has not these methods."""

    def check(name: str, what: Any) -> None:
        if not all(callable(getattr(what, method, None)) for method in methods or ("__call__",)):
            raise UsageError(f"{name!r} is {what!r}; {form}.")

    return check


def _check_term(name: str, what: Any) -> None:
    _check_form("a term is a function, f(images, *, content), that gives a loss for each image")(name, what)
    if name in COLUMNS:
        raise UsageError(f"A term cannot be called {name!r}: history.csv has a column of that name; give another one.")


style_statistic = new_registry(
    "style statistic",
    "harness.objective.style_statistics",
    check=_check_form("a style statistic has statistics(maps) and distance(own, target)", "statistics", "distance"),
    own=("gram",),
)
"""What of a painting's maps is matched: a class with ``statistics`` and ``distance``; see
``harness.objective.style_statistics``."""

term = new_registry("term", "harness.objective.terms", check=_check_term, own=("total_variation", "photorealism"))
"""Further terms of the loss: ``f(images, *, content) -> losses``, one per row; see ``harness.objective.terms``."""

network = new_registry("network", check=_check_form("a network is registered as the function that makes it"))
"""Feature networks: ``f() -> network``, named layers of (B, 3, H, W); see ``harness.features.networks``. The harness's
own are weights in files, VGG-19's and VGG-16's."""

method = new_registry(
    "method",
    "harness.runs.module_makers",
    check=_check_form("a method is a function, f(content, styles, *, transfer), that gives a picture"),
    own=("gatys", "quilting"),
)
"""Ways to the picture: ``f(content, styles, *, transfer) -> picture``; see ``harness.runs.function_rows``. The
harness's own advance in steps, and make the modules of ``harness.runs.module_makers``."""
