"""Photographs and paintings named together, as an axis: a folder, or a pattern such as ``photos/*.jpg``."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Any

from harness.config.places import Located
from harness.config.varied import STAND_IN
from harness.errors import Fault
from harness.odd_names import escaped

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif", ".heic", ".heif")
"""Of the files that are taken for images where none is named by itself; whatever Pillow reads is one."""

OF_IMAGES = ("content", "style")
"""The axes that may be given so."""


def expand_axes(data: dict[str, Any], located: Located) -> list[Fault]:
    """Put the sorted files in the place of a folder, or of a pattern, that an axis of images is.

    Args:
        data: an experiment as plain data; changed in place.
        located: where its fields stand.

    Returns:
        A fault for every axis without a file, in whose place a stand-in is left.
    """
    faults: list[Fault] = []
    for field in OF_IMAGES:
        axes = data.get("axes")
        if not isinstance(axes, dict):
            continue
        if isinstance(given := axes.get(field), list):
            data["axes"] = {**axes, field: [escaped(name) if isinstance(name, str) else name for name in given]}
        if not isinstance(given, str) or not _is_several(given):
            continue
        try:
            found = _images(given)
        except (OSError, ValueError):  # a folder that may not be read, a null byte
            found = []
        if not found:
            faults.append(located.fault(("axes", field), _none(given)))
        data["axes"] = {**axes, field: found or [STAND_IN]}
    return faults


def _is_several(given: str) -> bool:
    return glob.has_magic(given) or given.endswith("/") or os.path.isdir(os.path.expanduser(given))


def _images(given: str) -> list[str]:
    """The image files of a folder or a pattern, sorted, as paths from the working directory."""
    path = os.path.expanduser(given)
    pattern = os.path.join(glob.escape(path), "*") if os.path.isdir(path) else path
    names = glob.glob(pattern, recursive=True)
    found = sorted(name for name in names if Path(name).suffix.lower() in IMAGE_SUFFIXES and Path(name).is_file())
    return [escaped(name) for name in found]


def _none(given: str) -> str:
    kinds = ", ".join(IMAGE_SUFFIXES)
    if os.path.isdir(os.path.expanduser(given)):
        return f"there is no image file in the folder {given!r} ({kinds} are images)"
    if glob.has_magic(given):
        return f"no image file matches {given!r} (from {Path.cwd()}; {kinds} are images)"
    return f"there is no folder {given!r} (from {Path.cwd()})"
