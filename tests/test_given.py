"""An experiment as a mapping, a definition or a shipped name: the same as the file that says the same."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
import yaml
from pydantic import BaseModel
from typer.testing import CliRunner

import harness
from harness import config
from harness.cli.app import app
from harness.config import Experiment, Sweep, Transfer, load_experiment, load_sweep
from harness.config.identity import canonical_json
from harness.config.shipped import shipped
from harness.errors import ConfigError, UsageError
from harness.runs.store import Status

ROOT = Path(__file__).parents[1]
TINY: dict[str, Any] = {
    "transfer": {
        "content": "astronaut", "style": "strokes", "size": 64, "steps": 2, "pyramid": [],
        "content_layers": {"conv2_1": 1}, "style_layers": {"conv1_1": 0.5, "conv2_1": 0.5},
    },
    "axes": {"alpha": (1e-3, np.float64(1e-1)), "seed": list(np.arange(2))},
    "figure": {"columns": "alpha"},
    "profiles": {"large": {"transfer": {"size": 128}}},
}  # fmt: skip
"""As one would write it in a notebook: tuples and numpy's numbers among the plain ones."""


def faults_of(spec: Any, *words: str, **given: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_experiment(spec, words, **given)
    return [str(fault) for fault in caught.value.faults]


def cells(loaded: Any) -> list[str]:
    return [canonical_json(cell.transfer.model_dump()) for cell in loaded.cells]


def test_mapping_is_what_its_yaml_would_be(experiment: Path) -> None:
    said = yaml.safe_load(experiment.read_text().replace("1e-3", "1.0e-3").replace("1e-1", "1.0e-1"))
    loaded = load_experiment(said, name="tiny")
    assert cells(loaded) == cells(load_experiment(experiment)) and loaded.name == "tiny"
    assert load_experiment({**said, "name": "other"}).name == "other"
    assert load_experiment({**said, "name": "other"}, name="tiny").name == "tiny"


def test_definition_is_what_its_file_would_be() -> None:
    for name, path in shipped().items():
        if path.parent.name == "sweeps":
            sweep = load_sweep(path).sweep
            assert load_sweep(sweep, name=name).sweep == Sweep.model_validate(sweep.model_dump())
        else:
            experiment = load_experiment(path).experiment
            assert cells(load_experiment(experiment, name=name)) == cells(load_experiment(path))


def parts_of_the_docstring() -> dict[str, type[BaseModel]]:
    """The classes that the docstring of ``harness.config`` lists, from the modules that it says they are in."""
    listed = re.findall(r"^ {4}(harness\.config\.\w+) +((?:\w+, *\n? *)*\w+)$", config.__doc__ or "", re.MULTILINE)
    return {
        name: getattr(importlib.import_module(module), name)
        for module, names in listed
        for name in re.split(r",\s+", names)
    }


def test_parts_of_definitions_are_where_the_docstring_says() -> None:
    parts = parts_of_the_docstring()
    for part in parts.values():
        assert issubclass(part, BaseModel)

    def named(annotation: Any) -> Iterator[type[BaseModel]]:
        """Every model that an annotation allows, and what is in it."""
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation
            for field in annotation.model_fields.values():
                yield from named(field.annotation)
        for inner in get_args(annotation):
            yield from named(inner)

    allowed = {part.__name__ for model in (Experiment, Sweep) for part in named(model)}
    assert allowed - {"Experiment", "Sweep", "Transfer"} == set(parts)


def test_parts_are_mappings_or_objects() -> None:
    part: Any = SimpleNamespace(**parts_of_the_docstring())
    transfer = {"content": "coffee", "style": "ink"}
    says = {"says": "More alpha keeps more.", "where": "fig. 4", "measure": "ssim", "along": "alpha"}
    says |= {"expect": "rises", "by": 0.02, "because": "less cannot be seen"}
    of_mappings = Experiment(
        transfer={**transfer, "optimiser": {"name": "lbfgs", "history": 5}},
        axes={"alpha": [1e-4, 1e-1]},
        figure={"columns": "alpha"},
        claims=[says],
        repeat=[{"seeds": [1, 2]}],
        tracking={"tags": ["mine"]},
    )
    of_objects = Experiment(
        transfer=Transfer(**transfer, optimiser=part.Lbfgs(history=5)),
        axes={"alpha": [1e-4, 1e-1]},
        figure=part.Figure(columns="alpha"),
        claims=(part.Claim(**says),),
        repeat=(part.Repeat(seeds=(1, 2)),),
        tracking=part.Tracking(tags=("mine",)),
    )
    assert of_mappings == of_objects
    assert cells(load_experiment(of_mappings, name="a")) == cells(load_experiment(of_objects, name="a"))
    space = {"alpha": {"log": [1e-5, 1e-1]}, "style_layers": {"simplex": ["conv1_1", "conv2_1"]}}
    search = {"transfer": transfer, "objectives": ["reference_style"]}
    of_mappings = Sweep(**search, space=space, sampler={"name": "tpe", "seed": 3}, budget={"trials": 4})
    of_objects = Sweep(
        **search,
        space={
            "alpha": part.Log(log=(1e-5, 1e-1)),
            "style_layers": part.Simplex(simplex=("conv1_1", "conv2_1")),
        },
        sampler=part.Tpe(seed=3),
        budget=part.Budget(trials=4),
    )
    assert of_mappings == of_objects
    assert load_sweep(of_mappings, name="a").sweep == load_sweep(of_objects, name="a").sweep


def test_numpys_numbers_tuples_and_paths_are_plain(tmp_path: Path) -> None:
    loaded = load_experiment({**TINY, "transfer": {**TINY["transfer"], "content": tmp_path / "a.png"}}, name="mine")
    assert loaded.experiment.transfer.content == str(tmp_path / "a.png")
    assert [cell.label for cell in loaded.cells][1] == {"alpha": 1e-3, "seed": 1}
    assert load_experiment(TINY, (), "large", name="mine").experiment.transfer.size == 128


def test_mapping_may_have_a_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("base.yaml").write_text("transfer: {content: astronaut, style: ink, size: 7}\n")
    assert load_experiment({"base": "base.yaml", "transfer": {"size": 64}}, name="a").experiment.transfer.style == "ink"
    assert load_experiment({"base": "single", "transfer": {"size": 64}}, name="a").experiment.transfer.size == 64
    assert faults_of({"base": "base.yaml", "name": "a"}) == [
        "base.yaml:1: transfer.size: got 7; allowed: an integer ≥ 16 and ≤ 8192, or original"
    ]


def test_faults_have_the_dotted_field_in_place_of_a_line() -> None:
    profiles = {"large": {"transfer": {"size": 3}}}
    faults = faults_of(
        {**TINY, "transfer": {"content": "astronaut", "stile": "ink"}, "profiles": profiles}, name="mine"
    )
    assert faults[0] == "mine: transfer.stile: there is no field 'stile'; did you mean style?"
    assert faults[1].startswith("mine, profiles.large: transfer.size: got 3")
    assert faults_of({**TINY, "axes": {"alpha": [1, -1]}}, name="mine")[0].startswith("mine: axes.alpha: got -1")
    assert faults_of(TINY, "transfer.sise=3", name="mine")[0].startswith("override 'transfer.sise=3': transfer.sise: ")


BAD: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no name": (TINY, {}, "mapping: name: is missing: its runs' folder has that name; give it as a key, or as name="),
    "a bad name": (TINY, {"name": "a/b"}, "a/b: name: got 'a/b'; it names the folder of its runs: letters, digits"),
    "a number as name": ({**TINY, "name": 3}, {}, "mapping: name: got 3; it names the folder of its runs"),
    "a set": ({**TINY, "tracking": {"tags": {"a"}}}, {"name": "a"}, "a: tracking.tags: got a value of type set; allow"),
    "a base of a base": ({"base": 3}, {"name": "a"}, "a: base: got 3; allowed: the path of one file"),
    "no such name": ("relative_wieght", {}, "relative_wieght: is neither a file nor an experiment or sweep"),
    "no such file": ("gone.yaml", {}, "gone.yaml: there is no such file"),
    "an empty mapping": ({}, {"name": "a"}, "a: transfer: is missing"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_one_gets_a_sentence(kind: str) -> None:
    spec, given, expected = BAD[kind]
    assert any(fault.startswith(expected) for fault in faults_of(spec, **given))


def test_mapping_that_holds_itself_is_a_fault() -> None:
    spec: dict[str, Any] = {"name": "a"}
    spec["transfer"] = spec
    assert "is nested too deeply to be a configuration" in faults_of(spec)[0]


def test_neither_of_them_is_refused() -> None:
    with pytest.raises(UsageError, match="got list"):
        load_experiment([1])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="name 'a/b': it names the folder of the runs; letters"):
        load_experiment("single", name="a/b")


def test_file_in_the_working_directory_comes_before_the_shipped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_experiment("single").called == "single"
    (tmp_path / "single.yaml").write_text("transfer: {content: rocket, style: ink}\n")
    (tmp_path / "relative_weight").mkdir()  # a folder is no such file
    assert load_experiment("single").experiment.transfer.content == "rocket"
    assert load_experiment("relative_weight").name == "relative_weight"


def test_unknown_name_lists_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["run", "relative_wait"])
    assert result.exit_code == 2 and "did you mean relative_weight? There are colour, " in result.output
    assert "pareto" in result.output and not (tmp_path / "runs").exists()


