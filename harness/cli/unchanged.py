"""What ``harness run`` says where nothing is left to do; nothing here imports torch."""

from __future__ import annotations

import json
from collections import Counter

from harness.cli.console import make_console
from harness.cli.measured import MeasuredRun, measured
from harness.cli.tables import num_of
from harness.config.loaded import LoadedExperiment
from harness.driver.request import Request
from harness.driver.unchanged import figures_if_unchanged
from harness.results.run import run_of


def tell_unchanged(request: Request, loaded: LoadedExperiment) -> bool:
    """Say what there is of an experiment of which everything is done and stands as it was left.

    Returns:
        Whether that is so; else nothing was printed.
    """
    drawn = figures_if_unchanged(request, loaded)
    if drawn is None:
        return False
    console, folder = make_console(), request.out / loaded.name
    runs = []
    for cell in json.loads((folder / "cells.json").read_text())["cells"]:
        run = run_of(folder, cell, ())
        runs.append(MeasuredRun(run.id, run.label, run.part, run.status, run.metrics, run.settled))

    def says(sentence: str) -> None:
        console.print(sentence, soft_wrap=True, markup=False)

    says(f"{len(runs)} of {len(runs)} runs are done already; 0 to compute. Nothing has changed since.")
    console.print(measured(runs))
    for path in drawn:
        if path.suffix == ".png":
            says(f"Figure: {path}")
    if (folder / "claims.json").exists():
        claims = json.loads((folder / "claims.json").read_text())["claims"]
        verdicts = Counter(claim["verdict"] for claim in claims)
        told = ", ".join(f"{num} {verdict}" for verdict, num in verdicts.items())
        says(f"Claims: {folder / 'claims.md'} ({num_of(len(claims), 'claim')}: {told})")
    says(f"Runs:   {folder}")
    says(f"Next:   harness compare {folder}, or harness dashboard {folder}")
    return True
