"""The engine on a Ray cluster: one actor per device, which keeps it for life and takes one batch at a time.

    driver: RayEngine ── start, prune, stop ──► node: Carrier (an actor) ─► a thread of it: carry_out ─► run_batch
                      ◄── poll: new events ──

Ray places the actors, gives each its own GPU and tells of their deaths. They are not detached: they are killed when the
driver ends, however it ends. A killed actor and a lost node cost what was computed since the last checkpoint, at most
``checkpoint_every_s``: the rows come back as unfinished, their folders' locks are free, and another actor goes on.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.engines.contract import End, Ended, Event, Task
from harness.engines.devices import DeviceSpec
from harness.engines.local import names_of
from harness.engines.process import ALLOCATION, LOOKED_S, SILENT_S
from harness.engines.ray_actor import POLL_S, Carrier, Place
from harness.engines.ray_cluster import carried_environment, connect, specs_of
from harness.errors import RunError

PATIENCE_S = 300.0
"""Seconds to wait while no worker at all is ready; a cluster that grows by itself takes minutes."""

CLOSE_WITHIN_S = 30.0
"""Seconds that batches are given to checkpoint when the engine is closed."""

NUM_STARTS = 3
"""A worker whose actor dies so often in a row before it is ready is given up."""

log = logging.getLogger(__name__)


@dataclass
class _Worker:
    """What the driver knows of a worker.

    Attributes:
        name: ``cpu:0``, ``cuda:1``, ``cuda:1#2``.
        threads: of the CPU.
        num_gpus: its share of a GPU: 0, 1, or 1/n where n workers share one.
        actor: Ray's handle.
        place: where it runs; None until it is ready.
        task: number and task that it has.
        num_seen: events fetched from this actor.
        num_failed_starts: actors in a row that died before they were ready.
        unheard_s: seconds since it last answered, as far as it was looked at.
        awaited: calls not yet answered, ``place``, ``start`` or ``poll``, to Ray's references.
    """

    name: str
    threads: int
    num_gpus: float
    actor: Any = None
    place: Place | None = None
    task: tuple[int, Task] | None = None
    num_seen: int = 0
    num_failed_starts: int = 0
    unheard_s: float = 0.0
    awaited: dict[str, Any] = field(default_factory=dict)


class RayEngine:
    """Carries batches to the devices of a Ray cluster; ``open_ray`` makes one.

    Args:
        devices: one for each worker; equal GPUs are one, which these workers share.
        disconnect: called at the end.

    Raises:
        RunError: no worker could be started.
    """

    def __init__(self, devices: Sequence[DeviceSpec], disconnect: Callable[[], None] = lambda: None) -> None:
        self._disconnect = disconnect
        self._num_tasks = 0
        cards = [spec.device for spec in devices]
        self._workers = {
            name: _Worker(name, spec.threads, 0 if spec.device == "cpu" else 1 / cards.count(spec.device))
            for name, spec in zip(names_of(devices), devices, strict=True)
        }
        self._had_worker = self._looked = time.monotonic()
        self._early: list[Event] = []
        for worker in self._workers.values():
            self._make_actor(worker)
        while not self.idle:
            self._early += self.events(1.0)

    @property
    def workers(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self._workers)

    @property
    def idle(self) -> tuple[str, ...]:
        """The workers that are ready and have no task."""
        return tuple(w.name for w in self._workers.values() if w.place is not None and w.task is None)

    @property
    def places(self) -> dict[str, Place]:
        """Where the workers are that are ready."""
        return {w.name: w.place for w in self._workers.values() if w.place is not None}

    def free_bytes(self, worker: str) -> float:
        """The free memory of an idle worker's device when it was ready."""
        return self.places[worker].free_bytes

    def submit(self, task: Task) -> int:
        """Give a task to an idle worker; its paths are made absolute, for the worker's folder is another one.

        Raises:
            RuntimeError: no worker is idle.
        """
        if not self.idle:
            raise RuntimeError("no worker is idle")
        worker = self._workers[self.idle[0]]
        rows = (
            replace(row, folder=row.folder.absolute(), files={k: os.path.abspath(v) for k, v in row.files.items()})
            for row in task.rows
        )
        task = replace(task, rows=tuple(rows), wandb_folder=task.wandb_folder.absolute())
        number = self._num_tasks
        self._num_tasks += 1
        worker.task = (number, task)
        self._call(worker, "start")
        return number

    def prune(self, run_ids: Sequence[str]) -> None:
        """Ask for these rows to leave their batches."""
        for worker in self._workers.values():
            if worker.task is not None:
                number, task = worker.task
                if asked := [row.id for row in task.rows if row.id in run_ids]:
                    worker.actor.prune.remote(number, asked)

    def events(self, timeout_s: float) -> list[Event]:
        """What has happened; returns early, with nothing, when a worker has become ready.

        Raises:
            RunError: there is no worker left, or no room for any on the cluster.
        """
        import ray

        found, self._early = self._early, []
        until = time.monotonic() + timeout_s
        num_ready = len(self.places)
        while self._workers and not found and len(self.places) <= num_ready:
            awaited = {ref: (worker, call) for worker in self._workers.values() for call, ref in worker.awaited.items()}
            ray.wait(list(awaited), timeout=max(0.0, until - time.monotonic()))
            answered, _ = ray.wait(list(awaited), num_returns=len(awaited), timeout=0)
            for ref in answered:
                worker, call = awaited[ref]
                if worker.awaited.get(call) == ref:  # else its actor has been replaced meanwhile
                    found += self._take(worker, call, ref)
            found += self._replace_hanging()
            self._check()
            if time.monotonic() >= until:
                break
        return found

    def stop(self) -> None:
        """Ask every worker to checkpoint and stop."""
        for worker in self._workers.values():
            if worker.task is not None:
                worker.actor.stop.remote(worker.task[0])

    def close(self) -> None:
        """End the actors; batches still on them are stopped first, and given ``CLOSE_WITHIN_S`` to checkpoint.

        What happens meanwhile comes from a last ``events(0)``.
        """
        import ray

        self.stop()
        until = time.monotonic() + CLOSE_WITHIN_S
        found: list[Event] = []
        try:
            while any(worker.task for worker in self._workers.values()) and time.monotonic() < until:
                found += self.events(until - time.monotonic())
            ends = [w.actor.end.remote(w.num_seen) for w in self._workers.values() if w.place and not w.task]
            answered, _ = ray.wait(ends, num_returns=len(ends), timeout=CLOSE_WITHIN_S) if ends else ([], [])
            for ref in answered:
                found += ray.get(ref)
        except (RunError, ray.exceptions.RayError):
            log.warning("a worker died while the engine was closed", exc_info=True)
        for worker in self._workers.values():
            ray.kill(worker.actor)
        self._workers, self._early = {}, found
        self._disconnect()

    def _make_actor(self, worker: _Worker) -> None:
        """Ask Ray for a new actor for a worker, wherever there is room."""
        import ray

        device = "cuda:0" if worker.num_gpus else "cpu"
        told = {name: value for name, value in ALLOCATION.items() if name not in os.environ}
        variables = {"OMP_NUM_THREADS": str(worker.threads)} | told
        if device == "cpu":
            variables["CUDA_VISIBLE_DEVICES"] = ""
        options = {
            "num_cpus": 0 if worker.num_gpus else worker.threads,  # a GPU must not wait for a CPU
            "num_gpus": worker.num_gpus,
            "max_concurrency": 4,  # a poll, a request, and what a lost connection has left behind
            "max_restarts": 0,  # a new actor is made here, so that the task's end is told first
            "runtime_env": {"env_vars": variables},
        }
        worker.actor = (
            ray.remote(Carrier)
            .options(**options)
            .remote(worker.name, device, worker.threads, os.getcwd(), carried_environment())
        )
        worker.place, worker.task, worker.num_seen, worker.unheard_s, worker.awaited = None, None, 0, 0.0, {}
        self._call(worker, "place")

    def _call(self, worker: _Worker, call: str) -> None:
        """Call the actor; the answer is awaited in ``events``."""
        if call == "place":
            worker.awaited[call] = worker.actor.place.remote()
        elif call == "poll":
            worker.awaited[call] = worker.actor.poll.remote(worker.num_seen)
        elif worker.task is not None:
            worker.awaited[call] = worker.actor.start.remote(*worker.task, _needed_by(worker.task[1]))

    def _take(self, worker: _Worker, call: str, ref: Any) -> list[Event]:
        """What an answer says has happened."""
        import ray

        del worker.awaited[call]
        try:
            answer = ray.get(ref)
        except ray.exceptions.ActorUnavailableError:  # the network fails: Ray will say whether the actor lives
            time.sleep(0.2)
            self._call(worker, call)
            return []
        except ray.exceptions.RayError as error:
            return self._replace(worker, error)
        if call == "place":
            worker.place, worker.num_failed_starts = answer, 0
            self._call(worker, "poll")
        if call != "poll":
            return []
        worker.num_seen += len(answer.events)
        worker.unheard_s = answer.silent_s
        self._call(worker, "poll")
        for event in answer.events:
            if isinstance(event, Ended):
                worker.task = None
                if event.end is End.DEVICE_LOST:
                    ray.kill(worker.actor)
                    self._make_actor(worker)
        return list(answer.events)

    def _replace(self, worker: _Worker, error: Exception) -> list[Event]:
        """Let a new actor take a dead one's place, and say what became of its task."""
        import ray

        ray.kill(worker.actor)
        ended: list[Event] = []
        message = _death_sentence(worker, error)
        if worker.task is not None:
            ended.append(Ended(worker.task[0], worker.name, End.DIED, message, 1))
        if worker.place is None:
            worker.num_failed_starts += 1
        if worker.num_failed_starts >= NUM_STARTS:
            log.warning(message)
            del self._workers[worker.name]
            if not self._workers:
                raise RunError(message)
        else:
            self._make_actor(worker)
        return ended

    def _replace_hanging(self) -> list[Event]:
        """Kill the actors that have a task, and for ``SILENT_S`` neither answered, nor said anything, nor computed."""
        now = time.monotonic()
        looked_s, self._looked = min(now - self._looked, LOOKED_S), now
        found: list[Event] = []
        for worker in list(self._workers.values()):
            worker.unheard_s = worker.unheard_s + looked_s if worker.task else 0.0
            if worker.unheard_s > SILENT_S + POLL_S:
                told = f"it hung, without a word and without computing for {SILENT_S / 60:.0f} minutes, and was killed"
                found += self._replace(worker, RuntimeError(told))
        return found

    def _check(self) -> None:
        """Give up where no worker has been ready for long: nothing would ever happen."""
        now = time.monotonic()
        if self.places:
            self._had_worker = now
        elif now - self._had_worker > PATIENCE_S:
            raise RunError(
                f"In {PATIENCE_S:.0f} s no worker ({', '.join(self.workers)}) became ready on the Ray cluster: no node "
                "has room for one, or is too busy to start it; see `ray status`, or ask for other --devices."
            )


