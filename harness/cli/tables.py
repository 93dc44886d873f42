"""How values, labels and tables stand in a terminal, whatever its width."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from harness.config.layers import LAYERS
from harness.config.styles import shortest
from harness.config.yaml_source import flow
from harness.errors import UsageError
from harness.results.results import EXPLORER

Column = TypeVar("Column")

MISSING = "–"

NARROWER = (40, 28, 20, 14, 10)
"""To how many characters what differs is folded, so that every run keeps its line beside its numbers."""


def shown(value: Any) -> str:
    """A value of a transfer or a measured number, short: four significant digits, layers without their weights' noise.

    Layers of equal weight are ``conv1_1+2_1``; others ``conv1_1:0.25 2_1:0.75``, as are paintings: ``strokes:0.75
    mosaic:{mask: coffee_cup}``; a pyramid is ``128:100 256:100``.
    """
    if value is None:
        return MISSING
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping) and value and all(key in LAYERS for key in value):
        used = {layer: weight for layer, weight in value.items() if weight}
        names = [layer if k == 0 else layer.removeprefix("conv") for k, layer in enumerate(used)]
        if all(math.isclose(weight, next(iter(used.values()))) for weight in used.values()):
            return "+".join(names) or "none"
        return " ".join(f"{name}:{weight:.3g}" for name, weight in zip(names, used.values(), strict=True))
    if isinstance(value, Mapping) and value and all(isinstance(part, int | float | Mapping) for part in value.values()):
        parts = shortest(value).items()
        return " ".join(f"{name}:{f'{part:.3g}' if isinstance(part, float) else flow(part)}" for name, part in parts)
    if isinstance(value, list | tuple) and value and all(isinstance(part, Mapping) for part in value):
        return " ".join(":".join(shown(number) for number in part.values()) for part in value)
    return value if isinstance(value, str) else flow(value)


def header(name: str) -> str:
    r"""What stands above a number, in a line or two: ``reference\ncontent``."""
    return name.replace("_", "\n", 1)


def shown_label(label: Mapping[str, Any]) -> str:
    """A label on one line, short: ``A, alpha=0.01``; ``single`` where nothing varies."""
    words = [shown(value) if part == "cases" else f"{part}={shown(value)}" for part, value in label.items()]
    return ", ".join(words) or "single"


def duration(seconds: float) -> str:
    """``75`` → ``1:15``, ``3675`` → ``1:01:15``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def num_of(num: int, noun: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{num} {noun}" if num == 1 else f"{num} {noun}s"


def check_folder_of(path: Path, option: str) -> None:
    """Refuse a file in a folder that is not there.

    Raises:
        UsageError: so it is.
    """
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{option} {path}: there is no folder {path.parent}; make it, or choose another.")


def short_path(path: Path) -> str:
    """Relative to the working directory where it lies below."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def written_line(path: Path) -> str:
    """What was drawn, and where: ``Figure: runs/relative_weight/figure.png``."""
    return f"Page:   {path}, for a browser" if path.name == EXPLORER else f"Figure: {path}"


def line(text: str, style: str = "") -> Text:
    """A sentence, folded at the terminal's width; nothing in it is taken for markup."""
    return Text(text, style=style, overflow="fold")


def tables_of_width(
    console: Console, columns: Sequence[Column], make_table: Callable[[Sequence[Column]], Table]
) -> Iterator[Table]:
    """The table of as many columns as the console is wide, then one of the next columns, until all are shown.

    Args:
        console: where they will stand.
        columns: what may be divided; what every table begins with is ``make_table``'s own.
        make_table: the table of some of the columns.
    """
    rest = list(columns)
    while True:
        num = len(rest)
        while num > 1 and width_of(console, make_table(rest[:num])) > console.width:
            num -= 1
        yield make_table(rest[:num])
        rest = rest[num:]
        if not rest:
            return


def width_of(console: Console, table: Table) -> int:
    """Columns that a table takes where nothing is folded."""
    return Measurement.get(console, console.options.update(width=100_000), table).maximum
