"""Runs with levels, masks, several paintings, colours, regularisers and quilting: batched, stopped, resumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from engine_rows import counted, history_of, make_rows, manifest_of, pictures_of
from PIL import Image

from harness.config import Transfer
from harness.config.levels import levels_of, num_evaluations
from harness.images.colour import with_colours_of
from harness.images.files import read_image
from harness.images.resize import to_array, to_tensor
from harness.runs.batch import Execution, run_batch
from harness.runs.checkpoint import load_checkpoint
from harness.runs.keeper import Listener
from harness.runs.prepare import Row, prepare_images
from harness.runs.settled import early_picture, settled
from harness.runs.signals import Orders
from harness.runs.store import RunFolder, Status


@dataclass
class Stopper(Listener):
    """Asks for the end at the first rung."""

    asked: Orders = field(default_factory=Orders)

    def measured(self, row_id: str, evaluation: int, metrics: Mapping[str, Any]) -> None:
        self.asked.stop = True


def stop_at(rows: list[Row], evaluation: int) -> None:
    stopper = Stopper()
    with pytest.raises(KeyboardInterrupt):
        run_batch(rows, Execution(rungs=(evaluation,)), asked=stopper.asked, listener=stopper)


PYRAMID = "transfer.pyramid=[{size: 24, steps: 6}, {size: 32, steps: 5}]"
CASES = """cases:
  plain: {}
  blend: {style: {strokes: 0.5, mosaic: 0.5}}
  luminance: {colours: luminance}
  recoloured: {colours: recoloured}
  smooth: {total_variation: 1.0, smoothing: 0.5}
  photorealistic: {start: content, photorealism.weight: 10}
  masked: {style: {strokes: {mask: left.png}, mosaic: {mask: right.png, own_mask: left.png, scale: 0.5}}}
  segmented: {segmentation: {content: labels.png, style: labels.png}}"""


@pytest.fixture(autouse=True)
def masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two halves, and a segmentation of them, in the working directory."""
    left = np.zeros((48, 48), np.uint8)
    left[:, :24] = 255
    Image.fromarray(left).save(tmp_path / "left.png")
    Image.fromarray(255 - left).save(tmp_path / "right.png")
    Image.fromarray(np.stack([left, 0 * left, 255 - left], axis=2)).save(tmp_path / "labels.png")
    monkeypatch.chdir(tmp_path)


def test_rows_that_differ_in_every_control_are_their_solo_runs(tmp_path: Path) -> None:
    (tmp_path / "solo").mkdir()
    together, alone = make_rows(tmp_path, varied=CASES), make_rows(tmp_path / "solo", varied=CASES)
    run_batch(together, Execution())
    for row, solo in zip(together, alone, strict=True):
        run_batch([solo], Execution())
        assert history_of(row.folder) == history_of(solo.folder), row.transfer
        assert pictures_of(row.folder) == pictures_of(solo.folder), row.transfer


def test_history_has_the_columns_of_its_own_terms(tmp_path: Path) -> None:
    rows = make_rows(tmp_path, "transfer.steps=3", varied=CASES)
    run_batch(rows, Execution())
    columns = [set(history_of(row.folder)[0]) & {"total_variation", "photorealism", "size"} for row in rows]
    assert columns == [set(), set(), set(), set(), {"total_variation"}, {"photorealism"}, set(), set()]


@pytest.mark.parametrize("evaluation", [3, 6, 8, 11, 20])
def test_pyramid_stopped_within_or_between_its_sizes_goes_on_to_the_same_bits(tmp_path: Path, evaluation: int) -> None:
    (tmp_path / "whole").mkdir()
    rows, whole = make_rows(tmp_path, PYRAMID), make_rows(tmp_path / "whole", PYRAMID)
    run_batch(whole, Execution())
    stop_at(rows, evaluation)
    assert {load.evaluation for row in rows if (load := load_checkpoint(RunFolder(row.folder)))} == {evaluation}
    run_batch(rows, Execution())
    for row, other in zip(rows, whole, strict=True):
        assert manifest_of(row.folder)["attempts"] == [
            {"from": 1, "to": evaluation},
            {"from": evaluation + 1, "to": 35},
        ]
        assert history_of(row.folder) == history_of(other.folder)
        assert pictures_of(row.folder) == pictures_of(other.folder)


