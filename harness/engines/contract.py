"""What every engine promises: batches go in, what happens to their rows comes out as events.

Shaped like ``concurrent.futures``: ``submit`` hands a batch to an idle worker and returns at once, ``events`` gives
what has happened since. Everything that crosses the line is plain data. A worker keeps its device for life and takes
one batch at a time.

    Engine.submit(task) ─► worker: run_batch ─► Advanced*, Measured*, Finished (one per row) ─► Ended (one per task)
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from harness.registries import Plugin

if TYPE_CHECKING:  # a row's module imports torch, which a driver that only plans can do without
    from harness.runs.prepare import Row
    from harness.runs.store import Manifest, Metrics


@dataclass(frozen=True)
class Task:
    """One batch.

    Attributes:
        rows: runs that can share a batch.
        checkpoint_every_s: seconds between checkpoints.
        rungs: evaluations at which the comparable numbers are measured on the way and reported; sorted.
        tracking: ``online``, ``offline`` or ``off``.
        wandb_folder: the experiment's ``wandb`` folder.
        objectives: the measures that are minimised, and further ones that are wanted of every picture.
        plugins: what the worker loads first, as the driver read it.
        pass_bound_bytes: above what a row's pass through the network goes in tiles; None: the CPU's bound.
    """

    rows: tuple[Row, ...]
    checkpoint_every_s: float = 30.0
    rungs: tuple[int, ...] = ()
    tracking: str = "off"
    wandb_folder: Path = Path("wandb")
    objectives: tuple[str, ...] = ()
    plugins: tuple[Plugin, ...] = ()
    pass_bound_bytes: float | None = None


class End(enum.Enum):
    """How a task ended; the value is the sentence for the user."""

    DONE = "every row has ended"
    STOPPED = "it was asked to stop; everything is checkpointed"
    OUT_OF_MEMORY = "the device's memory does not suffice for so many rows at once"
    DIED = "its worker died"
    DEVICE_LOST = "its device failed, and its worker's process can use it no more: another takes its place"
    ERROR = "it could not be carried out"
    UNFORESEEN = "an error that the harness did not foresee"


@dataclass(frozen=True)
class Advanced:
    """How far a row has come: its latest evaluation's losses.

    Attributes:
        worker: who computes it.
        run_id: the row's.
        evaluation: evaluations behind it.
        losses: ``total``, ``content``, ``style``; what was not measured is left out.
    """

    worker: str
    run_id: str
    evaluation: int
    losses: Mapping[str, float]


@dataclass(frozen=True)
class Measured:
    """A row's comparable numbers at a rung, of its best iterate so far."""

    run_id: str
    evaluation: int
    metrics: Metrics


@dataclass(frozen=True)
class Finished:
    """A row has ended: its manifest, done, failed or pruned, as it stands in its folder."""

    run_id: str
    manifest: Manifest


@dataclass(frozen=True)
class Ended:
    """A task has ended and its worker is idle again (or has been replaced). Rows not ``Finished`` are unfinished.

    Attributes:
        task: its number.
        worker: who had it.
        end: how.
        message: the error's sentence; names the worker and its log where it died. Empty for ``DONE``.
        exit_code: of the error (1, or 2 for what cannot be done as written); 0 for ``DONE``.
    """

    task: int
    worker: str
    end: End
    message: str = ""
    exit_code: int = 0


@dataclass(frozen=True)
class Noted:
    """Something the user should know that ends nothing, such as W&B's server being away; a sentence."""

    sentence: str


@dataclass(frozen=True)
class Free:
    """What a worker answers when it is asked: the free memory of its device."""

    num_bytes: float


Event = Advanced | Measured | Finished | Ended | Noted


class Engine(Protocol):
    """Carries batches to devices."""

    @property
    def workers(self) -> tuple[str, ...]:
        """Their names: ``cpu:0``, ``cpu:1``, ``cuda:0``, ``cuda:0#2`` (a second one on that card)…"""

    @property
    def idle(self) -> tuple[str, ...]:
        """The workers without a task."""

    def free_bytes(self, worker: str) -> float:
        """The free memory of an idle worker's device, which it alone looks at; waits until it is ready to say.

        Infinite where it cannot be told.
        """

    def submit(self, task: Task) -> int:
        """Give a task to an idle worker; returns the task's number (0, 1, 2, …).

        Raises:
            RuntimeError: no worker is idle.
        """

    def prune(self, run_ids: Sequence[str]) -> None:
        """Ask for these rows to leave their batches; each then comes as ``Finished`` with a pruned manifest."""

    def events(self, timeout_s: float) -> list[Event]:
        """What has happened, in order for each worker; waits until something has, at most so long."""

    def stop(self) -> None:
        """Ask every worker to checkpoint and stop; their tasks come as ``Ended`` with ``STOPPED``."""

    def close(self) -> None:
        """End what this engine has begun; idle workers may be kept for the next engine of this process.

        What is still to be said (``Noted``) comes from a last ``events(0)``.
        """
