"""The objective of every row of a batch: each its own α, β, layers, weights, convention, photograph and painting.

A layer's loss is computed only for the rows that weigh it (indexed, never multiplied by 0: 0 · inf is NaN). Targets are
stored once per distinct image. Shapes: b rows evaluated, N filters, h × w positions, K distinct images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from harness.features.vgg import LAYERS, VGG19
from harness.objective.conventions import CONVENTIONS
from harness.objective.equations import content_loss, gram_per_position, style_layer_loss, total_loss


@dataclass(frozen=True)
class RowObjective:
    """What one row minimises.

    Attributes:
        alpha: α ≥ 0.
        beta: β ≥ 0.
        content_layers: layer to its weight v_l ≥ 0.
        style_layers: layer to its weight w_l ≥ 0.
        convention: name of the units of α and β.
        content: which of the batch's distinct photographs.
        style: which of the batch's distinct paintings.
    """

    alpha: float
    beta: float
    content_layers: Mapping[str, float]
    style_layers: Mapping[str, float]
    convention: str = "released"
    content: int = 0
    style: int = 0

    def weighed_content(self) -> tuple[str, ...]:
        """The layers whose content loss counts."""
        return tuple(layer for layer in LAYERS if self.alpha > 0 and self.content_layers.get(layer, 0) > 0)

    def weighed_style(self) -> tuple[str, ...]:
        """The layers whose style loss counts."""
        return tuple(layer for layer in LAYERS if self.beta > 0 and self.style_layers.get(layer, 0) > 0)


@dataclass
class Losses:
    """What an evaluation measured, in each row's own convention.

    Attributes:
        total: (b,) α content + β style (equation 7).
        content: (b,) Σ_l v_l c_l L_content,l; NaN where α = 0, since it is then not computed.
        style: (b,) Σ_l w_l s_l E_l; NaN where β = 0.
        style_layers: layer to (b,) s_l E_l, without w_l; NaN for rows that do not weigh the layer.
        content_term: (b,) α content as part of the graph, 0 where α = 0; None where no row has a content term.
    """

    total: Tensor
    content: Tensor
    style: Tensor
    style_layers: dict[str, Tensor] = field(default_factory=dict)
    content_term: Tensor | None = None


class Objective(nn.Module):
    """Equation 7 for every row, with the targets of every distinct image as buffers.

    Args:
        rows: what each row minimises.
        network: measures the targets; not kept.
        contents: the K distinct photographs, (3, H, W) each, all of the batch's size.
        styles: the distinct paintings, (3, H_s, W_s) each, of any size.
    """

    def __init__(
        self, rows: Sequence[RowObjective], network: VGG19, contents: Sequence[Tensor], styles: Sequence[Tensor]
    ) -> None:
        super().__init__()
        self.rows = tuple(rows)
        self._plans: dict[tuple[tuple[int, ...], torch.dtype], _Plan] = {}
        self.layers = tuple(
            layer for layer in LAYERS if any(layer in (*r.weighed_content(), *r.weighed_style()) for r in rows)
        )
        self.style_names = tuple(layer for layer in LAYERS if any(layer in r.weighed_style() for r in rows))
        with torch.no_grad():
            for layer in self.layers:
                wanted = [
                    k
                    for k in range(len(contents))
                    if any(r.content == k and layer in r.weighed_content() for r in rows)
                ]
                for k in wanted:
                    self.register_buffer(
                        f"content_{layer}_{k}", network(contents[k][None], [layer])[layer], persistent=False
                    )
            for k, style in enumerate(styles):
                wanted_layers = {layer for r in rows if r.style == k for layer in r.weighed_style()}
                for layer, features in (network(style[None], wanted_layers) if wanted_layers else {}).items():
                    self.register_buffer(f"style_{layer}_{k}", gram_per_position(features), persistent=False)

    def forward(self, network: VGG19, images: Tensor, rows: Sequence[int]) -> Losses:
        """Evaluate some rows.

        Args:
            network: the frozen VGG-19.
            images: (b, 3, H, W), one for each of ``rows``.
            rows: which rows of the batch they are.
        """
        specs = [self.rows[row] for row in rows]
        maps = network(images, {layer for s in specs for layer in (*s.weighed_content(), *s.weighed_style())})
        if (tuple(rows), images.dtype) not in self._plans:
            shapes = {layer: (f.shape[1], f.shape[2] * f.shape[3]) for layer, f in maps.items()}
            self._plans[tuple(rows), images.dtype] = self._plan(specs, shapes, images)
        unmeasured = images.new_full((len(rows),), torch.nan)
        zero = images.new_zeros(len(rows))
        sums = {"content": zero, "style": zero}  # the style's is equation 5, row by row
        layers = {layer: unmeasured.clone() for layer in self.style_names}
        plan = self._plans[tuple(rows), images.dtype]
        for term in plan.terms:
            features = maps[term.layer] if len(term.rows) == len(rows) else maps[term.layer][term.rows]
            target = self.get_buffer(f"{term.kind}_{term.layer}_{term.image}")
            if term.kind == "content":
                loss = term.factor * content_loss(features, target)
            else:
                loss = term.factor * style_layer_loss(gram_per_position(features), target)
                layers[term.layer][term.rows] = loss.detach()
            sums[term.kind] = sums[term.kind].index_add(0, term.rows, term.weight * loss)
        return Losses(
            total=total_loss(sums["content"], sums["style"], plan.alpha, plan.beta),
            content=torch.where(plan.has_content, sums["content"].detach(), unmeasured),
            style=torch.where(plan.has_style, sums["style"].detach(), unmeasured),
            style_layers=layers,
            content_term=plan.alpha * sums["content"] if sums["content"].requires_grad else None,
        )

    def _plan(self, specs: Sequence[RowObjective], shapes: Mapping[str, tuple[int, int]], like: Tensor) -> _Plan:
        """Which rows weigh which layer against which image, their factors as tensors: made once per set of rows."""
        terms = []
        for layer in LAYERS:
            for kind in ("content", "style"):
                chosen = [
                    i
                    for i, s in enumerate(specs)
                    if layer in (s.weighed_content() if kind == "content" else s.weighed_style())
                ]
                for image in sorted({getattr(specs[i], kind) for i in chosen}):
                    rows = [i for i in chosen if getattr(specs[i], kind) == image]
                    terms.append(_term(kind, layer, image, rows, specs, shapes[layer], like))
        return _Plan(
            tuple(terms),
            has_content=torch.tensor([bool(s.weighed_content()) for s in specs], device=like.device),
            has_style=torch.tensor([bool(s.weighed_style()) for s in specs], device=like.device),
            alpha=like.new_tensor([s.alpha for s in specs]),
            beta=like.new_tensor([s.beta for s in specs]),
        )


@dataclass(frozen=True)
class _Term:
    """The rows that compare one layer's map (or its Gram matrix) with one image's."""

    kind: str
    layer: str
    image: int
    rows: Tensor
    factor: Tensor  # the convention's, of equation 1 or 4
    weight: Tensor  # v_l or w_l


@dataclass(frozen=True)
class _Plan:
    terms: tuple[_Term, ...]
    has_content: Tensor
    has_style: Tensor
    alpha: Tensor
    beta: Tensor


def _term(
    kind: str,
    layer: str,
    image: int,
    rows: Sequence[int],
    specs: Sequence[RowObjective],
    shape: tuple[int, int],
    like: Tensor,
) -> _Term:
    factors, weights = [], []
    for i in rows:
        convention = CONVENTIONS[specs[i].convention]
        factors.append(convention.content_factor(*shape) if kind == "content" else convention.style_factor(*shape))
        weights.append(specs[i].content_layers[layer] if kind == "content" else specs[i].style_layers[layer])
    index = torch.tensor(list(rows), device=like.device)
    return _Term(kind, layer, image, index, *(like.new_tensor(values) for values in (factors, weights)))
