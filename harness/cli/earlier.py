"""What was asked for earlier in an experiment's folder, as ``harness status`` shows it."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType

from harness.cli.tables import line, num_of, short_path
from harness.config.yaml_source import flow
from harness.driver.earlier import command_back, replaced_since
from harness.errors import UsageError
from harness.results import Results, Run
from harness.results.following import Follower
from harness.results.grids import earlier_grids
from harness.results.named_alike import contents_told
from harness.results.results import differing_fields
from harness.results.standing import counted, standing

NUM_VALUES = 4
"""So many values of one are."""

NUM_FIELDS = 6
"""So many fields in which earlier grids differ are named."""


def earlier_lines(results: Results, follower: Follower) -> list[RenderableType]:
    """A line for every earlier grid or search, with the command that brings it back."""
    told: list[RenderableType] = []
    for grid, own in _grids(results, follower):
        if isinstance(grid, str):
            told.append(line(f"  {grid}"))
        elif own:
            num_shared = len(grid.all_runs) - len(own)
            shared = f" (and {num_shared} that a later one has too)" if num_shared else ""
            state = f"{num_of(len(own), 'run')}{shared}: {counted(standing(run) for run in own)}"
            told.append(line(f"  {short_path(grid.folder)}{_what(grid, results)}: {state}. {_way_back(grid)}"))
        else:
            state = f"{num_of(len(grid.all_runs), 'run')}, which a later one has too"
            told.append(line(f"  {short_path(grid.folder)}{_what(grid, results)}: {state}. {_way_back(grid)}"))
    return [line("Asked for earlier:"), *told] if told else []


def _what(grid: Results, now: Results) -> str:
    """`` (alpha=0.01, 1; steps=3)``: in what a grid differs from today's; empty where in nothing."""
    both = [*now.runs, *grid.runs]
    contents = contents_told(both)
    said = [{**run.fields, **told} for run, told in zip(both, contents, strict=True)]
    hidden = dict.fromkeys(name for told in contents for name in told)
    found = []
    for name in (*differing_fields(both), *hidden):
        had, has = (
            list(dict.fromkeys(flow(fields.get(name)) for fields in some))
            for some in (said[len(now.runs) :], said[: len(now.runs)])
        )
        if set(had) != set(has):
            found.append(f"{name}={', '.join(had[:NUM_VALUES])}{', …' if len(had) > NUM_VALUES else ''}")
    more = [f"and {len(found) - NUM_FIELDS} more"] if len(found) > NUM_FIELDS else []
    return f" ({'; '.join([*found[:NUM_FIELDS], *more])})" if found else ""


def _way_back(grid: Results) -> str:
    if since := replaced_since(grid):
        return f"No command brings it back: {since}; its runs and figures stay."
    return f"Back to it: {command_back(grid)}"


def setting_of(results: Results, follower: Follower) -> str:
    """What all runs of a grid have and others asked for earlier have not: ``alpha=0.001, content=rocket``; or empty."""
    before = [run for _, own in _grids(results, follower) for run in own if run.part == "grid"]
    of_grid = set(differing_fields(results.runs))
    fields = [name for name in differing_fields([*results.runs, *before]) if name not in of_grid] if before else []
    said = [f"{name}={flow(run.fields[name])}" for run in results.runs[:1] for name in fields if name in run.fields]
    contents = contents_told([*results.runs[:1], *before])[:1]  # of files that were replaced under their own names
    said += [f"{what}={sha256}" for told in contents for what, sha256 in told.items()]
    more = [f"and {len(said) - NUM_FIELDS} more"] if len(said) > NUM_FIELDS else []
    return ", ".join([*said[:NUM_FIELDS], *more])


def num_earlier(results: Results, follower: Follower) -> int:
    """How many runs only earlier grids or searches have."""
    return sum(len(own) for _, own in _grids(results, follower))


def _grids(results: Results, follower: Follower) -> Iterator[tuple[Results | str, list[Run]]]:
    """Every earlier one, the last first, with the runs that none after it has; or why it cannot be read."""
    seen = {run.key for run in results.all_runs}
    for path in earlier_grids(results.folder):
        try:
            grid = follower.read(path)
        except UsageError as error:
            yield str(error), []
            continue
        yield grid, [run for run in grid.all_runs if run.key not in seen]
        seen |= {run.key for run in grid.all_runs}
