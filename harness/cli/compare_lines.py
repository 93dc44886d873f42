"""Which runs a comparison is about, and its rows: finished runs of experiments' and runs' folders, by size."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.config.claims import COMPARABLE, LOSSES, loss_name
from harness.config.commands import harness_command
from harness.config.fields import FIELDS, unknown_name
from harness.config.identity import canonical_json, picture_key
from harness.config.methods import is_used
from harness.errors import StorageError, UsageError
from harness.files import real
from harness.measures.names import (
    EVALUATIONS,
    HELDOUT_STYLE_OPTIMISED,
    KEPT_EVALUATION,
    METRICS,
    SECONDS,
    STILL_FALLING,
)
from harness.results import CELLS, Part, Run, load_whole
from harness.results.alike import MeasuredAlike
from harness.results.named_alike import contents_told
from harness.results.run import run_alone
from harness.results.spread import standard_deviation
from harness.runs.store import Status

COLUMNS: tuple[str, ...] = (*COMPARABLE, EVALUATIONS, KEPT_EVALUATION, STILL_FALLING, SECONDS)
"""The comparable numbers, in the order of the tables."""

SEEDS = "seeds"
"""Over how many a line is, among its fields."""

KNOWN = (*METRICS, *LOSSES)
"""What every run's manifest may have; whatever else stands there is a measure that was asked for."""


@dataclass(frozen=True)
class Line:
    """One line of a comparison: a run, or the runs of one transfer from several seeds.

    Attributes:
        runs: one or several, all done.
        fields: the experiment's name if there are several; ``earlier``: which grid asked for it, if not the last;
            ``cases`` and ``trial`` of the label; ``part``; the transfer's fields; which content a file had, where its
            name does not tell that.
        numbers: the comparable ones, the losses, and further measures that were asked for, means over the runs; None
            where a run has none.
        sds: their standard deviations over the runs (``harness.results.spread``); empty for a single run.
        is_optimised: whether a run optimised the layers of ``heldout_style``, which are then not held out.
    """

    runs: tuple[Run, ...]
    fields: Mapping[str, Any]
    numbers: Mapping[str, float | None]
    sds: Mapping[str, float]
    is_optimised: bool

    def uses(self, name: str) -> bool:
        """Whether a field says anything to its method; what is no field of a transfer says something of any run."""
        return name.split(".")[0] not in FIELDS or is_used(self.runs[0].transfer.method, name)

    @property
    def size_px(self) -> int:
        """The longer side of its pictures."""
        return self.runs[0].transfer.size

    @property
    def settled(self) -> bool | None:
        """Whether every run's loss had settled when it was done; None where of some nothing can be said."""
        told = {run.settled for run in self.runs}
        return False if False in told else None if None in told else True


def find_runs(paths: Sequence[Path], parts: Collection[Part], latest: bool = False) -> tuple[list[Run], list[str]]:
    """The finished runs of some folders, each once, and a sentence for what was left out, or is not of today's grid.

    Args:
        paths: folders of experiments or sweeps, whose earlier grids are theirs too, of earlier grids, or single runs.
        parts: which of an experiment's runs are wanted.
        latest: without the earlier grids of an experiment's folder.

    Raises:
        UsageError: a path is no such folder, or nothing is done.
    """
    found: dict[Path, Run] = {}
    notes: list[str] = []
    for path in paths:
        is_run = (path / "manifest.json").exists() and not (path / CELLS).exists()
        runs = [run_alone(path)] if is_run else [run for run in _all_runs(path, latest) if run.part in parts]
        num_unfinished, gone = 0, Counter[str]()
        for run in runs:
            try:
                is_done = run.status is Status.DONE
            except StorageError as error:
                notes.append(str(error))
                continue
            if run.status is Status.GONE:
                gone[run.reason] += 1
            num_unfinished += not is_done
            if is_done:
                found.setdefault(real(run.folder.path), run)
        if num_unfinished:
            see = harness_command("status", path)
            notes.append(f"{num_unfinished} of {len(runs)} runs of {path} are not done and left out; see {see}.")
        notes += [f"{num} runs of {path} are gone, each {why}." for why, num in gone.items() if num > 1]
        notes += [f"A run of {path} is gone: {why}." for why, num in gone.items() if num == 1]
        if num_earlier := sum(bool(run.earlier) for run in runs):
            see = harness_command("status", path)
            notes.append(
                f"{num_earlier} of {len(runs)} runs of {path} were asked for earlier, not last; see {see}. "
                "--latest leaves them out."
            )
    if not found:
        raise UsageError("\n".join([*notes, "There is nothing to compare yet: no run is done."]))
    return list(found.values()), notes


