"""``harness.run`` and ``harness.sweep``: what the commands do, from Python."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from processes import workers_of
from test_run import runs_of, snapshot
from test_sweep import harness_sweep, trials_of, write_sweep
from typer.testing import CliRunner

import harness
from harness.claims import Verdict
from harness.cli.app import app
from harness.driver.jobs import Job
from harness.driver.telling import Observer, Telling
from harness.engines.contract import Advanced
from harness.errors import ConfigError, DeviceError, StorageError, UsageError
from harness.runs.store import Manifest, Status


class Recorder(Telling, Observer):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.title = ""
        self.num_runs = 0
        self.events: list[tuple[str, str]] = []
        self.computed_ids: list[str] = []
        self.num_verdicts = 0

    def says(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def computed(self, jobs: Sequence[Job]) -> None:
        self.computed_ids = [job.id for job in jobs]

    def judged(self, verdicts: Sequence[Verdict]) -> None:
        self.num_verdicts = len(verdicts)

    @contextmanager
    def working(self, title: str, num_runs: int) -> Iterator[Observer]:
        self.title, self.num_runs = title, num_runs
        yield self

    def took(self, job: Job) -> None:
        self.events.append(("took", job.id))

    def advanced(self, event: Advanced) -> None:
        self.events.append(("advanced", event.run_id))

    def ended(self, job: Job, manifest: Manifest) -> None:
        self.events.append(("ended", job.id))


def bits_of(folder: Path) -> dict[str, bytes]:
    """Every run's picture."""
    return {name: (run / "image.png").read_bytes() for name, run in runs_of(folder).items()}


WORDS = ("axes.seed=[0]", "transfer.steps=300")


def test_run_from_python_makes_what_the_command_makes_and_a_second_call_nothing(
    experiment: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    told = Recorder()
    results = harness.run(experiment, *WORDS, out=tmp_path / "runs", devices="cpu", wandb="off", progress=told)
    assert [run.status for run in results.runs] == [Status.DONE] * 2
    ids = {run.id for run in results.runs}
    assert told.num_runs == 2 and told.title.startswith("tiny on ")
    for kind in ("took", "ended"):
        assert sorted(run for event, run in told.events if event == kind) == sorted(ids)
    assert {run for event, run in told.events if event == "advanced"} == ids
    assert (results.folder / "figure.png").stat().st_size > 0
    words = ["run", str(experiment), *WORDS, "--devices", "cpu", "--wandb", "off"]
    capfd.readouterr()
    assert CliRunner().invoke(app, [*words, "--out", str(tmp_path / "command")]).exit_code == 0
    assert bits_of(tmp_path / "command" / "tiny") == bits_of(results.folder)
    before = snapshot(results.folder)
    again = Recorder()
    capfd.readouterr()
    harness.run(experiment, *WORDS, out=tmp_path / "runs", devices="cpu", wandb="off", progress=again)
    assert again.sentences == ["2 of 2 runs are done already; 0 to compute."] and not again.events
    assert capfd.readouterr() == ("", "")
    assert {path: content for path, content in snapshot(results.folder).items() if path in before} == before


def no_drawing(results: object) -> list[Path]:
    raise StorageError("the disk is full.")


def test_what_was_measured_is_told_before_anything_can_go_wrong_with_figures(
    experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.driver.carrying.draw", no_drawing)
    words = ["run", str(experiment), "axes.seed=[0]", "transfer.steps=2", "--devices", "cpu", "--wandb", "off"]
    command = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "runs")])
    assert command.exit_code == 1 and "the disk is full." in command.output
    for run in runs_of(tmp_path / "runs" / "tiny").values():
        assert re.search(rf"^{run.name} +0\.\d+ +\d", command.output, re.MULTILINE), command.output
    told = Recorder()
    with pytest.raises(StorageError):
        harness.run(
            experiment, "axes.seed=[0]", "transfer.steps=2", out=tmp_path / "runs", devices="cpu", wandb="off",
            progress=told,
        )  # fmt: skip
    assert sorted(told.computed_ids) == sorted(run.name for run in runs_of(tmp_path / "runs" / "tiny").values())


def test_claims_and_wandbs_notes_are_told(experiment: Path, tmp_path: Path, undrawn: None) -> None:
    claim = "{says: more, where: here, measure: content, along: alpha, expect: falls, factor: 1.01, because: x}"
    experiment.write_text(experiment.read_text() + f"claims: [{claim}]\n")
    told = Recorder()
    words = ("axes.seed=[0]", "transfer.steps=2")
    harness.run(experiment, *words, out=tmp_path, devices="cpu", wandb="online", progress=told)
    assert told.num_verdicts == 1
    assert any("There is no W&B API key" in sentence for sentence in told.sentences)


