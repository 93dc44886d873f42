"""Masks and segmentations: which part of a picture takes its style from which part of a painting.

A mask is (H, W) float32 in [0, 1], 1 inside: the guidance channel T of Gatys et al. 2017, "Controlling Perceptual
Factors in Neural Style Transfer", section 4. A segmentation is a picture of labels, one colour per region, made for the
content and for the style image with the same colours, as in Luan et al. 2017, "Deep Photo Style Transfer".

Label images are hardly ever exact: edges are antialiased, JPEG adds noise. A region's colour is therefore one that is
seen in flat places, and what is not flat belongs to the flat place next to it. Lengths are pixels, colours 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from harness.errors import ImageError
from harness.images.colour import luminance
from harness.images.files import MAX_PIXELS, read_image, read_picture
from harness.images.resize import to_tensor

MAX_REGIONS = 32

# Colours are 8-bit levels. A place is flat when its 3 × 3 pixels differ by at most this in every channel.
_FLAT = 12
# Flat colours no further apart than this in every channel are one region's.
_SAME = 48
# A region's flat places cover at least this share of an image: an eye in a portrait has 0.2 %.
_NOTICEABLE = 0.0005
# This share of a segmentation is within so many levels of its regions' colours: 0.96 and more, JPEGs 0.86; photographs
# with 32 colours 0.66 and less.
_LEAST_EXACT = 0.75
_EXACT = 8
# A mask may differ from its image by this factor in width : height; sizes are often a pixel off.
_PROPORTIONS = 1.05

_NAMES = {
    (0, 0, 0): "black",
    (255, 255, 255): "white",
    (255, 0, 0): "red",
    (0, 255, 0): "green",
    (0, 0, 255): "blue",
    (255, 255, 0): "yellow",
    (0, 255, 255): "cyan",
    (255, 0, 255): "magenta",
}

_Bytes = NDArray[np.uint8]
_Integers = NDArray[np.int64]
_Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Region:
    """One region of a content image and its counterpart in the style image.

    Attributes:
        name: its colour in the segmentation: ``blue``, ``#8000ff``.
        mask: (H, W), where it is in the content image.
        own_mask: (H_s, W_s), where it is in the style image; None when it is not there, so that all of the style
            image is taken for it (Luan et al. 2017 call such a label an orphan).
        share: of the content image's area, above 0, at most 1.
    """

    name: str
    mask: Tensor
    own_mask: Tensor | None
    share: float


def read_mask(path: str | Path) -> Tensor:
    """Read a mask file: white is inside, black and transparent outside, greys between; of colours, the luminance.

    Args:
        path: an image file.

    Returns:
        (H, W) float32 in [0, 1], at the file's size.

    Raises:
        ImageError: see :func:`harness.images.files.read_picture`; or the mask selects nothing.
    """
    path = Path(path)
    picture = read_picture(path)
    mask = luminance(to_tensor(picture.colours))[0]
    if picture.alpha is not None:  # the colours are over white, which would be inside
        mask = mask - (1 - torch.from_numpy(picture.alpha))
    mask = mask.clamp(0, 1)
    if mask.max() < 1 / 255:
        raise ImageError(
            f"The mask {path} is black everywhere, so it selects nothing. Paint what is to be inside white, what is "
            "outside black."
        )
    return mask


def check_mask(path: str | Path, size: tuple[int, int] | None = None) -> None:
    """Find the faults of a mask before it is needed.

    Args:
        path: an image file.
        size: (H, W) of the image it belongs to; the mask may be smaller or larger, with the same proportions.

    Raises:
        ImageError: see :func:`read_mask`; or the proportions are not the image's.
    """
    _check_proportions("mask", Path(path), tuple(read_mask(path).shape), size)


def resize_mask(mask: Tensor, height: int, width: int) -> Tensor:
    """Resample linearly, over the area of a target pixel when shrinking.

    Masks that sum to 1 everywhere still do, up to rounding.

    Args:
        mask: (H, W) in [0, 1].
        height: ≥ 1, in pixels.
        width: ≥ 1, in pixels.

    Returns:
        (height, width) in [0, 1]; the mask itself when it has that size already.

    Raises:
        ImageError: the size is below one pixel or above what is allowed.
    """
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise ImageError(
            f"A mask of {width}×{height} px (width × height) is not possible: each side needs at least 1 px, and at "
            f"most {MAX_PIXELS // 1_000_000} million pixels are allowed. Ask for another size."
        )
    if mask.shape == (height, width):
        return mask
    resized = functional.interpolate(
        mask[None, None], size=(height, width), mode="bilinear", align_corners=False, antialias=True
    )
    return resized[0, 0].clamp(0, 1)


def read_regions(
    content_segmentation: str | Path,
    style_segmentation: str | Path,
    content_size: tuple[int, int],
    style_size: tuple[int, int],
) -> list[Region]:
    """Read two segmentations and pair their regions by colour.

    A colour that only the style image's segmentation has is of no use and makes no region.

    Args:
        content_segmentation: an image file; its size need not be the content image's.
        style_segmentation: an image file.
        content_size: (H, W) of the masks, in pixels.
        style_size: (H_s, W_s) of the own masks, in pixels.

    Returns:
        The content's regions, the largest first; their masks sum to 1 everywhere.

    Raises:
        ImageError: a file that cannot be read; no segmentation (more than ``MAX_REGIONS`` colours, or hardly a flat
            place); no colour that both have.
    """
    palette, content, style = _read_both(Path(content_segmentation), Path(style_segmentation))
    content_labels, style_labels = _labels(content, palette), _labels(style, palette)
    regions = []
    for label, colour in enumerate(palette):
        mask, own_mask = (torch.from_numpy(labels == label) for labels in (content_labels, style_labels))
        if mask.any():
            regions.append(
                Region(
                    name=_name(colour),
                    mask=resize_mask(mask.float(), *content_size),
                    own_mask=resize_mask(own_mask.float(), *style_size) if own_mask.any() else None,
                    share=mask.double().mean().item(),
                )
            )
    return sorted(regions, key=lambda region: (-region.share, region.name))


def check_regions(
    content_segmentation: str | Path,
    style_segmentation: str | Path,
    content_size: tuple[int, int] | None = None,
    style_size: tuple[int, int] | None = None,
) -> None:
    """Find the faults of two segmentations before they are needed.

    Args:
        content_segmentation: an image file.
        style_segmentation: an image file.
        content_size: (H, W) of the content image; its segmentation may have another size, with the same proportions.
        style_size: (H_s, W_s) of the style image, likewise.

    Raises:
        ImageError: see :func:`read_regions`; or the proportions are not the image's.
    """
    _, content, style = _read_both(Path(content_segmentation), Path(style_segmentation))
    _check_proportions("segmentation", Path(content_segmentation), content.pixels.shape[:2], content_size)
    _check_proportions("segmentation", Path(style_segmentation), style.pixels.shape[:2], style_size)


@dataclass(frozen=True)
class _Segmentation:
    """One label image: its pixels (H, W, 3), which of the palette's colours it has, and where it surely shows them."""

    pixels: _Bytes
    here: _Flags
    sure: _Integers


