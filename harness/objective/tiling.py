"""Loss and gradient of images too large for one pass, exactly: two passes over tiles.

The total depends on the maps only through sums over positions: a Gram matrix G = Σ_tiles G_tile for each style term
(or another statistic that is additive), and equation 1 for each content term, C = Σ_tiles C_tile. So ∂total/∂G and
∂total/∂C, which are small, are had once the sums are, and

    ∇total = Σ_tiles ∇ (⟨∂total/∂G, G_tile⟩ + ∂total/∂C · C_tile)  +  ∇ Σ_terms λ term

with the first two derivatives held fixed. The first pass needs no gradient, the second keeps one tile's maps at a time:
memory is a tile's, and time about twice a plain pass's plus what the tiles' margins cost. The further terms need no
maps and are evaluated on the whole picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.features.vgg import VGG, deepest_of
from harness.objective.rows import Losses, Objective, Statistics
from harness.objective.tiles import tiles_of


def evaluate_in_tiles(
    objective: Objective, network: VGG, images: Tensor, rows: Sequence[int], with_content_gradient: bool
) -> tuple[Losses, Tensor, Tensor | None]:
    """Losses, ∇ total and, where asked for, ∇ α content; see ``harness.objective.gradient.evaluate``."""
    assert objective.tile_px is not None
    plan = objective.plan(network, images, rows)
    height, width = images.shape[2:]
    halo = network.halo_px(deepest_of(plan.layers)) if plan.layers else 0
    tiles = list(tiles_of(height, width, objective.tile_px, halo)) if plan.layers else []
    sums: list[Tensor] = []
    with torch.no_grad():
        for tile in tiles:
            maps = network.maps(objective.seen(plan, tile.crop(images)), plan.layers)
            shares = objective.statistics(plan, maps, tile).all()
            sums = [total + share for total, share in zip(sums, shares, strict=True)] if sums else shares
            del maps
    num_contents = len(plan.contents)
    leaves = [total.requires_grad_() for total in sums]
    whole = images.detach().requires_grad_()
    losses = objective.losses(plan, Statistics(leaves[:num_contents], leaves[num_contents:]), whole)
    *slopes, gradient = torch.autograd.grad(
        losses.total.sum(), [*leaves, whole], allow_unused=True, materialize_grads=True
    )
    content = torch.zeros_like(images) if with_content_gradient and num_contents else None
    for tile in tiles:
        crop = tile.crop(images).detach().requires_grad_()
        maps = network.maps(objective.seen(plan, crop), plan.layers)
        shares = objective.statistics(plan, maps, tile).all()
        del maps
        terms = [(slope * share).sum() for slope, share in zip(slopes, shares, strict=True)]
        if content is not None:
            (of_tile,) = torch.autograd.grad(torch.stack(terms[:num_contents]).sum(), crop, retain_graph=True)
            tile.crop(content).add_(of_tile)
        (of_tile,) = torch.autograd.grad(torch.stack(terms).sum(), crop)
        tile.crop(gradient).add_(of_tile)
    return losses.detached(), gradient, content
