"""What a command says while it computes, and at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from harness.claims import Verdict, claims_table
from harness.cli.bars import downloading
from harness.cli.console import make_console
from harness.cli.opening import open_picture
from harness.cli.progress import StudyProgress
from harness.cli.tables import written_line
from harness.config.commands import harness_command
from harness.downloads import OnBytes
from harness.driver.carrying import Conclusion
from harness.driver.jobs import Job
from harness.driver.telling import Telling, failures


class ConsoleTelling(Telling):
    """Tells on a terminal, or in a notebook: progress bars and sentences."""

    def __init__(self) -> None:
        self.console = make_console()

    @contextmanager
    def fetching(self) -> Iterator[OnBytes]:
        """Show a bar from when a download begins."""
        with downloading(self.console) as advance:
            yield partial(advance, "weights")

    def says(self, sentence: str) -> None:
        """Print it, never wrapped: paths and commands are copied."""
        self.console.print(sentence, soft_wrap=True, markup=False)

    def warns(self, sentence: str) -> None:
        """Print it, too."""
        self.says(sentence)

    def working(self, title: str, num_runs: int) -> StudyProgress:
        """Show the runs."""
        return StudyProgress(self.console, title, num_runs)

    def computed(self, jobs: Sequence[Job]) -> None:
        """Print why runs failed."""
        for sentence in failures(jobs):
            self.says(sentence)

    def judged(self, verdicts: Sequence[Verdict]) -> None:
        """Print the claims."""
        self.console.print(claims_table(verdicts))

    def concluded(self, conclusion: Conclusion, opens: bool = False) -> None:
        """Print what was drawn and where, and what to do next; open the figure where that is asked for."""
        folder = conclusion.results.folder
        for path in conclusion.drawn:
            if path.suffix != ".pdf":
                self.says(written_line(path))
        if len(runs := conclusion.results.all_runs) == 1:
            self.says(f"Picture: {runs[0].folder.image_path}")
        if conclusion.has_claims:
            self.says(f"Claims: {folder / 'claims.md'}")
        self.says(f"Runs:   {folder}")
        self.says(f"Next:   {harness_command('compare', folder)}, or {harness_command('dashboard', folder)}")
        figures = [path for path in conclusion.drawn if path.suffix == ".png"]
        if opens and figures:
            self.says(open_picture(figures[0]))  # the curves come behind it
