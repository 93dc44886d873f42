"""File, profiles and overrides to one validated definition (an experiment or a sweep), with every fault found."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from harness.config.cells import enumerate_cells
from harness.config.experiment import Experiment, grid_problems
from harness.config.fields import unknown_name
from harness.config.image_files import expand_axes
from harness.config.overrides import SWEEP_ONLY, Overrides, forget_gone, lay_over, mapping, varies
from harness.config.places import FieldPath, Located
from harness.config.selectors import measure_problems, selector_problems
from harness.config.sentences import GRID, Problem, problems
from harness.config.source import Source
from harness.config.space_checks import shape_problems
from harness.config.sweep import Sweep
from harness.config.transfer import Transfer
from harness.config.varied import STAND_IN
from harness.errors import ConfigError, Fault, UsageError
from harness.registries import Plugin, each_once, use_plugins

Definition = TypeVar("Definition", Experiment, Sweep)
FaultOfFile = Callable[[str], str | None]
"""What is wrong with an image, or a weights file, as it is named; None where nothing is."""


@dataclass(frozen=True)
class Resolved(Generic[Definition]):
    """What came of a source.

    Attributes:
        definition: None where there are faults.
        data: it as plain data.
        located: where its fields stand.
        faults: what is wrong with it, but for files that it names.
        plugins: those it names, loaded.
    """

    definition: Definition | None
    data: Mapping[str, Any]
    located: Located
    faults: list[Fault]
    plugins: tuple[Plugin, ...] = ()


def resolve_all(
    source: Source,
    model: type[Definition],
    profile: str | None,
    words: Sequence[str],
    fault_of_image: FaultOfFile,
    fault_of_weights: FaultOfFile,
) -> tuple[Definition, Located, tuple[Plugin, ...]]:
    """The definition with its profiles and the overrides; the profiles not asked for are checked as well.

    Its plugins are loaded, and no others: what it names is looked up among theirs. Where there are faults, those of its
    images and weights files are among them.

    Raises:
        ConfigError: with every fault found, by line, those of overrides last.
    """
    profiles = {name: part for name, part in mapping(source.data.get("profiles")).items() if isinstance(part, dict)}
    faults = list(source.faults)
    unknown = [name for name in names_of_profiles(profile) if name not in profiles]
    faults += [Fault(f"--profile {profile}", "", unknown_name(name, profiles, "profile")) for name in unknown]
    if unknown:
        profile = None
    with each_once():
        others = [(other, resolve(source, model, other, ())) for other in profiles if other != profile]
        resolved = resolve(source, model, profile, words)  # the last, so that its plugins stay
    unread = {(fault.where, fault.field) for fault in source.faults}  # values that YAML could not give
    faults += [fault for fault in resolved.faults if (fault.where, fault.field) not in unread]
    selecting = selector_faults(source.data, source.located, ("claims", "repeat"))
    faults += [_with_cure_of_base(fault, source) for fault in selecting]
    for other, of_profile in others:
        places = {place for known, place in source.located.places.items() if known[:2] == ("profiles", other)}
        faults += [fault for fault in of_profile.faults if fault.where in places]
    if faults or resolved.definition is None:
        faults += _file_faults(resolved.data, resolved.located, fault_of_image, fault_of_weights)
        own = _file_and_line(source.located.document)[0]
        faults = _without_followers(_without_renamed(faults))
        raise ConfigError(sorted(dict.fromkeys(faults), key=lambda fault: _rank(fault, own)))
    return resolved.definition, resolved.located, resolved.plugins


def names_of_profiles(profile: str | None) -> tuple[str, ...]:
    """What ``--profile vgg16,seeds`` names, in the order in which they are laid over the file."""
    return () if profile is None else tuple(name.strip() for name in profile.split(","))


def laid_over(source: Source, profile: str | None, words: Sequence[str]) -> tuple[dict[str, Any], Located, Overrides]:
    """The data of a file with its profiles and the overrides over it, nothing of it validated.

    The overrides may name what its plugins register: these are loaded, as far as they can be.
    """
    data, located, overrides = _laid_over(source, profile, words)
    if isinstance(named := data.get("plugins"), list) and words:
        with suppress(UsageError):
            use_plugins(name for name in named if isinstance(name, str))
            return _laid_over(source, profile, words)
    return data, located, overrides


def _laid_over(source: Source, profile: str | None, words: Sequence[str]) -> tuple[dict[str, Any], Located, Overrides]:
    data, located = copy.deepcopy(source.data), source.located.copy()
    for section in [name for name, value in data.items() if value is None and name != "transfer"]:
        del data[section]  # all its lines are commented out
    for name in names_of_profiles(profile):
        lay_over(data, located, data["profiles"][name], dict(located.places), ("profiles", name))
    overrides = Overrides(data, located, source.sections)
    for word in words:
        overrides.apply(word)
    overrides.finish()
    overrides.faults += expand_axes(data, located)
    return data, located, overrides


def resolve(
    source: Source,
    model: type[Definition],
    profile: str | None,
    words: Sequence[str],
) -> Resolved[Definition]:
    """The definition with its profiles and the overrides, and everything wrong with it."""
    varied_before = varies(source.data)
    with_profile, profile_located, _ = laid_over(source, profile, ())
    varied_before |= varies(with_profile)
    data, located, overrides = laid_over(source, profile, words)
    forget_gone(data, varied_before - varies(data))
    if source.is_sweep and model is Experiment:  # a sweep of which every field is pinned
        data = {name: value for name, value in data.items() if name not in SWEEP_ONLY}
    plugins, of_plugins = _load(data, located)
    faults = overrides.faults + of_plugins
    if not of_plugins:
        faults += [located.fault(problem.path, problem.message) for problem in measure_problems(data)]
    if profile is not None:
        own = tuple({key: None for name in names_of_profiles(profile) for key in source.data["profiles"][name]})
        faults += selector_faults(with_profile, profile_located, own)
    faults += selector_faults(data, located, tuple(overrides.replaced))
    try:
        return Resolved(model.model_validate(data), data, located, faults, plugins)
    except ValidationError as error:
        found = list(problems(error, model))
        if error.errors()[0]["type"] != GRID:
            found += (_hidden_in_sweep if model is Sweep else _hidden_in_experiment)(data, found)
        faults += [located.fault(problem.path, problem.message) for problem in found]
        return Resolved(None, data, located, faults)


def _load(data: Mapping[str, Any], located: Located) -> tuple[tuple[Plugin, ...], list[Fault]]:
    """The plugins that a definition names, loaded, and what is wrong with them."""
    named = data.get("plugins")
    names = {str(k): name for k, name in enumerate(named if isinstance(named, list) else []) if isinstance(name, str)}
    try:
        return use_plugins(names.values()), []
    except UsageError:
        pass
    sound: list[str] = []
    faults: list[Fault] = []
    for index, name in names.items():
        try:
            use_plugins([*sound, name])
            sound.append(name)
        except UsageError as error:
            faults.append(located.fault(("plugins", index), str(error)))
    return use_plugins(sound), faults


def selector_faults(data: Mapping[str, Any], located: Located, sections: tuple[str, ...]) -> list[Fault]:
    """What claims and repeats name and the experiment does not have."""
    return [located.fault(problem.path, problem.message) for problem in selector_problems(data, sections)]


def _without_renamed(faults: Sequence[Fault]) -> list[Fault]:
    """The faults without those that say a field is missing where another says that it is there under another name."""
    meant = {match[1] for fault in faults if (match := re.search(r"did you mean (\w+)\?", fault.message))}
    return [f for f in faults if not (f.message.startswith("is missing") and f.field.rpartition(".")[2] in meant)]


def _without_followers(faults: Sequence[Fault]) -> list[Fault]:
    """The faults without those that a value which no cell has is selected, where a value of that axis is at fault."""
    axes = [fault.field for fault in faults if fault.field.startswith("axes.")]

    def follows(fault: Fault) -> bool:
        match = re.match(r"no cell has (\S+) ", fault.message)
        return match is not None and any(f"{axis}.".startswith(f"axes.{match[1]}.") for axis in axes)

    return [fault for fault in faults if not follows(fault)]


def _with_cure_of_base(fault: Fault, source: Source) -> Fault:
    """What stands in the base and does not fit the axes of the file over it: the file can say something else."""
    own = _file_and_line(source.located.document)[0]
    if _file_and_line(fault.where)[0] == own:
        return fault
    section = fault.field.split(".")[0]
    return replace(fault, message=f"{fault.message}; or say {section}: in {own}, [] for none")


def _file_and_line(place: str) -> tuple[str, float]:
    """A place in a file; an override, and the field of a mapping, have no line."""
    file, _, line = place.rpartition(":")
    return (file, int(line)) if line.isdecimal() and not place.startswith("override ") else (place, float("inf"))


def _rank(fault: Fault, own: str) -> tuple[bool, bool, str, float]:
    """Sort key: by line, what stands in a base after the file's own; overrides last."""
    file, line = _file_and_line(fault.where)
    return line == float("inf"), file != own, file if line < float("inf") else "", line


