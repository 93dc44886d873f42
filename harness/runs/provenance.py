"""What a picture was made with: versions, commit, device, threads, batch."""

from __future__ import annotations

import contextlib
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness.system import peak_memory_bytes

PACKAGES = (
    "harness",
    "torch",
    "torchvision",
    "pytorch-lightning",
    "pillow",
    "numpy",
    "wandb",
    "optuna",
)


def provenance(device: str, threads: int, batch: int) -> dict[str, Any]:
    """Plain data for a manifest; nothing in it names the user or the machine."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "commit": _commit(),
        "device": device,
        "device_name": _device_name(device),
        "threads": threads,
        "batch": batch,
    }


def devices_of(made: Mapping[str, Any]) -> str | None:
    """The ``--devices`` that compute a run to the same bits: of one made by a single thread of the CPU, else None.

    By default a run alone gets a worker with all threads, one of many a worker with one thread, and sums in another
    order are other bits. On a GPU bits are not promised.

    Args:
        made: a manifest's provenance.
    """
    return "cpu:1" if made.get("device") == "cpu" and made.get("threads") == 1 else None


def reset_peak_memory(device: str) -> None:
    """Let ``peak_memory_mb`` begin anew: a worker carries out one batch after another."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.init()
        torch.cuda.reset_peak_memory_stats(device)
    with contextlib.suppress(OSError):  # Linux alone has it
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def peak_memory_mb(device: str) -> int:
    """The most memory that this process has held since its batch began, in MB of 10^6 bytes; not on Linux: ever.

    Args:
        device: on ``cuda:N`` it is what torch held there at once; elsewhere the process's own, Python and libraries
            included.
    """
    if device.startswith("cuda"):
        import torch

        return round(torch.cuda.max_memory_allocated(device) / 1e6)
    with contextlib.suppress(OSError, IndexError):  # Linux, where getrusage may count the parent's memory too
        return round(
            int(Path("/proc/self/status").read_text(encoding="utf-8").split("VmHWM:")[1].split()[0]) * 1024 / 1e6
        )
    return round(peak_memory_bytes() / 1e6)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """The commit of the harness itself where it runs from a checkout, with ``+`` when files differ from it."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        git = ["git", "-C", str(root)]
        head = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, encoding="utf-8", errors="replace", timeout=5
        ).stdout.strip()
        dirty = subprocess.run(
            [*git, "status", "--porcelain"], capture_output=True, encoding="utf-8", errors="replace", timeout=5
        ).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return head + "+" if dirty else head


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    with contextlib.suppress(OSError):  # Linux; platform.processor() is empty there
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
