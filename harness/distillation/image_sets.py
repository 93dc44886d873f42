"""Which images a distillation is over: found in folders, split by their names, read into memory."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from harness.errors import ImageError, UsageError
from harness.images.files import image_hash, read_image
from harness.images.resize import resize, to_tensor

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")

HELD_OUT_OF = 20
"""One image in this many is held out, by the hash of its file name."""

SHORTER_SIDE_PX = 256
"""Of a photograph, at most: a byte a value, so that a thousand stay in memory."""

PAINTING_SIDES_PX = (512, 256)
"""Paintings are few and large: each is read at both sizes, for brush strokes of both lengths."""


def is_held_out(name: str) -> bool:
    """Whether an image is kept from training: by the SHA-256 of its file name, so that the split needs no list."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % HELD_OUT_OF == 0


def read_photograph(path: Path, shorter_side_px: int = SHORTER_SIDE_PX) -> Tensor:
    """One image as (3, H, W) uint8 with its shorter side at most that long."""
    image = to_tensor(read_image(path))
    shorter = min(image.shape[1:])
    if shorter > shorter_side_px:
        height, width = (round(side * shorter_side_px / shorter) for side in image.shape[1:])
        image = resize(image, height, width)
    return (image * 255).round().clamp(0, 255).to(torch.uint8)


def find_images(folders: Sequence[Path]) -> tuple[Path, ...]:
    """Every image in some folders, by name.

    Raises:
        ImageError: a folder that is not there or has no image.
    """
    found: list[Path] = []
    for folder in folders:
        here = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES) if folder.is_dir() else []
        if not here:
            raise ImageError(f"{folder} is not a folder with images ({', '.join(SUFFIXES)}).")
        found += here
    return tuple(found)


def held_out_of(paths: Sequence[Path]) -> tuple[Path, ...]:
    """The images that are kept from training, at least one.

    Raises:
        UsageError: there is none.
    """
    held_out = tuple(path for path in paths if is_held_out(path.name))
    if not held_out:
        raise UsageError(
            f"None of the {len(paths)} images is held out (one in {HELD_OUT_OF} is, by the hash of its file name), so "
            "nothing could be measured; give folders with a few hundred images."
        )
    return held_out


@dataclass(frozen=True)
class ImageSets:
    """The files of a distillation.

    Attributes:
        photographs: for training.
        paintings: for training.
        held_out: of both kinds, kept from training.
    """

    photographs: tuple[Path, ...]
    paintings: tuple[Path, ...]
    held_out: tuple[Path, ...]

    def sha256(self) -> str:
        """Of all training images' names and contents, in order."""
        digest = hashlib.sha256()
        for path in (*self.photographs, None, *self.paintings):
            digest.update(f"{path.name} {image_hash(path)}\n".encode() if path else b"paintings\n")
        return digest.hexdigest()


def find_image_sets(photographs: Sequence[Path], paintings: Sequence[Path]) -> ImageSets:
    """The images in folders of photographs and of paintings.

    Raises:
        ImageError: a folder that is not there or has no image.
        UsageError: no folder was given of a kind, or nothing is left for training or held out.
    """
    if not photographs or not paintings:
        raise UsageError("Distillation needs photographs and paintings: --images FOLDER --paintings FOLDER.")
    kinds = [find_images(folders) for folders in (photographs, paintings)]
    held_out = held_out_of([path for kind in kinds for path in kind])
    training = [tuple(path for path in kind if not is_held_out(path.name)) for kind in kinds]
    for name, kind in zip(("photographs", "paintings"), training, strict=True):
        if not kind:
            raise UsageError(f"All {name} are held out by the hash of their names; give more of them.")
    return ImageSets(training[0], training[1], held_out)


@dataclass(frozen=True)
class Images:
    """Training images in memory, (3, H, W) uint8 each, no side shorter than a crop's."""

    photographs: tuple[Tensor, ...]
    paintings: tuple[Tensor, ...]

    def mixed(self, seed: int) -> list[Tensor]:
        """Both kinds shuffled, the few paintings as often as makes them a fifth."""
        times = max(1, round(len(self.photographs) / (4 * len(self.paintings))))
        mixed = [*self.photographs, *self.paintings * times]
        random.Random(seed).shuffle(mixed)
        return mixed


def read_images(sets: ImageSets, side_px: int, on_image: Callable[[int, int], None]) -> Images:
    """Read the training images; those smaller than a crop are left out.

    Args:
        sets: which.
        side_px: of a crop.
        on_image: called with how many files are read, and of how many.

    Raises:
        ImageError: a file cannot be read, or all images of a kind are too small.
    """
    read: list[tuple[Tensor, ...]] = []
    done, total = 0, len(sets.photographs) + len(sets.paintings)
    for name, paths, sides in (
        ("photographs", sets.photographs, (SHORTER_SIDE_PX,)),
        ("paintings", sets.paintings, PAINTING_SIDES_PX),
    ):
        kept: list[Tensor] = []
        for path in paths:
            images = [read_photograph(path, side) for side in sides]
            kept += [image for image in images if min(image.shape[1:]) >= side_px]
            done += 1
            on_image(done, total)
        if not kept:
            raise ImageError(
                f"All {len(paths)} {name} are smaller than a crop of {side_px} px; ask for a smaller --size."
            )
        read.append(tuple(kept))
    return Images(*read)
