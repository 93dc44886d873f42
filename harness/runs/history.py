"""What a run keeps on its way: a line of history.csv for each evaluation, and some of the iterates."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path


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

    def new_rows(self, size_bytes: int | None = None) -> list[dict[str, float]]:
        """The new whole lines within the file's first ``size_bytes`` bytes (None: all); blank fields are NaN."""
        try:
            with open(self._path, "rb") as file:
                file.seek(self._offset_bytes)
                text = file.read() if size_bytes is None else file.read(max(0, size_bytes - self._offset_bytes))
        except FileNotFoundError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._offset_bytes += len(whole)
        lines = csv.reader(io.StringIO(whole.decode()))
        if not self._columns:
            self._columns = next(lines, [])
        rows: list[dict[str, float]] = []
        for line in filter(None, lines):
            row: dict[str, float] = {
                column: float(value) if value else math.nan for column, value in zip(self._columns, line, strict=True)
            }
            row["evaluation"] = int(row["evaluation"])
            rows.append(row)
        return rows
