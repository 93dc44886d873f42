"""harness: the experiment-tracking research harness for neural style transfer.

    import harness

    results = harness.load("runs/relative_weight")
    results.run(alpha=0.01).image()

Importing it imports nothing heavy: numpy comes with the first ``load``, torch not at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from harness.results import Results

__all__ = ["load"]

__version__ = "0.1.0"


def load(path: Path | str) -> Results:
    """What an experiment or a sweep has come to: its runs, pictures, losses and numbers, for notebooks.

        results = harness.load("runs/relative_weight")
        for run in results.runs:
            print(run.name, run.metrics.get("ssim"), run.history()[-1]["total"])
        pandas.DataFrame(results.table())

    Args:
        path: the experiment's or sweep's folder.

    Raises:
        UsageError: it is not such a folder.
        StorageError: a manifest in it cannot be read.
    """
    from harness.results import load as load_results

    return load_results(path)
