"""What a GPU would refuse, on a device that refuses it here: everything that is computed together lies there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from engine_rows import make_rows
from other_device import OTHER, There, other_device
from test_batched_layout import BATCHED, CASES, OPTIMISERS, masks, module_of
from test_distill_command import distil, images, teacher

from harness.cli import distill
from harness.features.sources import WeightsFile
from harness.features.weights import load_state

__all__ = ["images", "masks", "teacher"]  # fixtures

THERE = replace(BATCHED, device=OTHER.type)


HOW = [("strong Wolfe, bounded", "float32"), ("strong Wolfe, bounded", "bf16"), ("Adam", "float32"),
       ("no search, bounded, no filter", "float32")]  # fmt: skip


@pytest.mark.parametrize(("optimiser", "precision"), HOW)
def test_rows_of_another_device_are_evaluated_and_moved_there_as_here(
    tmp_path: Path, optimiser: str, precision: str
) -> None:
    rows = make_rows(tmp_path, OPTIMISERS[optimiser], f"transfer.precision={precision}", varied=CASES)
    totals = []
    with other_device():
        for execution in (THERE, BATCHED):
            module = module_of(rows, execution)
            assert isinstance(module.images.data, There) is (execution is THERE)
            for _ in range(3):
                module.optimizer.step(module.evaluate_active)
            module.drop([2])
            module.optimizer.step(module.evaluate_active)
            records = [record.on_host() for record in module.take_records()]
            assert not any(isinstance(x, There) for record in records for x in record.held.tensors().values())
            totals.append([total for record in records for total in record.values()["total"]])
            state = module.row_state(0)
            module.load_row_state(0, {name: x.cpu() for name, x in state.items()})
            module.optimizer.step(module.evaluate_active)
    assert totals[0] == pytest.approx(totals[1], rel=1e-3 if precision == "float32" else 0.1)


def test_rows_in_tiles_are_evaluated_there(tmp_path: Path) -> None:
    with other_device():
        module = module_of(make_rows(tmp_path), replace(THERE, microbatch=0, pass_bound_bytes=1.0))
        assert module.objective.tile_px is not None
        module.optimizer.step(module.evaluate_active)


@pytest.mark.long
def test_a_distillation_keeps_photographs_and_state_on_its_device(
    teacher: Path, images: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*images, "--teacher", teacher, "--steps", 4, "--crops", 4, "--pictures", 8, "--rounds", 1, "--size", 32]
    here = distil(*words, "--work", tmp_path / "here")
    assert here.exit_code == 0, here.output
    monkeypatch.setattr(distill, "use_device", lambda given: OTHER)
    with other_device():
        there = distil(*words, "--work", tmp_path / "there")
    assert there.exit_code == 0, (there.output, there.exception)
    moments = [safetensors.torch.load_file(tmp_path / place / "moments.safetensors") for place in ("here", "there")]
    for name, x in moments[0].items():
        assert torch.allclose(moments[1][name], x, rtol=1e-4, atol=1e-6), name
    states = [load_state(WeightsFile(tmp_path / place / "embedded.safetensors")).state for place in ("here", "there")]
    for name, x in states[0].items():
        assert states[1][name].shape == x.shape and bool(states[1][name].isfinite().all())


MIXED: dict[str, Any] = {
    "sum": lambda x, y: x + y,
    "product": lambda x, y: x @ y,
    "index": lambda x, y: x.index_select(0, torch.tensor([0, 1])),
    "joined": lambda x, y: torch.cat([x, y]),
    "drawn": lambda x, y: torch.rand(2, generator=torch.Generator(), device=OTHER),
}


@pytest.mark.parametrize("mix", MIXED.values(), ids=MIXED)
def test_the_device_refuses_what_a_gpu_refuses(mix: Any) -> None:
    with other_device():
        x, y = torch.ones(2, 2).to(OTHER), torch.ones(2, 2)
        with pytest.raises(RuntimeError, match="Expected"):
            mix(x, y)
        assert ((x + 1) * torch.tensor(3.0)).cpu().tolist() == [[6.0, 6.0]] * 2
