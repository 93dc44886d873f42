"""What W&B is told about a run, made from the run folder's plain data.

Nothing here imports W&B, so that every name and number the dashboards show can be read, and tested, in one place.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.runs.store import Manifest, Status

EVALUATION = "evaluation"
SECONDS = "seconds"
ITERATE = "iterate"
"""The one key of all images, so that the panels of all runs share a slider."""

DEFAULT_PROJECT = "neural-style-transfer"
DEFAULT_JOB_TYPE = "transfer"
NUM_NAME_CHARACTERS = 128  # W&B's limit for ids, names and groups
NUM_TAG_CHARACTERS = 64  # and for a tag
COMPARED = ("alpha", "beta", "start", "seed", "content", "style", "size")
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
    text = " ".join(f"{key}={value}" for key, value in label.items()) or experiment
    return text[:NUM_NAME_CHARACTERS]


def run_config(transfer: Mapping[str, Any], manifest: Manifest) -> dict[str, Any]:
    """The run's configuration; in W&B's tables ``transfer.alpha`` is then called as on the command line."""
    told_otherwise = {"project", "tags", "notes", "job_type", "command"}  # a command line tells of the machine
    config: dict[str, Any] = {
        **comparable(transfer),
        **{field.replace(".", "_"): plain(value) for field, value in manifest.label.items()},
        "experiment": manifest.experiment,
        "run_id": manifest.id,
        "label": dict(manifest.label),
        "transfer": dict(transfer),
        "provenance": dict(manifest.provenance),
    }
    others = {key: value for key, value in manifest.tracking.items() if key not in told_otherwise}
    if manifest.trials:
        trial = manifest.trials[-1]
        config |= {"study": trial["study"], "trial": trial["number"], "params": dict(trial["params"])}
    return config | ({"tracking": others} if others else {})


def comparable(transfer: Mapping[str, Any]) -> dict[str, Any]:
    """What runs are compared by, as one plain value each, so that W&B can group, filter and plot by it.

    ``transfer`` has the same and all the rest; there a layer is a key, and keys cannot be grouped by.

    Returns:
        ``alpha_over_beta`` (left out for β = 0), ``content_layer``, ``style_layers``, ``start``, …
    """
    found: dict[str, Any] = {}
    if transfer.get("beta"):
        found["alpha_over_beta"] = transfer["alpha"] / transfer["beta"]
    for field, name in (("content_layers", "content_layer"), ("style_layers", "style_layers")):
        layers = [layer for layer, weight in transfer.get(field, {}).items() if weight]
        found[name] = " ".join(layers) or "none"
    for field in COMPARED:
        if field in transfer:
            value = plain(transfer[field])
            found[field] = Path(value).name if field in ("content", "style") else value
    return found


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


def history_record(row: Mapping[str, float], transfer: Mapping[str, Any]) -> dict[str, float]:
    """One line of history.csv as W&B is told it; what was not measured (NaN) is left out.

    ``total``, ``content``, ``style`` and their layers go under ``loss/``, unweighted and unrounded;
    ``weighted/content`` and ``weighted/style`` are the two terms of eq. 7, α L_content and β L_style; other columns
    keep their names.
    """
    record: dict[str, float] = {}
    for column, value in row.items():
        if not math.isnan(value):
            is_loss = column.split("/")[0] in ("total", "content", "style")
            record[f"loss/{column}" if is_loss else column] = value
    for side, weight in (("content", "alpha"), ("style", "beta")):
        if f"loss/{side}" in record:
            record[f"weighted/{side}"] = transfer[weight] * record[f"loss/{side}"]
    return record


def summary_record(manifest: Manifest) -> dict[str, Any]:
    """The run's summary: its comparable numbers, what became of it, and why."""
    reason = {"reason": manifest.reason} if manifest.reason else {}
    return {**manifest.metrics, "status": manifest.status.name.lower(), **reason}


class HistoryReader:
    """Reads the lines that history.csv has gained since the last time, so that following a run costs O(lines)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._columns: list[str] = []
        self._offset_bytes = 0

    def new_rows(self, size_bytes: int | None) -> list[dict[str, float]]:
        """The new whole lines within the file's first ``size_bytes`` bytes (None: all); blank fields are NaN."""
        try:
            with open(self._path, "rb") as file:
                file.seek(self._offset_bytes)
                text = file.read() if size_bytes is None else file.read(max(0, size_bytes - self._offset_bytes))
        except FileNotFoundError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._offset_bytes += len(whole)
        lines = csv.reader(io.StringIO(whole.decode()))
        if not self._columns:
            self._columns = next(lines, [])
        rows: list[dict[str, float]] = []
        for line in lines:
            row: dict[str, float] = {
                column: float(value) if value else math.nan for column, value in zip(self._columns, line, strict=True)
            }
            row[EVALUATION] = int(row[EVALUATION])
            rows.append(row)
        return rows
