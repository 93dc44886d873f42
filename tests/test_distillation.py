"""Distilling the embedded network: what is measured, chosen, stored and trained, and that all of it resumes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from host_reads import CountedFloats
from tiny_vgg import VGG16_LAYERS, photograph, tiny_state
from torch import Tensor

from harness.distillation import on_policy
from harness.distillation.card import make_card, widths_in_words, with_pictures
from harness.distillation.crops import make_crop, recoloured
from harness.distillation.image_sets import Images, ImageSets, is_held_out
from harness.distillation.muon import Muon
from harness.distillation.on_policy import (
    KEPT_AFTER,
    Comparison,
    compare_pictures,
    geometric_mean,
    make_pictures,
    optimise,
    total_of_picture,
)
from harness.distillation.quality import measure_quality
from harness.distillation.recipe import Recipe, feeding_for, widths_for
from harness.distillation.selection import LayerStart, choose_filters, held_start, selected_start, widened_start
from harness.distillation.store import TargetStore, store_bytes
from harness.distillation.student import Student
from harness.distillation.targets import Directions, Moments, measure_moments, principal_directions
from harness.distillation.teacher import Teacher
from harness.distillation.training import Schedule, best_readouts, layer_loss, layer_weight, train
from harness.errors import UsageError
from harness.features.sources import WeightsFile
from harness.features.vgg import VGG, VGG16, with_all_filters
from harness.features.weights import LoadedWeights, load_state

LAYERS = VGG16_LAYERS[:5]
SCHEDULE = Schedule(steps=6, batch=2, muon_rate=0.01, adam_rate=1e-3, warmup=2, seed=3)


def make_teacher(num_layers: int = 5, width: int = 6) -> VGG:
    return VGG(tiny_state(num_layers, width, 0, VGG16))


def photographs(num: int = 3) -> list[Tensor]:
    return [photograph(40, 44, seed) for seed in range(num)]


def as_bytes(images: list[Tensor]) -> list[Tensor]:
    return [(image[0] * 255).to(torch.uint8) for image in images]


def learned(teacher: VGG, K: int) -> tuple[dict[str, Moments], dict[str, Directions]]:
    moments = measure_moments(teacher, photographs(), teacher.layers)
    return moments, principal_directions(moments, dict.fromkeys(teacher.layers, K))


def make_student(teacher: VGG, K: int = 3, num_fed: int | None = None) -> tuple[Student, dict[str, Directions]]:
    moments, directions = learned(teacher, K)
    start = selected_start(teacher, moments, directions, dict.fromkeys(directions, num_fed or K))
    return Student(start, teacher.weight("input"), teacher.bias("input")), directions


def filled_store(folder: Path, teacher: VGG, directions: Mapping[str, Directions], num: int = 5) -> TargetStore:
    store = TargetStore(folder, num, 32, {layer: of.num for layer, of in directions.items()})
    store.fill(lambda index: make_crop(as_bytes(photographs()), 32, 0, index), teacher, directions)
    return store


# What is measured


def test_held_out_images_are_a_twentieth_by_the_hash_of_their_names() -> None:
    names = [f"{number}.jpg" for number in range(4000)]
    assert 150 < sum(map(is_held_out, names)) < 250
    assert is_held_out("bsds_105025.jpg") and not is_held_out("bsds_100075.jpg")


def test_few_paintings_are_shown_as_often_as_makes_them_a_fifth() -> None:
    photos, paintings = (
        [torch.full((3, 8, 8), n, dtype=torch.uint8) for n in numbers] for numbers in (range(80), [200, 201])
    )
    mixed = Images(tuple(photos), tuple(paintings)).mixed(0)
    assert len(mixed) == 100 and sum(int(image[0, 0, 0]) >= 200 for image in mixed) == 20
    assert [int(i[0, 0, 0]) for i in mixed] != [
        int(i[0, 0, 0]) for i in Images(tuple(photos), tuple(paintings)).mixed(1)
    ]


def test_moments_are_means_over_all_positions_of_all_images() -> None:
    teacher = make_teacher()
    images = [photograph(20, 24, 1), photograph(24, 20, 2)]
    for layer, of in measure_moments(teacher, images, LAYERS).items():
        F = torch.cat([teacher(image, [layer])[layer][0].flatten(1) for image in images], 1).double()
        torch.testing.assert_close(of.second, F @ F.T / F.shape[1], rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(of.first, F.mean(1), rtol=1e-5, atol=1e-7)


def test_principal_directions_are_numpys_left_singular_vectors() -> None:
    teacher = make_teacher()
    moments, directions = learned(teacher, 3)
    for layer in LAYERS:
        F = torch.cat([teacher(image, [layer])[layer][0].flatten(1) for image in photographs()], 1).double().numpy()
        U, singular, _ = np.linalg.svd(F, full_matrices=False)
        own, energies = directions[layer], singular**2 / F.shape[1]
        np.testing.assert_allclose(own.energy.numpy(), energies[:3], rtol=1e-4)
        np.testing.assert_allclose(np.abs((own.basis.numpy() * U[:, :3]).sum(0)), 1, rtol=1e-3)
        assert own.share == pytest.approx(energies[:3].sum() / energies.sum(), rel=1e-5)
        np.testing.assert_allclose(own.mean.numpy(), own.basis.numpy().T @ F.mean(1), rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(own.variance.numpy(), (own.basis.numpy().T @ F).var(1), rtol=1e-2, atol=1e-4)


def test_filters_that_are_not_compared_are_no_directions() -> None:
    teacher = make_teacher()
    moments, _ = learned(teacher, 3)
    kept = torch.tensor([0, 2, 3, 5])
    own = principal_directions(moments, {"conv2_1": 4}, {"conv2_1": kept})["conv2_1"]
    assert own.num_compared == 4 and own.share == pytest.approx(1)
    assert bool((own.basis[[1, 4]] == 0).all())
    torch.testing.assert_close(own.basis.T @ own.basis, torch.eye(4, dtype=torch.float64))
    torch.testing.assert_close(own.energy.sum(), moments["conv2_1"].second.diagonal()[kept].sum())


# Where the student starts


def residual_by_lstsq(F: np.ndarray, chosen: list[int]) -> float:
    found, *_ = np.linalg.lstsq(F[chosen].T, F.T, rcond=None)
    return float(((F - (F[chosen].T @ found).T) ** 2).sum())


def test_choose_filters_is_the_greedy_choice_by_brute_force() -> None:
    F = np.random.default_rng(0).standard_normal((7, 40)) * np.logspace(0, -1, 7)[:, None]
    F[4] = F[0] + 0.1 * F[4]
    C = torch.from_numpy(F @ F.T / F.shape[1])
    chosen: list[int] = []
    for num in range(1, 8):
        left = {index: residual_by_lstsq(F, [*chosen, index]) for index in range(7) if index not in chosen}
        chosen.append(min(left, key=lambda index: left[index]))
        assert choose_filters(C, num) == chosen
        if num in (2, 3):
            best = min(residual_by_lstsq(F, list(some)) for some in itertools.combinations(range(7), num))
            assert residual_by_lstsq(F, chosen) < 1.5 * best


def test_chosen_filters_of_a_low_rank_explain_everything() -> None:
    F = np.random.default_rng(1).standard_normal((3, 50))
    F = np.random.default_rng(2).standard_normal((8, 3)) @ F
    chosen = choose_filters(torch.from_numpy(F @ F.T / 50), 3)
    assert residual_by_lstsq(F, chosen) < 1e-12 * float((F**2).sum())
    assert len(set(choose_filters(torch.from_numpy(F @ F.T / 50), 6))) == 6  # more than the rank: others, each once


def test_student_of_full_width_starts_as_its_teacher() -> None:
    teacher = make_teacher()
    student, directions = make_student(teacher, 6)
    image = photograph(32, 36, 9)
    theirs = teacher(image, LAYERS)
    for layer, S in student(image).items():
        torch.testing.assert_close(S.detach(), theirs[layer], rtol=1e-3, atol=1e-3)
        T = theirs[layer].permute(0, 2, 3, 1).flatten(1, 2) @ directions[layer].basis.float()
        read = student.read(layer, S).detach() * directions[layer].energy.sqrt().float()
        torch.testing.assert_close(read, T, rtol=1e-3, atol=1e-4 * float(T.abs().max()))


def test_filters_behind_those_that_feed_the_next_layer_are_read_out_and_change_nothing_else(tmp_path: Path) -> None:
    teacher = make_teacher()
    wide, directions = make_student(teacher, 5, num_fed=3)
    narrow, _ = make_student(teacher, 3)
    image = photograph(32, 36, 9)
    maps, narrower = wide(image), narrow(image)
    for layer, S in maps.items():
        assert S.shape[1] == 5 and wide.weights[layer].shape[1] == 3
        torch.testing.assert_close(S[:, :3], narrower[layer], rtol=1e-4, atol=1e-3)  # from the same three channels
    path = tmp_path / "wide.safetensors"
    safetensors.torch.save_file(wide.state(directions), path)
    network = VGG(load_state(WeightsFile(path)).state).double()  # in which nothing but what the file rounds is left
    maps = wide.double()(image.double())
    for layer, compared in network(image.double(), LAYERS).items():
        K, N = directions[layer].num, directions[layer].num_compared
        read = wide.read(layer, maps[layer]) * directions[layer].energy.sqrt() * (K / N) ** 0.5
        torch.testing.assert_close(compared.permute(0, 2, 3, 1).flatten(1, 2), read.detach(), rtol=1e-4, atol=1e-5)


def test_training_does_not_change_what_it_started_from() -> None:
    teacher = make_teacher()
    moments, directions = learned(teacher, 3)
    start = selected_start(teacher, moments, directions, dict.fromkeys(directions, 3))
    before = {layer: of.weight.clone() for layer, of in start.items()}
    student = Student(start, teacher.weight("input"), teacher.bias("input"))
    with torch.no_grad():
        for weight in student.parameters():
            weight.zero_()
    assert all(torch.equal(start[layer].weight, weight) for layer, weight in before.items())


# What is compared


def test_distances_of_read_outs_are_those_of_the_approximated_teachers_maps() -> None:
    """mean |R S − R S'|² over K is mean |W S − W S'|² over N, W = U V, and the Gram matrices' too."""
    teacher = make_teacher()
    student, directions = make_student(teacher, 3)
    network = VGG(student.state(directions))
    images = photograph(32, 36, 5), photograph(32, 36, 6)
    for layer in LAYERS:
        own = directions[layer]
        U, root = own.basis.float(), own.energy.sqrt().float()
        W = U @ (root[:, None] * student.readouts[layer].detach())  # (N, K)
        S, S2 = (student(image)[layer][0].flatten(1).detach() for image in images)
        X, X2 = (network(image, [layer])[layer][0].flatten(1) for image in images)
        F, F2 = W @ S, W @ S2
        torch.testing.assert_close((X - X2).square().mean(), (F - F2).square().mean(), rtol=1e-4, atol=0)
        own_gram, gram = (X @ X.T - X2 @ X2.T).square().mean(), (F @ F.T - F2 @ F2.T).square().mean()
        torch.testing.assert_close(own_gram, gram, rtol=1e-4, atol=0)


