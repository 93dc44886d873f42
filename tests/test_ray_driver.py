"""A whole experiment on a Ray cluster whose only worker is killed, loses its node, and comes back late."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_rows import history_of, manifest_of, pictures_of
from typer.testing import CliRunner

from harness.cli.app import app

pytestmark = [pytest.mark.timeout(900), pytest.mark.long]

EXPERIMENT = """
transfer: {content: astronaut, style: strokes, size: 48, steps: 300, pyramid: [], start: noise,
           content_layers: {conv2_1: 1}, style_layers: {conv1_1: 1}}
axes: {alpha: [1e-3, 1e-1, 1]}
"""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head without CPUs, and a node with one."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")
    head = {"num_cpus": 0, "num_gpus": 0, "include_dashboard": False, "_system_config": {"health_check_period_ms": 500}}
    cluster = Cluster(True, head_node_args=head)
    cluster.add_node(num_cpus=1, num_gpus=0)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    yield cluster
    cluster.shutdown()


def carriers() -> list[int]:
    """The processes of the engine's actors."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if b"ray::Carrier" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except OSError:
            continue
    return found


def wait_until(happened: Callable[[], Any], within_s: float = 300) -> None:
    end = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.usefixtures("undrawn")
def test_driver_waits_for_a_worker_whose_actor_or_node_is_gone(cluster: Any, tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(EXPERIMENT)
    here, there = tmp_path / "here", tmp_path / "there"
    words = ["run", str(path), "--wandb", "off", "--checkpoint-every", "0"]
    done = CliRunner().invoke(app, [*words, "--devices", "cpu:1", "--out", str(here)])
    assert done.exit_code == 0, done.output
    ray = [sys.executable, "-m", "harness", *words, "--engine", "ray", "--devices", "cpu:1", "--out", str(there)]

    def num_lines() -> int:
        return sum(history.read_bytes().count(b"\n") for history in there.rglob("history.csv"))

    with subprocess.Popen(ray, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as driver:
        wait_until(lambda: num_lines() > 20)
        os.kill(carriers()[0], signal.SIGKILL)
        known = num_lines()
        wait_until(lambda: num_lines() > known + 100)
        cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
        time.sleep(3)
        cluster.add_node(num_cpus=1, num_gpus=0)
        said, _ = driver.communicate(timeout=500)
    assert driver.returncode == 0, said
    assert said.count("The worker cpu:0 on the node") == 2 and "Traceback" not in said
    for folder in (path.parent for path in here.rglob("manifest.json")):
        same = there / folder.relative_to(here)
        assert pictures_of(same) == pictures_of(folder) and history_of(same) == history_of(folder)
        assert manifest_of(same)["status"] == "done"
    attempts = [len(manifest_of(path.parent)["attempts"]) for path in there.rglob("manifest.json")]
    assert max(attempts) == 3
