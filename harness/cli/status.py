"""``harness status``: an experiment's grid or a sweep's trials with what is done, running, failed and missing."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from harness.claims.records import counted_verdicts
from harness.cli.console import make_console
from harness.cli.earlier import earlier_lines, num_earlier, setting_of
from harness.cli.tables import MISSING, duration, line, num_of, short_path, shown, shown_label, tables_of_width
from harness.config.commands import harness_command
from harness.config.experiment import Experiment
from harness.config.file_names import FileNames
from harness.config.identity import canonical_json
from harness.config.sweep import Sweep
from harness.driver.earlier import command_back, replaced_since
from harness.errors import HarnessError
from harness.figures.outcomes import non_dominated
from harness.results import CELLS, Results, experiments_in
from harness.results.following import Follower
from harness.results.linking import told_sources
from harness.results.standing import Condition, Overall, Standing, counted, overall
from harness.runs.settled import EXPLAINED, MARK

REFRESH_S = 2.0
NUM_REASONS = 20
"""So many failed or running ones are named, and fewer unsettled ones; of the others there is the count."""
NUM_UNSETTLED = 5
NUM_LAST_TRIALS = 8

SIGNS = {
    Condition.DONE: ("✓", "green"),
    Condition.RUNNING: ("▶", "cyan"),
    Condition.INTERRUPTED: ("‖", "yellow"),
    Condition.FAILED: ("✗", "red"),
    Condition.PRUNED: ("✂", "magenta"),
    Condition.WAITING: ("·", "dim"),
    Condition.GONE: ("?", "yellow"),
    Condition.DAMAGED: ("!", "red"),
}
"""What stands in a cell, and its colour on a terminal; also readable without."""


def show_status(paths: Sequence[Path]) -> None:
    """Print how far experiments and sweeps have come; of a folder that holds several, an overview.

    Raises:
        UsageError: a path is no such folder.
    """
    console = make_console()
    for part in _picture(paths, console, Follower())[0].renderables:
        has_command = isinstance(part, Text) and "harness " in part.plain
        console.print(part, soft_wrap=has_command)  # never folded: it is copied


def watch_status(paths: Sequence[Path]) -> int:
    """Show the same, refreshed every 2 s, until everything has ended or Ctrl-C.

    Returns:
        The exit code: 0 all done, 1 something failed, 130 Ctrl-C.

    Raises:
        UsageError: a path is no such folder.
    """
    console, follower = make_console(), Follower()
    picture, overalls = _picture(paths, console, follower)
    before = _summary(overalls)
    try:
        with Live(picture, console=console, auto_refresh=False, transient=False) as live:
            if not console.is_terminal:
                console.print(picture)
            while not all(one.is_ended for one in overalls):
                time.sleep(REFRESH_S)
                try:
                    picture, overalls = _picture(paths, console, follower)
                except HarnessError:  # another grid is being written just now: the next look sees it whole
                    continue
                if console.is_terminal:
                    live.update(picture, refresh=True)
                elif (now := _summary(overalls)) != before:
                    console.print(*now, sep="\n", soft_wrap=True)
                    before = now
            live.update(picture if console.is_terminal else Text(), refresh=True)
    except KeyboardInterrupt:
        return 130
    return 1 if any(one.num_failed for one in overalls) else 0


def _summary(overalls: Sequence[Overall]) -> list[str]:
    """What is printed again, without a terminal, when it has changed."""
    return [f"{one.results.name}: {counted(one.standings)}" for one in overalls]


def _picture(paths: Sequence[Path], console: Console, follower: Follower) -> tuple[Group, list[Overall]]:
    parts: list[RenderableType] = []
    overalls: list[Overall] = []
    for path in paths:
        if parts:
            parts.append("")
        if not (path / CELLS).exists() and (inside := experiments_in(path)):
            table, found = _overview(inside, follower)
            parts.append(table)
            parts += _explained([standing for one in found for standing in one.standings])
            parts.append(Text(f"Look at one: {harness_command('status', inside[0])}", overflow="fold"))
            overalls += found
        else:
            one = overall(follower.read(path))
            parts += _experiment(one, console, follower)
            overalls.append(one)
    return Group(*parts), overalls


def _overview(folders: Sequence[Path], follower: Follower) -> tuple[Table, list[Overall]]:
    """A line for each experiment and sweep in a folder."""
    table = Table(box=None, pad_edge=False)
    counted_ones = [one for one in Condition if one not in (Condition.DAMAGED, Condition.GONE)]
    for header in ("", "", "runs", *(condition.value for condition in counted_ones), "claims", ""):
        table.add_column(header, justify="left" if header in ("", "claims") else "right", overflow="fold")
    overalls = []
    for folder in folders:
        try:
            one = overall(follower.read(folder))
        except HarnessError as error:
            table.add_row(folder.name, Text(str(error), style="red"))
            continue
        counts = Counter(standing.condition for standing in one.standings)
        numbers = [str(counts[condition] or "") for condition in counted_ones]
        if any(standing.is_unsettled for standing in one.standings):
            numbers[counted_ones.index(Condition.DONE)] += MARK
        kind = "sweep" if one.results.is_sweep else "experiment"
        more = [f"{num_of(counts[Condition.GONE], 'run')} gone"] if counts[Condition.GONE] else []
        more += [f"{num} more asked for earlier"] if (num := num_earlier(one.results, follower)) else []
        table.add_row(folder.name, kind, str(len(one.standings)), *numbers, _claims(folder), ", ".join(more))
        overalls.append(one)
    return table, overalls


def _experiment(one: Overall, console: Console, follower: Follower) -> list[RenderableType]:
    results, folder = one.results, one.results.folder
    earlier, setting = earlier_lines(results, follower), setting_of(results, follower)
    kind = "sweep" if results.is_sweep else "experiment"
    kind = f"earlier {kind}" if results.home != folder else kind
    of = f" of {one.num_planned}" if one.num_planned > len(one.grid) else ""
    parts: list[RenderableType] = [
        line(f"{results.name}, {kind} of {short_path(results.file)}, study {results.study}", "bold"),
        line(f"{num_of(len(one.grid), 'trial' if results.is_sweep else 'run')}{of}: {_counted(one.grid)}"),
    ]
    if setting:
        parts.append(line(f"Where earlier ones differ: {setting}"))
    for part, what in (("repeat", "other seeds, for the claims"), ("again", "the same a second time")):
        some = [standing for standing in one.standings if standing.run.part == part]
        if some:
            parts.append(line(f"{num_of(len(some), 'run')} more ({what}): {_counted(some)}"))
    parts.append("")
    if isinstance(results.definition, Sweep):
        parts += _trials(one, results.definition)
    else:
        parts += _grid(one, results.definition, console)
    parts += ["", *_details(one)]
    if claims := _claims(folder):
        when = "Claims" if one.is_ended else "Claims, when they were last judged"
        parts.append(line(f"{when}: {claims}; see {folder / 'claims.md'}"))
    parts.append(line(_next_step(one)))
    return [*parts, *(["", *earlier] if earlier else []), *_unsettled(one)]


def _counted(standings: Sequence[Standing]) -> str:
    """``3 done, 1 failed; 2 of them linked from runs/first``."""
    linked = told_sources(s.run.taken_from for s in standings if s.condition is not Condition.GONE)
    return counted(standings) + (f"; {linked}" if linked else "")


def _grid(one: Overall, definition: Experiment, console: Console) -> list[RenderableType]:
    """Rows × columns as in the figure, with a legend of the signs that occur."""
    column, rows = definition.layout()
    by_place = {(_key(s, rows), _key(s, (column,) if column else ())): s for s in one.grid}
    names = FileNames(standing.run.label for standing in one.grid)
    row_heads = {_key(s, rows): shown_label(names.label(_part(s, rows))) if rows else "" for s in one.grid}
    columns = (column,) if column else ()
    column_heads = {_key(s, columns): shown_label(names.label(_part(s, columns))) if columns else "" for s in one.grid}

    def make_table(keys: Sequence[str]) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
        for head in ([""] if rows else []) + [column_heads[key] for key in keys]:
            table.add_column(Text(head), overflow="fold")
        for row, head in row_heads.items():
            cells = [_cell(by_place.get((row, key))) for key in keys]
            table.add_row(*([Text(head)] if rows else []), *cells)
        return table

    there = {standing.condition for standing in one.grid}
    told = [f"{SIGNS[condition][0]} {condition.value}" for condition in Condition if condition in there]
    return [*tables_of_width(console, list(column_heads), make_table), line("   ".join(told), "dim")]


def _trials(one: Overall, sweep: Sweep) -> list[RenderableType]:
    """The best so far, and the last trials."""
    valued = [(standing, values) for standing in one.grid if (values := _values(standing, sweep)) is not None]
    parts: list[RenderableType] = []
    if not valued:
        parts.append(line("No trial has a value yet."))
    elif len(sweep.objectives) == 1:
        best, values = min(valued, key=lambda pair: sweep.costs(pair[1]))
        not_settled = ", not settled" if best.is_unsettled else ""
        parts.append(line(f"Best {sweep.objective_names[0]} so far: {shown(values[0])}, {_named(best)}{not_settled}"))
    else:
        all_values = [values for _, values in valued]
        on_front = non_dominated([sweep.costs(values) for values in all_values])
        front = [all_values[index] for index in on_front]
        num_unsettled = sum(valued[index][0].is_unsettled for index in on_front)
        not_settled = f" ({num_unsettled} not settled)" if num_unsettled else ""
        told = {"least": "", "most": ""}
        for name, *along in zip(sweep.objective_names, *front, strict=True):
            what, best_value = ("most", max(along)) if name in sweep.maximised else ("least", min(along))
            told[what] += f"{', ' if told[what] else f'{what} '}{name} {shown(best_value)}"
        best_values = "; ".join(filter(None, told.values()))
        num = f"{num_of(len(front), 'trial')} of {len(valued)}{not_settled}"
        parts.append(line(f"Front so far: {num}; {best_values}"))
    table = Table(box=None, pad_edge=False)
    for header in ("last trials", "", *sweep.objective_names, "fields"):
        table.add_column(header, justify="right" if header in sweep.objective_names else "left", overflow="fold")
    names = FileNames(standing.run.label for standing in one.grid)
    for standing in one.grid[-NUM_LAST_TRIALS:]:
        sign = _cell(standing)
        if standing.condition not in (Condition.RUNNING, Condition.INTERRUPTED):
            sign.append(f" {standing.condition.value}")
        values_told = _values(standing, sweep)
        numbers = [shown(value) for value in values_told] if values_told else [MISSING] * len(sweep.objectives)
        fields = {part: value for part, value in standing.run.label.items() if part != "trial"}
        trial = str(standing.run.label.get("trial", standing.run.id))
        table.add_row(trial, sign, *numbers, Text(shown_label(names.label(fields))))
    return [*parts, *([table] if one.grid else [])]


def _values(standing: Standing, sweep: Sweep) -> list[float] | None:
    """What a finished trial was told to the study."""
    if standing.condition is not Condition.DONE:
        return None
    values = [standing.run.metrics.get(name) for name in sweep.objective_names]
    return [value for value in values if value is not None] if None not in values else None


def _cell(standing: Standing | None) -> Text:
    """A sign and how far it is."""
    if standing is None:
        return Text("")
    sign, style = SIGNS[standing.condition]
    text = {
        Condition.DONE: duration(standing.used_s) + MARK * standing.is_unsettled,
        Condition.RUNNING: f"{standing.num_evaluations}/{standing.steps}",
        Condition.INTERRUPTED: f"{standing.num_evaluations}/{standing.steps}",
        Condition.PRUNED: f"at {standing.num_evaluations}",
    }.get(standing.condition, "")
    return Text(f"{sign} {text}".strip(), style=style)


def _named(standing: Standing) -> str:
    """Id and label."""
    return f"{standing.run.id} ({shown_label(standing.run.label)})"


def _part(standing: Standing, parts: Sequence[str]) -> dict[str, Any]:
    return {part: standing.run.label.get(part) for part in parts}


def _key(standing: Standing, parts: Sequence[str]) -> str:
    return canonical_json(_part(standing, parts))


def _details(one: Overall) -> list[RenderableType]:
    """Those being computed, those that failed and why, and the time."""
    parts: list[RenderableType] = []
    for standing in [s for s in one.standings if s.condition is Condition.RUNNING][:NUM_REASONS]:
        age = "" if standing.age_s is None else f", last heard of {duration(standing.age_s)} ago"
        left = "" if standing.left_s is None else f", about {duration(standing.left_s)} left"
        at = f"evaluation {standing.num_evaluations} of {standing.steps}"
        parts.append(line(f"{_named(standing)} is being computed: {at}{age}{left}"))
    verbs = {Condition.FAILED: "failed", Condition.DAMAGED: "is damaged", Condition.GONE: "is gone"}
    told = [s for s in one.standings if s.condition in verbs]
    for standing in told[:NUM_REASONS]:
        verb = verbs[standing.condition]
        parts.append(line(f"{_named(standing)} {verb}: {standing.why or 'no reason was kept'}"))
    if len(told) > NUM_REASONS:
        parts.append(line(f"… and {len(told) - NUM_REASONS} more"))
    if one.used_s:
        left = f"; about {duration(one.left_s)} left at the present speed" if one.left_s is not None else ""
        parts.append(line(f"Time: about {duration(one.used_s)} computed{left}."))
    return parts


def _unsettled(one: Overall) -> list[RenderableType]:
    """Some of those that are done and had not settled, and what that means."""
    unsettled = [standing for standing in one.standings if standing.is_unsettled]
    parts: list[RenderableType] = [
        line(f"{_named(standing)} is done, but {standing.run.unsettled}.") for standing in unsettled[:NUM_UNSETTLED]
    ]
    if len(unsettled) > NUM_UNSETTLED:
        parts.append(line(f"… and {len(unsettled) - NUM_UNSETTLED} more"))
    return ["", *parts, *_explained(unsettled)] if parts else []


def _explained(standings: Sequence[Standing]) -> list[RenderableType]:
    """What the mark means, where one stands."""
    return [line(f"{MARK} {EXPLAINED}")] if any(standing.is_unsettled for standing in standings) else []


def _claims(folder: Path) -> str:
    """``3 hold, 1 does not hold``, from claims.json; empty where there is none."""
    try:
        verdicts = [
            claim["verdict"] for claim in json.loads((folder / "claims.json").read_text(encoding="utf-8"))["claims"]
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return counted_verdicts(map(str, verdicts))


def _next_step(one: Overall) -> str:
    results = one.results
    conditions = {standing.condition for standing in one.standings}
    if Condition.RUNNING in conditions or results.is_in_use():
        return f"A process is working on it. Follow it: {harness_command('status', results.folder, '--watch')}"
    if not one.is_ended:
        return f"Nothing is working on it now. {_going_on('Go on', results)}"
    if Condition.FAILED in conditions:
        return _going_on("Compute failed runs again", results, " --retry-failed")
    since = replaced_since(results)
    told = f"{since}: the same command makes another grid of it. " if since else ""
    return f"{told}Compare the runs: {harness_command('compare', results.folder)}"


def _going_on(what: str, results: Results, option: str = "") -> str:
    if since := replaced_since(results):
        return f"{since}: this computes them anew, of what they are now: {command_back(results)}"
    return f"{what}: {command_back(results)}{option}"
