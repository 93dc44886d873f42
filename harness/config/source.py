"""From a path to the data of an experiment's or a sweep's file, if it is one at all, laid over the base it names.

``base: other.yaml`` is relative to the file's own folder; ``base: relative_weight`` is one that comes with the harness.
"""

from __future__ import annotations

import codecs
import os
import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from harness.config.kept import CONTENTS, OWNER, owner_of
from harness.config.overrides import (
    EXPERIMENT_ONLY,
    EXPERIMENT_SECTIONS,
    SWEEP_ONLY,
    forget_gone,
    lay_over,
    mapping,
    varies,
)
from harness.config.places import Located
from harness.config.sentences import shown
from harness.config.shipped import shipped, unknown_shipped
from harness.config.yaml_source import parse_document
from harness.errors import ConfigError, Fault

MAX_BYTES = 1_000_000
"""A configuration is a few kilobytes; anything much larger is another kind of file."""

BASE = "base"
"""What a file calls the file that it is laid over."""

NAME = r"[A-Za-z0-9_-]+"
"""Of an experiment or a sweep, and so of its folder."""


@dataclass(frozen=True)
class Source:
    """A file that was read.

    Attributes:
        path: the file.
        data: what it says.
        located: where each value stands.
        faults: what is wrong with it as YAML.
        sections: those that overrides may change.
        called: how a command names it.
        is_given: whether it is no file yet, but a mapping.
        name: of its runs' folder; empty where that is the file's.
        owner: of an ``experiment.yaml`` that a folder of runs keeps, the file whose runs they are.
        home: that folder, where the runs belong there.
    """

    path: Path
    data: dict[str, Any]
    located: Located
    faults: tuple[Fault, ...]
    sections: tuple[str, ...] = EXPERIMENT_SECTIONS
    called: str = ""
    is_given: bool = False
    name: str = ""
    owner: Path | None = None
    home: Path | None = None

    @property
    def is_sweep(self) -> bool:
        """Whether it has anything that only sweeps have."""
        return any(key in self.data for key in SWEEP_ONLY)


def read_source(path: Path, chain: tuple[Path, ...] = ()) -> Source:
    """Read the file of an experiment or a sweep, over its base if it has one.

    Args:
        path: the file.
        chain: the files of which it is the base; none for the one that was asked for.

    Raises:
        ConfigError: there is no such file, it is not YAML, or not a mapping; or that is so of its base.
    """
    text = _text(path)
    data, located, faults = parse_document(text, str(path))
    if not chain and (not re.fullmatch(NAME, path.stem) or path.suffix not in (".yaml", ".yml")):
        sentence = f"{path.name!r} names the folder of its runs too: letters, digits, _ and -, then .yaml, are allowed"
        faults.append(Fault(str(path), "", sentence))
    if data is None and not faults:
        faults.append(Fault(str(path), "", "is empty; an experiment needs transfer: {content: …, style: …}"))
    elif data is not None and not isinstance(data, dict):
        faults.append(Fault(located.document, "", "a mapping that begins with transfer: is expected, not this"))
    if not isinstance(data, dict):
        raise ConfigError(faults)
    owner = owner_of(path, data)
    if owner is not None:
        del data[OWNER]
        data.pop(CONTENTS, None)  # of what lies there; the files may be others now
    return over_base(Source(path, data, located, tuple(faults), owner=owner), path.parent, (*chain, path))


def over_base(source: Source, folder: Path, chain: tuple[Path, ...] = ()) -> Source:
    """What a file says together with what its base says; mappings are merged as a profile's are, the rest replaced.

    Of a base of the other kind (an experiment's may be a sweep) comes along what both kinds have.

    Args:
        source: the file's own.
        folder: to which the base's path is relative.
        chain: the files that lead here, this one last.

    Raises:
        ConfigError: there is no such base, it cannot be read, or it leads back to a file before it.
    """
    if BASE not in source.data:
        return source
    own = {section: value for section, value in source.data.items() if section != BASE}
    places = source.located.places
    try:
        base = read_source(_base_file(source.data[BASE], source, folder, chain), chain or (source.path,))
    except ConfigError as error:
        raise ConfigError([*source.faults, *error.faults]) from None
    data, located = base.data, base.located
    located.document = source.located.document
    for part in (data, *filter(lambda part: isinstance(part, dict), mapping(data.get("profiles")).values())):
        _leave_other_kind(part, own)
    before = varies(data)
    sections = {name: part for name, part in own.items() if name != "profiles" and (name, part) != ("transfer", None)}
    lay_over(data, located, sections, places)
    located.places |= {(section,): places[(section,)] for section in sections if (section,) in places}
    forget_gone(data, before - varies(data), mapping(own.get("figure")))
    for name, part in mapping(own.get("profiles")).items():
        profiles, here = data.setdefault("profiles", {}), ("profiles", name)
        if isinstance(part, dict) and isinstance(profiles, dict) and isinstance(profiles.get(name), dict):
            lay_over(profiles[name], located, part, places, here, here)
        elif isinstance(profiles, dict):
            profiles[name] = part
            located.adopt(here, here, places)
    if "profiles" in own and not isinstance(own["profiles"], dict):
        lay_over(data, located, {"profiles": own["profiles"]}, places)
    return replace(source, data=data, located=located, faults=(*source.faults, *base.faults))


