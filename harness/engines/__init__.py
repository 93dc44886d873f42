"""Engines carry batches to devices: ``local``, one worker process per device here; ``ray``, the same on a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.engines.contract import Engine
from harness.engines.devices import DeviceSpec
from harness.errors import UsageError


def open_engine(name: str, devices: Sequence[DeviceSpec], log_folder: Path) -> Engine:
    """Start an engine.

    Args:
        name: ``local``, ``ray`` (the cluster at RAY_ADDRESS, else one on this machine) or a cluster's ``ray://…``.
        devices: one worker each.
        log_folder: where the log of a worker that dies is kept.

    Raises:
        UsageError: there is no such engine, or its package is not installed.
        DeviceError: the cluster does not have these devices.
    """
    if name == "local":
        from harness.engines.local import LocalEngine

        return LocalEngine(devices, log_folder)
    if name == "ray" or name.startswith("ray://"):
        from harness.engines.ray import open_ray

        return open_ray(None if name == "ray" else name, devices)
    raise UsageError(f"--engine {name} is not an engine; allowed are local, ray and ray://HOST:PORT.")
