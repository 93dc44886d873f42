"""The claims of an experiment as files and as a table: ``claims.json`` for programs, ``claims.md`` for readers.

Equal run folders give equal bytes: dates come from the runs' manifests, and nothing names the machine's folders.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from statistics import fmean
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from harness.claims.records import Finding, Number, State, Verdict, counted_verdicts
from harness.config.claims import Claim
from harness.config.styles import paintings_of
from harness.config.transfer_parts import Weights, WeightsNetwork, WeightsPath
from harness.config.yaml_source import flow
from harness.results import Results
from harness.results.spread import EXPLAINED, number_text, spread_text
from harness.runs.store import write_durably

JSON_NAME = "claims.json"
MARKDOWN_NAME = "claims.md"
COLUMNS = ("claim", "paper", "measured", "bound", "verdict")
OF_NUMBERS = "A claim must hold in every group; the worst one is shown."
OF_SPREAD = f"Numbers are means; {EXPLAINED}."
STYLES = {State.HOLDS.value: "green", State.DOES_NOT_HOLD.value: "bold red", State.NOT_MEASURED.value: "yellow"}
NUM_DIGITS = 3
"""Significant digits of what was measured."""

PACKAGES = ("harness", "python", "torch", "numpy", "pillow")
"""Whose versions stand in the head of ``claims.md``; the manifests have all of them."""


def write_claims(results: Results, verdicts: Sequence[Verdict]) -> tuple[Path, ...]:
    """Write ``claims.json`` and ``claims.md`` into the experiment's folder.

    Returns:
        Their paths; none where the experiment makes no claims.

    Raises:
        StorageError: the folder cannot be written.
    """
    if not verdicts:
        return ()
    paths = results.folder / JSON_NAME, results.folder / MARKDOWN_NAME
    write_durably(paths[0], json.dumps(claims_data(results, verdicts), indent=2, ensure_ascii=False) + "\n")
    write_durably(paths[1], claims_markdown(results, verdicts))
    return paths


def rows_for_table(verdicts: Iterable[Verdict]) -> list[tuple[str, str, str, str, str]]:
    """A row of texts for each claim: sentence, place in the paper, measured, bound, verdict."""
    return [
        (verdict.claim.says, verdict.claim.where, measured_text(verdict), verdict.bound, verdict.state.value)
        for verdict in verdicts
    ]


def notes_of(verdicts: Iterable[Verdict]) -> list[str]:
    """What weakens verdicts, each once, behind the numbers of the claims: ``1, 3: Noise is the start, …``."""
    numbers: dict[str, list[str]] = {}
    for number, verdict in enumerate(verdicts, 1):
        for note in verdict.notes:
            numbers.setdefault(note, []).append(str(number))
    return [f"{', '.join(claims)}: {note}" for note, claims in numbers.items()]


def claims_table(verdicts: Sequence[Verdict]) -> Table:
    """The rows as a table for the terminal, readable from 100 columns on; what weakens verdicts stands below it."""
    rows, notes = rows_for_table(verdicts), notes_of(verdicts)
    notes += [f"{EXPLAINED}."] if any("±" in measured for _, _, measured, *_ in rows) else []
    caption = "\n".join(notes)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, leading=1, caption=Text(caption), caption_justify="left")
    table.add_column("", justify="right")
    for column in COLUMNS[:-1]:
        table.add_column(column, overflow="fold")
    table.add_column(COLUMNS[-1], no_wrap=True)
    for number, (*texts, verdict_text) in enumerate(rows, 1):
        table.add_row(str(number), *map(Text, texts), Text(verdict_text, style=STYLES[verdict_text]))
    return table


def short(value: float) -> str:
    """A number with three significant digits: 0.0123, 12300, 1.23e-05."""
    return number_text(value, NUM_DIGITS)


def measured_text(verdict: Verdict) -> str:
    """What was measured, on one line: of several groups the one that decides."""
    worst = verdict.worst
    group = f"{worst.name}: " if worst.group else ""
    if len(verdict.findings) > 1:
        group = f"worst of {len(verdict.findings)}, {group}"
    if worst.state is State.NOT_MEASURED:
        return f"{group}{worst.remark}"
    remark = f"; {worst.remark}" if worst.remark else ""
    return f"{group}{_finding_text(verdict.claim, worst)}{remark}"


def _finding_text(claim: Claim, finding: Finding) -> str:
    quantity = short(finding.quantity) if finding.quantity is not None else "∞"
    ratio_or_difference = f" (× {quantity})" if claim.factor is not None else f" (by {quantity})"
    if claim.expect in ("rises", "falls"):
        return (
            " → ".join(_number_text(number, True) for number in finding.of)
            + _seeds_text(finding.of)
            + ratio_or_difference
        )
    values = [value for number in finding.of for value in number.values]
    if claim.expect == "within":
        return f"{quantity} ({short(min(values))} … {short(max(values))})"
    if claim.expect == "equal":
        return f"{quantity} apart at most" if finding.than else f"{quantity} at most"
    seeds = _seeds_text([number for side in (finding.of, finding.than) if len(side) == 1 for number in side])
    if claim.than is None:
        return f"{_side_text(finding.of)}{seeds}"
    return f"{_side_text(finding.of)} against {_side_text(finding.than)}{seeds}{ratio_or_difference}"


def _side_text(numbers: Sequence[Number]) -> str:
    if len(numbers) == 1:
        return _number_text(numbers[0])
    return f"{short(fmean(number.mean for number in numbers))} (mean of {len(numbers)})"


def _number_text(number: Number, is_beside_others: bool = False) -> str:
    """``mean ± standard deviation`` where several seeds were measured."""
    return spread_text(number.mean, number.sd, NUM_DIGITS, is_beside_others)


def _seeds_text(numbers: Sequence[Number]) -> str:
    """``, n = 3`` behind numbers of which one has a standard deviation; ``, n = 2 … 3`` where they differ."""
    counts = [len(number.values) for number in numbers]
    if max(counts, default=1) == 1:
        return ""
    return f", n = {' … '.join(str(count) for count in dict.fromkeys((min(counts), max(counts))))}"


def claims_data(results: Results, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Everything that is known, as plain data: numbers in full, bounds, reasons, changes, run ids."""
    return {
        "experiment": results.name,
        **head(results),
        "claims": [
            {
                **verdict.claim.model_dump(mode="json"),
                "bound": verdict.bound,
                "verdict": verdict.state.value,
                "measured": measured_text(verdict),
                "margin": verdict.worst.margin,
                "notes": list(verdict.notes),
                "findings": [_finding_data(finding) for finding in verdict.findings],
            }
            for verdict in verdicts
        ],
    }


