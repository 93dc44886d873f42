"""From iterates to pictures: the photograph's colours, the photorealistic smoothing, the size of the picture."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from harness.config.transfer import Transfer
from harness.images.colour import with_colours_of
from harness.images.resize import resize
from harness.photorealism.smoothing import smooth


class Finishing:
    """Makes each row's pictures.

    Args:
        transfers: the rows', resolved.
        photographs: (3, H, W) for each row, at the pictures' size.
    """

    def __init__(self, transfers: Sequence[Transfer], photographs: Sequence[Tensor]) -> None:
        self.transfers = transfers
        self.photographs = photographs

    def of_iterate(self, row: int, image: Tensor) -> Tensor:
        """An iterate (3, h, w) in [0, 1] of any level as it is shown, at its own size."""
        if self.transfers[row].colours != "luminance":
            return image
        return with_colours_of(image, resize(self.photographs[row], *image.shape[1:]))

    def of_picture(self, row: int, image: Tensor) -> Tensor:
        """The picture (3, H, W) that an iterate (3, h, w) in [0, 1] makes; one of a smaller level is enlarged."""
        image = resize(image, *self.photographs[row].shape[1:]).clamp(0, 1)
        image = self.of_iterate(row, image)
        strength = self.transfers[row].smoothing
        return smooth(image, self.photographs[row], strength) if strength else image
