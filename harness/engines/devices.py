"""From ``--devices`` to what the workers compute on: ``auto``, ``cpu``, ``cpu:2``, ``cuda``, ``cuda:0,1``.

Torch is imported only where a GPU is asked for, or may be there.
"""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.engines.granted import memory_limit_bytes, num_cores
from harness.errors import DeviceError

ALLOWED = "auto, cpu, cpu:N (N workers), cuda (all GPUs), cuda:N and cuda:N,N… (the same one twice: two workers on it)"


@dataclass(frozen=True)
class DeviceSpec:
    """What one worker computes on.

    Attributes:
        device: ``cpu`` or ``cuda:N``.
        threads: of the CPU.
    """

    device: str
    threads: int


def parse_devices(given: str, num_rows_left: int) -> list[DeviceSpec]:
    """The workers that ``--devices`` asks for, at least one and no more than there are rows for them.

    ``auto`` takes all GPUs; without one, a single-threaded worker on each core, as a batch gains nothing on a CPU;
    where there are fewer rows than cores, that many workers share the cores out. ``OMP_NUM_THREADS`` is the most
    threads that a worker gets.

    Args:
        given: ``auto``, ``cpu`` (one worker with all cores), ``cpu:N`` (N single-threaded workers), ``cuda`` (all
            GPUs), ``cuda:0,1``, ``cuda:0,cuda:0`` (two workers on one).
        num_rows_left: rows that will have to be computed.

    Raises:
        DeviceError: there is no such device, or the words are wrong.
    """
    rows, threads = max(1, num_rows_left), num_threads()
    words = given.replace(" ", "")
    if words == "cpu":
        return [DeviceSpec("cpu", threads)]
    if match := re.fullmatch(r"cpu:(\d+)", words):
        if int(match[1]) < 1:
            raise DeviceError(
                f"--devices {given} asks for no worker at all; ask for one or more, such as cpu:{num_cores()}."
            )
        return [DeviceSpec("cpu", 1)] * min(int(match[1]), rows)
    if words == "auto":
        if indices := list(range(num_gpus())):
            return _on_gpus(indices[:rows])
        num_workers = min(num_cores(), rows)
        return [DeviceSpec("cpu", min(threads, num_cores() // num_workers))] * num_workers
    if re.fullmatch(r"mps(:\d+)?", words):
        raise DeviceError(
            f"--devices {given} asks for an Apple GPU, which has no double precision, and optimisers keep losses and "
            "slopes in it; use --devices auto, or cpu."
        )
    if re.fullmatch(r"cuda(:\d+)?(,(cuda:)?\d+)*", words) is None or words.startswith("cuda,"):
        asked = words.lower().replace("gpu", "cuda")
        near = difflib.get_close_matches(asked, ["auto", "cpu", "cpu:2", "cuda", "cuda:0", "cuda:0,1"], n=1)
        meant = f" Did you mean {near[0]}?" if near else ""
        raise DeviceError(f"--devices {given} is not a device; allowed are {ALLOWED}.{meant}")
    there = num_gpus()
    indices = [int(word) for word in re.findall(r"\d+", words)] or list(range(there))
    if not indices or max(indices) >= there:
        here = f"the GPUs here are {', '.join(f'cuda:{i}' for i in range(there))}" if there else "there is no GPU here"
        raise DeviceError(f"--devices {given} was asked for, but {here}; use --devices auto, or cpu.")
    return _on_gpus(indices[:rows])


def parse_device(given: str) -> DeviceSpec:
    """One device for what has no workers: of several the first; on the CPU with all cores.

    Raises:
        DeviceError: there is no such device, or the words are wrong.
    """
    first = parse_devices(given, 1)[0]
    return DeviceSpec(first.device, num_threads())


def busy_note(specs: Sequence[DeviceSpec]) -> str:
    """What to say where a picture is computed by several threads on a machine that has other work; else nothing.

    The threads of an operation wait for the last of them, hundreds of times an evaluation: tenfold times were seen.
    """
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if all(spec.device != "cpu" or spec.threads == 1 for spec in specs) or load < num_cores():
        return ""
    return (
        f"This machine has other work (load {load:.1f} on {num_cores()} {'cores' if num_cores() > 1 else 'core'}), and "
        f"{specs[0].threads} threads wait for the slowest of them: --devices cpu:1 may be several times faster."
    )


def num_threads() -> int:
    """``OMP_NUM_THREADS``, else as many as there are cores."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdecimal() and int(wanted) > 0 else num_cores()


def num_gpus() -> int:
    """The GPUs that torch can use."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def free_bytes(device: str) -> float:
    """The free memory of a device as this process sees it; infinite where it cannot be told.

    On a GPU it opens a context, a few hundred megabytes: a worker asks about its own card, a driver asks its workers.
    """
    if device == "cpu":
        return available_bytes()
    import torch

    try:
        return torch.cuda.mem_get_info(device)[0]
    except (RuntimeError, AssertionError, ValueError):  # none there, or torch was built without CUDA
        return math.inf


def available_bytes() -> float:
    """The main memory that can be had without swapping, within a container's limit; infinite where it is not known."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="utf-8")
        there: float = int(text.split("MemAvailable:")[1].split()[0]) * 1024
    except (OSError, IndexError, ValueError):  # not Linux
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2 if hasattr(os, "sysconf") else math.inf
    return min(there, memory_limit_bytes())


def _on_gpus(indices: Sequence[int]) -> list[DeviceSpec]:
    threads = max(1, min(num_threads(), num_cores() // len(indices)))
    return [DeviceSpec(f"cuda:{index}", threads) for index in indices]