def test_layer_loss_is_squared_error_over_variance_by_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    read, target = (torch.randn(2, 5, 3, generator=generator) for _ in range(2))
    directions = Directions(
        torch.eye(3).double(), torch.tensor([3.0, 2, 1]).double(), torch.tensor([1.0, 0, 0.5]).double(), 1, 3
    )
    error = 0.0
    for b, m, k in itertools.product(range(2), range(5), range(3)):
        scale = float(directions.energy[k]) ** 0.5
        error += (scale * float(read[b, m, k]) - scale * float(target[b, m, k])) ** 2 / 10
    assert float(layer_loss(read, target, directions)) == pytest.approx(error / (2 + 2 + 0.75), rel=1e-5)


def test_quality_is_0_for_a_rotated_teacher_and_its_directions_share_is_what_full_width_holds() -> None:
    state = tiny_state(5, 6, 0, VGG16)
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(0)))[0]
    rotated = VGG(state | {f"{layer}.readout": rotation for layer in LAYERS})
    for of in measure_quality(rotated, VGG(state), photographs()).values():
        assert (of.num, of.num_teachers) == (6, 6) and of.unexplained < 1e-5 and of.share == pytest.approx(1)


def test_quality_is_the_best_rotations_error_over_the_variance() -> None:
    teacher = make_teacher()
    student, directions = make_student(teacher, 3)
    network = VGG(student.state(directions))
    quality = measure_quality(network, teacher, photographs())
    for layer in LAYERS:
        F, X = (
            torch.cat([of(i, [layer])[layer][0].flatten(1) for i in photographs()], 1).double()
            for of in (teacher, network)
        )
        T, X = directions[layer].basis.T @ F, X * 2**0.5
        left, _, right = torch.linalg.svd(T @ X.T)
        error = (T - left @ right @ X).square().sum() / (T - T.mean(1, keepdim=True)).square().sum()
        assert quality[layer].unexplained == pytest.approx(float(error), rel=1e-2, abs=1e-5)


