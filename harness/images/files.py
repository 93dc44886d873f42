"""Image files to arrays and back: whatever the file, an array is sRGB in [0, 1], upright, without transparency.

``harness.images.decoding`` decodes, with ``profiles``; ``kinds`` has what is said of files that are no images.
No torch: importing this module is cheap.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.downloads import file_sha256
from harness.errors import ImageError, StorageError
from harness.files import write_whole
from harness.images.decoding import MAX_PIXELS, Array, Picture, decode, without_warnings
from harness.images.kinds import ALLOWED
from harness.odd_names import escaped

__all__ = ["MAX_PIXELS", "Picture", "check_readable", "image_hash", "png_bytes", "read_image", "read_picture",
           "without_warnings", "write_png"]  # fmt: skip


def read_image(path: str | Path) -> Array:
    """Read an image file as :func:`read_picture` does, what is transparent over white.

    Returns:
        (H, W, 3) float32 in [0, 1].

    Raises:
        ImageError: see :func:`read_picture`.
    """
    return read_picture(path).colours


def read_picture(path: str | Path) -> Picture:
    """Read an image file as upright sRGB, with its alpha; of an animation or a multi-picture file, the first.

    Colour profiles are converted to sRGB (one that cannot be used, or is made for other channels than the file's, is
    ignored, as browsers do), the EXIF orientation is applied, greys become three equal channels, 16-bit greys keep
    their precision. Beyond ``MAX_PIXELS`` the picture is reduced by a whole factor.

    Args:
        path: the file.

    Raises:
        ImageError: the file is missing, unreadable, empty, damaged, too large, a camera's raw file, or no image.
    """
    path = Path(path)
    try:
        check_readable(path)
        return decode(path)
    except ImageError as error:  # a name may hold what must not be printed
        raise ImageError(str(error).replace(str(path), escaped(str(path)))) from error


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
        image: (H, W, 3) floats, or (H, W, 4) with alpha; clamped to [0, 1], times 255, rounded to the nearest integer,
            halves to even.

    Raises:
        ValueError: another shape, or a value that is not finite.
    """
    if image.ndim != 3 or image.shape[2] not in (3, 4):
        raise ValueError(f"An image of shape (H, W, 3) or (H, W, 4) is needed, not {image.shape}.")
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
