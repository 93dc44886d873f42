"""What a run keeps on its way: a line of history.csv for each evaluation, and some of the iterates."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.errors import StorageError


def is_log_spaced(evaluation: int, steps: int) -> bool:
    """Whether an evaluation is 1, 2 or 5 times a power of ten, or the last: where iterates are kept."""
    return evaluation == steps or str(evaluation).rstrip("0") in ("1", "2", "5")


def csv_text(rows: Sequence[Mapping[str, float]], header: bool) -> str:
    """Lines of history.csv, the header before them where it is asked for; NaN (not measured) is left blank."""
    if not rows:
        return ""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    if header:
        writer.writeheader()
    for row in rows:
        writer.writerow({k: "" if isinstance(v, float) and math.isnan(v) else repr(v) for k, v in row.items()})
    return text.getvalue()


class HistoryReader:
    """Reads the lines that history.csv has gained since the last time, so that following a run costs O(lines)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._columns: list[str] = []
        self._offset_bytes = 0
        self._num_lines = 0

    def new_rows(self, size_bytes: int | None = None) -> list[dict[str, float]]:
        """The new whole lines within the file's first ``size_bytes`` bytes (None: all); blank fields are NaN.

        Raises:
            StorageError: a line is damaged; none of the new ones counts as read.
        """
        try:
            with open(self._path, "rb") as file:
                file.seek(self._offset_bytes)
                text = file.read() if size_bytes is None else file.read(max(0, size_bytes - self._offset_bytes))
        except FileNotFoundError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        lines = csv.reader(io.StringIO(whole.decode(errors="replace")))  # what is no text is no number either
        columns, rows = self._columns, []
        try:
            for line in filter(None, lines):
                if columns:
                    rows.append(_numbers(columns, line))
                else:
                    columns = line
        except (ValueError, csv.Error) as error:
            raise StorageError(
                f"{self._path}:{self._num_lines + lines.line_num} is damaged ({error}); "
                "move the folder away to compute the run again."
            ) from error
        self._columns = columns
        self._offset_bytes += len(whole)
        self._num_lines += lines.line_num
        return rows


def _numbers(columns: Sequence[str], line: Sequence[str]) -> dict[str, float]:
    """A line's numbers by their columns.

    Raises:
        ValueError: it has another number of fields, or one that is no number.
    """
    if len(line) != len(columns):
        raise ValueError(f"the line has {len(line)} fields, and its header {len(columns)}")
    row = {column: float(value) if value else math.nan for column, value in zip(columns, line, strict=True)}
    if not math.isfinite(row.get("evaluation", math.nan)):
        raise ValueError("the line does not say its evaluation")
    return row | {"evaluation": int(row["evaluation"])}
