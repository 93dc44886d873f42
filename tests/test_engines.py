"""The local engine: the same pictures as in this process, whoever dies, is stopped or has too little memory."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from engine_rows import history_of, make_rows, manifest_of, pictures_of
from plugin_files import device_fails_once, loaded, naming

import harness
from harness.engines import devices
from harness.engines.contract import Advanced, End, Ended, Event, Finished, Measured, Noted, Task
from harness.engines.devices import DeviceSpec, available_bytes, busy_note, num_cores, parse_device, parse_devices
from harness.engines.local import LocalEngine, names_of
from harness.engines.process import Pulse, clean_environment, describe_exit
from harness.engines.work import carry_out
from harness.errors import DeviceError, RunError
from harness.runs.batch import Execution, run_batch
from harness.runs.prepare import Row
from harness.runs.signals import Orders
from harness.runs.store import RunFolder, Status

CPU = DeviceSpec("cpu", 1)

DRIVER = """
import sys, time
from pathlib import Path
sys.path.insert(0, "tests")
from engine_rows import make_rows
from harness.engines.contract import Task
from harness.engines.devices import DeviceSpec
from harness.engines.local import LocalEngine

folder = Path(sys.argv[1])
engine = LocalEngine([DeviceSpec("cpu", 1)], folder / "logs")
engine.submit(Task(tuple(make_rows(folder, "axes=null", "transfer.steps=5000")), checkpoint_every_s=1000.0))
print(engine._places[0].process.process.pid, flush=True)
while True:
    engine.events(1.0)
"""


@pytest.fixture
def make_engine(tmp_path: Path) -> Iterator[Callable[[int], LocalEngine]]:
    """Makes engines of so many single-threaded workers, and closes them."""
    made: list[LocalEngine] = []

    def make(num_workers: int) -> LocalEngine:
        made.append(LocalEngine([CPU] * num_workers, tmp_path / "logs"))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


def take(engine: LocalEngine, until: type[Event] = Ended, count: int = 1, timeout_s: float = 60.0) -> list[Event]:
    """All events until so many of a kind have come."""
    found: list[Event] = []
    end = time.monotonic() + timeout_s
    while sum(isinstance(event, until) for event in found) < count:
        assert time.monotonic() < end, found
        found += engine.events(0.2)
    return found


def pid_of(engine: LocalEngine, worker: int = 0) -> int:
    return engine._places[worker].process.process.pid


def in_this_process(folder: Path, *overrides: str) -> list[Row]:
    """The rows, carried out here one by one: what ``map`` would do."""
    from harness.runs.batch import Execution, run_batch

    folder.mkdir()
    rows = make_rows(folder, *overrides)
    for row in rows:
        run_batch([row], Execution())
    return rows


def assert_same(one: list[Row], other: list[Row]) -> None:
    for a, b in zip(one, other, strict=True):
        assert pictures_of(a.folder) == pictures_of(b.folder) and history_of(a.folder) == history_of(b.folder)


def test_engine_equals_map(tmp_path: Path, make_engine: Callable[[int], LocalEngine]) -> None:
    engine = make_engine(2)
    assert engine.workers == engine.idle == ("cpu:0", "cpu:1")
    rows = make_rows(tmp_path)
    numbers = [engine.submit(Task((row,), rungs=(5,))) for row in rows]
    assert numbers == [0, 1] and engine.idle == ()
    with pytest.raises(RuntimeError, match="No worker is idle"):
        engine.submit(Task((rows[0],)))
    events = take(engine, Ended, 2)
    assert {(e.task, e.end, e.exit_code) for e in events if isinstance(e, Ended)} == {
        (0, End.DONE, 0),
        (1, End.DONE, 0),
    }
    assert {e.run_id: e.manifest.status for e in events if isinstance(e, Finished)} == {
        row.id: Status.DONE for row in rows
    }
    assert {(e.run_id, e.evaluation) for e in events if isinstance(e, Measured)} == {(row.id, 5) for row in rows}
    assert {e.worker for e in events if isinstance(e, Advanced)} == {"cpu:0", "cpu:1"} and engine.idle == engine.workers
    assert_same(rows, in_this_process(tmp_path / "map"))
    provenance = manifest_of(rows[0].folder)["provenance"]
    assert (provenance["device"], provenance["threads"], provenance["batch"]) == ("cpu", 1, 1)
    assert provenance["seeds"] == {"start": 0} and set(provenance["files"]) == {"content", "style", "weights"}


def test_worker_says_what_is_free_before_a_task_between_two_and_when_it_has_been_replaced(
    tmp_path: Path, make_engine: Callable[[int], LocalEngine]
) -> None:
    engine = make_engine(1)
    here = available_bytes()
    assert 0.2 * here < engine.free_bytes("cpu:0") < 5 * here
    engine.submit(Task(tuple(make_rows(tmp_path, "transfer.steps=2"))))
    assert take(engine)[-1] == Ended(0, "cpu:0", End.DONE)
    assert 0.2 * here < engine.free_bytes("cpu:0") < 5 * here
    engine._places[0].process.process.kill()
    engine._places[0].process.process.wait()
    assert 0.2 * here < engine.free_bytes("cpu:0") < 5 * here


def test_driver_leaves_the_gpu_to_its_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What initialises CUDA opens a context, which takes memory on every card: here it fails, and is noted."""
    touched: list[str] = []

    def touch(name: str) -> Callable[..., None]:
        def fail(*given: object) -> None:
            touched.append(name)
            raise RuntimeError(f"torch.cuda.{name} in the driver")

        return fail

    for name in ("init", "_lazy_init", "mem_get_info", "current_device", "set_device", "synchronize"):
        monkeypatch.setattr(torch.cuda, name, touch(name))
    monkeypatch.setattr(devices, "num_gpus", lambda: 1)
    make_rows(tmp_path, "axes=null")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "none")  # its worker looks for a card that is not there
    with pytest.raises(RunError, match="CUDA|NVIDIA"):
        harness.run(tmp_path / "tiny.yaml", out=tmp_path / "out", devices="cuda:0", wandb="off", progress=False)
    assert touched == []


