"""The objective of a batch: every row its own terms, none touched by its neighbours."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_vgg import photograph, tiny_state
from torch import Tensor

from harness.features.vgg import VGG19
from harness.objective.rows import Objective, RowObjective

ROWS = [
    RowObjective(1e-3, 1.0, {"conv2_1": 1.0}, {"conv1_1": 0.5, "conv2_1": 0.5}),
    RowObjective(0.5, 2.0, {"conv1_2": 1.0, "conv2_2": 0.3}, {"conv1_1": 1.0}, "printed", content=1),
    RowObjective(0.0, 1.0, {"conv2_2": 1.0}, {"conv2_2": 1.0}, "neural_style", style=1),
    RowObjective(1.0, 0.0, {"conv1_1": 1.0}, {}, content=1, style=1),
]


def make() -> tuple[VGG19, Objective, Tensor]:
    network = VGG19(tiny_state(4, 3, 0))
    contents = [photograph(16, 12, seed)[0] for seed in (1, 2)]
    styles = [photograph(16, 12, 3)[0], photograph(10, 20, 4)[0]]
    return (
        network,
        Objective(ROWS, network, contents, styles),
        torch.cat([photograph(16, 12, 10 + i) for i in range(4)]),
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_row_of_a_batch_has_the_loss_and_gradient_of_the_row_alone(dtype: torch.dtype) -> None:
    network, objective, images = make()
    network, objective, images = network.to(dtype), objective.to(dtype), images.to(dtype).requires_grad_()
    together = objective(network, images, [0, 1, 2, 3])
    (gradient,) = torch.autograd.grad(together.total.sum(), images)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    for row in range(4):
        alone = images[row : row + 1].detach().requires_grad_()
        losses = objective(network, alone, [row])
        (own,) = torch.autograd.grad(losses.total.sum(), alone)
        assert float(losses.total.detach()) == pytest.approx(float(together.total[row].detach()), rel=tolerance)
        torch.testing.assert_close(own[0], gradient[row], rtol=tolerance, atol=tolerance * float(own.abs().max()))


def test_terms_that_a_row_does_not_weigh_are_not_measured() -> None:
    network, objective, images = make()
    losses = objective(network, images, [0, 1, 2, 3])
    assert math.isnan(losses.content[2]) and math.isnan(losses.style[3])
    assert not any(math.isnan(value) for value in losses.total)
    assert [math.isnan(value) for value in losses.style_layers["conv2_1"]] == [False, True, True, True]


def test_infinite_layer_that_a_row_does_not_weigh_cannot_reach_it() -> None:
    """0 · inf is NaN: a layer must be left out, not multiplied by 0."""
    network, objective, images = make()
    network.bias("conv2_2").fill_(math.inf)
    losses = objective(network, images, [0, 3])
    assert all(math.isfinite(value) for value in losses.total)
    assert not math.isfinite(objective(network, images[:1], [2]).total)


def test_total_is_alpha_content_plus_beta_style() -> None:
    network, objective, images = make()
    losses = objective(network, images, [0, 1, 2, 3])
    for row, spec in enumerate(ROWS):
        content = spec.alpha * float(losses.content[row]) if spec.alpha else 0.0
        style = spec.beta * float(losses.style[row]) if spec.beta else 0.0
        assert float(losses.total[row]) == pytest.approx(content + style, rel=1e-6)


def test_targets_are_stored_once_per_distinct_image_and_only_where_needed() -> None:
    _, objective, _ = make()
    names = {name for name, _ in objective.named_buffers()}
    assert names == {
        "content_conv2_1_0", "content_conv1_2_1", "content_conv2_2_1", "content_conv1_1_1",
        "style_conv1_1_0", "style_conv2_1_0", "style_conv2_2_1",
    }  # fmt: skip
    assert not objective.state_dict() and not list(objective.parameters())
