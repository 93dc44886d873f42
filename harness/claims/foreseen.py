"""What can be said of claims before anything is computed: measures that this machine lacks, seeds that are too few."""

from __future__ import annotations

from collections.abc import Sequence

from harness.claims.verdicts import few_seeds, runs_in_question
from harness.config.experiment import Experiment
from harness.errors import CannotMeasureError
from harness.features.registry import cached_vgg16
from harness.measures.names import ON_VGG16
from harness.results import Results
from harness.results.measuring import Measuring

TO_FETCH = "fetch it before, `harness fetch weights vgg16`, or the same command again measures it then"
TO_REPEAT = "`repeat: [{seeds: [1, 2]}]` adds two (`harness fields repeat`)"


def foreseen(results: Results) -> list[str]:
    """A sentence for what will weaken claims, or leave them open; nothing is measured.

    Args:
        results: the experiment's runs, of which none need have begun.
    """
    if not isinstance(results.definition, Experiment):
        return []
    measuring = Measuring(results.all_runs)
    found: dict[str, list[int]] = {}
    for number, claim in enumerate(results.definition.claims, 1):
        if claim.measure in ON_VGG16 and cached_vgg16() is None:
            lacking = f"{claim.measure} needs VGG-16, which is not on this machine, and will not be measured"
            found.setdefault(f"{lacking}: {TO_FETCH}.", []).append(number)
        try:
            runs = runs_in_question(claim, results.all_runs, measuring)
        except CannotMeasureError:  # it names what this grid has not: the verdict says so
            continue
        for sentence in few_seeds(runs, "is to be measured"):
            found.setdefault(f"{sentence}; {TO_REPEAT}.", []).append(number)
    return [f"{_claims(numbers)}: {sentence}" for sentence, numbers in found.items()]


def _claims(numbers: Sequence[int]) -> str:
    return f"Claim{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