def _finding_data(finding: Finding) -> dict[str, Any]:
    return {
        "group": dict(finding.group),
        "verdict": finding.state.value,
        "quantity": finding.quantity,
        "margin": finding.margin,
        "remark": finding.remark,
        **{side: [_number_data(number) for number in getattr(finding, side)] for side in ("of", "than")},
    }


def _number_data(number: Number) -> dict[str, Any]:
    return {
        "label": dict(number.label),
        "mean": number.mean,
        "sd": number.sd,
        "num_seeds": number.num_seeds,
        "values": list(number.values),
        "runs": list(number.run_ids),
    }


def head(results: Results) -> dict[str, Any]:
    """What the runs have in common or differ in, each a sorted list: sizes, weights, seeds, dates, hardware."""
    transfers = [run.transfer for run in results.all_runs]
    kept = [run.manifest.provenance for run in results.all_runs if run.manifest]
    versions = [provenance.get("versions", {}) for provenance in kept]
    return {
        "content": _distinct(PurePath(transfer.content).name for transfer in transfers),
        "style": _distinct(PurePath(each.image).name for transfer in transfers for each in paintings_of(transfer)),
        "size_px": _distinct(transfer.size for transfer in transfers),
        "steps": _distinct(run.num_evaluations for run in results.all_runs),
        "weights": _distinct(_weights_name(transfer.weights) for transfer in transfers),
        "seeds": _distinct(transfer.seed for transfer in transfers),
        "started": _distinct(str(provenance["started"])[:10] for provenance in kept if "started" in provenance),
        "hardware": _distinct(provenance["device_name"] for provenance in kept if "device_name" in provenance),
        "commits": _distinct(provenance["commit"] for provenance in kept if provenance.get("commit")),
        "versions": {
            package: _distinct(version[package] for version in versions if package in version)
            for package in dict.fromkeys(package for version in versions for package in version)
        },
    }