@pytest.mark.long
def test_what_wandb_did_not_take_by_the_end_is_told(
    experiment: Path, tmp_path: Path, undrawn: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runs are done before W&B has been waited for in vain."""
    away = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "a" * 40, "WANDB_INIT_TIMEOUT": "5"}
    for name, value in away.items():
        monkeypatch.setenv(name, value)
    told = Recorder()
    harness.run(experiment, "axes=null", "transfer.steps=1", out=tmp_path, devices="cpu", wandb="online", progress=told)
    assert sum("W&B could not be reached (" in sentence for sentence in told.sentences) == 1


def test_failed_runs_are_logged_with_their_reasons(
    experiment: Path, tmp_path: Path, undrawn: None, caplog: pytest.LogCaptureFixture
) -> None:
    words = ("axes.seed=[0]", "axes.alpha=[1e-3, 1e38]", "transfer.steps=3")
    with caplog.at_level(logging.WARNING, "harness"):
        results = harness.run(experiment, *words, out=tmp_path, devices="cpu", wandb="off", progress=False)
    (failed,) = [run for run in results.runs if run.status is Status.FAILED]
    assert any(
        record.message.startswith(f"{failed.id} (") and record.message.endswith(f"failed: {failed.reason}")
        for record in caplog.records
    )


def test_one_trial_of_a_sweep_again_gives_that_run(tmp_path: Path, undrawn: None) -> None:
    path = write_sweep(tmp_path, steps=2)
    swept = harness.sweep(path, "budget.trials=2", out=tmp_path / "runs", devices="cpu", wandb="off", progress=False)
    trial = swept.runs[1]
    again = harness.run(path, *trial.overrides, out=tmp_path / "runs", devices="cpu", wandb="off", progress=False)
    assert [run.id for run in again.runs] == [trial.id] and again.is_part
    words = [word for word in trial.overrides if not word.startswith("transfer.alpha=")]
    other = harness.run(
        path, *words, "transfer.alpha=0.5", out=tmp_path / "runs", devices="cpu", wandb="off", progress=False
    )
    (run,) = other.runs
    assert run.id not in {each.id for each in swept.runs}
    assert run.status is Status.DONE and run.image().shape[2] == run.source("content").shape[2] == 3


def test_progress_is_shown_by_default_and_can_be_silenced(
    experiment: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], undrawn: None
) -> None:
    words = ("axes.seed=[0]", "axes.alpha=[1e-3]", "transfer.steps=2")
    harness.run(experiment, *words, out=tmp_path / "loud", devices="cpu", wandb="off")
    assert "tiny on cpu" in capfd.readouterr().out
    harness.run(experiment, *words, out=tmp_path / "quiet", devices="cpu", wandb="off", progress=False)
    assert capfd.readouterr() == ("", "")


def test_what_the_user_should_know_is_logged_where_nothing_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "harness"):
        Telling().says("a sentence")
        with Telling().working("title", 3) as observer:
            observer.noted("a warning")
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("INFO", "a sentence"), ("WARNING", "a warning"),
    ]  # fmt: skip


def test_run_works_inside_a_running_event_loop(experiment: Path, tmp_path: Path, undrawn: None) -> None:
    async def cell() -> int:
        words = ("axes.seed=[0]", "transfer.steps=2")
        return len(harness.run(experiment, *words, out=tmp_path, devices="cpu", wandb="off", progress=False).runs)

    assert asyncio.run(cell()) == 2


def test_run_works_in_another_thread(experiment: Path, tmp_path: Path, undrawn: None) -> None:
    found: list[int] = []

    def work() -> None:
        words = ("axes.seed=[0]", "transfer.steps=2")
        results = harness.run(experiment, *words, out=tmp_path, devices="cpu", wandb="off", progress=False)
        found.append(sum(run.status is Status.DONE for run in results.runs))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [2]


SCRIPT = """
import sys
import harness
try:
    results = harness.run(sys.argv[1], "axes.seed=[0]", "transfer.steps=STEPS", out=sys.argv[2], devices="cpu:2",
                          wandb="off", checkpoint_every_s=0.2, progress=False)
except KeyboardInterrupt:
    print("given back", flush=True)
    results = harness.run(sys.argv[1], "axes.seed=[0]", "transfer.steps=STEPS", out=sys.argv[2], devices="cpu:2",
                          wandb="off", progress=False)
print([run.status.name for run in results.runs])
"""
"""No ``if __name__ == "__main__"``: a worker that imported it again would run it again."""


def test_script_without_a_main_guard_computes_once(experiment: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("STEPS", "3"))
    words = [sys.executable, str(script), str(experiment), str(tmp_path / "runs")]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    assert done.stdout == "['DONE', 'DONE']\n"


@pytest.mark.long
def test_interrupted_call_gives_back_and_the_same_call_goes_on(experiment: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("STEPS", "400"))
    process = subprocess.Popen(
        [sys.executable, str(script), str(experiment), str(tmp_path / "runs")],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    until = time.monotonic() + 60
    while time.monotonic() < until and not [*tmp_path.glob("runs/tiny/*/checkpoint*")]:
        time.sleep(0.05)
    assert workers_of(process.pid)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert output == "given back\n['DONE', 'DONE']\n" and process.returncode == 0
    attempts = [len(run.manifest.attempts) for run in harness.load(tmp_path / "runs" / "tiny").runs if run.manifest]
    assert max(attempts) == 2


def test_notebook_runs_selects_and_draws_in_a_kernel_of_its_own(experiment: Path, tmp_path: Path) -> None:
    import nbclient
    import nbformat

    call = f'harness.run({str(experiment)!r}, "axes.seed=[0]", "transfer.steps=2", devices="cpu", wandb="off")'
    cells = [
        f"import harness\nresults = {call}",
        "results.run(alpha=0.1).image().shape",
        f"results = {call}",
        "[path.name for path in harness.draw(results)]",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    texts = [
        "".join(output.get("text", "") or output["data"]["text/plain"] for output in cell.outputs)
        for cell in notebook.cells
    ]
    assert "tiny on cpu:0: 2 runs" in texts[0]
    assert texts[1] == "(64, 64, 3)"
    assert "2 of 2 runs are done already; 0 to compute." in texts[2]
    assert "figure.png" in texts[3]


def test_faults_are_the_harness_errors(experiment: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="transfer.sise"):
        harness.run(experiment, "transfer.sise=3", out=tmp_path / "runs")
    with pytest.raises(DeviceError, match="cuda:7"):
        harness.run(experiment, out=tmp_path / "runs", devices="cuda:7", progress=False)
    with pytest.raises(UsageError, match="choose one of online, offline, off"):
        harness.run(experiment, out=tmp_path / "runs", wandb="on", progress=False)
    assert not (tmp_path / "runs").exists()


def test_sweep_from_python_asks_the_trials_of_the_command(tmp_path: Path, undrawn: None) -> None:
    path = write_sweep(tmp_path, steps=2)
    results = harness.sweep(path, "budget.trials=3", out=tmp_path / "runs", devices="cpu", wandb="off", progress=False)
    assert len(results.runs) == 3
    assert harness_sweep(path, "budget.trials=3", "--out", tmp_path / "command").exit_code == 0
    assert trials_of(results.folder) == trials_of(tmp_path / "command" / "tiny_sweep")


def test_run_and_sweep_take_the_same_and_say_all_of_it() -> None:
    run, sweep = inspect.signature(harness.run), inspect.signature(harness.sweep)
    assert run == sweep
    assert harness.run.__doc__ and all(f"{name}:" in harness.run.__doc__ for name in run.parameters)


def test_draw_writes_the_figures_again(experiment: Path, tmp_path: Path, undrawn: None) -> None:
    words = ("axes.seed=[0]", "transfer.steps=2")
    results = harness.run(experiment, *words, out=tmp_path, devices="cpu", wandb="off", progress=False)
    assert not (results.folder / "figure.png").exists()
    drawn = harness.draw(str(results.folder))
    assert harness.draw(results.folder) == drawn == harness.draw(results)
    for what in (3, None, ["runs"], results.runs[0]):
        with pytest.raises(UsageError, match=r"Give results \(harness.load, select\) or folders of them; got "):
            harness.draw(what)  # type: ignore[arg-type]
    for take in (harness.load, harness.remove, lambda what: harness.export(what, tmp_path / "to")):
        with pytest.raises(UsageError, match="got int"):
            take(3)
    with pytest.raises(UsageError, match="There is no folder"):
        harness.draw(tmp_path / "nowhere")
    assert results.folder / "figure.png" in drawn and all(path.stat().st_size > 0 for path in drawn)
