"""Masks at the size of an image, brought to the size of each layer's map.

Gatys, Ecker, Bethge, Hertzmann & Shechtman 2017, "Controlling Perceptual Factors in Neural Style Transfer", section 4
(spatial guidance): a mask goes to a map by the average pooling that halves the map itself, so that t at a position is
the mask's mean over the position's own pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from harness.features.vgg import block_of
from harness.objective.row_objective import RowObjective, StylePart

LEAST_POSITIONS = 1.0
"""Σ t² below which a layer says nothing of a region: less than one whole position, the Gram matrix of one vector."""


class Guidance:
    """Distinct masks, (H, W) in [0, 1] each, at the sizes of the maps."""

    def __init__(self, masks: Sequence[Tensor]) -> None:
        self._at = {(k, 1): mask for k, mask in enumerate(masks)}

    def at(self, mask: int, block: int) -> Tensor:
        """(h, w): t at each position of a block's maps."""
        if (mask, block) not in self._at:
            self._at[mask, block] = functional.avg_pool2d(self.at(mask, block - 1)[None, None], 2)[0, 0]
        return self._at[mask, block]

    def says_enough(self, mask: int | None, layer: str) -> bool:
        """Whether a Gram matrix of a layer can be taken: without a mask it can."""
        return mask is None or float(self.at(mask, block_of(layer)).square().sum()) >= LEAST_POSITIONS


def counted_parts(row: RowObjective, picture: Guidance, painting: Guidance) -> dict[str, tuple[StylePart, ...]]:
    """A row's style layers, with the parts that count there.

    # Deviates from Gatys et al. 2017, section 4: where less than one position is left of a mask, the picture's or the
    # painting's, the layer is left out for that part: (nearly) nothing would be compared, with the full weight.

    Raises:
        ValueError: a part counts in no layer.
    """
    counted = {
        layer: tuple(
            part
            for part in row.weighed_parts()
            if picture.says_enough(part.mask, layer) and painting.says_enough(part.own_mask, layer)
        )
        for layer in row.weighed_style()
    }
    for part in row.weighed_parts():
        if counted and not any(part in of_layer for of_layer in counted.values()):
            raise ValueError(
                f"Mask {part.mask} of the picture or mask {part.own_mask} of painting {part.image} leaves less than "
                f"one position of each style layer ({', '.join(counted)}): enlarge it, leave that part out, or weigh "
                "a layer nearer to conv1_1."
            )
    return counted


def check_mask(mask: Tensor, image: Tensor, what: str) -> None:
    """Raise a ValueError unless a mask is (H, W) like its (3, H, W) image, in [0, 1]; ``what`` names it."""
    if mask.shape != image.shape[-2:]:
        raise ValueError(
            f"The {what} has the shape {tuple(mask.shape)}; its image needs {tuple(image.shape[-2:])} (height, width): "
            "resize the mask."
        )
    if not bool(((mask >= 0) & (mask <= 1)).all()):
        raise ValueError(f"The {what} has values outside [0, 1]; 0 is outside the region and 1 inside.")
