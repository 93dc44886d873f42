"""What is asked of a run or a sweep: the file, and how to carry it out; nothing heavy is imported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.config.commands import RUNS
from harness.config.given import Spec
from harness.config.loaded import LoadedExperiment, LoadedSweep
from harness.config.reading import load_experiment, load_sweep
from harness.features.sources import fault_of_weights_file
from harness.images.library import fault_of_image
from harness.odd_names import escaped_word


@dataclass(frozen=True)
class Request:
    """What to carry out, and how: the arguments of ``harness.run`` and ``harness.sweep``, which say what each is."""

    spec: Spec
    overrides: tuple[str, ...] = ()
    out: Path = RUNS
    profile: str | None = None
    devices: str = "auto"
    engine: str = "local"
    storage: str | None = None
    wandb: str | None = None
    retry_failed: bool = False
    fresh: bool = False
    checkpoint_every_s: float = 30.0
    name: str | None = None
    id: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "overrides", tuple(escaped_word(word) for word in self.overrides))

    @property
    def kept_storage(self) -> str | None:
        """The storage as it may stand in files and printed commands; None for the journal in the file's folder.

        Raises:
            UsageError: it is no storage.
        """
        if self.storage is None:
            return None
        from harness.studies.storage import address_to_keep  # optuna and SQLAlchemy come with it

        return address_to_keep(self.storage)


def load_asked(request: Request) -> LoadedExperiment:
    """The experiment of a request.

    Raises:
        ConfigError: with every fault of its file and overrides.
    """
    return load_experiment(request.spec, request.overrides, request.profile, **_surroundings(request))


def load_asked_sweep(request: Request) -> LoadedSweep:
    """The sweep of a request; errors as of ``load_asked``."""
    return load_sweep(request.spec, request.overrides, request.profile, **_surroundings(request))


def _surroundings(request: Request) -> dict[str, Any]:
    """What a file is read beside: its runs' folder, and who looks at the files that it names."""
    return {
        "fault_of_image": fault_of_image, "fault_of_weights": fault_of_weights_file, "name": request.name,
        "out": request.out, "storage": request.kept_storage,
    }  # fmt: skip
