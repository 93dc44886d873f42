"""``harness fetch``: download images and networks, with progress, checked by hash."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

from rich.console import Console

from harness.cli.bars import downloading
from harness.cli.console import make_console
from harness.config.commands import harness_command
from harness.downloads import cache_folder
from harness.errors import DownloadError, HarnessError, UsageError
from harness.features.registry import fetch_vgg16
from harness.features.sources import NAMES, NamedSource, describe, fetch
from harness.images.catalogue import PAPER, NamedImage
from harness.images.library import fetch_images

FETCHED = tuple(name for name in NAMES if name != "embedded")
IMAGES = tuple(image.name for image in PAPER)

_Name = TypeVar("_Name", bound=str)


def fetch_downloads(what: Literal["images", "weights", "all"], names: Sequence[str], given: Path | None) -> None:
    """Download the paper's images and full-width networks into the cache.

    Args:
        what: which kind.
        names: which of that kind; all when empty.
        given: a copy of the file that vgg16 is taken from.

    Raises:
        UsageError: a name that is not one of them, or ``given`` with anything but vgg16; or all that failed are of this
            kind.
        DownloadError: naming everything that could not be had; what could is kept.
    """
    images, networks = _wanted(what, names)
    if given is not None and (what != "weights" or networks != ("vgg16",)):
        raise UsageError("--from gives the file of vgg16 alone: harness fetch weights vgg16 --from FILE.")
    console = make_console()
    failed: list[HarnessError] = []
    with downloading(console) as advance:

        def of_image(image: NamedImage, num_bytes: int, total: int | None) -> None:
            advance(image.name, num_bytes, total)

        def fetch_image(name: str) -> str:
            return str(fetch_images([name], on_bytes=of_image)[0])

        def fetch_network(name: NamedSource) -> str:
            told = partial(advance, name)
            path = fetch_vgg16(told, given) if given is not None else fetch(name, told).path
            return f"{describe(name)}: {path}"

        for image in images:
            _attempt(console, failed, fetch_image, image)
        for network in networks:
            _attempt(console, failed, fetch_network, network)
    if failed:
        kind = UsageError if all(isinstance(error, UsageError) for error in failed) else DownloadError
        raise kind("\n".join(str(error) for error in failed))
    console.print(f"Everything is in {cache_folder()}.", soft_wrap=True)
    profile = "vgg16" if networks == ("vgg16",) else "paper"
    console.print(f"Next: {harness_command('run', 'relative_weight', profile=profile)}", soft_wrap=True)


def _attempt(console: Console, failed: list[HarnessError], fetch_one: Callable[[_Name], str], name: _Name) -> None:
    """Fetch one thing and say where it is; a failure is kept for the end, so that the others are tried."""
    try:
        console.print(f"have {fetch_one(name)}", soft_wrap=True, markup=False)
    except HarnessError as error:
        failed.append(error)


def _wanted(what: str, names: Sequence[str]) -> tuple[tuple[str, ...], tuple[NamedSource, ...]]:
    """Names of images and of networks, each once."""
    if what == "all":
        if names:
            raise UsageError(
                f"Say of what kind {names[0]} is: harness fetch images NAME or harness fetch weights NAME."
            )
        return IMAGES, FETCHED
    known: Sequence[str] = IMAGES if what == "images" else FETCHED
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name.lower(), known, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise UsageError(f"There are no {what} named {name!r} to fetch.{hint} Allowed are {', '.join(known)}.")
    if what == "images":
        return tuple(name for name in IMAGES if not names or name in names), ()
    return (), tuple(name for name in FETCHED if not names or name in names)
