"""Progress bars of downloads, shown once one begins, and of work in stages."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from harness.cli.console import PLAIN_EVERY_S


@contextmanager
def downloading(console: Console) -> Iterator[Callable[[str, int, int | None], None]]:
    """A bar for each download; on entering, the function to tell of one: its name, its bytes so far and in all.

    The total is None where the server does not say it.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=console, transient=True)
    tasks: dict[str, TaskID] = {}

    def advance(name: str, num_bytes: int, total: int | None) -> None:
        progress.start()
        if name not in tasks:
            tasks[name] = progress.add_task(f"downloading {name}", total=total)
        progress.update(tasks[name], completed=num_bytes, total=total)

    try:
        yield advance
    finally:
        if tasks:
            progress.stop()


@contextmanager
def stages(console: Console) -> Iterator[Callable[[str, int, int, str], None]]:
    """A bar for each stage of some work, or plain lines where the output is not a terminal.

    On entering, the function to tell of a stage: its name, how much of it is done, of how much, and a remark.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    printed: dict[str, float] = {}

    def told(stage: str, done: int, total: int, remark: str) -> None:
        text = f"{stage}, {remark}" if remark else stage
        if console.is_terminal:
            if stage not in tasks:
                tasks[stage] = progress.add_task(text, total=total, completed=done)
            progress.update(tasks[stage], completed=done, total=total, description=text)
            return
        now = time.monotonic()
        if now - printed.setdefault(stage, now) > PLAIN_EVERY_S or done == total:
            printed[stage] = now
            console.print(f"{text}: {done} of {total}", markup=False)

    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield told
