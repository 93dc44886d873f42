"""Every operation on a run's files goes wrong in turn: nothing finished is lost, nothing half is taken for whole."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_rows import history_of, make_rows, manifest_of, pictures_of, with_trial
from faults import BROKEN, KILLED, NO_SPACE, READ_ONLY, TORN, Faults, How, Killed, injected

from harness.engines.contract import End, Task
from harness.engines.work import carry_out
from harness.errors import HarnessError
from harness.results.standing import last_lines
from harness.runs.batch import Execution, run_batch
from harness.runs.prepare import Row
from harness.runs.signals import Orders
from harness.runs.store import RunFolder, Status
from harness.runs.style_transfer import StyleTransfer

WORDS = ("transfer.size=32", "transfer.steps=3", "transfer.pyramid=[{size: 24, steps: 2}]")
STEPS = 5
TIMES = ("seconds", "peak_memory_mb")


@pytest.fixture(autouse=True)
def _step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every evaluation is a training step of its own, after which all is written."""
    monkeypatch.setattr(StyleTransfer.__init__, "__defaults__", (1, 0.0, (), None, None, True, ()))


def rows_in(folder: Path) -> list[Row]:
    folder.mkdir()
    [row] = make_rows(folder, *WORDS, varied="axes: {seed: [0]}")
    return [with_trial(row, 0, "reference_style")]


def compute(rows: list[Row], writing: Any = "none") -> None:
    run_batch(rows, Execution(writing=writing, checkpoint_every_s=0.0, rungs=(2,)))


def outcome_of(run: Path) -> dict[str, Any]:
    """All that is the same however often a run was interrupted."""
    manifest = manifest_of(run)
    metrics = {name: value for name, value in manifest["metrics"].items() if name != "seconds"}
    states = [(trial["number"], trial.get("state"), trial.get("values")) for trial in manifest["trials"]]
    files = {path.name for path in run.rglob("*") if path.is_file()}
    return {
        "status": manifest["status"],
        "metrics": metrics,
        "trials": states,
        "history": history_of(run),
        "pictures": pictures_of(run),
        "files": files,
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StyleTransfer.__init__, "__defaults__", (1, 0.0, (), None, None, True, ()))
        rows = rows_in(tmp_path_factory.mktemp("whole") / "a")
        compute(rows)
    return outcome_of(rows[0].folder)


def go_wrong(rows: list[Row], folder: Path, at: int, how: How, writing: Any) -> tuple[Faults, str]:
    """Compute with one fault; what is to be objected to in how it was told."""
    with injected(folder / "runs", at, how) as faults:
        try:
            compute(rows, writing)
            return faults, ""
        except Killed:
            return faults, "" if faults.is_dead else "killed, but not by the fault"
        except HarnessError as error:
            return faults, "" if str(error).endswith(".") else f"no sentence: {error}"
        except OSError as error:  # the command line makes a sentence of it
            return faults, "" if error.filename else f"no file named: {error!r}"


def objections(row: Row, whole: dict[str, Any]) -> Iterator[str]:
    """What the folder says that is not so, right after a fault."""
    manifest = RunFolder(row.folder).manifest()
    lines = history_of(row.folder) if (row.folder / "history.csv").exists() else []
    for name, picture in whole["pictures"].items():
        path = row.folder / ("" if name == "image.png" else "iterates") / name
        if path.exists() and path.read_bytes() != picture and path.read_bytes() not in whole["pictures"].values():
            yield f"{name} is another picture"
    if lines != whole["history"][: len(lines)] and "None" not in str(lines[-1]):
        yield "the history is another one"
    if manifest is not None and manifest.status is Status.DONE:
        now = outcome_of(row.folder)
        if any(now[key] != whole[key] for key in ("metrics", "trials", "history", "pictures")):
            yield "it is said to be done, and is not"


def fail_each_in_turn(tmp_path: Path, whole: dict[str, Any], how: How, writing: Any, every: int) -> int:
    """Let each operation of a run go wrong, or every so manieth; the number of the last."""
    found: list[str] = []
    for at in itertools.count(every, every):
        folder = tmp_path / str(at)
        rows = rows_in(folder)
        faults, wrong = go_wrong(rows, folder, at, how, writing)
        if at > len(faults.done):
            break
        was = RunFolder(rows[0].folder).manifest() if rows[0].folder.exists() else None
        where = f"{how.name}, operation {at}, {faults.done[at - 1]}"
        found += [f"{where}: {each}" for each in ([wrong] if wrong else []) + list(objections(rows[0], whole))]
        try:
            compute(rows)
        except Exception as error:
            found.append(f"{where}: running again: {error!r}")
            continue
        now, manifest = outcome_of(rows[0].folder), RunFolder(rows[0].folder).manifest()
        found += [f"{where}: {key} differs: {now[key]}" for key in whole if now[key] != whole[key]]
        assert manifest is not None
        if was is not None and was.status is Status.DONE and manifest.attempts != was.attempts:
            found.append(f"{where}: it was done, and computed again")
    print(f"{at // every - 1} faults of {how.name}, writing {writing}")
    assert not found, "\n".join(str(each)[:300] for each in found)
    return at - every


@pytest.mark.parametrize(
    ("how", "writing", "every"),
    [
        (KILLED, "none", 9),
        pytest.param(KILLED, "none", 1, marks=pytest.mark.long),
        pytest.param(NO_SPACE, "none", 1, marks=pytest.mark.long),
        pytest.param(BROKEN, "none", 1, marks=pytest.mark.long),
        pytest.param(TORN, "thread", 1, marks=pytest.mark.long),
        pytest.param(READ_ONLY, "thread", 1, marks=pytest.mark.long),
    ],
    ids=lambda given: given.name if isinstance(given, How) else str(given),
)
def test_every_operation_of_a_run_goes_wrong_in_turn(
    tmp_path: Path, whole: dict[str, Any], how: How, writing: Any, every: int
) -> None:
    assert fail_each_in_turn(tmp_path, whole, how, writing, every) > 80


def test_disk_that_fails_ends_a_task_with_a_sentence_and_makes_no_row_a_failed_one(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Also where no module has words for it: were the row tried again and again, it would be told as failed."""
    rows = rows_in(tmp_path / "a")
    with injected(tmp_path / "a" / "runs") as faults:
        carry_out(Task(tuple(rows)), "cpu", 1, "cpu:0", lambda event: None, Orders())
    at = faults.done.index("open .lock") + 1
    rows = rows_in(tmp_path / "b")
    with injected(tmp_path / "b" / "runs", at, NO_SPACE):
        end, said, code = carry_out(Task(tuple(rows)), "cpu", 1, "cpu:0", lambda event: None, Orders())
    assert (end, code) == (End.ERROR, 1) and ".lock could not be written (No space left on device); " in said
    assert "Traceback" not in capfd.readouterr().err


def test_clock_that_jumps_changes_nothing(
    tmp_path: Path, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A year ahead and back, at every look."""
    rows, real, jumps = rows_in(tmp_path / "a"), time.time, itertools.cycle((0.0, 3e7, -3e7))
    monkeypatch.setattr(time, "time", lambda: real() + next(jumps))
    compute(rows)
    assert outcome_of(rows[0].folder) == whole
    seconds = [line["seconds"] for line in RunFolder(rows[0].folder).history()]
    assert 0 <= seconds[0] and seconds == sorted(seconds) and seconds[-1] < 600
    ages = [last_lines(rows[0].folder / "history.csv")[1] for _ in range(3)]
    assert all(age is not None and age >= 0 for age in ages)
