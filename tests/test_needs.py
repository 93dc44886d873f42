"""The memory that is reckoned with, beside every allocation of torch's while rows are made, evaluated and moved on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from engine_rows import make_rows
from PIL import Image
from torch.profiler import ProfilerActivity, profile

from harness.config import load_experiment
from harness.driver.jobs import make_jobs
from harness.driver.needs import bytes_together, needs_of
from harness.runs.batch_module import Progress
from harness.runs.module_makers import Execution, Layout, module_makers
from harness.runs.prepare import Row, prepare_images
from harness.runs.style_transfer import StyleTransfer

PAPER = (
    "transfer.size=96",
    "transfer.content_layers={conv4_2: 1}",
    "transfer.style_layers={conv1_1: 1, conv2_1: 1, conv3_1: 1, conv4_1: 1, conv5_1: 1}",
)
SHARING = "axes: {alpha: [1e-3, 1e-2, 1e-1]}"
DIFFERENT = """cases:
  plain: {}
  masked: {style: {strokes: {mask: left.png}, mosaic: {mask: right.png}}}
  photorealistic: {content: left.png, photorealism.weight: 10, content_layers: {conv1_2: 1}}"""

CASES: dict[str, tuple[str, tuple[str, ...], str]] = {
    "paper": ("{name: lbfgs}", (), SHARING),
    "long history, strong Wolfe": ("{name: lbfgs, history: 60, line_search: strong_wolfe}", (), SHARING),
    "Adam": ("{name: adam}", (), SHARING),
    "shallow, so that steps weigh more": (
        "{name: lbfgs, history: 3, bounds: unit}",
        ("transfer.content_layers={conv1_1: 1}", "transfer.style_layers={conv1_1: 1}"),
        SHARING,
    ),
    "maps in bfloat16": ("{name: lbfgs}", ("transfer.precision=bf16",), SHARING),
    "masks and regularisers": ("{name: lbfgs, history: 5, line_search: none}", (), DIFFERENT),
}


@pytest.fixture(autouse=True)
def masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two halves, in the working directory."""
    left = np.zeros((48, 48), np.uint8)
    left[:, :24] = 255
    Image.fromarray(left).save(tmp_path / "left.png")
    Image.fromarray(255 - left).save(tmp_path / "right.png")
    monkeypatch.chdir(tmp_path)


def carry_out(rows: list[Row], layout: Layout, num_evaluations: int) -> StyleTransfer:
    """Read the images, make the module and take some evaluations and steps."""
    [make] = module_makers(rows, prepare_images(rows), Execution(layout=layout), Progress.of(len(rows)))
    module = make()
    assert isinstance(module, StyleTransfer)
    for _ in range(num_evaluations):
        module.optimizer.step(module.evaluate_active)
        module.take_records()
    return module


def peak_bytes(rows: list[Row], layout: Layout) -> int:
    """The most that torch held at once, beside the network and its weights, which are there before."""
    kept = carry_out(rows, layout, 1)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        carry_out(rows, layout, 12)
    del kept
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]  # type: ignore[union-attr]
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return int(np.cumsum(changes).max())


@pytest.mark.parametrize("layout", ["rows", "batch"])
@pytest.mark.parametrize(("optimiser", "words", "varied"), CASES.values(), ids=CASES)
def test_reckoned_memory_is_at_least_the_real_one_and_at_most_twice_that(
    tmp_path: Path, layout: Layout, optimiser: str, words: tuple[str, ...], varied: str
) -> None:
    given = (*PAPER, *words, f"transfer.optimiser={optimiser}")
    rows = make_rows(tmp_path, *given, varied=varied)
    jobs = make_jobs(load_experiment(tmp_path / "tiny.yaml", given), tmp_path / "runs")
    reckoned = bytes_together([needs_of(job) for job in jobs], is_batched=layout == "batch")
    real = peak_bytes(rows, layout)
    assert real <= reckoned <= 2 * real, f"{reckoned / real:.2f}"
