"""What W&B is told about a run, made from the run folder.

No name means two things, in configuration, history and summary together:

    content_image, style_image, alpha, …    configuration: what was asked for (``config_name``)
    loss/content, loss/style, loss/total    history: the losses of an evaluation; summary: those of the kept picture
    weighted/…, gradient_share/…            the same losses as terms of the total; their part in the gradient
    ssim, reference_style, …                summary: the comparable numbers; a plugin's measure as measure/<its name>
    iterate, pictures                       the image of an evaluation; content, style and kept picture side by side

Nothing here imports W&B, so that every name and number the dashboards show can be read, and tested, in one place.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from harness.config.claims import LOSS, loss_name
from harness.config.levels import sizes_of
from harness.config.methods import QUILTING, has_network, is_used
from harness.config.styles import shortest
from harness.config.transfer import Transfer
from harness.measures.names import METRICS
from harness.results.exporting import FOLDERS
from harness.runs.provenance import devices_of
from harness.runs.settled import settled
from harness.runs.store import Manifest, Status

EVALUATION = "evaluation"
SECONDS = "seconds"
ITERATE = "iterate"
"""The one key of all images, so that the panels of all runs share a slider."""
PICTURES = "pictures"
"""The key of the photograph, the paintings and the kept picture, one list of images at the last evaluation."""
CELL = "cell"
"""In the configuration: what sets the run apart, but for the seed, so that curves can be grouped over seeds."""
PEAK_MEMORY_MB = "peak_memory_mb"

DEFAULT_PROJECT = "neural-style-transfer"
DEFAULT_JOB_TYPE = "transfer"
NUM_NAME_CHARACTERS = 128  # W&B's limit for ids, names and groups
NUM_TAG_CHARACTERS = 64  # and for a tag
RENAMED = {
    "content": "content_image", "style": "style_image", "total_variation": "total_variation_weight",
    "photorealism": "photorealism_weight",
}  # fmt: skip
"""Fields of a transfer that are called otherwise in W&B: a loss, or a number of the picture, has their name."""
COMPARED = (
    "method", "alpha", "beta", "start", "seed", "content", "style", "style_scale", "colours", "size", "total_variation",
    "smoothing", "convention",
)  # fmt: skip
"""The fields that are copied to the top of the configuration, beside what the experiment varies."""
FileNameOf = Mapping[str, str]
"""Files that are called by more than their stem, since others beside them have the same, with these names."""
NO_NAMES: FileNameOf = {}
EXIT_CODES = {Status.DONE: 0, Status.PRUNED: 0, Status.FAILED: 1, Status.RUNNING: 255, Status.WAITING: 255}
"""What W&B shows as finished, failed and killed; a pruned run ended as its sweep meant it to."""


def wandb_id(experiment: str, run_id: str, token: str) -> str:
    """``<experiment>-<run id>-<token>``; a name with other than W&B's characters gets a hash, to stay unique.

    Args:
        experiment: its name.
        run_id: of the run.
        token: of the run's folder (its manifest's): the same run elsewhere, or computed anew, is another one to W&B.
    """
    run_id = f"{run_id}-{token}"
    room = NUM_NAME_CHARACTERS - len(run_id) - 3  # the third for what is appended where a run was deleted in W&B
    if not re.fullmatch(r"[\w.-]+", experiment, re.ASCII) or len(experiment) > room:
        suffix = "-" + hashlib.sha256(experiment.encode()).hexdigest()[:8]
        experiment = re.sub(r"[^\w.-]", "_", experiment, flags=re.ASCII)[: room - len(suffix)] + suffix
    return f"{experiment}-{run_id}"


def run_name(label: Mapping[str, Any], experiment: str, file_names: FileNameOf = NO_NAMES) -> str:
    """What differs from the experiment's other runs, as ``alpha=0.001 start=noise``; its name where nothing does."""
    text = " ".join(f"{key}={plain_field(key, value, file_names)}" for key, value in label.items()) or experiment
    return text[:NUM_NAME_CHARACTERS]


def config_name(field: str) -> str:
    """What a field, or a part of a label, is called in the configuration; a dot would be a level to W&B."""
    return RENAMED.get(field, field.replace(".", "_"))


def summary_name(number: str) -> str:
    """What a number of a run's manifest is called in the summary: the losses as in the history."""
    name = loss_name(number)
    return name if name in METRICS or name.startswith(LOSS) else f"measure/{name}"


