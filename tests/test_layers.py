"""The layers of the design: a module imports only what stands to the right of it."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import pytest

ORDER = ("cli", "driver", "claims", "studies", "engines", "tracking", "results", "runs", "measures", "core", "config")
LAYER_OF = {
    "harness.__main__": "cli",
    "harness.cli": "cli",
    "harness.driver": "driver",
    "harness.results": "results",
    "harness.studies": "studies",
    "harness.claims": "claims",
    "harness.figures": "claims",
    "harness.engines": "engines",
    "harness.tracking": "tracking",
    "harness.runs": "runs",
    "harness.measures": "measures",
    "harness.distillation": "core",
    "harness.objective": "core",
    "harness.photorealism": "core",
    "harness.quilting": "core",
    "harness.optim": "core",
    "harness.features": "core",
    "harness.images": "core",
    "harness.downloads": "core",
    "harness.files": "core",
    "harness.system": "config",
    "harness.config": "config",
    "harness.errors": "config",
    "harness.odd_names": "config",
    "harness.latex": "config",
    "harness.registries": "config",
}
FILES = sorted(Path("harness").rglob("*.py"))


def module_of(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def layer_of(module: str) -> str | None:
    return next((layer for name, layer in LAYER_OF.items() if module == name or module.startswith(name + ".")), None)


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return {name for name in found if name.startswith("harness")}


def test_every_module_belongs_to_a_layer() -> None:
    assert not [path for path in FILES if path != Path("harness/__init__.py") and layer_of(module_of(path)) is None]


@pytest.mark.parametrize("path", [p for p in FILES if p != Path("harness/__init__.py")], ids=module_of)
def test_module_imports_only_layers_to_its_right(path: Path) -> None:
    own = layer_of(module_of(path))
    assert own is not None
    for name in imports(path) - {"harness"}:
        other = layer_of(name)
        assert other is not None and ORDER.index(other) >= ORDER.index(own), (
            f"{module_of(path)} ({own}) imports {name} ({other})"
        )


@pytest.mark.parametrize("path", sorted(Path("experiments").glob("*.yaml")), ids=str)
def test_every_experiment_and_profile_loads_and_its_cells_can_be_pasted(path: Path) -> None:
    from harness.config import load_experiment
    from harness.config.identity import canonical_json

    text = path.read_text()
    assert text.startswith("# ") and f"harness run {path}" in text
    loaded = load_experiment(path)
    assert all(claim.because.strip() and claim.where for claim in loaded.experiment.claims)
    for profile in (None, *loaded.experiment.profiles):
        asked = load_experiment(path, (), profile)
        for cell in (*asked.cells, *asked.repeats):
            again = load_experiment(path, cell.overrides)
            assert not again.repeats and not again.again
            assert [canonical_json(c.transfer.model_dump()) for c in again.cells] == [
                canonical_json(cell.transfer.model_dump())
            ]


@pytest.mark.parametrize("path", sorted(Path("sweeps").glob("*.yaml")), ids=str)
def test_every_sweep_and_profile_loads_and_a_trial_can_be_pasted(path: Path) -> None:
    from harness.config import load_experiment, load_sweep
    from harness.config.dimensions import Choice
    from harness.config.identity import canonical_json
    from harness.config.space import as_choices, fields_of, parameters

    text = path.read_text()
    assert text.startswith("# ") and f"harness sweep {path}" in text
    for profile in (None, *load_sweep(path).sweep.profiles):
        loaded = load_sweep(path, (), profile)
        params = {
            name: as_choices(dimension.choice)[-1] if isinstance(dimension, Choice) else dimension.low
            for name, dimension in parameters(loaded.sweep.space).items()
        }
        cell = loaded.cell(fields_of(loaded.sweep.space, params), {"trial": 0})
        (again,) = load_experiment(path, cell.overrides).cells
        assert canonical_json(again.transfer.model_dump()) == canonical_json(cell.transfer.model_dump())


READMES = [Path("README.md"), Path("experiments/README.md")]
BENCHMARKS = [str(path) for path in sorted(Path("tests/benchmarks").glob("*.py")) if "__main__" in path.read_text()]


@pytest.mark.parametrize("path", READMES, ids=str)
def test_what_a_readme_links_to_is_there(path: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", path.read_text())
    assert links and not [link for link in links if not (path.parent / link).exists()]


@pytest.mark.parametrize("script", BENCHMARKS)
def test_script_that_is_run_by_hand_can_be_imported(script: str) -> None:
    """Nothing else would notice that a name they import has moved."""
    spec = importlib.util.spec_from_file_location(Path(script).stem, script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.__doc__ and f"python {script}" in module.__doc__
