"""Whether an experiment's runs bear out its claims.

Runs of the grid and its repeats whose labels differ in ``seed`` alone are one cell, measured several times. A label
part that a claim does not name makes groups: the claim must hold in each, and the worst stands for it. A run that is
missing or failed leaves the claim undecided rather than decided by those that happened to survive. No bound is adapted.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from statistics import fmean
from typing import Any, Literal

from harness.claims.expectations import Decision, changes, equal, greater, within
from harness.claims.records import Finding, Number, State, Verdict
from harness.config.claims import Claim, matches, value_key, values_of
from harness.config.experiment import Experiment
from harness.config.identity import picture_key
from harness.config.methods import QUILTING, has_network
from harness.config.yaml_source import assignments
from harness.errors import CannotMeasureError, HarnessError, UsageError
from harness.registries import is_of_a_set, measure, use_plugins
from harness.results import Results, Run
from harness.results.measuring import Measuring
from harness.runs.store import Status

NO_RUNS = "The experiment has no runs."
DIRECTIONS = ("rises", "falls")
SEED = "seed"
SEEDS_NEEDED = 3
"""Where noise is the start, fewer cannot tell an effect from a lucky start (issue 3 of this project asks for three)."""


def judge(results: Results) -> list[Verdict]:
    """Measure every claim of an experiment; a sweep makes none.

    Nothing is raised because of runs or pictures that are missing: the verdict says so.
    """
    if not isinstance(results.definition, Experiment):
        return []
    if plugins := results.definition.plugins:
        with suppress(UsageError):  # the claims that need a plugin which is gone say so
            use_plugins(plugins)
    measuring = Measuring(results.all_runs)
    return [_judge(claim, results.all_runs, measuring) for claim in results.definition.claims]


def _judge(claim: Claim, all_runs: Sequence[Run], measuring: Measuring) -> Verdict:
    runs = [run for run in all_runs if run.part != "again"]
    parts = list(dict.fromkeys(part for run in runs for part in run.label))
    named = dict.fromkeys([*([claim.along] if claim.along else []), *(claim.of or {}), *(claim.than or {})])
    findings: list[Finding] = []
    used: list[Run] = []
    try:
        if unknown := [part for part in named if part not in parts]:
            raise CannotMeasureError(f"{unknown[0]} does not vary in this grid.")
        for group, members in _groups(claim, _in_question(claim, runs, measuring), parts, list(named)):
            comparison = _Comparison(claim, members, measuring, group)
            findings.append(replace(comparison.finding(), name=measuring.label_name(group)))
            used += comparison.used
    except CannotMeasureError as error:
        findings.append(Finding({}, State.NOT_MEASURED, remark=str(error)))
    return Verdict(claim, tuple(findings), tuple(_notes(claim, used, measuring)))


def runs_in_question(claim: Claim, all_runs: Sequence[Run], measuring: Measuring) -> list[Run]:
    """The runs of which a claim compares numbers, second computations left out.

    Raises:
        CannotMeasureError: it names runs that there are not.
    """
    runs = _in_question(claim, [run for run in all_runs if run.part != "again"], measuring)
    sides = [_selected(claim, side, runs, measuring) for side in (claim.of, claim.than) if side is not None]
    return [run for run in runs if not sides or any(run is other for side in sides for other in side)]


def _in_question(claim: Claim, runs: Sequence[Run], measuring: Measuring) -> Sequence[Run]:
    """The runs that a claim is about, before they are grouped.

    ``of`` of a claim about a direction says where it must hold: each of its cells makes a group of its own, for a mean
    over them could rise where one of them falls. Without ``of``, a measure of repeated transfers is about those that
    were repeated.
    """
    if claim.expect in DIRECTIONS or claim.than is None and claim.of is None:
        return _selected(claim, claim.of, runs, measuring)
    return runs


def _groups(
    claim: Claim, runs: Sequence[Run], parts: Sequence[str], named: Sequence[str]
) -> list[tuple[dict[str, Any], list[Run]]]:
    """The runs by the values of every part that the claim does not name; a spread that names none is over all."""
    if claim.expect in DIRECTIONS:  # what ``of`` gives several values makes groups, see ``_in_question``
        named = [part for part in named if part == claim.along or len(values_of((claim.of or {})[part])) == 1]
    pooled = not named and (claim.expect == "within" or _is_of_a_set(claim))
    apart = [] if pooled else [part for part in parts if part not in named and part != SEED]
    groups: dict[str, tuple[dict[str, Any], list[Run]]] = {}
    for run in runs:
        group = {part: run.label[part] for part in apart if part in run.label}
        groups.setdefault(value_key(group), (group, []))[1].append(run)
    return list(groups.values())


def _selected(claim: Claim, selector: Mapping[str, Any] | None, runs: Sequence[Run], measuring: Measuring) -> list[Run]:
    """The runs that a selector names; every combination of its values must be among them."""
    selector = selector or {}
    for values in itertools.product(*(values_of(selected) for selected in selector.values())):
        wanted = dict(zip(selector, values, strict=True))
        found = [run for run in runs if matches(wanted, _label(run))]
        if not found:
            raise CannotMeasureError(f"This grid has no run with {assignments(wanted)}." if wanted else NO_RUNS)
        if not any(measuring.applies(claim.measure, run) for run in found):
            which = f"No run with {assignments(wanted)}" if wanted else "No run"
            raise CannotMeasureError(f"{which} was computed a second time.")
    return [run for run in runs if matches(selector, _label(run)) and measuring.applies(claim.measure, run)]


class _Comparison:
    """One claim in one group of runs; ``used`` are the runs whose numbers were asked for."""

    def __init__(self, claim: Claim, runs: Sequence[Run], measuring: Measuring, group: Mapping[str, Any]) -> None:
        self.claim, self.runs, self.measuring, self.group = claim, runs, measuring, group
        self.along = claim.along if claim.expect in DIRECTIONS else None
        self.used: list[Run] = []
        self.problems: list[str] = []

    def finding(self) -> Finding:
        """Measure what is selected and hold it against the bound."""
        of: tuple[Number, ...] = ()
        than: tuple[Number, ...] | None = None
        try:
            of_selector = None if self.along else self.claim.of  # along an axis, it has chosen the groups already
            chosen = _selected(self.claim, of_selector, self.runs, self.measuring)
            others: list[Run] = []
            if self.claim.than is not None:
                others = _selected(self.claim, self.claim.than, self.runs, self.measuring)
                if both := [run for run in chosen if any(run is other for other in others)]:
                    raise CannotMeasureError(f"of and than both select {self.measuring.name(both[0])}.")
            of = self.numbers(chosen)
            than = self.numbers(others) if self.claim.than is not None else None
            if self.problems:
                raise CannotMeasureError(_several(self.problems))
            outcome = self.outcome(of, than)
        except HarnessError as error:
            return Finding(self.group, State.NOT_MEASURED, of, than or (), remark=str(error))
        state = State.HOLDS if outcome.holds else State.DOES_NOT_HOLD
        return Finding(self.group, state, of, than or (), outcome.quantity, outcome.margin, outcome.remark)

    def numbers(self, runs: Sequence[Run]) -> tuple[Number, ...]:
        """The runs' numbers by cells; along an axis in its order, see ``_rank``."""
        cells: dict[str, list[Run]] = {}
        for run in runs:
            is_set = _is_of_a_set(self.claim)
            cell = {self.along: _label(run)[self.along]} if self.along else {} if is_set else _unseeded(run)
            cells.setdefault(value_key(cell), []).append(run)
        ordered = list(cells.values())
        if self.along:
            listed = values_of((self.claim.of or {}).get(self.along, ()))
            ordered = [ordered[k] for k in _rank([_label(cell[0])[self.along] for cell in ordered], listed)]
        return tuple(number for cell in ordered if (number := self.number(cell)) is not None)

    def number(self, cell: Sequence[Run]) -> Number | None:
        """One cell's number; None where it has none. What could not be measured is kept in ``problems``."""
        self.used += cell
        shared = {
            part: value
            for part, value in _label(cell[0]).items()
            if (part != SEED or self.along == SEED) and all(matches({part: [value]}, _label(run)) for run in cell)
        }
        if _is_of_a_set(self.claim):
            parts = [(partial(self.measuring.of_set, self.claim.measure, cell), [run.id for run in cell])]
        else:
            of_run = partial(self.measuring.of_run, self.claim.measure, to=self.claim.to)
            parts = [(partial(of_run, run), [run.id]) for run in cell]
        values, run_ids = [], []
        for number_of, measured in parts:
            try:
                values.append(number_of())
                run_ids += measured
            except HarnessError as error:
                self.problems.append(str(error))
        return Number(shared, tuple(values), tuple(run_ids)) if values else None

    def outcome(self, of: Sequence[Number], than: Sequence[Number] | None) -> Decision:
        """The claim's expectation of the numbers."""
        claim = self.claim
        if claim.expect == "rises" or claim.expect == "falls":  # mypy does not narrow by membership
            return changes(claim.expect, [number.mean for number in of], claim.by, claim.factor)
        if claim.expect == "within":
            return within([value for number in of for value in number.values], claim.by or 0.0)
        if claim.expect == "greater_than":
            outcome = greater(_mean(of), _mean(than) if than is not None else None, claim.by, claim.factor)
            return _told_apart(outcome, of, than) if not claim.by and not claim.factor else outcome
        others = [value for number in than for value in number.values] if than is not None else None
        return equal([value for number in of for value in number.values], others, claim.by or 0.0)


