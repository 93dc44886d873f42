"""The progress of downloads, shown only once one begins."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class DownloadProgress:
    """A context whose ``advance`` takes what ``harness.downloads.download`` reports.

    Args:
        console: where to show it.
    """

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console, transient=True)
        self._tasks: dict[str, TaskID] = {}

    def advance(self, name: str, num_bytes: int, total: int | None) -> None:
        """So many bytes of a file are there; ``total`` is None where the server does not say."""
        if not self._tasks:
            self._progress.start()
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(f"downloading {name}", total=total)
        self._progress.update(self._tasks[name], completed=num_bytes, total=total)

    def __enter__(self) -> DownloadProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tasks:
            self._progress.stop()
