"""What an experiment's runs are called in its figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from harness.config.experiment import Experiment
from harness.config.file_names import FileNames
from harness.config.identity import canonical_json
from harness.config.levels import sizes_of
from harness.config.transfer import Transfer
from harness.figures.labels import image_name, labels, paintings
from harness.results import Results, Run


def labels_of(results: Results, experiment: Experiment, parts: Sequence[str], runs: Sequence[Run]) -> list[str]:
    """What some parts of the runs' labels say of each, files by the names that tell them apart in all the results."""
    names = FileNames(run.label for run in results.runs)
    rows = [list(map(names.of, parts, _told(run, parts))) for run in runs]
    return labels(parts, rows, experiment.cases)


def images_of(side: Literal["content", "style"], runs: Sequence[Run]) -> list[str]:
    """Each run's photograph, or its paintings, in words that tell them apart."""
    names, say = FileNames(run.whole_fields for run in runs), image_name if side == "content" else paintings
    return [say(names.of(side, run.whole_fields[side])) for run in runs]


def unsaid(parts: Sequence[str], runs: Sequence[Run]) -> tuple[str, ...]:
    """The parts that the captions' α/β does not say already: it does while only one of the two varies."""
    alphas, betas = {run.transfer.alpha for run in runs}, {run.transfer.beta for run in runs}
    num_varying = (len(alphas) > 1) + (len(betas) > 1)
    return tuple(part for part in parts if num_varying > 1 or part not in ("alpha", "beta"))


def _told(run: Run, parts: Sequence[str]) -> list[Any]:
    """The values as labels tell them: a pyramid (resolved, not ``auto``) with the size that it ends in."""
    return [_sizes(run.transfer) if part == "pyramid" else run.label[part] for part in parts]


def _sizes(transfer: Transfer) -> list[dict[str, int]]:
    *smaller, last = sizes_of(transfer)
    return [*({"size": level.size, "steps": level.steps} for level in smaller), {"size": last.size}]


def key_of(run: Run, parts: Sequence[str]) -> str:
    """What tells runs apart by some parts of their labels."""
    return canonical_json([run.label[part] for part in parts])
