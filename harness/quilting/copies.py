"""How much of a picture is copied from a source, seen from their pixels alone: exact comparison of 8-bit values.

Windows are told apart by numbers: equal numbers, equal pixels, in both images. A window's number comes from the pair
of numbers of two smaller windows that cover it, so that nothing is hashed and a window of any length costs log₂ steps.

Shapes: picture (H, W, 3) and source (Hs, Ws, 3), uint8.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Numbers = NDArray[np.int64]
Both = tuple[Numbers, Numbers]
"""Numbers of the windows of the picture, and of the source."""


def copied_share(picture: Bytes, source: Bytes, patch_px: int = 5, seams: NDArray[np.bool_] | None = None) -> float:
    """The share of the picture's patches that the source has, pixel for pixel.

    Args:
        picture: (H, W, 3) uint8.
        source: (Hs, Ws, 3) uint8.
        patch_px: side of the square patches, 1 to the shortest side.
        seams: (H, W), True at the pixels whose patches do not count; every patch counts when left out.

    Returns:
        0 to 1; NaN where no patch counts.

    Raises:
        ValueError: another shape or type, or patches larger than an image.
    """
    pixels = _pixels(picture, source)
    shortest = min(*picture.shape[:2], *source.shape[:2])
    if not 1 <= patch_px <= shortest:
        raise ValueError(f"Patches of {patch_px} px are not possible: these images allow 1 to {shortest} px.")
    in_picture, in_source = _windows(_transposed(_windows(pixels, patch_px)), patch_px)
    copied = np.isin(in_picture.T, in_source)
    if seams is not None:
        if seams.shape != picture.shape[:2]:
            raise ValueError(f"The seams are {seams.shape} and the picture {picture.shape[:2]}: give one per pixel.")
        beside = np.lib.stride_tricks.sliding_window_view(seams, (patch_px, patch_px)).any(axis=(2, 3))
        copied = copied[~beside]
    return float(copied.mean()) if copied.size else float("nan")


def longest_copy(picture: Bytes, source: Bytes, thickness_px: int = 5) -> int:
    """The length of the longest rectangle, lying or standing, that the source has pixel for pixel.

    Args:
        picture: (H, W, 3) uint8.
        source: (Hs, Ws, 3) uint8.
        thickness_px: its other side; a copied rectangle that is thicker contains one of this thickness.

    Returns:
        In pixels; 0 where not even ``thickness_px`` by 1 px are copied.

    Raises:
        ValueError: another shape or type, or a thickness that an image does not have.
    """
    pixels = _pixels(picture, source)
    shortest = min(*picture.shape[:2], *source.shape[:2])
    if not 1 <= thickness_px <= shortest:
        raise ValueError(f"A thickness of {thickness_px} px is not possible: these images allow 1 to {shortest} px.")
    lying = _transposed(_windows(_transposed(pixels), thickness_px))
    standing = _transposed(_windows(pixels, thickness_px))
    return max(_longest_run(lying), _longest_run(standing))


def _longest_run(numbers: Both) -> int:
    """The most neighbours in a row that the source has in a row too: by doubling, then by halving."""
    if not np.isin(*numbers).any():
        return 0
    doubled, length = [numbers], 1
    while (longer := _joined(doubled[-1], doubled[-1], length)) is not None:
        doubled.append(longer)
        length *= 2
    best = doubled.pop()
    step = length
    while doubled:
        step //= 2
        if (longer := _joined(best, doubled.pop(), length)) is not None:
            best, length = longer, length + step
    return length


def _joined(first: Both, second: Both, apart: int) -> Both | None:
    """Windows of ``first`` with those of ``second`` so far to the right; None where the two images share none."""
    if any(numbers.shape[1] <= apart for numbers in second):
        return None
    joined = _pairs(first, second, apart)
    return joined if np.isin(*joined).any() else None


def _windows(numbers: Both, length: int) -> Both:
    """Windows of this many neighbours in a row."""
    done = 1
    while done < length:
        apart = min(done, length - done)  # the last two overlap
        numbers, done = _pairs(numbers, numbers, apart), done + apart
    return numbers


def _pairs(first: Both, second: Both, apart: int) -> Both:
    """The numbers of pairs, small again."""
    pairs = [(a[:, : b.shape[1] - apart], b[:, apart:]) for a, b in zip(first, second, strict=True)]
    size = max(int(b.max()) for b in second) + 1
    codes = [a.astype(np.int64) * size + b for a, b in pairs]
    small = np.unique(np.concatenate([code.ravel() for code in codes]), return_inverse=True)[1]
    split = codes[0].size
    return small[:split].reshape(codes[0].shape), small[split:].reshape(codes[1].shape)


def _pixels(picture: Bytes, source: Bytes) -> Both:
    """A number for each pixel's colour."""
    for what, image in (("picture", picture), ("source", source)):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"The {what} is {image.dtype} of shape {image.shape}; uint8 (height, width, 3) is needed.")
    weights = np.array([65536, 256, 1])
    return picture @ weights, source @ weights


def _transposed(numbers: Both) -> Both:
    return numbers[0].T, numbers[1].T
