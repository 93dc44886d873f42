"""Which rows weigh which layer against which target, and how much: made once per set of rows, then only read.

Shapes: b rows of one pass, b' of them that a term is about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.features.vgg import LAYERS
from harness.objective.conventions import CONVENTIONS
from harness.objective.row_objective import RowObjective, StylePart
from harness.objective.targets import content_name, style_name

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
class GramTerm:
    """The rows whose Gram matrix is needed, of a layer's map or of a mask's region of it."""

    layer: str
    num_positions: int  # M of the whole map
    mask: int | None
    rows: Some


@dataclass(frozen=True)
class StyleTerm:
    """The rows that compare such a Gram matrix with one painting's."""

    layer: str
    target: str
    gram: int  # which of the plan's ``grams``
    within: Some  # of that Gram matrix's rows
    rows: Some
    factor: Tensor  # (b',) ω s_l
    weight: Tensor  # (b',) w_l


@dataclass(frozen=True)
class Regulariser:
    """The rows that weigh a regulariser, its λ (b',), and which photograph it depends on, if on any."""

    rows: Some
    weight: Tensor
    content: int


@dataclass(frozen=True)
class TermPlan:
    """All terms of some rows."""

    layers: tuple[str, ...]
    contents: tuple[ContentTerm, ...]
    grams: tuple[GramTerm, ...]
    styles: tuple[StyleTerm, ...]
    total_variation: tuple[Regulariser, ...]
    photorealism: tuple[Regulariser, ...]
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
        shapes: of every layer weighed.
        like: the images: their device and precision.
    """
    everyone = range(len(specs))

    def some(rows: Sequence[int], of: Sequence[int] = everyone) -> Some:
        places = [of.index(i) for i in rows]
        return Some(torch.tensor(places, device=like.device), places == list(range(len(of))))

    contents: list[ContentTerm] = []
    grams: list[GramTerm] = []
    styles: list[StyleTerm] = []
    for layer in LAYERS:
        photographs: dict[str, list[int]] = {}
        regions: dict[int | None, dict[str, list[tuple[int, float]]]] = {}
        for i, spec in enumerate(specs):
            if layer in spec.weighed_content():
                photographs.setdefault(content_name(layer, spec.content, spec.luminance), []).append(i)
            for part in parts[i].get(layer, ()):
                paintings = regions.setdefault(part.mask, {})
                paintings.setdefault(style_name(layer, part, spec.luminance), []).append((i, part.weight))
        for target, rows in photographs.items():
            factors = [CONVENTIONS[specs[i].convention].content_factor(*shapes[layer]) for i in rows]
            weights = [specs[i].content_layers[layer] for i in rows]
            contents.append(ContentTerm(layer, target, some(rows), like.new_tensor(factors), like.new_tensor(weights)))
        for mask, paintings in regions.items():
            members = sorted({i for shares in paintings.values() for i, _ in shares})
            for target, shares in paintings.items():
                rows = [i for i, _ in shares]
                factors = [ω * CONVENTIONS[specs[i].convention].style_factor(*shapes[layer]) for i, ω in shares]
                weights = [specs[i].style_layers[layer] for i in rows]
                styles.append(
                    StyleTerm(
                        layer, target, len(grams), some(rows, members), some(rows),
                        like.new_tensor(factors), like.new_tensor(weights),
                    )
                )  # fmt: skip
            grams.append(GramTerm(layer, shapes[layer][1], mask, some(members)))

    def regularised(name: str, rows: Sequence[int], content: int) -> tuple[Regulariser, ...]:
        weights = like.new_tensor([getattr(specs[i], name) for i in rows])
        return (Regulariser(some(rows), weights, content),) if rows else ()

    weighed = [i for i in everyone if specs[i].photorealism > 0]
    coloured = [i for i in everyone if not specs[i].luminance]
    return TermPlan(
        tuple(layer for layer in LAYERS if layer in {t.layer for t in contents} | {t.layer for t in grams}),
        tuple(contents),
        tuple(grams),
        tuple(styles),
        total_variation=regularised("total_variation", [i for i in everyone if specs[i].total_variation > 0], 0),
        photorealism=tuple(
            regulariser
            for k in sorted({specs[i].content for i in weighed})
            for regulariser in regularised("photorealism", [i for i in weighed if specs[i].content == k], k)
        ),
        grey=None if len(coloured) == len(specs) else some([i for i in everyone if specs[i].luminance]),
        has_content=torch.tensor([bool(s.weighed_content()) for s in specs], device=like.device),
        has_style=torch.tensor([any(of_row.values()) for of_row in parts], device=like.device),
        style_layers={
            layer: like.new_tensor([0.0 if of_row.get(layer) else torch.nan for of_row in parts]) for layer in LAYERS
        },
        alpha=like.new_tensor([s.alpha for s in specs]),
        beta=like.new_tensor([s.beta for s in specs]),
    )