def _file_faults(
    data: Mapping[str, Any], located: Located, fault_of_image: FaultOfFile, fault_of_weights: FaultOfFile
) -> list[Fault]:
    """What is wrong with the images and weights files that the base, the axes, the cases and the space name."""
    faults: list[Fault] = []
    for field, value, path in _values(data):
        named = [(place, name, fault_of_image) for place, name in _images_in(field, value, path)]
        if field in ("weights", "weights.file"):
            own = ((*path, "file"), mapping(value).get("file")) if field == "weights" else (path, value)
            named.append((*own, fault_of_weights))
        for place, name, fault_of in named:
            if isinstance(name, str) and name and (sentence := fault_of(name)):
                faults.append(located.fault(place, sentence))
    return faults


def _values(data: Mapping[str, Any]) -> Iterator[tuple[str, Any, FieldPath]]:
    """Every value that a field of the transfer has somewhere, and where it stands."""
    for field, value in mapping(data.get("transfer")).items():
        yield field, value, ("transfer", field)
    for field, values in mapping(data.get("axes")).items():
        for k, value in enumerate(values if isinstance(values, list) else []):
            yield field, value, ("axes", field, str(k))
    for label, case in mapping(data.get("cases")).items():
        for field, value in mapping(case).items():
            yield field, value, ("cases", label, field)
    for field, dimension in mapping(data.get("space")).items():
        for kind in ("choice", "simplex"):
            values = mapping(dimension).get(kind)
            for k, value in enumerate(values if isinstance(values, list) else []):
                yield field, value, ("space", field, kind, str(k))


