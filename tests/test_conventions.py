"""Each project's objective, written out independently as that project computes it, against the registry."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest
import torch
from tiny_vgg import photograph, tiny_state
from torch import Tensor
from torch.nn.functional import mse_loss

from harness.config.transfer_parts import Convention
from harness.features.vgg import VGG
from harness.objective.conventions import CONVENTIONS
from harness.objective.explain import convert
from harness.objective.rows import Objective, RowObjective

CONTENT, STYLE = "conv2_1", ("conv1_1", "conv2_1")
ALPHA, BETA = 0.7, 1.3


def released(F: Tensor, P: Tensor, maps: list[tuple[Tensor, Tensor]]) -> Tensor:
    """α·mean (F−P)² + β·Σ w_l·mean (G/M − A/M)²."""
    style = sum(0.2 * mse_loss(f @ f.T / f.shape[1], s @ s.T / s.shape[1]) for f, s in maps)
    return ALPHA * mse_loss(F, P) + BETA * style


def printed(F: Tensor, P: Tensor, maps: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Equations 1, 4, 5, 7 with loops over entries."""
    content = sum(float((a - b) ** 2) for a, b in zip(F.flatten(), P.flatten(), strict=True)) / 2
    style = 0.0
    for f, s in maps:
        G, A = f @ f.T / f.shape[1], s @ s.T / s.shape[1]
        style += (
            0.2 * sum(float((g - a) ** 2) for g, a in zip(G.flatten(), A.flatten(), strict=True)) / (4 * len(f) ** 2)
        )
    return torch.tensor(ALPHA * content + BETA * style, dtype=torch.float64)


def neural_style(F: Tensor, P: Tensor, maps: list[tuple[Tensor, Tensor]]) -> Tensor:
    """neural_style.lua: the Gram matrix is divided by the number of elements, both losses are MSECriterion."""
    style = sum(0.2 * mse_loss(f @ f.T / f.numel(), s @ s.T / s.numel()) for f, s in maps)
    return ALPHA * mse_loss(F, P) + BETA * style


def notebook(F: Tensor, P: Tensor, maps: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The notebook: GramMSELoss divides by h·w, and the style weights are 1e3/n² for n filters."""
    style = sum(0.2 * 1e3 / len(f) ** 2 * mse_loss(f @ f.T / f.shape[1], s @ s.T / s.shape[1]) for f, s in maps)
    return ALPHA * mse_loss(F, P) + BETA * style


def neural_image_synthesis(F: Tensor, P: Tensor, maps: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The preset: 1e6 for content, 1e9 for style."""
    style = sum(0.2 * 1e9 * mse_loss(f @ f.T / f.shape[1], s @ s.T / s.shape[1]) for f, s in maps)
    return ALPHA * 1e6 * mse_loss(F, P) + BETA * style


def deep_textures(F: Tensor, P: Tensor, maps: list[tuple[Tensor, Tensor]]) -> Tensor:
    """1e9 times the printed equations."""
    return 1e9 * printed(F, P, maps)


def gordicaleksa(F: Tensor, P: Tensor, maps: list[tuple[Tensor, Tensor]]) -> Tensor:
    """gram_matrix divides by ch·h·w; the style loss is MSELoss(reduction="sum"), averaged over layers (w_l = 1/5)."""
    style = sum(0.2 * mse_loss(f @ f.T / f.numel(), s @ s.T / s.numel(), reduction="sum") for f, s in maps)
    return ALPHA * mse_loss(F, P) + BETA * style


FORMULAS: dict[str, Callable[[Tensor, Tensor, list[tuple[Tensor, Tensor]]], Tensor]] = {
    function.__name__: function
    for function in (released, printed, neural_style, notebook, neural_image_synthesis, deep_textures, gordicaleksa)
}


def test_every_convention_has_an_independent_formula_and_a_name_in_the_configuration() -> None:
    assert set(FORMULAS) == set(CONVENTIONS) == set(get_args(Convention))


@pytest.mark.parametrize("name", FORMULAS)
def test_convention_equals_its_projects_formula(name: str) -> None:
    network = VGG(tiny_state(3, 3, 0)).double()
    content, style, picture = (photograph(12, 16, seed).double() for seed in (1, 2, 3))
    style = style[:, :, :10, :14]  # another size: every Gram matrix is divided by its own map's area
    row = RowObjective(ALPHA, BETA, {CONTENT: 1.0}, dict.fromkeys(STYLE, 0.2), name)
    measured = Objective([row], network, [content[0]], [style[0]])(network, picture, [0])
    of = {image: network(image, {CONTENT, *STYLE}) for image in (content, style, picture)}
    maps = [(of[picture][layer][0].flatten(1), of[style][layer][0].flatten(1)) for layer in STYLE]
    expected = FORMULAS[name](of[picture][CONTENT][0], of[content][CONTENT][0], maps)
    assert float(measured.total) == pytest.approx(float(expected), rel=1e-9)
    assert float(measured.total) == pytest.approx(float(ALPHA * measured.content + BETA * measured.style), rel=1e-12)


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("other", FORMULAS)
def test_converted_weights_mean_the_same_objective(name: str, other: str) -> None:
    network = VGG(tiny_state(3, 3, 0)).double()
    content, style, picture = (photograph(12, 16, seed).double() for seed in (1, 2, 3))
    row = RowObjective(ALPHA, BETA, {CONTENT: 1.0}, dict.fromkeys(STYLE, 0.2), name)
    shapes = {layer: (f.shape[1], f.shape[2] * f.shape[3]) for layer, f in network(picture, {CONTENT, *STYLE}).items()}
    converted = convert(row, shapes, other)
    again = RowObjective(
        1.0, 1.0, dict(converted.alpha), {layer: 0.2 * beta for layer, beta in converted.beta.items()}, other
    )
    totals = [
        float(Objective([r], network, [content[0]], [style[0]])(network, picture, [0]).total) for r in (row, again)
    ]
    assert totals[1] == pytest.approx(totals[0], rel=1e-9)


def test_printed_equivalents_of_mean_units_are_those_of_the_paper() -> None:
    """(a, b) in mean units equals α = 2a/(N M) and β = 4b in the printed equations."""
    row = RowObjective(1e-3, 1.0, {"conv4_2": 1.0}, {"conv1_1": 0.2}, "released")
    converted = convert(row, {"conv4_2": (512, 1024), "conv1_1": (64, 65536)}, "printed")
    assert converted.alpha["conv4_2"] == pytest.approx(2 * 1e-3 / (512 * 1024))
    assert converted.beta["conv1_1"] == pytest.approx(4.0)
