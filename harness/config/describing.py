"""What every field says, read off the models themselves: its values, its default, and their docstrings' ``Attributes``.

``harness fields`` prints it. Nothing is listed here, so that nothing can go stale.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from harness.config.experiment import Experiment
from harness.config.fields import FIELDS, unknown_name
from harness.config.layers import LAYERS
from harness.config.methods import GATYS, QUILTING, is_used
from harness.config.sentences import allowed, choices_of
from harness.config.source import BASE
from harness.config.styles import StyleImage
from harness.config.sweep import Sweep
from harness.config.transfer import Transfer
from harness.errors import UsageError

LAYER = "The weight of this layer. 0 switches it off."
WHICH = "Which one it is. The others have other fields."
OF_BASE = (
    "The file that this one is laid over. Relative to this file's folder, or the name of one that comes with the "
    "harness. Mappings are merged as a profile's are, lists and single values replaced; null takes a section away."
)


@dataclass(frozen=True)
class Described:
    """A field or a section.

    Attributes:
        name: dotted, without ``transfer.``.
        text: what it is, in sentences; the first one says it in short.
        allowed: its values in words; empty where the sentences say it.
        default: what it is where nothing is said, as plain data.
        is_needed: whether something must be said.
        of: which of the things that may stand before its name has it (``lbfgs``, ``adam``); empty for the only one.
        parts: the things that may stand there themselves, by name: what each is, and its fields.
    """

    name: str
    text: str
    allowed: str
    default: Any = None
    is_needed: bool = False
    of: str = ""
    parts: Mapping[str, tuple[str, tuple[Described, ...]]] = field(default_factory=dict)

    @property
    def short(self) -> str:
        """The first sentence."""
        return re.split(r"(?<=\.)\s+(?=[A-ZΑ-Ω`{α-ω])", self.text, maxsplit=1)[0]

    @property
    def is_of_transfer(self) -> bool:
        """Whether it is a field of a transfer, and so of axes, cases and space."""
        return self.name.split(".")[0] in FIELDS

    @property
    def unused_by(self) -> str:
        """The method to which it says nothing; empty where there is none."""
        methods = (GATYS, QUILTING) if self.is_of_transfer else ()
        return next((method for method in methods if not is_used(method, self.name)), "")


def fields_of_transfer() -> tuple[Described, ...]:
    """Every field of a transfer, in its order."""
    return tuple(_of_model(Transfer))


def sections() -> tuple[Described, ...]:
    """The sections of an experiment, then those that only sweeps have."""
    found = {each.name: each for model in (Sweep, Experiment) for each in _of_model(model)}
    order = dict.fromkeys([*Experiment.model_fields, *Sweep.model_fields])
    return (Described(BASE, OF_BASE, "a path, or a name"), *(found[name] for name in order))


def describe(name: str) -> tuple[Described, ...]:
    """The fields of a dotted name, of a transfer or of a section: one, or one of each thing that may stand there.

    Raises:
        UsageError: there is none.
    """
    first, *steps = name.removeprefix("transfer.").split(".")
    steps = steps[1:] if first == "style" and len(steps) > 1 else steps  # behind a painting's name
    found = [each for each in (*fields_of_transfer(), *sections()) if each.name == first]
    if not found:
        raise UsageError(unknown_name(first, [each.name for each in (*fields_of_transfer(), *sections())]))
    for step in steps:
        inside = [each for held in found for each in _inside(held)]
        names = list(dict.fromkeys(each.name.rpartition(".")[2] for each in inside))
        found = [each for each in inside if each.name.endswith(f".{step}")]
        if not found:
            raise UsageError(unknown_name(step, names, f"field of {first}"))
    return tuple(found)


def _inside(held: Described) -> Iterator[Described]:
    """What may stand behind a field's name and a dot."""
    if held.name in ("content_layers", "style_layers"):
        yield from (Described(f"{held.name}.{layer}", LAYER, "a finite number ≥ 0") for layer in LAYERS)
    for _, inner in held.parts.values():
        yield from inner


def _of_model(model: type[BaseModel], before: str = "", of: str = "") -> Iterator[Described]:
    """A model's fields."""
    summary, said = _split(model)
    for name, info in model.model_fields.items():
        dotted = f"{before}.{name}" if before else name
        text = said.get(name) or (WHICH if name == "name" else summary if len(model.model_fields) == 1 else "")
        text = text[:1].upper() + text[1:] if text[:1].isascii() else text
        default = info.get_default() if not info.is_required() else None
        plain = default.model_dump(mode="json") if isinstance(default, BaseModel) else default
        parts = dict(_parts(dotted, info)) if info.annotation is not Transfer else {}
        yield Described(dotted, text, _allowed(info), plain, info.is_required(), of, parts)


def _allowed(info: FieldInfo) -> str:
    return "" if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel) else allowed(info)


def _parts(dotted: str, info: FieldInfo) -> Iterator[tuple[str, tuple[str, tuple[Described, ...]]]]:
    """The models that a field may hold, by what tells them apart: their ``name``, or their first field."""
    models = list(dict.fromkeys(models_in(info.annotation)))
    for model in models:
        named = model.model_fields.get("name")
        called = choices_of(named.annotation)[0] if named else next(iter(model.model_fields))
        of = called if len(models) > 1 else ""
        before = f"{dotted}.NAME" if model is StyleImage else dotted
        yield of, (_split(model)[0], tuple(_of_model(model, before, of)))


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every model in an annotation: of a union, of a list's items, of a mapping's values."""
    if isinstance(annotation, type) and not get_origin(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models_in(inner)


def _split(model: type[BaseModel]) -> tuple[str, dict[str, str]]:
    """A model's docstring: what stands before its attributes, and what it says of each."""
    text = inspect.cleandoc(model.__doc__ or "")
    before, _, after = text.partition("Attributes:\n")
    found: dict[str, list[str]] = {}
    for line in after.splitlines():
        if match := re.match(r"    (\w+): (.*)", line):
            found[match[1]] = [match[2]]
        elif line.startswith("        ") and found:
            found[next(reversed(found))].append(line.strip())
    return before.strip(), {name: " ".join(lines) for name, lines in found.items()}