def _images_in(field: str, value: Any, path: FieldPath) -> Iterator[tuple[FieldPath, Any]]:
    """Every image that a field's value names, and where it stands."""
    first, *inner = field.split(".")
    if field in ("content", "start.file", "segmentation.content", "segmentation.style") or inner[1:] in (
        ["mask"],
        ["own_mask"],
    ):
        yield path, value
    elif field == "style" and not isinstance(value, dict):
        yield path, value
    elif field == "style":
        for image, part in value.items():
            yield (*path, image), image
            yield from _masks_in(part, (*path, image))
    elif first == "style" and len(inner) == 1:
        yield path, inner[0]
        yield from _masks_in(value, path)
    elif field == "start":
        yield (*path, "file"), mapping(value).get("file")
    elif field == "segmentation":
        yield from (((*path, side), image) for side, image in mapping(value).items())


def _masks_in(part: Any, path: FieldPath) -> Iterator[tuple[FieldPath, Any]]:
    yield from (((*path, name), mapping(part).get(name)) for name in ("mask", "own_mask"))


def _sound_base(data: Mapping[str, Any], faulty: set[str]) -> tuple[dict[str, Any] | None, list[Problem]]:
    """The transfer without its faulty fields, made valid, and the faults between fields that this showed.

    Args:
        data: the definition.
        faulty: fields of the transfer known to be wrong; those that contradict each other are added.
    """
    base = {"content": STAND_IN, "style": STAND_IN} | {
        field: value for field, value in mapping(data.get("transfer")).items() if field not in faulty
    }
    hidden: list[Problem] = []
    while True:
        try:
            Transfer.model_validate(base)
            return base, hidden
        except ValidationError as error:
            between = list(problems(error, Transfer))
            if not any(problem.involved for problem in between):
                return None, hidden
            for problem in between:
                if not faulty.intersection(problem.involved):
                    hidden.append(Problem(("transfer", *problem.path), problem.message))
                base = {field: value for field, value in base.items() if field not in problem.involved}
                faulty.update(problem.involved)


def _faulty_fields(found: Sequence[Problem]) -> set[str]:
    return {problem.path[1] for problem in found if problem.path[0] == "transfer" and len(problem.path) > 1}


def _hidden_in_experiment(data: Mapping[str, Any], found: Sequence[Problem]) -> list[Problem]:
    """What pydantic did not get to, because some field is faulty: faults between fields, in cells, in the figure."""
    faulty = _faulty_fields(found)
    base, hidden = _sound_base(data, faulty)
    if base is None:
        return hidden
    axes = {field: values for field, values in mapping(data.get("axes")).items() if isinstance(values, list) and values}
    cases = {label: case for label, case in mapping(data.get("cases")).items() if isinstance(case, dict)}
    unsound = {problem.path[0] for problem in found} & {"axes", "cases"}  # then the figure cannot be judged
    figure = {} if unsound else mapping(data.get("figure"))
    faulty -= set(axes)
    return hidden + [
        problem
        for problem in grid_problems(enumerate_cells(base, axes, cases)[1], axes, cases, figure)
        if not faulty.intersection(problem.involved)
    ]


def _hidden_in_sweep(data: Mapping[str, Any], found: Sequence[Problem]) -> list[Problem]:
    """The same for a sweep: faulty sections and dimensions make way for sound ones, and their faults do not count."""
    faulty = _faulty_fields(found)
    base, hidden = _sound_base(data, faulty)
    if base is None:
        return hidden
    sections = {problem.path[0] for problem in found} - {"transfer", "space"}
    space = mapping(data.get("space"))
    wrong = {problem.path[1] for problem in shape_problems(space)}
    stand_in = {"objectives": ["ssim"], "space": {"seed": {"integer": [0, 1]}}}
    sound = {name: value for name, value in data.items() if name in Sweep.model_fields and name not in sections}
    sound |= {"transfer": base}
    sound["space"] = {field: value for field, value in space.items() if field not in wrong} or stand_in["space"]
    try:
        Sweep.model_validate({**stand_in, **sound})
    except ValidationError as error:
        involved = (faulty | sections) - set(space)
        hidden += [problem for problem in problems(error, Sweep) if not involved.intersection(problem.involved)]
    return hidden
