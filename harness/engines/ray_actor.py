"""What runs on a node of a Ray cluster: the actor that carries out one batch at a time and keeps its events."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.engines.contract import End, Ended, Event, Task
from harness.engines.devices import free_bytes
from harness.engines.process import CLUSTER, Pulse

if TYPE_CHECKING:
    from harness.runs.signals import Orders

POLL_S = 10.0
"""Seconds that a poll waits on the node for the next event."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """Where a worker runs.

    Attributes:
        node: the node's IP address.
        pid: of the worker's process there.
        gpus: Ray's numbers of its GPUs on that node.
        logs: the folder of Ray's logs there.
        free_bytes: the free memory of its device when it was ready.
    """

    node: str
    pid: int
    gpus: tuple[str, ...]
    logs: str
    free_bytes: float


@dataclass(frozen=True)
class Heard:
    """What a worker says when it is asked.

    Attributes:
        events: the new ones.
        silent_s: seconds for which its batch has neither said anything nor computed.
    """

    events: list[Event]
    silent_s: float


class Carrier:
    """The actor: a batch runs in a thread of its process, so that it can be asked to stop, and its events be fetched.

    Its methods run side by side, may overtake each other, and may be called twice with the same words: where the
    network fails, Ray does not know whether a call has arrived.

    Args:
        worker: its name.
        device: ``cpu`` or ``cuda:0``: Ray shows a process only the GPU that it was given.
        threads: of the CPU.
        folder: the driver's working directory, to which the paths in transfers are relative.
        environment: the driver's variables for this harness; those of the node come first.
    """

    def __init__(self, worker: str, device: str, threads: int, folder: str, environment: Mapping[str, str]) -> None:
        for name in list(os.environ):
            if CLUSTER.match(name):
                del os.environ[name]
        for name, value in environment.items():
            os.environ.setdefault(name, value)
        if Path(folder).is_dir():
            os.chdir(folder)
        from harness.engines.work import KeptTracker  # after the clean-up, and before the first batch: five seconds

        self.worker = worker
        self.device = device
        self.threads = threads
        self._changed = threading.Condition()
        self._events: list[Event] = []
        self._num_forgotten = 0
        self._asked: dict[int, Orders] = {}
        self._begun: set[int] = set()
        self._pulse: Pulse | None = None
        self._trackers = KeptTracker(self._send)

    def place(self) -> Place:
        """Where this is; answered once it is ready to work."""
        import ray
        from ray._private.worker import _global_node  # there is no public way to the logs' folder

        gpus = ray.get_runtime_context().get_accelerator_ids().get("GPU", [])
        logs = "/tmp/ray/session_latest/logs" if _global_node is None else _global_node.get_logs_dir_path()
        free = free_bytes(self.device)
        return Place(ray.util.get_node_ip_address(), os.getpid(), tuple(map(str, gpus)), logs, free)

    def start(self, number: int, task: Task, needed: Sequence[str]) -> None:
        """Begin a task in a thread, where it has not been begun; ``needed`` are the paths that must be there."""
        with self._changed:
            if number in self._begun:
                return
            self._begun.add(number)
        asked = self._asked_of(number)
        thread = threading.Thread(target=self._carry_out, args=(number, task, needed, asked), daemon=True)
        thread.start()
        self._pulse = Pulse(Path(f"/proc/self/task/{thread.native_id}/stat"))

    def prune(self, number: int, run_ids: Sequence[str]) -> None:
        """Ask for rows of a task to leave it."""
        asked = self._asked_of(number)
        with self._changed:
            asked.prune(run_ids)

    def stop(self, number: int) -> None:
        """Ask for a task to be checkpointed and to end."""
        self._asked_of(number).stop = True

    def end(self, num_seen: int) -> list[Event]:
        """End what is mirrored, before the process is killed; the events after the first ``num_seen``."""
        self._trackers.close()
        with self._changed:
            return self._events[max(0, num_seen - self._num_forgotten) :]

    def poll(self, num_seen: int) -> Heard:
        """The events after the first ``num_seen``, which are forgotten; waits for one for ``POLL_S`` seconds."""
        with self._changed:
            num_new = max(0, num_seen - self._num_forgotten)
            del self._events[:num_new]
            self._num_forgotten += num_new
            self._changed.wait_for(lambda: bool(self._events), POLL_S)
            events = list(self._events)
        return Heard(events, self._pulse.look(bool(events)) if self._pulse else 0.0)

    def _asked_of(self, number: int) -> Orders:
        """What is asked of a task, also where that arrives before the task."""
        from harness.runs.signals import Orders

        with self._changed:
            return self._asked.setdefault(number, Orders())

    def _send(self, event: Event) -> None:
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()

    def _carry_out(self, number: int, task: Task, needed: Sequence[str], asked: Orders) -> None:
        from harness.engines.work import carry_out

        try:
            unseen = next((path for path in needed if not Path(path).exists()), None)
            if unseen is not None:
                end, exit_code = End.ERROR, 2
                message = (
                    f"{unseen} is not to be seen from the node {self.place().node}; on a Ray cluster --out, the "
                    "images and the plugins must lie where every node finds them under the same path: on a shared file "
                    "system."
                )
            else:
                end, message, exit_code = carry_out(
                    task, self.device, self.threads, self.worker, self._send, asked, self._trackers
                )
        except BaseException as error:  # the thread ends here: whatever it was, the driver must hear of it
            log.exception("task %d", number)
            end, exit_code = End.UNFORESEEN, 1
            message = f"The worker {self.worker} failed with {type(error).__name__}: {error}"
        self._send(Ended(number, self.worker, end, message, exit_code))
