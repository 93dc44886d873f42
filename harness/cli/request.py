"""What was asked of ``harness run`` and ``harness sweep``: the command line, and the file behind it; nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.config import Loaded, load_experiment
from harness.config.loading import load_sweep
from harness.config.sweep import LoadedSweep
from harness.images.library import fault_of_image


@dataclass(frozen=True)
class Request:
    """The command line of ``harness run`` and ``harness sweep``."""

    file: Path
    overrides: tuple[str, ...] = ()
    out: Path = Path("runs")
    profile: str | None = None
    devices: str = "auto"
    engine: str = "local"
    storage: str | None = None
    wandb: str | None = None
    dry_run: bool = False
    retry_failed: bool = False
    fresh: bool = False
    checkpoint_every_s: float = 30.0


def load_asked(request: Request) -> Loaded:
    """The experiment of a request.

    Raises:
        ConfigError: with every fault of its file and overrides.
    """
    return load_experiment(request.file, request.overrides, request.profile, fault_of_image)


def load_asked_sweep(request: Request) -> LoadedSweep:
    """The sweep of a request; errors as of ``load_asked``."""
    return load_sweep(request.file, request.overrides, request.profile, fault_of_image)
