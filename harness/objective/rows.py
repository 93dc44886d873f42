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

from harness.features.networks import Network
from harness.features.vgg import block_of
from harness.images.colour import grey
from harness.objective.equations import content_loss, guided_gram_per_position, total_loss
from harness.objective.guidance import Guidance, check_mask, counted_parts
from harness.objective.plan import TermPlan, make_plan
from harness.objective.row_objective import GRAM, RowObjective, StylePart
from harness.objective.style_statistics import StyleStatistic
from harness.objective.targets import content_name, content_targets, style_targets
from harness.objective.terms import TermOfPhotograph, in_order
from harness.objective.tiles import Tile

__all__ = ["Losses", "Objective", "RowObjective", "Statistics", "StylePart"]


@dataclass
class Losses:
    """What an evaluation measured, in each row's own convention.

    Attributes:
        total: (b,) α content + β style (equation 7) + Σ_terms λ term.
        content: (b,) Σ_l v_l c_l L_content,l; NaN where α = 0, since it is then not computed.
        style: (b,) Σ_parts ω Σ_l w_l s_l E_l; NaN where β = 0.
        style_layers: layer to (b,) Σ_parts ω s_l E_l, without w_l; NaN for rows that do not weigh the layer.
        terms: of every further term that a row of the batch weighs, (b,) without λ, NaN for rows that do not weigh it.
        content_term: (b,) α content as part of the graph, 0 where α = 0; None where no row has a content term.
    """

    total: Tensor
    content: Tensor
    style: Tensor
    style_layers: dict[str, Tensor] = field(default_factory=dict)
    terms: dict[str, Tensor] = field(default_factory=dict)
    content_term: Tensor | None = None

    def detached(self) -> Losses:
        """The numbers without the graph, which the total and the content term hold."""
        return Losses(self.total.detach(), self.content, self.style, self.style_layers, self.terms)


@dataclass
class Statistics:
    """All that the losses need of the maps; sums over positions, so that those of an image's tiles add up to its own.

    Attributes:
        contents: (b',) equation 1 for each of the plan's content terms.
        styles: (b', …) style statistic for each of the plan's: a Gram matrix per position is (b', N, N).
    """

    contents: list[Tensor]
    styles: list[Tensor]

    def all(self) -> list[Tensor]:
        """The tensors, in an order of their own."""
        return [*self.contents, *self.styles]


