"""What an evaluation takes at earlier commits, beside this checkout's, in one run.

    python tests/benchmarks/commits.py                            the commits of COMMITS, embedded, 256 px: 5 min
    python tests/benchmarks/commits.py --network vgg16 0ab1df2    one of them, on a full-width VGG-16

Each commit is checked out beside this one (``git worktree``), and its own ``harness run`` carries out one transfer at
one size on a single-threaded worker; the time of an evaluation is read from the run's ``history.csv``, from the 30th
evaluation on, so that start and first calls are left out. Commits take turns; medians are printed. This checkout's
packages serve all of them.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from evaluation import machine

COMMITS = {
    "da90e3d": "before any work on speed",
    "0ab1df2": "compared filters, pyramids, VGG-16",
    "8e87d0a": "Winograd, both ways written out, compact L-BFGS",
    "df10342": "oneDNN's products, large pages",
}
FROM, TO = 30, 90
ROOT = Path(__file__).resolve().parents[2]


def ms_per_evaluation(checkout: Path, network: str, out: Path) -> float:
    """Of one run by the ``harness`` of a checkout."""
    words = [sys.executable, "-m", "harness", "run", "experiments/single.yaml", f"transfer.steps={TO}"]
    words += ["transfer.size=256", f"transfer.weights={network}", "--devices", "cpu:1", "--out", str(out)]
    if "pyramid" in (checkout / "harness/config/transfer.py").read_text():
        words.append("transfer.pyramid=[]")
    environment = {**os.environ, "PYTHONPATH": str(checkout), "WANDB_MODE": "disabled"}
    subprocess.run(words, cwd=checkout, env=environment, check=True, stdout=subprocess.DEVNULL)
    history = next(out.glob("*/*/history.csv"))
    with open(history, newline="") as file:
        seconds = {int(line["evaluation"]): float(line["seconds"]) for line in csv.DictReader(file)}
    return 1e3 * (seconds[TO] - seconds[FROM]) / (TO - FROM)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commits", nargs="*", default=list(COMMITS))
    parser.add_argument("--network", default="embedded", choices=["embedded", "vgg16"])
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args()
    names = [*given.commits, "this checkout"]
    taken: dict[str, list[float]] = {name: [] for name in names}
    with TemporaryDirectory() as folder:
        checkouts = {name: Path(folder) / name for name in given.commits} | {"this checkout": ROOT}
        try:
            for name in given.commits:
                command = ["git", "-C", str(ROOT), "worktree", "add", "--detach", str(checkouts[name]), name]
                subprocess.run(command, check=True, capture_output=True)
            for turn in range(given.turns):
                for name in names:
                    out = Path(folder) / "runs" / f"{names.index(name)}-{turn}"
                    taken[name].append(ms_per_evaluation(checkouts[name], given.network, out))
        finally:
            for name in given.commits:
                command = ["git", "-C", str(ROOT), "worktree", "remove", "--force", str(checkouts[name])]
                subprocess.run(command, check=False, capture_output=True)
    print(machine())
    print(f"| commit | what it brought | {given.network}, ms | of this checkout's |")
    print("| --- " * 4 + "|")
    now = statistics.median(taken["this checkout"])
    for name in names:
        median = statistics.median(taken[name])
        print(f"| {name} | {COMMITS.get(name, '')} | {median:.0f} | {median / now:.2f} |")


if __name__ == "__main__":
    main()
