"""A user's terms: added with their λ, measured without, each a column of its own; faults with their own line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from engine_rows import history_of, make_rows, manifest_of
from plugin_files import loaded, naming
from tiny_vgg import photograph, tiny_state
from torch import Tensor

from harness.config import load_experiment, load_sweep
from harness.driver.jobs import make_jobs
from harness.errors import ConfigError, PluginError, UsageError
from harness.features.vgg import VGG
from harness.objective.gradient import evaluate
from harness.objective.rows import Objective, RowObjective
from harness.registries import Plugin
from harness.runs.batch import Execution, run_batch
from harness.tracking.records import history_record

PLUGIN = """
@harness.term("brightness")
def brightness(images, *, content):
    return (images.mean((1, 2, 3)) - content.mean()).square()


@harness.term("likeness")
class Likeness:
    def __init__(self, content):
        self.wanted = content.mean((1, 2))

    def __call__(self, images):
        return (images.mean((2, 3)) - self.wanted).square().sum(1)
"""
BASE = "transfer: {content: astronaut, style: strokes, size: 48, steps: 3, pyramid: []"


@pytest.fixture(autouse=True)
def plugin(tmp_path: Path) -> Iterator[Plugin]:
    with loaded(tmp_path, PLUGIN) as plugin:
        yield plugin


def test_terms_are_by_loops_and_only_of_the_rows_that_weigh_them() -> None:
    network = VGG(tiny_state(2, 3, 0)).double()
    contents = [photograph(12, 10, seed)[0].double() for seed in (1, 2)]
    terms: list[dict[str, float]] = [
        {"brightness": 0.5}, {}, {"brightness": 3.0, "likeness": 2.0}, {"likeness": 0.0, "total_variation": 1.0}
    ]  # fmt: skip
    rows = [
        RowObjective(0.1, 1.0, {"conv1_1": 1.0}, {"conv1_2": 1.0}, content=i % 2, terms=t) for i, t in enumerate(terms)
    ]
    objective = Objective(rows, network, contents, [photograph(9, 11, 3)[0].double()])
    images = torch.cat([photograph(12, 10, 10 + i) for i in range(4)]).double()
    losses = objective(network, images, range(4))

    def mean(of: Tensor) -> float:
        values = of.flatten().tolist()
        return sum(values) / len(values)

    expected = {
        "total_variation": [None, None, None, float(losses.terms["total_variation"][3])],
        "brightness": [
            (mean(image) - mean(contents[i % 2])) ** 2 if "brightness" in terms[i] else None
            for i, image in enumerate(images)
        ],
        "likeness": [
            sum((mean(image[c]) - mean(contents[i % 2][c])) ** 2 for c in range(3))
            if terms[i].get("likeness")
            else None
            for i, image in enumerate(images)
        ],
    }
    assert list(losses.terms) == list(expected)
    for name, of_rows in expected.items():
        for found, wanted in zip(losses.terms[name].tolist(), of_rows, strict=True):
            assert found != found if wanted is None else found == pytest.approx(wanted, rel=1e-12)
    for i, row in enumerate(rows):
        own = sum(weight * losses.terms[name][i] for name, weight in row.weighed_terms().items())
        total = 0.1 * losses.content[i] + losses.style[i] + own
        assert float(losses.total[i]) == pytest.approx(float(total), rel=1e-12)
        alone = evaluate(objective, network, images[i : i + 1], [i])
        assert float(alone.losses.total) == pytest.approx(float(losses.total[i]), rel=1e-12)


def test_a_term_is_a_field_an_axis_a_column_and_a_loss_of_the_mirror(tmp_path: Path) -> None:
    rows = make_rows(
        tmp_path,
        "transfer.steps=3",
        "transfer.terms.likeness=2",
        varied=f"axes: {{terms.brightness: [0, 0.5]}}\n{naming(tmp_path, 'mine.py')}",
    )
    run_batch(rows, Execution())
    columns = [set(history_of(row.folder)[0]) & {"brightness", "likeness"} for row in rows]
    assert columns == [{"likeness"}, {"brightness", "likeness"}]
    line = {name: float(value) for name, value in history_of(rows[1].folder)[-1].items() if value}
    record = history_record(line, rows[1].transfer)
    assert record["loss/brightness"] == line["brightness"]
    assert record["weighted/likeness"] == 2 * line["likeness"] and "likeness" not in record


def test_a_term_and_a_statistic_are_searched(tmp_path: Path) -> None:
    statistic = "@harness.style_statistic('mean')\nclass Mean:\n    statistics = distance = len\n"
    with loaded(tmp_path, statistic, "statistic.py"):
        path = tmp_path / "search.yaml"
        path.write_text(
            f"{BASE}}}\nspace: {{terms.brightness: {{log: [1e-3, 1]}}, style_statistic: {{choice: [gram, mean]}}}}\n"
            f"budget: {{trials: 2}}\nobjectives: [reference_style]\n{naming(tmp_path, 'mine.py', 'statistic.py')}"
        )
        loaded_sweep = load_sweep(path)
        cell = loaded_sweep.cell({"terms.brightness": 0.5, "style_statistic": "mean"}, {"trial": 0})
        assert cell.transfer.terms == {"brightness": 0.5} and cell.transfer.style_statistic == "mean"
        (again,) = load_experiment(path, cell.overrides).cells
        assert again.transfer == cell.transfer


def ids_of(folder: Path, *values: str) -> list[str]:
    path = folder / "ids.yaml"
    path.write_text(f"{BASE}}}\naxes: {{terms: [{', '.join(values)}]}}\n{naming(folder, 'mine.py')}")
    return [job.id for job in make_jobs(load_experiment(path), folder)]


def test_an_id_holds_the_terms_that_count_and_their_plugin(tmp_path: Path) -> None:
    plain, own = ids_of(tmp_path, "{}", "{brightness: 0.5}")
    path = tmp_path / "plain.yaml"
    path.write_text(BASE + "}")
    assert make_jobs(load_experiment(path), tmp_path)[0].id == plain
    with loaded(tmp_path, PLUGIN + "\n# a remark"):
        assert ids_of(tmp_path, "{brightness: 0}", "{brightness: 0.5}")[0] == plain
        assert ids_of(tmp_path, "{}", "{brightness: 0.5}")[1] != own


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return images.no_such", r"{file}:5: AttributeError: .*no_such.* \(in the term 'faulty'\)"),
        ("return images.mean()", r"{file}:3: the term 'faulty' gave a scalar for images .*allowed: a tensor \(1,\)"),
        ("return None", r"{file}:3: the term 'faulty' gave nothing for images"),
        ("return images.sum((1, 2, 3)) / 0", r"{file}:3: the term 'faulty' gave \[inf\] for finite images"),
    ],
)  # fmt: skip
def test_a_fault_fails_its_run_with_the_plugins_own_line(tmp_path: Path, body: str, message: str) -> None:
    text = f'@harness.term("faulty")\ndef faulty(images, *, content):\n    {body}\n'
    with loaded(tmp_path, text, "faulty.py") as plugin:
        rows = make_rows(
            tmp_path,
            "transfer.steps=2",
            varied=f"axes: {{terms.faulty: [0, 1], seed: [0, 1]}}\n{naming(tmp_path, 'faulty.py')}",
        )
        run_batch(rows, Execution())
        found = [manifest_of(row.folder) for row in rows]
        assert [manifest["status"] for manifest in found] == ["done", "done", "failed", "failed"]
        with pytest.raises(PluginError, match=message.format(file=plugin.name)):
            raise PluginError(found[2]["reason"])


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        (", terms: {brightnes: 1}}", "got 'brightnes'; allowed: one of brightness, likeness; did you mean brightness?"),
        (", terms: {total_variation: 1}}", "total_variation has a field of its own; write total_variation: …"),
        (", terms: {brightness: -1}}", "transfer.terms.brightness: got -1; allowed: a finite number ≥ 0"),
        ("}\naxes: {terms.brightnes: [1, 2]}", "there is no term 'brightnes'; did you mean brightness?"),
    ],
)
def test_what_a_transfer_cannot_say(tmp_path: Path, rest: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(f"{BASE}{rest}\n{naming(tmp_path, 'mine.py')}")
    with pytest.raises(ConfigError) as error:
        load_experiment(path)
    assert message in str(error.value)


def test_a_term_cannot_be_called_like_a_column(tmp_path: Path) -> None:
    for name in ("style", "total_variation"):
        with pytest.raises(UsageError, match=f"'{name}'"):
            with loaded(tmp_path, f"harness.term('{name}')(len)", "column.py"):
                pass
