"""What W&B is told about a run, made from the run folder.

Nothing here imports W&B, so that every name and number the dashboards show can be read, and tested, in one place.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.config.levels import sizes_of
from harness.config.methods import QUILTING, has_network, is_used
from harness.config.styles import shortest
from harness.config.transfer import Transfer
from harness.runs.settled import settled
from harness.runs.store import Manifest, Status

EVALUATION = "evaluation"
SECONDS = "seconds"
ITERATE = "iterate"
"""The one key of all images, so that the panels of all runs share a slider."""

DEFAULT_PROJECT = "neural-style-transfer"
DEFAULT_JOB_TYPE = "transfer"
NUM_NAME_CHARACTERS = 128  # W&B's limit for ids, names and groups
NUM_TAG_CHARACTERS = 64  # and for a tag
COMPARED = (
    "method", "alpha", "beta", "start", "seed", "content", "style", "style_scale", "colours", "size", "total_variation",
    "smoothing", "convention",
)  # fmt: skip
"""The fields that are copied to the top of the configuration, beside what the experiment varies."""
EXIT_CODES = {Status.DONE: 0, Status.PRUNED: 0, Status.FAILED: 1, Status.RUNNING: 255, Status.WAITING: 255}
"""What W&B shows as finished, failed and killed; a pruned run ended as its sweep meant it to."""


def wandb_id(experiment: str, run_id: str) -> str:
    """``<experiment>-<run id>``; an experiment's name with other than W&B's characters gets a hash, to stay unique."""
    room = NUM_NAME_CHARACTERS - len(run_id) - 1
    if not re.fullmatch(r"[\w.-]+", experiment, re.ASCII) or len(experiment) > room:
        suffix = "-" + hashlib.sha256(experiment.encode()).hexdigest()[:8]
        experiment = re.sub(r"[^\w.-]", "_", experiment, flags=re.ASCII)[: room - len(suffix)] + suffix
    return f"{experiment}-{run_id}"


def run_name(label: Mapping[str, Any], experiment: str) -> str:
    """What differs from the experiment's other runs, as ``alpha=0.001 start=noise``; its name where nothing does."""
    told = {
        key: _paintings(value) if key == "style" and isinstance(value, Mapping) else value
        for key, value in label.items()
    }
    text = " ".join(f"{key}={value}" for key, value in told.items()) or experiment
    return text[:NUM_NAME_CHARACTERS]


def run_config(transfer: Transfer, manifest: Manifest) -> dict[str, Any]:
    """The run's configuration; in W&B's tables ``transfer.alpha`` is then called as on the command line."""
    told_otherwise = {"project", "tags", "notes", "job_type", "command"}  # a command line tells of the machine
    config: dict[str, Any] = {
        **comparable(transfer),
        **{field.replace(".", "_"): plain_field(field, value) for field, value in manifest.label.items()},
        "experiment": manifest.experiment,
        "run_id": manifest.id,
        "label": dict(manifest.label),
        "transfer": transfer.plain(),
        "provenance": dict(manifest.provenance),
    }
    others = {key: value for key, value in manifest.tracking.items() if key not in told_otherwise}
    if manifest.trials:
        trial = manifest.trials[-1]
        config |= {"study": trial["study"], "trial": trial["number"], "params": dict(trial["params"])}
    return config | ({"tracking": others} if others else {})


def comparable(transfer: Transfer) -> dict[str, Any]:
    """What runs are compared by, as one plain value each, so that W&B can group, filter and plot by it.

    ``transfer`` has the same and all the rest; there a layer is a key, and keys cannot be grouped by.

    Returns:
        ``alpha_over_beta`` (left out for β = 0), ``content_layer``, ``style_layers``, ``start``, …, ``photorealism``
        (λ), ``sizes`` (of a pyramid), ``block`` (of a quilted picture); what the method does not use is left out.
    """
    found: dict[str, Any] = {}
    if has_network(transfer.method):
        if transfer.beta:
            found["alpha_over_beta"] = transfer.alpha / transfer.beta
        for name, layers in (("content_layer", transfer.content_layers), ("style_layers", transfer.style_layers)):
            found[name] = " ".join(layer for layer, weight in layers.items() if weight) or "none"
    plain_fields = transfer.plain()
    for field in COMPARED:
        if is_used(transfer.method, field):
            found[field] = plain_field(field, plain_fields[field])
    if transfer.method == QUILTING:
        return found | {"block": transfer.quilting.block}
    if not has_network(transfer.method):
        return found
    found["photorealism"] = transfer.photorealism.weight
    if transfer.pyramid:
        found["sizes"] = " ".join(str(level.size) for level in sizes_of(transfer))
    return found


