"""What a run's numbers were measured with, so that nothing mixes those of two networks, or of two measures.

``reference_*`` and ``heldout_style`` are of the embedded network. Another one (of another version of the harness, or
trained anew) gives the same picture other numbers, and a run's id does not say which one measured it. So every manifest
notes its hash; a finished run that was measured on another one is measured again, from its picture, when it is met; and
where runs are only read, what would mix is left out. What a plugin's measure said is noted with the hash of the plugin,
and measured again where that is another one by now. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache

from harness.features.identify import identify
from harness.measures.names import METRICS, ON_EMBEDDED, ON_VGG16
from harness.registries import measure
from harness.runs.store import Manifest, Status

EMBEDDED = "embedded"


@cache
def _embedded() -> str:
    return identify("embedded").network


def measured_on(objectives: Collection[str] = ()) -> Mapping[str, str]:
    """What a manifest says of the numbers that are measured now: ``{"embedded": the network's hash}``.

    Args:
        objectives: names that are asked for; of a measure that not every run has there is the hash of its plugin too,
            ``{"sharpness()": …}``, or ``harness``.
    """
    further = [name for name in objectives if name not in METRICS]
    plugins = {name: measure.registered(name).plugin for name in further}
    return {EMBEDDED: _embedded()} | {f"{name}()": of.sha256 if of else "harness" for name, of in plugins.items()}


def measured_on_for(objectives: Collection[str]) -> Mapping[str, str]:
    """What of it a study of these objectives depends on: the network only where one is of the embedded network."""
    is_on_embedded = bool(set(objectives) & set(ON_EMBEDDED))
    return {key: value for key, value in measured_on(objectives).items() if key != EMBEDDED or is_on_embedded}


def is_of_now(manifest: Manifest, objectives: Collection[str] = ()) -> bool:
    """Whether a run's numbers, these among them, were measured with what they would be measured with now."""
    return measured_on(objectives).items() <= manifest.measured_on.items()


def is_outdated(manifest: Manifest, wanted: Collection[str] = ()) -> bool:
    """Whether a finished run is to be measured again.

    Args:
        manifest: the run's.
        wanted: numbers that are asked for.

    Returns:
        True where it is done, and its numbers are of another embedded network or plugin, or lack one that is asked for
        and that it had no chance to have: without VGG-16, or when nobody asked for it; any other was tried, and could
        not be measured.
    """
    if manifest.status is not Status.DONE:
        return False
    lacking = [name for name in wanted if name in ON_VGG16 and manifest.metrics.get(name) is None]
    return not is_of_now(manifest, wanted) or bool(lacking)
