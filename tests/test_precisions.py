"""``transfer.precision``: bfloat16 in the network alone, TF32 on a GPU alone, and what a run says of either."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from engine_rows import history_of, make_rows, manifest_of
from plugin_files import loaded, naming
from tiny_vgg import photograph, tiny_state
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from harness.config import load_experiment
from harness.driver.estimate import evaluation_seconds
from harness.driver.jobs import make_jobs
from harness.engines.contract import End, Task
from harness.engines.devices import DeviceSpec
from harness.engines.work import carry_out
from harness.errors import DeviceError
from harness.features.vgg import VGG
from harness.runs.batch import Execution, run_batch
from harness.runs.batch_module import Progress
from harness.runs.module_makers import module_makers
from harness.runs.prepare import prepare_images
from harness.runs.signals import Orders
from harness.runs.store import Status
from harness.runs.style_transfer import StyleTransfer

BF16, TF32 = "transfer.precision=bf16", "transfer.precision=tf32"
EVERY = "axes: {precision: [float32, bf16, tf32, float64]}"
LAYERS = ["conv1_2", "conv2_1", "conv3_1"]


def module_of(folder: Path, *words: str, execution: Execution | None = None, varied: str = "") -> StyleTransfer:
    rows = make_rows(folder, *words, varied=varied)
    [make] = module_makers(rows, prepare_images(rows), execution or Execution(), Progress.of(len(rows)))
    module = make()
    assert isinstance(module, StyleTransfer)
    return module


class Convolutions(TorchFunctionMode):
    """Notes the types of what goes through kernels of 3 × 3."""

    def __init__(self) -> None:
        super().__init__()
        self.types: set[torch.dtype] = set()

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(function, "__name__", "") == "conv2d" and args[1].shape[2] == 3:
            self.types |= {args[0].dtype, args[1].dtype}
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_maps_and_gradients_are_float32s_to_bfloat16s_eight_bits(pooling: Any, padding: Any) -> None:
    state, images = tiny_state(width=64), photograph(32, 48, rows=2)
    found: dict[Any, tuple[dict[str, Tensor], Tensor]] = {}
    for convolved in (None, torch.bfloat16):
        network = VGG(state, pooling=pooling, padding=padding, convolved=convolved)
        given = images.clone().requires_grad_()
        with Convolutions() as seen:
            maps = network(given, LAYERS)
            (gradient,) = torch.autograd.grad(torch.stack([x.square().mean() for x in maps.values()]).sum(), given)
        if convolved is not None:
            assert seen.types == {torch.bfloat16}
        found[convolved] = maps, gradient
    (exact, slope), (rounded, rounded_slope) = found.values()
    for layer in LAYERS:
        assert rounded[layer].dtype == torch.float32
        assert 1e-4 < error_of(rounded[layer].detach(), exact[layer].detach()) < 2e-2
    assert rounded_slope.dtype == torch.float32 and 1e-4 < error_of(rounded_slope, slope) < 0.25


def error_of(found: Tensor, expected: Tensor) -> float:
    return ((found - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("layout", ["rows", "batch"])
@pytest.mark.parametrize("words", [(), ("transfer.size=64", "transfer.style_layers={conv3_1: 1}")])
def test_in_bf16_the_network_alone_rounds(tmp_path: Path, layout: Any, words: tuple[str, ...]) -> None:
    module = module_of(tmp_path, BF16, *words, execution=Execution(layout=layout), varied="axes: {alpha: [1e-3, 1]}")
    with Convolutions() as seen:
        module.optimizer.step(module.evaluate_active)
    assert seen.types == {torch.bfloat16}
    assert module.images.dtype == torch.float32 == module.images.grad.dtype  # type: ignore[union-attr]
    assert {buffer.dtype for buffer in module.objective.buffers() if buffer.is_floating_point()} == {torch.float32}
    assert {x.dtype for record in module.take_records() for x in record.columns.values()} == {torch.float32}
    state = module.row_state(0).values()
    assert torch.bfloat16 not in {x.dtype for x in state}


def test_a_run_in_bf16_ends_near_float32s_and_is_another_picture(tmp_path: Path) -> None:
    rows = make_rows(tmp_path, "transfer.size=64", varied="axes: {precision: [float32, bf16]}")
    plain, rounded = rows
    assert plain.id != rounded.id
    for row in rows:
        assert carry_out(Task((row,)), "cpu", 1, "cpu:0", print, Orders()) == (End.DONE, "", 0)
    manifests = [manifest_of(row.folder) for row in rows]
    first, last = ([float(history_of(row.folder)[k]["total"]) for row in rows] for k in (0, -1))
    assert first[0] != first[1] == pytest.approx(first[0], rel=0.02)
    assert last[0] != last[1] == pytest.approx(last[0], rel=0.3) and last[1] < 0.7 * first[1]
    assert [manifest["provenance"]["precision"] for manifest in manifests] == ["float32", "bf16"]
    # The comparable numbers are measured in single precision: of equal pictures they are equal.
    assert 0 < abs(manifests[1]["metrics"]["reference_style"] / manifests[0]["metrics"]["reference_style"] - 1) < 0.5


def test_in_tiles_and_at_once_bf16_agrees_to_its_rounding(tmp_path: Path) -> None:
    words = (BF16, "transfer.size=64")
    plain, tiled = (module_of(tmp_path, *words, execution=Execution(pass_bound_bytes=bound)) for bound in (None, 1.0))
    assert plain.objective.tile_px is None and tiled.objective.tile_px is not None
    totals = [float(module.evaluate_active()) for module in (plain, tiled)]
    assert totals[1] == pytest.approx(totals[0], rel=1e-2)
    assert error_of(tiled.images.grad, plain.images.grad) < 0.1  # type: ignore[arg-type]


PLAIN = """@harness.network("plain")
class Plain(torch.nn.Module):
    layers = ("one",)

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.convolution = torch.nn.Conv2d(3, 8, 3)

    def forward(self, images, layers):
        return {"one": self.convolution(images).relu()}
