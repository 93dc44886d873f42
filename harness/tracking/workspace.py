"""The saved W&B view of one experiment: its losses, images and numbers laid out to be compared, and how to reach it.

Nothing but ``save_workspace`` needs the network.
"""

from __future__ import annotations

import json
import os
import shlex
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.config.claims import COMPARABLE
from harness.runs.store import write_durably
from harness.tracking.mode import import_wandb, sync_command, wandb_folder
from harness.tracking.records import EVALUATION, ITERATE, NUM_NAME_CHARACTERS, SECONDS
from harness.tracking.summary import RUNS

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Workspace

SAVED = "workspace.json"
"""In the ``wandb`` folder: which view was saved, so that saving again changes that one."""
MAX_RUNS = 100  # W&B draws the first 10 of a plot unless told otherwise


def build_workspace(entity: str, project: str, experiment: str, varied: Sequence[str]) -> Workspace:
    """Lay out an experiment's view; no network.

    Args:
        entity: the W&B user or team.
        project: its project.
        experiment: the experiment's name, W&B's group.
        varied: what sets the runs apart, as it is called in their configuration: ``alpha``, ``cases``…
    """
    import_wandb()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # wandb-workspaces is written in pydantic 1's style
        from wandb_workspaces import expr
        from wandb_workspaces import workspaces as ws
        from wandb_workspaces.reports import v2 as wr

    def losses(x: str, **grouping: Any) -> list[Any]:
        return [
            wr.LinePlot(
                title=f"{loss} by {x}", x=x, y=[f"loss/{loss}"], log_y=True, max_runs_to_show=MAX_RUNS, **grouping
            )
            for loss in ("total", "content", "style")
        ]

    keys = list(dict.fromkeys((*varied, "alpha_over_beta")))
    sections = [
        ws.Section(name="Losses", panels=losses(EVALUATION) + losses(SECONDS), is_open=True),
        ws.Section(
            name="Images",
            panels=[
                wr.MediaBrowser(
                    title="one row per run, one column per evaluation",
                    media_keys=[ITERATE],
                    mode="grid",
                    grid_x_axis="step",
                    grid_y_axis="run",
                    layout=wr.Layout(w=24, h=16),
                )
            ],
            is_open=True,
            layout_settings=ws.SectionLayoutSettings(columns=1, rows=1),
        ),
        ws.Section(
            name="Numbers against α/β",
            panels=[
                wr.ScatterPlot(
                    title=f"{number} against α/β",
                    x=wr.Config("alpha_over_beta"),
                    y=wr.SummaryMetric(number),
                    log_x=True,
                )
                for number in COMPARABLE
            ],
            is_open=True,
        ),
        ws.Section(
            name="Summary",
            panels=[wr.WeavePanelSummaryTable(table_name=RUNS, layout=wr.Layout(w=24, h=12))],
            is_open=True,
            layout_settings=ws.SectionLayoutSettings(columns=1, rows=1),
        ),
        *(
            ws.Section(name=f"Losses by {key}", panels=losses(EVALUATION, groupby=wr.Config(key)), is_open=False)
            for key in keys
        ),
    ]
    columns = ["run:displayName", *(f"config:{key}.value" for key in keys), *(f"summary:{name}" for name in COMPARABLE)]
    return ws.Workspace(
        entity=entity,
        project=project,
        name=experiment[:NUM_NAME_CHARACTERS],
        sections=sections,
        settings=ws.WorkspaceSettings(x_axis=EVALUATION, max_runs=MAX_RUNS),
        runset_settings=ws.RunsetSettings(
            filters=expr.And(expr.Metric("Group") == experiment),
            order=[expr.Ordering(expr.Config(keys[0]), ascending=True)],
            pinned_columns=columns,
        ),
    )


def save_workspace(project: str, experiment: str, varied: Sequence[str], directory: Path) -> str:
    """Save an experiment's view in W&B, over the one that was saved before from this folder.

    Args:
        project: of the runs.
        experiment: the experiment's name.
        varied: what sets the runs apart.
        directory: the experiment's ``wandb`` folder.

    Returns:
        The view's address.

    Raises:
        Exception: of many kinds, where W&B cannot be reached or refuses.
    """
    wandb = import_wandb()
    entity = os.environ.get("WANDB_ENTITY") or wandb.Api().default_entity
    workspace = build_workspace(entity, project, experiment, varied)
    path = wandb_folder(directory) / SAVED
    saved = json.loads(path.read_text()) if path.exists() else {}
    if (saved.get("entity"), saved.get("project")) == (entity, project):
        workspace._internal_name, workspace._internal_id = saved["name"], saved["id"]
    workspace.save()
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {"entity": entity, "project": project, "name": workspace._internal_name, "id": workspace._internal_id}
    write_durably(path, json.dumps(told) + "\n")
    return str(workspace.url)


def offline_advice(directory: Path, command: str) -> list[str]:
    """What to do to see offline runs, as lines for the terminal.

    Args:
        directory: the experiment's ``wandb`` folder.
        command: what to type again once the runs are uploaded.
    """
    folder = wandb_folder(directory)
    if not any(folder.glob("offline-run-*")):
        return []
    return [
        f"look at them here, in the terminal:  wandb leet {shlex.quote(str(folder))}",
        f"upload them:                         {sync_command(directory, 'offline')}",
        f"then build the view:                 {command}",
    ]
