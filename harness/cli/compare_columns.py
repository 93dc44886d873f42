"""What stands in a comparison's columns: what differs between its lines, and which numbers, as they are written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from harness.cli.compare_lines import COLUMNS, Line, differing
from harness.cli.tables import MISSING, header, shown
from harness.config.claims import LOSS, LOSSES, loss_name
from harness.config.fields import unknown_name
from harness.config.file_names import FileNames
from harness.errors import UsageError
from harness.measures.names import (
    COLOUR_DISTANCE,
    EVALUATIONS,
    HELDOUT_STYLE,
    KEPT_EVALUATION,
    LPIPS,
    ON_VGG16,
    PIXEL_DISTANCE,
    REFERENCE_CONTENT,
    REFERENCE_STYLE,
    SSIM,
    STYLE_SWD,
    TOTAL_VARIATION,
)
from harness.results.spread import EXPLAINED as SD_EXPLAINED
from harness.results.spread import spread_text
from harness.runs.settled import EXPLAINED, MARK

TOTAL = "loss/total"

NUM_DIGITS = 4
"""Significant digits of a number."""

WHOLE_FIELDS = ("content_layers", "style_layers", "style")
"""A terminal shows these mappings whole; a CSV file has a column for each layer or painting, to be plotted."""

KEPT_OF = "kept of\nevaluations"
"""The header of ``kept_evaluation`` and ``evaluations``, in one column: 28 of 30."""

MOST_IMPORTANT = (REFERENCE_CONTENT, REFERENCE_STYLE, SSIM, LPIPS)
LEAST_IMPORTANT = (HELDOUT_STYLE, STYLE_SWD, PIXEL_DISTANCE, COLOUR_DISTANCE, TOTAL_VARIATION)
"""The order of a printed table, in which a page has room for some: measures that a user asked for stand between."""


def chosen_columns(words: str | None, lines: Sequence[Line]) -> list[str] | None:
    """The numbers that a user asks for, ``ssim,loss/total``, each once; None where none are named.

    Raises:
        UsageError: there is no number of that name.
    """
    if words is None:
        return None
    losses = {shown_loss(name): name for name in (*map(loss_name, LOSSES), *terms(lines))}
    numbers = [*COLUMNS, *further(lines)]
    losses |= {name.removeprefix(LOSS): name for name in terms(lines) if name.removeprefix(LOSS) not in numbers}
    known = [*numbers, *losses, *losses.values()]
    asked = [word.strip() for word in words.split(",")]
    if unknown := [name for name in asked if name not in known]:
        said = "fields in which runs differ stand in every table" if unknown[0] in lines[0].fields else ""
        raise UsageError(f"--columns {words}: {said or unknown_name(unknown[0], known, 'number')}")
    return list(dict.fromkeys(losses.get(name, name) for name in asked))


def all_columns(lines: Sequence[Line]) -> list[str]:
    """The numbers of a terminal; those of VGG-16, and the total loss, where a run has them.

    The total comes first, as where ``harness run`` ends: that of a run which diverged is seen at once. The evaluations
    stand beside the one that was kept.
    """
    own = [name for name in COLUMNS if name != EVALUATIONS]
    return [*_measured([TOTAL, *terms(lines), *own], lines), *further(lines)]


def printed_columns(lines: Sequence[Line]) -> list[str]:
    """The comparable numbers, and measures that a user asked for, in the order in which print has room for them."""
    return _measured([*MOST_IMPORTANT, *further(lines), *LEAST_IMPORTANT], lines)


def _measured(names: Sequence[str], lines: Sequence[Line]) -> list[str]:
    may_lack = (TOTAL, *ON_VGG16)
    return [name for name in names if name not in may_lack or any(one.numbers[name] is not None for one in lines)]


def further(lines: Sequence[Line]) -> list[str]:
    """Measures that some sweep or experiment asked for, beside what every run has."""
    names = dict.fromkeys(name for one in lines for name in one.numbers)
    return [name for name in names if name not in COLUMNS and not name.startswith(LOSS)]


def terms(lines: Sequence[Line]) -> list[str]:
    """The losses of terms beside content and style, of which some run has any."""
    names = dict.fromkeys(name for one in lines for name, value in one.numbers.items() if value is not None)
    return [name for name in names if name.startswith(LOSS) and name.removeprefix(LOSS) not in LOSSES]


def shown_loss(name: str) -> str:
    """A loss as it is headed: ``total``; a term's whole, ``loss/my_term``, as a measure may be called the same."""
    short = name.removeprefix(LOSS)
    return short if short in LOSSES else name


def fields_of(lines: Sequence[Line]) -> list[str]:
    """What differs; layers and paintings whole, where more than one of them does, and so what runs are labelled by."""
    names = differing(lines)
    num_of_head = Counter(name.split(".")[0] for name in names)
    whole = {
        head for head, num in num_of_head.items() if num > 1 and (head in WHOLE_FIELDS or _is_labelled(lines, head))
    }
    return list(dict.fromkeys(head if (head := name.split(".")[0]) in whole else name for name in names))


def _is_labelled(lines: Sequence[Line], name: str) -> bool:
    """Whether every run is labelled by a field: an axis of its experiment."""
    return all(name in one.runs[0].label for one in lines)


def file_names(lines: Sequence[Line]) -> FileNames:
    """What files are called among the lines."""
    return FileNames([*(one.fields for one in lines), *(one.runs[0].whole_fields for one in lines)])


def field_text(one: Line, name: str, names: FileNames) -> str:
    """What a line says of a field."""
    if not one.uses(name):
        return MISSING
    run = one.runs[0]
    whole = run.whole_fields.get(name) if name in WHOLE_FIELDS else run.label.get(name)
    return shown(names.of(name, one.fields.get(name, whole)))


def number_header(name: str) -> str:
    """What stands above a number, in a line or two."""
    return KEPT_OF if name == KEPT_EVALUATION else header(shown_loss(name))


def marked_column(names: Sequence[str]) -> str:
    """Where a run that had not settled is marked: at the kept evaluation, or else at the first number."""
    return KEPT_EVALUATION if KEPT_EVALUATION in names else next(iter(names), "")


def number_text(one: Line, name: str, marked: str) -> str:
    """A line's number with its spread and its signs; ``marked`` as ``marked_column`` gives it."""
    mark = MARK if one.settled is False and name == marked else ""
    value = one.numbers.get(name)
    if value is None:
        return f"{MISSING}{mark}"
    text = spread_text(value, one.sds.get(name), NUM_DIGITS)
    star = "*" if name == HELDOUT_STYLE and one.is_optimised else ""
    of = f" of {one.numbers[EVALUATIONS] or 0:.{NUM_DIGITS}g}" if name == KEPT_EVALUATION else ""
    return f"{text}{star}{mark}{of}"


def remarks(lines: Sequence[Line], names: Sequence[str]) -> Iterator[str]:
    """What the signs beside numbers mean."""
    if HELDOUT_STYLE in names and any(one.is_optimised for one in lines):
        yield "* the run optimised one of these layers: not held out."
    if any(one.settled is False for one in lines):
        yield f"{MARK} {EXPLAINED}"


def of_spread(lines: Sequence[Line]) -> Iterator[str]:
    """What ± means, where there are several seeds."""
    if any(one.sds for one in lines):
        yield f"{SD_EXPLAINED}, n in the column seeds."
