"""A W&B run for a whole experiment: its runs as one table, its figure and its claims, beside the runs in their group.

It is written anew as a whole each time, from the run folders. Like the mirrors of single runs it never stops anything:
what goes wrong becomes a sentence.
"""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.config.file_names import FileNames
from harness.results import Results
from harness.results.alike import MeasuredAlike
from harness.runs.store import Manifest, Status
from harness.tracking.mirror import begin_run, end_service, remove_folders
from harness.tracking.mode import ModeName, import_wandb, sync_command
from harness.tracking.records import (
    NUM_NAME_CHARACTERS,
    comparable,
    config_name,
    init_arguments,
    plain,
    plain_field,
    summary_name,
    wandb_id,
)
from harness.tracking.saved import own_token, remember

if TYPE_CHECKING:
    from wandb import Run

SUMMARY = "summary"
"""Its job type, and part of its id."""
RUNS = "runs"
"""The key of the table of runs."""

FIGURES = ("figure", "front", "search", "curves")
"""What may have been drawn: an experiment's grid and curves, a sweep's front or course."""
CLAIM_COLUMNS = ("says", "where", "measured", "bound", "verdict", "margin", "because", "notes", "changed")

logger = logging.getLogger("harness.tracking")


def write_summary(results: Results, mode: ModeName, directory: Path) -> str:
    """Write an experiment's summary run, replacing an earlier one.

    Args:
        results: the experiment as its folders have it.
        mode: online, offline or off.
        directory: the experiment's ``wandb`` folder.

    Returns:
        What went wrong, as a sentence (also logged); empty where nothing did.
    """
    if mode == "off":
        return ""
    try:
        _write(results, mode, directory)
        return ""
    except Exception as error:  # any kind: W&B must never stop a run
        end_service()
        told = " ".join(str(error).split()) or type(error).__name__
    if mode == "online":
        failed = write_summary(results, "offline", directory)
        command = sync_command(directory, "all")
        sentence = f"W&B did not take the experiment's summary ({told}); to upload it: `{command}`."
        sentence = failed or sentence
    else:
        sentence = f"W&B's summary of the experiment was not written ({told}); the run folders hold everything."
    logger.warning(sentence)
    return sentence


def table_of_runs(results: Results) -> tuple[list[str], list[list[Any]]]:
    """The columns and rows of the table of runs: what sets them apart, status, numbers, settled or not; a row per run.

    Columns are called as in the runs' configuration and summary. The last one is the final image's path, None where
    there is none.
    """
    labels = _union(run.label for run in results.all_runs)
    numbers = _union(run.metrics for run in results.all_runs)
    ratio = [] if "alpha_over_beta" in labels else ["alpha_over_beta"]
    alike = MeasuredAlike(results.all_runs)
    names = FileNames(run.label for run in results.all_runs).longer
    rows = []
    for run in results.all_runs:
        image = run.folder.image_path
        compared = comparable(run.transfer, names)
        rows.append(
            [
                run.id,
                run.part,
                *(compared.get(config_name(name), plain_field(name, run.label.get(name), names)) for name in labels),
                *(compared.get(name) for name in ratio),
                run.status.name.lower(),
                run.settled,
                *(alike.metrics(run).get(name) for name in numbers),
                run.reason,
                str(image) if image.exists() else None,
            ]
        )
    named = [*map(config_name, labels), *ratio, "status", "settled", *map(summary_name, numbers)]
    return ["run", "part", *named, "reason", "image"], rows


def _union(mappings: Any) -> list[str]:
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def _write(results: Results, mode: Literal["online", "offline"], directory: Path) -> None:
    tracking = results.definition.tracking.model_dump(mode="json")
    token = own_token(directory)
    identity = wandb_id(results.name, SUMMARY, token)
    called = init_arguments(results.name, Manifest(SUMMARY, results.name, tracking=tracking))
    called |= {"name": f"{called['name']} {SUMMARY}"[:NUM_NAME_CHARACTERS], "job_type": SUMMARY}
    run = begin_run(identity, {"experiment": results.name}, mode, directory, **called)
    try:
        _tell(run, results)
        run.finish(exit_code=0)
    except Exception:  # any kind; the id is in use as long as its run is open
        with suppress(Exception):
            run.finish(exit_code=1)
        raise
    remove_folders(directory, identity, Path(run.settings.sync_dir))
    if other := run.id.removeprefix(identity):  # it was deleted in W&B
        remember(directory, "token", token + other)
    end_service()


def _tell(run: Run, results: Results) -> None:
    """Log the tables, the figures and how far the experiment has come."""
    wandb = import_wandb()
    columns, rows = table_of_runs(results)
    for row in rows:
        row[-1] = wandb.Image(row[-1]) if row[-1] else None
    record: dict[str, Any] = {RUNS: wandb.Table(columns=columns, data=rows, allow_mixed_types=True)}
    for name in FIGURES:
        figure = results.folder / f"{name}.png"
        if figure.exists():
            record[name] = wandb.Image(str(figure), caption=results.name)
    if (path := results.folder / "claims.json").exists():
        claims = json.loads(path.read_text(encoding="utf-8"))["claims"]
        columns = [column for column in CLAIM_COLUMNS if any(column in claim for claim in claims)]
        cells = [[plain(claim.get(column)) for column in columns] for claim in claims]
        record["claims"] = wandb.Table(columns=columns, data=cells, allow_mixed_types=True)
    run.log(record)
    run.summary.update(_counts(results))


def _counts(results: Results) -> dict[str, int]:
    counts = {f"num_{status.name.lower()}": sum(run.status is status for run in results.all_runs) for status in Status}
    return counts | {"num_unsettled": sum(run.settled is False for run in results.all_runs)}
