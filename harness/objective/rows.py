"""The objective of every row of a batch: each its own α, β, layers, weights, convention, photograph and paintings.

A layer's loss is computed only for the rows that weigh it (indexed, never multiplied by 0: 0 · inf is NaN). Targets are
stored once per distinct image. Losses depend on the maps only through ``Statistics``, which are sums over positions:
what is summed over tiles is what one pass gives. Shapes: b rows evaluated, b' that a term is about, N filters, h × w
positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from harness.features.vgg import LAYERS, VGG, block_of, map_shape
from harness.images.colour import grey
from harness.objective.equations import (
    content_loss,
    gram_per_position,
    guided_gram_per_position,
    style_layer_loss,
    total_loss,
    total_variation_loss,
)
from harness.objective.guidance import Guidance, check_mask, counted_parts
from harness.objective.plan import TermPlan, make_plan
from harness.objective.row_objective import RowObjective, StylePart
from harness.objective.targets import content_name, content_targets, style_targets
from harness.objective.tiles import Tile
from harness.photorealism.laplacian import MattingLaplacian, affine_loss

__all__ = ["Losses", "Objective", "RowObjective", "Statistics", "StylePart"]


@dataclass
class Losses:
    """What an evaluation measured, in each row's own convention.

    Attributes:
        total: (b,) α content + β style (equation 7) + λ_tv total_variation + λ_m photorealism.
        content: (b,) Σ_l v_l c_l L_content,l; NaN where α = 0, since it is then not computed.
        style: (b,) Σ_parts ω Σ_l w_l s_l E_l; NaN where β = 0.
        style_layers: layer to (b,) Σ_parts ω s_l E_l, without w_l; NaN for rows that do not weigh the layer.
        total_variation: (b,) TV without λ_tv, NaN for rows that do not weigh it; None where no row of the batch does.
        photorealism: (b,) L_m / (H W) without λ_m, likewise.
        content_term: (b,) α content as part of the graph, 0 where α = 0; None where no row has a content term.
    """

    total: Tensor
    content: Tensor
    style: Tensor
    style_layers: dict[str, Tensor] = field(default_factory=dict)
    total_variation: Tensor | None = None
    photorealism: Tensor | None = None
    content_term: Tensor | None = None

    def detached(self) -> Losses:
        """The numbers without the graph, which the total and the content term hold."""
        return Losses(
            self.total.detach(), self.content, self.style, self.style_layers, self.total_variation, self.photorealism
        )


@dataclass
class Statistics:
    """All that the losses need of the maps; sums over positions, so that those of an image's tiles add up to its own.

    Attributes:
        contents: (b',) equation 1 for each of the plan's content terms.
        grams: (b', N, N) Gram matrix per position for each of the plan's Gram terms.
    """

    contents: list[Tensor]
    grams: list[Tensor]

    def all(self) -> list[Tensor]:
        """The tensors, in an order of their own."""
        return [*self.contents, *self.grams]


class Objective(nn.Module):
    """Every row's objective, with the targets of every distinct image as buffers.

    Args:
        rows: what each row minimises.
        network: measures the targets; not kept.
        contents: the K distinct photographs, (3, H, W) each, all of the batch's size.
        styles: the distinct paintings, (3, H_s, W_s) each, of any size.
        masks: the distinct masks over the picture, (H, W) in [0, 1] each.
        style_masks: the distinct masks over paintings, (H_s, W_s) in [0, 1], of their painting's size.
        laplacians: the photographs' matting Laplacians, for those of rows with photorealism.
        tile_px: evaluate in tiles of this longest side, a multiple of 16; None: the whole image at once.

    Raises:
        ValueError: a mask has another size than its image or values outside [0, 1], or leaves too little of the picture
            or of its painting for any style layer; a row's photograph has no Laplacian.
    """

    def __init__(
        self,
        rows: Sequence[RowObjective],
        network: VGG,
        contents: Sequence[Tensor],
        styles: Sequence[Tensor],
        masks: Sequence[Tensor] = (),
        style_masks: Sequence[Tensor] = (),
        laplacians: Mapping[int, MattingLaplacian] | None = None,
        tile_px: int | None = None,
    ) -> None:
        super().__init__()
        self.rows = tuple(rows)
        self.tile_px = tile_px
        self._laplacians = dict(laplacians or {})
        self._plans: dict[tuple[tuple[int, ...], torch.dtype], TermPlan] = {}
        self.layers = tuple(
            layer for layer in LAYERS if any(layer in (*r.weighed_content(), *r.weighed_style()) for r in rows)
        )
        self.style_names = tuple(layer for layer in LAYERS if any(layer in r.weighed_style() for r in rows))
        for k, mask in enumerate(masks):
            check_mask(mask, contents[0], f"mask {k}")
        for part in (part for row in rows for part in row.weighed_parts()):
            if part.own_mask is not None:
                check_mask(style_masks[part.own_mask], styles[part.image], f"mask {part.own_mask} of paintings")
        if missing := {row.content for row in rows if row.photorealism > 0} - self._laplacians.keys():
            raise ValueError(f"There is no Laplacian of photographs {sorted(missing)}, whose photorealism is weighed.")
        with torch.no_grad():
            of_picture, of_painting = Guidance(masks), Guidance(style_masks)
            self._parts = tuple(counted_parts(row, of_picture, of_painting) for row in rows)
            for layer, parts in (item for of_row in self._parts for item in of_row.items()):
                for part in parts:
                    if part.mask is not None:
                        guidance = of_picture.at(part.mask, block_of(layer))
                        self.register_buffer(_mask_name(part.mask, layer), guidance, persistent=False)
            self._measure_targets(network, contents, styles, of_painting)

    def _measure_targets(
        self, network: VGG, contents: Sequence[Tensor], styles: Sequence[Tensor], guidance: Guidance
    ) -> None:
        """One pass over each distinct image, or over its luminance, for all layers that some row needs of it."""
        for luminance in (False, True):
            rows = [i for i, row in enumerate(self.rows) if row.luminance is luminance]
            for k, image in enumerate(contents):
                layers = {layer for i in rows if self.rows[i].content == k for layer in self.rows[i].weighed_content()}
                for layer, target in content_targets(network, image, layers, luminance, self.tile_px).items():
                    self.register_buffer(content_name(layer, k, luminance), target, persistent=False)
            for k, image in enumerate(styles):
                wanted = [
                    (layer, part)
                    for i in rows
                    for layer, parts in self._parts[i].items()
                    for part in parts
                    if part.image == k
                ]
                for name, target in style_targets(network, image, wanted, guidance, luminance, self.tile_px).items():
                    self.register_buffer(name, target, persistent=False)

    def forward(self, network: VGG, images: Tensor, rows: Sequence[int]) -> Losses:
        """Evaluate some rows in one pass over their whole images.

        Args:
            network: the frozen VGG.
            images: (b, 3, H, W), one for each of ``rows``.
            rows: which rows of the batch they are.
        """
        plan = self.plan(network, images, rows)
        maps = network(self.seen(plan, images), plan.layers)
        return self.losses(plan, self.statistics(plan, maps), images)

    def plan(self, network: VGG, images: Tensor, rows: Sequence[int]) -> TermPlan:
        """The terms of some rows, made once."""
        key = tuple(rows), images.dtype
        if key not in self._plans:
            shapes = {}
            for layer in self.layers:
                height, width = map_shape(layer, *images.shape[2:])
                shapes[layer] = network.num_filters(layer), height * width
            self._plans[key] = make_plan([self.rows[i] for i in rows], [self._parts[i] for i in rows], shapes, images)
        return self._plans[key]

    def seen(self, plan: TermPlan, images: Tensor) -> Tensor:
        """What the network sees of (b, 3, h, w) pictures or crops of them: of some rows the luminance only."""
        if plan.grey is None:
            return images
        seen = grey(plan.grey.of(images))
        return seen if plan.grey.everyone else images.index_copy(0, plan.grey.index, seen)

    def statistics(self, plan: TermPlan, maps: Mapping[str, Tensor], tile: Tile | None = None) -> Statistics:
        """What the losses need of the maps of whole pictures, or a tile's share of it, of the maps of its crop."""
        contents, grams = [], []
        for term in plan.contents:
            features, target = term.rows.of(maps[term.layer]), self.get_buffer(term.target)
            if tile is not None:
                features, target = tile.own_of_crop(term.layer, features), tile.own(term.layer, target)
            contents.append(content_loss(features, target))
        for gram in plan.grams:
            features = gram.rows.of(maps[gram.layer])
            if tile is not None:
                features = tile.own_of_crop(gram.layer, features)
            if gram.mask is None:
                grams.append(gram_per_position(features, gram.num_positions))
            else:
                t = self.get_buffer(_mask_name(gram.mask, gram.layer))
                own = t if tile is None else tile.own(gram.layer, t)
                grams.append(guided_gram_per_position(features, own, t.square().sum()))
        return Statistics(contents, grams)

    def losses(self, plan: TermPlan, statistics: Statistics, images: Tensor) -> Losses:
        """All rows' losses from the statistics of their whole pictures, and from the pictures themselves."""
        unmeasured = images.new_full((len(images),), torch.nan)
        content = style = images.new_zeros(len(images))
        layers = {layer: plan.style_layers[layer].clone() for layer in self.style_names}
        for term, measured in zip(plan.contents, statistics.contents, strict=True):
            content = content.index_add(0, term.rows.index, term.weight * (term.factor * measured))
        for share in plan.styles:
            gram = share.within.of(statistics.grams[share.gram])
            loss = share.factor * style_layer_loss(gram, self.get_buffer(share.target))
            layers[share.layer].index_add_(0, share.rows.index, loss.detach())
            style = style.index_add(0, share.rows.index, share.weight * loss)
        total = total_loss(content, style, plan.alpha, plan.beta)
        variation = realism = None
        if any(row.total_variation > 0 for row in self.rows):
            variation = unmeasured.clone()
            for of in plan.total_variation:
                loss = total_variation_loss(of.rows.of(images))
                variation[of.rows.index] = loss.detach()
                total = total.index_add(0, of.rows.index, of.weight * loss)
        if any(row.photorealism > 0 for row in self.rows):
            realism = unmeasured.clone()
            for of in plan.photorealism:
                # Deviates from Luan et al. 2017, eq. 4: divided by the number of pixels, so that λ means the same at
                # every size.
                loss = affine_loss(of.rows.of(images), self._laplacians[of.content]) / images[0, 0].numel()
                realism[of.rows.index] = loss.detach()
                total = total.index_add(0, of.rows.index, of.weight * loss)
        return Losses(
            total=total,
            content=torch.where(plan.has_content, content.detach(), unmeasured),
            style=torch.where(plan.has_style, style.detach(), unmeasured),
            style_layers=layers,
            total_variation=variation,
            photorealism=realism,
            content_term=plan.alpha * content if content.requires_grad else None,
        )


def _mask_name(mask: int, layer: str) -> str:
    return f"mask_{mask}_{block_of(layer)}"
