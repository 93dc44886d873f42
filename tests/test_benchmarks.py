"""Benchmarks that have not had their machine yet run through on this one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import gpu
import precisions
import pytest
import torch


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Their settings are of the whole process."""
    for module in (gpu, precisions):
        monkeypatch.setattr(module, "WARM", 0, raising=False)
    monkeypatch.setattr(precisions, "as_a_worker", lambda: None)
    held = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = held


def table_of(main: Callable[[], None], words: str, capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """The cells of the lines that a benchmark prints."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["benchmark", *words.split()])
        main()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| embedded")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_precisions_are_told_beside_float32(capsys: pytest.CaptureFixture[str]) -> None:
    words = "--network embedded --alpha 1e-2 --seeds 1 --size 32 --evaluations 6"
    table = table_of(precisions.main, words, capsys)
    assert [line[2] for line in table] == list(precisions.PRECISIONS)
    shares = [[float(cell.split()[1]) for cell in line[3:]] for line in table[1:]]
    assert all(0.5 < share < 2 for line in shares for share in line) and shares[2] != [1.0] * 3


def test_tf32_is_ten_bits_of_mantissa_behind_the_first_ties_away_from_zero() -> None:
    ulp = 2.0**-10
    given = torch.tensor([1 + ulp, 1 + ulp / 2, 1 + 0.49 * ulp, -1 - 1.5 * ulp, 3.0e38, 0.0], dtype=torch.float32)
    expected = [1 + ulp, 1 + ulp, 1.0, -1 - 2 * ulp]
    found = precisions.rounded_to_tf32(given).tolist()
    assert found[:4] == expected and found[4] == pytest.approx(3.0e38, rel=ulp) and found[5] == 0.0


EVERYWHERE = [variant for variant in gpu.VARIANTS if variant not in (gpu.COMPILED, *gpu.ON_A_GPU)]
WORDS = "--device cpu --network embedded --size 64 --rows 2 --evaluations 1"


def assert_told(table: list[list[str]], variants: list[str]) -> None:
    assert [line[2] for line in table] == [*variants, "textbook", "textbook, float32", *variants]
    for line in table:
        is_here = line[2] not in gpu.ON_A_GPU
        assert (float(line[3]) > 0 and float(line[5]) > 0) if is_here else line[3:] == ["not on this device", "–", "–"]


def test_what_a_gpu_is_to_be_measured_with_runs_through_here(capsys: pytest.CaptureFixture[str]) -> None:
    words = " ".join(f"--variant {variant}" for variant in EVERYWHERE)
    assert_told(table_of(gpu.main, f"{WORDS} {words}", capsys), EVERYWHERE)


@pytest.mark.long
def test_what_is_compiled_for_it_runs_through_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert_told(table_of(gpu.main, WORDS, capsys), list(gpu.VARIANTS))
