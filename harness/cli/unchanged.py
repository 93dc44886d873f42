"""What ``harness run`` says where nothing is left to do; nothing here imports torch."""

from __future__ import annotations

import json

from harness.claims.records import counted_verdicts
from harness.cli.console import make_console
from harness.cli.measured import MeasuredRun, measured
from harness.cli.opening import open_picture
from harness.cli.tables import num_of, written_line
from harness.config.commands import harness_command
from harness.config.loaded import LoadedExperiment
from harness.driver.request import Request
from harness.driver.unchanged import figures_if_unchanged
from harness.results.linking import taken_from, told_sources
from harness.results.run import run_of


def tell_unchanged(request: Request, loaded: LoadedExperiment, opens: bool = False) -> bool:
    """Say what there is of an experiment of which everything is done and stands as it was left.

    Args:
        request: the command line.
        loaded: its experiment.
        opens: open the figure.

    Returns:
        Whether that is so; else nothing was printed.
    """
    drawn = figures_if_unchanged(request, loaded)
    if drawn is None:
        return False
    console, folder = make_console(), request.out / loaded.name
    runs, pictures = [], []
    cells = json.loads((folder / "cells.json").read_text(encoding="utf-8"))["cells"]
    linked = told_sources(taken_from(folder / cell["folder"]) for cell in cells)
    for cell in cells:
        run = run_of(folder, cell, ())
        runs.append(MeasuredRun(run.id, run.label, run.part, run.status, run.metrics, run.settled))
        pictures.append(run.folder.image_path)

    def says(sentence: str) -> None:
        console.print(sentence, soft_wrap=True, markup=False)

    told = f" ({linked})" if linked else ""
    says(f"{len(runs)} of {len(runs)} runs are done already{told}; 0 to compute. Nothing has changed since.")
    console.print(measured(runs, console))
    for path in drawn:
        if path.suffix != ".pdf":
            says(written_line(path))
    if len(pictures) == 1:
        says(f"Picture: {pictures[0]}")
    if (folder / "claims.json").exists():
        claims = json.loads((folder / "claims.json").read_text(encoding="utf-8"))["claims"]
        told = counted_verdicts(claim["verdict"] for claim in claims)
        says(f"Claims: {folder / 'claims.md'} ({num_of(len(claims), 'claim')}: {told})")
    says(f"Runs:   {folder}")
    says(f"Next:   {harness_command('compare', folder)}, or {harness_command('dashboard', folder)}")
    figures = [path for path in drawn if path.suffix == ".png"]
    if opens and figures:
        says(open_picture(figures[0]))
    return True
