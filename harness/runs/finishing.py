"""From iterates to pictures: the photograph's colours and alpha, the photorealistic smoothing, the size of the picture.

A picture with alpha is measured over white, as its photograph is. What was optimised is over white too: c = a f + 1 − a
with the alpha a and the colour f in the file, so that edges have no white seam over other grounds.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.config.transfer import Transfer
from harness.images.colour import with_colours_of
from harness.images.masks import resize_mask
from harness.images.resize import resize
from harness.photorealism.smoothing import smooth


class Finishing:
    """Makes each row's pictures.

    Args:
        transfers: the rows', resolved.
        photographs: (3, H, W) for each row, at the pictures' size.
        alphas: (H, W) for each row; None where its picture is opaque.
    """

    def __init__(
        self, transfers: Sequence[Transfer], photographs: Sequence[Tensor], alphas: Sequence[Tensor | None]
    ) -> None:
        self.transfers = transfers
        self.photographs = photographs
        self.alphas = alphas

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
        image = smooth(image, self.photographs[row], strength) if strength else image
        alpha = self.alphas[row]
        return image if alpha is None else _uncovered(image, alpha) * alpha + (1 - alpha)

    def for_file(self, row: int, image: Tensor) -> Tensor:
        """A picture or iterate (3, h, w) as its file has it: with alpha (4, h, w), white where nothing is seen."""
        alpha = self.alphas[row]
        if alpha is None:
            return image
        if alpha.shape != image.shape[1:]:
            alpha = resize_mask(alpha, *image.shape[1:])
        return torch.cat([_uncovered(image, alpha), alpha[None]])


def _uncovered(image: Tensor, alpha: Tensor) -> Tensor:
    """The colour f, (3, h, w), of what is c over white, c = a f + 1 − a."""
    return torch.where(alpha > 0, (image - (1 - alpha)) / alpha.clamp(min=1e-6), 1.0).clamp(0, 1)
