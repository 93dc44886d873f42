"""Whatever computes on a GPU says that float32 is float32 there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from engine_rows import make_rows

from harness.cli.distill import use_device
from harness.config import load_experiment
from harness.driver.estimate import evaluation_seconds
from harness.driver.jobs import make_jobs
from harness.engines.devices import DeviceSpec
from harness.runs.batch import Execution, run_batch


def allowed() -> tuple[bool, bool]:
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


@pytest.fixture(autouse=True)
def before() -> Iterator[None]:
    """As a process may begin: torch's own default for convolutions, and products as some other library leaves them."""
    held = allowed()
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = held


def a_run(folder: Path) -> None:
    run_batch(make_rows(folder, "axes=null", "transfer.steps=1"), Execution())


def a_dry_run(folder: Path) -> None:
    make_rows(folder)
    [job, _] = make_jobs(load_experiment(folder / "tiny.yaml"), folder)
    evaluation_seconds(job, [DeviceSpec("cpu", 1)], (16, 16))


def a_distillation(folder: Path) -> None:
    use_device("cpu")


@pytest.mark.parametrize("computes", [a_run, a_dry_run, a_distillation])
def test_no_product_is_rounded_to_tf32(computes: Callable[[Path], None], tmp_path: Path) -> None:
    assert allowed() == (True, True)
    computes(tmp_path)
    assert allowed() == (False, False)
