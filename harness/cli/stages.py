"""The progress of work in stages: a bar for each, or plain lines where the output is not a terminal."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from harness.cli.progress import PLAIN_EVERY_S


class Stages:
    """A context that is called with a stage, how much of it is done, of how much, and a remark.

    Args:
        console: where to show it.
    """

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._console = console
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal)
        self._tasks: dict[str, TaskID] = {}
        self._printed: dict[str, float] = {}

    def __call__(self, stage: str, done: int, total: int, remark: str = "") -> None:
        """A stage has come so far."""
        text = f"{stage}, {remark}" if remark else stage
        if self._console.is_terminal:
            if stage not in self._tasks:
                self._tasks[stage] = self._progress.add_task(text, total=total, completed=done)
            self._progress.update(self._tasks[stage], completed=done, total=total, description=text)
            return
        now = time.monotonic()
        if now - self._printed.setdefault(stage, now) > PLAIN_EVERY_S or done == total:
            self._printed[stage] = now
            self._console.print(f"{text}: {done} of {total}", markup=False)

    def __enter__(self) -> Stages:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
