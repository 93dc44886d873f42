"""The Ray engine on a cluster of this machine: two nodes of one CPU, two nodes lost, GPUs that are not there.

Ray takes four seconds to start and each actor as long to import torch: one cluster, and one engine, for all tests.
"""

from __future__ import annotations

import csv
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_rows import make_rows
from plugin_files import device_fails_once, loaded, naming

from harness.config import load_experiment
from harness.driver.jobs import make_jobs
from harness.engines.contract import Advanced, End, Ended, Event, Finished, Task
from harness.engines.ray import RayEngine, open_ray
from harness.engines.ray_actor import Carrier
from harness.errors import DeviceError, UsageError
from harness.runs.batch import Execution, run_batch
from harness.runs.prepare import Row
from harness.runs.store import RunFolder, Status

pytestmark = pytest.mark.timeout(900)  # half a minute on an idle machine; a dozen processes starve on a busy one

LONG = 100_000
"""Evaluations that no test waits for."""


def rows_of(folder: Path, steps: int, alphas: tuple[float, ...] = (1e-3,)) -> tuple[Row, ...]:
    """Tiny runs, 48 px, a millisecond or two an evaluation."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tiny.yaml"
    path.write_text(
        f"transfer: {{content: astronaut, style: strokes, size: 48, steps: {steps}, pyramid: [], start: noise, "
        "content_layers: {conv2_1: 1}, style_layers: {conv1_1: 1}}\n"
        f"axes: {{alpha: {list(alphas)}}}\n"
    )
    return tuple(job.row for job in make_jobs(load_experiment(path), folder / "runs"))


def outcome(row: Row) -> tuple[bytes, list[dict[str, str]]]:
    """The picture and the history without its seconds, which no two runs share."""
    with open(row.folder / "history.csv", newline="") as file:
        lines = [{key: value for key, value in line.items() if key != "seconds"} for line in csv.DictReader(file)]
    return (row.folder / "image.png").read_bytes(), lines


def until(engine: RayEngine, happened: Callable[[list[Event]], Any], within_s: float = 240) -> list[Event]:
    """The events up to the moment at which ``happened`` is true of them."""
    events: list[Event] = []
    end = time.monotonic() + within_s
    while not happened(events):
        assert time.monotonic() < end, f"not within {within_s} s; so far {events}"
        events += engine.events(1.0)
    return events


def of(kind: type[Any], events: list[Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def submit(engine: RayEngine, rows: tuple[Row, ...]) -> int:
    """Give rows to a worker as soon as one is idle."""
    until(engine, lambda events: engine.idle)
    return engine.submit(Task(rows, checkpoint_every_s=0.1))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without CPUs and two nodes with one each, started as if inside a SLURM job of four processes."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"RANK": "1", "SLURM_NTASKS": "4", "RAY_USAGE_STATS_ENABLED": "0"}.items():
            patch.setenv(name, value)
        patch.setenv("RAY_worker_niceness", "0")  # 15 is Ray's own, with which nothing moves on a busy machine
        quick = {"health_check_period_ms": 500}  # a lost node is noticed after five of them, not after 15 s
        head = {"num_cpus": 0, "num_gpus": 0, "include_dashboard": False, "_system_config": quick}
        cluster = Cluster(True, head_node_args=head)
        for _ in range(2):
            cluster.add_node(num_cpus=1, num_gpus=0)
        yield cluster
        cluster.shutdown()


@pytest.fixture(scope="module")
def engine(cluster: Any) -> Iterator[RayEngine]:
    engine = open_ray(cluster.address)
    yield engine
    engine.close()


def test_auto_takes_every_cpu_of_a_cluster_without_gpus(engine: RayEngine) -> None:
    until(engine, lambda events: len(engine.idle) == 2)
    assert engine.workers == engine.idle == ("cpu:0", "cpu:1")
    assert len({place.pid for place in engine.places.values()}) == 2
    assert all(0 < engine.free_bytes(worker) < math.inf for worker in engine.workers)


def test_actor_whose_device_fails_is_replaced_and_its_row_goes_on(engine: RayEngine, tmp_path: Path) -> None:
    with loaded(tmp_path, device_fails_once(tmp_path / "failed", 15)) as plugin:
        rows = make_rows(
            tmp_path, "transfer.terms={lost: 1}", varied=f"{naming(tmp_path, 'mine.py')}axes: {{seed: [0]}}"
        )
        task = Task(tuple(rows), checkpoint_every_s=0.0, rungs=(5, 10), plugins=(plugin,))
        until(engine, lambda events: len(engine.idle) == 2)
        worker, pid = engine.idle[0], engine.places[engine.idle[0]].pid
        engine.submit(task)
        [ended] = of(Ended, until(engine, lambda events: of(Ended, events)))
        assert (ended.worker, ended.end) == (worker, End.DEVICE_LOST) and "illegal memory access" in ended.message
        until(engine, lambda events: len(engine.idle) == 2)
        assert engine.places[worker].pid != pid
        engine.submit(task)
        [ended] = of(Ended, until(engine, lambda events: of(Ended, events)))
        assert ended.end is End.DONE
    attempts = (manifest := RunFolder(rows[0].folder).manifest()) and manifest.attempts
    assert attempts and [attempt.first for attempt in attempts] == [1, 11]


def test_ray_engine_equals_map(engine: RayEngine, tmp_path: Path) -> None:
    alphas = (1e-3, 1e-2, 1e-1, 1.0)
    rows, here = rows_of(tmp_path / "ray", 20, alphas), rows_of(tmp_path / "here", 20, alphas)
    until(engine, lambda events: len(engine.idle) == 2)
    numbers = {engine.submit(Task(rows[:2])), engine.submit(Task(rows[2:]))}
    assert engine.idle == ()
    with pytest.raises(RuntimeError, match="idle"):
        engine.submit(Task(rows))
    events = until(engine, lambda events: len(of(Ended, events)) == 2)
    assert {event.task for event in of(Ended, events)} == numbers
    assert all((event.end, event.message, event.exit_code) == (End.DONE, "", 0) for event in of(Ended, events))
    assert {event.worker for event in of(Ended, events)} == {"cpu:0", "cpu:1"}
    assert sorted(event.run_id for event in of(Finished, events)) == sorted(row.id for row in rows)
    assert {event.run_id: event.manifest.status for event in of(Finished, events)} == {r.id: Status.DONE for r in rows}
    run_batch(here, Execution(threads=1))
    assert [outcome(row) for row in rows] == [outcome(row) for row in here]


def test_relative_folders_are_the_drivers(engine: RayEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (row,) = rows_of(Path("here"), 2)
    assert not row.folder.is_absolute()
    submit(engine, (row,))
    until(engine, lambda events: of(Ended, events))
    assert (tmp_path / row.folder / "image.png").exists()


def test_pruned_row_leaves_and_stopped_task_is_checkpointed(engine: RayEngine, tmp_path: Path) -> None:
    first, second = rows_of(tmp_path, LONG, (1e-3, 1e-1))
    number = submit(engine, (first, second))
    until(engine, lambda events: {event.run_id for event in of(Advanced, events)} == {first.id, second.id})
    engine.prune([first.id])
    (pruned,) = of(Finished, until(engine, lambda events: of(Finished, events)))
    assert pruned.run_id == first.id and pruned.manifest.status is Status.PRUNED
    engine.stop()
    events = until(engine, lambda events: of(Ended, events))
    assert [(event.task, event.end) for event in of(Ended, events)] == [(number, End.STOPPED)]
    assert not of(Finished, events) and RunFolder(second.folder).checkpoint_path.exists()


def test_what_a_node_cannot_see_is_named(engine: RayEngine, tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path, 2)
    row.files["content"] = str(tmp_path / "gone.png")  # type: ignore[index]
    submit(engine, (row,))
    (ended,) = of(Ended, until(engine, lambda events: of(Ended, events)))
    assert ended.end is End.ERROR and ended.exit_code == 2
    assert str(tmp_path / "gone.png") in ended.message and "shared file system" in ended.message


def kill_process(cluster: Any, pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def kill_node(cluster: Any, pid: int) -> None:
    """Kill the node on which a process runs, a child of its node's raylet, with everything on it."""
    raylet = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    (node,) = (n for n in cluster.worker_nodes if n.all_processes["raylet"][0].process.pid == raylet)
    cluster.remove_node(node, allow_graceful=False)


