"""The objective of a batch: every row its own terms, none touched by its neighbours."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from tiny_vgg import photograph, tiny_state
from torch import Tensor

from harness.features.vgg import VGG
from harness.images.colour import grey
from harness.objective.equations import total_variation_loss
from harness.objective.gradient import evaluate
from harness.objective.rows import Objective, RowObjective, StylePart
from harness.photorealism.laplacian import affine_loss, matting_laplacian

ROWS = [
    RowObjective(1e-3, 1.0, {"conv2_1": 1.0}, {"conv1_1": 0.5, "conv2_1": 0.5}),
    RowObjective(0.5, 2.0, {"conv1_2": 1.0, "conv2_2": 0.3}, {"conv1_1": 1.0}, "printed", content=1),
    RowObjective(0.0, 1.0, {"conv2_2": 1.0}, {"conv2_2": 1.0}, "neural_style", styles=(StylePart(1),)),
    RowObjective(1.0, 0.0, {"conv1_1": 1.0}, {}, content=1, styles=(StylePart(1),)),
]


def make() -> tuple[VGG, Objective, Tensor]:
    network = VGG(tiny_state(4, 3, 0))
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
    losses = objective(network, images[[0, 3]], [0, 3])
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


# The terms beside equation 7, several paintings, and the luminance: rows of one batch, each with its own.
STYLE = {"conv1_1": 0.5, "conv2_1": 0.5}
MIXED = [
    RowObjective(
        0.1, 1.0, {"conv2_1": 1.0}, STYLE, styles=(StylePart(1, 11.3), StylePart(0, 1.7), StylePart(0, 2.3, own_mask=0))
    ),
    RowObjective(0.1, 1.0, {"conv2_1": 1.0}, STYLE, terms={"total_variation": 0.7, "photorealism": 2.0}, content=1),
    RowObjective(0.1, 1.0, {"conv2_1": 1.0}, STYLE, luminance=True, terms={"total_variation": 0.1}),
    RowObjective(0.1, 1.0, {"conv2_1": 1.0}, STYLE),
    RowObjective(0.0, 1.0, {}, STYLE, styles=(StylePart(0, 1.0, mask=1, own_mask=0), StylePart(1, 1.0, mask=0))),
]


def make_mixed(rows: list[RowObjective], only: int | None = None) -> tuple[VGG, Objective, Tensor]:
    """Some rows with all of the batch's images; or one alone, with only the images and masks that it uses."""
    network = VGG(tiny_state(4, 3, 0)).double()
    contents = [photograph(16, 12, seed)[0].double() for seed in (1, 2)]
    styles = [photograph(16, 12, 3)[0].double(), photograph(10, 20, 4)[0].double()]
    masks, own_masks = (
        [photograph(16, 12, seed)[0, 0].double() for seed in (5, 6)],
        [photograph(16, 12, 7)[0, 0].double()],
    )
    images = torch.cat([photograph(16, 12, 10 + i) for i in range(len(rows))]).double()
    if only is not None:
        row, images = rows[only], images[only : only + 1]
        used = list(dict.fromkeys(part.mask for part in row.styles if part.mask is not None))
        paintings = list(dict.fromkeys(part.image for part in row.styles))
        parts = tuple(
            StylePart(
                paintings.index(part.image),
                part.weight,
                None if part.mask is None else used.index(part.mask),
                part.own_mask,
            )
            for part in row.styles
        )
        contents, rows = [contents[row.content]], [replace(row, content=0, styles=parts)]
        styles, masks = [styles[k] for k in paintings], [masks[k] for k in used]
    return network, Objective(rows, network, contents, styles, masks, own_masks), images


@pytest.mark.parametrize("row", range(len(MIXED)))
def test_row_has_the_bits_of_the_row_alone_whatever_its_neighbours_are(row: int) -> None:
    """One row at a time, as on the CPU: the numbers of the batch's images must not matter."""
    network, objective, images = make_mixed(MIXED)
    _, own_objective, own_image = make_mixed(MIXED, row)
    in_batch = evaluate(objective, network, images[row : row + 1], [row], with_content_gradient=True)
    alone = evaluate(own_objective, network, own_image, [0], with_content_gradient=True)
    assert torch.equal(in_batch.losses.total, alone.losses.total)
    assert torch.equal(in_batch.gradient, alone.gradient)
    for layer, measured in alone.losses.style_layers.items():
        assert torch.equal(in_batch.losses.style_layers[layer], measured)


