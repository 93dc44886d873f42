"""What a file's numbers mean as colours: ICC profiles, a PNG's gamma, and sRGB's own curve (IEC 61966-2-1).

A profile is applied by what it does, whatever it calls itself; one that cannot be used is ignored, as browsers do.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

_SRGB_LEVELS = 4
"""8-bit levels by which a profile that calls itself sRGB may differ from it and be taken at its word."""

_DISPLAY_GAMMA, _GAMMA_TOLERANCE = 1 / 2.2, 0.05
_COLOUR_SPACES = {"RGB": "RGB ", "CMYK": "CMYK", "L": "GRAY"}


def tone_curve(profile: bytes | None) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """What greys in [0, 1] are in sRGB under a profile, as knots between which it is straight; None for sRGB's own.

    ImageCms gives 8-bit levels: one that several greys share stands at their middle, so that no two become the same.
    """
    if not profile:
        return None
    greys = np.arange(256, dtype=np.uint8)[None]
    levels = np.asarray(to_srgb(Image.fromarray(greys), profile)[0], dtype=np.int64)[0, :, 0]
    if np.abs(levels - greys[0]).max() <= _SRGB_LEVELS:
        return None
    values, which = np.unique(levels, return_inverse=True)
    places = np.bincount(which, greys[0]) / np.bincount(which)
    places[0], places[-1] = 0, 255
    return places / 255, values / 255


def gamma_of(image: Image.Image) -> float | None:
    """The exponent of a PNG's gAMA chunk, where it alone says how values are meant and differs from a display's."""
    gamma = image.info.get("gamma")
    if image.format != "PNG" or not isinstance(gamma, float) or {"icc_profile", "srgb"} & image.info.keys():
        return None
    return gamma if gamma > 0.1 and abs(gamma - _DISPLAY_GAMMA) > _GAMMA_TOLERANCE else None


def encoded(light: NDArray[np.float64]) -> NDArray[np.float32]:
    """Linear light in [0, 1] as sRGB, IEC 61966-2-1."""
    values = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    single: NDArray[np.float32] = values.astype(np.float32)
    return single


def to_srgb(image: Image.Image, profile: bytes | None, is_of_alpha: bool = False) -> tuple[Image.Image, str, bool]:
    """Convert to RGB with sRGB colours.

    Args:
        image: of the mode RGB, L, CMYK or LAB.
        profile: its ICC profile.
        is_of_alpha: whether the file has alpha beside it.

    Returns:
        The image; a clause that says why the profile was ignored, or an empty one; and whether it was applied where
        earlier versions of the harness did not.
    """
    srgb = ImageCms.createProfile("sRGB")
    if image.mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        return _converted(image, lab, srgb), "", False
    if not profile:
        return image.convert("RGB"), "", False
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space
        is_called_srgb = (source.profile.profile_description or "").startswith("sRGB")
        is_grey_with_alpha = is_of_alpha and image.mode == "L" and space == "GRAY"
        if image.mode == "L" and space == "RGB ":
            image = image.convert("RGB")
        if _COLOUR_SPACES.get(image.mode) != space:  # an RGB copy of a grey file, say, that kept the grey profile
            return image.convert("RGB"), "its colour profile is for other channels than it has and is ignored", False
        if is_called_srgb and _is_nearly(source, srgb, image.mode):
            return image.convert("RGB"), "", False  # nothing to convert: the pixel values stay exact
        return _converted(image, source, srgb), "", is_called_srgb or is_grey_with_alpha
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image.convert("RGB"), "its colour profile cannot be used and is ignored", False


def _is_nearly(source: Any, srgb: Any, mode: str) -> bool:
    """Whether a profile does hardly anything to colours from all over the cube."""
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    probe = Image.fromarray(np.ascontiguousarray(cube[..., 0] if mode == "L" else cube))
    off = np.asarray(_converted(probe, source, srgb), dtype=np.int16) - np.asarray(probe.convert("RGB"), dtype=np.int16)
    return bool(np.abs(off).max() <= _SRGB_LEVELS)


def _converted(image: Image.Image, source: Any, srgb: Any) -> Image.Image:
    converted = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
    assert converted is not None  # only where it works in place
    return converted
