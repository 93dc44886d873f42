"""Training the embedded network: what is measured, what is minimised, and that it resumes."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from tiny_vgg import photograph, tiny_state
from typer.testing import CliRunner

from harness.cli.app import app
from harness.distillation.student import Student
from harness.distillation.targets import is_held_out, measure_targets, unexplained
from harness.distillation.training import Crops, Muon, Recipe, distillation_loss, train
from harness.features.normalise import rescale
from harness.features.vgg import LAYERS, VGG

RECIPE = Recipe(steps=6, crop_px=32, batch=2, warmup=2)


def make_teacher() -> VGG:
    state = tiny_state(3, 4, 0)
    state["conv1_2.bias"][2] = -1e6  # never fires
    return VGG(state, pooling="max", padding="reflect")


def test_held_out_images_are_a_twentieth_by_the_hash_of_their_names() -> None:
    names = [f"{number}.jpg" for number in range(4000)]
    assert 150 < sum(map(is_held_out, names)) < 250
    assert is_held_out("bsds_105025.jpg") and not is_held_out("bsds_100075.jpg")


def test_targets_are_means_and_variances_of_the_channels_that_fire() -> None:
    teacher = make_teacher()
    photographs = [photograph(20, 24, 1), photograph(24, 20, 2)]
    mean, targets = measure_targets(teacher, photographs)
    values = torch.cat([teacher(p, ["conv1_2"])["conv1_2"][0].flatten(1) for p in photographs], 1).double()
    assert targets.firing["conv1_2"].tolist() == [1, 1, 0, 1]
    for channel in (0, 1, 3):
        own = values[channel]
        assert float(mean["conv1_2"][channel]) == pytest.approx(float(own.mean()), rel=1e-5)
        relative = float(own.var(correction=0) / own.mean() ** 2)
        assert float(targets.variance["conv1_2"][channel]) == pytest.approx(relative, rel=1e-4)
    weight = targets.weight("conv1_2")
    assert float(weight[2]) == 0
    assert float((weight * targets.variance["conv1_2"]).sum()) == pytest.approx(1)


def test_loss_is_squared_error_over_variance_by_loop_with_the_error_before_the_relu_where_the_teacher_fires() -> None:
    teacher = make_teacher()
    _, targets = measure_targets(teacher, [photograph(20, 24, 1)])
    generator = torch.Generator().manual_seed(0)
    z = {"conv1_2": torch.randn(2, 4, 3, 5, generator=generator, dtype=torch.float64).requires_grad_()}
    t = {"conv1_2": torch.randn(2, 4, 3, 5, generator=generator, dtype=torch.float64).relu()}
    loss = distillation_loss(z, t, targets)
    expected = 0.0
    for channel in (0, 1, 3):
        errors = [
            (a - b) ** 2 if b > 0 else max(a, 0.0) ** 2
            for a, b in zip(
                z["conv1_2"][:, channel].flatten().tolist(), t["conv1_2"][:, channel].flatten().tolist(), strict=True
            )
        ]
        expected += sum(errors) / len(errors) / float(targets.variance["conv1_2"][channel]) / 3
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, z["conv1_2"])
    step = torch.zeros_like(gradient)
    step[0, 1, 2, 3] = 1e-4
    with torch.no_grad():
        moved = distillation_loss({"conv1_2": z["conv1_2"] + step}, t, targets)
        back = distillation_loss({"conv1_2": z["conv1_2"] - step}, t, targets)
    assert float(gradient[0, 1, 2, 3]) == pytest.approx(float(moved - back) / 2e-4, rel=1e-2, abs=1e-6)


def test_dead_unit_is_revived_where_the_teacher_fires() -> None:
    """Below 0 the ReLU has no gradient; the loss has one."""
    teacher = make_teacher()
    _, targets = measure_targets(teacher, [photograph(20, 24, 1)])
    z = torch.full((1, 4, 2, 2), -3.0, requires_grad=True)
    distillation_loss({"conv1_2": z}, {"conv1_2": torch.ones(1, 4, 2, 2)}, targets).backward()
    assert z.grad is not None and bool((z.grad[:, [0, 1, 3]] < 0).all()) and bool((z.grad[:, 2] == 0).all())


def test_folded_student_computes_what_the_student_with_batchnorm_does() -> None:
    torch.manual_seed(0)
    state = tiny_state(5, 4, 0)
    student = Student({layer: 4 for layer in LAYERS[:5]}, state["input.weight"], state["input.bias"])
    for seed in range(5):
        student(photograph(32, 32, seed))  # running statistics away from their first values
    student.eval()
    image = photograph(32, 36, 9)
    maps = VGG(student.folded())(image, LAYERS[:5])
    for layer, z in student(image).items():
        torch.testing.assert_close(maps[layer], z.detach().relu(), rtol=1e-4, atol=1e-4)


def test_unexplained_variance_is_0_for_the_teacher_and_1_for_its_mean() -> None:
    state = tiny_state(3, 4, 0)
    teacher = VGG(state)
    photographs = [photograph(20, 24, seed) for seed in (1, 2)]
    _, targets = measure_targets(teacher, photographs)
    assert max(unexplained(state, teacher, photographs, targets).values()) < 1e-9
    silent = {name: torch.zeros_like(t) if name.startswith("conv") else t for name, t in state.items()}
    result = unexplained(silent, teacher, photographs, targets)
    for layer, share in result.items():
        values = torch.cat([teacher(p, [layer])[layer][0].flatten(1) for p in photographs], 1).double()
        fires = targets.firing[layer] > 0
        by_channel = values.square().sum(1) / (values - values.mean(1, keepdim=True)).square().sum(1)
        assert share == pytest.approx(float(by_channel[fires].mean()), rel=1e-5)


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


def test_crops_depend_on_seed_and_step_alone() -> None:
    photographs = [(photograph(40, 50, seed)[0] * 255).to(torch.uint8) for seed in range(3)]
    crops = Crops(photographs, RECIPE)
    assert torch.equal(crops(4), Crops(photographs, RECIPE)(4))
    assert not torch.equal(crops(4), crops(5))
    assert not torch.equal(crops(4), Crops(photographs, replace(RECIPE, seed=1))(4))
    assert crops(0).shape == (2, 3, 32, 32) and float(crops(0).max()) <= 1


def test_resumed_training_equals_the_uninterrupted_one(tmp_path: Path) -> None:
    teacher = make_teacher()
    photographs = [(photograph(40, 44, seed)[0] * 255).to(torch.uint8) for seed in range(3)]
    mean, targets = measure_targets(teacher, [p[None].float() / 255 for p in photographs])
    teacher = VGG(
        rescale(tiny_state(3, 4, 0), {k: v.double() for k, v in mean.items()}), pooling="max", padding="reflect"
    )
    device = torch.device("cpu")

    class Killed(Exception):
        pass

    def stop(step: int) -> None:
        if step == 3:
            raise Killed

    whole = train(teacher, photographs, targets, RECIPE, tmp_path / "whole.pt", device, lambda step, loss: None)
    half = tmp_path / "half.pt"
    with pytest.raises(Killed):
        train(teacher, photographs, targets, RECIPE, half, device, lambda step, loss: stop(step), 0.0, report_every=1)
    resumed = train(teacher, photographs, targets, RECIPE, half, device, lambda step, loss: None)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_recipe_warms_up_then_falls_to_nothing() -> None:
    rates = [RECIPE.rate_at(step) for step in range(RECIPE.steps)]
    assert rates[0] == pytest.approx(0.5) and max(rates) == rates[1] and rates[-1] == pytest.approx(1 / 6)
    assert [RECIPE.is_frozen_at(step) for step in range(6)] == [False, False, False, True, True, True]
    assert RECIPE.dtype_at(0) == torch.bfloat16 and RECIPE.dtype_at(5) == torch.bfloat16
    assert Recipe(steps=10).dtype_at(9) == torch.float32


def test_command_trains_writes_network_and_card_and_measures_it(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    generator = np.random.default_rng(0)
    names = [f"{n}.png" for n in range(200)]
    chosen = [n for n in names if is_held_out(n)][:2] + [n for n in names if not is_held_out(n)][:4]
    for name in chosen:
        Image.fromarray(generator.integers(0, 255, (200, 210, 3), np.uint8)).save(images / name)
    teacher = tmp_path / "teacher.safetensors"
    safetensors.torch.save_file(tiny_state(3, 4, 0), teacher)
    words = ["distill", "--teacher", str(teacher), "--images", str(images), "--work", str(tmp_path / "work")]
    result = CliRunner().invoke(app, [*words, "--steps", "2", "--device", "cpu"])
    assert result.exit_code == 0, (result.output, result.exception)
    assert "unexplained variance" in result.output and "conv2_1" in result.output
    network = tmp_path / "work" / "embedded.safetensors"
    card = (tmp_path / "work" / "embedded.md").read_text()
    assert "4 for training" in card and "2 held out" in card and all(n in card for n in chosen[:2])
    measured = CliRunner().invoke(app, [*words, "--evaluate", "--weights", str(network), "--device", "cpu"])
    assert measured.exit_code == 0 and "mean" in measured.output
    missing = CliRunner().invoke(app, ["distill", "--teacher", str(teacher), "--images", str(tmp_path / "none")])
    assert missing.exit_code == 2 and "is not a folder with images" in missing.output


def test_embedded_network_is_what_its_card_says() -> None:
    """Its size, its layers, its normalisation, and that every compared filter fires."""
    from harness.features.normalise import calibration_photographs, mean_activations
    from harness.features.sources import EMBEDDED
    from harness.features.weights import load_state

    assert EMBEDDED.stat().st_size <= 2_000_000
    loaded = load_state("embedded")
    assert loaded.layers[-1] == "conv5_1" and loaded.normalised == "max/zeros"
    widths = [loaded.state[f"{layer}.weight"].shape[0] for layer in loaded.layers]
    assert widths == [16] * 2 + [32] * 2 + [64] * 4 + [128] * 5
    means = mean_activations(loaded.state, calibration_photographs()[:3], "average", "zeros")
    for layer in loaded.layers:
        compared = means[layer][loaded.state[f"{layer}.compared"]]
        assert 0.3 < float(compared.mean()) < 3, layer
        assert math.isfinite(float(compared.max()))
    card = EMBEDDED.with_suffix(".md").read_text()
    assert "Wang" in card and "MIT" in card and "| mean |" in card