def test_killed_worker_names_its_log_and_its_row_goes_on_to_the_same_bits(
    tmp_path: Path, make_engine: Callable[[int], LocalEngine]
) -> None:
    engine = make_engine(1)
    words = ("axes=null", "transfer.steps=500", "transfer.size=64")
    rows = make_rows(tmp_path, *words)
    task = Task(tuple(rows), checkpoint_every_s=0.0)
    engine.submit(task)
    take(engine, Advanced, 2)
    os.kill(pid_of(engine), signal.SIGKILL)
    (ended,) = (event for event in take(engine) if isinstance(event, Ended))
    assert (ended.end, ended.worker, ended.task) == (End.DIED, "cpu:0", 0)
    (log,) = (tmp_path / "logs").iterdir()
    for part in ("Worker cpu:0 died", rows[0].id, "SIGKILL", "out-of-memory killer", str(log)):
        assert part in ended.message
    assert engine.idle == ("cpu:0",)
    engine.submit(task)
    assert take(engine)[-1] == Ended(1, "cpu:0", End.DONE)
    first, second = manifest_of(rows[0].folder)["attempts"]
    assert 1 < second["from"] <= first["to"] + 1 and second["to"] == 500
    assert_same(rows, in_this_process(tmp_path / "map", *words))


def test_worker_that_hangs_is_named_killed_and_replaced(
    tmp_path: Path, make_engine: Callable[[int], LocalEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("axes=null", "transfer.steps=300")
    rows = make_rows(tmp_path, *words)
    engine, task = make_engine(1), Task(tuple(rows), checkpoint_every_s=0.0)
    engine.submit(task)
    take(engine, Advanced)
    os.kill(pid_of(engine), signal.SIGSTOP)
    monkeypatch.setattr("harness.engines.local.SILENT_S", 1.0)
    ended = take(engine)[-1]
    monkeypatch.undo()
    assert isinstance(ended, Ended) and (ended.end, ended.worker) == (End.DIED, "cpu:0")
    assert rows[0].id in ended.message and "it hung" in ended.message and "memory" not in ended.message
    engine.submit(task)
    assert take(engine)[-1] == Ended(1, "cpu:0", End.DONE)
    assert len(manifest_of(rows[0].folder)["attempts"]) == 2
    assert_same(rows, in_this_process(tmp_path / "map", *words))


def test_silence_counts_while_it_is_looked_at_and_ends_with_a_moment_of_computing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat, now = tmp_path / "stat", [100.0]
    monkeypatch.setattr("harness.engines.process.time.monotonic", lambda: now[0])

    def look(after_s: float, ticks: int, **how: bool) -> float:
        stat.write_text(f"1 (a) b) S {' '.join(['0'] * 10)} {ticks} 0 0 0\n")
        now[0] += after_s
        return pulse.look(**how)

    pulse = Pulse(stat)
    assert [look(1, 7), look(2, 7), look(3, 7)] == [0, 2, 5]
    assert look(3600, 7) == 10  # the driver slept, and perhaps its workers with it
    assert look(1, 7, is_heard=True) == 0 and look(1, 7) == 1 and look(1, 8) == 0
    stat.unlink()
    assert Pulse(stat).look() == 0  # no Linux


def test_workers_checkpoint_and_end_when_their_driver_is_killed(tmp_path: Path) -> None:
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    worker = int(driver.stdout.readline())
    end = time.monotonic() + 60
    while not list(tmp_path.glob("runs/*/*/history.csv")) and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.3)
    driver.kill()
    driver.communicate()
    while Path(f"/proc/{worker}/stat").exists() and not _is_zombie(worker):
        assert time.monotonic() < end
        time.sleep(0.05)
    (run,) = tmp_path.glob("runs/*/*")
    (attempt,) = manifest_of(run)["attempts"]
    assert (run / "checkpoint.safetensors").exists() and attempt["to"] == int(history_of(run)[-1]["evaluation"]) > 0
    with RunFolder(run) as folder:
        assert folder.manifest() is not None


def test_worker_whose_device_fails_is_replaced_and_its_rows_go_on_to_the_same_bits(
    tmp_path: Path, make_engine: Callable[[int], LocalEngine]
) -> None:
    mark, words = tmp_path / "failed", ("transfer.terms={lost: 1}",)
    with loaded(tmp_path, device_fails_once(mark, 30)) as plugin:
        varied = f"{naming(tmp_path, 'mine.py')}axes: {{alpha: [1e-3, 1e-1]}}"
        rows = make_rows(tmp_path, *words, varied=varied)
        engine = make_engine(1)
        pid = pid_of(engine)
        task = Task(tuple(rows), checkpoint_every_s=0.0, rungs=(5, 10), plugins=(plugin,))
        engine.submit(task)
        ended = take(engine)[-1]
        assert isinstance(ended, Ended) and (ended.end, ended.exit_code) == (End.DEVICE_LOST, 1)
        (log,) = (tmp_path / "logs").iterdir()
        assert "illegal memory access" in ended.message and str(log) in ended.message and mark.exists()
        assert engine.idle == ("cpu:0",) and pid_of(engine) != pid
        engine.submit(task)
        assert take(engine)[-1] == Ended(1, "cpu:0", End.DONE)
        for row in rows:
            assert [attempt["from"] for attempt in manifest_of(row.folder)["attempts"]] == [1, 11]
        (tmp_path / "here").mkdir()
        here = make_rows(tmp_path / "here", *words, varied=varied)
        run_batch(here, Execution(rungs=(5, 10)))
        assert_same(rows, here)


@pytest.mark.parametrize(
    ("error", "end"),
    [
        ('RuntimeError("CUDA error: device-side assert triggered")', End.DEVICE_LOST),
        ('RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED")', End.DEVICE_LOST),
        ('torch.AcceleratorError("unspecified launch failure")', End.DEVICE_LOST),
        ('RuntimeError("CUDA error: out of memory")', End.OUT_OF_MEMORY),
        ('RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`")', End.OUT_OF_MEMORY),
        ('torch.OutOfMemoryError("CUDA out of memory.")', End.OUT_OF_MEMORY),
        ('RuntimeError("the plugin is at fault")', End.DONE),  # its run fails alone, by the plugin's own line
    ],
)
def test_failing_device_is_told_from_memory_that_runs_out_and_from_a_plugins_fault(
    tmp_path: Path, error: str, end: End
) -> None:
    text = f'@harness.term("faulty")\ndef faulty(images, *, content):\n    raise {error}\n'
    with loaded(tmp_path, text) as plugin:
        varied = f"{naming(tmp_path, 'mine.py')}axes: {{alpha: [1e-3]}}"
        rows = make_rows(tmp_path, "transfer.terms={faulty: 1}", varied=varied)
        found = carry_out(Task(tuple(rows), plugins=(plugin,)), "cpu", 1, "cpu:0", lambda event: None, Orders())
    assert found[0] is end, found


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_rows_are_pruned_and_tasks_stopped_on_request(
    tmp_path: Path, make_engine: Callable[[int], LocalEngine]
) -> None:
    engine = make_engine(1)
    first, second = make_rows(tmp_path, "transfer.steps=2000")
    engine.submit(Task((first, second), rungs=(3,)))
    take(engine, Measured, 2)
    engine.prune([first.id, "no such row"])
    (finished,) = (event for event in take(engine, Finished) if isinstance(event, Finished))
    assert finished.run_id == first.id and finished.manifest.status is Status.PRUNED
    take(engine, Advanced)
    engine.stop()
    ended = take(engine)[-1]
    assert isinstance(ended, Ended) and ended.end is End.STOPPED and ended.message
    assert len(history_of(first.folder)) < len(history_of(second.folder)) < 2000
    assert manifest_of(second.folder)["attempts"] == [{"from": 1, "to": len(history_of(second.folder))}]


def test_errors_come_back_as_sentences_and_the_worker_lives_on(
    tmp_path: Path, make_engine: Callable[[int], LocalEngine]
) -> None:
    engine = make_engine(1)
    (row,) = make_rows(tmp_path, "axes=null", "transfer.steps=1")
    pid = pid_of(engine)
    gone = replace(row, files={**row.files, "style": str(tmp_path / "gone.png")})
    engine.submit(Task((gone,)))
    ended = take(engine)[-1]
    assert isinstance(ended, Ended) and (ended.end, ended.exit_code) == (End.ERROR, 2) and "gone.png" in ended.message
    assert not (tmp_path / "logs").exists()
    engine.submit(Task((replace(row, transfer=row.transfer.model_copy(update={"precision": "float7"})),)))
    ended = take(engine)[-1]
    assert isinstance(ended, Ended) and (ended.end, ended.exit_code) == (End.UNFORESEEN, 1)
    (log,) = (tmp_path / "logs").iterdir()
    assert "KeyError: 'float7'" in ended.message and str(log) in ended.message and "Traceback" in log.read_text()
    engine.submit(Task((row,)))
    assert take(engine)[-1] == Ended(2, "cpu:0", End.DONE) and pid_of(engine) == pid


def test_what_wandb_could_not_take_is_noted_by_the_end(
    tmp_path: Path, make_engine: Callable[[int], LocalEngine]
) -> None:
    engine = make_engine(1)
    rows = make_rows(tmp_path, "axes=null", "transfer.steps=2")
    (tmp_path / "file").write_text("in the way of a folder")
    engine.submit(Task(tuple(rows), tracking="offline", wandb_folder=tmp_path / "file" / "wandb"))
    events = take(engine)
    engine.close()
    notes = [event.sentence for event in events + engine.events(0.0) if isinstance(event, Noted)]
    assert len(notes) == 1 and notes[0].startswith("W&B tracking stopped")
    assert manifest_of(rows[0].folder)["status"] == "done"


def test_idle_workers_are_kept_for_the_next_engine_unless_the_environment_differs(
    make_engine: Callable[[int], LocalEngine], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engine = make_engine(1)
    pid = pid_of(engine)
    engine.close()
    monkeypatch.setenv("EDITOR", "ed")
    again = make_engine(1)
    assert pid_of(again) == pid
    again.close()
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "other"))
    other = make_engine(1)
    assert pid_of(other) != pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_worker_has_a_clean_environment_and_a_session_of_its_own(
    make_engine: Callable[[int], LocalEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning would go silent, or refuse to run, as one rank of many; Ctrl-C is the driver's."""
    strangers = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "SLURM_NTASKS", "PMI_RANK", "OMPI_COMM_WORLD_RANK")
    for name in strangers:
        monkeypatch.setenv(name, "3")
    monkeypatch.setenv("WANDB_PROJECT", "kept")
    pid = pid_of(make_engine(1))
    variables = dict(
        entry.split("=", 1) for entry in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in entry
    )
    assert not set(strangers) & set(variables)
    told = {name: variables[name] for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "WANDB_PROJECT")}
    assert told == {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "WANDB_PROJECT": "kept"}
    assert "GLIBC_TUNABLES" in variables  # glibc itself cuts what it has read into pieces
    assert os.getsid(pid) == pid