def _is_of_a_set(claim: Claim) -> bool:
    """Whether a claim's measure is one number for several runs together."""
    return claim.measure in measure and is_of_a_set(measure[claim.measure])


def _told_apart(outcome: Decision, of: Sequence[Number], than: Sequence[Number] | None) -> Decision:
    """Without a bound the seeds are one: every single value must be the greater, or the means differ by chance."""
    if than is None or not outcome.holds:
        return outcome
    gap = min(value for number in of for value in number.values) - max(v for number in than for v in number.values)
    if gap > 0:
        return outcome
    return replace(outcome, holds=False, margin=gap, remark="their values overlap")


def _mean(numbers: Sequence[Number]) -> float:
    """Mean over cells of the means over seeds: a cell that was repeated counts once."""
    return fmean(number.mean for number in numbers)


def _label(run: Run) -> dict[str, Any]:
    """A run's label, with its seed also where only its repeats name theirs."""
    return {**run.label, SEED: run.label.get(SEED, run.transfer.seed)}


def _unseeded(run: Run) -> dict[str, Any]:
    return {part: value for part, value in run.label.items() if part != SEED}


def _rank(values: Sequence[Any], listed: Sequence[Any]) -> list[int]:
    """The order of the steps: numbers by size, others as the claim lists them, or else as the experiment does.

    So the way an axis of numbers is written, in the file or by an override, decides nothing.
    """
    places = list(range(len(values)))
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return sorted(places, key=lambda k: values[k])
    keys = [value_key(value) for value in listed]
    return sorted(places, key=lambda k: keys.index(value_key(values[k]))) if keys else places