def submit_and_kill(
    engine: RayEngine, cluster: Any, row: Row, begun: Callable[[list[Event]], Any], kill: Callable[[Any, int], None]
) -> list[Event]:
    """Give a row to one of two idle workers, and kill that as soon as it has ``begun``; all the events."""
    until(engine, lambda events: len(engine.idle) == 2)
    number = submit(engine, (row,))
    (worker,) = set(engine.workers) - set(engine.idle)
    place = engine.places[worker]
    events: list[Event] = []
    while not begun(events):
        events += engine.events(0.01)
    kill(cluster, place.pid)
    events += until(engine, lambda events: of(Ended, events))
    (ended,) = of(Ended, events)
    assert (ended.task, ended.worker, ended.end) == (number, worker, End.DIED)
    assert all(word in ended.message for word in (worker, place.node, str(place.pid), place.logs))
    return events


def test_killed_work_is_taken_up_and_ends_with_the_same_bits(engine: RayEngine, cluster: Any, tmp_path: Path) -> None:
    (row,), (here,) = rows_of(tmp_path / "ray", 400), rows_of(tmp_path / "here", 400)
    run = RunFolder(row.folder)
    submit_and_kill(engine, cluster, row, lambda events: (begun := run.manifest()) and begun.attempts, kill_process)
    submit(engine, (row,))
    assert [event.end for event in of(Ended, until(engine, lambda events: of(Ended, events)))] == [End.DONE]
    manifest = run.manifest()
    assert manifest is not None and len(manifest.attempts) == 2
    run_batch([here], Execution(threads=1))
    assert outcome(row) == outcome(here)


