"""Image files to arrays and back: whatever the file, an array is sRGB in [0, 1], upright, without transparency.

Pillow decodes (torchvision.io's decoders are deprecated), but left to itself it ignores EXIF orientation and colour
profiles, drops alpha, clips 16-bit greys to 255, and warns where a user needs a sentence. All of that is settled here.
No torch: importing this module is cheap.

What Pillow cannot give: 16-bit *colour* files arrive with 8 bits per channel (the upper ones); 16-bit greys keep all.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from harness.downloads import file_sha256
from harness.errors import ImageError, StorageError
from harness.files import write_whole

Array = NDArray[np.float32]

# Pillow's own threshold for a decompression bomb; 89 Mpx are 1 GiB as float32 RGB.
MAX_PIXELS = 89_478_485
ALLOWED = "Allowed are still images that Pillow reads, such as PNG, JPEG, TIFF and WebP"

_filters = threading.RLock()
_COLOUR_SPACES = {"RGB": "RGB ", "CMYK": "CMYK", "L": "GRAY"}


def read_image(path: str | Path) -> Array:
    """Read an image file as upright sRGB; of an animation, the first frame.

    Colour profiles are converted to sRGB (a profile made for other channels than the file's is ignored, as browsers
    do), the EXIF orientation is applied, alpha is composited over white, greys become three equal channels, 16-bit
    greys keep their precision.

    Args:
        path: the file.

    Returns:
        (H, W, 3) float32 in [0, 1].

    Raises:
        ImageError: the file is missing, unreadable, empty, damaged, too large, or no image.
    """
    path = Path(path)
    check_readable(path)
    with without_warnings():
        # Pillow warns of large images, which are refused below, and of damaged metadata beside sound pixels, which
        # is common in photographs.
        try:
            with Image.open(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise ImageError(_too_large(path, f"{image.width}×{image.height} px"))
                image.load()
                return _decode(path, image)
        except ImageError:
            raise
        except (Image.DecompressionBombError, MemoryError) as error:
            raise ImageError(_too_large(path, "more than can be read safely")) from error
        except Image.UnidentifiedImageError as error:
            raise ImageError(f"{path} is not an image, or of a kind that cannot be read. {ALLOWED}.") from error
        except Exception as error:  # a damaged file can make a decoder raise anything
            raise ImageError(
                f"{path} is damaged or cut off ({error}). Get the file again, or save it anew with an image program."
            ) from error


@contextmanager
def without_warnings() -> Iterator[None]:
    """Without any warning; one thread at a time, since each puts back the process's filters as it found them."""
    with _filters, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def check_readable(path: Path) -> None:
    """Raise an ImageError unless ``path`` is a file with something in it that this process may read."""
    try:
        if path.is_dir():
            raise ImageError(f"{path} is a folder; an image file is needed.")
        if not path.exists():
            raise ImageError(f"{path} does not exist. Give the path of an image file.")
        if not path.is_file():
            raise ImageError(f"{path} is neither a file nor a folder; an image file is needed.")
        with path.open("rb") as file:
            if not file.read(1):
                raise ImageError(f"{path} is empty. {ALLOWED}; get the file again.")
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{path} cannot be read ({reason}). Check the path and the permissions.") from error


def image_hash(path: str | Path) -> str:
    """SHA-256 of a file's content, 64 hex digits: what stands for the image in a run's id."""
    path = Path(path)
    check_readable(path)
    return file_sha256(path)


