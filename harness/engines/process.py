"""One worker process as its driver sees it, and the idle ones kept for the next engine of this process."""

from __future__ import annotations

import atexit
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from harness.engines.devices import DeviceSpec

CLUSTER = re.compile(
    r"(RANK|LOCAL_RANK|WORLD_SIZE|LOCAL_WORLD_SIZE|NODE_RANK|GROUP_RANK|ROLE_\w+)$"
    r"|(MASTER_|SLURM_|SLURMD_|PMI|PMIX_|OMPI_|MPI_|MV2_|TORCHELASTIC_|LSB_|LSF_|PBS_|KUBERNETES_|PL_|LT_)"
)
"""Variables by which Lightning would take a worker for one rank of many, and silence or refuse it."""

OF_THIS_PROCESS = ("WANDB_SERVICE", "PYTEST_CURRENT_TEST")
"""Variables that mean something in this process only; W&B's would make a worker use this process's service."""

TELLING = re.compile(
    r"HARNESS_|WANDB_(?!SILENT|ERROR_REPORTING)|XDG_|CUDA_|NVIDIA_|OMP_|MKL_|GLIBC_|MALLOC_|PYTHON"
    r"|(HOME|TMPDIR|PATH)$|\w+_(proxy|PROXY)$|SSL_"
)
"""Variables that an idle worker must have in common with this process to be used again."""

ALLOCATION = {
    "GLIBC_TUNABLES": f"glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.top_pad={2**28}"
    f":glibc.malloc.trim_threshold={2**32}"
}
"""How a worker's C library deals with memory: every evaluation takes the same maps, of many megabytes, and gives them
back. In pages of 4 KiB, given back to the system, each page costs a fault the next time. So large pages, no map mapped
by itself (which those above 32 MiB always would be), and 4 GiB that are kept. Only glibc reads it (large pages from
2.35 on). tests/benchmarks/evaluation.py measures with it, and with ``GLIBC_TUNABLES=`` before the command without."""

LOG_BYTES = 64_000
"""How much of a dead worker's log is kept."""

SILENT_S = 600.0
"""A worker that has a task, and for so long neither says anything nor computes at all, hangs: it is killed. Each moment
of computing begins the time anew, so that the longest evaluation, download or wait for a slow disk is no matter."""
LOOKED_S = 5.0
"""No more than this counts between two looks: a driver that was itself stopped (Ctrl-Z, a suspended job, a machine that
slept) has not seen what its workers did meanwhile, or was stopped together with them."""


