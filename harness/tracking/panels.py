"""The panels of an experiment in W&B, of which its saved view and its report are made; no network.

Runs are set apart by what varies, as it is called in their configuration (``records.config_name``).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from harness.config.claims import COMPARABLE
from harness.tracking.mode import import_wandb
from harness.tracking.records import CELL, EVALUATION, ITERATE, PICTURES, SECONDS

MAX_RUNS = 100  # W&B draws the first 10 of a plot unless told otherwise
CONTENT_AND_STYLE = (("loss/content", "loss/style"), ("reference_content", "reference_style"))
"""What is drawn against each other: a run's own losses, and those that compare across α/β and networks."""
LOG_SCALED = ("alpha", "beta", "alpha_over_beta")


def import_panels() -> ModuleType:
    """Import ``wandb_workspaces.reports.v2``, which is written in pydantic 1's style and warns of it."""
    import_wandb()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from wandb_workspaces.reports import v2
    return v2


def losses(x: str, by: str = "") -> list[Any]:
    """The losses along an axis, a curve for each run; or, by a value of the configuration, means and their bands.

    Args:
        x: ``evaluation`` or ``seconds``.
        by: runs that agree in it are one curve, with a band from the lowest to the highest.
    """
    wr = import_panels()
    grouping = {"groupby": wr.Config(by), "groupby_aggfunc": "mean", "groupby_rangefunc": "minmax"} if by else {}
    return [
        wr.LinePlot(title=f"{loss} by {x}", x=x, y=[f"loss/{loss}"], log_y=True, max_runs_to_show=MAX_RUNS, **grouping)
        for loss in ("total", "content", "style")
    ]


def losses_over_seeds() -> list[Any]:
    """The losses of every cell, a mean over its seeds with their band."""
    return losses(EVALUATION, CELL)


def curves() -> list[Any]:
    """The losses of every run by evaluation and by seconds."""
    return losses(EVALUATION) + losses(SECONDS)


def content_against_style() -> list[Any]:
    """The losses of the kept pictures against each other, a point for each run."""
    wr = import_panels()
    return [
        wr.ScatterPlot(
            title=f"{content} against {style}", x=wr.SummaryMetric(content), y=wr.SummaryMetric(style),
            log_x=True, log_y=True,
        )
        for content, style in CONTENT_AND_STYLE
    ]  # fmt: skip


def parallel_coordinates(varied: Sequence[str]) -> Any:
    """What varies in the experiment, and the losses and numbers it leads to: a line for each run."""
    wr = import_panels()

    def column(metric: Any, is_log: bool) -> Any:
        return wr.ParallelCoordinatesPlotColumn(metric=metric, display_name=metric.name, log=is_log)

    numbers = [*(name for pair in CONTENT_AND_STYLE for name in pair), "ssim"]
    columns = [column(wr.Config(name), name in LOG_SCALED) for name in varied]
    columns += [column(wr.SummaryMetric(name), name != "ssim") for name in numbers]
    return wr.ParallelCoordinatesPlot(title="what varies, and what came of it", columns=columns, layout=_wide(12))


def numbers_against(x: str) -> list[Any]:
    """The comparable numbers against a value of the configuration."""
    wr = import_panels()
    return [
        wr.ScatterPlot(title=f"{number} against {x}", x=wr.Config(x), y=wr.SummaryMetric(number), log_x=x in LOG_SCALED)
        for number in COMPARABLE
    ]


def pictures(varied: Sequence[str]) -> Any:
    """Photograph, painting and kept picture of every run side by side; a row for each run, in the order of the runs."""
    return import_panels().MediaBrowser(
        title=f"content, style and kept picture, by {', '.join(varied)}", media_keys=[PICTURES],
        mode="grid", grid_x_axis="index", grid_y_axis="run", layout=_wide(16),
    )  # fmt: skip


def iterates() -> Any:
    """The pictures on the way."""
    return import_panels().MediaBrowser(
        title="one row per run, one column per evaluation", media_keys=[ITERATE],
        mode="grid", grid_x_axis="step", grid_y_axis="run", layout=_wide(16),
    )  # fmt: skip


def media(key: str) -> Any:
    """One image that was logged under a key."""
    return import_panels().MediaBrowser(media_keys=[key], num_columns=1, layout=_wide(16))


def table(name: str) -> Any:
    """A table that was logged under a name."""
    return import_panels().WeavePanelSummaryTable(table_name=name, layout=_wide(12))


def _wide(height: int) -> Any:
    """A layout over the whole width, 24 of W&B's columns."""
    return import_panels().Layout(w=24, h=height)
