"""The distilled network's first layer in closed form."""

from __future__ import annotations

import pytest
import torch
from tiny_vgg import photograph, tiny_state
from torch import Tensor

from harness.distillation import first_layer
from harness.distillation.first_layer import flat_and_ribbed, own_filters, with_first_layer
from harness.distillation.teacher import Teacher
from harness.features.vgg import VGG, VGG16
from harness.features.weights import LoadedWeights


def teacher_of(width: int) -> Teacher:
    state = tiny_state(11, width, 0, VGG16)
    return Teacher(LoadedWeights(state, "", ""), state)


def student_of(teacher: Teacher, num: int) -> dict[str, Tensor]:
    """A narrower network with other filters than the teacher's."""
    state = tiny_state(11, num, 1, VGG16)
    return state | {f"input.{part}": teacher.state[f"input.{part}"] for part in ("weight", "bias")}


def distance(network: VGG, a: Tensor, b: Tensor) -> float:
    """Mean squared, away from the border."""
    maps = [network(image, ["conv1_1"])["conv1_1"][..., 1:-1, 1:-1] for image in (a, b)]
    return float((maps[0] - maps[1]).square().mean())


def test_with_all_of_the_teachers_filters_distances_are_the_teachers() -> None:
    teacher, crops = teacher_of(8), [photograph(40, 44, seed) for seed in range(4)]
    state = with_first_layer(student_of(teacher, 3), teacher, crops)
    own, theirs = VGG(state, "conv1_1"), VGG(teacher.state, "conv1_1")
    for a, b in [(crops[0], crops[1]), flat_and_ribbed(0)]:
        assert distance(own, a, b) == pytest.approx(distance(theirs, a, b), rel=1e-4)


def test_own_filters_stay_in_front_and_feed_the_next_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_layer, "NUM_FILTERS", 5)
    teacher = teacher_of(8)
    before = student_of(teacher, 3)
    state = with_first_layer(before, teacher, [photograph(40, 44, 0)])
    assert state["conv1_1.weight"].shape == (5, 3, 3, 3) and state["conv1_1.readout"].shape == (5, 5)
    assert torch.equal(state["conv1_1.weight"][:3], before["conv1_1.weight"])
    image = photograph(32, 32, 7)
    deeper = [VGG(of, "conv2_1")(image, ["conv2_1"])["conv2_1"] for of in (before, state)]
    assert torch.allclose(*deeper, rtol=1e-4, atol=1e-4)
    again = with_first_layer(own_filters(state), teacher, [photograph(40, 44, 0)])
    assert all(torch.equal(state[name], again[name]) for name in state)


@pytest.mark.parametrize(("weight", "is_chosen"), [(0.0, False), (0.5, True)])
def test_a_filter_that_sees_ribs_alone_is_chosen_for_their_sake(
    weight: float, is_chosen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Photographs that are smooth have no energy there, and would have the last place go to another colour."""
    monkeypatch.setattr(first_layer, "RIBS_WEIGHT", weight)
    monkeypatch.setattr(first_layer, "NUM_FILTERS", 3)
    teacher, ribs = teacher_of(4), torch.tensor([[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]])
    colours = [torch.tensor(colour)[:, None, None] * torch.ones(3, 3, 3) for colour in ((0.9, 0, 0), (0, 0, 0.1))]
    filters = torch.stack([*colours, colours[0] + colours[1], ribs.expand(3, 3, 3)])
    state = {**teacher.state, "conv1_1.weight": filters, "conv1_1.bias": torch.zeros(4)}
    own = {**student_of(teacher, 1), "conv1_1.weight": colours[0][None], "conv1_1.bias": torch.zeros(1)}
    smooth = [torch.linspace(0, 1, 32)[:, None] * torch.tensor([1.0, 0, k])[None, :, None, None] for k in (0, 0.4, 0.8)]
    crops = [crop.expand(1, 3, 32, 32).contiguous() for crop in smooth]
    found = with_first_layer(own, Teacher(teacher.loaded, state), crops)["conv1_1.weight"]
    assert any(torch.equal(of, filters[3]) for of in found) == is_chosen


def test_ribs_are_weak_and_on_ground_of_one_colour() -> None:
    for seed in range(20):
        flat, ribbed = flat_and_ribbed(seed)
        assert float((flat - flat[..., :1, :1]).abs().max()) == 0
        assert 0.01 < float((ribbed - flat).abs().max()) < 0.06
