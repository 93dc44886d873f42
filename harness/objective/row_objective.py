"""What one row of a batch minimises, in numbers: weights, layers, paintings, regularisers.

    total = α Σ_l v_l c_l L_content,l  +  β Σ_parts ω Σ_l w_l s_l E_l(part)  +  λ_tv TV  +  λ_m L_m / (H W)

with L_content of equation 1, E_l of equation 4, c_l and s_l the convention's factors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.features.vgg import LAYERS


@dataclass(frozen=True)
class StylePart:
    """One painting's share of a row's style term.

    Attributes:
        image: which of the batch's distinct paintings.
        weight: ω ≥ 0; a part of weight 0 is not computed.
        mask: which of the batch's distinct masks over the picture says where; None: everywhere.
        own_mask: which of the batch's distinct masks over that painting says what of it; None: all.
    """

    image: int = 0
    weight: float = 1.0
    mask: int | None = None
    own_mask: int | None = None


@dataclass(frozen=True)
class RowObjective:
    """What one row minimises.

    Attributes:
        alpha: α ≥ 0.
        beta: β ≥ 0.
        content_layers: layer to its weight v_l ≥ 0.
        style_layers: layer to its weight w_l ≥ 0, the same for all parts.
        convention: name of the units of α and β.
        content: which of the batch's distinct photographs.
        styles: the paintings' shares.
        total_variation: λ_tv ≥ 0.
        photorealism: λ_m ≥ 0.
        luminance: whether the network sees the luminance only, of picture, photograph and paintings.
    """

    alpha: float
    beta: float
    content_layers: Mapping[str, float]
    style_layers: Mapping[str, float]
    convention: str = "released"
    content: int = 0
    styles: tuple[StylePart, ...] = (StylePart(),)
    total_variation: float = 0.0
    photorealism: float = 0.0
    luminance: bool = False

    def weighed_content(self) -> tuple[str, ...]:
        """The layers whose content loss counts."""
        return tuple(layer for layer in LAYERS if self.alpha > 0 and self.content_layers.get(layer, 0) > 0)

    def weighed_style(self) -> tuple[str, ...]:
        """The layers whose style loss counts."""
        counts = self.beta > 0 and bool(self.weighed_parts())
        return tuple(layer for layer in LAYERS if counts and self.style_layers.get(layer, 0) > 0)

    def weighed_parts(self) -> tuple[StylePart, ...]:
        """The parts whose style loss counts."""
        return tuple(part for part in self.styles if part.weight > 0)
