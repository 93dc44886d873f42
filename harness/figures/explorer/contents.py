"""All that the explorer shows of an experiment or a sweep, as plain data: texts, numbers, and where files lie."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.config.claims import loss_name
from harness.config.commands import FileCommand
from harness.config.dimensions import Simplex
from harness.config.experiment import CASES, Experiment
from harness.config.file_names import FileNames
from harness.config.identity import canonical_json
from harness.config.sweep import Sweep
from harness.config.yaml_source import flow
from harness.errors import StorageError
from harness.figures.labels import format_value
from harness.figures.outcomes import non_dominated, outcomes, sweep_of
from harness.measures.names import KEPT_EVALUATION
from harness.results import Results, Run
from harness.results.alike import MeasuredAlike
from harness.results.results import differing_fields
from harness.results.standing import Condition, counted, standing
from harness.runs.settled import EXPLAINED, MARK

CURVES = ("total", "content", "style")
"""The columns of history.csv that are shown."""

NUM_POINTS = 60
"""Of a loss curve, evenly on a logarithmic axis; those of the pictures kept on the way come in addition."""

SOURCE_NAMES = {"content": "photograph", "style": "painting"}

TRIAL, COMPUTED = "trial", "computed"

Href = Callable[[Path], str]
"""From a file or folder to how the page names it."""


@dataclass(frozen=True)
class _Axis:
    """Something that varies: its name, its values in order, and each run's place among them."""

    name: str
    values: Sequence[str]
    places: Sequence[int]


def contents(results: Results, href: Href) -> dict[str, Any]:
    """What the page shows.

    Args:
        results: whole, or what ``select`` leaves of them.
        href: how the page names a file, or a folder.

    Returns:
        Plain data for JSON: ``name``, ``summary``, ``notes``, ``sentence``, ``files``; ``axes`` (name, values);
        ``columns`` (key, whether of numbers) of ``runs``' ``row``; ``x`` and ``y``, the columns of the first scatter;
        ``front``, where these two are all that a sweep is after, whether it steps ``after`` or ``before`` a trial,
        else empty; ``sources`` (key, name); ``runs``.
    """
    told = [standing(run) for run in results.all_runs]
    is_read = [each.condition is not Condition.DAMAGED for each in told]
    readable = [run for run, is_so in zip(results.all_runs, is_read, strict=True) if is_so]
    alike, fields = MeasuredAlike(readable), differing_fields(results.all_runs)
    names = FileNames([*(run.label for run in readable), *(run.whole_fields for run in readable)])
    axes = list(_axes(results, fields, names))
    has_repeats = any(run.part != "grid" for run in results.all_runs)
    rows = [
        _row(run, fields, names, alike if is_so else None) | ({"part": run.part} if has_repeats else {})
        for run, is_so in zip(results.all_runs, is_read, strict=True)
    ]
    sweep = sweep_of(results) if results.is_sweep else None
    objectives = sweep.objective_names if sweep else ()
    on_front = set[str]()
    if objectives:
        complete = [each for each in outcomes(replace(results, all_runs=tuple(readable))) if each.state == "complete"]
        on_front = {complete[k].run.id for k in non_dominated([each.costs for each in complete])}
        values = {each.run.id: dict(zip(objectives, each.values, strict=True)) for each in complete}
        for run, row in zip(results.all_runs, rows, strict=True):
            row.update(values.get(run.id, {}))
            if len(objectives) > 1:
                row["front"] = None if run.id not in values else "on it" if run.id in on_front else "behind it"
    columns = _columns(rows)
    x, y = _first_scatter(objectives, columns, rows)
    keys = dict.fromkeys(key for run in results.all_runs for key in run.sources)
    again = FileCommand.read(results.command) if results.command else FileCommand("run", str(results.file))
    is_grid = not results.is_sweep and len(results.runs) > 1  # one run alone would be another grid of the same folder
    explained = f"{MARK} {EXPLAINED}" if any(each.is_unsettled for each in told) else ""
    runs = [
        {
            "id": run.id,
            "name": _name(results, run, names),
            "status": each.condition.value,
            "reason": each.why or (run.unsettled if each.is_unsettled else ""),
            "mark": MARK * each.is_unsettled,
            "places": [axis.places[k] for axis in axes],
            "row": [row.get(column["key"]) for column in columns],
            "folder": href(run.folder.path),
            "picture": run.folder.image_path.exists(),
            "kept": row.get("kept_evaluation"),
            "iterates": list(run.folder.iterates()),
            "losses": _losses(run),
            "sources": {key: href(path) for key, path in run.sources.items()},
            "front": run.id in on_front,
            "command": str(
                replace(
                    again.of_cell(run.overrides, run.devices if is_read[k] else None, run.id),
                    name=f"{results.name}-{run.id[:6]}" if is_grid else again.name,
                )
            ),
        }
        for k, (run, each, row) in enumerate(zip(results.all_runs, told, rows, strict=True))
    ]
    return {
        "name": results.name,
        "kind": "sweep" if results.is_sweep else "experiment",
        "summary": f"{len(runs)} run{'s' * (len(runs) != 1)}: {counted(told)}",
        "notes": results.definition.tracking.notes,
        "sentence": " ".join(filter(None, [alike.sentence, explained])),
        "files": {name: href(results.folder / name) for name in _files(results)},
        "axes": [{"name": axis.name, "values": axis.values} for axis in axes],
        "columns": columns,
        "x": x,
        "y": y,
        "front": ("before" if objectives[0] in sweep.maximised else "after") if sweep and len(objectives) == 2 else "",
        "sources": [{"key": key, "name": SOURCE_NAMES.get(key, key)} for key in keys],
        "runs": runs,
    }