# Crops and the store


def test_crops_are_a_function_of_seed_and_number_mirrored_at_times_and_in_range() -> None:
    ramp = torch.arange(48, dtype=torch.uint8).mul(5).expand(3, 40, 48)
    crops = [make_crop([ramp], 32, 0, index) for index in range(60)]
    assert all(crop.shape == (3, 32, 32) and crop.dtype == torch.uint8 for crop in crops)
    assert torch.equal(crops[7], make_crop([ramp], 32, 0, 7)) and not torch.equal(crops[7], make_crop([ramp], 32, 1, 7))
    slopes = [float(crop[0, :, -8:].float().mean() - crop[0, :, :8].float().mean()) for crop in crops]
    assert 15 < sum(slope > 0 for slope in slopes) < 45
    assert len({int(crop.sum()) for crop in crops}) > 40


def test_a_quarter_of_the_crops_have_their_channels_in_another_order_with_another_contrast() -> None:
    crop = photograph(32, 32, 0)[0]
    others = [recoloured(crop, np.random.default_rng(seed)) for seed in range(200)]
    changed = [other for other in others if other is not crop]
    assert 0.15 < len(changed) / len(others) < 0.35
    factors, orders = [], set()
    for other in changed:
        assert other.shape == crop.shape and 0 <= float(other.min()) and float(other.max()) <= 1
        unclamped = [(0 < channel) & (channel < 1) for channel in other]
        sources = [
            max(
                range(3),
                key=lambda source, c=c: float(
                    torch.corrcoef(torch.stack([other[c].flatten(), crop[source].flatten()]))[0, 1]
                ),
            )
            for c in range(3)
        ]
        assert sorted(sources) == [0, 1, 2]
        orders.add(tuple(sources))
        for c, source in enumerate(sources):
            distance = (crop[source] - crop[source].mean())[unclamped[c]]
            factor = (other[c] - crop[source].mean())[unclamped[c]] / distance
            factors.append(float(factor.median()))
            assert torch.allclose(factor[distance.abs() > 0.01], factor.median(), rtol=1e-3)
    assert 0.7 <= min(factors) < 0.9 and 2.2 < max(factors) <= 2.5
    assert len(orders) == 6


