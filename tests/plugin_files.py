"""Plugins of tests: a user's file, loaded, and forgotten again when the test is over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.registries import Plugin, load_plugins
from harness.registries import registry as registries


def naming(folder: Path, *names: str) -> str:
    """The line of a YAML that names plugins of a folder."""
    return f"plugins: [{', '.join(str(folder / name) for name in names)}]\n"


def device_fails_once(mark: Path, num_calls: int) -> str:
    """A term, ``lost``, that raises what CUDA does once so many calls are behind it, and leaves a mark."""
    return f"""
from pathlib import Path
calls = []
@harness.term("lost")
def lost(images, *, content):
    calls.append(None)
    if len(calls) > {num_calls} and not Path({str(mark)!r}).exists():
        Path({str(mark)!r}).touch()
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    return images.square().mean((1, 2, 3))
"""


@contextmanager
def loaded(folder: Path, text: str, name: str = "mine.py") -> Iterator[Plugin]:
    """A plugin's file of this text, with harness and torch imported in its first two lines."""
    (folder / name).write_text(f"import harness\nimport torch\n{text}")
    (plugin,) = load_plugins([str(folder / name)])
    try:
        yield plugin
    finally:
        registries._forget(plugin)
