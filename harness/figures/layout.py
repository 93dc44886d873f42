"""What a grid of pictures is made of: tiles, and where pictures and texts go, in whole pixels from the top left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from harness.config.figure import SMALLEST_PT
from harness.figures.text import ASCENT, LINE_HEIGHT, TextBlock, fit
from harness.results.pictures import Pixels


@dataclass(frozen=True)
class Tile:
    """One panel: a picture, or the reason why there is none.

    Attributes:
        image: (H, W, 3) uint8 sRGB, or None where the picture is missing.
        caption: stands under the panel; matplotlib text.
        reason: stands in the grey box of a missing picture.
        above: the images that this picture, or this column, has for itself; small, above it.
    """

    image: Pixels | None
    caption: str = ""
    reason: str = ""
    above: tuple[Pixels, ...] = ()

    def __post_init__(self) -> None:
        images: list[Any] = [*([] if self.image is None else [self.image]), *self.above]
        for image in images:
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
                raise ValueError(f"A tile needs (H, W, 3) uint8 images, not {image.dtype} of the shape {image.shape}.")


Tiles = Sequence[Sequence[Tile | None]]
"""Rows of places; None leaves a place empty."""


@dataclass(frozen=True)
class Paper:
    """A figure in print.

    Attributes:
        width_in: how wide it is there, in inches.
        size_pt: how large its type is there; where something would not fit, down to ``SMALLEST_PT``.
    """

    width_in: float
    size_pt: float

    @property
    def share(self) -> float:
        """The type's size as a share of the figure's width."""
        return self.size_pt / (72 * self.width_in)

    @property
    def smallest(self) -> float:
        """The smallest type as a share of the type's size."""
        return min(1.0, SMALLEST_PT / self.size_pt)


@dataclass(frozen=True)
class Box:
    """A rectangle of whole pixels."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class Panel:
    """A picture in its place: ``shown`` are the PNG's pixels, ``native`` those of the PDF; None is a grey box."""

    box: Box
    shown: Pixels | None
    native: Pixels | None


@dataclass(frozen=True)
class Label:
    """Lines around ``centre_px`` that begin at ``start_px``: to the right of it where they are rotated, else below."""

    text: TextBlock
    centre_px: float
    start_px: float
    rotated: bool = False
    grey: bool = False


@dataclass
class Layout:
    """A figure, ready to be drawn."""

    width: int = 0
    height: int = 0
    font_px: float = 0.0
    least_px: float = 0.0  # no type is smaller
    panels: list[Panel] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)

    def place(self, tile: Tile, box: Box, size_px: float) -> None:
        """Put a picture of the box's size into it, or a grey box with the reason."""
        shown = fitted(tile.image, box.width, box.height) if tile.image is not None else None
        self.panels.append(Panel(box, shown, tile.image))
        if tile.image is None:
            inset = round(size_px / 2)
            lines = max(1, int((box.height - 2 * inset) / (LINE_HEIGHT * size_px)))
            (text,) = fit([tile.reason or "missing"], [box.width - 2 * inset], size_px, lines, self.least_px)
            self.labels.append(
                Label(text, box.left + box.width / 2, box.top + (box.height - text.height_px) / 2, grey=True)
            )


def fitted(image: Pixels, width: int, height: int) -> Pixels:
    """The image at a size: its own pixels, whole repeats of them where the size is a multiple, else by Lanczos."""
    if image.shape[:2] == (height, width):
        return image
    factor = height // image.shape[0]
    if factor and (image.shape[0] * factor, image.shape[1] * factor) == (height, width):
        return np.repeat(np.repeat(image, factor, axis=0), factor, axis=1)
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))


def size_within(image: Pixels, width: float, height: float) -> tuple[int, int]:
    """Width and height of an image with its proportions, as large as there is room."""
    factor = min(height / image.shape[0], width / image.shape[1])
    return max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor))


def baselines(label: Label) -> list[float]:
    """Where each line's baseline lies: x from the left for rotated labels, else y from the top."""
    size_px = label.text.size_px
    return [label.start_px + (ASCENT + LINE_HEIGHT * k) * size_px for k in range(len(label.text.lines))]
