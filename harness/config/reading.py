"""From a path to the data of an experiment's or a sweep's file, if it is one at all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from harness.config.located import Located
from harness.config.overrides import EXPERIMENT_SECTIONS, SWEEP_ONLY
from harness.config.yaml_source import parse_document
from harness.errors import ConfigError, Fault

MAX_BYTES = 1_000_000
"""A configuration is a few kilobytes; anything much larger is another kind of file."""


@dataclass(frozen=True)
class Source:
    """A file that was read.

    Attributes:
        path: the file.
        data: what it says.
        located: where each value stands.
        faults: what is wrong with it as YAML.
        sections: those that overrides may change.
    """

    path: Path
    data: dict[str, Any]
    located: Located
    faults: tuple[Fault, ...]
    sections: tuple[str, ...] = EXPERIMENT_SECTIONS

    @property
    def is_sweep(self) -> bool:
        """Whether it has anything that only sweeps have."""
        return any(key in self.data for key in SWEEP_ONLY)


def read_source(path: Path) -> Source:
    """Read the file of an experiment or a sweep.

    Raises:
        ConfigError: there is no such file, it is not YAML, or not a mapping.
    """
    text = _text(path)
    data, located, faults = parse_document(text, str(path))
    if not re.fullmatch(r"[A-Za-z0-9_-]+", path.stem) or path.suffix not in (".yaml", ".yml"):
        sentence = f"{path.name!r} names the folder of its runs too: letters, digits, _ and -, then .yaml, are allowed"
        faults.append(Fault(str(path), "", sentence))
    if data is None and not faults:
        faults.append(Fault(str(path), "", "is empty; an experiment needs transfer: {content: …, style: …}"))
    elif data is not None and not isinstance(data, dict):
        faults.append(Fault(located.document, "", "a mapping that begins with transfer: is expected, not this"))
    if not isinstance(data, dict):
        raise ConfigError(faults)
    return Source(path, data, located, tuple(faults))


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
