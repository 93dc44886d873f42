"""What all tests share: a cache of their own, no W&B key, one thread."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

LONGEST_FIRST = ("test_run.py", "test_sweep.py", "test_ray_engine.py", "test_kill_controls.py", "test_engines.py")
"""Files of whole processes, most of them waiting or killed: begun last, one would leave the other cores idle."""


def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are cores: tests of whole processes wait for a quarter of their time."""
    from harness.engines.granted import num_cores

    return num_cores() + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files; the others stay in their order."""
    rank = {name: k for k, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


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
        "transfer: {content: astronaut, style: strokes, size: 64, steps: 24, pyramid: [], "
        "content_layers: {conv2_1: 1}, style_layers: {conv1_1: 0.5, conv2_1: 0.5}}\n"
        "axes: {alpha: [1e-3, 1e-1], seed: [0, 1]}\n"
        "figure: {columns: alpha, rows: seed}\n"
    )
    return path


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands in this process draw no figures: most of a tiny run's time, and tests of their own see to them."""
    monkeypatch.setattr("harness.driver.carrying.draw", lambda results: [])
