"""From a name or path, as a YAML file says it, to an image file that is there."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path

from harness.config.image_files import IMAGE_SUFFIXES
from harness.downloads import cache_folder, download, has_hash
from harness.errors import ImageError
from harness.files import nearest_file
from harness.images.catalogue import DRAWN, MASKS, PAPER, PHOTOGRAPHS, TEXTURES, NamedImage
from harness.images.files import read_image
from harness.odd_names import unescaped

_BY_NAME = {image.name: image for image in (*PHOTOGRAPHS, *TEXTURES, *DRAWN, *MASKS, *PAPER)}
_OWN = ("drawn", "mask")  # the kinds whose files lie in drawn/


def list_images() -> tuple[NamedImage, ...]:
    """Every image with a name: photographs, textures, drawn styles, masks, the paper's; in this order."""
    return tuple(_BY_NAME.values())


def image_file(image: NamedImage) -> Path:
    """Where a named image's file is, or will be once it is downloaded."""
    if image.kind == "paper":
        return cache_folder() / "images" / image.file
    if image.kind in _OWN:
        return Path(__file__).parent / "drawn" / image.file
    # The file inside the wheel: importing skimage.data would take half a second and may ask the network.
    spec = find_spec("skimage")
    folders = spec.submodule_search_locations if spec and spec.submodule_search_locations else ["skimage"]
    return Path(next(iter(folders))) / "data" / image.file


def find_image(name_or_path: str | Path, relative_to: str | Path | None = None) -> Path:
    """Find an image file by path or by name; a file that is there comes before a name.

    Args:
        name_or_path: a path (``~`` is expanded; odd characters may be escaped: ``harness.odd_names``) or a name
            of :func:`list_images`.
        relative_to: the folder of the file that says it, tried after the working folder.

    Returns:
        The path of a file, not yet read. A paper image is returned only while its file has the right hash.

    Raises:
        ImageError: neither, or an image that is not downloaded yet.
    """
    given = Path(name_or_path)
    try:
        given = given.expanduser()
    except RuntimeError:  # ~somebody who has no home here
        pass
    places = [given] + ([Path(relative_to) / given] if relative_to is not None and not given.is_absolute() else [])
    for place in (*places, *(Path(unescaped(str(place))) for place in places)):
        if _is(Path.is_file, place):
            return place
    named = _BY_NAME.get(str(name_or_path))
    if named is None:
        raise ImageError(_unknown(str(name_or_path), places))
    path = image_file(named)
    if named.kind == "paper" and not has_hash(path, named.sha256):
        raise ImageError(
            f"{named.name} ({named.author}, {named.title}) is not downloaded yet. Run `harness fetch images`, "
            f"or take the bundled image {named.stand_in} instead."
        )
    if not path.is_file():
        raise ImageError(
            f"The bundled image {named.name} is missing ({path}). Install "
            f"{'the harness' if named.kind in _OWN else 'scikit-image'} again, or give an image by its path."
        )
    return path


def fetch_images(
    names: Iterable[str] | None = None, on_bytes: Callable[[NamedImage, int, int | None], None] | None = None
) -> list[Path]:
    """Download the paper's images into the cache; those that are there with the right hash are left alone.

    Args:
        names: which; all of the paper's when left out.
        on_bytes: called with the image, its bytes so far and its bytes in all (None when not known).

    Returns:
        Their files, in the order of ``names``.

    Raises:
        ImageError: a name that is not one of the paper's.
        DownloadError: see :func:`harness.downloads.download`.
    """
    paper = {image.name: image for image in PAPER}
    wanted = list(paper if names is None else names)
    for name in wanted:
        if name not in paper:
            raise ImageError(f"{name} is not an image to download. Allowed are {', '.join(paper)}.")
    return [_fetch(paper[name], on_bytes) for name in wanted]


def _fetch(image: NamedImage, on_bytes: Callable[[NamedImage, int, int | None], None] | None) -> Path:
    def told(num_bytes: int, total: int | None) -> None:
        if on_bytes:
            on_bytes(image, num_bytes, total)

    return download(image.source, image.sha256, image_file(image), told)


def _is(what: Callable[[Path], bool], path: Path) -> bool:
    try:
        return what(path)
    except (OSError, ValueError):  # a name too long, a null byte, a folder without permission
        return False


def _unknown(given: str, places: list[Path]) -> str:
    names = list(_BY_NAME)
    shown = repr(given if len(given) <= 200 else given[:200] + "…")
    is_folder = bool(given) and any(_is(Path.is_dir, place) for place in places)
    what = f"{shown} is a folder, not an image" if is_folder else f"There is no image {shown}"
    beside = next(filter(None, (nearest_file(place, IMAGE_SUFFIXES) for place in places)), None)
    nearest = difflib.get_close_matches(Path(given).stem.lower().replace("-", "_").replace(" ", "_"), names, n=3)
    meant = beside or " or ".join(nearest)
    hint = f" Did you mean {meant}?" if meant else ""
    folders = " or ".join(str(place.absolute().parent) for place in places)
    listed = "Give an image file, or a name: harness fields images lists the bundled ones."
    return f"{what} (looked in {folders}).{hint} {listed}"


def fault_of_image(name_or_path: str) -> str | None:
    """The sentence about an image that cannot be found or read; None for a good one."""
    try:
        read_image(find_image(name_or_path))
    except ImageError as error:
        return str(error)
    return None