def _files(results: Results) -> Iterator[str]:
    """What stands beside the page, or will in a moment: claims are written after it."""
    yield from (name for name in ("figure.png", "curves.png", "front.png", "search.png") if _is_there(results, name))
    if isinstance(results.definition, Experiment) and results.definition.claims:
        yield "claims.md"


def _is_there(results: Results, name: str) -> bool:
    return (results.folder / name).exists()


def _name(results: Results, run: Run, names: FileNames) -> str:
    """A run's label as it is read: ``A, alpha=10⁻²``; of a sweep's trial its number, which stands for the rest."""
    if results.is_sweep and TRIAL in run.label:
        return f"trial {run.label[TRIAL]}"
    label = names.label(run.label)
    words = [_shown(value) if part == CASES else f"{part}={_shown(value)}" for part, value in label.items()]
    return ", ".join([*words, *(["computed again"] if run.part == "again" else [])]) or results.name


def _axes(results: Results, differing: Sequence[str], names: FileNames) -> Iterator[_Axis]:
    """What sets runs apart: the parts of their labels, an experiment's seeds among them, and whether it was again.

    Weights that a sweep draws together are an axis each. Numbers rise along an axis; other values stand in the order of
    the runs.
    """
    runs, space = results.all_runs, results.definition.space if isinstance(results.definition, Sweep) else {}
    for part in dict.fromkeys(part for run in runs for part in run.label):
        is_drawn = isinstance(space.get(part), Simplex)
        for name in [name for name in differing if name.startswith(f"{part}.")] if is_drawn else [part]:
            yield _axis(name, [names.of(name, _value(run, name)) for run in runs])
    if any(run.part == "again" for run in runs):
        yield _axis(COMPUTED, ["again" if run.part == "again" else "once" for run in runs])


def _axis(name: str, values: Sequence[Any]) -> _Axis:
    distinct = list({canonical_json([value]): value for value in values}.values())
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in distinct):
        distinct.sort()
    place = {canonical_json([value]): k for k, value in enumerate(distinct)}
    return _Axis(name, [_shown(value) for value in distinct], [place[canonical_json([value])] for value in values])


def _value(run: Run, name: str) -> Any:
    """What a run's label says, or where it does not, as a repeat's alone has a seed, its transfer."""
    return run.label.get(name, run.whole_fields.get(name, run.fields.get(name)))