"""


def test_a_plugins_network_rounds_by_autocast_and_keeps_its_own_weights(tmp_path: Path) -> None:
    words = ("transfer.weights={network: plain}", "transfer.content_layers={one: 1}", "transfer.style_layers={one: 1}")
    with loaded(tmp_path, PLAIN):
        varied = naming(tmp_path, "mine.py")
        plain = module_of(tmp_path, *words, varied=varied)
        exact = plain.network.maps(plain.images, ["one"])["one"].detach()
        module = module_of(tmp_path, BF16, *words, varied=varied)
        with Convolutions() as seen:
            maps = module.network.maps(module.images, ["one"])
        assert maps["one"].dtype == torch.float32 and 0 < error_of(maps["one"].detach(), exact) < 1e-2
        assert {p.dtype for p in module.network.parameters()} == {torch.float32} and seen.types == {torch.float32}
        module.optimizer.step(module.evaluate_active)
        again = module_of(tmp_path, *words, varied=varied)
        assert torch.equal(again.network.maps(plain.images, ["one"])["one"], exact)


@pytest.fixture
def _flags() -> Any:
    held = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = held


def test_tf32_is_for_a_gpu_that_has_it_and_there_for_convolutions_alone(
    _flags: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.features.single_precision import multiply_as

    allowed = []
    monkeypatch.setattr(
        torch.cuda, "get_device_capability", lambda device: {"cuda:0": (8, 0), "cuda:1": (7, 5)}[device]
    )
    for precision in ("float32", "tf32", "bf16", "tf32", "float64"):
        multiply_as(precision, "cuda:0")
        allowed.append((torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32))
    assert allowed == [(False, False), (True, False), (False, False), (True, False), (False, False)]
    multiply_as("bf16", "cpu")
    for device in ("cuda:1", "cpu"):
        with pytest.raises(DeviceError, match=f"precision: tf32.* {device} .*float32 or bf16"):
            multiply_as("tf32", device)


def test_tf32_on_the_cpu_is_a_sentence_before_anything_is_written(tmp_path: Path) -> None:
    [row] = make_rows(tmp_path, TF32, varied="")
    end, told, code = carry_out(Task((row,)), "cpu", 1, "cpu:0", print, Orders())
    assert (end, code) == (End.ERROR, 2) and "precision: tf32" in told and not row.folder.exists()
    [job] = make_jobs(load_experiment(tmp_path / "tiny.yaml", [TF32]), tmp_path)
    with pytest.raises(DeviceError):
        evaluation_seconds(job, [DeviceSpec("cpu", 1)], (16, 16))


def test_quilting_asks_for_no_precision(tmp_path: Path) -> None:
    [row] = make_rows(tmp_path, TF32, "transfer.method=quilting", "transfer.quilting.block=18", varied="")
    [manifest] = run_batch([row], Execution())
    assert manifest.status is Status.DONE


def test_rows_of_other_precisions_share_no_batch(tmp_path: Path) -> None:
    make_rows(tmp_path, varied=EVERY)
    jobs = make_jobs(load_experiment(tmp_path / "tiny.yaml", []), tmp_path)
    assert len({job.batch_key for job in jobs}) == len({job.id for job in jobs}) == len(jobs) == 4


def test_what_bf16_rounds_is_measured_of_the_network_it_names(tmp_path: Path) -> None:
    """Of one process's networks the last is kept: another precision gets one of its own."""
    types = []
    for words in ((), (BF16,), (), ("transfer.precision=float64",), (BF16,)):
        network = module_of(tmp_path, *words).network
        assert isinstance(network, nn.Module) and isinstance(network, VGG)
        types.append((network.weight("input").dtype, network.weight("conv1_1").dtype))
    one, two, half = torch.float32, torch.float64, torch.bfloat16
    assert types == [(one, one), (one, half), (one, one), (two, two), (one, half)]
