"""A user's own measures, from files that the YAML names: in claims, as objectives, in tables, and their faults."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from results_folder import make_results_folder, picture
from typer.testing import CliRunner

import harness
from harness.claims import State, judge
from harness.cli.app import app
from harness.config import load_experiment
from harness.config.reading import load_sweep
from harness.config.transfer import Transfer
from harness.engines.contract import End, Task
from harness.engines.work import carry_out
from harness.errors import CannotMeasureError, ConfigError, PluginError, UsageError
from harness.measures.calling import call_measure
from harness.measures.names import ON_VGG16
from harness.registries import asked_by, is_of_a_set, load_plugins, measure, use_plugins
from harness.runs.measured import measured_on
from harness.runs.signals import Orders
from harness.runs.store import Status
from harness.studies.session import REASON
from harness.studies.storage import open_storage

SHARPNESS = '''\
"""How sharp a picture is."""
import numpy as np
import harness


@harness.measure("sharpness")
def sharpness(picture, *, content, styles, transfer):
    """Mean size of the steps to the right, over the photograph's."""
    x, c = (np.abs(np.diff(image, axis=1)).mean() for image in (picture, content))
    assert len(styles) == 1 and transfer.size == picture.shape[0] == 64
    return x / c
'''
FAULTY = SHARPNESS.replace("    return x / c", "    return x / photograph")
FAULT = ":11: NameError: name 'photograph' is not defined (in the measure 'sharpness')"
TRANSFER = (
    "transfer: {content: astronaut, style: strokes, size: 64, steps: 6, pyramid: [], "
    "content_layers: {conv2_1: 1}, style_layers: {conv1_1: 0.5, conv2_1: 0.5}}\n"
)
CLAIM = "claims: [{says: s, where: w, measure: sharpness, expect: greater_than, by: 0.1, because: b}]\n"
SEARCH = f"{TRANSFER}space: {{alpha: {{log: [1e-5, 1e-1]}}}}\nbudget: {{trials: 2, parallel: 2}}\n"


@pytest.fixture(autouse=True)
def _no_plugins_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each test in a folder of its own, in which plugins are named as a user would."""
    use_plugins(())
    monkeypatch.chdir(tmp_path)


def written(name: str, text: str) -> Path:
    Path(name).write_text(text)
    return Path(name)


def run(file: Path, *words: str, **options: Any) -> harness.results.Results:
    return harness.run(file, *words, devices="cpu", wandb="off", progress=False, **options)


def faults_of(file: Path, *words: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        (load_sweep if "objectives" in file.read_text() else load_experiment)(file, words)
    return [str(fault) for fault in caught.value.faults]


# In claims and tables


@pytest.mark.usefixtures("undrawn")
def test_a_users_measure_decides_a_claim_and_stands_in_the_tables() -> None:
    written("sharp.py", SHARPNESS)
    file = written("tiny.yaml", f"{TRANSFER}axes: {{alpha: [1e-3, 1e-1]}}\nplugins: [sharp.py]\n{CLAIM}")
    results = run(file)
    (verdict,) = judge(results)
    assert verdict.state is State.HOLDS
    values = [finding.of[0].values[0] for finding in verdict.findings]
    for each, value in zip(results.runs, values, strict=True):
        x, c = (np.abs(np.diff(image / 255, axis=1)).mean() for image in (each.image(), each.source("content")))
        assert value == pytest.approx(x / c)
        assert each.measure("sharpness") == value == each.metrics["sharpness"]
    assert [row["sharpness"] for row in results.table()] == values
    told = CliRunner().invoke(app, ["compare", "runs/tiny", "--csv", "table.csv", "--sort", "sharpness"])
    assert told.exit_code == 0 and "sharpness" in told.output
    assert "sharpness" in Path("table.csv").read_text().splitlines()[0]
    written("sharp.py", SHARPNESS.replace("x / c", "0.0 * x / c"))
    assert judge(harness.load("runs/tiny"))[0].state is State.DOES_NOT_HOLD, "another file, measured again"
    Path("sharp.py").unlink()
    assert judge(harness.load("runs/tiny"))[0].state is State.HOLDS, "what was measured while it was there"


def claimed(folder: Path, plugins: list[str], name: str = "sharpness", **claim: Any) -> Any:
    """The verdict on a claim about finished runs, whose folder was written by hand."""
    stated = {"says": "s", "where": "w", "measure": name, "expect": "greater_than", "by": 0.1, "because": "b", **claim}
    cells = [{"image": picture(1, 64, 64), "content": picture(2, 64, 64), "transfer": {"size": 64}}]
    definition = {"claims": [stated], "plugins": plugins}
    return judge(harness.load(make_results_folder(folder / "fig", cells, definition)))[0]


def test_claims_are_judged_again_from_the_folder_alone(tmp_path: Path) -> None:
    written("sharp.py", SHARPNESS)
    assert claimed(tmp_path, ["sharp.py"]).state is State.HOLDS
    told = CliRunner().invoke(app, ["claims", str(tmp_path / "fig")])
    assert told.exit_code == 0 and "holds" in told.output


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (FAULTY, f"sharp.py{FAULT}"),
        (SHARPNESS.replace("return x / c", "return None"), "sharp.py:6: the measure 'sharpness' gave None; a number"),
        (
            SHARPNESS.replace("return x / c", "return float('nan')"),
            "sharp.py:6: sharpness is nan, which decides nothing",
        ),
        (SHARPNESS.replace('"sharpness"', '"sharp"'), "There is no measure 'sharpness'; there are "),
        (None, "The plugin sharp.py cannot be read (No such file or directory)."),
    ],
)
def test_a_claim_whose_measure_fails_says_where_and_the_others_are_judged(
    tmp_path: Path, text: str | None, sentence: str
) -> None:
    if text is not None:
        written("sharp.py", text)
    verdict = claimed(tmp_path, ["sharp.py"])
    assert verdict.state is State.NOT_MEASURED and sentence in verdict.worst.remark
    (tmp_path / "own").mkdir()
    assert claimed(tmp_path / "own", ["sharp.py"], "finest_share").state is State.HOLDS


def test_a_users_measure_can_ask_for_what_the_harness_own_ask_for(tmp_path: Path) -> None:
    written(
        "near.py",
        "import harness\n@harness.measure('near')\ndef near(picture, *, to, depth=3): return depth + to.max()",
    )
    assert claimed(tmp_path, ["near.py"], "near", to="strokes").state is State.HOLDS
    file = written("a.yaml", f"{TRANSFER}plugins: [near.py]\n{CLAIM.replace('sharpness', 'near')}")
    assert "claims.0.to: is missing: to which painting" in faults_of(file)[0]


# What YAML may say


def test_measures_are_looked_up_among_the_plugins_that_the_file_names() -> None:
    written("sharp.py", SHARPNESS)
    named, unnamed = (
        written(f"{k}.yaml", f"{TRANSFER}{CLAIM}{plugins}")
        for k, plugins in (("a", "plugins: [sharp.py]\n"), ("b", ""))
    )
    loaded = load_experiment(named)
    assert [plugin.name for plugin in loaded.plugins] == ["sharp.py"] == list(loaded.data["plugins"])
    [fault] = faults_of(unnamed)
    assert "claims.0.measure: got 'sharpness'; allowed: one of reference_content, " in fault
    assert "one of your own is found where plugins: [FILE.py] names its file" in fault
    assert load_experiment(unnamed, ["plugins=[sharp.py]"]).experiment.plugins == ("sharp.py",)
    assert load_experiment(unnamed, ["claims="]).data["plugins"] == []
    [fault] = faults_of(named, "claims.0.measure=x", "plugins.0=x")[:1]
    assert "is a list; give it as a whole" in fault


def test_a_typo_names_the_nearest_measure() -> None:
    written("sharp.py", SHARPNESS)
    file = written("a.yaml", f"{TRANSFER}plugins: [sharp.py]\n{CLAIM.replace('sharpness', 'sharpnes')}")
    assert faults_of(file)[0].startswith("a.yaml:3: claims.0.measure: got 'sharpnes'")
    assert faults_of(file)[0].endswith("did you mean sharpness?")
    search = written("b.yaml", f"{SEARCH}objectives: [sharpnes]\nplugins: [sharp.py]\n")
    assert "b.yaml:4: objectives: got 'sharpnes'; allowed: a list of one or more of" in faults_of(search)[0]
    assert faults_of(search)[0].endswith("did you mean sharpness?")
    assert "objectives: got 'gram_distance'; allowed" in faults_of(search, "objectives=[gram_distance]")[0]


def test_faults_of_plugins_stand_in_one_report_with_the_others() -> None:
    written("broken.py", "import harness\n\n1 / 0\n")
    written("sharp.py", SHARPNESS)
    written("taken.py", SHARPNESS)
    written("own.py", SHARPNESS.replace('"sharpness"', '"ssim"'))
    written("form.py", SHARPNESS.replace("styles, transfer", "painting"))
    names = ["sharp.py", "broken.py", "taken.py", "own.py", "form.py", "gone.py", "no_entry_point"]
    lines = "".join(f"  - {name}\n" for name in names)
    faults = faults_of(written("a.yaml", f"{TRANSFER.replace('steps: 6', 'steps: 0')}plugins:\n{lines}"))
    assert faults[0].startswith("a.yaml:1: transfer.steps")
    for fault, line, words in zip(
        faults[1:],
        range(4, 10),
        [
            "broken.py:3: ZeroDivisionError", "taken.py:6: The measure 'sharpness' is sharp.py's already; give yours",
            "own.py:6: The measure 'ssim' is the harness's already", "painting is none of what it can ask for: content",
            "The plugin gone.py cannot be read", "There is no plugin 'no_entry_point'",
        ],
        strict=True,
    ):  # fmt: skip
        assert fault.startswith(f"a.yaml:{line}: plugins: ") and words in fault, fault


def test_a_profile_can_name_plugins_and_is_checked_with_them() -> None:
    written("sharp.py", SHARPNESS)
    profile = f"profiles: {{p: {{plugins: [sharp.py], {CLAIM.strip()}}}}}\n"
    file = written("a.yaml", TRANSFER + profile)
    assert load_experiment(file).plugins == () and "sharpness" not in measure
    assert load_experiment(file, profile="p").experiment.claims[0].measure == "sharpness"
    written("a.yaml", TRANSFER + profile.replace("sharp.py", "gone.py"))
    assert faults_of(file)[0].startswith("a.yaml:2: plugins: The plugin gone.py cannot be read")


# As objectives, in workers


@pytest.mark.usefixtures("undrawn")
def test_a_users_measure_is_minimised_and_asked_for_at_rungs() -> None:
    written("sharp.py", SHARPNESS)
    search = f"{SEARCH}objectives: [sharpness]\nplugins: [sharp.py]\npruner: {{name: median, rungs: [3], warmup: 1}}\n"
    results = harness.sweep(written("search.yaml", search), devices="cpu", wandb="off", progress=False)
    (sha256,) = {plugin.sha256 for plugin in load_plugins(["sharp.py"])}
    for each in results.runs:
        assert each.manifest is not None and each.status is Status.DONE
        assert each.manifest.measured_on == {**measured_on(), "sharpness()": sha256}
        assert each.manifest.trials[0]["values"] == [each.metrics["sharpness"]] == [each.measure("sharpness")]
        assert each.manifest.rungs["3"]["sharpness"] > 0
    assert CliRunner().invoke(app, ["status", "runs/search"]).exit_code == 0
    Path("sharp.py").unlink()
    assert CliRunner().invoke(app, ["status", "runs/search"]).exit_code == 0
    assert CliRunner().invoke(app, ["compare", "runs/search"]).exit_code == 0


@pytest.mark.usefixtures("undrawn")
def test_a_fault_fails_the_trials_with_its_line_and_the_mended_file_measures_the_same_pictures() -> None:
    written("sharp.py", FAULTY)
    file = written(
        "search.yaml",
        f"{SEARCH}objectives: [sharpness, finest_share]\nplugins: [sharp.py]\nsampler: {{name: random, seed: 0}}\n",
    )
    results = harness.sweep(file, devices="cpu", wandb="off", progress=False)
    study = open_storage(None, results.folder)
    (trials,) = [study.get_all_trials(one._study_id) for one in study.get_all_studies()]
    assert [trial.state.name for trial in trials] == ["FAIL", "FAIL"]
    assert {trial.user_attrs[REASON] for trial in trials} == {f"sharp.py{FAULT}"}
    pictures = {each.id: each.folder.image_path.stat().st_mtime_ns for each in results.runs}
    assert {each.status for each in results.runs} == {Status.DONE}
    assert results.runs[0].reason == f"sharp.py{FAULT}" and results.runs[0].metrics["sharpness"] is None
    written("sharp.py", SHARPNESS)
    again = harness.sweep(file, devices="cpu", wandb="off", progress=False)
    assert {each.id: each.folder.image_path.stat().st_mtime_ns for each in again.runs} == pictures
    assert all(each.metrics["sharpness"] > 0 and each.reason == "" for each in again.runs)
    assert {each.manifest.measured_on["finest_share()"] for each in again.runs if each.manifest} == {"harness"}
    assert {len(each.manifest.trials[-1]["values"]) for each in again.runs if each.manifest} == {2}


def test_a_worker_refuses_a_file_that_is_another_one_by_now() -> None:
    written("sharp.py", SHARPNESS)
    plugins = load_plugins(["sharp.py"])
    written("sharp.py", SHARPNESS.replace("x / c", "c / x"))
    end, sentence, exit_code = carry_out(Task((), plugins=plugins), "cpu", 1, "cpu:0", lambda event: None, Orders())
    assert (end, exit_code) == (End.ERROR, 2)
    assert sentence.startswith("The plugin sharp.py has changed since this command read it")
    Path("sharp.py").unlink()
    end, sentence, _ = carry_out(Task((), plugins=plugins), "cpu", 1, "cpu:0", lambda event: None, Orders())
    assert end is End.ERROR and "sharp.py cannot be read" in sentence


# Of a run


def test_any_registered_measure_of_a_finished_run(tmp_path: Path) -> None:
    cell = {"image": picture(1, 64, 64), "content": picture(2, 64, 64), "style": picture(3, 64, 64)}
    (each,) = harness.load(make_results_folder(tmp_path / "fig", [{**cell, "transfer": {"size": 64}}])).runs
    assert -1 < each.measure("edge_correlation") < 1 and each.measure("gram_distance", to="strokes") > 0
    assert each.measure("reference_style") == pytest.approx(each.measure("gram_distance", to="strokes"), rel=1e-4)
    with pytest.raises(UsageError, match=r"no measure 'edge_corelation'; there are .* Did you mean edge_correlation\?"):
        each.measure("edge_corelation")
    with pytest.raises(CannotMeasureError, match="only one painting"):
        each.measure("own_style_margin")
    with pytest.raises(CannotMeasureError, match="was not computed a second time"):
        each.measure("repeat_distance")
    with pytest.raises(CannotMeasureError, match="which painting is meant: to=NAME"):
        each.measure("gram_distance")
    with pytest.raises(CannotMeasureError, match="harness fetch weights vgg16"):
        each.measure("lpips")


class Given:
    """All that a measure can ask for, of random pixels."""

    def __init__(self, seed: int, height: int, width: int, contrast: float) -> None:
        random = np.random.default_rng(seed)

        def image() -> np.ndarray:
            return np.rint(255 * (0.5 + contrast * (random.random((height, width, 3)) - 0.5))) / 255

        self.picture, self.content, self.to, self.again = (image() for _ in range(4))
        self.styles = self.used_styles = (image(),)
        self.others, self.masks = (image(), image()), (None,)
        self.transfer = Transfer(content="a", style="b")


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**20), st.integers(64, 80), st.integers(64, 80), st.floats(0.05, 1))
def test_every_measure_of_the_harness_is_finite_on_random_pictures(
    seed: int, height: int, width: int, contrast: float
) -> None:
    images = Given(seed, height, width, contrast)
    for name in measure:
        if name in ON_VGG16 or name in ("straight_edges", "region_margin"):  # of another network, of lines, of masks
            continue
        picture = [images.picture, images.content] if is_of_a_set(measure[name]) else images.picture
        assert np.isfinite(call_measure(name, picture, images)), name
    images.styles, images.masks = images.others, (np.full((height, width), 0.25), np.ones((height, width)))
    assert np.isfinite(call_measure("region_margin", images.picture, images))


def test_names_of_measures_are_known_without_torch() -> None:
    code = "import sys; from harness.registries import measure; assert 'lpips' in measure; "
    code += "sys.exit(bool({'torch', 'torchmetrics', 'skimage', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_measures_say_what_they_ask_for() -> None:
    assert asked_by(measure["finest_share"]) == () and asked_by(measure["gram_distance"]) == ("to",)
    assert asked_by(lambda picture, **given: 0.0) == ("content", "styles", "transfer")
    assert is_of_a_set(measure["pair_distance"]) and not is_of_a_set(measure["ssim"])


def test_a_plugin_that_fails_is_carried_out_once_however_many_profiles_there_are() -> None:
    written("broken.py", 'with open("times.txt", "a") as file:\n    file.write("x")\n1 / 0\n')
    profiles = "profiles: {a: {transfer: {steps: 5}}, b: {transfer: {steps: 4}}}\n"
    file = written("a.yaml", f"{TRANSFER}plugins: [broken.py]\n{profiles}")
    (fault,) = faults_of(file)
    assert "broken.py:3: ZeroDivisionError" in fault and Path("times.txt").read_text() == "x"
    faults_of(file)
    assert Path("times.txt").read_text() == "xx", "what it imports may be mended by now"


def test_a_fault_passes_no_traceback_on_and_keeps_its_cause() -> None:
    use_plugins([str(written("sharp.py", FAULTY))])
    image = np.zeros((64, 64, 3))
    given_ = Given(0, 64, 64, 1.0)
    given_.transfer = Transfer(content="a", style="b", size=64)
    with pytest.raises(PluginError, match="sharp.py:11: NameError") as caught:
        call_measure("sharpness", image, given_)
    assert isinstance(caught.value.__cause__, NameError)
