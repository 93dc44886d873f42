"""What a batch tells whoever mirrors its run folders; ``harness.tracking`` does that in W&B."""

from __future__ import annotations

from harness.runs.store import RunFolder


class Tracker:
    """Mirrors run folders; this one does nothing: tracking that is off.

    Attributes:
        warning: the first thing that went wrong, as a sentence; empty if nothing.
    """

    warning = ""

    def add(self, folder: RunFolder) -> None:
        """Begin to mirror a run folder, which has its transfer and manifest and is rolled back to its checkpoint."""

    def poke(self) -> None:
        """Say that the folders may hold something new; costs nothing."""

    def finish(self, folder: RunFolder) -> None:
        """Mirror the rest of a run whose manifest says what became of it."""

    def close(self, timeout_s: float = 60.0) -> str:
        """End all mirrors, waiting at most ``timeout_s``; returns the warning, or an empty text."""
        return self.warning
