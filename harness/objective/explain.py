"""An objective in the printed equations' terms, and the same objective in every convention's numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness.objective.row_objective import GRAM, RowObjective

Shapes = Mapping[str, tuple[int, int]]
"""Layer to its number of filters N and of positions M."""


@dataclass(frozen=True)
class Term:
    """One layer's share of the objective.

    Attributes:
        side: ``content`` or ``style``.
        layer: its name.
        num_filters: N.
        num_positions: M.
        weight: v_l, or ω w_l of one painting, as the transfer says.
        printed: what multiplies equation 1 (content) or equation 4 (style) as printed, or a style statistic's distance.
        part: which of the row's paintings; None for content.
        statistic: which style statistic is compared.
    """

    side: str
    layer: str
    num_filters: int
    num_positions: int
    weight: float
    printed: float
    part: int | None = None
    statistic: str = GRAM

    @property
    def equation(self) -> str:
        """The printed equation that ``printed`` multiplies."""
        if self.side == "content":
            return "½ Σ (F − P)²  (eq. 1)"
        return "E_l           (eq. 4)" if self.statistic == GRAM else f"distance of {self.statistic}"


def terms_of(objective: RowObjective, shapes: Shapes) -> list[Term]:
    """Every layer's factor before the printed equation: α v_l c_l for eq. 1, β ω w_l s_l for eq. 4 of each painting.

    Further terms are no such ones. A mask does not change the factors.
    """
    terms = []
    for layer in objective.weighed_content():
        weight, factor = objective.content_layers[layer], objective.content_factor(*shapes[layer])
        terms.append(Term("content", layer, *shapes[layer], weight, objective.alpha * weight * factor))
    for layer in objective.weighed_style():
        factor = objective.style_factor(*shapes[layer])
        for number, part in enumerate(objective.styles):
            if part.weight > 0:
                weight = part.weight * objective.style_layers[layer]
                printed = objective.beta * weight * factor
                terms.append(Term("style", layer, *shapes[layer], weight, printed, number, objective.statistic))
    return terms


@dataclass(frozen=True)
class Converted:
    """The same objective in another convention.

    Attributes:
        name: the convention.
        alpha: α per content layer, for v_l = 1; one number where all layers agree.
        beta: β per style layer, for the transfer's own w_l; one number where all layers agree.
        same: whether one α and one β do for all layers. Otherwise they are per layer.
    """

    name: str
    alpha: dict[str, float]
    beta: dict[str, float]

    @property
    def same(self) -> bool:
        """Whether one α and one β do for all layers."""
        return all(_spread(values) < 1e-9 for values in (self.alpha, self.beta))

    @property
    def ratio(self) -> float | None:
        """α/β where one of each does; None otherwise."""
        if not self.same or not self.alpha or not self.beta:
            return None
        return next(iter(self.alpha.values())) / next(iter(self.beta.values()))


def _spread(values: Mapping[str, float]) -> float:
    return (max(values.values()) - min(values.values())) / max(values.values()) if values else 0.0


def convert(objective: RowObjective, shapes: Shapes, name: str) -> Converted:
    """The α and β that mean the same objective in the convention ``name``, layer by layer."""
    there = replace(objective, convention=name)
    alpha, beta = {}, {}
    for term in terms_of(objective, shapes):
        shape = (term.num_filters, term.num_positions)
        if term.side == "content":
            alpha[term.layer] = term.printed / term.weight / there.content_factor(*shape)
        else:
            beta[term.layer] = term.printed / term.weight / there.style_factor(*shape)
    return Converted(name, alpha, beta)
