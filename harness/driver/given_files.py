"""What the files that an experiment names held when it was carried out, and which of them hold something else since.

A photograph that is replaced under its own name makes other runs, and so do a plugin and a file of weights: a grid is
the same again only where its files are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.config.identity import plugins_of
from harness.config.styles import image_slots
from harness.config.transfer_parts import WeightsPath
from harness.downloads import file_sha256
from harness.driver.jobs import Job
from harness.errors import HarnessError
from harness.images.library import find_image
from harness.odd_names import escaped

NUM_DIGITS = 16
"""Of a SHA-256 so many hex digits are kept."""


def contents_of(jobs: Iterable[Job]) -> dict[str, str]:
    """The first digits of the SHA-256 of every image, weights file and plugin, by the name that a transfer has for it.

    What the harness fetches is not among them: its networks are known by name.
    """
    found: dict[str, str] = {}
    for job in jobs:
        provenance, transfer = job.row.manifest.provenance, job.transfer
        found |= {name: provenance["files"][slot]["sha256"] for slot, name in image_slots(transfer)}
        found |= {plugin.name: plugin.sha256 for plugin in plugins_of(transfer).values()}
        if isinstance(transfer.weights, WeightsPath) and "weights" in provenance["files"]:
            found[transfer.weights.file] = provenance["files"]["weights"]["sha256"]
    return {name: sha256[:NUM_DIGITS] for name, sha256 in sorted(found.items())}


def replaced(contents: Mapping[str, str]) -> list[str]:
    """The files that are there, looked for in the working directory, and hold something else now."""
    found = []
    for name, sha256 in contents.items():
        try:
            if not file_sha256(find_image(name)).startswith(sha256):
                found.append(name)
        except (HarnessError, OSError):
            continue  # it is gone, or a module: whoever needs it says so
    return found


def told_replaced(names: Iterable[str]) -> str:
    """``fox.jpg and net.pth are other files since``; empty without any."""
    some = [escaped(name) for name in names]
    told = " and ".join([", ".join(some[:-1]), some[-1]] if some[1:] else some)
    return f"{told} {'are other files' if some[1:] else 'is another file'} since" if some else ""
