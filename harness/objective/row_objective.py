"""What one row of a batch minimises, in numbers: weights, layers, paintings, regularisers.

    total = α Σ_l v_l c_l L_content,l  +  β Σ_parts ω Σ_l w_l s_l E_l(part)  +  Σ_terms λ term

with L_content of equation 1, E_l of equation 4 or another style statistic's distance, c_l and s_l the convention's
factors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.objective.conventions import CONVENTIONS

GRAM = "gram"
"""The style statistic of the paper."""


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
        terms: further terms (``harness.objective.terms``) to their λ ≥ 0; one of 0 is not computed.
        luminance: whether the network sees the luminance only, of picture, photograph and paintings.
        statistic: which style statistic (``harness.objective.style_statistics``) is compared.
    """

    alpha: float
    beta: float
    content_layers: Mapping[str, float]
    style_layers: Mapping[str, float]
    convention: str = "released"
    content: int = 0
    styles: tuple[StylePart, ...] = (StylePart(),)
    terms: Mapping[str, float] = field(default_factory=dict)
    luminance: bool = False
    statistic: str = GRAM

    def weighed_content(self) -> tuple[str, ...]:
        """The layers whose content loss counts."""
        return tuple(layer for layer, weight in self.content_layers.items() if self.alpha > 0 and weight > 0)

    def weighed_style(self) -> tuple[str, ...]:
        """The layers whose style loss counts."""
        counts = self.beta > 0 and bool(self.weighed_parts())
        return tuple(layer for layer, weight in self.style_layers.items() if counts and weight > 0)

    def weighed_parts(self) -> tuple[StylePart, ...]:
        """The parts whose style loss counts."""
        return tuple(part for part in self.styles if part.weight > 0)

    def weighed_terms(self) -> dict[str, float]:
        """The terms that count, with their λ."""
        return {name: weight for name, weight in self.terms.items() if weight > 0}

    def content_factor(self, num_filters: int, num_positions: int) -> float:
        """c_l: the convention's content loss of a layer over equation 1."""
        return CONVENTIONS[self.convention].content_factor(num_filters, num_positions)

    def style_factor(self, num_filters: int, num_positions: int) -> float:
        """s_l: the convention's style loss of a layer over equation 4; 1 for another statistic than Gram matrices.

        Conventions differ in how they average over Gram matrices, which says nothing of any other statistic's distance.
        """
        is_gram = self.statistic == GRAM
        return CONVENTIONS[self.convention].style_factor(num_filters, num_positions) if is_gram else 1.0
