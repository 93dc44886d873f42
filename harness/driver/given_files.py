"""What the files that an experiment names held when it was carried out, and which of them hold something else since.

A photograph that is replaced under its own name makes other runs, and so do a plugin and a file of weights: a grid is
the same again only where its files are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from harness.downloads import file_sha256
from harness.driver.jobs import Job
from harness.errors import HarnessError
from harness.images.library import find_image
from harness.odd_names import escaped
from harness.results.run import computed_from

NUM_DIGITS = 16
"""Of a SHA-256 so many hex digits are kept."""


def contents_of(jobs: Iterable[Job]) -> dict[str, str]:
    """The first digits of the SHA-256 of every image, network and plugin, by the name that a transfer has for it."""
    found = {
        name: sha256[:NUM_DIGITS]
        for job in jobs
        for name, sha256 in computed_from(job.transfer, job.row.manifest.provenance).values()
    }
    return dict(sorted(found.items()))


def replaced(contents: Mapping[str, str]) -> list[str]:
    """The files that are there, looked for in the working directory, and hold something else now."""
    found = []
    for name, sha256 in contents.items():
        try:
            path = find_image(name)
            stat = path.stat()
            if not _sha256(path.absolute(), stat.st_mtime_ns, stat.st_size).startswith(sha256):
                found.append(name)
        except (HarnessError, OSError):
            continue  # it is gone, a network of the harness's, or a module: whoever needs it says so
    return found


@lru_cache(maxsize=1024)
def _sha256(path: Path, mtime_ns: int, num_bytes: int) -> str:
    """A file's, once for each of its states: ``harness status --watch`` asks every other second."""
    return file_sha256(path)


def told_replaced(names: Iterable[str]) -> str:
    """``fox.jpg and net.pth are other files since``; empty without any."""
    some = [escaped(name) for name in names]
    told = " and ".join([", ".join(some[:-1]), some[-1]] if some[1:] else some)
    return f"{told} {'are other files' if some[1:] else 'is another file'} since" if some else ""