def _distinct(values: Iterable[Any]) -> list[Any]:
    return sorted(set(values))


def _weights_name(weights: Weights) -> str:
    """Named weights by their name, a file by its own, without the folders it lies in."""
    if isinstance(weights, str):
        return weights
    if isinstance(weights, WeightsNetwork):
        return weights.network
    return PurePath(weights.file if isinstance(weights, WeightsPath) else weights.url).name


def claims_markdown(results: Results, verdicts: Sequence[Verdict]) -> str:
    """``claims.md``: where and how it was measured, the table, each bound's reason, changes and groups."""
    facts = head(results)
    versions = {package: facts["versions"][package] for package in PACKAGES if package in facts["versions"]}
    dates = list(dict.fromkeys([*facts["started"][:1], *facts["started"][-1:]]))
    states = sorted((verdict.state for verdict in verdicts), key=list(State).index)
    lines = [
        f"# Claims of {results.name}",
        "",
        f"{len(verdicts)} claims: {counted_verdicts(state.value for state in states)}.",
        "",
        f"- Images: {_listed(facts['content'])} in the style of {_listed(facts['style'])}, "
        f"{_listed(facts['size_px'])} px, {_listed(facts['steps'])} evaluations",
        f"- Network: {_listed(facts['weights'])}; seeds {_listed(facts['seeds'])}",
        f"- Computed: {' to '.join(dates) or 'not yet'} on {_listed(facts['hardware']) or 'nothing yet'}",
        f"- Versions: {'; '.join(f'{name} {_listed(found)}' for name, found in versions.items()) or 'none yet'}"
        + (f"; commit {_listed(commit[:12] for commit in facts['commits'])}" if facts["commits"] else ""),
        "",
        f"{OF_SPREAD} {OF_NUMBERS}",
        "",
        _line(COLUMNS),
        _line(["---"] * len(COLUMNS)),
        *(_line([*row[:-1], f"**{row[-1]}**"]) for row in rows_for_table(verdicts)),
        "",
        "## Bounds and their reasons",
    ]
    for number, verdict in enumerate(verdicts, 1):
        lines += ["", f"{number}. {_plain(verdict.claim.says)}", *(f"   - {text}" for text in _details(verdict))]
    return "\n".join(lines) + "\n"


def _details(verdict: Verdict) -> list[str]:
    claim, worst = verdict.claim, verdict.worst
    sides = [f"{side} {flow(chosen)}" for side, chosen in (("of", claim.of), ("than", claim.than)) if chosen]
    along = f" along {claim.along}" if claim.along else ""
    to = f" to {claim.to}" if claim.to else ""
    margin = f"; margin {_margin_text(claim, worst.margin)}" if worst.margin is not None else ""
    lines = [
        f"`{claim.measure}`{to}{along}{', ' if sides else ''}{', '.join(map(_plain, sides))}: {verdict.bound}{margin}",
        f"Reason of the bound: {_plain(claim.because)}",
    ]
    lines += [f"Changed on {each.on}; was: {_plain(each.was)}; why: {_plain(each.why)}" for each in claim.changed]
    lines += [f"Note: {_plain(note)}" for note in verdict.notes]
    if len(verdict.findings) > 1:
        groups = [f"{found.name} {found.state.value}" for found in verdict.findings]
        lines.append(f"Groups: {_plain('; '.join(groups))}")
    return lines


def _margin_text(claim: Claim, margin: float) -> str:
    """A margin in the measure's unit; one that is a logarithm as the ratio: ``× 0.8`` of what the claim wants."""
    is_logarithm = claim.factor is not None and claim.expect in ("rises", "falls")
    return f"× {short(math.exp(margin))}" if is_logarithm else short(margin)


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(str(value) for value in values)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(_plain(cell).replace("|", "\\|") for cell in cells) + " |"


def _plain(text: str) -> str:
    """A text on one line."""
    return " ".join(text.split())