def test_crops_and_both_images_of_a_picture_get_other_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    image = torch.tensor([10, 100, 200], dtype=torch.uint8)[:, None, None].expand(3, 40, 48)
    crops = [make_crop([image], 32, 0, index).float() for index in range(200)]
    reordered = [crop for crop in crops if not float(crop[0].mean()) < float(crop[1].mean()) < float(crop[2].mean())]
    assert 0.12 < len(reordered) / 200 < 0.32  # five of six orders of a quarter
    given: list[Tensor] = []

    def recorded(crop: Tensor, random: np.random.Generator) -> Tensor:
        given.append(crop)
        return crop

    monkeypatch.setattr(on_policy, "recoloured", recorded)
    monkeypatch.setattr(on_policy, "KEPT_AFTER", (1,))
    network = VGG(tiny_state(11, 3, 0, VGG16))
    make_pictures(network, as_bytes([photograph(34, 40, 0)]), as_bytes([photograph(34, 40, 1)]), 32, 0, 0)
    assert len(given) == 2 and not torch.equal(given[0], given[1])


def test_crops_take_turns_between_images() -> None:
    images = [torch.full((3, 32, 32), value, dtype=torch.uint8) for value in (10, 100, 200)]
    plain = [make_crop(images, 32, 0, index).float() for index in range(30)]
    exact = {
        index % 3
        for index, crop in enumerate(plain)
        if float(crop.std()) == 0 and int(crop[0, 0, 0]) == (10, 100, 200)[index % 3]
    }
    assert exact == {0, 1, 2}


