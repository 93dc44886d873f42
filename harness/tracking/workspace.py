"""The saved W&B view of one experiment: its losses, images and numbers laid out to be compared, and how to reach it.

Nothing but ``save_workspace`` needs the network.
"""

from __future__ import annotations

import os
import shlex
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.config.claims import COMPARABLE
from harness.tracking import panels
from harness.tracking.mode import import_wandb, sync_command, wandb_folder
from harness.tracking.records import EVALUATION, NUM_NAME_CHARACTERS
from harness.tracking.saved import read_saved, remember
from harness.tracking.summary import RUNS

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Workspace

VIEW = "view"
"""The key in ``saved.json`` of the view that was saved, so that saving again changes that one."""


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

    def wide(name: str, *content: Any) -> Any:
        layout = ws.SectionLayoutSettings(columns=1, rows=len(content))
        return ws.Section(name=name, panels=list(content), is_open=True, layout_settings=layout)

    keys = list(dict.fromkeys((*varied, "alpha_over_beta")))
    sections = [
        ws.Section(name="Losses", panels=panels.curves(), is_open=True),
        ws.Section(name="Losses over seeds", panels=panels.losses_over_seeds(), is_open=True),
        wide("Pictures", panels.pictures(varied or keys)),
        wide("Images", panels.iterates()),
        ws.Section(name="Content against style", panels=panels.content_against_style(), is_open=True),
        wide("What varies", panels.parallel_coordinates(keys)),
        ws.Section(name="Numbers against α/β", panels=panels.numbers_against("alpha_over_beta"), is_open=True),
        wide("Summary", panels.table(RUNS)),
        *(ws.Section(name=f"Losses by {key}", panels=panels.losses(EVALUATION, key), is_open=False) for key in keys),
    ]
    columns = ["run:displayName", *(f"config:{key}.value" for key in keys), *(f"summary:{name}" for name in COMPARABLE)]
    return ws.Workspace(
        entity=entity,
        project=project,
        name=experiment[:NUM_NAME_CHARACTERS],
        sections=sections,
        settings=ws.WorkspaceSettings(x_axis=EVALUATION, max_runs=panels.MAX_RUNS),
        runset_settings=ws.RunsetSettings(
            filters=expr.And(expr.Metric("Group") == experiment),
            order=[expr.Ordering(expr.Config(key), ascending=True) for key in keys],
            pinned_columns=columns,
        ),
    )


def default_entity() -> str:
    """The W&B user or team that runs go to: WANDB_ENTITY, or that of the key."""
    entity: str = os.environ.get("WANDB_ENTITY") or import_wandb().Api().default_entity
    return entity


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
    entity = default_entity()
    workspace = build_workspace(entity, project, experiment, varied)
    saved = read_saved(directory, VIEW)
    if (saved.get("entity"), saved.get("project")) == (entity, project):
        workspace._internal_name, workspace._internal_id = saved["name"], saved["id"]
    workspace.save()
    told = {"entity": entity, "project": project, "name": workspace._internal_name, "id": workspace._internal_id}
    remember(directory, VIEW, told)
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
