"""The W&B report of one experiment: what it asks, its figure, its claims and the panels of its runs, on one page.

Written anew as a whole each time; what was changed in it by hand is lost.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.results import Results
from harness.results.exporting import FOLDERS
from harness.tracking import panels
from harness.tracking.records import NUM_NAME_CHARACTERS, plain
from harness.tracking.saved import read_saved, remember
from harness.tracking.summary import CLAIM_COLUMNS, FIGURES, SUMMARY
from harness.tracking.workspace import default_entity

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2 import Report

REPORT = "report"
"""The key in ``saved.json`` of the report that was saved, so that saving again changes that one."""


def build_report(entity: str, project: str, results: Results, varied: Sequence[str]) -> Report:
    """Write an experiment's report.

    Args:
        entity: the W&B user or team.
        project: its project, which W&B must have already: its number stands in the report.
        results: the experiment.
        varied: what sets the runs apart, as it is called in their configuration.

    Raises:
        Exception: of many kinds, where W&B cannot be reached or has no such project.
    """
    wr = panels.import_panels()
    keys = list(dict.fromkeys((*varied, "alpha_over_beta")))

    def grid(*content: Any, of_summary: bool = False) -> Any:
        job_type = f"Metric('JobType') {'==' if of_summary else '!='} '{SUMMARY}'"
        runs = wr.Runset(
            entity=entity,
            project=project,
            name=SUMMARY if of_summary else "runs",
            filters=f"Metric('Group') == {results.name!r} and {job_type}",
            order=[wr.OrderBy(wr.Config(key), ascending=True) for key in keys],
        )
        return wr.PanelGrid(runsets=[runs], panels=list(content), hide_run_sets=of_summary)

    drawn = [name for name in FIGURES if (results.folder / f"{name}.png").exists()]
    claims = _claims(results)
    parts = [
        (("Figure", [grid(*map(panels.media, drawn), of_summary=True)]) if drawn else None),
        (("Claims", [wr.MarkdownBlock(claims)]) if claims else None),
        ("Pictures", [grid(panels.pictures(varied or keys))]),
        ("Content against style", [grid(*panels.content_against_style(), panels.parallel_coordinates(keys))]),
        ("Losses", [grid(*panels.losses_over_seeds(), *panels.curves())]),
    ]
    blocks = [wr.MarkdownBlock("\n\n".join(filter(None, _head(results))))]
    for title, content in filter(None, parts):
        blocks += [wr.H2(title), *content]
    report: Report = wr.Report(
        entity=entity,
        project=project,
        title=results.name[:NUM_NAME_CHARACTERS],
        description=results.definition.tracking.notes,
        blocks=blocks,
        width="fluid",
    )
    return report


def save_report(project: str, results: Results, varied: Sequence[str], directory: Path) -> str:
    """Save an experiment's report in W&B, over the one that was saved before from this folder.

    Args:
        project: of the runs.
        results: the experiment.
        varied: what sets the runs apart.
        directory: the experiment's ``wandb`` folder.

    Returns:
        The report's address.

    Raises:
        Exception: of many kinds, where W&B cannot be reached or refuses.
    """
    entity = default_entity()
    report = build_report(entity, project, results, varied)
    saved = read_saved(directory, REPORT)
    if (saved.get("entity"), saved.get("project")) == (entity, project):
        report.id = saved["id"]
    report.save()
    remember(directory, REPORT, {"entity": entity, "project": project, "id": report.id})
    return str(report.url)


def _head(results: Results) -> list[str]:
    """What was asked, with which command, and how far it has come."""
    counts: dict[str, int] = {}
    for run in results.all_runs:
        counts[run.status.name.lower()] = counts.get(run.status.name.lower(), 0) + 1
    told = ", ".join(f"{number} {status}" for status, number in counts.items())
    command = FOLDERS.sub("", results.command)
    return [
        results.definition.tracking.notes,
        f"`{command}`" if command else "",
        f"{len(results.all_runs)} runs: {told}.",
    ]


def _claims(results: Results) -> str:
    """The claims as a table in Markdown; empty where there are none."""
    path = results.folder / "claims.json"
    if not path.exists():
        return ""
    claims = json.loads(path.read_text(encoding="utf-8"))["claims"]
    columns = [name for name in CLAIM_COLUMNS if any(claim.get(name) for claim in claims)]
    rows = [columns, ["---"] * len(columns), *([_cell(claim.get(name)) for name in columns] for claim in claims)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(value: Any) -> str:
    text = "; ".join(map(str, value)) if isinstance(value, list) else str("" if value is None else plain(value))
    return " ".join(text.split()).replace("|", "\\|")