def test_store_holds_the_teachers_maps_in_its_directions(tmp_path: Path) -> None:
    teacher = make_teacher()
    _, directions = learned(teacher, 3)
    store = filled_store(tmp_path, teacher, directions)
    crops = store.crops([1, 4])
    assert crops.shape == (2, 3, 32, 32) and float(crops.max()) <= 1
    for layer in LAYERS:
        T = teacher(crops, [layer])[layer].permute(0, 2, 3, 1).flatten(1, 2) @ directions[layer].scaled_basis().float()
        torch.testing.assert_close(store.targets(layer, [1, 4]), T, rtol=2e-3, atol=2e-3)
        torch.testing.assert_close(store.targets(layer, [1, 4], 2), T[..., :2], rtol=2e-3, atol=2e-3)
    on_disk = sum(path.stat().st_size for path in tmp_path.glob("*.bin"))
    assert on_disk == store_bytes(5, 32, {layer: 3 for layer in LAYERS})


def test_store_that_was_cut_off_goes_on_and_is_the_uninterrupted_one(tmp_path: Path) -> None:
    teacher = make_teacher()
    _, directions = learned(teacher, 3)
    whole = filled_store(tmp_path / "whole", teacher, directions)
    made: list[int] = []

    def make(index: int) -> Tensor:
        made.append(index)
        if made == [0, 1, 2, 3]:
            raise KeyboardInterrupt
        return make_crop(as_bytes(photographs()), 32, 0, index)

    widths = {layer: 3 for layer in LAYERS}
    with pytest.raises(KeyboardInterrupt):
        TargetStore(tmp_path / "cut", 5, 32, widths).fill(make, teacher, directions)
    again = TargetStore(tmp_path / "cut", 5, 32, widths)
    assert again.num_done == 3
    again.fill(make, teacher, directions)
    assert made == [0, 1, 2, 3, 3, 4] and again.num_done == 5
    assert torch.equal(again.crops(range(5)), whole.crops(range(5)))
    assert all(torch.equal(again.targets(layer, range(5)), whole.targets(layer, range(5))) for layer in LAYERS)


@pytest.mark.parametrize("damage", ["another shape", "a file is gone", "the count is cut off"])
def test_store_of_another_shape_or_damaged_begins_anew(tmp_path: Path, damage: str) -> None:
    teacher = make_teacher()
    _, directions = learned(teacher, 3)
    filled_store(tmp_path, teacher, directions)
    if damage == "a file is gone":
        (tmp_path / "conv2_1.bin").unlink()
    elif damage == "the count is cut off":
        (tmp_path / "done.json").write_text('{"do')
    num = 6 if damage == "another shape" else 5
    assert TargetStore(tmp_path, num, 32, {layer: 3 for layer in LAYERS}).num_done == 0


def trained_a_little(student: Student) -> Student:
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(0.01 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))
    return student


def test_held_network_has_its_weights_and_no_read_outs_of_its_own() -> None:
    student, directions = make_student(make_teacher())
    start = held_start(trained_a_little(student).state(directions), directions)
    again = Student(start, student.get_buffer("input_weight"), student.get_buffer("input_bias"))
    for name, tensor in student.state_dict().items():
        kept = torch.zeros_like(tensor) if name.startswith("readouts") else tensor
        torch.testing.assert_close(again.state_dict()[name], kept, msg=name)


def test_best_readouts_are_the_least_squares_from_the_first_filters(tmp_path: Path) -> None:
    teacher = make_teacher()
    student, directions = make_student(teacher)
    store = filled_store(tmp_path / "store", teacher, directions)
    filters = {"conv1_1": 3, "conv1_2": 2, "conv2_1": 1}
    done: list[int] = []
    found = best_readouts(student, store, directions, filters, 4, done.append)
    assert done == [1, 2, 3, 4] and found.keys() == filters.keys()
    maps = student(store.crops(range(4)))
    for layer, C in filters.items():
        S = maps[layer].detach()[:, :C].permute(0, 2, 3, 1).flatten(0, 2).double()
        T = store.targets(layer, range(4)).flatten(0, 1).double()
        assert found[layer].shape == (3, C)
        residual = (S @ found[layer].T.double() - T).square().mean()
        assert float(residual) == pytest.approx(
            float((S @ torch.linalg.lstsq(S, T).solution - T).square().mean()), rel=1e-3
        )


