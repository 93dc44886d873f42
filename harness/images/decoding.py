"""From an image file's bytes to upright sRGB and alpha: Pillow decodes, what it leaves to its caller is settled here.

What browsers show is read: metadata that cannot be used (EXIF, a colour profile, a PNG's further chunks) is ignored,
the last rows of a file that was cut off may be missing, and each is told in words. A colour profile is applied by what
it does, whatever it calls itself. Pictures beyond ``MAX_PIXELS`` are read reduced by a whole factor.

What Pillow cannot give: 16-bit *colour* files arrive with 8 bits per channel (the upper ones); 16-bit greys keep all.
"""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from harness.errors import ImageError
from harness.images.kinds import could_install_opener, first_bytes, seek_photograph, told_if_raw, told_kind
from harness.images.profiles import encoded, gamma_of, to_srgb, tone_curve

Array = NDArray[np.float32]

MAX_PIXELS = 89_478_485
"""Of a picture as it is given on: Pillow's own threshold for a decompression bomb; 1 GiB as float32 RGB."""

MAX_DECODED_PIXELS = 6 * MAX_PIXELS
"""Of a picture in its file, which is decoded whole and then reduced: 2 GB. JPEG alone can be decoded reduced."""

MAX_JPEG_PIXELS = 65_535**2
"""Of a baseline JPEG: all that the format has, at an eighth."""

_LEAST_SHARE, _BLOCK_PX = 0.8, 24
"""Of the rows that a cut-off file must have; of a JPEG so many, in which its decoder works, may always be missing."""

_LEAST_SCANS = 3
"""Of a progressive JPEG that was cut off: behind the first, of all colours at an eighth, each makes it sharper."""

_JPEG, _PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
_settings = threading.RLock()


