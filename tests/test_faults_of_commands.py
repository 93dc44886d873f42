"""Operations of whole commands go wrong in turn: status tells the truth, the same command again completes.

Of operations that are alike the first and the last; half of them in one way, half in another.
"""

from __future__ import annotations

import collections
import json
import re
import shutil
from pathlib import Path
from typing import Any

import optuna
import pytest
from faults import BROKEN, KILLED, NO_SPACE, READ_ONLY, How, Inline, Killed, injected
from test_faults import outcome_of
from typer.testing import CliRunner

from harness.cli.app import app
from harness.runs.style_transfer import StyleTransfer
from harness.studies.storage import open_storage

TRANSFER = (
    "transfer: {content: astronaut, style: strokes, size: 32, steps: 2, pyramid: [], start: noise, "
    "content_layers: {conv1_1: 1}, style_layers: {conv1_1: 1}}\n"
)
GRID = TRANSFER + "axes: {alpha: [1e-3]}\nfigure: {columns: alpha}\n"
SEARCH = TRANSFER + (
    "space: {alpha: {log: [1e-5, 1e-1]}}\nobjectives: [reference_style]\n"
    "sampler: {name: random, seed: 3}\nbudget: {trials: 3, parallel: 2}\n"
)
STATE_WRITTEN = 6  # Optuna's journal: the operation that changes a trial's state
ENDED = (1, 2, 3)  # complete, pruned, failed


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("harness.driver.carrying.open_engine", Inline)
    monkeypatch.setattr(StyleTransfer.__init__, "__defaults__", (1, 0.0, (), None, None, True, ()))
    monkeypatch.chdir(tmp_path)
    Path("grid.yaml").write_text(GRID)
    Path("search.yaml").write_text(SEARCH)


def harness(*words: str) -> tuple[int, str]:
    """A command in this process: its exit code and what it said."""
    result = CliRunner().invoke(app, [*words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return -1, f"{result.output}{result.exception!r}"
    return result.exit_code, result.output


def trials_of(journal: Path) -> dict[str, Any]:
    """What became of the trials in a journal, each told at most once; a torn tail is cut off by the next write."""
    tells: collections.Counter[int] = collections.Counter()
    for line in journal.read_text().rpartition("\n")[0].splitlines():
        record = json.loads(line)
        if record["op_code"] == STATE_WRITTEN and record["state"] in ENDED:
            tells[record["trial_id"]] += 1
    assert set(tells.values()) <= {1}
    studies = optuna.study.get_all_study_summaries(storage := open_storage(None, journal.parent))
    return {
        study.study_name: [(trial.state.name, trial.values) for trial in storage.get_all_trials(study._study_id)]
        for study in studies
    }


def books(out: Path) -> dict[str, Any]:
    """All that is the same below a folder, however often its commands were interrupted."""
    found: dict[str, Any] = {"files": sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())}
    for path in sorted(out.rglob("manifest.json")):
        found[str(path.parent.relative_to(out))] = outcome_of(path.parent)
    for path in sorted([*out.rglob("cells.json"), *out.rglob("experiment.yaml"), *out.rglob("claims.md")]):
        found[str(path.relative_to(out))] = path.read_bytes()
    for journal in sorted(out.rglob("study.journal")):
        found[str(journal.relative_to(out))] = trials_of(journal)
    return found


def is_true(out: Path, whole: dict[str, Any]) -> str:
    """What is wrong with what status says right after a fault."""
    code, said = harness("status", str(out))
    if code not in (0, 2) or "Traceback" in said:
        return f"status: {code} {said}"
    for path in out.rglob("manifest.json"):
        run = str(path.parent.relative_to(out))
        if '"status": "done"' in path.read_text() and run in whole:
            now = outcome_of(path.parent)
            if any(now[key] != whole[run][key] for key in ("metrics", "history", "pictures")):
                return f"{run} is said to be done, and is not"
    return ""


def attempts_of_done(out: Path) -> dict[str, Any]:
    manifests = {str(path): json.loads(path.read_text()) for path in out.rglob("manifest.json")}
    return {path: manifest["attempts"] for path, manifest in manifests.items() if manifest["status"] == "done"}


def fail_each_in_turn(
    words: list[str],
    how: How,
    first: int,
) -> int:
    """Let every other operation of a command go wrong, then give it again; how many there were.

    Args:
        words: the command.
        how: it goes wrong.
        first: 0 or 1: of the operations, with which to begin.
    """
    out = Path("runs")
    out.mkdir()
    with injected(out) as faults:
        code, said = harness(*words)
        assert code == 0, said
    whole, found = books(out), []
    # Of operations that are alike the first and the last: a command has hundreds.
    names = [re.sub(r"[.]\d+[.]\d+[.]tmp", "", name) for name in faults.done]
    first_and_last = {name: (names.index(name) + 1, len(names) - names[::-1].index(name)) for name in names}
    chosen = sorted({at for pair in first_and_last.values() for at in pair})[first::2]
    for at in chosen:
        shutil.rmtree(out)
        out.mkdir()
        with injected(out, at, how) as faults:
            try:
                code, said = harness(*words)
            except Killed:
                code, said = 1, "."
        if len(faults.done) < at:
            continue
        where = f"{how.name}, operation {at}, {faults.done[at - 1]}"
        if code not in (0, 1, 2) or "Traceback" in said or (code and not said.rstrip().endswith(".")):
            found.append(f"{where}: it said ({code}) {said}")
        if wrong := is_true(out, whole):
            found.append(f"{where}: {wrong}")
        was = attempts_of_done(out)
        code, said = harness(*words)
        if code != 0:
            found.append(f"{where}: again: {code} {said}")
            continue
        now, done = books(out), attempts_of_done(out)
        found += [
            f"{where}: {key} differs: {now.get(key)} \n   {whole.get(key)}"
            for key in {**now, **whole}
            if now.get(key) != whole.get(key)
        ]
        found += [f"{where}: {path} was computed again" for path in was if done.get(path) != was[path]]
    print(f"{len(chosen)} faults of {how.name} in {' '.join(words)}")
    assert not found, "\n".join(each[:1500] for each in found)
    return len(chosen)


RUN = ["run", "grid.yaml", "--devices", "cpu", "--wandb", "off"]
SWEEP = ["sweep", "search.yaml", "--devices", "cpu", "--wandb", "off"]


@pytest.mark.long
@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("how", "first"),
    [(KILLED, 0), (NO_SPACE, 1), (BROKEN, 0), (READ_ONLY, 1)],
    ids=lambda given: getattr(given, "name", ""),
)
@pytest.mark.parametrize("words", [RUN, SWEEP], ids=["run", "sweep"])
def test_every_operation_of_computing_goes_wrong_in_turn(words: list[str], how: How, first: int) -> None:
    assert fail_each_in_turn(words, how, first) > 25


