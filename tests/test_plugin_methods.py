"""A user's method: one call, one picture, and a run folder, numbers and figure as of any other method."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from engine_rows import manifest_of
from plugin_files import loaded, naming

import harness
from harness.config import load_experiment
from harness.config.identity import hashed_fields
from harness.driver.capacity import MaxRows
from harness.driver.estimate import seconds_left
from harness.driver.jobs import Job, make_jobs
from harness.driver.needs import needs_of, pass_bytes, tile_of
from harness.engines.devices import DeviceSpec
from harness.errors import ConfigError, PluginError, UsageError
from harness.figures.labels import label, weight_caption
from harness.images.files import read_image
from harness.images.resize import to_array
from harness.registries import Plugin
from harness.runs.batch import Execution, run_batch
from harness.runs.prepare import prepare_images
from harness.tracking.records import comparable, history_record

PLUGIN = """
@harness.method("mix")
def mix(content, styles, *, transfer):
    share = transfer.alpha / (transfer.alpha + transfer.beta)
    return share * content + (1 - share) * styles[0].mean((0, 1))
"""
TRANSFER = "content: astronaut, style: strokes, size: 48, method: mix, beta: 1"


@pytest.fixture(autouse=True)
def plugin(tmp_path: Path) -> Iterator[Plugin]:
    with loaded(tmp_path, PLUGIN) as plugin:
        yield plugin


def jobs_of(folder: Path, *words: str, rest: str = "axes: {alpha: [0.25, 1]}") -> list[Job]:
    path = folder / "method.yaml"
    plugins = naming(folder, *sorted(file.name for file in folder.glob("*.py")))
    path.write_text(f"transfer: {{{TRANSFER}}}\n{rest}\n{plugins}")
    return make_jobs(load_experiment(path, words), folder / "runs")


def test_the_picture_is_what_the_function_gives_of_the_prepared_images(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path)
    run_batch([job.row for job in jobs], Execution())
    prepared = prepare_images([job.row for job in jobs])
    content, style = to_array(prepared.contents[0]), to_array(prepared.styles[0])
    for job, alpha in zip(jobs, (0.25, 1.0), strict=True):
        share = alpha / (alpha + 1)
        expected = share * content + (1 - share) * style.mean((0, 1))
        assert np.abs(read_image(str(job.row.folder / "image.png")) - expected).max() <= 0.5 / 255 + 1e-6
        manifest = manifest_of(job.row.folder)
        assert manifest["status"] == "done" and manifest["metrics"]["evaluations"] == 1
        assert manifest["metrics"]["ssim"] > 0 and manifest["metrics"]["total"] is None
        (line,) = job.folder.history()
        assert set(history_record(line, job.row.transfer)) == {"evaluation", "seconds"}


def test_several_paintings_come_in_their_order_and_sizes(tmp_path: Path) -> None:
    text = (
        "import numpy\n@harness.method('shapes')\ndef shapes(content, styles, *, transfer):\n"
        "    assert [s.shape[2] for s in styles] == [3, 3] and styles[0].shape != styles[1].shape\n"
        "    assert content.dtype == styles[0].dtype == numpy.float32 and transfer.seed == 0\n"
        "    return numpy.ones_like(content) * 1.4\n"
    )
    with loaded(tmp_path, text, "shapes.py"):
        word = "transfer.style={strokes: 1, mosaic: {scale: 0.5, weight: 1}}"
        (job,) = jobs_of(tmp_path, word, "transfer.method=shapes", rest="")
        run_batch([job.row], Execution())
    assert manifest_of(job.row.folder)["status"] == "done"
    assert (read_image(str(job.row.folder / "image.png")) == 1).all()


def test_an_experiment_has_its_pictures_numbers_and_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = f"transfer: {{{TRANSFER}, steps: 2, pyramid: []}}\naxes: {{method: [gatys, quilting, mix]}}\n"
    (tmp_path / "both.yaml").write_text(text + naming(tmp_path, "mine.py"))
    results = harness.run("both.yaml", progress=False, wandb="off")
    assert [run.status.name for run in results.runs] == ["DONE"] * 3
    assert all(run.metrics["ssim"] is not None for run in results.runs)
    assert (tmp_path / "runs" / "both" / "figure.png").exists()
    of_mix = results.runs[2]
    assert of_mix.num_evaluations == 1 and weight_caption(of_mix.transfer) == "mix"
    assert label(("method",), ("mix",), {}) == "mix"


def test_an_id_holds_every_field_and_the_plugin_but_no_network(tmp_path: Path) -> None:
    one, other = jobs_of(tmp_path)
    assert one.id != other.id and hashed_fields(one.row.transfer) == ("content", "style")
    assert "weights" not in one.row.manifest.provenance["files"]
    with loaded(tmp_path, PLUGIN + "# a remark"):
        assert jobs_of(tmp_path)[0].id != one.id


def test_what_the_driver_reckons(tmp_path: Path) -> None:
    job, other = jobs_of(tmp_path)
    assert job.batch_key == other.batch_key and job.num_evaluations == 1
    assert MaxRows(["cpu:0"], lambda worker: math.inf)([job, other], "cpu:0") == 1
    assert tile_of(job) is None and pass_bytes(job) == 0
    assert needs_of(job).own >= 2 * 3 * 48 * 48 * 4 and seconds_left([job], [DeviceSpec("cpu", 1)]) == 0.0
    told = comparable(job.row.transfer)
    assert told["method"] == "mix" and told["alpha"] == 0.25 and "alpha_over_beta" not in told


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return content.no_such", r"{file}:5: AttributeError: .*no_such.* \(in the method 'faulty'\)"),
        ("return content[:8]", r"{file}:3: the method 'faulty' gave float32 of the shape \(8, 48, 3\); allowed: "),
        ("return (255 * content).astype('uint8')", r"{file}:3: the method 'faulty' gave uint8 of the shape"),
        ("return 255 * content", r"{file}:3: .* gave values from 0 to 255; allowed: finite ones in \[0, 1\]"),
        ("return content * float('nan')", r"{file}:3: .* gave values from nan to nan; allowed"),
    ],
)  # fmt: skip
def test_a_fault_fails_its_run_with_the_plugins_own_line(tmp_path: Path, body: str, message: str) -> None:
    text = f'@harness.method("faulty")\ndef faulty(content, styles, *, transfer):\n    {body}\n'
    with loaded(tmp_path, text, "faulty.py") as plugin:
        jobs = jobs_of(tmp_path, "transfer.method=faulty")
        run_batch([job.row for job in jobs], Execution())
        manifest = manifest_of(jobs[0].row.folder)
        assert manifest["status"] == manifest_of(jobs[1].row.folder)["status"] == "failed"
        with pytest.raises(PluginError, match=message.format(file=plugin.name)):
            raise PluginError(manifest["reason"])


def test_an_unknown_method_and_one_of_the_harness(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="got 'mixx'; allowed: one of gatys, quilting, mix; did you mean mix?"):
        jobs_of(tmp_path, "transfer.method=mixx")
    with pytest.raises(UsageError, match="The method 'gatys' is the harness's already"):
        with loaded(tmp_path, "harness.method('gatys')(len)", "other.py"):
            pass