def test_what_a_user_has_told_the_c_library_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.check=1")
    assert clean_environment(CPU)["GLIBC_TUNABLES"] == "glibc.malloc.check=1"


FAULTS = """
import resource, torch

def use():
    torch.ones(2**24).add_(1)  # 64 MiB

for _ in range(4):
    use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def has_large_pages() -> bool:
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    name, version = platform.libc_ver()
    is_told = name == "glibc" and tuple(map(int, version.split("."))) >= (2, 35)
    return is_told and os.sysconf("SC_PAGE_SIZE") == 4096 and setting.exists() and "[madvise]" in setting.read_text()


def test_a_worker_does_not_fault_its_maps_in_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    words = [sys.executable, "-c", FAULTS]
    left, kept = (
        int(subprocess.run(words, env=of, check=True, capture_output=True, text=True).stdout) / 8
        for of in (dict(os.environ), clean_environment(CPU))
    )
    if has_large_pages():  # where there are none to be asked for, it is to do no harm
        assert left > 16_000  # a page of 4 KiB each
        assert kept < 1000


def test_worker_sees_its_own_card_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert clean_environment(DeviceSpec("cuda:1", 4))["CUDA_VISIBLE_DEVICES"] == "1"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-77")
    assert clean_environment(DeviceSpec("cuda:1", 4))["CUDA_VISIBLE_DEVICES"] == "GPU-77"


def test_workers_are_named_by_their_device() -> None:
    cards = [DeviceSpec("cuda:0", 1), DeviceSpec("cuda:1", 1), DeviceSpec("cuda:0", 1)]
    assert names_of(cards) == ["cuda:0", "cuda:1", "cuda:0#2"]
    assert names_of([CPU, CPU]) == ["cpu:0", "cpu:1"]


def test_death_is_described_by_signal_or_exit_code() -> None:
    assert "SIGSEGV" in describe_exit(-signal.SIGSEGV) and "memory" not in describe_exit(-signal.SIGSEGV)
    assert "exit code 3" in describe_exit(3)


@pytest.mark.parametrize(
    ("given", "num_rows", "cores", "threads", "expected"),
    [
        ("cpu", 9, 8, "", [("cpu", 8)]),
        ("cpu", 9, 8, "3", [("cpu", 3)]),
        ("cpu:3", 9, 8, "", [("cpu", 1)] * 3),
        ("cpu:3", 2, 8, "", [("cpu", 1)] * 2),
        ("auto", 9, 2, "", [("cpu", 1)] * 2),
        ("auto", 1, 8, "", [("cpu", 8)]),
        ("auto", 0, 8, "", [("cpu", 8)]),
        ("auto", 3, 8, "", [("cpu", 2)] * 3),
        ("auto", 9, 8, "1", [("cpu", 1)] * 8),
    ],
)
def test_devices_on_a_machine_without_a_gpu(
    given: str,
    num_rows: int,
    cores: int,
    threads: str,
    expected: list[tuple[str, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("harness.engines.devices.num_gpus", lambda: 0)
    monkeypatch.setattr("harness.engines.devices.num_cores", lambda: cores)
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    assert parse_devices(given, num_rows) == [DeviceSpec(*pair) for pair in expected]


@pytest.mark.parametrize(
    ("given", "num_rows", "expected"),
    [
        ("auto", 9, ["cuda:0", "cuda:1"]),
        ("auto", 1, ["cuda:0"]),
        ("cuda", 9, ["cuda:0", "cuda:1"]),
        ("cuda:1", 9, ["cuda:1"]),
        ("cuda:0,1", 9, ["cuda:0", "cuda:1"]),
        ("cuda:0,cuda:0", 9, ["cuda:0", "cuda:0"]),
    ],
)
def test_devices_on_a_machine_with_two_gpus(
    given: str, num_rows: int, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.engines.devices.num_gpus", lambda: 2)
    assert [spec.device for spec in parse_devices(given, num_rows)] == expected
    assert parse_device(given).device == expected[0]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("cdua:0", "Did you mean cuda:0?"),
        ("gpu", "Did you mean cuda?"),
        ("GPU:0", "Did you mean cuda:0?"),
        ("cpu:0", "no worker at all"),
        ("cpu:", "Did you mean cpu"),
        ("cuda:0,7", "the GPUs here are cuda:0, cuda:1"),
        ("cuda,cuda", "is not a device"),
        ("", "is not a device"),
    ],
)
def test_devices_that_are_not_there_are_refused(given: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.engines.devices.num_gpus", lambda: 2)
    with pytest.raises(DeviceError) as error:
        parse_devices(given, 4)
    assert told in str(error.value) and f"--devices {given}" in str(error.value)


def test_asking_for_the_cpu_does_not_import_torch() -> None:
    code = "import sys; from harness.engines.devices import parse_devices; parse_devices('cpu:2', 4); "
    subprocess.run([sys.executable, "-c", code + "assert 'torch' not in sys.modules"], check=True)


def test_several_threads_on_a_busy_machine_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (num_cores() + 0.5, 0.0, 0.0))
    assert "3 threads wait for the slowest of them: --devices cpu:1" in busy_note([DeviceSpec("cpu", 3)])
    assert busy_note([DeviceSpec("cpu", 1)] * 2) == busy_note([DeviceSpec("cuda:0", 4)]) == ""
    monkeypatch.setattr(os, "getloadavg", lambda: (num_cores() - 0.5, 0.0, 0.0))
    assert busy_note([DeviceSpec("cpu", 3)]) == ""