def test_mapping_is_run_kept_as_a_file_and_goes_on_from_the_command(tmp_path: Path, undrawn: None) -> None:
    given = {"out": tmp_path / "runs", "devices": "cpu", "wandb": "off", "progress": False}
    results = harness.run(TINY, "axes.seed=[0]", name="mine", **given)
    assert [run.status for run in results.runs] == [Status.DONE] * 2
    kept = tmp_path / "runs" / "mine" / "mine.yaml"
    assert results.file == kept and cells(load_experiment(kept)) == cells(load_experiment(TINY, name="mine"))
    words = [
        *map(str, ["run", kept, "axes.seed=[0]", "--out", tmp_path / "runs"]),
        "--devices",
        "cpu",
        "--wandb",
        "off",
    ]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0 and "2 of 2 runs are done already; 0 to compute." in result.output, result.output
    assert str(kept) in str(results.command)
    definition = results.definition
    assert isinstance(definition, Experiment)
    again = harness.run(definition, "axes.alpha=[1e-1]", name="mine", **given)
    assert [run.id for run in again.runs] == [results.run(alpha=0.1).id]
    assert [*(tmp_path / "runs" / "mine" / "earlier").iterdir()]
    (tmp_path / "mine.yaml").write_text("transfer: {content: rocket, style: ink}\n")
    with pytest.raises(UsageError, match="holds the runs of .*mine.yaml, not of .*mine.yaml; choose another folder"):
        harness.run(tmp_path / "mine.yaml", **given)