def clean_environment(device: DeviceSpec) -> dict[str, str]:
    """The variables of this process without those of a cluster's launcher; a worker sees its own card only, or none."""
    environment = {name: value for name, value in os.environ.items() if not CLUSTER.match(name)}
    for name in OF_THIS_PROCESS:
        environment.pop(name, None)
    if device.device == "cpu":
        visible = ""
    else:
        here = [card.strip() for card in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if card.strip()]
        index = int(device.device.split(":")[1])
        visible = here[index] if here else str(index)
    root = str(Path(__file__).resolve().parents[2])  # also where the driver runs from a checkout on ``sys.path`` only
    paths = [root, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    own = {
        "CUDA_VISIBLE_DEVICES": visible,
        "OMP_NUM_THREADS": str(device.threads),
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
        "PYTHONUTF8": str(sys.flags.utf8_mode),  # names of files are to be the same bytes there as here
        "PYTHONIOENCODING": "utf-8:backslashreplace",  # the log's
    }
    return ALLOCATION | environment | own


class Pulse:
    """How long a thread has not computed, as far as it was looked at.

    Args:
        stat: its ``/proc/PID/task/TID/stat``; where there is none (not Linux), the thread counts as alive.
    """

    def __init__(self, stat: Path) -> None:
        self._stat = stat
        self._ticks = ""
        self._looked_s = time.monotonic()
        self._silent_s = 0.0

    def look(self, is_heard: bool = False) -> float:
        """Seconds that it has been silent.

        Args:
            is_heard: whether something else has shown since the last look that it lives.
        """
        now, ticks = time.monotonic(), self._cpu_ticks()
        self._silent_s += min(now - self._looked_s, LOOKED_S)
        if is_heard or not ticks or ticks != self._ticks:
            self._silent_s = 0.0
        self._looked_s, self._ticks = now, ticks
        return self._silent_s

    def _cpu_ticks(self) -> str:
        try:
            fields = self._stat.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            return ""
        return " ".join(fields[11:13])  # utime and stime: hundredths of a second


class WorkerProcess:
    """A worker process, its connection and its log.

    The log is a file without a name, so that nothing stays behind; what is worth keeping is copied.

    Args:
        spec: its device and threads.
        environment: of the process.
        name: for ``ps``.
    """

    def __init__(self, spec: DeviceSpec, environment: Mapping[str, str], name: str) -> None:
        self.spec = spec
        self.environment = dict(environment)
        self.log_start_bytes = 0
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the worker
        ours, theirs = socket.socketpair()
        with theirs:
            inside = "cpu" if spec.device == "cpu" else "cuda:0"
            words = [str(theirs.fileno()), inside, str(spec.threads), name]
            self.process = subprocess.Popen(
                [sys.executable, "-m", "harness.engines.worker", *words],
                env=self.environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the driver only, which asks its workers to stop
            )
        self.connection = Connection(ours.detach())
        pid = self.process.pid
        self.pulse = Pulse(Path(f"/proc/{pid}/task/{pid}/stat"))  # of the thread that computes
        _ALL.add(self)

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def send(self, *message: Any) -> bool:
        """Send a message; False where the process is gone, which ``events`` then tells."""
        try:
            self.connection.send(message)
        except OSError:
            return False
        return True

    def mark_log(self) -> None:
        """What is logged from now on belongs to the next task."""
        self.log_start_bytes = os.fstat(self._log.fileno()).st_size

    def read_log(self) -> str:
        """What was logged since the mark, at most its end."""
        size = os.fstat(self._log.fileno()).st_size
        start = max(self.log_start_bytes, size - LOG_BYTES)
        return os.pread(self._log.fileno(), size - start, start).decode(errors="replace")

    def join(self, grace_s: float) -> int:
        """Wait for the process to end, kill it if it has not after a while, and give its exit code."""
        try:
            return self.process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def end(self, grace_s: float) -> None:
        """Ask the process to end, and see to it."""
        self.send("quit")
        self.connection.close()
        self.join(grace_s)
        self._log.close()
        _ALL.discard(self)

    def is_like(self, environment: Mapping[str, str]) -> bool:
        """Whether the process has these variables, as far as they matter."""

        def telling(variables: Mapping[str, str]) -> dict[str, str]:
            return {name: value for name, value in variables.items() if TELLING.match(name)}

        return telling(self.environment) == telling(environment)


_ALL: set[WorkerProcess] = set()
_IDLE: list[WorkerProcess] = []


def take_worker(spec: DeviceSpec, name: str) -> WorkerProcess:
    """An idle worker of this process with these device, threads and environment, else a new one; never waits.

    Idle ones with the same device and another environment (another cache, another W&B server) are of no use any more.
    """
    environment = clean_environment(spec)
    stale = []
    for worker in list(_IDLE):
        if worker.spec == spec:
            _IDLE.remove(worker)
            if worker.is_like(environment) and worker.is_alive:
                return worker
            stale.append(worker)
    taken = WorkerProcess(spec, environment, name)
    for worker in stale:
        worker.end(0.0)  # an idle one has nothing to lose
    return taken


def keep_worker(worker: WorkerProcess) -> None:
    """Keep an idle worker for the next engine; it ends with this process."""
    _IDLE.append(worker)


@atexit.register
def end_idle_workers() -> None:
    """End the workers that are kept; with this process they would end by themselves, a little later."""
    while _IDLE:
        _IDLE.pop().end(0.0)


def describe_exit(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"it ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if name == "SIGKILL" and sys.platform == "linux":
        return f"killed by {name}; a likely cause is the kernel's out-of-memory killer"
    return f"killed by {name}"