def open_ray(
    address: str | None = None, devices: str | Sequence[DeviceSpec] = "auto", max_workers: int | None = None
) -> RayEngine:
    """Connect to a Ray cluster, or start Ray on this machine where there is none, and make the engine.

    Args:
        address: ``host:port``, ``ray://host:port``, ``local`` (a new one here); None is ``RAY_ADDRESS``, else a Ray
            that runs here, else a new one.
        devices: the words of ``--devices`` about the whole cluster, or one for each worker: ``auto`` is all its GPUs
            or, where it has none, all its CPUs; ``cuda:0,1`` any two GPUs; ``cuda:0,cuda:0`` two workers on one.
        max_workers: no more than these, such as the rows that are left.

    Raises:
        UsageError: Ray is not installed, or does not answer at this address.
        DeviceError: the cluster has not so many devices, or the words are wrong.
        RunError: no worker could be started.
    """
    disconnect = connect(address)
    try:
        return RayEngine(specs_of(devices, max_workers), disconnect)
    except BaseException:
        disconnect()
        raise


def _needed_by(task: Task) -> list[str]:
    """The paths that a node must see: images, plugins, and the deepest folder that is there of each run's."""
    folders = {next(path for path in row.folder.parents if path.exists()) for row in task.rows}
    files: Iterable[Path] = (Path(file) for row in task.rows for file in row.files.values())
    return sorted({str(path) for path in (*folders, *files, *(plugin.path for plugin in task.plugins))})


def _death_sentence(worker: _Worker, error: Exception) -> str:
    """Who died, where, of what, and where the logs are."""
    said = re.search(r"^The actor (?:is dead|died) because (.*?)(?:\. |\n|$)", str(error), re.M)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    cause = said[1] if said and "creation task" not in said[1] else lines[-1] if lines else type(error).__name__
    if worker.place is None:
        return f"The worker {worker.name} could not be started on the Ray cluster: {cause.rstrip('.')}."
    place = worker.place
    return (
        f"The worker {worker.name} on the node {place.node} (process {place.pid}) died: {cause.rstrip('.')}. Its "
        f"output is in {place.logs} on that node, in the files *-{place.pid}.out and .err; what it had checkpointed "
        "is kept."
    )
