"""The progress display of a study: runs, the rows under way and their losses, evaluations per second, time left.

Without a terminal, plain lines: one as a run ends, and one every ``PLAIN_EVERY_S``.
"""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.cli.console import PLAIN_EVERY_S
from harness.cli.tables import duration, shown_label
from harness.driver.jobs import AGAIN, Job
from harness.driver.telling import Observer
from harness.engines.contract import Advanced
from harness.runs.settled import early_picture
from harness.runs.store import Manifest, Status

MAX_LINES = 16
"""Rows shown at a time; a GPU may have hundreds."""


class StudyProgress(Observer):
    """Shows how far a study has come; a context.

    Args:
        console: where to show it.
        title: what is carried out, e.g. ``relative_weight on 2 workers (cpu:0, cpu:1)``.
        num_runs: runs to compute.
    """

    def __init__(self, console: Console, title: str, num_runs: int) -> None:
        self.console = console
        self.title = title
        self.num_runs = num_runs
        self._jobs: dict[str, Job] = {}
        self._latest: dict[str, Advanced] = {}
        self._before: dict[str, int] = {}
        self._num_ended = 0
        self._num_evaluations = 0
        self._live: Live | None = None
        self._started = self._printed = self._first_advance = time.monotonic()

    def __enter__(self) -> StudyProgress:
        self._started = self._printed = time.monotonic()
        if self.console.is_terminal:
            self._live = Live(console=self.console, refresh_per_second=4, transient=True)
            self._live.start()
        else:
            self.console.print(f"{self.title}: {self.num_runs} {'run' if self.num_runs == 1 else 'runs'}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def took(self, job: Job) -> None:
        """A run will be computed."""
        self._jobs[job.row.id] = job

    def advanced(self, event: Advanced) -> None:
        """A row has come further."""
        if event.run_id not in self._latest:
            manifest = self._jobs[event.run_id].folder.readable_manifest() if event.run_id in self._jobs else None
            attempts = manifest.attempts if manifest else ()
            self._before[event.run_id] = attempts[-1].first - 1 if attempts else 0  # what a resumed run brings along
        if not self._latest and self._num_evaluations == 0:
            self._first_advance = time.monotonic()
        self._latest[event.run_id] = event

    def ended(self, job: Job, manifest: Manifest) -> None:
        """A run has ended."""
        latest = self._latest.pop(job.row.id, None)
        behind = manifest.attempts[-1] if manifest.attempts else None
        if behind is not None:
            self._num_evaluations += behind.last - behind.first + 1
        elif latest is not None:
            self._num_evaluations += latest.evaluation
        self._jobs.pop(job.row.id, None)
        self._num_ended += 1
        if self._live is None and manifest.status is not Status.DONE:
            what = manifest.status.value.partition(":")[0]  # the reason says the rest
            self.noted(f"{job.row.id} ({shown_label(job.cell.label)}) {what}: {manifest.reason}")
        if sentence := early_picture(manifest, job.transfer):
            self.noted(f"{job.row.id} ({shown_label(job.cell.label)}): {sentence}.")

    def noted(self, sentence: str) -> None:
        """Say something above the display."""
        self.console.print(sentence, soft_wrap=True, markup=False)

    def worked(self, sentence: str) -> None:
        """Say how busy several workers were."""
        if sentence:
            self.noted(sentence)

    def looked(self) -> None:
        """Refresh the display, or print a line when it is time."""
        if self._live is not None:
            self._live.update(self._table())
        elif time.monotonic() - self._printed > PLAIN_EVERY_S:
            self._printed = time.monotonic()
            self.console.print(self._summary())

    def _summary(self) -> str:
        """Runs done, pace, time left."""
        under_way = sum(event.evaluation - self._before[run] for run, event in self._latest.items())
        done = self._num_evaluations + under_way
        elapsed = time.monotonic() - self._first_advance
        text = f"{self.title}: {self._num_ended} of {self.num_runs} runs"
        if done == 0 or elapsed < 1:
            return f"{text}, starting"
        steps = [job.num_evaluations for job in self._jobs.values()]
        known = sum(steps) - sum(event.evaluation for event in self._latest.values())
        unknown = max(0, self.num_runs - self._num_ended - len(self._jobs))
        mean_steps = sum(steps) / len(steps) if steps else 0
        pace = done / elapsed
        time_left = duration((known + unknown * mean_steps) / pace)
        return f"{text}, {pace:.1f} evaluations per second, about {time_left} left"

    def _table(self) -> Group:
        table = Table(box=None, pad_edge=False, show_edge=False)
        for header in ("worker", "run", "", "evaluation", "total", "content", "style"):
            left = header in ("worker", "run", "")
            table.add_column(header, justify="left" if left else "right", style="bold" if header == "run" else "")
        for run_id, event in list(self._latest.items())[:MAX_LINES]:
            job = self._jobs.get(run_id)
            if job is None:
                continue
            steps = job.num_evaluations
            shown = [event.losses.get(key) for key in ("total", "content", "style")]
            losses = ["" if loss is None else f"{loss:.4g}" for loss in shown]
            name = shown_label(job.cell.label) + (" (again)" if run_id.endswith(AGAIN) else "")
            bar = ProgressBar(total=steps, completed=event.evaluation, width=20)
            table.add_row(event.worker, name, bar, f"{event.evaluation}/{steps}", *losses)
        if len(self._latest) > MAX_LINES:
            table.add_row("", f"… and {len(self._latest) - MAX_LINES} more")
        whole = ProgressBar(total=max(1, self.num_runs), completed=self._num_ended, width=60)
        return Group(table, whole, Text(self._summary(), style="dim"))
