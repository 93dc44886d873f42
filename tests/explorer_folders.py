"""Folders for the explorer's tests: a small experiment with holes, and a sweep of as many trials as wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from results_folder import make_results_folder, picture

from harness.figures.explorer import write_explorer
from harness.results import load

ALPHAS = (1e-4, 1e-2, 1.0)
EVALUATIONS = (1, 10, 100)


def history(scale: float, num: int = 100) -> list[dict[str, float]]:
    return [
        {"evaluation": k, "seconds": k / 10, "total": 3 * scale / k, "content": scale / k, "style": 2 * scale / k}
        for k in range(1, num + 1)
    ]


def cell(alpha: float, seed: int, **other: Any) -> dict[str, Any]:
    number = 10 * ALPHAS.index(alpha) + seed
    return {
        "label": {"alpha": alpha, "seed": seed}, "id": f"{number:012d}",
        "metrics": {"content": 1 / (1 + number), "style": 0.1 + number, "ssim": number / 100, "kept_evaluation": 100},
        "history": history(1.0 + number), "iterates": {k: picture(number + k) for k in EVALUATIONS}, **other,
    }  # fmt: skip


def ratios(path: Path) -> Path:
    """Three ratios by two seeds: one has failed, one has not begun."""
    others = {(1e-2, 1): {"status": "failed", "reason": "it turned NaN"}, (1.0, 1): {"status": "waiting"}}
    cells = [cell(alpha, seed, **others.get((alpha, seed), {})) for alpha in ALPHAS for seed in (0, 1)]
    experiment = {"axes": {"alpha": list(ALPHAS), "seed": [0, 1]}, "tracking": {"notes": "What α/β does."}}
    made = make_results_folder(path / "ratios", cells, experiment)
    write_explorer(load(made))
    return made


def many_trials(path: Path, num: int) -> Path:
    """A sweep of two fields, every value its own; half of the trials on the front."""
    cells = [
        {
            "label": {"trial": k, "alpha": 1.01 ** (k - num), "noise_sigma": 0.001 * (1 + k % 7)},
            "metrics": {"reference_content": (1 + k % 2) * 1.01**-k, "reference_style": (1 + k % 2) * 1.01**k},
            "history": history(1.0 + k, 500), "iterates": {e: picture(k) for e in EVALUATIONS},
        }
        for k in range(num)
    ]  # fmt: skip
    sweep = {
        "space": {"alpha": {"log": [1e-5, 1.0]}, "noise_sigma": {"uniform": [0.001, 0.1]}},
        "objectives": ["reference_content", "reference_style"],
        "budget": {"trials": num, "parallel": 1},
    }
    return make_results_folder(path, cells, sweep)
