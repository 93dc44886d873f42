"""What a command says while it computes, and at the end."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console

from harness.claims import claims_table
from harness.cli.console import make_console
from harness.cli.downloads import DownloadProgress
from harness.cli.progress import StudyProgress, name_of
from harness.driver.carrying import Conclusion
from harness.driver.telling import Telling

__all__ = ["ConsoleTelling", "name_of", "say_conclusion"]


class ConsoleTelling(Telling):
    """Tells on a terminal, or in a notebook: progress bars and sentences. A context: downloads' bars end with it."""

    def __init__(self) -> None:
        self.console = make_console()
        self._downloads = DownloadProgress(self.console)

    def downloading(self, name: str, num_bytes: int, total: int | None) -> None:
        """Show a bar."""
        self._downloads.advance(name, num_bytes, total)

    def says(self, sentence: str) -> None:
        """Print it, never wrapped: paths and commands are copied."""
        self.console.print(sentence, soft_wrap=True, markup=False)

    def working(self, title: str, num_runs: int) -> StudyProgress:
        """Show the runs; downloads are over."""
        self._downloads.close()
        return StudyProgress(self.console, title, num_runs)

    def __enter__(self) -> ConsoleTelling:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._downloads.close()


def say_conclusion(console: Console, conclusion: Conclusion) -> None:
    """The claims, what was drawn and where, and what to do next."""
    folder = conclusion.results.folder
    if conclusion.verdicts:
        console.print(claims_table(conclusion.verdicts))
    lines = [*conclusion.notes, *(f"Figure: {path}" for path in conclusion.drawn if path.suffix == ".png")]
    if conclusion.verdicts:
        lines.append(f"Claims: {folder / 'claims.md'}")
    lines += [f"Runs:   {folder}", f"Next:   harness compare {folder}, or harness dashboard {folder}"]
    for line in lines:
        console.print(line, soft_wrap=True, markup=False)
