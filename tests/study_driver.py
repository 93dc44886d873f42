"""A sweep's driver without its runs, to be killed: asks, computes a made-up objective, tells out of order.

Started once, it forks for every job it reads, so that a test can kill many drivers without importing Optuna each time.
"""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.config.dimensions import Choice, Dimension, Integer, Log, Simplex
from harness.config.samplers import Budget, Nsga2, Qmc, Random, Sampler, Tpe
from harness.studies.journal import FlockLock
from harness.studies.search import open_search
from harness.studies.session import Asked, StudySession
from harness.studies.storage import hold_study, open_storage

SPACE: dict[str, Dimension] = {
    "alpha": Log(log=(1e-5, 1e-1)),
    "style_layers": Simplex(simplex=("conv1_1", "conv2_1", "conv3_1")),
    "start": Choice(choice=("content", "noise", {"file": "a.png"})),
    "steps": Integer(integer=(10, 50)),
}
OBJECTIVES = ("reference_content", "reference_style")
SAMPLERS: dict[str, Sampler] = {
    "tpe": Tpe(seed=3, startup=4),
    "nsga2": Nsga2(name="nsga2", seed=3, population=4),
    "qmc": Qmc(name="qmc", seed=3),
    "random": Random(name="random", seed=3),
}


def objective(asked: Asked) -> list[float]:
    """Two numbers that pull apart, computed from the parameters alone."""
    weights = asked.fields["style_layers"]
    start = ("content", "noise", {"file": "a.png"}).index(asked.fields["start"])
    content = asked.fields["alpha"] * 10 + weights["conv1_1"] + 0.1 * start
    return [content, 1 / (1 + content) + abs(asked.fields["steps"] - 30) / 40]


def carry_out(
    session: StudySession, workers: int, order: int, before: Callable[[Asked], None] = lambda _: None
) -> None:
    """Compute what is asked for, at most so many trials at once, which end in a random order."""
    rng = random.Random(order)
    running: list[Asked] = []
    while not session.is_finished:
        while len(running) < workers and (asked := session.ask()) is not None:
            running.append(asked)
        asked = running.pop(rng.randrange(len(running)))
        before(asked)
        session.complete(asked.number, objective(asked))


def sweep(job: dict[str, Any]) -> None:
    """Carry out a sweep; ``kill_after_s`` after ``kill_at`` trials are behind it, be killed."""
    folder = Path(job["folder"])

    def log_or_die(asked: Asked) -> None:
        if session.counts().complete >= job["kill_at"]:
            signal.setitimer(signal.ITIMER_REAL, job["kill_after_s"])
            job["kill_at"] = math.inf
        with open(folder / "asked.jsonl", "a") as file:
            file.write(json.dumps([asked.number, dict(asked.params)]) + "\n")
        time.sleep(0.02)

    with hold_study(folder):
        storage = open_storage(job["given"], folder)
        budget = Budget(trials=job["trials"], parallel=4)
        session = open_search(storage, job["name"], SPACE, OBJECTIVES, SAMPLERS[job["sampler"]], budget)
        carry_out(session, 3, os.getpid(), log_or_die)


def hold_journal(job: dict[str, Any]) -> None:
    """Take a journal's lock, write half a line, and wait to be killed."""
    FlockLock(Path(job["journal"])).acquire()
    with open(job["journal"], "a") as file:
        file.write('{"op_code":4,"worker_')
    Path(job["held"]).touch()
    time.sleep(60)


class Drivers:
    """The test's end: starts drivers, kills them."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, task: str, **job: Any) -> int:
        """Begin a job; its process."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"task": task, **job}) + "\n")
        self._process.stdin.flush()
        return self._number("pid")

    def wait(self) -> int:
        """Wait for the last job's end; its exit code, negative for a signal."""
        return self._number("exit")

    def close(self) -> None:
        """End the process that forks."""
        self._process.communicate()

    def _number(self, word: str) -> int:
        assert self._process.stdout is not None
        found, number = self._process.stdout.readline().split()
        assert found == word, f"{found} came where {word} was due"
        return int(number)


def main() -> None:
    for line in sys.stdin:
        job = json.loads(line)
        pid = os.fork()
        if pid == 0:
            # SIGALRM's default action ends the process at once, without a handler, as SIGKILL does.
            try:
                {"sweep": sweep, "hold_journal": hold_journal}[job["task"]](job)
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(1)
            os._exit(0)
        print("pid", pid, flush=True)
        print("exit", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
