"""What became of a row of a batch; the value is the sentence for the user."""

from __future__ import annotations

from enum import Enum


class RowStatus(Enum):
    """State of one row; on the device it is stored as its position in this list (``RowStatus.code``)."""

    RUNNING = "The row is being optimised."
    CONVERGED = "The gradient is zero, or below the relative tolerance that was asked for: the row is at a minimum."
    STALLED = "No lower loss was found along the steepest descent: the row is as low as this precision allows."
    FAILED = "The loss or its gradient was not finite, also after restarting: the row was left at its best iterate."

    @property
    def code(self) -> int:
        """The integer that stands for this status on the device."""
        return CODES[self]


STATUSES: tuple[RowStatus, ...] = tuple(RowStatus)
CODES: dict[RowStatus, int] = {status: code for code, status in enumerate(STATUSES)}
