"""The experiment.yaml that a folder of runs keeps is itself a file, and leads back to them."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml
from test_earlier import BACK, folder, ids_of, pasted, typed
from test_run import harness_run
from test_sweep import harness_sweep, write_sweep

import harness
from harness.config.reading import load_experiment, load_sweep
from harness.config.shipped import shipped
from harness.errors import ConfigError

__all__ = ["folder"]


def test_every_shipped_file_is_the_same_once_it_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, path in shipped().items():
        load = load_sweep if path.resolve().parent.name == "sweeps" else load_experiment
        before = load(path)
        kept = Path("runs") / name / "experiment.yaml"
        kept.parent.mkdir(parents=True)
        kept.write_text(yaml.safe_dump({"file": str(path), **json.loads(json.dumps(before.data))}, sort_keys=False))
        after = load(kept)
        assert (after.name, after.source, after.called) == (name, path, str(kept))
        assert json.dumps(after.data) == json.dumps(before.data), name


def test_an_edited_or_deleted_file_does_not_keep_a_grid_from_coming_back(folder: Path) -> None:
    written = Path("grid.yaml").read_text()
    assert harness_run("grid.yaml").exit_code == 0
    first = ids_of(harness.load("runs/grid"))
    Path("grid.yaml").write_text(written.replace("1e-3, 1e-2", "1e-1, 1"))
    told = typed("status", "runs/grid")
    assert "Back to it" not in told and "experiment.yaml" not in told  # nothing is left to say
    assert harness_run("grid.yaml").exit_code == 0
    second = ids_of(harness.load("runs/grid"))
    ((name, _, back),) = BACK.findall(typed("status", "runs/grid"))
    assert back == f"harness run runs/grid/earlier/{name}/experiment.yaml"
    assert "2 of 2 runs are done already; 0 to compute." in pasted(back)
    assert ids_of(harness.load("runs/grid")) == first
    kept = yaml.safe_load(Path("runs/grid/experiment.yaml").read_text())
    assert kept["file"] == str(Path("grid.yaml").resolve())
    # Back once more: that file still gives the second grid, and the first one's command stays with it.
    told = typed("status", "runs/grid")
    ((name, _, back),) = BACK.findall(told)
    assert back == "harness run grid.yaml"
    Path("grid.yaml").unlink()
    ((name, _, back),) = BACK.findall(typed("status", "runs/grid"))
    assert back == f"harness run runs/grid/earlier/{name}/experiment.yaml"
    assert "2 of 2 runs are done already" in pasted(back)
    assert ids_of(harness.load("runs/grid")) == second
    ((name, _, back),) = BACK.findall(typed("status", "runs/grid"))
    assert back == harness.load("runs/grid").earlier[0].command  # it was brought back by what was kept of it
    assert back == f"harness run runs/grid/earlier/{name}/experiment.yaml" and "done already" in pasted(back)
    assert ids_of(harness.load("runs/grid")) == first


def test_a_run_of_a_kept_grid_is_repeated_whatever_stands_in_its_place(folder: Path) -> None:
    assert harness_run("grid.yaml").exit_code == 0
    Path("grid.yaml").unlink()
    kept = "runs/grid/experiment.yaml"
    (folder / kept).write_text((folder / kept).read_text().replace("0.001", "0.5"))  # so that it is computed
    assert harness_run(kept).exit_code == 0
    new = next(run for run in harness.load("runs/grid").runs if run.label["alpha"] == 0.5)
    command = json.loads((new.folder.path / "manifest.json").read_text())["tracking"]["command"]
    assert shlex.split(command)[2] == kept and "--name" not in command
    assert harness_run(kept, "transfer.content=coffee", "axes.alpha=[1, 2]").exit_code == 0
    assert "1 of 1 runs are done already" in pasted(command)
    assert ids_of(harness.load("runs/grid")) == [new.id]


def test_a_folder_of_another_name_or_place_is_led_back_to(folder: Path) -> None:
    assert harness_run("one.yaml", "--name", "other", "--out", "out").exit_code == 0
    Path("one.yaml").unlink()
    told = harness_run("out/other/experiment.yaml")
    assert told.exit_code == 2 and "belongs to the runs in out/other: add --out out" in told.output
    assert not Path("runs").exists()
    assert "1 of 1 runs are done already" in harness_run("out/other/experiment.yaml", "--out", "out").output
    assert "1 of 1 runs" not in harness_run("out/other/experiment.yaml", "--name", "mine").output
    assert ids_of(harness.load("runs/mine")) == ids_of(harness.load("out/other"))
    with pytest.raises(ConfigError, match="there is no field 'file'"):
        Path("copy.yaml").write_text(Path("out/other/experiment.yaml").read_text())
        load_experiment("copy.yaml")


def test_a_sweep_goes_on_from_what_is_kept_of_it(
    tmp_path: Path, undrawn: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = write_sweep(tmp_path)
    assert harness_sweep(file.name).exit_code == 0
    name = file.stem
    before = harness.load(f"runs/{name}")
    file.write_text(re.sub("steps: *[0-9]+", "steps: 1", file.read_text()))
    told = harness_sweep(f"runs/{name}/experiment.yaml")
    assert told.exit_code == 0, told.output
    after = harness.load(f"runs/{name}")
    assert (after.study, ids_of(after)) == (before.study, ids_of(before)) and not after.earlier
