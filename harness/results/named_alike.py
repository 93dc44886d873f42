"""Files that have one name in several runs and held other things in them, such as a photograph that was replaced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.results.run import Run


def contents_told(runs: Iterable[Run]) -> list[Mapping[str, str]]:
    """For each run what its files' names do not tell: ``{"sha256 of content": "1f0c33a2"}``, of ``Run.contents``.

    Empty where every name stands for one content in all runs.
    """
    found = [run.contents for run in runs]
    hashes: dict[tuple[str, str], set[str]] = {}
    for each in found:
        for what, (name, sha256) in each.items():
            hashes.setdefault((what, name), set()).add(sha256)
    hidden = {what for (what, _), some in hashes.items() if len(some) > 1}
    return [{what: sha256 for what, (_, sha256) in each.items() if what in hidden} for each in found]