def _read_both(content: Path, style: Path) -> tuple[_Bytes, _Segmentation, _Segmentation]:
    """The palette of two segmentations, (N, 3), and the two."""
    paths = content, style
    images = [np.rint(read_image(path) * 255).astype(np.uint8) for path in paths]
    palette, present = _palette(images)
    if len(palette) > MAX_REGIONS:
        worse = content if present[0].sum() >= present[1].sum() else style
        raise ImageError(_no_segmentation(worse, f"it has more than {MAX_REGIONS} colours"))
    both = [
        _Segmentation(image, here, _sure(path, image, palette, here))
        for path, image, here in zip(paths, images, present, strict=True)
    ]
    if not (present[0] & present[1]).any():
        raise ImageError(
            f"The segmentations {content} and {style} have no colour in common, so no region of the one has its "
            "counterpart in the other. Paint what belongs together in the same colour."
        )
    return palette, both[0], both[1]


def _palette(images: list[_Bytes]) -> tuple[_Bytes, list[_Flags]]:
    """The colours of regions, the most common first, and which of them are in which image.

    The most common flat colour takes all flat colours that are the same as it; then the most common of the rest, until
    none is left or there are too many.
    """
    packed = [image[_is_flat(image)].astype(np.int64) @ np.array([1 << 16, 1 << 8, 1]) for image in images]
    codes, which = np.unique(np.concatenate(packed), return_inverse=True)
    colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
    counts = [np.bincount(part, minlength=len(codes)) for part in np.split(which, [len(packed[0])])]
    shares = np.stack([count * 3 / image.size for count, image in zip(counts, images, strict=True)])
    palette: list[_Integers] = []
    present: list[_Flags] = []
    while len(colours) and len(palette) <= MAX_REGIONS:
        colour = colours[shares.sum(axis=0).argmax()]
        same = np.abs(colours - colour).max(axis=1) <= _SAME
        noticeable = shares[:, same].sum(axis=1) >= _NOTICEABLE
        if noticeable.any():
            palette.append(colour)
            present.append(noticeable)
        colours, shares = colours[~same], shares[:, ~same]
    return np.array(palette, dtype=np.uint8), list(np.array(present, dtype=np.bool_).reshape(-1, 2).T)


