"""The local engine: one worker process for each device, kept alive between tasks and fed as soon as it is free.

No worker waits for another. One that dies, hangs, or whose device fails costs its steps since the last checkpoint, is
named with its log, and is replaced.
"""

from __future__ import annotations

import math
import os
import pickle
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import wait
from pathlib import Path

from harness.engines.contract import End, Ended, Event, Free, Task
from harness.engines.devices import DeviceSpec
from harness.engines.process import SILENT_S, WorkerProcess, describe_exit, keep_worker, take_worker
from harness.engines.worker import RESTED
from harness.runs.store import write_durably

STOP_S = 60.0
"""How long busy workers may take to checkpoint when the engine is closed."""
REST_S = 75.0
"""How long idle ones may take to send the rest to W&B; the tracker gives up after 60."""
FREE_S = 120.0
"""How long one may take to begin and to say what is free: as good as for ever, but an end."""
END_S = 5.0
"""How long a process whose connection has ended may take to end itself."""
NUM_LAST_LINES = 3


@dataclass
class _Place:
    """A worker's place: its name and device stay when its process is replaced."""

    name: str
    spec: DeviceSpec
    process: WorkerProcess
    task: int | None = None
    row_ids: tuple[str, ...] = ()
    has_tracked: bool = False


@dataclass
class LocalEngine:
    """Carries tasks to worker processes on this machine; see ``Engine``. One thread at a time may use it.

    Workers start in the background at once, and import what they need while the driver plans.

    Args:
        devices: one worker for each; the same one twice is two workers on it.
        log_folder: where a dead worker's log is kept; made when needed.
    """

    devices: Sequence[DeviceSpec]
    log_folder: Path
    _places: list[_Place] = field(default_factory=list, init=False)
    _num_tasks: int = field(default=0, init=False)
    _left: list[Event] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        for name, spec in zip(names_of(self.devices), self.devices, strict=True):
            self._places.append(_Place(name, spec, take_worker(spec, name)))

    @property
    def workers(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(place.name for place in self._places)

    @property
    def idle(self) -> tuple[str, ...]:
        """The workers without a task."""
        return tuple(place.name for place in self._places if place.task is None)

    def free_bytes(self, worker: str) -> float:
        """The free memory of an idle worker's device; waits until its process has begun."""
        place = next(place for place in self._places if place.name == worker)
        if not place.process.is_alive:
            self._replace(place)
        place.process.send("free")
        connection = place.process.connection
        until = time.monotonic() + FREE_S
        try:
            while connection.poll(max(0.0, until - time.monotonic())):
                if isinstance(said := connection.recv(), Free):
                    return said.num_bytes
                self._left.append(said)
        except (EOFError, OSError):  # it died; ``submit`` replaces it
            pass
        return math.inf

    def submit(self, task: Task) -> int:
        """Give a task to the first idle worker; returns the task's number.

        Raises:
            RuntimeError: no worker is idle.
        """
        place = next((place for place in self._places if place.task is None), None)
        if place is None:
            raise RuntimeError("No worker is idle; take events until one is.")
        if not place.process.is_alive:  # it died between tasks
            self._replace(place)
        number, self._num_tasks = self._num_tasks, self._num_tasks + 1
        place.task, place.row_ids = number, tuple(row.id for row in task.rows)
        place.has_tracked = place.has_tracked or task.tracking != "off"
        place.process.mark_log()
        place.process.pulse.look(is_heard=True)
        place.process.send("submit", number, place.name, os.getcwd(), pickle.dumps(task))
        return number

    def prune(self, run_ids: Sequence[str]) -> None:
        """Ask for these rows to leave their batches."""
        for place in self._places:
            if place.task is not None and (own := tuple(set(run_ids) & set(place.row_ids))):
                place.process.send("prune", own)

    def events(self, timeout_s: float) -> list[Event]:
        """What has happened, in order for each worker; waits until something has, at most so long."""
        found, self._left = self._left, []
        busy = {place.process.connection: place for place in self._places if place.task is not None}
        if not busy:
            if not found:
                time.sleep(timeout_s)
            return found
        heard = wait(list(busy), 0.0 if found else timeout_s)
        for connection in heard:
            found += self._take(busy[connection])  # type: ignore[index]
        for connection, place in busy.items():
            if place.task is not None and place.process.pulse.look(connection in heard) > SILENT_S:
                place.process.process.kill()
                hangs = f"it hung, without a word and without computing for {SILENT_S / 60:.0f} minutes, and was killed"
                found.append(self._died(place, hangs))
        return found

    def stop(self) -> None:
        """Ask every worker to checkpoint and stop; not from a signal's handler, which may interrupt another message."""
        for place in self._places:
            if place.task is not None:
                place.process.send("stop")

    def close(self) -> None:
        """Stop what is still computed, let W&B have the rest, and keep the idle workers for the next engine."""
        self.stop()
        said: list[Event] = []
        until = time.monotonic() + STOP_S
        while any(place.task is not None for place in self._places) and time.monotonic() < until:
            said += self.events(1.0)
        resting = [place for place in self._places if place.task is None and place.has_tracked]
        for place in resting:
            place.process.send("rest")
        until = time.monotonic() + REST_S
        for place in resting:
            said += self._rest(place, until)
        for place in self._places:
            if place.task is None and place.process.is_alive:
                keep_worker(place.process)
            else:
                place.process.end(0.0)
        self._places, self._left = [], said

    def _rest(self, place: _Place, until: float) -> list[Event]:
        """Wait until a worker has nothing left for W&B; returns what it says meanwhile."""
        connection = place.process.connection
        said: list[Event] = []
        try:
            while connection.poll(max(0.0, until - time.monotonic())):
                if (event := connection.recv()) == RESTED:
                    return said
                said.append(event)
            place.task = -1  # it hangs: nobody may have it any more
        except (EOFError, OSError):  # it died; ``wandb`` is a mirror, the run folders hold everything
            pass
        return said

    def _take(self, place: _Place) -> list[Event]:
        """All that a worker has sent; the end of its process is the end of its task."""
        found: list[Event] = []
        try:
            while place.task is not None and place.process.connection.poll():
                event: Event | Free = place.process.connection.recv()
                if isinstance(event, Free):  # nobody waits for it any more
                    continue
                if isinstance(event, Ended):
                    event = self._end(place, event)
                found.append(event)
        except (EOFError, OSError):
            found.append(self._died(place))
        return found

    def _end(self, place: _Place, event: Ended) -> Ended:
        place.task, place.row_ids = None, ()
        log = place.process.read_log()
        if event.end in (End.UNFORESEEN, End.DEVICE_LOST) and "Traceback (most recent call last)" in log:
            message = f"{event.message} {place.name}'s log has the details: {self._keep_log(place, log)}."
            event = replace(event, message=message)
        if event.end is End.DEVICE_LOST:
            self._replace(place)
        return event

    def _died(self, place: _Place, why: str = "") -> Ended:
        """The end of a task whose worker is gone, as its exit code or ``why`` says; another process takes its place."""
        assert place.task is not None
        number, rows = place.task, ", ".join(place.row_ids)
        exit_code = place.process.join(END_S)
        how = why or describe_exit(exit_code)
        log = place.process.read_log()
        kept = self._keep_log(place, log)
        last = " / ".join(line.strip() for line in log.strip().splitlines()[-NUM_LAST_LINES:])
        ends = f", which ends: {last}" if last else ", which is empty"
        message = (
            f"Worker {place.name} died while it computed {rows} ({how}); they can go on from their last checkpoint. "
            f"Its log is {kept}{ends}"
        )
        self._replace(place)
        place.task, place.row_ids = None, ()
        return Ended(number, place.name, End.DIED, message, 1)

    def _replace(self, place: _Place) -> None:
        place.process.end(END_S)
        place.process = take_worker(place.spec, place.name)

    def _keep_log(self, place: _Place, log: str) -> Path:
        """Copy a log to where it stays; returns its path."""
        stamp = time.strftime("%Y%m%dT%H%M%S")
        path = self.log_folder / f"{place.name.replace(':', '_')}-{stamp}-{place.process.process.pid}.log"
        self.log_folder.mkdir(parents=True, exist_ok=True)
        write_durably(path, log)
        return path


def names_of(devices: Sequence[DeviceSpec]) -> list[str]:
    """What the workers are called: ``cpu:0``, ``cpu:1``, ``cuda:0``, ``cuda:0#2``."""
    names: list[str] = []
    for spec in devices:
        same = sum(other.device == spec.device for other in devices[: len(names)])
        if spec.device == "cpu":
            names.append(f"cpu:{same}")
        else:
            names.append(f"{spec.device}#{same + 1}" if same else spec.device)
    return names
