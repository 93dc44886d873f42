"""What a run's numbers were measured with, so that nothing mixes those of two networks, or of two measures.

``reference_*`` and ``heldout_style`` are of the embedded network. Another one (of another version of the harness, or
trained anew) gives the same picture other numbers, and a run's id does not say which one measured it. So every manifest
notes its hash; a finished run that was measured on another one is measured again, from its picture, when it is met; and
where runs are only read, what would mix is left out. What a plugin's measure said is noted with the hash of the plugin,
and measured again where that is another one by now. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import Protocol

from harness.errors import HarnessError
from harness.features.identify import identify
from harness.measures.names import METRICS, ON_EMBEDDED, ON_VGG16
from harness.registries import measure
from harness.runs.store import Manifest, Metrics, Status

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


class MeasuredRun(Protocol):
    """A run as it is read."""

    @property
    def metrics(self) -> Metrics:
        """Its numbers."""

    @property
    def manifest(self) -> Manifest | None:
        """Its manifest; None where it has not begun."""


class MeasuredAlike:
    """Runs' numbers, of which those on the embedded network are all of one, and those of a plugin of one content of it.

    Where all were measured alike, with whatever that was, nothing is left out. Else the numbers on the installed
    network are kept, and in place of the others, and of all by a plugin's measure, stands None.

    Args:
        runs: that stand beside each other.
    """

    def __init__(self, runs: Iterable[MeasuredRun]) -> None:
        found: dict[str, dict[str, None]] = {}
        for run in runs:
            for key, sha256 in _hashes(run).items():
                found.setdefault(key, {})[sha256] = None
        self._mixed = {key: tuple(hashes) for key, hashes in found.items() if len(hashes) > 1}

    @property
    def is_mixed(self) -> bool:
        """Whether there are several embedded networks, so that some of the numbers on them are left out."""
        return EMBEDDED in self._mixed

    @property
    def sentence(self) -> str:
        """Why something is left out; empty where nothing is."""
        told = []
        for key, hashes in self._mixed.items():
            names = ", ".join(sha256[:8] for sha256 in hashes)
            if key == EMBEDDED:
                told.append(
                    f"{', '.join(ON_EMBEDDED[:-1])} and {ON_EMBEDDED[-1]} were measured on different embedded networks "
                    f"({names}), which do not compare: only those of the installed one, {measured_on()[EMBEDDED][:8]}, "
                    "are shown."
                )
            else:
                told.append(f"{_measure_of(key)} was measured by different contents of its plugin ({names}): left out.")
        told += ["The same harness run or sweep again measures what is left out anew."] if told else []
        return " ".join(told)

    def metrics(self, run: MeasuredRun) -> Metrics:
        """A run's numbers."""
        hashes = _hashes(run) if self._mixed else {}
        kept = measured_on()[EMBEDDED] if self.is_mixed else ""
        lost = {
            name
            for key, sha256 in hashes.items()
            if key in self._mixed and (key != EMBEDDED or sha256 != kept)
            for name in _names(key)
        }
        return {name: None if name in lost else value for name, value in run.metrics.items()} if lost else run.metrics


def measured_by(run: MeasuredRun) -> str | None:
    """The hash of the embedded network that measured a run; None where it has no such number."""
    return _hashes(run).get(EMBEDDED)


def _measure_of(key: str) -> str:
    return key.removesuffix("()")


def _names(key: str) -> Collection[str]:
    """The numbers that a key of ``measured_on`` is about."""
    return ON_EMBEDDED if key == EMBEDDED else (_measure_of(key),)


def _hashes(run: MeasuredRun) -> Mapping[str, str]:
    """What a run's numbers were measured with, of those that it has."""
    try:
        noted = run.manifest.measured_on if run.manifest else {}
        return {
            key: sha256
            for key, sha256 in noted.items()
            if any(run.metrics.get(name) is not None for name in _names(key))
        }
    except HarnessError:  # a damaged manifest: whoever reads its numbers says so
        return {}