@pytest.mark.long
def test_actor_that_hangs_is_named_killed_and_replaced(
    engine: RayEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row,) = rows_of(tmp_path, LONG)
    number = submit(engine, (row,))
    advanced = of(Advanced, until(engine, lambda events: of(Advanced, events)))[0]
    place = engine.places[advanced.worker]
    monkeypatch.setattr("harness.engines.ray.SILENT_S", 1.0)
    monkeypatch.setattr("harness.engines.ray.POLL_S", 4.0)
    os.kill(place.pid, signal.SIGSTOP)
    [ended] = of(Ended, until(engine, lambda events: of(Ended, events)))
    monkeypatch.undo()
    assert (ended.task, ended.worker, ended.end) == (number, advanced.worker, End.DIED)
    assert "it hung, without a word and without computing" in ended.message and str(place.pid) in ended.message
    until(engine, lambda events: len(engine.idle) == 2)
    assert engine.places[advanced.worker].pid != place.pid
    submit(engine, (row,))
    again = of(Advanced, until(engine, lambda events: of(Advanced, events)))[0]
    assert again.evaluation > 1
    engine.stop()
    until(engine, lambda events: of(Ended, events))


def test_work_of_a_lost_node_goes_on_elsewhere_from_its_checkpoint(
    engine: RayEngine, cluster: Any, tmp_path: Path
) -> None:
    (row,) = rows_of(tmp_path, LONG)
    lost = submit_and_kill(engine, cluster, row, lambda events: of(Advanced, events), kill_node)
    submit(engine, (row,))
    advanced = of(Advanced, until(engine, lambda events: of(Advanced, events)))[0]
    assert advanced.evaluation > of(Advanced, lost)[0].evaluation and advanced.worker != of(Ended, lost)[0].worker
    engine.stop()
    until(engine, lambda events: of(Ended, events))
    assert engine.idle == (advanced.worker,) and len(engine.workers) == 2  # the other one waits for a new node


@pytest.mark.long
def test_each_actor_has_its_own_gpu_and_two_may_share_one(cluster: Any, engine: RayEngine) -> None:
    node = cluster.add_node(num_cpus=0, num_gpus=2)
    with pytest.raises(DeviceError, match="2 GPUs"):
        open_ray(None, "cuda:0,1,2")
    both = open_ray(None, "cuda:0,cuda:0,cuda:1")
    until(both, lambda events: len(both.idle) == 3)
    gpus = {worker: place.gpus for worker, place in both.places.items()}
    both.close()
    cluster.remove_node(node)
    assert all(len(of_worker) == 1 for of_worker in gpus.values())
    assert gpus["cuda:0"] == gpus["cuda:0#2"] != gpus["cuda:1"]


def test_actor_forgets_the_launcher_that_started_its_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path.cwd())  # put back at the end, as the environment is
    for name in ("RANK", "LOCAL_RANK", "SLURM_NTASKS", "SLURM_PROCID", "HARNESS_OF_THE_NODE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.delenv("WANDB_OF_THE_DRIVER", raising=False)
    carried = {"HARNESS_OF_THE_NODE": "2", "WANDB_OF_THE_DRIVER": "2"}
    with monkeypatch.context() as patch:
        patch.setattr(os, "environ", os.environ.copy())
        Carrier("cpu:0", "cpu", 1, str(tmp_path), carried)
        assert not [name for name in os.environ if name.startswith("SLURM_") or name.endswith("RANK")]
        assert os.environ["HARNESS_OF_THE_NODE"] == "1" and os.environ["WANDB_OF_THE_DRIVER"] == "2"
    assert Path.cwd() == tmp_path


def test_missing_ray_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'harness\[ray\]'"):
        open_ray()


DRIVER = """
import sys
from pathlib import Path
from harness.config import load_experiment
from harness.engines.contract import Advanced, Task
from harness.engines.ray import open_ray
from harness.driver.jobs import make_jobs

if __name__ == "__main__":
    engine = open_ray("local", "cpu:1")
    (job,) = make_jobs(load_experiment(Path("tiny.yaml")), Path("runs"))
    engine.submit(Task((job.row,), checkpoint_every_s=0.1))
    while not any(isinstance(event, Advanced) for event in engine.events(1.0)):
        pass
    print(engine.places["cpu:0"].pid, job.row.folder.absolute(), flush=True)
    engine.events(1000)
"""


@pytest.mark.long
def test_killed_driver_takes_its_actors_and_its_own_ray_with_it(tmp_path: Path) -> None:
    rows_of(tmp_path, LONG)
    (tmp_path / "driver.py").write_text(DRIVER)
    # A Ray that is started here keeps its token in the home.
    own_home = {**os.environ, "HOME": str(tmp_path), "RAY_worker_niceness": "0"}
    driver = subprocess.Popen(
        [sys.executable, "driver.py"], cwd=tmp_path, env=own_home, stdout=subprocess.PIPE, text=True
    )
    with driver:
        assert driver.stdout is not None
        pid, folder = driver.stdout.readline().split(maxsplit=1)
        driver.kill()
    run = RunFolder(Path(folder.strip()))
    end = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and time.monotonic() < end:
        time.sleep(0.1)
    assert not Path(f"/proc/{pid}").exists()
    assert run.acquire() and run.checkpoint_path.exists()
    run.release()
