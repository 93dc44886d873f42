"""Kill a sweep's workers and driver at random moments until it is done, then look at the books; minutes, not a test.

    python tests/kill_sweep.py /tmp/killed sweeps/pareto.yaml --kills 10

Prints how often each trial was told, whether folders and trials match one to one, and how many evaluations were
computed more than once beside what the checkpoints allow: kills × interval × pace.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from processes import workers_of

import harness

STATE_WRITTEN = 6  # Optuna's journal: the operation that changes a trial's state
ENDED = (1, 2, 3)  # complete, pruned, failed

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("out", type=Path, help="an empty folder")
parser.add_argument("file", type=Path, help="a sweep")
parser.add_argument("--kills", type=int, default=10)
parser.add_argument("--every", type=float, default=4.0, help="seconds between checkpoints")
parser.add_argument("--seed", type=int, default=0, help="of the moments and the victims")


def sweep_under_fire(out: Path, file: Path, kills: int, every: float, chosen: random.Random) -> dict[str, int]:
    """Start the sweep again and again; kill a worker or the driver every 8 to 30 s."""
    command = [sys.executable, "-m", "harness", "sweep", str(file), "--devices", "cpu:2", "--wandb", "off"]
    command += ["--out", str(out), "--checkpoint-every", str(every)]
    killed = {"workers": 0, "drivers": 0}
    while True:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while process.poll() is None:
            try:
                process.wait(chosen.uniform(8, 30))
            except subprocess.TimeoutExpired:
                if sum(killed.values()) == kills:
                    continue
                workers = workers_of(process.pid)
                if workers and chosen.random() < 0.5:
                    os.kill(chosen.choice(workers), signal.SIGKILL)
                    killed["workers"] += 1
                else:
                    process.kill()
                    killed["drivers"] += 1
        if process.returncode != -signal.SIGKILL:
            print(f"exit code {process.returncode}; killed {killed}")
            return killed


def look_at_the_books(folder: Path, num_kills: int, every: float) -> None:
    """Print what the journal and the manifests say."""
    tells: collections.Counter[int] = collections.Counter()
    for line in (folder / "study.journal").read_text().splitlines():
        record = json.loads(line)
        if record["op_code"] == STATE_WRITTEN and record["state"] in ENDED:
            tells[record["trial_id"]] += 1
    print(f"{len(tells)} trials told, {sorted(set(tells.values()))} times each")
    manifests = [run.manifest for run in harness.load(folder).runs if run.manifest]
    numbers = sorted(manifest.trials[0]["number"] for manifest in manifests)
    statuses = collections.Counter(manifest.status.name for manifest in manifests)
    print(f"{len(manifests)} folders, {dict(statuses)}; one trial each: {numbers == list(range(len(tells)))}")
    computed = sum(attempt.last - attempt.first + 1 for manifest in manifests for attempt in manifest.attempts)
    needed = sum(manifest.attempts[-1].last for manifest in manifests)
    pace = needed / sum(manifest.metrics["seconds"] for manifest in manifests)
    allowed = num_kills * every * pace
    print(f"{computed - needed} evaluations computed again; {allowed:.0f} allowed ({pace:.1f} per second and worker)")


if __name__ == "__main__":
    given = parser.parse_args()
    killed = sweep_under_fire(given.out, given.file, given.kills, given.every, random.Random(given.seed))
    look_at_the_books(given.out / given.file.stem, sum(killed.values()), given.every)