def test_widened_network_computes_the_same_and_its_further_filters_are_the_teachers(tmp_path: Path) -> None:
    """Where the former filters tell all of the teacher's map, a further one's map is the teacher's own."""
    teacher = make_teacher()
    student, _ = make_student(teacher, 6)  # full width: it is its teacher
    moments, directions = learned(teacher, 6)
    few = {layer: replace_width(of, 4 if layer == "conv2_1" else 6) for layer, of in directions.items()}
    cut = {
        layer: LayerStart(
            student.weights[layer].detach()[: of.num], student.biases[layer].detach()[: of.num], torch.zeros(0)
        )
        for layer, of in few.items()
    }
    cut["conv2_2"] = LayerStart(cut["conv2_2"].weight[:, :4], cut["conv2_2"].bias, torch.zeros(0))
    store = filled_store(tmp_path / "store", teacher, directions)
    readouts = best_readouts(student, store, directions, {layer: of.num for layer, of in few.items()}, store.num)
    wider = widened_start(teacher, moments, directions, cut, readouts)
    again = Student(wider, student.get_buffer("input_weight"), student.get_buffer("input_bias"))
    images = store.crops(range(store.num))
    mine, teachers = again(images)["conv2_1"].detach(), teacher(images, ["conv2_1"])["conv2_1"]
    torch.testing.assert_close(mine[:, :4], student(images)["conv2_1"][:, :4])
    for further in mine[:, 4:].unbind(1):
        nearest = min(float((further - own).square().mean() / own.square().mean()) for own in teachers.unbind(1))
        assert nearest < 1e-3


def replace_width(of: Directions, K: int) -> Directions:
    return Directions(of.basis[:, :K], of.energy[:K], of.mean[:K], of.share, of.num_compared)


# Training


def test_muon_moves_all_directions_alike_by_a_share_of_the_norm() -> None:
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(6, 4, 3, 3))
    before = weight.detach().clone()
    weight.grad = torch.randn(6, 4, 3, 3) * torch.logspace(-0.5, 0.5, 6)[:, None, None, None]
    Muon([weight], 0.01).step()
    moved = (before - weight.detach()).flatten(1)
    singular = torch.linalg.svdvals(moved)
    assert float(singular.max() / singular.min()) < 2.5  # the gradient's own is above 8
    assert float(moved.norm() / before.norm()) == pytest.approx(0.01, rel=0.3)


def test_rates_warm_up_then_fall_to_nothing() -> None:
    rates = [SCHEDULE.rate_at(step) for step in range(SCHEDULE.steps)]
    assert rates[0] == pytest.approx(0.5) and max(rates) == rates[1] and rates[-1] == pytest.approx(1 / 6)
    schedules = Recipe(steps=8, num_pictures=9, rounds=2).schedules()
    assert [schedule.steps for schedule in schedules] == [2, 3, 3] and len({s.seed for s in schedules}) == 3
    assert Recipe(steps=8, num_pictures=9, rounds=2).pictures_of_rounds() == (4, 5)


def test_layers_that_the_paper_compares_count_twice() -> None:
    weights = {layer: layer_weight(layer) for layer in VGG16_LAYERS}
    compared = [layer for layer, weight in weights.items() if weight == max(weights.values())]
    assert compared == ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv4_2", "conv5_1"]
    assert all(weight == max(weights.values()) / 2 for layer, weight in weights.items() if layer not in compared)


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    teacher = make_teacher()
    student, directions = make_student(teacher)
    store = filled_store(tmp_path / "store", teacher, directions)
    seen: dict[int, float] = {}

    def on_step(step: int, losses: Mapping[str, float]) -> None:
        seen[step] = sum(losses.values())

    schedule = Schedule(steps=60, batch=2, muon_rate=0.01, adam_rate=2e-3, warmup=5, seed=0)
    train(student, [store], directions, schedule, tmp_path / "checkpoint.pt", on_step)
    assert list(seen) == [20, 40, 60] and seen[60] < 0.8 * seen[20]


