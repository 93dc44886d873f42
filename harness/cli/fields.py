"""``harness fields``: what may be said in a YAML file, printed from the models and registries that read it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness import registries
from harness.cli.console import make_console
from harness.cli.tables import line, shown
from harness.config.claims import LOSSES, Claim
from harness.config.describing import Described, describe, fields_of_transfer, sections
from harness.config.fields import unknown_field, unknown_name
from harness.config.layers import LAYERS
from harness.config.sentences import choices_of
from harness.errors import UsageError
from harness.images.library import list_images
from harness.objective.conventions import CONVENTIONS

OF_LOSSES = "The kept picture's own loss, unweighted but for total, in its convention's units."
Rows = Iterator[Sequence[str]]


def _measures() -> Rows:
    yield ("measure", "what it is")
    yield from ((name, OF_LOSSES) for name in LOSSES)
    named = dict.fromkeys(choices_of(Claim.model_fields["measure"].annotation))
    known = dict(_registered(registries.measure))
    yield from ((name, known.get(name, "")) for name in (named | known) if name not in LOSSES)


def _conventions() -> Rows:
    yield ("convention", "formula", "from")
    yield from ((one.name, one.formula, f"{one.source}; meant for: {one.network}") for one in CONVENTIONS.values())


def _images() -> Rows:
    yield ("image", "kind", "px", "what it is")
    for image in list_images():
        made = ", ".join(filter(None, (image.title, image.author, image.year)))
        yield image.name, image.kind, f"{image.width}×{image.height}", f"{made} ({image.licence})"


def _layers() -> Rows:
    yield ("layer", "")
    yield from ((layer, "not in VGG-16" if layer.endswith("_4") else "") for layer in LAYERS)


def _registered(registry: registries.Registry[Any]) -> Iterator[tuple[str, str]]:
    """The names in a registry, with what each says of itself."""
    yield from ((name, (inspect.getdoc(registry[name]) or "").partition("\n\n")[0]) for name in registry)


def _of_registry(registry: registries.Registry[Any]) -> Callable[[], Rows]:
    def rows() -> Rows:
        yield (registry.kind, "what it is")
        yield from _registered(registry)

    return rows


REGISTRIES = (registries.style_statistic, registries.term, registries.network, registries.method)
LISTS: dict[str, Callable[[], Rows]] = {
    "measures": _measures, "conventions": _conventions, "images": _images, "layers": _layers,
    **{f"{registry.kind.replace(' ', '_')}s": _of_registry(registry) for registry in REGISTRIES},
}  # fmt: skip
"""What has names but is no field."""


def show_fields(name: str | None) -> None:
    """Print all of a transfer's fields and the sections, or everything about one name.

    Raises:
        UsageError: there is nothing of that name.
    """
    console = make_console()
    if name is None or name == "transfer":
        _show_all(console)
        return
    try:
        found = describe(name)
    except UsageError as error:
        if name not in LISTS:
            whole, short = [each.name for each in (*fields_of_transfer(), *sections())], name.removeprefix("transfer.")
            sentence = str(error) if "." in short else unknown_name(short, [*whole, *LISTS])
            raise UsageError(f"{sentence[:1].upper()}{sentence[1:]}{'' if sentence.endswith('?') else '.'}") from None
        found = ()
    for field in found:
        _show_field(console, field)
    if name in LISTS:
        headers, *rows = LISTS[name]()
        console.print(_table(headers, rows))


def _show_all(console: Console) -> None:
    console.print("The fields of a transfer: behind transfer: in a file, transfer.FIELD=… behind harness run FILE.\n")
    console.print(_table_of_fields(fields_of_transfer(), lambda field: field.short))
    console.print("\nThe sections of an experiment or a sweep:\n")
    rows = [(field.name, _plain(field.short)) for field in sections()]
    console.print(_table(("section", "what it is"), rows))
    told = (
        f"Everything about one: harness fields optimiser, or quilting.block, claims.measure, space; {', '.join(LISTS)}."
    )
    console.print(line(f"\n{told}"))


def _show_field(console: Console, field: Described) -> None:
    """Everything about one field."""
    title = f"transfer.{field.name}" if field.is_of_transfer else field.name
    is_settable = field.is_of_transfer and unknown_field(field.name) is None
    console.print(line(f"{title}{f', of {field.of}' if field.of else ''}", "bold"))
    console.print(line(_plain(field.text)))
    table = Table(box=None, pad_edge=False, show_header=False)
    rows = [
        ("allowed", field.allowed),
        ("default", "none, it is needed" if field.is_needed else _default(field)),
        ("override", f"transfer.{field.name}=…" if is_settable else ""),
        ("vary", f"axes: {{{field.name}: […]}}" if is_settable else ""),
        ("unused", f"by method {field.unused_by}" if field.unused_by else ""),
    ]
    for key, value in rows:
        if value:
            table.add_row(key, line(value))
    console.print(table)
    for name, (summary, fields) in field.parts.items():
        console.print(line(f"\n{f'{name}: ' if name else ''}{_plain(summary)}"))
        if len(fields) > 1:
            console.print(_table_of_fields(fields, lambda inner: f"{inner.text}\n({inner.allowed})"))
    console.print()


def _table_of_fields(fields: Iterable[Described], told: Callable[[Described], str]) -> Table:
    rows = [(field.name, "needed" if field.is_needed else _default(field), _plain(told(field))) for field in fields]
    return _table(("field", "default", "what it is"), rows)


def _default(field: Described) -> str:
    """A default, short: of what has fields of its own, its name or nothing."""
    value = field.default
    if isinstance(value, dict) and field.parts:
        return str(value.get("name", "{…}"))
    return "none" if value in (None, (), {}, "") else shown(value)


def _plain(text: str) -> str:
    return text.replace("``", "")


def _table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table whose first column is whole, and whose others are folded to the console's width."""
    table = Table(box=None, pad_edge=False)
    for number, header in enumerate(headers):
        table.add_column(header, no_wrap=number == 0, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table
