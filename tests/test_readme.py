"""What the README shows is tried: its plugins as they stand there, in a claim, an axis and a picture."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

import harness

README = Path(__file__).parent.parent / "README.md"
SMALL = {"content": "astronaut", "style": "strokes", "size": 64, "steps": 5, "pyramid": []}


def code_of(name: str) -> str:
    """The indented block of the README that begins with the comment ``# NAME``."""
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", README.read_text(encoding="utf-8"), flags=re.M)
    (found,) = (text for block in blocks if (text := textwrap.dedent(block).strip("\n")).startswith(f"# {name}"))
    return found + "\n"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_plugin_has_at_most_25_lines() -> None:
    assert all(len(code_of(name).splitlines()) <= 25 for name in ("mine.py", "resnet.py"))


def test_the_statistic_is_an_axis_and_the_measure_decides_a_claim(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(code_of("mine.py"))
    claim = {"says": "s", "where": "w", "measure": "unit_distance", "expect": "greater_than", "by": 0.0, "because": "b"}
    spec = {
        "plugins": ["mine.py"],
        "transfer": SMALL,
        "axes": {"style_statistic": ["gram", "mean_variance"]},
        "claims": [claim],
    }
    results = harness.run(spec, name="mine", devices="cpu:1", wandb="off", progress=False)
    assert [run.status.name for run in results.runs] == ["DONE", "DONE"], [run.reason for run in results.runs]
    assert (results.runs[0].image() != results.runs[1].image()).any()
    assert "**holds**" in (results.folder / "claims.md").read_text()


def test_a_resnet_by_the_names_of_its_nodes(tmp_path: Path) -> None:
    """With random weights: the published ones are not in the package registry."""
    text = code_of("resnet.py").replace('weights="DEFAULT"', "weights=None")
    (tmp_path / "resnet.py").write_text(
        text.replace("    model =", "    __import__('torch').manual_seed(0)\n    model =")
    )
    spec = {
        "plugins": ["resnet.py"],
        "transfer": SMALL
        | {"weights": {"network": "resnet18"}, "content_layers": {"block3": 1}}
        | {"style_layers": {"block1": 0.5, "block2": 0.5}},
    }
    results = harness.run(spec, name="resnet", devices="cpu:1", wandb="off", progress=False)
    assert results.runs[0].status.name == "DONE", results.runs[0].reason
    losses = [row["total"] for row in results.runs[0].history()]
    assert losses[-1] < losses[0]


def test_a_notebook_runs_selects_plots_and_adds_its_own_loss(tmp_path: Path) -> None:
    import nbclient
    import nbformat

    spec = {"plugins": ["mine.py"], "transfer": SMALL, "axes": {"style_statistic": ["gram", "mean_variance"]}}
    term = (
        '@harness.term("mine")\ndef mine(images, *, content):\n    return (images - content).square().mean((1, 2, 3))\n'
    )
    cells = [
        f"%%writefile mine.py\n{code_of('mine.py')}\n{term}",
        f"import harness\nresults = harness.run({spec!r}, 'transfer.terms.mine=0.1', name='mine', wandb='off', "
        "devices='cpu:1', progress=False)",
        "chosen = results.select(style_statistic='mean_variance')\n[run.status.name for run in chosen.runs]",
        "'mine' in chosen.runs[0].history()[-1], round(chosen.runs[0].measure('unit_distance'), 3) > 0",
        "import matplotlib\nmatplotlib.use('agg')\nimport matplotlib.pyplot as plt\n"
        "len(plt.plot([row['mine'] for row in chosen.runs[0].history()])[0].get_ydata())",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=240, kernel_name="python3", resources=resources).execute()
    told = [cell.outputs[-1]["data"]["text/plain"] for cell in notebook.cells[2:]]
    assert told == ["['DONE']", "(True, True)", "5"], told