def _several(problems: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(problems))
    more = f" (and {len(distinct) - 1} more)" if len(distinct) > 1 else ""
    return f"{distinct[0]}{more}"


def _what_is_random(run: Run) -> str:
    """What a run's seed decides, as a sentence; empty where it decides nothing."""
    if run.transfer.method == QUILTING:
        return "Quilting draws its blocks at random"
    if not has_network(run.transfer.method):
        return f"The seed may say something to the method {run.transfer.method}"
    return "Noise is the start" if run.transfer.start == "noise" else ""


def few_seeds(runs: Sequence[Run], measured: Literal["was measured", "is to be measured"]) -> Iterable[str]:
    """Sentences, without their full stops, about what is random and has too few seeds."""
    seeds: dict[str, dict[str, set[int]]] = {}
    for run in runs:
        if chance := _what_is_random(run):
            cell = picture_key(run.transfer.model_copy(update={SEED: 0}))
            seeds.setdefault(chance, {}).setdefault(cell, set()).add(run.transfer.seed)
    for chance, cells in seeds.items():
        if (fewest := min(map(len, cells.values()))) < SEEDS_NEEDED:
            yield f"{chance}, and a cell {measured} over {fewest} of the {SEEDS_NEEDED} seeds that this needs"


def _notes(claim: Claim, runs: Sequence[Run], measuring: Measuring) -> Iterable[str]:
    """What weakens a verdict: few seeds, sizes that differ, optimised numbers, runs not settled or ended early."""
    yield from (f"{sentence}." for sentence in few_seeds(runs, "was measured"))
    if len({run.transfer.size for run in runs}) > 1:
        yield "The pictures have different sizes, on which sums over positions and distances in pixels depend."
    if claim.measure == "heldout_style" and any(run.metrics.get("heldout_style_optimised") for run in runs):
        yield "heldout_style was not held out: a run optimised one of its layers."
    unsettled = list({run.id: run for run in runs if run.unsettled}.values())
    if unsettled:
        num = len({run.id for run in runs})
        first = f"{measuring.name(unsettled[0])}: {unsettled[0].unsettled}"
        yield f"{len(unsettled)} of the {num} runs had not settled ({first}); more steps may change what was measured."
    for run in {run.id: run for run in runs if run.status is Status.DONE}.values():
        if run.manifest and run.manifest.reason:
            yield f"{measuring.name(run)} ended early: {run.manifest.reason}"
