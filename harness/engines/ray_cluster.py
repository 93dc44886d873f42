"""The Ray cluster before there are workers: connecting to it, what it has, what is handed on to its nodes."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from harness.engines.devices import ALLOWED, DeviceSpec, parse_devices
from harness.engines.process import OF_THIS_PROCESS
from harness.errors import DeviceError, UsageError

CARRIED = ("HARNESS_", "WANDB_")
"""The driver's variables that are handed on to the nodes, as an argument: Ray's dashboard shows environments."""


def carried_environment() -> dict[str, str]:
    """What a node is told of this process's environment."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith(CARRIED) and not name.startswith(OF_THIS_PROCESS)
    }


def connect(address: str | None) -> Callable[[], None]:
    """Connect this process to a cluster, where it is not; quiet, without a dashboard and usage statistics.

    Args:
        address: as ``open_ray`` takes it.

    Returns:
        What ends the connection, and a Ray that was started for it.

    Raises:
        UsageError: Ray is not installed, or does not answer.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise UsageError(
            "--engine ray needs Ray, which is not installed here; install it by: pip install 'harness[ray]'"
        ) from error
    if ray.is_initialized():
        return lambda: None
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if is_main else None
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="ray")
            ray.init(address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        given = address or os.environ.get("RAY_ADDRESS", "this machine")
        said = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UsageError(
            f"Ray does not answer at {given} ({said}); start it by `ray start --head` and give its address in "
            "RAY_ADDRESS or as --engine ray://HOST:10001, or leave the address out to use this machine alone. A "
            "cluster that asks for a token needs RAY_AUTH_MODE=token and its head's ~/.ray/auth_token here."
        ) from error
    finally:
        if is_main:
            signal.signal(signal.SIGTERM, before)  # Ray takes it for itself, and the driver checkpoints by it
    return ray.shutdown


def specs_of(devices: str | Sequence[DeviceSpec], max_workers: int | None = None) -> list[DeviceSpec]:
    """One device for each worker, from words or as given, checked against what the cluster has.

    Args:
        devices: as ``open_ray`` takes them.
        max_workers: how many at most.

    Raises:
        DeviceError: the cluster has not so many, or the words are wrong.
    """
    import ray

    resources: dict[str, Any] = ray.cluster_resources()
    num_gpus, num_cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 0))
    specs = _parsed(devices, num_gpus, num_cpus) if isinstance(devices, str) else list(devices)
    specs = specs[:max_workers]
    cards = {spec.device for spec in specs if spec.device != "cpu"}
    num_cpus_asked = sum(spec.threads for spec in specs if spec.device == "cpu")
    if not specs or len(cards) > num_gpus or num_cpus_asked > num_cpus:
        asked = devices if isinstance(devices, str) else ",".join(spec.device for spec in devices)
        raise DeviceError(
            f"--devices {asked} was asked for, but the Ray cluster has {num_gpus} GPUs and {num_cpus} CPUs; ask for "
            "fewer, or for --devices auto."
        )
    return specs


def _parsed(words: str, num_gpus: int, num_cpus: int) -> list[DeviceSpec]:
    """The words of ``--devices``, about the cluster instead of this machine."""
    words = words.replace(" ", "")
    if words == "auto":
        return [DeviceSpec(f"cuda:{i}", 1) for i in range(num_gpus)] or [DeviceSpec("cpu", 1)] * num_cpus
    if re.fullmatch(r"cpu(:\d+)?", words):
        return parse_devices(words, sys.maxsize)
    if re.fullmatch(r"cuda(:\d+(,(cuda:)?\d+)*)?", words):
        return [DeviceSpec(f"cuda:{i}", 1) for i in map(int, re.findall(r"\d+", words) or range(num_gpus))]
    raise DeviceError(f"--devices {words} is not a device; allowed are {ALLOWED}.")