def _base_file(named: Any, source: Source, folder: Path, chain: tuple[Path, ...]) -> Path:
    """The file that ``base:`` names.

    Raises:
        ConfigError: there is none, or it is among those before.
    """
    is_name = isinstance(named, str) and not Path(named).suffix and len(Path(named).parts) == 1
    if is_name and (folder / f"{named}.yaml").is_file():
        named, is_name = f"{named}.yaml", False
    path = Path()
    if not isinstance(named, str) or not named.strip() or "\0" in named:
        sentence = (
            f"got {shown(named)}; allowed: the path of one file, from this one's folder, or a name of a shipped one"
        )
    elif is_name and named not in shipped():
        sentence = f"{named!r} is {unknown_shipped(named)}; a file is named with its .yaml"
    else:
        path = shipped()[named] if is_name else folder / os.path.expanduser(named)
        is_circle = os.path.realpath(path) in map(os.path.realpath, chain)
        circle = f"leads in a circle: {' → '.join(map(str, (*chain, path)))}; drop it in one of them"
        missing = "" if path.is_file() else f"there is no file {path}{_nearest_file(path)}"
        sentence = circle if is_circle else missing
    if sentence:
        raise ConfigError([source.located.fault((BASE,), sentence)])
    return path


def _leave_other_kind(base: dict[str, Any], own: dict[str, Any]) -> None:
    """Take out of a base, or of a profile of it, what only the other kind has, where the file says which kind it is."""
    says_sweep, says_experiment = (
        any(own.get(section) is not None for section in only) for only in (SWEEP_ONLY, EXPERIMENT_ONLY)
    )
    if says_sweep == says_experiment:
        return
    for section in EXPERIMENT_ONLY if says_sweep else SWEEP_ONLY:
        base.pop(section, None)
    if says_sweep and isinstance(base.get("figure"), dict):
        base["figure"] = {key: value for key, value in base["figure"].items() if key == "show"}


def _text(path: Path) -> str:
    """The file's text, with a sentence for everything that keeps it from being one."""
    sentence = ""
    raw = b""
    try:
        if path.is_dir():
            inside = sorted(found.name for found in path.glob("*.yaml"))
            sentence = (
                f"is a folder; give one of its files: {', '.join(inside)}" if inside else "is a folder, not a file"
            )
        elif not path.exists():
            sentence = f"there is no such file{_nearest_file(path)}"
        elif not path.is_file():
            sentence = "is not a regular file"
        else:
            with path.open("rb") as stream:
                raw = stream.read(MAX_BYTES + 1)
            if len(raw) > MAX_BYTES:
                sentence = f"has more than {MAX_BYTES} bytes: this is not a configuration"
    except OSError as error:
        sentence = f"cannot be read: {error.strerror or error}"
    except ValueError as error:  # a null byte in the path
        sentence = f"is not a path: {error}"
    if sentence:
        raise ConfigError([Fault(str(path), "", sentence)])
    try:
        if raw[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) or b"\0" in raw[:4]:
            raise ConfigError([Fault(str(path), "", "is UTF-16 or UTF-32 text; save it as UTF-8")])
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        sentence = f"byte 0x{raw[error.start]:02x} is not UTF-8 text; is this a YAML file, saved as UTF-8?"
        raise ConfigError([Fault(f"{path}:{line}", "", sentence)]) from None


def _nearest_file(path: Path) -> str:
    """A file of a similar name beside it, or in ``experiments`` or ``sweeps``."""
    folders = dict.fromkeys((path.parent, Path("experiments"), Path("sweeps")))
    files = {found.stem: found for folder in reversed(folders) if folder.is_dir() for found in folder.glob("*.yaml")}
    close = get_close_matches(path.stem, files, n=1, cutoff=0.6)
    return f"; did you mean {files[close[0]]}?" if close else ""