def test_losses_are_read_when_they_are_told_and_not_at_every_step(tmp_path: Path) -> None:
    teacher = make_teacher()
    student, directions = make_student(teacher)
    store = filled_store(tmp_path / "store", teacher, directions)
    told: list[dict[str, float]] = []
    schedule = Schedule(steps=8, batch=2, muon_rate=0.01, adam_rate=2e-3, warmup=5, seed=0)
    with CountedFloats() as floats:
        train(student, [store], directions, schedule, tmp_path / "a.pt", lambda step, of: told.append(of), 1e9, 4)
    assert len(told) == 2 and floats.count == 2 * len(student.layers)
    one_by_one: list[dict[str, float]] = []
    train(
        make_student(teacher)[0], [store], directions, schedule, tmp_path / "b.pt",
        lambda step, of: one_by_one.append(of), 1e9, 1,
    )  # fmt: skip
    for layer in student.layers:
        assert told[1][layer] == pytest.approx(sum(of[layer] for of in one_by_one[4:]) / 4)


def test_resumed_training_equals_the_uninterrupted_one_to_the_bit(tmp_path: Path) -> None:
    teacher = make_teacher()
    _, directions = make_student(teacher)
    stores = [filled_store(tmp_path / name, teacher, directions, num) for name, num in (("a", 5), ("b", 4))]

    def stop(step: int, losses: Mapping[str, float]) -> None:
        if step == 3:
            raise KeyboardInterrupt

    whole, cut, resumed = (make_student(teacher)[0] for _ in range(3))
    train(whole, stores, directions, SCHEDULE, tmp_path / "whole.pt")
    with pytest.raises(KeyboardInterrupt):
        train(cut, stores, directions, SCHEDULE, tmp_path / "cut.pt", stop, save_every_s=0, report_every=1)
    train(resumed, stores, directions, SCHEDULE, tmp_path / "cut.pt")
    ended, begun = whole.state_dict(), make_student(teacher)[0].state_dict()
    assert all(torch.equal(tensor, resumed.state_dict()[name]) for name, tensor in ended.items())
    assert all(not torch.equal(tensor, begun[name]) for name, tensor in ended.items() if not name.startswith("input"))


# Pictures


def test_pictures_are_a_function_of_network_seed_and_number() -> None:
    network = VGG(tiny_state(11, 3, 0, VGG16))
    images = as_bytes([photograph(34, 40, seed) for seed in range(3)])
    first, again, other = (make_pictures(network, images[:2], images[2:], 32, 0, index) for index in (4, 4, 5))
    assert len(first) == len(KEPT_AFTER)
    assert all(picture.shape == (3, 32, 32) and picture.dtype == torch.uint8 for picture in first)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True)) and not torch.equal(first[0], other[0])


def test_pictures_kept_are_the_shorter_optimisations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_policy, "KEPT_AFTER", (1, 3))
    network = VGG(tiny_state(11, 3, 0, VGG16))
    content, style = photograph(32, 32, 1)[0], photograph(32, 40, 2)[0]
    monkeypatch.setattr(on_policy, "cut", lambda images, side_px, random: images[0])
    monkeypatch.setattr(on_policy, "recoloured", lambda crop, random: crop)
    kept = make_pictures(network, [content], [style], 32, 0, 7)
    random = np.random.default_rng((0, 7))
    random.random()
    alpha = float(10 ** random.uniform(-2.5, 0.5))
    for picture, num in zip(kept, (1, 3), strict=True):
        levels = ((1 / 2, 40), (1, num))
        assert torch.equal(picture, on_policy.as_bytes(optimise(network, content, style, alpha, levels, 7)))


def test_pictures_of_a_network_compared_with_itself_are_equally_good() -> None:
    network = VGG(tiny_state(11, 3, 0, VGG16))
    content, style = photograph(32, 32, 1)[0], photograph(32, 40, 2)[0]
    levels = ((1 / 2, 4), (1, 4))
    of = compare_pictures(network, network, "a:b", content, style, 0.1, levels)
    assert of.ratio == 1 and of.own == total_of_picture(network, network, content, style, 0.1, levels)
    known = compare_pictures(network, network, "a:b", content, style, 0.1, levels, own=2 * of.own)
    assert known.ratio == 0.5


