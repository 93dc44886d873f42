"""Spatial guidance: each painting's share of the style term on a region of the picture, from a region of its own."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_vgg import photograph, tiny_state
from torch import Tensor

from harness.features.vgg import LAYERS, VGG, map_shape
from harness.objective.explain import convert, terms_of
from harness.objective.gradient import evaluate
from harness.objective.guidance import Guidance
from harness.objective.rows import Objective, RowObjective, StylePart

STYLE = {"conv1_1": 0.3, "conv2_2": 0.5, "conv3_1": 0.2}
ROW = RowObjective(0.0, 1.3, {}, STYLE)
HEIGHT, WIDTH = 37, 46


def mask(seed: int, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    return photograph(height, width, seed)[0, 0].double()


def make(
    rows: list[RowObjective], masks: list[Tensor], own_masks: list[Tensor], tile_px: int | None = None
) -> tuple[VGG, Objective, Tensor]:
    network = VGG(tiny_state(width=3)).double()
    contents, styles = [photograph(HEIGHT, WIDTH, 1)[0].double()], [photograph(30, 41, s)[0].double() for s in (2, 3)]
    images = torch.cat([photograph(HEIGHT, WIDTH, 4) for _ in rows]).double()
    return network, Objective(rows, network, contents, styles, masks, own_masks, tile_px=tile_px), images


@settings(deadline=None, max_examples=20)
@given(height=st.integers(16, 50), width=st.integers(16, 50), layer=st.sampled_from(LAYERS), seed=st.integers(0, 99))
def test_guidance_is_the_mean_over_each_positions_pixels(height: int, width: int, layer: str, seed: int) -> None:
    T = mask(seed, height, width)
    h, w = map_shape(layer, height, width)
    factor = 2 ** (int(layer[4]) - 1)
    guidance = Guidance([T]).at(0, int(layer[4]))
    assert guidance.shape == (h, w)
    for i in range(h):
        for j in range(w):
            pixels = T[i * factor : (i + 1) * factor, j * factor : (j + 1) * factor]
            assert float(guidance[i, j]) == pytest.approx(float(pixels.mean()), rel=1e-12)


def test_guided_style_term_by_loops_over_parts_layers_and_positions() -> None:
    """β Σ_parts ω Σ_l w_l Σ (G_r − A_r)² / N², each Gram matrix Σ_k t_k² F_k F_kᵀ / Σ_k t_k²."""
    masks, own_masks = [mask(5), mask(6)], [mask(7, 30, 41)]
    parts = (StylePart(0, 0.7, mask=1, own_mask=0), StylePart(1, 1.9, mask=0), StylePart(1, 0.4, own_mask=0))
    network, objective, image = make([replace(ROW, styles=parts)], masks, own_masks)
    F = network(image, STYLE)
    S = [network(photograph(30, 41, seed).double(), STYLE) for seed in (2, 3)]

    def gram_of(features: Tensor, T: Tensor | None, layer: str) -> Tensor:
        N, h, w = features.shape[1:]
        factor = 2 ** (int(layer[4]) - 1)
        G, squares = torch.zeros(N, N, dtype=torch.float64), 0.0
        for i in range(h):
            for j in range(w):
                pixels = (
                    ()
                    if T is None
                    else (slice(i * factor, i * factor + factor), slice(j * factor, j * factor + factor))
                )
                t = 1.0 if T is None else float(T[pixels].mean())
                G += t**2 * torch.outer(features[0, :, i, j], features[0, :, i, j])
                squares += t**2
        return G / squares

    expected = 0.0
    for part in parts:
        for layer, weight in STYLE.items():
            G = gram_of(F[layer], None if part.mask is None else masks[part.mask], layer)
            A = gram_of(S[part.image][layer], None if part.own_mask is None else own_masks[part.own_mask], layer)
            expected += part.weight * weight * float((G - A).square().mean())
    assert float(objective(network, image, [0]).style) == pytest.approx(expected, rel=1e-9)
    assert float(objective(network, image, [0]).total) == pytest.approx(1.3 * expected, rel=1e-9)


def test_mask_of_ones_is_no_mask() -> None:
    whole, own = torch.ones(HEIGHT, WIDTH, dtype=torch.float64), torch.ones(30, 41, dtype=torch.float64)
    masked = replace(ROW, styles=(StylePart(1, 1.0, 0, 0),))
    network, objective, images = make([masked, replace(ROW, styles=(StylePart(1),))], [whole], [own])
    found = evaluate(objective, network, images, [0, 1])
    assert float(found.losses.total[0]) == pytest.approx(float(found.losses.total[1]), rel=1e-12)
    torch.testing.assert_close(found.gradient[0], found.gradient[1], rtol=1e-9, atol=1e-12)


def test_pixels_outside_a_mask_and_beyond_its_layers_reach_have_no_gradient() -> None:
    """conv1_1 sees one pixel around its own: two away from the region nothing pulls."""
    left = torch.zeros(HEIGHT, WIDTH, dtype=torch.float64)
    left[:, :20] = 1
    row = replace(ROW, style_layers={"conv1_1": 1.0}, styles=(StylePart(mask=0),))
    network, objective, image = make([row], [left], [])
    columns = evaluate(objective, network, image, [0]).gradient.abs().amax((0, 1, 2))
    assert (columns[:21] > 0).all() and (columns[21:] == 0).all()


def test_each_region_takes_its_own_painting() -> None:
    """A row with two masks has the sum of what each part has alone; exchanging the masks is something else."""
    masks = [mask(5), mask(6)]
    both = replace(ROW, styles=(StylePart(0, 1.0, 0), StylePart(1, 1.0, 1)))
    exchanged = replace(ROW, styles=(StylePart(0, 1.0, 1), StylePart(1, 1.0, 0)))
    first, second = replace(ROW, styles=both.styles[:1]), replace(ROW, styles=both.styles[1:])
    network, objective, images = make([both, exchanged, first, second], masks, [])
    style = objective(network, images, range(4)).style
    assert float(style[0]) == pytest.approx(float(style[2] + style[3]), rel=1e-12)
    assert float(style[0]) != pytest.approx(float(style[1]), rel=1e-3)


@pytest.mark.parametrize("tile_px", [None, 16])
def test_layer_at_which_less_than_a_position_is_left_does_not_count(tile_px: int | None) -> None:
    """Of a region of 3 × 3 pixels Σ t² is 9 at conv1_1, 1 + ¼ + ¼ + 1/16 at conv2_2, and (9/16)² at conv3_1."""
    small = torch.zeros(HEIGHT, WIDTH, dtype=torch.float64)
    small[8:11, 8:11] = 1
    row = replace(ROW, styles=(StylePart(mask=0), StylePart(1)))
    network, objective, image = make([row, replace(row, styles=row.styles[:1])], [small], [], tile_px)
    without = replace(
        ROW, style_layers={layer: STYLE[layer] for layer in ("conv1_1", "conv2_2")}, styles=row.styles[:1]
    )
    _, reduced, _ = make([without], [small], [], tile_px)
    alone = evaluate(objective, network, image[:1], [1]).losses
    assert alone.style_layers["conv3_1"].isnan().all() and not alone.total.isnan().any()
    assert torch.equal(alone.total, evaluate(reduced, network, image[:1], [0]).losses.total)
    assert not any(
        values.isnan().any() for values in evaluate(objective, network, image[:1], [0]).losses.style_layers.values()
    )


@pytest.mark.parametrize("side", ["picture", "painting"])
def test_empty_mask_is_refused(side: str) -> None:
    masks = [torch.zeros(HEIGHT, WIDTH, dtype=torch.float64), mask(5)]
    own_masks = [torch.zeros(30, 41, dtype=torch.float64)]
    part = StylePart(mask=0) if side == "picture" else StylePart(mask=1, own_mask=0)
    with pytest.raises(ValueError, match="leaves less than one position"):
        make([replace(ROW, styles=(part, StylePart()))], masks, own_masks)
    make([replace(ROW, styles=(replace(part, weight=0.0), StylePart()))], masks, own_masks)


@pytest.mark.parametrize(
    "bad", [torch.ones(WIDTH, HEIGHT), 2 * torch.ones(HEIGHT, WIDTH), torch.ones(1, HEIGHT, WIDTH)]
)
def test_mask_of_another_size_or_range_is_refused(bad: Tensor) -> None:
    with pytest.raises(ValueError, match="mask 0 has"):
        make([replace(ROW, styles=(StylePart(mask=0),))], [bad.double()], [])
    with pytest.raises(ValueError, match="mask 0 of paintings has"):
        make([replace(ROW, styles=(StylePart(own_mask=0),))], [], [bad.double()])


def test_targets_are_shared_by_parts_and_rows_that_differ_only_in_where_they_go() -> None:
    masks, own_masks = [mask(5), mask(6)], [mask(7, 30, 41)]
    parts = (StylePart(0, 1.0, 0, 0), StylePart(0, 2.0, 1, 0), StylePart(0))
    _, objective, _ = make([replace(ROW, styles=parts), replace(ROW, styles=parts[:1])], masks, own_masks)
    assert {name for name, _ in objective.named_buffers() if name.startswith("style")} == {
        f"style_{layer}_0{region}" for layer in STYLE for region in ("", "_mask0")
    }


def test_terms_of_several_parts_are_weights_times_omega_and_convert_as_one() -> None:
    row = replace(ROW, styles=(StylePart(0, 0.5), StylePart(1, 0.0), StylePart(1, 2.0)))
    shapes = {"conv1_1": (3, 100), "conv2_2": (3, 50), "conv3_1": (3, 25)}
    terms = terms_of(row, shapes)
    assert [(term.part, term.layer, term.weight) for term in terms] == [
        (part, layer, ω * STYLE[layer]) for layer in STYLE for part, ω in ((0, 0.5), (2, 2.0))
    ]
    assert all(term.printed == pytest.approx(1.3 * term.weight * 4) for term in terms)
    assert convert(row, shapes, "released").beta == pytest.approx(dict.fromkeys(STYLE, 1.3))