@dataclass
class Picture:
    """An image file as it was read.

    Attributes:
        colours: (H, W, 3) float32 in [0, 1], upright sRGB; what is transparent over white.
        alpha: (H, W) float32 in [0, 1]; None where all of it is opaque.
        notes: what was ignored or is missing, each a clause that goes on behind the file's name.
        reading: why these are other values than versions of the harness without this field read; empty where they are
            the same. It enters the ids of runs.
    """

    colours: Array
    alpha: Array | None = None
    notes: list[str] = field(default_factory=list)
    reading: str = ""

    @property
    def is_grey(self) -> bool:
        """Whether red, green and blue are equal everywhere."""
        red, green, blue = np.moveaxis(self.colours, -1, 0)
        return bool(np.array_equal(red, green) and np.array_equal(green, blue))

    @property
    def range(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The lowest and the highest value of red, green and blue."""
        lowest, highest = (tuple(map(float, of(self.colours, axis=(0, 1)))) for of in (np.min, np.max))
        return lowest, highest


def decode(path: Path) -> Picture:
    """Read an image file; see :func:`harness.images.files.read_picture`.

    Raises:
        ImageError: it is no image, damaged, or too large.
    """
    head = first_bytes(path)
    with _settings_of_pillow(head, is_truncated_allowed=False):
        try:
            return _decoded(path, head)
        except ImageError:
            raise
        except (Image.DecompressionBombError, MemoryError) as error:
            raise ImageError(_too_large(path, "more than can be read safely")) from error
        except Image.UnidentifiedImageError as error:
            first: Exception = error
            if could_install_opener(head):
                return _opened_by_plugin(path, head)
        except Exception as error:  # a damaged file can make a decoder raise anything
            first = error
    with _settings_of_pillow(head, is_truncated_allowed=True):
        if (found := _as_browsers_show(path, head)) is not None:
            return found
    if isinstance(first, Image.UnidentifiedImageError):
        raise ImageError(told_kind(path, head)) from first
    raise ImageError(_damaged(path, first)) from first


@contextmanager
def without_warnings() -> Iterator[None]:
    """Without any warning; one thread at a time, since each puts back the process's filters as it found them."""
    with _settings, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _settings_of_pillow(head: bytes, is_truncated_allowed: bool) -> Iterator[None]:
    """Pillow with this module's threshold of pixels, of which it allows twice as many, and without its warnings."""
    allowed = MAX_JPEG_PIXELS if head.startswith(_JPEG) else MAX_DECODED_PIXELS
    with without_warnings():
        before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = allowed // 2, is_truncated_allowed
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = before


def _decoded(path: Path, head: bytes, notes: Sequence[str] = (), num_to_fill: int = 0) -> Picture:
    """The picture of a file; so many of its last rows, which are missing, are filled by the row above."""
    with Image.open(path) as image:
        notes = list(notes)
        reading = _prepare(path, head, image, notes)
        image.load()
        if num_to_fill:
            width, end = image.width, image.height - num_to_fill
            image.paste(image.crop((0, end - 1, width, end)).resize((width, num_to_fill)), (0, end))
        return _picture(path, image, notes, reading)


def _opened_by_plugin(path: Path, head: bytes) -> Picture:
    try:
        return _decoded(path, head)
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(_damaged(path, error)) from error


def _prepare(path: Path, head: bytes, image: Image.Image, notes: list[str]) -> str:
    """Settle which page of an opened file is read, and how far reduced; what makes its values others than before."""
    if (told := told_if_raw(path, head, image)) is not None:
        raise ImageError(told)
    is_later_page = seek_photograph(image)
    if is_later_page:
        notes.append("its first page is a smaller version of a later one, which was read")
    num_pixels, size = image.width * image.height, f"{image.width}×{image.height} px"
    is_jpeg = image.format in ("JPEG", "MPO")
    is_baseline = is_jpeg and "progressive" not in image.info
    if num_pixels > (MAX_JPEG_PIXELS if is_baseline else MAX_DECODED_PIXELS):
        raise ImageError(_too_large(path, size))
    if num_pixels > MAX_PIXELS and is_jpeg:
        power = 2 ** math.ceil(math.log2(_factor(image)))
        image.draft(None, (image.width // power, image.height // power))
    if num_pixels > MAX_PIXELS:
        notes.append(f"it has {size}, and was read smaller")
    return "page" if is_later_page else ""


def _factor(image: Image.Image) -> int:
    """By which the sides are divided so that ``MAX_PIXELS`` are left."""
    return math.ceil(math.sqrt(image.width * image.height / MAX_PIXELS))


def _as_browsers_show(path: Path, head: bytes) -> Picture | None:
    """A PNG or JPEG with damaged metadata, or without its last rows; None where too much is missing."""
    is_jpeg = head.startswith(_JPEG)
    if not is_jpeg and not head.startswith(_PNG):
        return None
    try:
        missing, height = _num_missing_rows(path, is_jpeg)
        notes = ["it has damaged parts, which were ignored"]
        if missing == height and is_jpeg and _num_scans(path) >= _LEAST_SCANS:
            notes = ["it was cut off, and is less sharp than it was"]
        elif missing > max(_BLOCK_PX * is_jpeg, (1 - _LEAST_SHARE) * height) or missing == height:
            return None
        elif missing:
            notes = [f"it was cut off: up to {missing} of its {height} rows are missing, and were filled"]
        found = _decoded(path, head, notes, 0 if is_jpeg else missing)  # libjpeg fills by itself
    except Exception:  # then what the first attempt said is told
        return None
    return found


def _num_missing_rows(path: Path, is_jpeg: bool) -> tuple[int, int]:
    """How many of the rows a decoder leaves as they were, of how many: those that depend on what was there before."""
    found = []
    for level in (0, 255):
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError("too large to look at twice")
            if is_jpeg:
                image.load_read = image.fp.read  # type: ignore[attr-defined, union-attr]  # adds no end of its own
            image.im = Image.new(image.mode, image.size, (level,) * len(image.getbands())).im
            image.load()
            found.append(np.asarray(image))
    rows = (found[0] != found[1]).reshape(len(found[0]), -1).any(axis=1)
    return int(rows.sum()), len(rows)


def _num_scans(path: Path) -> int:
    content = path.read_bytes()
    return content.count(b"\xff\xda") if b"\xff\xc2" in content else 0


def _picture(path: Path, image: Image.Image, notes: list[str], reading: str) -> Picture:
    """The picture in an opened, loaded image."""
    photometric = getattr(image, "tag_v2", {}).get(262)
    white = 4095 if getattr(image, "tag_v2", {}).get(258) == (12,) else 65535
    gamma = gamma_of(image)
    try:
        image = ImageOps.exif_transpose(image)
    except Exception:  # metadata only: the pixels are sound
        notes.append("its EXIF data cannot be read and are ignored")
    found = Picture(np.empty(0, dtype=np.float32), None, notes, reading)
    if image.mode.startswith("I") or image.mode == "F":
        _deep_grey(path, image, 1.0 if image.mode == "F" else white, photometric == 0, gamma, found)
    else:
        _eight_bits(image, gamma, found)
    if found.alpha is not None and (found.alpha == 1).all():
        found.alpha = None
    return found


def _eight_bits(image: Image.Image, gamma: float | None, found: Picture) -> None:
    has_alpha = image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    profile = image.info.get("icc_profile")
    if image.mode == "La":
        image = image.convert("LA")
    if image.mode in ("1", "P", "HSV", "YCbCr", "RGBX") and not has_alpha:
        image = image.convert("RGB")
    if has_alpha and image.mode != "LA":
        image = image.convert("RGBA")
    if image.width * image.height > MAX_PIXELS:
        image = image.reduce(_factor(image))
    alpha = image.getchannel("A") if has_alpha else None
    opaque = image if alpha is None else image.getchannel("L") if image.mode == "LA" else image.convert("RGB")
    converted, note, is_new = to_srgb(opaque, profile, has_alpha)
    found.notes += [note] if note else []
    found.reading = "profile" if is_new else found.reading
    colours: Array = np.asarray(converted, dtype=np.float32) / np.float32(255)
    if gamma is not None:
        colours, found.reading = encoded(colours.astype(np.float64) ** (1 / gamma)), "gamma"
    found.colours = colours
    if alpha is not None:
        found.alpha = np.asarray(alpha, dtype=np.float32) / np.float32(255)
        share = found.alpha[..., None]
        found.colours = colours * share + (np.float32(1) - share)


def _deep_grey(
    path: Path, image: Image.Image, white: float, inverted: bool, gamma: float | None, found: Picture
) -> None:
    """Greys of more than 8 bits; ImageCms has no such modes, so a profile's tone curve is interpolated."""
    stored = np.asarray(image)
    values = stored.astype(np.float64) / white
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
        raise ImageError(
            f"{path} has grey values whose white is not known ({image.mode}, {values.min() * white:g} to "
            f"{values.max() * white:g}). Allowed are 0 to {white:g}; save it with 8 or 16 bits per channel."
        )
    grey = 1 - values if inverted else values
    if gamma is not None:
        grey, found.reading = encoded(grey ** (1 / gamma)).astype(np.float64), "gamma"
    elif (curve := tone_curve(image.info.get("icc_profile"))) is not None:
        grey, found.reading = np.interp(grey, *curve), "profile"
    single = grey.astype(np.float32)
    if isinstance(image.info.get("transparency"), int):
        is_transparent = stored == image.info["transparency"]
        single, found.alpha = np.where(is_transparent, np.float32(1), single), (~is_transparent).astype(np.float32)
    if single.size > MAX_PIXELS:
        single = _means(single, _factor(image))
        found.alpha = None if found.alpha is None else _means(found.alpha, _factor(image))
    found.colours = np.repeat(single[..., None], 3, axis=2)


def _means(values: Array, factor: int) -> Array:
    """Means of squares of ``factor`` by ``factor``; what is left over at the right and below is cut off."""
    height, width = (side // factor for side in values.shape)
    squares = values[: height * factor, : width * factor].reshape(height, factor, width, factor)
    means: Array = squares.mean(axis=(1, 3), dtype=np.float64).astype(np.float32)
    return means


def _damaged(path: Path, error: Exception) -> str:
    return f"{path} is damaged or cut off ({error}). Get the file again, or save it anew with an image program."


def _too_large(path: Path, size: str) -> str:
    allowed = f"{MAX_DECODED_PIXELS // 1_000_000} million pixels"
    return f"{path} is too large ({size}). Allowed are {allowed}; scale it down with an image program."