def test_geometric_mean_of_ratios() -> None:
    pairs = [Comparison("a:b", 1.0, 2.0, 4.0), Comparison("c:d", 1.0, 1.0, 8.0)]
    assert geometric_mean(pairs) == pytest.approx(4)


# The card


def test_card_names_teacher_images_recipe_and_numbers_and_keeps_one_table_of_pictures() -> None:
    state = tiny_state(11, 4, 0, VGG16)
    teacher = Teacher(LoadedWeights(state, "f" * 64, "the weights file teacher.safetensors"), state)
    here = Path(__file__)
    network = VGG(with_all_filters(state))
    card = make_card(
        Recipe(), teacher, ImageSets((here,), (here,), (here,)), measure_quality(network, network, photographs())
    )
    for words in (
        "VGG-16",
        "4×11",
        "f" * 64,
        "average pooling, zero padding",
        "1 photographs",
        "muon_rate 0.006",
        "| conv5_1 | 4 of 4 | 1.000 |",
    ):
        assert words in card, words
    once = with_pictures(card, [Comparison("a:b", 0.1, 2.0, 4.0)], 160, 180)
    assert "| a:b | 0.1 | 2 | 4 | 2.000 |" in once and once.startswith(card.rstrip())
    assert with_pictures(once, [Comparison("a:b", 0.1, 2.0, 4.0)], 160, 180) == once
    assert widths_in_words([16, 16, 32, 64, 64, 64]) == "16-16-32-64×3"


def test_widths_are_a_quarter_of_vggs_more_where_they_cost_little_and_never_more_than_the_teachers() -> None:
    state = tiny_state(11, 20, 0, VGG16) | {"conv2_1.compared": torch.arange(7)}
    widths = widths_for(Teacher(LoadedWeights(state, "", ""), state))
    assert (widths["conv1_1"], widths["conv2_1"], widths["conv5_1"]) == (16, 7, 20) and len(widths) == 11
    feeding = feeding_for(widths)
    assert (feeding["conv1_1"], feeding["conv2_1"], feeding["conv5_1"]) == (16, 7, 20)
    wide = widths_for(Teacher(LoadedWeights(tiny_state(11, 400, 0, VGG16), "", ""), tiny_state(11, 400, 0, VGG16)))
    assert list(wide.values()) == [16, 16, 64, 32, 64, 64, 64, 256, 256, 128, 256]
    assert list(feeding_for(wide).values()) == [16, 16, 32, 32, 64, 64, 64, 128, 128, 128, 128]


def test_layers_can_be_made_wider_by_name_and_nothing_else_is_understood() -> None:
    state = tiny_state(11, 400, 0, VGG16)
    teacher = Teacher(LoadedWeights(state, "", ""), state)
    quarter = widths_for(teacher, "")
    assert list(quarter.values()) == [16, 16, 32, 32, 64, 64, 64, 128, 128, 128, 128]
    assert widths_for(teacher, "conv3_1=70 conv1_2=16") == quarter | {"conv3_1": 70}
    for wrong in (
        "conv3_1",
        "conv3_1=",
        "conv3_4=80",
        "conv3_1=63",
        "conv3_1=-70",
        "conv3_1=70,conv1_2=16",
        "conv1_1=32",
    ):
        with pytest.raises(UsageError, match="LAYER=FILTERS"):
            widths_for(teacher, wrong)


def test_embedded_network_is_what_its_card_says() -> None:
    """Its size, its layers, its normalisation, and finite maps."""
    from harness.features.normalise import calibration_photographs
    from harness.features.sources import EMBEDDED
    from harness.features.weights import load_state

    assert EMBEDDED.stat().st_size <= 3_000_000
    loaded = load_state("embedded")
    assert loaded.layers[-1] == "conv5_1"
    for maps in VGG(loaded.state)(calibration_photographs()[0], loaded.layers).values():
        assert math.isfinite(float(maps.square().mean())) and float(maps.square().mean()) > 0
    card = EMBEDDED.with_suffix(".md").read_text()
    assert "**Teacher**" in card and "SHA-256" in card and "| mean |" in card