def _all_runs(path: Path, latest: bool) -> Sequence[Run]:
    results = load_whole(path)
    return (results if latest else results.with_earlier()).all_runs


def make_lines(runs: Sequence[Run]) -> list[Line]:
    """A line for each run."""
    several = len({experiment_of(run) for run in runs}) > 1
    alike = MeasuredAlike(runs)
    return [_line((run,), several, alike, told) for run, told in zip(runs, contents_told(runs), strict=True)]


def lines_over_seeds(runs: Sequence[Run]) -> list[Line]:
    """A line for the runs that differ in nothing but their seed."""
    several = len({experiment_of(run) for run in runs}) > 1
    groups: dict[str, list[Run]] = {}
    contents = dict(zip((run.folder.path for run in runs), contents_told(runs), strict=True))
    for run in runs:
        cell = picture_key(run.transfer.model_copy(update={"seed": 0}))
        key = canonical_json([experiment_of(run), cell, contents[run.folder.path]])
        groups.setdefault(key, []).append(run)
    alike = MeasuredAlike(runs)
    lines = [_line(tuple(group), several, alike, contents[group[0].folder.path]) for group in groups.values()]
    return [
        replace(line, fields={k: v for k, v in line.fields.items() if k != "seed"} | {SEEDS: len(line.runs)})
        for line in lines
    ]


def _line(runs: tuple[Run, ...], several_experiments: bool, alike: MeasuredAlike, contents: Mapping[str, str]) -> Line:
    run = runs[0]
    fields: dict[str, Any] = {"experiment": experiment_of(run)} if several_experiments else {}
    earlier = {run.earlier for run in runs}
    fields |= {"earlier": (run.earlier or None) if len(earlier) == 1 else "in part"} | {
        k: v for k, v in run.label.items() if k in ("cases", "trial")
    }
    fields["part"] = run.part
    numbers: dict[str, float | None] = {}
    sds: dict[str, float] = {}
    further = [name for name in dict.fromkeys(name for run in runs for name in run.metrics) if name not in KNOWN]
    for name in (*COLUMNS, *(f"loss/{loss}" for loss in LOSSES), *further):
        values = [{loss_name(key): value for key, value in alike.metrics(run).items()}.get(name) for run in runs]
        known = [value for value in values if value is not None]
        numbers[name] = None
        if len(known) == len(values):
            numbers[name] = values[0] if len(values) == 1 else statistics.fmean(known)
            sd = standard_deviation(known)
            sds |= {} if sd is None else {name: sd}
    is_optimised = any(run.metrics.get(HELDOUT_STYLE_OPTIMISED) for run in runs)
    return Line(runs, {**fields, **run.fields, **contents}, numbers, sds, is_optimised)


def experiment_of(run: Run) -> str:
    """In whose folder it lies; a linked one's manifest names another."""
    return run.home.name


def differing(lines: Sequence[Line]) -> list[str]:
    """The fields in which lines differ, the label's first, then the transfer's; never ``size``: see ``by_size``.

    Of lines over seeds also how many those are, be it always as many.

    What only some methods use is compared among those.
    """
    names = dict.fromkeys(name for line in lines for name in line.fields if name != "size")
    heads = list(dict.fromkeys(name.split(".")[0] for name in names))
    ordered = sorted(names, key=lambda name: heads.index(name.split(".")[0]))  # a mapping's entries side by side
    return [
        name
        for name in ordered
        if name == SEEDS or len({canonical_json([line.fields.get(name)]) for line in lines if line.uses(name)}) > 1
    ]


def by_size(lines: Sequence[Line]) -> dict[int, list[Line]]:
    """Lines by the size of their pictures, smallest first: tables compare one size only."""
    sizes = sorted({line.size_px for line in lines})
    return {size: [line for line in lines if line.size_px == size] for size in sizes}


def sort_lines(lines: Sequence[Line], name: str) -> list[Line]:
    """Lines by a number or a field, smallest first; ``-ssim``: largest first. Those without it come last.

    Raises:
        UsageError: there is no such number or field.
    """
    key = name.removeprefix("-")
    known = list(dict.fromkeys([*COLUMNS, *(n for line in lines for n in (*line.numbers, *line.fields))]))
    if key not in known:
        allowed = [*COLUMNS, *differing(lines)]
        raise UsageError(f"--sort {name}: {unknown_name(key, allowed, 'number or field')}")

    def value(line: Line) -> Any:
        return line.numbers.get(key) if key in line.numbers else line.fields.get(key)

    having = [line for line in lines if value(line) is not None]
    is_number = all(isinstance(value(line), int | float) for line in having)
    having.sort(key=lambda line: value(line) if is_number else canonical_json(value(line)), reverse=name != key)
    return having + [line for line in lines if value(line) is None]