def _is_flat(image: _Bytes) -> _Flags:
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1).float()
    spread = functional.max_pool2d(pixels, 3, 1, 1) + functional.max_pool2d(-pixels, 3, 1, 1)
    return np.asarray(spread.amax(dim=0) <= _FLAT)


def _sure(path: Path, image: _Bytes, palette: _Bytes, here: _Flags) -> _Integers:
    """The label of every pixel that shows one of the palette's colours that are here, (H, W); −1 at the others.

    A flat place shows the nearest colour if it is the same as it, any pixel if it is no further off than flat places
    vary.
    """
    if not here.any():
        raise ImageError(_no_segmentation(path, "it has no flat area"))
    labels, least = np.zeros(image.shape[:2], dtype=np.int64), np.full(image.shape[:2], np.inf)
    for label in np.flatnonzero(here):
        distance = _squares(image, palette[label])
        labels[distance < least] = label
        least = np.minimum(least, distance)
    off = np.abs(image.astype(np.int16) - palette[labels]).max(axis=-1)
    if (off <= _EXACT).mean() < _LEAST_EXACT:
        raise ImageError(_no_segmentation(path, "much of it is of no region's colour"))
    labels[off > np.where(_is_flat(image), _SAME, _FLAT)] = -1
    return labels


def _labels(segmentation: _Segmentation, palette: _Bytes) -> _Integers:
    """The region of every pixel, (H, W): of those that reach an unsure pixel first, the one nearest in colour."""
    labels = np.pad(segmentation.sure, 1, constant_values=-1)
    unsure = np.argwhere(labels[1:-1, 1:-1] < 0)
    while len(unsure):
        rows, columns = unsure.T
        colours = segmentation.pixels[rows, columns]
        taken, least = np.full(len(unsure), -1), np.full(len(unsure), np.inf)
        for down in range(3):
            for across in range(3):
                neighbour = labels[rows + down, columns + across]
                distance = np.where(neighbour < 0, np.inf, _squares(colours, palette[neighbour]))
                nearer = distance < least
                taken[nearer], least[nearer] = neighbour[nearer], distance[nearer]
        labels[rows + 1, columns + 1] = taken
        unsure = unsure[taken < 0]
    return labels[1:-1, 1:-1]


def _squares(colours: _Bytes, others: _Bytes) -> _Integers:
    difference = colours.astype(np.int64) - others
    squares: _Integers = (difference * difference).sum(axis=-1)
    return squares


def _name(colour: _Bytes) -> str:
    """A pure colour's name when it is near one, else its hexadecimal code; names of a palette differ."""
    for pure, name in _NAMES.items():
        if np.abs(colour.astype(np.int64) - pure).max() <= _SAME // 2:
            return name
    red, green, blue = colour.tolist()
    return f"#{red:02x}{green:02x}{blue:02x}"


def _check_proportions(what: str, path: Path, size: tuple[int, ...], wanted: tuple[int, int] | None) -> None:
    if wanted is None:
        return
    factor = (size[1] * wanted[0]) / (size[0] * wanted[1])
    if not 1 / _PROPORTIONS <= factor <= _PROPORTIONS:
        raise ImageError(
            f"The {what} {path} is {size[1]}×{size[0]} px (width × height), its image {wanted[1]}×{wanted[0]} px: the "
            "proportions differ. Crop or draw it to the image's; the size itself may differ."
        )


def _no_segmentation(path: Path, reason: str) -> str:
    return (
        f"{path} is no segmentation: {reason}. Needed is an image with one flat colour per region, at most "
        f"{MAX_REGIONS}; a photograph will not do."
    )
