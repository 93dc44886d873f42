"""The bound of a line search's first step: total losses of short transfers with several bounds, over those without one.

    python tests/benchmarks/longest_step.py [--steps 40] [--size 96]

Forty transfers, five pairs of bundled images × four ratios × two starts, each with its pyramid; one thread.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch

from harness.config import load_experiment
from harness.config.yaml_source import dump_yaml
from harness.driver.jobs import make_jobs
from harness.runs import module_makers
from harness.runs.batch import run_batch
from harness.runs.module_makers import Execution

PAIRS = (("astronaut", "strokes"), ("coffee", "ink"), ("chelsea", "waves"), ("rocket", "shards"), ("chelsea", "mosaic"))
BOUNDS = (math.inf, 0.2, 0.1, 0.05, 0.03)
RATIOS = (1e-3, 1e-2, 1e-1, 2.0)


def totals(bound: float, steps: int, size: int) -> list[float]:
    """The lowest total loss of each transfer with a bound."""
    module_makers.LONGEST_STEP = bound
    found = []
    for content, style in PAIRS:
        spec: dict[str, Any] = {
            "transfer": {"content": content, "style": style, "size": size, "steps": steps},
            "axes": {"alpha": list(RATIOS), "start": ["content", "noise"]},
        }
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "transfers.yaml")
            path.write_text(dump_yaml(spec))
            rows = [job.row for job in make_jobs(load_experiment(path), Path(folder, "runs"))]
            found += [float(manifest.metrics["total"] or math.nan) for manifest in run_batch(rows, Execution())]
    return found


def main() -> None:
    """Print a line for each bound."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--size", type=int, default=96)
    given = parser.parse_args()
    torch.set_num_threads(1)
    without: list[float] = []
    for bound in BOUNDS:
        found = totals(bound, given.steps, given.size)
        without = without or found
        ratios = [one / other for one, other in zip(found, without, strict=True)]
        print(
            f"{bound:4g}: {statistics.geometric_mean(ratios):.3f} of the loss without a bound (geometric mean), "
            f"{min(ratios):.2f} to {max(ratios):.2f}; lower in {sum(r < 0.995 for r in ratios)} of {len(ratios)}, "
            f"higher in {sum(r > 1.005 for r in ratios)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