def test_rows_of_different_levels_meet_in_one_batch(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    rows, whole = make_rows(tmp_path, PYRAMID), make_rows(tmp_path / "whole", PYRAMID)
    run_batch(whole, Execution())
    stop_at(rows[:1], 8)
    run_batch(rows, Execution())
    for row, other in zip(rows, whole, strict=True):
        assert history_of(row.folder) == history_of(other.folder)
        assert pictures_of(row.folder) == pictures_of(other.folder)


def test_pyramid_keeps_its_iterates_at_their_sizes_and_its_losses_of_the_last(tmp_path: Path) -> None:
    (row,) = make_rows(tmp_path, "axes=null", PYRAMID)
    (manifest,) = run_batch([row], Execution())
    history = history_of(row.folder)
    assert [float(line["size"]) for line in history] == [24] * 6 + [32] * 5 + [48] * 24
    sizes = {number: max(read_image(path).shape[:2]) for number, path in RunFolder(row.folder).iterates().items()}
    assert sizes == {1: 24, 2: 24, 5: 24, 10: 32, 20: 48, 35: 48}
    best = min(float(line["total"]) for line in history[11:])
    assert manifest.metrics["total"] == best and manifest.metrics["evaluations"] == num_evaluations(row.transfer) == 35
    assert read_image(row.folder / "image.png").shape == (48, 48, 3)


def test_each_size_begins_with_the_best_picture_of_the_one_before(tmp_path: Path) -> None:
    """Enlarged by the harness's own resize; the optimiser starts anew, so that the first point is just that."""
    from harness.images.resize import resize

    (row,) = make_rows(tmp_path, "axes=null", "transfer.pyramid=[{size: 24, steps: 10}]")
    stop_at([row], 10)
    checkpoint = load_checkpoint(RunFolder(row.folder))
    assert checkpoint is not None
    best = checkpoint.optimizer["best_image"]
    seen: list[torch.Tensor] = []

    from harness.runs.style_transfer import StyleTransfer

    def witness(keeper: Any) -> list[Any]:
        import pytorch_lightning as pl

        class Starts(pl.Callback):
            def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
                assert isinstance(pl_module, StyleTransfer)
                if pl_module.images.shape[-1] == 48:
                    seen.append(pl_module.images.detach()[0].clone())

        return [Starts()]

    run_batch([row], Execution(), witness)
    styles = prepare_images([row]).styles[0]
    low, high = styles.amin((1, 2), keepdim=True), styles.amax((1, 2), keepdim=True)
    assert torch.equal(seen[0], resize(best, 48, 48).clamp(low, high))


def test_levels_of_sizes_and_stages() -> None:
    transfer = Transfer(
        content="a", style="b", pyramid=[{"size": 64, "steps": 10}], size=128, steps=30,
        photorealism={"weight": 1.0, "first_stage": 12},
    )  # fmt: skip
    levels = levels_of(transfer)
    assert [(level.size_px, level.last_evaluation) for level in levels] == [(64, 10), (128, 22), (128, 40)]
    assert [level.is_regularised for level in levels] == [False, False, True]
    assert [level.is_last for level in levels] == [False, False, True]


def test_second_stage_begins_with_the_regulariser(tmp_path: Path) -> None:
    words = ("axes=null", "transfer.start=content", "transfer.photorealism={weight: 10, first_stage: 9}")
    (row,) = make_rows(tmp_path, *words)
    run_batch([row], Execution())
    values = [line["photorealism"] for line in history_of(row.folder)]
    assert values[:9] == [""] * 9 and all(float(value) > 0 for value in values[9:]) and len(values) == 24


def test_luminance_only_keeps_the_photographs_colours(tmp_path: Path) -> None:
    (row,) = make_rows(tmp_path, "axes=null", "transfer.colours=luminance")
    run_batch([row], Execution())
    picture, content = to_tensor(read_image(row.folder / "image.png")), prepare_images([row]).photographs[0]
    # The picture's own luminance with the photograph's I and Q is the picture, where nothing was clipped.
    inside = ((picture > 2 / 255) & (picture < 253 / 255)).all(0)
    assert inside.float().mean() > 0.3
    again = with_colours_of(picture, content)
    assert (again - picture).abs()[:, inside].max() < 1.5 / 255


def test_smoothed_picture_is_the_smoothing_of_the_unsmoothed_one(tmp_path: Path) -> None:
    from harness.photorealism.smoothing import smooth

    plain, smoothed = make_rows(tmp_path, varied="axes: {smoothing: [0, 0.8]}")
    run_batch([plain, smoothed], Execution())
    assert history_of(plain.folder) == history_of(smoothed.folder)
    content = prepare_images([plain]).photographs[0]
    expected = to_array(smooth(to_tensor(read_image(plain.folder / "image.png")), content, 0.8))
    # Rounding to 8 bits before the solve, which a weight below 0 can amplify, and after it.
    assert np.abs(read_image(smoothed.folder / "image.png") - expected).mean() < 1 / 255
    assert np.abs(read_image(smoothed.folder / "image.png") - read_image(plain.folder / "image.png")).mean() > 4 / 255


QUILTING = "cases: {transfer: {quilting.iterations: 2}, again: {quilting.iterations: 2, seed: 1}}"


@pytest.mark.parametrize("evaluation", [1, 4, 7])
def test_quilting_stopped_and_resumed_is_the_same_picture(tmp_path: Path, evaluation: int) -> None:
    (tmp_path / "whole").mkdir()
    words = ("transfer.method=quilting", "transfer.quilting.block=12")
    rows = make_rows(tmp_path, *words, varied=QUILTING)
    whole = make_rows(tmp_path / "whole", *words, varied=QUILTING)
    manifests = run_batch(whole, Execution())
    assert all(manifest.status is Status.DONE for manifest in manifests)
    stop_at(rows, evaluation)
    assert manifest_of(rows[0].folder)["attempts"] == [{"from": 1, "to": evaluation}]
    run_batch(rows, Execution())
    for row, other in zip(rows, whole, strict=True):
        assert history_of(row.folder) == history_of(other.folder)
        assert pictures_of(row.folder) == pictures_of(other.folder)
    assert pictures_of(rows[0].folder)["image.png"] != pictures_of(rows[1].folder)["image.png"]


def test_quilted_pictures_numbers_are_means_over_its_last_iteration(tmp_path: Path) -> None:
    (row,) = make_rows(
        tmp_path, "axes=null", "transfer.method=quilting", "transfer.quilting={block: 12, iterations: 2}"
    )
    (manifest,) = run_batch([row], Execution())
    history = history_of(row.folder)
    last = [line for line in history[5:]]  # 48 px in blocks of 12 that overlap by 2: 5 rows; then of 8 by 1: 7
    assert len(last) == 7
    for name in ("total", "content", "style"):
        assert manifest.metrics[name] == pytest.approx(np.mean([float(line[name]) for line in last]))
    assert set(history[0]) == {"evaluation", "total", "content", "style"}
    assert manifest.metrics["ssim"] is not None and manifest.metrics["heldout_style_optimised"] is False


def test_comparable_numbers_of_a_blend_are_means_over_its_paintings(tmp_path: Path) -> None:
    """Weighted by ω; an independent measure of each painting at the photograph's area, without masks and scales."""
    from against import measure

    from harness.features.normalise import embedded_network
    from harness.images.resize import painting_of

    style = "style={mosaic: {weight: 3, mask: left.png}, strokes: {weight: 1, scale: 0.5}}"
    (row,) = make_rows(tmp_path, "axes=null", f"transfer.{style}", "transfer.steps=2")
    (manifest,) = run_batch([row], Execution())
    picture, content = to_tensor(read_image(row.folder / "image.png")), prepare_images([row]).photographs[0]
    network = embedded_network()
    of = [
        measure(picture, content, painting_of(row.files[slot], (48, 48), 1.0), network, ["conv1_1", "conv2_1"])
        for slot in ("style.0", "style.1")
    ]
    for name in ("reference_style", "heldout_style", "colour_distance"):
        assert manifest.metrics[name] == pytest.approx((3 * of[0][name] + of[1][name]) / 4)
    assert (
        manifest.metrics["ssim"] == of[0]["ssim"]
        and manifest.metrics["reference_content"] == of[0]["reference_content"]
    )


def test_transfer_whose_passes_go_in_tiles_is_the_plain_one_to_rounding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.objective import memory

    words = ("transfer.size=64", "transfer.steps=4", "transfer.precision=float64")
    (tmp_path / "tiled").mkdir()
    plain, tiled = make_rows(tmp_path, *words), make_rows(tmp_path / "tiled", *words)
    run_batch(plain, Execution())
    monkeypatch.setattr(memory, "BOUND_BYTES", 2_000_000)
    run_batch(tiled, Execution())
    for one, other in zip(plain, tiled, strict=True):
        first, second = history_of(one.folder), history_of(other.folder)
        assert first != second  # the order of the sums differs
        for a, b in zip(first, second, strict=True):
            assert float(a["total"]) == pytest.approx(float(b["total"]), rel=1e-9)
        assert np.abs(read_image(one.folder / "image.png") - read_image(other.folder / "image.png")).max() < 2 / 255


def test_tiles_do_not_depend_on_the_neighbours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that weighs shallow layers beside one that weighs deep ones and several masks: each is its solo run.

    The shallow one's own pass is below the bound.
    """
    from harness.objective import memory

    monkeypatch.setattr(memory, "BOUND_BYTES", 2_300_000)
    varied = """cases:
      shallow: {style_layers: {conv1_1: 1}, content_layers: {conv1_2: 1}}
      deep: {style_layers: {conv1_1: 0.5, conv4_1: 0.5}, content_layers: {conv3_2: 1}}
      masked: {style: {strokes: {mask: left.png}, mosaic: {mask: right.png}}}"""
    (tmp_path / "solo").mkdir()
    words = ("transfer.size=64", "transfer.steps=2")
    together, alone = make_rows(tmp_path, *words, varied=varied), make_rows(tmp_path / "solo", *words, varied=varied)
    run_batch(together, Execution())
    for row, solo in zip(together, alone, strict=True):
        run_batch([solo], Execution())
        assert history_of(row.folder) == history_of(solo.folder)
        assert pictures_of(row.folder) == pictures_of(solo.folder)


@dataclass
class Pruner(Listener):
    """Gives a row up when it hears of its first rung."""

    asked: Orders = field(default_factory=Orders)

    def measured(self, row_id: str, evaluation: int, metrics: Mapping[str, Any]) -> None:
        self.asked.prune([row_id])


@pytest.mark.parametrize("evaluation", [6, 8])
def test_row_given_up_within_or_between_its_sizes_is_pruned_and_can_go_on(tmp_path: Path, evaluation: int) -> None:
    """Between two sizes it has the picture and the losses of the one before."""
    (tmp_path / "whole").mkdir()
    (row,), (whole,) = make_rows(tmp_path, "axes=null", PYRAMID), make_rows(tmp_path / "whole", "axes=null", PYRAMID)
    pruner = Pruner()
    (manifest,) = run_batch([row], Execution(rungs=(evaluation,)), asked=pruner.asked, listener=pruner)
    assert manifest.status is Status.PRUNED and read_image(row.folder / "image.png").shape == (48, 48, 3)
    began = 0 if evaluation == 6 else 6
    lines = [line for line in history_of(row.folder) if int(line["evaluation"]) > began]
    assert manifest.metrics["total"] == min(float(line["total"]) for line in lines)
    assert manifest.metrics == {**manifest.rungs[str(evaluation)], "seconds": manifest.metrics["seconds"]}
    run_batch([whole], Execution())
    run_batch([row], Execution())
    assert history_of(row.folder) == history_of(whole.folder) and pictures_of(row.folder) == pictures_of(whole.folder)


def test_photographs_of_one_final_size_have_one_size_at_every_level(tmp_path: Path) -> None:
    """By their own proportions, 451 × 300 and 600 × 400, they would differ by a pixel at 115 px."""
    words = ("transfer.size=120", "transfer.steps=1", "transfer.pyramid=[{size: 115, steps: 1}]")
    rows = make_rows(tmp_path, *words, varied="axes: {content: [chelsea, coffee]}")
    manifests = run_batch(rows, Execution())
    assert [manifest.status for manifest in manifests] == [Status.DONE] * 2


def test_weights_that_end_early_are_enough_for_shallow_layers(tmp_path: Path) -> None:
    from tiny_vgg import tiny_state

    torch.save(tiny_state(6), tmp_path / "w.pth")
    words = ("axes=null", "transfer.weights={file: w.pth}", "transfer.steps=2")
    (manifest,) = run_batch(make_rows(tmp_path, *words), Execution())
    assert manifest.status is Status.DONE


def test_a_batch_reads_and_normalises_its_network_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three sizes and two rows."""
    from tiny_vgg import tiny_state

    from harness.config import load_experiment
    from harness.driver.capacity import MaxRows
    from harness.driver.jobs import make_jobs

    calls: list[str] = []
    torch.save(tiny_state(13), tmp_path / "w.pth")
    rows = make_rows(tmp_path, PYRAMID, "transfer.weights={file: w.pth}", "transfer.steps=1")
    for name in ("load_local", "normalised_state"):
        counted(monkeypatch, f"harness.runs.prepare.{name}", calls)
    run_batch(rows, Execution())
    assert calls == ["load_local", "normalised_state"]
    [job, _] = make_jobs(
        load_experiment(tmp_path / "tiny.yaml", ["transfer.weights={file: w.pth}"]), tmp_path / "other"
    )
    assert MaxRows(["cpu"], lambda worker: 0.0)([job], "cpu") == 1
    assert len(calls) == 2  # what a command reckons with is the same network


def test_start_from_style_is_the_heaviest_painting(tmp_path: Path) -> None:
    from harness.runs.prepare import start_image

    words = ("transfer.start=style", "transfer.style={mosaic: 0.001, strokes: 1}")
    blend, plain = make_rows(tmp_path, "axes=null", *words), make_rows(tmp_path, "axes=null", "transfer.start=style")
    assert torch.equal(start_image(blend[0], prepare_images(blend), 0), start_image(plain[0], prepare_images(plain), 0))


@pytest.mark.parametrize(("rate", "is_early"), [(0.02, False), (3.0, True)])
def test_run_that_keeps_an_early_picture_says_so(tmp_path: Path, rate: float, is_early: bool) -> None:
    """Adam at a rate of 3 throws the picture about: what stands after its lowest loss is not what was kept."""
    optimiser = f"transfer.optimiser={{name: adam, learning_rate: {rate}, bounds: none}}"
    (row,) = make_rows(tmp_path, "axes=null", "transfer.steps=24", optimiser, "transfer.start=content")
    (manifest,) = run_batch([row], Execution())
    totals = [float(line["total"]) for line in history_of(row.folder)]
    kept = 1 + totals.index(min(totals))
    assert manifest.metrics["kept_evaluation"] == kept and (kept < 18) == is_early
    told = early_picture(manifest, row.transfer)
    assert told.startswith(f"its picture is that of evaluation {kept} of 24") if is_early else not told
    assert not is_early or (settled(manifest, row.transfer) is False and manifest.metrics["still_falling"] < 0)