def run_config(transfer: Transfer, manifest: Manifest, part: str = "") -> dict[str, Any]:
    """The run's configuration; in W&B's tables ``transfer.alpha`` is then called as on the command line.

    Args:
        transfer: resolved.
        manifest: the run's.
        part: of its experiment: ``grid``, ``repeat`` or ``again``; empty where nothing says.
    """
    told_otherwise = {"project", "tags", "notes", "job_type", "command", "file_names"}
    made, names = manifest.provenance, file_names_of(manifest)
    grouped = {key: value for key, value in manifest.label.items() if key not in ("seed", "trial")}
    command, devices = FOLDERS.sub("", manifest.tracking.get("command", "")), devices_of(made)
    told = {
        "part": part,
        "command": f"{command} --devices {devices}" if command and devices else command,
        "device": made.get("device_name") or made.get("device"),
    }
    config: dict[str, Any] = {
        **{config_name(field): plain_field(field, value, names) for field, value in manifest.label.items()},
        **comparable(transfer, names),
        **{name: value for name, value in told.items() if value},
        CELL: run_name(grouped, manifest.experiment, names),
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


def file_names_of(manifest: Manifest) -> FileNameOf:
    """What the experiment calls files that their stems do not tell apart."""
    return manifest.tracking.get("file_names") or NO_NAMES


def comparable(transfer: Transfer, file_names: FileNameOf = NO_NAMES) -> dict[str, Any]:
    """What runs are compared by, as one plain value each, so that W&B can group, filter and plot by it.

    ``transfer`` has the same and all the rest; there a layer is a key, and keys cannot be grouped by.

    Returns:
        ``alpha_over_beta`` (left out for β = 0), ``content_layers``, ``style_layers``, ``start``, …, ``sizes`` (of a
        pyramid), ``quilting_block``, each called as ``config_name`` says; what the method does not use is left out.
    """
    found: dict[str, Any] = {}
    if has_network(transfer.method):
        if transfer.beta:
            found["alpha_over_beta"] = transfer.alpha / transfer.beta
        for name, layers in (("content_layers", transfer.content_layers), ("style_layers", transfer.style_layers)):
            found[name] = _layers(dict(layers.items()))  # to any names: a mapping's keys are invariant
    plain_fields = transfer.plain()
    for field in COMPARED:
        if is_used(transfer.method, field):
            found[config_name(field)] = plain_field(field, plain_fields[field], file_names)
    if transfer.method == QUILTING:
        return found | {"quilting_block": transfer.quilting.block}
    if not has_network(transfer.method):
        return found
    found[config_name("photorealism")] = transfer.photorealism.weight
    if transfer.pyramid:
        found["sizes"] = " ".join(str(level.size) for level in sizes_of(transfer))
    return found


def plain_field(field: str, value: Any, file_names: FileNameOf = NO_NAMES) -> Any:
    """A field's value as W&B can group by it; an image by its name, several as ``strokes 0.75 + ink 0.25``."""
    if field in ("content", "style") and isinstance(value, str):
        return _file(value, file_names)
    if field in ("content_layers", "style_layers") and isinstance(value, Mapping):
        return _layers(value)
    is_several = field == "style" and isinstance(value, Mapping)
    return _paintings(value, file_names) if is_several else plain(value, file_names)


def _file(path: str, file_names: FileNameOf) -> str:
    return file_names.get(path, PurePath(path).stem)


def _paintings(style: Mapping[str, Any], file_names: FileNameOf) -> str:
    parts = shortest(style).items()
    told = (part.get("weight", 1.0) if isinstance(part, Mapping) else part for _, part in parts)
    return " + ".join(f"{_file(image, file_names)} {weight:g}" for (image, _), weight in zip(parts, told, strict=True))


def _layers(weights: Mapping[str, float]) -> str:
    """The layers that count: ``conv1_1 conv2_1``; where weights differ with these: ``conv1_1 0.2 conv2_1 0.8``."""
    weighed = {layer: weight for layer, weight in weights.items() if weight}
    is_even = len(set(weighed.values())) < 2
    return " ".join(layer if is_even else f"{layer} {weight:g}" for layer, weight in weighed.items()) or "none"


def plain(value: Any, file_names: FileNameOf = NO_NAMES) -> Any:
    """A value as W&B can group by it: numbers, texts and truths as they are, a file by its name, the rest as JSON."""
    if isinstance(value, Mapping) and "file" in value:
        return _file(value["file"], file_names)
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
        "name": run_name(manifest.label, experiment, file_names_of(manifest)),
        "notes": first("WANDB_NOTES", tracking.get("notes"), None),
        "tags": list(dict.fromkeys(str(tag)[:NUM_TAG_CHARACTERS] for tag in tags)),
    }


def history_record(row: Mapping[str, float], transfer: Transfer) -> dict[str, float]:
    """One line of history.csv as W&B is told it; what was not measured (NaN) is left out.

    ``total``, ``content``, ``style`` and their layers, ``total_variation``, ``photorealism`` and a user's terms go
    under ``loss/``, unweighted and unrounded; ``weighted/…`` are the terms of the total: α L_content and β L_style of
    eq. 7, λ_TV TV, λ L_m / (H W), λ times a user's. Of other methods, whose errors are no terms of a sum, there is no
    weighted one. ``size`` is ``level_size``, that of the level, since the configuration has the picture's own. Other
    columns keep their names.
    """
    record: dict[str, float] = {}
    terms = transfer.every_term()
    losses = ("total", "content", "style", *terms)
    for column, value in row.items():
        if not math.isnan(value):
            name = "level_size" if column == "size" else column
            record[f"loss/{column}" if column.split("/")[0] in losses else name] = value
    if not has_network(transfer.method):
        return record
    for loss, weight in {"content": transfer.alpha, "style": transfer.beta, **terms}.items():
        if f"loss/{loss}" in record:
            record[f"weighted/{loss}"] = weight * record[f"loss/{loss}"]
    return record


def summary_record(transfer: Transfer, manifest: Manifest, kept: Mapping[str, float] | None = None) -> dict[str, Any]:
    """The run's summary: its comparable numbers, the losses of the kept picture, what became of it, whether it had
    settled, and why it ended.

    Args:
        transfer: the run's.
        manifest: the run's.
        kept: ``history_record`` of the evaluation whose picture was kept; without it the losses are the last ones.
    """
    losses = {name: value for name, value in (kept or {}).items() if "/" in name}
    numbers = {summary_name(name): value for name, value in manifest.metrics.items()}
    memory = {name: manifest.provenance[name] for name in (PEAK_MEMORY_MB,) if name in manifest.provenance}
    reason = {"reason": manifest.reason} if manifest.reason else {}
    is_settled = settled(manifest, transfer)
    told = {} if is_settled is None else {"settled": is_settled}
    return {**losses, **numbers, **memory, "status": manifest.status.name.lower(), **told, **reason}