def test_mapping_is_searched(tmp_path: Path, undrawn: None) -> None:
    sweep = {
        "name": "found", "transfer": TINY["transfer"], "space": {"alpha": {"log": [1e-3, 1]}},
        "objectives": ["pixel_distance"], "budget": {"trials": 2},
    }  # fmt: skip
    results = harness.sweep(sweep, out=tmp_path, devices="cpu", wandb="off", progress=False)
    assert [run.status for run in results.runs] == [Status.DONE] * 2 and results.name == "found"
    with pytest.raises(ConfigError, match="start it with: harness sweep .*found.yaml"):
        harness.run(sweep, out=tmp_path)


def test_explanation_is_what_the_command_prints_and_in_numbers(tmp_path: Path) -> None:
    told = harness.explain(TINY, "axes.seed=[0]", "transfer.beta=2")
    assert [(term.side, term.layer) for term in told.terms] == [
        ("content", "conv2_1"), ("style", "conv1_1"), ("style", "conv2_1"),
    ]  # fmt: skip
    assert "(eq. 1)" in told.terms[0].equation and told.terms[1].printed == pytest.approx(2 * 0.5 * 4)
    assert told.converted["released"].ratio == pytest.approx(told.alpha / told.beta)
    assert told.converted["printed"].beta == pytest.approx({"conv1_1": 8, "conv2_1": 8})
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump({"transfer": TINY["transfer"]}))
    result = CliRunner().invoke(app, ["explain", str(path)])
    assert result.exit_code == 0 and result.output == f"{harness.explain(path)}\n"
    assert str(told).startswith("mapping, 64") and str(harness.explain({**TINY, "name": "mine"})).startswith("mine, 64")
    quilted = harness.explain(path, "transfer.method=quilting", "transfer.quilting.block=18")
    assert quilted.terms == () and "Efros & Freeman" in str(quilted)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The harness as a wheel puts it into a folder, away from its source tree."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("harness", "experiments", "sweeps"):
        shutil.copytree(ROOT / name, folder / "source" / name, symlinks=True, ignore=shutil.ignore_patterns("*.pyc"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    offline = ["--no-deps", "--no-index"]
    subprocess.run([*pip, "wheel", *offline, "--no-build-isolation", "-w", folder, folder / "source"], check=True)
    [wheel] = folder.glob("*.whl")
    subprocess.run([*pip, "install", *offline, "--target", folder / "site", wheel], check=True)
    return folder / "site"


def test_installed_wheel_has_the_experiments_and_sweeps(installed: Path, tmp_path: Path) -> None:
    files = {path.stem for kind in ("experiments", "sweeps") for path in (ROOT / kind).glob("*.yaml")}
    assert {path.stem for path in (installed / "harness" / "shipped").rglob("*.yaml")} == files == set(shipped())
    explorer = Path("harness") / "figures" / "explorer"
    assert {p.name for p in (installed / explorer).iterdir()} >= {p.name for p in (ROOT / explorer).glob("*.*")}
    for words in (["run", "relative_weight", "--dry-run"], ["run", "mine.yaml", "--dry-run"]):
        (tmp_path / "mine.yaml").write_text("base: single\ntransfer: {size: 64}\n")
        done = subprocess.run(
            [sys.executable, "-m", "harness", *words, "--devices", "cpu"],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(installed)}, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0 and f"runs/{words[1].removesuffix('.yaml')}" in done.stdout, done.stderr
    assert not (tmp_path / "runs").exists()
