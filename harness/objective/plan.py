"""Which rows weigh which layer against which target, and how much: made once per set of rows, then only read.

Shapes: b rows of one pass, b' of them that a term is about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.objective.row_objective import RowObjective, StylePart
from harness.objective.targets import content_name, style_name
from harness.objective.terms import in_order

Shapes = Mapping[str, tuple[int, int]]
"""Layer to its number of filters N and of positions M."""

Parts = Mapping[str, Sequence[StylePart]]
"""Style layer to a row's parts that count there."""


@dataclass(frozen=True)
class Some:
    """Some of several rows: (b',) their places, and whether they are just all of them, so that nothing is copied."""

    index: Tensor
    everyone: bool

    def of(self, values: Tensor) -> Tensor:
        """Their (b', …) of everyone's (…)."""
        return values if self.everyone else values[self.index]


@dataclass(frozen=True)
class ContentTerm:
    """The rows that compare a layer's map with one photograph's."""

    layer: str
    target: str
    rows: Some
    factor: Tensor  # (b',) c_l
    weight: Tensor  # (b',) v_l


@dataclass(frozen=True)
class StatisticTerm:
    """The rows whose style statistic is needed, of a layer's map or (Gram matrices) of a mask's region of it."""

    layer: str
    statistic: str
    num_positions: int  # M of the whole map
    mask: int | None
    rows: Some


@dataclass(frozen=True)
class StyleTerm:
    """The rows that compare such a statistic with one painting's."""

    layer: str
    target: str
    own: int  # which of the plan's ``statistics``
    within: Some  # of that statistic's rows
    rows: Some
    factor: Tensor  # (b',) ω s_l
    weight: Tensor  # (b',) w_l


@dataclass(frozen=True)
class FurtherTerm:
    """The rows of one photograph that weigh a further term, and its λ (b',)."""

    name: str
    content: int
    rows: Some
    weight: Tensor


@dataclass(frozen=True)
class TermPlan:
    """All terms of some rows."""

    layers: tuple[str, ...]
    contents: tuple[ContentTerm, ...]
    statistics: tuple[StatisticTerm, ...]
    styles: tuple[StyleTerm, ...]
    further: tuple[FurtherTerm, ...]
    grey: Some | None  # the rows that the network sees in grey
    has_content: Tensor
    has_style: Tensor
    style_layers: dict[str, Tensor]  # (b,) 0 where a row has a term, NaN elsewhere
    alpha: Tensor
    beta: Tensor


def make_plan(specs: Sequence[RowObjective], parts: Sequence[Parts], shapes: Shapes, like: Tensor) -> TermPlan:
    """The plan of some rows.

    Terms come in the order in which the rows name their parts, never in that of the batch's images: a row's sums must
    not depend on its neighbours.

    Args:
        specs: what each row minimises.
        parts: each row's style layers, with the parts that count there.
        shapes: of every layer weighed, in the network's order.
        like: the images: their device and precision.
    """
    everyone = range(len(specs))

    def some(rows: Sequence[int], of: Sequence[int] = everyone) -> Some:
        places = [of.index(i) for i in rows]
        return Some(torch.tensor(places, device=like.device), places == list(range(len(of))))

    contents: list[ContentTerm] = []
    statistics: list[StatisticTerm] = []
    styles: list[StyleTerm] = []
    for layer, (_, num_positions) in shapes.items():
        photographs: dict[str, list[int]] = {}
        regions: dict[tuple[str, int | None], dict[str, list[tuple[int, float]]]] = {}
        for i, spec in enumerate(specs):
            if layer in spec.weighed_content():
                photographs.setdefault(content_name(layer, spec.content, spec.luminance), []).append(i)
            for part in parts[i].get(layer, ()):
                paintings = regions.setdefault((spec.statistic, part.mask), {})
                paintings.setdefault(style_name(layer, part, spec), []).append((i, part.weight))
        for target, rows in photographs.items():
            factors = [specs[i].content_factor(*shapes[layer]) for i in rows]
            weights = [specs[i].content_layers[layer] for i in rows]
            contents.append(ContentTerm(layer, target, some(rows), like.new_tensor(factors), like.new_tensor(weights)))
        for (statistic, mask), paintings in regions.items():
            members = sorted({i for shares in paintings.values() for i, _ in shares})
            for target, shares in paintings.items():
                rows = [i for i, _ in shares]
                factors = [ω * specs[i].style_factor(*shapes[layer]) for i, ω in shares]
                weights = [specs[i].style_layers[layer] for i in rows]
                styles.append(
                    StyleTerm(
                        layer, target, len(statistics), some(rows, members), some(rows),
                        like.new_tensor(factors), like.new_tensor(weights),
                    )
                )  # fmt: skip
            statistics.append(StatisticTerm(layer, statistic, num_positions, mask, some(members)))

    further = []
    for name in in_order({name for spec in specs for name in spec.weighed_terms()}):
        weighed = [i for i in everyone if name in specs[i].weighed_terms()]
        for content in sorted({specs[i].content for i in weighed}):
            rows = [i for i in weighed if specs[i].content == content]
            lambdas = like.new_tensor([specs[i].terms[name] for i in rows])
            further.append(FurtherTerm(name, content, some(rows), lambdas))
    coloured = [i for i in everyone if not specs[i].luminance]
    return TermPlan(
        tuple(layer for layer in shapes if layer in {t.layer for t in contents} | {t.layer for t in statistics}),
        tuple(contents),
        tuple(statistics),
        tuple(styles),
        tuple(further),
        grey=None if len(coloured) == len(specs) else some([i for i in everyone if specs[i].luminance]),
        has_content=torch.tensor([bool(s.weighed_content()) for s in specs], device=like.device),
        has_style=torch.tensor([any(of_row.values()) for of_row in parts], device=like.device),
        style_layers={
            layer: like.new_tensor([0.0 if of_row.get(layer) else torch.nan for of_row in parts]) for layer in shapes
        },
        alpha=like.new_tensor([s.alpha for s in specs]),
        beta=like.new_tensor([s.beta for s in specs]),
    )
