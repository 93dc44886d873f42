"""From ``--devices`` to a torch device and its threads."""

from __future__ import annotations

import difflib
import os
import re

from harness.errors import DeviceError


def choose_device(given: str) -> tuple[str, int]:
    """The device to compute on and the number of CPU threads: ``OMP_NUM_THREADS``, else all cores that we may use.

    Args:
        given: ``auto`` (the first GPU, else the CPU), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        DeviceError: there is no such device, or the words are wrong.
    """
    import torch

    wanted = os.environ.get("OMP_NUM_THREADS", "")
    threads = int(wanted) if wanted.isdecimal() and int(wanted) > 0 else len(os.sched_getaffinity(0))
    num_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if given == "auto":
        given = "cuda:0" if num_gpus else "cpu"
    if given == "cpu":
        return "cpu", threads
    match = re.fullmatch(r"cuda(?::(\d+))?", given)
    if match is None:
        near = difflib.get_close_matches(given, ["auto", "cpu", "cuda:0"], n=1)
        meant = f" Did you mean {near[0]}?" if near else ""
        raise DeviceError(f"--devices {given} is not a device; allowed are auto, cpu, cuda and cuda:N.{meant}")
    index = int(match.group(1) or 0)
    if index >= num_gpus:
        there = (
            "there is no GPU here"
            if num_gpus == 0
            else f"the GPUs here are {', '.join(f'cuda:{i}' for i in range(num_gpus))}"
        )
        raise DeviceError(f"--devices {given} was asked for, but {there}; use --devices auto, or cpu.")
    return f"cuda:{index}", threads
