"""Commands that the harness prints and keeps: pasted in the same directory, they find the same runs."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from test_run import runs_of
from typer.testing import CliRunner

import harness
from harness.cli.app import app
from harness.cli.dashboard import Showing, show_dashboard
from harness.config.commands import FileCommand, harness_command
from harness.figures.explorer.contents import contents
from harness.results.run import run_alone
from harness.runs.store import RunFolder
from harness.studies.artifacts import describe_trial
from harness.studies.storage import open_storage
from harness.tracking.records import run_config

TRANSFER = (
    "{content: astronaut, style: strokes, size: 48, steps: 2, pyramid: [], content_layers: {conv1_1: 1}, "
    "style_layers: {conv1_1: 1}}"
)
EXPERIMENT = f"""\
transfer: {TRANSFER}
axes: {{alpha: [1e-3, 1]}}
profiles: {{small: {{transfer: {{size: 32}}}}}}
"""
SWEEP = f"""\
transfer: {TRANSFER}
space: {{alpha: {{log: [1e-3, 1]}}}}
objectives: [pixel_distance]
sampler: random
budget: {{trials: 2, parallel: 2}}
profiles: {{small: {{transfer: {{size: 32}}}}}}
"""
OPTIONS = ("--profile", "small", "--out", "my runs", "--storage", "my studies.db")
COMMAND = re.compile(r"harness (?:run|sweep|status|compare|dashboard) (?:'[^']*'|[^\s`,;'])(?:'[^']*'|[^\n`,;'])*")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undrawn: None) -> Path:
    """A working directory with an experiment and a sweep."""
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(EXPERIMENT)
    Path("search.yaml").write_text(SWEEP)
    return tmp_path


def typed(*words: str, code: int = 0) -> str:
    """What a command printed."""
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == code, result.output
    return result.output


def pasted(command: str) -> str:
    """The same of a command as it was printed."""
    program, verb, *words = shlex.split(command)
    quiet = ["--wandb", "off", "--devices", "cpu"] if verb in ("run", "sweep") else []
    return typed(verb, *words, *quiet)


def runs_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("manifest.json")}


def test_command_is_one_of_a_shell_and_is_read_back() -> None:
    assert harness_command("compare", Path("my runs/a")) == "harness compare 'my runs/a'"
    assert harness_command("run", "a.yaml", out=Path("runs")) == "harness run a.yaml", "runs is where it looks anyway"
    words = ("axes.alpha=[1e-3, 1]", "transfer.style={strokes: 1}")
    for given in (
        FileCommand("run", "a.yaml"),
        FileCommand("sweep", "my file.yaml", words, "small", Path("/elsewhere/my runs"), "sqlite:////s.db"),
        FileCommand("run", "relative_weight", words[:1], None, Path("../runs")),
    ):
        assert FileCommand.read(str(given)) == given and shlex.split(str(given))[1:3] == [given.verb, given.file]
    cell = FileCommand("sweep", "a.yaml", words, "small", Path("there"), "sqlite:////s.db").of_cell(
        ["transfer.seed=1"], "cpu:1", "0123456789ab"
    )
    options = "--out there --storage sqlite:////s.db --id 0123456789ab --devices cpu:1"
    assert str(cell) == f"harness run a.yaml transfer.seed=1 {options}" and FileCommand.read(str(cell)) == cell


def test_everything_that_an_experiment_prints_and_keeps_finds_its_runs(folder: Path) -> None:
    words = ("mine.yaml", "axes.alpha=[1e-3, 1e-2, 1]", *OPTIONS)
    told = typed("run", *words, "--devices", "cpu", "--wandb", "off")
    made, before = folder / "my runs" / "mine", runs_in(folder)
    assert len(before) == 3
    assert COMMAND.findall(told) == ["harness compare 'my runs/mine'", "harness dashboard 'my runs/mine'"]
    assert "3 runs at 32 px" in pasted("harness compare 'my runs/mine'")
    results = harness.load(made)
    assert "3 of 3 runs are done already; 0 to compute." in pasted(results.command)
    storage = open_storage(results.storage, made)
    study = optuna.load_study(study_name=results.study, storage=storage)
    notes = storage.get_study_system_attrs(study._study_id), [trial.system_attrs for trial in study.trials]
    assert str(notes).count("harness run mine.yaml") == 3
    for run in results.runs:
        assert run.manifest is not None
        kept = run.manifest.tracking["command"]
        assert str(notes).count(kept) == 1, "a trial's note has the command of its run's manifest"
        assert run_alone(run.folder.path).overrides == run.overrides
        assert "1 of 1 runs are done already; 0 to compute." in pasted(kept)
    assert runs_in(folder) == before, "nothing was computed anew, here or elsewhere"


def test_everything_that_a_sweep_prints_and_keeps_finds_its_trials(folder: Path) -> None:
    told = typed("sweep", "search.yaml", "transfer.beta=2", *OPTIONS, "--devices", "cpu", "--wandb", "off")
    made, before = folder / "my runs" / "search", runs_in(folder)
    [compare, _, again] = COMMAND.findall(told)
    assert "2 runs at 32 px" in pasted(compare)
    assert "1 of 1 runs are done already; 0 to compute." in pasted(again)
    results = harness.load(made)
    assert "2 of 2 trials are done already; 0 to go." in pasted(results.command)
    for path in runs_of(made).values():
        assert "1 of 1 runs are done already; 0 to compute." in pasted(run_alone(path).manifest.tracking["command"])
    assert runs_in(folder) == before


def test_what_is_left_goes_on_by_the_command_that_status_prints(folder: Path) -> None:
    typed("run", "mine.yaml", *OPTIONS, "--devices", "cpu", "--wandb", "off")
    [run, *_] = runs_of(folder / "my runs" / "mine").values()
    (run / "manifest.json").unlink()
    [command] = COMMAND.findall(typed("status", "my runs/mine"))
    assert "1 of 2 runs are done already; 1 to compute." in pasted(command)
    assert COMMAND.findall(typed("status", "my runs")) == ["harness status 'my runs/mine'"]
    assert COMMAND.findall(typed("status", "my runs/mine")) == ["harness compare 'my runs/mine'"]


def test_refusal_names_the_whole_command_that_is_meant(folder: Path) -> None:
    [command] = COMMAND.findall(typed("run", "search.yaml", "transfer.beta=2", *OPTIONS, code=2))
    assert command.startswith("harness sweep search.yaml transfer.beta=2 --profile small --out 'my runs' --storage")
    [command] = COMMAND.findall(typed("sweep", "search.yaml", "transfer.alpha=2", *OPTIONS, code=2))
    assert command.startswith("harness run search.yaml transfer.alpha=2 --profile small --out 'my runs' --storage")
    assert "1 to compute" not in pasted(command) and len(runs_in(folder)) == 1
    [command] = COMMAND.findall(typed("sweep", "mine.yaml", "axes.alpha=[2, 3]", *OPTIONS[2:4], code=2))
    assert command == "harness run mine.yaml 'axes.alpha=[2, 3]' --out 'my runs'"


def test_dashboard_names_the_storage_that_it_was_given(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed("sweep", "search.yaml", *OPTIONS[:4], "--devices", "cpu", "--wandb", "off")
    show_dashboard(Showing(folder / "my runs" / "search", "other.db", 18080, False, "off"), lambda: None)
    [command] = COMMAND.findall(capsys.readouterr().out)
    assert FileCommand.read(command).storage == f"sqlite:///{folder}/other.db"
    before = runs_in(folder)
    assert "Runs:   my runs/search" in pasted(command) and runs_in(folder) == before
    assert "2 of 2 trials are done already; 0 to go." in pasted(command)


def test_commands_that_repeat_one_run_repeat_it_to_the_bit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # of a worker that has the machine for itself
    told = typed("sweep", "search.yaml", "--devices", "cpu:2", "--wandb", "off")
    results = harness.load("runs/search")
    run = min(results.runs, key=lambda run: run.metrics["pixel_distance"] or 0.0)
    assert run.manifest is not None and run.manifest.provenance["threads"] == 1
    again = next(command for command in COMMAND.findall(told) if command.startswith("harness run"))
    assert again == f"harness run search.yaml {shlex.join(run.overrides)} --id {run.id} --devices cpu:1"
    (shown,) = [each["command"] for each in contents(results, str)["runs"] if each["id"] == run.id]
    note = describe_trial(run, results.command)
    assert shown == again and f"\n{again}\n" in note
    assert run_config(run.transfer, run.manifest)["command"] == again
    typed(*shlex.split(again)[1:], "--out", "elsewhere", "--wandb", "off")
    repeated = runs_of(folder / "elsewhere" / "search")
    assert [path.name for path in repeated.values()] == [run.id]
    for path in repeated.values():
        assert (path / "image.png").read_bytes() == run.folder.image_path.read_bytes()
        assert RunFolder(path).manifest().provenance["threads"] == 1
    readme = (harness.export(results, "sent") / "README.txt").read_text()
    assert len(re.findall(r"^    harness run \S+\.yaml --devices cpu:1$", readme, re.MULTILINE)) == 2
    whole = replace(run.manifest, provenance={**run.manifest.provenance, "threads": 2})
    run.folder.write_manifest(whole)
    assert harness.load("runs/search").run(run.id).devices is None, "all threads are what a run alone has by default"