def png_bytes(image: NDArray[Any]) -> bytes:
    """Encode an image as an 8-bit PNG; equal images give equal bytes (under the same Pillow).

    Args:
        image: (H, W, 3) floats; clamped to [0, 1], times 255, rounded to the nearest integer, halves to even.

    Raises:
        ValueError: another shape, or a value that is not finite.
    """
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"An image of shape (H, W, 3) is needed, not {image.shape}.")
    if not np.isfinite(image).all():
        raise ValueError("The image has values that are not finite; they cannot be written.")
    pixels = np.rint(np.clip(image.astype(np.float64), 0, 1) * 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def write_png(path: str | Path, image: NDArray[Any], survives_power_cut: bool = False) -> None:
    """Write an image as :func:`png_bytes`, whole or not at all.

    Args:
        path: the file.
        image: see :func:`png_bytes`.
        survives_power_cut: wait until it is on the disk.

    Raises:
        ValueError: see :func:`png_bytes`.
        StorageError: the folder is missing, may not be written, or is full; nothing is left behind.
    """
    content = png_bytes(image)
    try:
        write_whole(Path(path), content, survives_power_cut)
    except OSError as error:
        raise StorageError(
            f"{path} could not be written ({error.strerror or error}). Check the folder, its permissions and the disk "
            "space."
        ) from error


def _too_large(path: Path, size: str) -> str:
    limit_mpx = MAX_PIXELS // 1_000_000
    return f"{path} is too large ({size}). Allowed are {limit_mpx} million pixels; scale it down with an image program."


def _decode(path: Path, image: Image.Image) -> Array:
    """The array of an opened, loaded image."""
    photometric = getattr(image, "tag_v2", {}).get(262)
    white = 4095 if getattr(image, "tag_v2", {}).get(258) == (12,) else 65535
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I") or image.mode == "F":
        return _deep_grey(path, image, 1.0 if image.mode == "F" else white, inverted=photometric == 0)
    has_alpha = image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    profile = image.info.get("icc_profile")
    if image.mode == "La":
        image = image.convert("LA")
    if has_alpha:
        image = image.convert("RGBA")
        alpha: Array = np.asarray(image.getchannel("A"), dtype=np.float32)[..., None] / np.float32(255)
        colours: Array = np.asarray(_to_srgb(path, image.convert("RGB"), profile), dtype=np.float32) / np.float32(255)
        return colours * alpha + (np.float32(1) - alpha)
    if image.mode in ("1", "P", "HSV", "YCbCr", "RGBX"):
        image = image.convert("RGB")
    return np.asarray(_to_srgb(path, image, profile), dtype=np.float32) / np.float32(255)


def _deep_grey(path: Path, image: Image.Image, white: float, inverted: object) -> Array:
    """Greys of more than 8 bits; ImageCms has no such modes, so a profile's tone curve is taken for sRGB's."""
    values = np.asarray(image).astype(np.float64) / white
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
        raise ImageError(
            f"{path} has grey values whose white is not known ({image.mode}, {values.min() * white:g} to "
            f"{values.max() * white:g}). Allowed are 0 to {white:g}; save it with 8 or 16 bits per channel."
        )
    grey = (1 - values if inverted else values).astype(np.float32)
    if isinstance(image.info.get("transparency"), int):
        grey = np.where(np.asarray(image) == image.info["transparency"], np.float32(1), grey)
    return np.repeat(grey[..., None], 3, axis=2)


def _to_srgb(path: Path, image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB with sRGB colours. ``image`` has the mode RGB, L, CMYK or LAB."""
    srgb = ImageCms.createProfile("sRGB")
    if image.mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        return _converted(ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB"))
    if not profile:
        return image.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space
        if (source.profile.profile_description or "").startswith("sRGB"):
            return image.convert("RGB")  # nothing to convert: the pixel values stay exact
        if image.mode == "L" and space == "RGB ":
            image = image.convert("RGB")
        if _COLOUR_SPACES.get(image.mode) != space:
            # An RGB copy of a grey file, say, that kept the grey profile.
            return image.convert("RGB")
        return _converted(ImageCms.profileToProfile(image, source, srgb, outputMode="RGB"))
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        raise ImageError(
            f"{path} has a colour profile that cannot be used ({error}). Save it as sRGB with an image program."
        ) from error


def _converted(image: Image.Image | None) -> Image.Image:
    assert image is not None  # profileToProfile returns None only when it works in place
    return image