def plain_field(field: str, value: Any) -> Any:
    """A field's value as W&B can group by it; an image by its file's name, several as ``strokes 0.75 + ink 0.25``."""
    if field in ("content", "style") and isinstance(value, str):
        return Path(value).name
    return _paintings(value) if field == "style" and isinstance(value, Mapping) else plain(value)


def _paintings(style: Mapping[str, Any]) -> str:
    parts = shortest(style).items()
    told = (part.get("weight", 1.0) if isinstance(part, Mapping) else part for _, part in parts)
    return " + ".join(f"{Path(image).name} {weight:g}" for (image, _), weight in zip(parts, told, strict=True))


def plain(value: Any) -> Any:
    """A value as W&B can group by it: numbers, texts and truths as they are, a file by its name, the rest as JSON."""
    if isinstance(value, Mapping) and "file" in value:
        return Path(value["file"]).name
    return value if isinstance(value, str | int | float) or value is None else json.dumps(value, ensure_ascii=False)


def init_arguments(experiment: str, manifest: Manifest) -> dict[str, Any]:
    """Project, group, job type, name, notes and tags, as keywords of ``wandb.init``; WANDB_* variables go first."""
    tracking = manifest.tracking

    def first(variable: str, value: Any, default: str | None) -> str | None:
        return os.environ.get(variable) or value or default

    tags = [*(tracking.get("tags") or ()), *filter(None, os.environ.get("WANDB_TAGS", "").split(","))]
    return {
        "project": first("WANDB_PROJECT", tracking.get("project"), DEFAULT_PROJECT),
        "group": (first("WANDB_RUN_GROUP", experiment, None) or "")[:NUM_NAME_CHARACTERS],
        "job_type": first("WANDB_JOB_TYPE", tracking.get("job_type"), DEFAULT_JOB_TYPE),
        "name": run_name(manifest.label, experiment),
        "notes": first("WANDB_NOTES", tracking.get("notes"), None),
        "tags": list(dict.fromkeys(str(tag)[:NUM_TAG_CHARACTERS] for tag in tags)),
    }


def history_record(row: Mapping[str, float], transfer: Transfer) -> dict[str, float]:
    """One line of history.csv as W&B is told it; what was not measured (NaN) is left out.

    ``total``, ``content``, ``style`` and their layers, ``total_variation``, ``photorealism`` and a user's terms go
    under ``loss/``, unweighted and unrounded; ``weighted/…`` are the terms of the total: α L_content and β L_style of
    eq. 7, λ_TV TV, λ L_m / (H W), λ times a user's. Of other methods, whose errors are no terms of a sum, there is no
    weighted one. Other columns keep their names.
    """
    record: dict[str, float] = {}
    terms = transfer.every_term()
    losses = ("total", "content", "style", *terms)
    for column, value in row.items():
        if not math.isnan(value):
            record[f"loss/{column}" if column.split("/")[0] in losses else column] = value
    if not has_network(transfer.method):
        return record
    for loss, weight in {"content": transfer.alpha, "style": transfer.beta, **terms}.items():
        if f"loss/{loss}" in record:
            record[f"weighted/{loss}"] = weight * record[f"loss/{loss}"]
    return record


def summary_record(transfer: Transfer, manifest: Manifest) -> dict[str, Any]:
    """The run's summary: its comparable numbers, what became of it, whether it had settled, and why it ended."""
    reason = {"reason": manifest.reason} if manifest.reason else {}
    is_settled = settled(manifest, transfer)
    told = {} if is_settled is None else {"settled": is_settled}
    return {**manifest.metrics, "status": manifest.status.name.lower(), **told, **reason}
