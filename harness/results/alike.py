"""Numbers of runs beside each other: only those that were measured with the same network, or plugin, are shown."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from harness.errors import HarnessError
from harness.measures.names import ON_EMBEDDED
from harness.results.run import Run
from harness.runs.measured import EMBEDDED, measured_on
from harness.runs.store import Metrics

ADVICE = (
    "What is left out is measured anew by the command that made it; of an earlier grid that is the one that brings it "
    "back, which harness status says."
)


class MeasuredAlike:
    """Runs' numbers, of which those on the embedded network are all of one, and those of a plugin of one content of it.

    Where all were measured alike, with whatever that was, nothing is left out. Else the numbers on the installed
    network are kept, those of a plugin's measure that runs asked for last have, where these agree, and in place of the
    others stands None.

    Args:
        runs: that stand beside each other.
    """

    def __init__(self, runs: Iterable[Run]) -> None:
        found: dict[str, dict[str, None]] = {}
        last: dict[str, set[str]] = {}
        for run in runs:
            for key, sha256 in _hashes(run).items():
                found.setdefault(key, {})[sha256] = None
                if not run.earlier:
                    last.setdefault(key, set()).add(sha256)
        self._mixed = {key: tuple(hashes) for key, hashes in found.items() if len(hashes) > 1}
        self._kept = {key: next(iter(hashes)) for key, hashes in last.items() if len(hashes) == 1}
        if self.is_mixed:
            self._kept[EMBEDDED] = measured_on()[EMBEDDED]

    @property
    def is_mixed(self) -> bool:
        """Whether there are several embedded networks, so that some of the numbers on them are left out."""
        return EMBEDDED in self._mixed

    @property
    def sentence(self) -> str:
        """Why something is left out, and what to do; empty where nothing is."""
        return " ".join([*told, ADVICE]) if (told := self.told()) else ""

    def told(self, names: Collection[str] | None = None) -> list[str]:
        """Why something is left out, of these numbers, or of all; a sentence each."""
        told = []
        for key, hashes in self._mixed.items():
            if names is not None and not set(names) & set(_names(key)):
                continue
            which = ", ".join(sha256[:8] for sha256 in hashes)
            if key == EMBEDDED:
                told.append(
                    f"{', '.join(ON_EMBEDDED[:-1])} and {ON_EMBEDDED[-1]} were measured on different embedded networks "
                    f"({which}), which do not compare: only those of the installed one, {self._kept[key][:8]}, "
                    "are shown."
                )
            else:
                kept = f"only those by {self._kept[key][:8]} are shown" if key in self._kept else "left out"
                told.append(f"{_measure_of(key)} was measured by different contents of its plugin ({which}): {kept}.")
        return told

    def metrics(self, run: Run) -> Metrics:
        """A run's numbers."""
        hashes = _hashes(run) if self._mixed else {}
        lost = {
            name
            for key, sha256 in hashes.items()
            if key in self._mixed and sha256 != self._kept.get(key)
            for name in _names(key)
        }
        return {name: None if name in lost else value for name, value in run.metrics.items()} if lost else run.metrics


def measured_by(run: Run) -> str | None:
    """The hash of the embedded network that measured a run; None where it has no such number."""
    return _hashes(run).get(EMBEDDED)


def _measure_of(key: str) -> str:
    return key.removesuffix("()")


def _names(key: str) -> Collection[str]:
    """The numbers that a key of ``measured_on`` is about."""
    return ON_EMBEDDED if key == EMBEDDED else (_measure_of(key),)


def _hashes(run: Run) -> Mapping[str, str]:
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
