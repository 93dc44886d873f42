"""The progress display of a batch: rows, losses, evaluations per second, time left; without a terminal, plain lines."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.runs.keeper import Keeper
from harness.runs.module import StyleTransfer

PLAIN_EVERY_S = 15.0
"""Seconds between lines where the output is not a terminal."""


def duration(seconds: float) -> str:
    """``75`` → ``1:15``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Progress(pl.Callback):
    """Shows how far every row has come.

    Args:
        console: where to show it.
        keeper: knows each row's latest losses.
        names: what each row is called.
        title: what the batch is called, e.g. ``relative_weight, batch 1 of 1 on cpu``.
    """

    def __init__(self, console: Console, keeper: Keeper, names: Sequence[str], title: str) -> None:
        self.console = console
        self.keeper = keeper
        self.names = names
        self.title = title
        self._live: Live | None = None
        self._started = self._printed = time.monotonic()
        self._before = 0

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the display."""
        assert isinstance(pl_module, StyleTransfer)
        self._started = self._printed = time.monotonic()
        self._before = sum(pl_module.evaluation)
        if self.console.is_terminal:
            self._live = Live(self._table(pl_module), console=self.console, refresh_per_second=4, transient=True)
            self._live.start()
        else:
            num_rows = len(self.keeper.open_rows)
            self.console.print(
                f"{self.title}: {num_rows} {'row' if num_rows == 1 else 'rows'}, {pl_module.steps} evaluations each"
            )

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *unused: Any) -> None:
        """Refresh it."""
        assert isinstance(pl_module, StyleTransfer)
        if self._live is not None:
            self._live.update(self._table(pl_module))
        elif time.monotonic() - self._printed > PLAIN_EVERY_S:
            self._printed = time.monotonic()
            self.console.print(self._summary(pl_module))

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close it."""
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Close it also when something goes wrong."""
        self._close()

    def _close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _summary(self, module: StyleTransfer) -> str:
        done = sum(module.evaluation)
        per_second = (done - self._before) / max(1e-9, time.monotonic() - self._started)
        left = sum(module.steps - module.evaluation[row] for row in self.keeper.open_rows)
        time_left = f", {duration(left / per_second)} left" if per_second > 0 else ""
        whole = module.steps * len(module.evaluation)
        return f"{self.title}: {done} of {whole} evaluations, {per_second:.1f} per second{time_left}"

    def _table(self, module: StyleTransfer) -> Group:
        table = Table(box=None, pad_edge=False, show_edge=False)
        for header in ("row", "", "evaluation", "total", "content", "style"):
            table.add_column(
                header, justify="left" if header in ("row", "") else "right", style="bold" if header == "row" else ""
            )
        for row, name in enumerate(self.names):
            latest = self.keeper.latest[row]
            losses = [f"{latest[key]:.4g}" if key in latest else "" for key in ("total", "content", "style")]
            bar = ProgressBar(total=module.steps, completed=module.evaluation[row], width=24)
            table.add_row(name, bar, f"{module.evaluation[row]}/{module.steps}", *losses)
        return Group(table, Text(self._summary(module), style="dim"))