class Objective(nn.Module):
    """Every row's objective, with the targets of every distinct image as buffers.

    Args:
        rows: what each row minimises.
        network: measures the targets; not kept, but for what is compared of its maps.
        contents: the K distinct photographs, (3, H, W) each, all of the batch's size.
        styles: the distinct paintings, (3, H_s, W_s) each, of any size.
        masks: the distinct masks over the picture, (H, W) in [0, 1] each.
        style_masks: the distinct masks over paintings, (H_s, W_s) in [0, 1], of their painting's size.
        tile_px: evaluate in tiles of this longest side, a multiple of 16; None: the whole image at once.

    Raises:
        ValueError: a mask has another size than its image or values outside [0, 1], or leaves too little of the picture
            or of its painting for any style layer; a row's style statistic cannot go in tiles or have masks.
        PluginError: a user's style statistic or term fails.
    """

    def __init__(
        self,
        rows: Sequence[RowObjective],
        network: Network,
        contents: Sequence[Tensor],
        styles: Sequence[Tensor],
        masks: Sequence[Tensor] = (),
        style_masks: Sequence[Tensor] = (),
        tile_px: int | None = None,
    ) -> None:
        super().__init__()
        self.rows = tuple(rows)
        self.tile_px = tile_px
        self._plans: dict[tuple[tuple[int, ...], torch.dtype], TermPlan] = {}
        self._checked: set[int] = set()
        self.layers = tuple(
            layer for layer in network.layers if any(layer in (*r.weighed_content(), *r.weighed_style()) for r in rows)
        )
        self._read_outs = {layer: network.read_out(layer) for layer in self.layers}
        self.style_names = tuple(layer for layer in self.layers if any(layer in r.weighed_style() for r in rows))
        self.term_names = in_order({name for row in rows for name in row.weighed_terms()})
        self._statistics = {row.statistic: StyleStatistic(row.statistic) for row in rows if row.weighed_style()}
        for row in rows:
            _check_statistic(row, self._statistics, tile_px)
        for k, mask in enumerate(masks):
            check_mask(mask, contents[0], f"mask {k}")
        for part in (part for row in rows for part in row.weighed_parts()):
            if part.own_mask is not None:
                check_mask(style_masks[part.own_mask], styles[part.image], f"mask {part.own_mask} of paintings")
        with torch.no_grad():
            weighed = {(name, row.content) for row in rows for name in row.weighed_terms()}
            self._terms = {(name, k): TermOfPhotograph(name, contents[k]) for name, k in sorted(weighed)}
            self._has_plugins = any(of.is_plugin for of in self._terms.values()) or any(
                of.is_plugin for of in self._statistics.values()
            )
            of_picture, of_painting = Guidance(masks), Guidance(style_masks)
            self._parts = tuple(counted_parts(row, of_picture, of_painting) for row in rows)
            for layer, parts in (item for of_row in self._parts for item in of_row.items()):
                for part in parts:
                    if part.mask is not None:
                        guidance = of_picture.at(part.mask, block_of(layer))
                        self.register_buffer(_mask_name(part.mask, layer), guidance, persistent=False)
            self._measure_targets(network, contents, styles, of_painting)

    def _measure_targets(
        self, network: Network, contents: Sequence[Tensor], styles: Sequence[Tensor], guidance: Guidance
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
                    (layer, part, self.rows[i])
                    for i in rows
                    for layer, parts in self._parts[i].items()
                    for part in parts
                    if part.image == k
                ]
                targets = style_targets(network, image, wanted, self._statistics, guidance, luminance, self.tile_px)
                for name, target in targets.items():
                    self.register_buffer(name, target, persistent=False)

    def forward(self, network: Network, images: Tensor, rows: Sequence[int]) -> Losses:
        """Evaluate some rows in one pass over their whole images.

        Args:
            network: frozen.
            images: (b, 3, H, W), one for each of ``rows``.
            rows: which rows of the batch they are.
        """
        plan = self.plan(network, images, rows)
        maps = network.maps(self.seen(plan, images), plan.layers)
        return self.losses(plan, self.statistics(plan, maps), images)

    def plan(self, network: Network, images: Tensor, rows: Sequence[int]) -> TermPlan:
        """The terms of some rows, made once."""
        key = tuple(rows), images.dtype
        if key not in self._plans:
            height, width = images.shape[2:]
            shapes = {layer: (N, h * w) for layer, (N, h, w) in network.shapes(self.layers, height, width).items()}
            self._plans[key] = make_plan([self.rows[i] for i in rows], [self._parts[i] for i in rows], shapes, images)
        return self._plans[key]

    def seen(self, plan: TermPlan, images: Tensor) -> Tensor:
        """What the network sees of (b, 3, h, w) pictures or crops of them: of some rows the luminance only."""
        if plan.grey is None:
            return images
        seen = grey(plan.grey.of(images))
        return seen if plan.grey.everyone else images.index_copy(0, plan.grey.index, seen)

    def statistics(self, plan: TermPlan, maps: Mapping[str, Tensor], tile: Tile | None = None) -> Statistics:
        """What the losses need of whole pictures, or a tile's share of it, from maps of the pictures or of its crop.

        Args:
            plan: of the rows.
            maps: with all filters, before what is compared is read out of them.
            tile: whose maps they are; None: whole pictures'.
        """
        contents, styles = [], []
        for term in plan.contents:
            features, target = term.rows.of(maps[term.layer]), self.get_buffer(term.target)
            if tile is not None:
                features, target = tile.own_of_crop(term.layer, features), tile.own(term.layer, target)
            contents.append(content_loss(features, target, self._read_outs[term.layer]))
        for of in plan.statistics:
            features = of.rows.of(maps[of.layer])
            if tile is not None:
                features = tile.own_of_crop(of.layer, features)
            if of.mask is None:
                read_out = self._read_outs[of.layer]
                styles.append(self._statistics[of.statistic].measure(features, of.num_positions, read_out))
            else:
                t = self.get_buffer(_mask_name(of.mask, of.layer))
                own = t if tile is None else tile.own(of.layer, t)
                styles.append(guided_gram_per_position(features, own, t.square().sum()))
        return Statistics(contents, styles)

    def losses(self, plan: TermPlan, statistics: Statistics, images: Tensor) -> Losses:
        """All rows' losses from the statistics of their whole pictures, and from the pictures themselves."""
        # A finite picture has finite losses to begin with; where a line search leads later is the optimiser's to judge.
        # Only plugins are checked: asking waits for the device.
        is_first = self._has_plugins and id(plan) not in self._checked and bool(images.isfinite().all())
        self._checked.add(id(plan))
        unmeasured = images.new_full((len(images),), torch.nan)
        content = style = images.new_zeros(len(images))
        layers = {layer: plan.style_layers[layer].clone() for layer in self.style_names}
        for term, measured in zip(plan.contents, statistics.contents, strict=True):
            content = content.index_add(0, term.rows.index, term.weight * (term.factor * measured))
        for share in plan.styles:
            own = share.within.of(statistics.styles[share.own])
            statistic = self._statistics[plan.statistics[share.own].statistic]
            distance = statistic.distance(own, self.get_buffer(share.target), self._read_outs[share.layer])
            if is_first:
                statistic.check_distance(distance)
            loss = share.factor * distance
            layers[share.layer].index_add_(0, share.rows.index, loss.detach())
            style = style.index_add(0, share.rows.index, share.weight * loss)
        total = total_loss(content, style, plan.alpha, plan.beta)
        terms = {name: unmeasured.clone() for name in self.term_names}
        for further in plan.further:
            measure = self._terms[further.name, further.content]
            loss = measure(further.rows.of(images))
            if is_first:
                measure.check(loss)
            terms[further.name][further.rows.index] = loss.detach()
            total = total.index_add(0, further.rows.index, further.weight * loss)
        return Losses(
            total=total,
            content=torch.where(plan.has_content, content.detach(), unmeasured),
            style=torch.where(plan.has_style, style.detach(), unmeasured),
            style_layers=layers,
            terms=terms,
            content_term=plan.alpha * content if content.requires_grad else None,
        )


def _check_statistic(row: RowObjective, statistics: Mapping[str, StyleStatistic], tile_px: int | None) -> None:
    """Only sums over positions can go in tiles, and only the Gram matrix is known to a mask."""
    if row.weighed_style() and tile_px is not None and not statistics[row.statistic].is_additive:
        raise ValueError(f"The style statistic {row.statistic!r} is not additive: it cannot go in tiles.")
    if row.statistic != GRAM and any(part.mask is not None or part.own_mask is not None for part in row.styles):
        raise ValueError(f"Masks are for Gram matrices (guided ones); {row.statistic!r} has none.")


def _mask_name(mask: int, layer: str) -> str:
    return f"mask_{mask}_{block_of(layer)}"