@pytest.mark.long
@pytest.mark.parametrize("how", [KILLED, NO_SPACE], ids=lambda how: how.name)
@pytest.mark.parametrize(
    "words",
    [["figure", "runs/grid"], ["export", "runs/grid", "sent"], ["remove", "runs/grid"]],
    ids=lambda words: words[0],
)
@pytest.mark.usefixtures("undrawn")
def test_every_operation_of_drawing_exporting_and_removing_goes_wrong_in_turn(
    words: list[str], how: How, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The runs stay what they are, or go whole; the same command again completes."""
    assert harness(*RUN)[0] == 0
    runs, kept = books(Path("runs")), tmp_path_factory.mktemp("kept") / "work"
    shutil.copytree(Path.cwd(), kept, symlinks=True)
    given = [*words, *(["--yes"] if words[0] == "remove" else [])]
    with injected(Path.cwd()) as faults:
        code, said = harness(*given)
        assert code == 0, said
    whole, names, found = (
        books(Path.cwd()),
        [re.sub(r"[.]\d+[.]\d+[.]tmp|[.]\d+[.]tmp", "", name) for name in faults.done],
        [],
    )
    first_and_last = {name: (names.index(name) + 1, len(names) - names[::-1].index(name)) for name in names}
    chosen = sorted({at for pair in first_and_last.values() for at in pair})
    for at in chosen:
        for path in Path.cwd().iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(kept, Path.cwd(), symlinks=True, dirs_exist_ok=True)
        with injected(Path.cwd(), at, how) as faults:
            try:
                code, said = harness(*given)
            except Killed:
                code, said = 1, "."
        where = f"{how.name}, operation {at}, {faults.done[at - 1]}"
        if code not in (0, 1, 2) or "Traceback" in said or (code and not said.rstrip().endswith(".")):
            found.append(f"{where}: it said ({code}) {said}")
        if wrong := is_true(Path("runs"), runs):
            found.append(f"{where}: {wrong}")
        code, said = harness(*given)
        if code == 2 and (words[0] == "export" and "is there already" in said or "There is no" in said):
            code = 0  # it had come to its end
        now = books(Path.cwd())
        found += [f"{where}: again: {code} {said}"] if code else []
        found += [
            f"{where}: {key} differs: {now.get(key)} \n  {whole.get(key)}"
            for key in {**now, **whole}
            if now.get(key) != whole.get(key)
        ]
    print(f"{len(chosen)} faults of {how.name} in {' '.join(words)}")
    assert not found, "\n".join(each[:1500] for each in found)
    assert len(chosen) > 5