def _row(run: Run, fields: Sequence[str], names: FileNames, alike: MeasuredAlike | None) -> dict[str, Any]:
    """A run's line of the table: as ``results.table()`` has it, with values that are no numbers as texts.

    Args:
        run: the run.
        fields: the dotted ones in which runs differ.
        names: what files are called.
        alike: which numbers compare; None where the run's cannot be read.
    """
    values = {name: names.of(name, _value(run, name)) for name in dict.fromkeys([*run.label, *fields])}
    row = {name: _cell(value) for name, value in values.items() if not isinstance(value, Mapping)}
    if alike is not None:
        metrics = alike.metrics(run)
        row |= {loss_name(key): _cell(value) for key, value in metrics.items()}
    return row


def _cell(value: Any) -> float | int | str | None:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    return _shown(value)


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The table's columns: whatever some run has, numbers marked as such."""
    keys = dict.fromkeys(key for row in rows for key in row)
    found = []
    for key in keys:
        values = [row[key] for row in rows if row.get(key) is not None]
        if values:
            found.append({"key": key, "number": not any(isinstance(value, str) for value in values)})
    return found


def _first_scatter(
    objectives: Sequence[str], columns: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]
) -> tuple[str, str]:
    """What the scatter begins with: two objectives, or the one by trial; else the content loss and the style loss."""
    numbers = [column["key"] for column in columns if column["number"]]
    pairs = [tuple(objectives[:2])] if len(objectives) > 1 else [(TRIAL, *objectives)]
    pairs += [("loss/content", "loss/style"), ("reference_content", "reference_style")]
    for pair in pairs:
        is_there = len(pair) == 2 and all(key in numbers for key in pair)
        if is_there and any(all(row.get(key) is not None for key in pair) for row in rows):
            return pair[0], pair[1]
    return (numbers[0], numbers[-1]) if numbers else ("", "")


def _losses(run: Run) -> dict[str, list[Any]]:
    """Some lines of a run's history, by column: those of the pictures kept on the way, and ``NUM_POINTS`` more.

    Lines are chosen before they are read: 200 runs have 100,000. One that is torn or damaged is left out.
    """
    last = max(2, run.num_evaluations)
    wanted = {str(round(last ** (k / (NUM_POINTS - 1)))).encode() for k in range(NUM_POINTS)}
    wanted |= {str(evaluation).encode() for evaluation in run.folder.iterates()}
    with suppress(StorageError):  # a manifest that cannot be read
        if (kept := run.metrics.get(KEPT_EVALUATION)) is not None:  # the finished picture's
            wanted.add(str(int(kept)).encode())
    try:
        header, *lines = run.folder.history_path.read_bytes().split(b"\n")[:-1]
    except (OSError, ValueError):
        return {}
    names = header.decode(errors="replace").split(",")
    places = {name: names.index(name) for name in ("evaluation", *CURVES) if name in names}
    found: dict[str, list[Any]] = {name: [] for name in places}
    for line in lines:
        if line[: line.find(b",")] not in wanted:
            continue
        fields = line.split(b",")
        try:
            numbers = {name: float(fields[place] or "nan") for name, place in places.items()}
        except (ValueError, IndexError):
            continue
        for name, number in numbers.items():
            found[name].append(float(f"{number:.7g}") if math.isfinite(number) else None)
    return found


_LETTERS = {r"\cdot": "·", r"\alpha": "α", r"\beta": "β", r"\sigma": "σ", r"\lambda": "λ", "\N{MINUS SIGN}": "-"}
_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def _shown(value: Any) -> str:
    """A value as the figures have it, in plain letters: ``8·10⁻⁴``, ``conv1_1, 2_1``; a list as in the YAML."""
    if isinstance(value, list | tuple):
        return flow(value)
    if isinstance(value, str):
        return value
    text = re.sub(r"(?<!\\)\$", "", format_value(value)).replace(r"\$", "$")
    text = re.sub(r"\^\{(-?\d+)\}", lambda power: power[1].translate(_RAISED), text)
    for written, letter in _LETTERS.items():
        text = text.replace(written, letter)
    return text
