"""``experiment.yaml``: what a folder of runs, and each earlier grid in it, keeps of what was asked for.

It is a file like others, resolved, and says by ``file`` whose runs they are: ``harness run`` of it leads back to them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

KEPT = "experiment.yaml"
"""What the file is called."""

OWNER = "file"
"""Its key for the file whose runs lie there."""

CONTENTS = "contents"
"""Its key for what the images, weights files and plugins held: the beginning of a SHA-256, by their names."""

EARLIER = "earlier"
"""Folder, in an experiment's, of what was asked for before."""

SOURCES = "sources"
"""Folder, in an experiment's, of the images at the sizes of its pictures, and of its plugins' files."""


def kept_plugin(home: Path, name: str, sha256: str) -> Path:
    """Where an experiment's folder keeps a plugin's file as it was, whatever the file says now."""
    return home / SOURCES / f"{Path(name).stem}-{sha256[:8]}.py"


def owner_of(path: Path, data: Mapping[str, Any]) -> Path | None:
    """The file whose runs lie where an ``experiment.yaml`` does; None of any other file."""
    owner = data.get(OWNER)
    return Path(owner) if path.name == KEPT and isinstance(owner, str) and owner else None


def where_it_is(path: Path) -> Path:
    """The file; of an earlier grid that has become the folder's own again that one, so that its command goes on."""
    if path.name != KEPT or path.exists() or path.absolute().parents[1].name != EARLIER:
        return path
    own = path.parents[2] / KEPT
    is_it = own.is_file() and hashlib.sha256(own.read_bytes()).hexdigest().startswith(path.parent.name)
    return own if is_it else path


def home_of(path: Path) -> Path:
    """The experiment's folder in which an ``experiment.yaml`` is kept, an earlier grid's too; short where it can be."""
    folder = path.absolute().parent
    home = folder.parents[1] if folder.parent.name == EARLIER else folder
    return home if path.is_absolute() else Path(os.path.relpath(home))
