"""Engines carry batches to devices: ``local``, one worker process per device here; ``ray``, the same on a cluster."""

from __future__ import annotations

import re
from pathlib import Path

from harness.engines.contract import Engine
from harness.engines.devices import parse_devices
from harness.errors import UsageError

LOCAL = "local"


def check_engine(name: str) -> None:
    """Refuse a name that is no engine's.

    Raises:
        UsageError: there is no such engine.
    """
    if name != LOCAL and name != "ray" and not re.fullmatch(r"(ray://)?[^/:\s]+:\d+", name):
        raise UsageError(f"--engine {name} is not an engine; allowed are local, ray, ray://HOST:PORT and HOST:PORT.")


def open_engine(name: str, devices: str, num_rows: int, log_folder: Path) -> Engine:
    """Start an engine.

    Args:
        name: ``local``, ``ray`` (the cluster at RAY_ADDRESS, else one on this machine) or a cluster's address.
        devices: what ``--devices`` says: of this machine, or of the cluster.
        num_rows: rows to compute; no more workers than these are started.
        log_folder: where the log of a worker that dies is kept.

    Raises:
        UsageError: there is no such engine, or its package is not installed.
        DeviceError: there are no such devices.
    """
    check_engine(name)
    if name == LOCAL:
        from harness.engines.local import LocalEngine

        return LocalEngine(parse_devices(devices, num_rows), log_folder)
    from harness.engines.ray import open_ray

    return open_ray(None if name == "ray" else name, devices, num_rows)
