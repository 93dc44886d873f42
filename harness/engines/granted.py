"""What of the machine this process is granted: cores and memory, by its affinity and a container's quotas."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path


def num_cores(root: Path = Path("/")) -> int:
    """The cores that this process may use: its affinity's, or fewer where a container's quota grants fewer; ≥ 1.

    Args:
        root: of the system, below which ``proc`` and ``sys`` lie.
    """
    return max(1, math.floor(min(_num_there(), _granted_cores(root)) + 0.01))


def limit_threads(root: Path = Path("/")) -> None:
    """Tell OpenMP, which sees no quota, of the cores; before torch is imported, and unless the user has."""
    if (granted := num_cores(root)) < _num_there():
        os.environ.setdefault("OMP_NUM_THREADS", str(granted))


def _num_there() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_limit_bytes(root: Path = Path("/")) -> float:
    """What a container's limit leaves of the main memory; infinite without one."""
    left = math.inf
    for folder in _groups(root, "memory"):
        limit = _number(folder / "memory.max", folder / "memory.limit_in_bytes")
        used = _number(folder / "memory.current", folder / "memory.usage_in_bytes")
        if limit < 2**60:  # version 1 says no limit by a number near 2^63
            left = min(left, max(0.0, limit - (0 if math.isinf(used) else used)))
    return left


def _granted_cores(root: Path) -> float:
    """The cores' worth of time that the control groups of this process grant, of version 2 or 1; infinite without."""
    granted = math.inf
    for folder in _groups(root, "cpu"):
        words = _text(folder / "cpu.max").split()  # "max 100000", "150000 100000"
        if len(words) == 2 and all(word.isdecimal() for word in words) and int(words[1]):
            granted = min(granted, int(words[0]) / int(words[1]))
        quota, period = _text(folder / "cpu.cfs_quota_us").strip(), _text(folder / "cpu.cfs_period_us").strip()
        if quota.isdecimal() and period.isdecimal() and int(period):  # a quota of -1: none
            granted = min(granted, int(quota) / int(period))
    return granted


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's control groups of a controller and of those above: each may have a limit.

    Inside a container the group's path may be the host's, which is not there: then what is mounted is the container's.
    """
    mounted = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if names and controller not in names.split(","):
            continue
        mounts = [mounted / names, mounted / controller] if names else [mounted, mounted / "unified"]
        for mount in dict.fromkeys(mounts):
            if not mount.is_dir():
                continue
            group = mount / path.lstrip("/")
            yield from (above for above in (group, *group.parents) if above.is_relative_to(mount))


def _number(*paths: Path) -> float:
    """What the first of some files says that has a number; infinite where none has."""
    texts = (_text(path).strip() for path in paths)
    return next((float(text) for text in texts if text.isdecimal()), math.inf)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
