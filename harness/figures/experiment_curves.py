"""An experiment's loss curves, drawn from its run folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.config.experiment import Experiment
from harness.config.identity import canonical_json
from harness.figures.curves import (
    LINE_STYLES,
    MAX_LABELLED,
    PALETTE,
    History,
    Labelled,
    Look,
    default_looks,
    draw_curves,
    evenly,
    mean_history,
)
from harness.figures.files import both
from harness.figures.labels import part_name
from harness.figures.layout import Paper
from harness.figures.run_labels import key_of, labels_of
from harness.results import Results, Run
from harness.runs.store import Status

FEW_LINES = 3
"""A row of fewer pictures says less than a column, in the curves."""


def draw_loss_curves(results: Results, experiment: Experiment, paper: Paper | None) -> list[Path]:
    """Draw ``curves`` as PNG and PDF: a line for each cell, with its seeds' own behind their mean.

    Returns:
        The files written; none where no run has begun.
    """
    cells = _by_seeds(results)
    firsts = [runs[0] for runs in cells]
    parts = [part for part in experiment.varies() if part != "seed"] or experiment.varies()
    texts = [text or run.id for run, text in zip(firsts, labels_of(results, experiment, parts, firsts), strict=True)]
    histories: dict[str, History] = {}
    seeds: dict[str, list[History]] = {}
    looks: list[Look] = []
    drawn: list[Run] = []
    for runs, text, look in zip(cells, texts, _looks(firsts, experiment), strict=True):
        done = [run for run in runs if run.status is Status.DONE] or runs[:1]  # of others the mean would end early
        own: list[History] = [history for run in done if (history := run.history())]
        if not own:
            continue
        text = f"{text}, {len(own)} seeds" if len(own) > 1 else text
        histories[text] = mean_history(own) if len(own) > 1 else own[0]
        seeds[text] = own if len(own) > 1 else []
        looks.append(look)
        drawn.append(runs[0])
    if not histories:
        return []
    labelled = _labelled(drawn, parts, experiment) if paper and len(drawn) > MAX_LABELLED else None
    for look, place in zip(default_looks(MAX_LABELLED), labelled.places if labelled else (), strict=False):
        looks[place] = look
    png, pdf = both(results.folder, "curves")
    draw_curves(histories, png, pdf, looks, seeds, paper, experiment.figure.font, labelled)
    return [png, pdf]


def _labelled(runs: Sequence[Run], parts: Sequence[str], experiment: Experiment) -> Labelled:
    """The lines along one part of the labels, everything else as in the first: a row of the figure, or a column.

    Where the figure has few columns, the part of the rows with the most lines is taken instead.
    """
    column, rows = experiment.layout()
    along = {}
    for part in [part for part in (column, *rows) if part in parts]:
        rest = [other for other in parts if other != part]
        along[part] = [k for k, run in enumerate(runs) if key_of(run, rest) == key_of(runs[0], rest)]
    if not along:
        return Labelled(evenly(len(runs)))
    part = (
        column if column in along and len(along[column]) >= FEW_LINES else max(along, key=lambda part: len(along[part]))
    )
    places = along[part]
    told = [places[k] for k in evenly(len(places))] if len(places) >= MAX_LABELLED else places
    others = [part_name(other) for other in parts if other != part]
    is_whole = len(told) == len(places) and others
    return Labelled(told, f" (other {' or '.join(others)})" if is_whole else "")


def _by_seeds(results: Results) -> list[list[Run]]:
    """The runs of each cell, one for each seed; a seed alone makes no cell, unless nothing else varies."""
    cells: dict[str, list[Run]] = {}
    for run in results.all_runs:
        label = {part: value for part, value in run.label.items() if part != "seed"}
        if run.part != "again":
            cells.setdefault(canonical_json(label or dict(run.label)), []).append(run)
    return list(cells.values())


def _looks(runs: Sequence[Run], experiment: Experiment) -> list[Look]:
    """Colours and line styles: a run's own, or, where a grid has few enough, its row's colour and its column's line."""
    column, rows = experiment.layout()
    of_column, of_row = (
        [list(dict.fromkeys(keys)).index(key) for key in keys]
        for keys in ([key_of(run, parts) for run in runs] for parts in ((column,) if column else (), rows))
    )
    if max(of_column) and max(of_row):
        if max(of_row) < len(PALETTE) and max(of_column) < len(LINE_STYLES):
            return list(zip(of_row, of_column, strict=True))
        if max(of_column) < len(PALETTE) and max(of_row) < len(LINE_STYLES):
            return list(zip(of_column, of_row, strict=True))
    return default_looks(len(runs))
