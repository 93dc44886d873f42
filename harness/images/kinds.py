"""Which kind of file it is by its first bytes: what opens it where Pillow alone does not, else what to do about it.

Raw files of cameras are told apart here too: many are TIFFs whose first page is a small preview, which Pillow would
give for the photograph.
"""

from __future__ import annotations

import contextlib
from importlib import import_module
from pathlib import Path
from typing import Any

from PIL import Image

ALLOWED = "Allowed are still images that Pillow reads, such as PNG, JPEG, TIFF and WebP"

RAW_SUFFIXES = (
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos", ".mrw",
    ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
)  # fmt: skip

_SAVE = "save it as PNG, JPEG or TIFF with an image program"
_HEIF = ("heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1")
_AVIF = ("avif", "avis")
_RAW_MAGIC = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM", b"HEAPCCDR")

_SENTENCES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\x0a", f"is a JPEG XL picture, which is not read; {_SAVE}"),
    (b"\0\0\0\x0cJXL ", f"is a JPEG XL picture, which is not read; {_SAVE}"),
    (b"%PDF", f"is a PDF document, not a picture; {_SAVE}"),
    (b"PK\x03\x04", "is a zip archive, not a picture; unpack it, and name an image in it"),
    (b"\x1f\x8b", "is a gzip archive, not a picture; unpack it, and name an image in it"),
    (b"version https://git-lfs", "is a pointer of Git LFS, not the picture itself; run `git lfs pull` where it lies"),
)
_MARKUP: tuple[tuple[bytes, str], ...] = (
    (b"<svg", f"is an SVG drawing, which has no pixels; {_SAVE} at the size you want"),
    (b"<html", "is a web page, not a picture; download the picture itself"),
    (b"<!doctype html", "is a web page, not a picture; download the picture itself"),
)

# Tags of TIFF 6.0, TIFF/EP (ISO 12234-2) and DNG.
_SUBFILE_TYPE, _PHOTOMETRIC, _SUB_IFDS, _DNG_VERSION = 254, 262, 330, 50706
_OF_SENSORS = (32803, 34892)  # colour filter array, LinearRaw


def first_bytes(path: Path) -> bytes:
    """As many as tell the kinds apart."""
    with path.open("rb") as file:
        return file.read(512)


def could_install_opener(head: bytes) -> bool:
    """Teach Pillow HEIC or AVIF where a file is of that kind and a plugin for it is installed; whether that was so."""
    for brands, module, registers in ((_HEIF, "pillow_heif", "register_heif_opener"), (_AVIF, "pillow_avif", "")):
        if _is_of(head, brands):
            with contextlib.suppress(Exception):  # not installed, or one that fails
                plugin: Any = import_module(module)
                if registers:
                    getattr(plugin, registers)()
                return True
    return False


def told_kind(path: Path, head: bytes) -> str:
    """The sentence about a file that Pillow does not know."""
    if _is_of(head, _HEIF):
        return f"{path} is a HEIC picture; `pip install pillow-heif`, or {_SAVE}."
    if _is_of(head, _AVIF):
        from PIL import features

        if "avif" in features.modules and features.check("avif"):
            return f"{path} is an AVIF picture that is damaged or cut off. Get the file again."
        return f"{path} is an AVIF picture; `pip install -U pillow` (11.3 or later reads it), or {_SAVE}."
    if head.startswith(_RAW_MAGIC) or _is_of(head, ("crx ",)):
        return _of_camera(path, "which is not read")
    if head[4:8] == b"ftyp":
        return f"{path} is a video, not a picture; {_SAVE}: one frame of it."
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    told = next((told for magic, told in _SENTENCES if head.startswith(magic)), None)
    if text.startswith(b"<"):
        told = next((sentence for mark, sentence in _MARKUP if mark in text), told)
    if told:
        return f"{path} {told}."
    return f"{path} is not an image, or of a kind that cannot be read. {ALLOWED}."


def told_if_raw(path: Path, head: bytes, image: Image.Image) -> str | None:
    """The sentence about a camera's raw file of which Pillow gives a preview; None for every other file."""
    if image.format != "TIFF":
        return None
    tags: Any = getattr(image, "tag_v2", {})
    is_raw = (
        _DNG_VERSION in tags
        or tags.get(_PHOTOMETRIC) in _OF_SENSORS
        or head[8:10] == b"CR"  # Canon's CR2
        or path.suffix.lower() in RAW_SUFFIXES
        or (_is_reduced(image) and _SUB_IFDS in tags)
    )
    return _of_camera(path, "of which only a small preview can be read") if is_raw else None


def seek_photograph(image: Image.Image) -> bool:
    """Turn to the first page of a TIFF that is not marked as a smaller version of another; whether that is a later."""
    if image.format != "TIFF" or not _is_reduced(image):
        return False
    for page in range(1, getattr(image, "n_frames", 1)):
        image.seek(page)
        if not _is_reduced(image):
            return True
    image.seek(0)
    return False


def _is_reduced(image: Image.Image) -> bool:
    tags: Any = getattr(image, "tag_v2", {})
    kind = tags.get(_SUBFILE_TYPE, 0)
    return isinstance(kind, int) and bool(kind & 1)


def _of_camera(path: Path, what: str) -> str:
    return (
        f"{path} is a camera's raw file, {what}. Develop it with a raw converter (darktable, RawTherapee, the camera "
        "maker's own), and give the TIFF or JPEG that it saves."
    )


def _is_of(head: bytes, brands: tuple[str, ...]) -> bool:
    """Whether an ISO media file (``ftyp``) is of one of these brands, its own or, for HEIC and AVIF, a compatible."""
    if head[4:8] != b"ftyp":
        return False
    own, size = head[8:12].decode("latin-1"), int.from_bytes(head[:4], "big")
    if own in ("mif1", "msf1"):  # says that it holds pictures, not which
        compatible = {head[at : at + 4].decode("latin-1") for at in range(16, min(size, len(head)), 4)}
        return not compatible.isdisjoint(brands) and (brands is not _HEIF or compatible.isdisjoint(_AVIF))
    return own in brands
