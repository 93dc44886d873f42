"""One evaluation of some rows: their losses and their images' gradients, at once or in tiles.

Shapes: b rows evaluated, H × W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.features.networks import Network
from harness.features.vgg import VGG
from harness.objective.rows import Losses, Objective
from harness.objective.tiling import evaluate_in_tiles


@dataclass
class Evaluation:
    """What an evaluation gives.

    Attributes:
        losses: without a graph.
        gradient: (b, 3, H, W) ∇ total.
        content_gradient: (b, 3, H, W) ∇ α content, 0 for a row without; None where it was not asked for or no row has a
            content term.
    """

    losses: Losses
    gradient: Tensor
    content_gradient: Tensor | None = None


@torch.enable_grad()  # type: ignore[untyped-decorator, unused-ignore]
def evaluate(
    objective: Objective, network: Network, images: Tensor, rows: Sequence[int], with_content_gradient: bool = False
) -> Evaluation:
    """Evaluate some rows, in tiles where the objective says so; the two agree to rounding.

    Args:
        objective: what each row minimises.
        network: frozen.
        images: (b, 3, H, W), one for each of ``rows``.
        rows: which rows of the batch they are.
        with_content_gradient: whether the content term's own gradient is wanted as well.
    """
    images = images.detach()
    if objective.tile_px is not None:
        assert isinstance(network, VGG), "tiles are chosen for a VGG alone"
        return Evaluation(*evaluate_in_tiles(objective, network, images, rows, with_content_gradient))
    images.requires_grad_()
    losses, content = objective(network, images, rows), None
    if with_content_gradient and losses.content_term is not None:
        (content,) = torch.autograd.grad(losses.content_term.sum(), images, retain_graph=True)
    (gradient,) = torch.autograd.grad(losses.total.sum(), images)
    return Evaluation(losses.detached(), gradient, content)
