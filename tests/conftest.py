"""What all tests share: a cache of their own, no W&B key, one thread."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def _own_surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the user's cache, or talks to W&B; bits are compared at one thread."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_CACHE", str(tmp_path_factory.mktemp("cache")))
        for variable in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_DIR", "WANDB_PROJECT"):
            patch.delenv(variable, raising=False)
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """A tiny experiment of three cells: seconds, but everything real."""
    path = tmp_path / "tiny.yaml"
    path.write_text(
        "transfer: {content: astronaut, style: strokes, size: 64, steps: 24, "
        "content_layers: {conv2_1: 1}, style_layers: {conv1_1: 0.5, conv2_1: 0.5}}\n"
        "axes: {alpha: [1e-3, 1e-1], seed: [0, 1]}\n"
        "figure: {columns: alpha, rows: seed}\n"
    )
    return path