def test_mixed_rows_together_have_the_losses_and_gradients_of_the_rows_alone() -> None:
    network, objective, images = make_mixed(MIXED)
    together = evaluate(objective, network, images, range(len(MIXED)), with_content_gradient=True)
    for row in range(len(MIXED)):
        alone = evaluate(objective, network, images[row : row + 1], [row], with_content_gradient=True)
        torch.testing.assert_close(together.losses.total[row], alone.losses.total[0], rtol=1e-12, atol=0)
        torch.testing.assert_close(together.gradient[row], alone.gradient[0], rtol=1e-10, atol=1e-12)
        if alone.content_gradient is not None and together.content_gradient is not None:
            torch.testing.assert_close(
                together.content_gradient[row], alone.content_gradient[0], rtol=1e-10, atol=1e-12
            )


def test_style_of_several_paintings_is_the_weighted_sum_of_theirs() -> None:
    parts = [(1, 0.3), (0, 2.0), (0, 0.5)]
    base = MIXED[3]
    several = replace(base, styles=tuple(StylePart(image, weight) for image, weight in parts))
    singles = [replace(base, styles=(StylePart(image),)) for image, _ in parts]
    network, objective, images = make_mixed([several, *singles])
    losses = objective(network, images[:1].expand(4, -1, -1, -1), [0, 1, 2, 3])
    weights = torch.tensor([weight for _, weight in parts], dtype=torch.float64)
    assert float(losses.style[0]) == pytest.approx(float(weights @ losses.style[1:]), rel=1e-12)
    for measured in losses.style_layers.values():
        assert float(measured[0]) == pytest.approx(float(weights @ measured[1:]), rel=1e-12)


def test_regularisers_are_added_with_their_weights_and_measured_without() -> None:
    network, objective, images = make_mixed(MIXED)
    losses = objective(network, images, range(len(MIXED)))
    assert [math.isnan(value) for value in losses.terms["total_variation"]] == [True, False, False, True, True]
    assert [math.isnan(value) for value in losses.terms["photorealism"]] == [True, False, True, True, True]
    assert float(losses.terms["total_variation"][2]) == pytest.approx(
        float(total_variation_loss(images[2:3])), rel=1e-12
    )
    of_photograph = affine_loss(images[1:2], matting_laplacian(photograph(16, 12, 2)[0].double()))
    assert float(losses.terms["photorealism"][1]) == pytest.approx(float(of_photograph) / (16 * 12), rel=1e-12)
    for row, spec in enumerate(MIXED):
        total = spec.alpha * losses.content[row].nan_to_num() + spec.beta * losses.style[row]
        for name, weight in spec.terms.items():
            total = total + weight * losses.terms[name][row]
        assert float(losses.total[row]) == pytest.approx(float(total), rel=1e-12)


def test_batch_without_regularisers_has_none_measured() -> None:
    network, objective, images = make()
    losses = objective(network, images, [0, 1, 2, 3])
    assert not losses.terms


def test_luminance_row_sees_grey_images_and_its_gradient_has_one_colour() -> None:
    """The objective of grey images; a picture's I and Q change nothing, except for the regularisers, which see them."""
    row = replace(MIXED[2], terms={"total_variation": 0.0})
    network, objective, images = make_mixed([row])
    of_grey = Objective(
        [replace(row, luminance=False)],
        network,
        [grey(photograph(16, 12, 1)[0].double())],
        [grey(photograph(16, 12, 3)[0].double())],
    )
    found = evaluate(objective, network, images, [0])
    assert float(found.losses.total) == pytest.approx(float(of_grey(network, grey(images), [0]).total), rel=1e-12)
    per_luminance = found.gradient[0] / torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)[:, None, None]
    torch.testing.assert_close(per_luminance[0], per_luminance[1], rtol=1e-9, atol=1e-15)
    torch.testing.assert_close(per_luminance[0], per_luminance[2], rtol=1e-9, atol=1e-15)


def test_part_of_weight_zero_is_not_computed() -> None:
    """Not multiplied by 0 either: its target is not there."""
    row = replace(MIXED[3], styles=(StylePart(1, 0.0), StylePart(0)))
    _, objective, _ = make_mixed([row])
    assert {name for name, _ in objective.named_buffers()} == {
        "content_conv2_1_0",
        "style_conv1_1_0",
        "style_conv2_1_0",
    }
    assert replace(row, styles=(StylePart(1, 0.0),)).weighed_style() == ()


def test_gradient_is_that_of_differences() -> None:
    """∇ total against central differences, for all terms at once."""
    terms = {"total_variation": 0.3, "photorealism": 4.0}
    row = replace(MIXED[4], content=1, alpha=0.5, content_layers={"conv2_2": 1.0}, terms=terms)
    network, objective, images = make_mixed([row])
    gradient = evaluate(objective, network, images, [0]).gradient
    direction = torch.randn(images.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    h = 1e-6
    ahead, behind = (objective(network, images + step * direction, [0]).total for step in (h, -h))
    assert float((gradient * direction).sum()) == pytest.approx(float((ahead - behind) / (2 * h)), rel=1e-6)
