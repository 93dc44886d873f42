"""``pyramid: auto``: coarse to fine where the start is noise, and never a size at which something would be refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from results_folder import make_results_folder, picture
from test_figures import pdf_text
from typer.testing import CliRunner

from harness.cli.app import app
from harness.config import load_experiment
from harness.config.levels import AUTO_SIDE_PX, auto_pyramid, levels_of, num_evaluations
from harness.config.sweep import Sweep
from harness.config.transfer import Transfer
from harness.config.transfer_parts import PyramidLevel
from harness.driver.jobs import Job, make_jobs
from harness.driver.sizes import Reach, resolve_pyramid
from harness.errors import ConfigError
from harness.figures.experiment import draw_experiment
from harness.images.files import write_png
from harness.measures.reference import MINIMUM_SIDE_PX
from harness.results import load

DEFAULTS = {"content": "astronaut", "style": "strokes"}
SHALLOW = "content_layers: {conv2_1: 1}, style_layers: {conv1_1: 1}"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr("harness.driver.sizes.AUTO_SIDE_PX", MINIMUM_SIDE_PX)  # small pictures; its own test is below


def make(**fields: Any) -> Transfer:
    return Transfer(**{"content": "a", "style": "b", **fields})


def jobs_of(transfer: str, *words: str, varied: str = "") -> list[Job]:
    """The fields that ``transfer`` does not say are those of an astronaut in strokes."""
    given = "".join(f"{side}: {name}, " for side, name in DEFAULTS.items() if f"{side}: " not in transfer)
    Path("a.yaml").write_text(f"transfer: {{{given}{transfer}}}\n{varied}")
    return make_jobs(load_experiment("a.yaml", words), Path("runs"))


def sizes_of(transfer: str, *words: str) -> list[int]:
    [job] = jobs_of(transfer, *words)
    return [level.size for level in job.row.transfer.pyramid]


def test_every_size_has_at_least_72_px_on_its_shorter_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """Levels of 40 × 30 and of 64 × 64 px copied the painting's arrangement, one of 96 × 72 px did not (seen)."""
    monkeypatch.setattr("harness.driver.sizes.AUTO_SIDE_PX", AUTO_SIDE_PX)
    assert AUTO_SIDE_PX == 72
    assert sizes_of("size: 256") == [128]  # the astronaut is a square: 64 px is left out
    assert sizes_of("size: 288") == [72, 144]
    assert sizes_of("size: 140") == []


def test_sizes_are_a_quarter_and_a_half_with_as_many_steps_each() -> None:
    found = auto_pyramid(make(size=250, steps=150), lambda size_px: True)
    assert found == (PyramidLevel(size=62, steps=150), PyramidLevel(size=125, steps=150))
    assert num_evaluations(make(size=250, steps=150, pyramid=found)) == 450


@pytest.mark.parametrize(
    "fields", [{"start": "content"}, {"start": "style"}, {"start": {"file": "x.png"}}, {"method": "quilting"}]
)
def test_only_noise_is_refined_from_coarse_to_fine(fields: dict[str, Any]) -> None:
    assert auto_pyramid(make(size=256, **fields), lambda size_px: True) == ()


def test_sizes_at_which_something_does_not_fit_are_left_out() -> None:
    assert auto_pyramid(make(size=256), lambda size_px: size_px > 100) == (PyramidLevel(size=128, steps=500),)
    assert auto_pyramid(make(size=30), lambda size_px: True) == ()  # no size is below 16 px


def test_a_job_says_the_sizes_and_its_id_is_that_of_the_list() -> None:
    text = "size: 128, steps: 9"
    [auto], [listed], [off] = (
        jobs_of(text, *words)
        for words in ((), ("transfer.pyramid=[{size: 32, steps: 9}, {size: 64, steps: 9}]",), ("transfer.pyramid=[]",))
    )
    assert auto.row.transfer.pyramid == listed.row.transfer.pyramid
    assert auto.id == listed.id != off.id and auto.batch_key == listed.batch_key != off.batch_key
    assert (auto.num_evaluations, off.num_evaluations) == (27, 9)
    assert [level.size_px for level in levels_of(auto.row.transfer)] == [32, 64, 128]
    assert auto.cell.overrides == () and off.cell.overrides == ("transfer.pyramid=[]",)


def test_overrides_move_the_sizes() -> None:
    assert sizes_of("size: 256") == [64, 128]
    assert sizes_of("size: 256", "transfer.size=192") == [48, 96]
    assert sizes_of("size: 256", "transfer.start=content") == []
    assert sizes_of("size: 256", "transfer.pyramid=[{size: 100, steps: 3}]") == [100]
    assert sizes_of("size: 256, pyramid: []", "transfer.pyramid=auto") == [64, 128]
    assert sizes_of("size: 256", "transfer.method=quilting") == []
    [job] = jobs_of("size: 256", "transfer.steps=7", "transfer.photorealism.first_stage=3")
    assert [level.steps for level in job.row.transfer.pyramid] == [7, 7] and job.num_evaluations == 21


def write_noise(name: str, height: int, width: int) -> None:
    write_png(Path(name), np.random.default_rng(0).random((height, width, 3)))


def test_sizes_too_small_for_the_deepest_layer_of_a_wide_photograph_or_a_small_painting_are_left_out() -> None:
    write_noise("wide.png", 40, 160)  # 4 to 1; conv5_1 needs 32 px
    assert sizes_of("size: 512, content: wide.png") == [128, 256]
    assert sizes_of("size: 256, content: wide.png") == [128]
    assert sizes_of("size: 128, content: wide.png") == []
    assert sizes_of("size: 128", "transfer.style_scale=0.5") == [64]  # a painting of 32 px; at 32 px of 16
    assert sizes_of("size: 128", "transfer.style_scale=0.3") == []
    assert sizes_of(f"size: 128, {SHALLOW}", "transfer.style_scale=0.2") == [32, 64]
    assert sizes_of("size: 128", "transfer.style={strokes: 1, mosaic: {scale: 0.5}}") == [64]


def test_sizes_at_which_a_mask_leaves_nothing_are_left_out() -> None:
    mask = np.zeros((200, 200, 3))
    mask[100:108, 100:108] = 1  # a twenty-fifth of the side: little more than a pixel at 32 px
    write_png(Path("speck.png"), mask)
    write_noise("square.png", 200, 200)
    text = f"content: square.png, size: 128, {SHALLOW}, style: {{strokes: {{mask: speck.png}}, mosaic: 1}}"
    found = sizes_of(text)
    assert 0 < len(found) < 2
    for size_px in (32, 64):
        word = f"transfer.pyramid=[{{size: {size_px}, steps: 3}}]"
        if size_px in found:
            assert sizes_of(text, word) == [size_px]
        else:
            with pytest.raises(ConfigError, match="leaves less than one position"):
                jobs_of(text, word)


@pytest.mark.parametrize("layer", ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"])
@pytest.mark.parametrize("shape", [(40, 40), (40, 100), (150, 30)])
@pytest.mark.parametrize("extra", ["", "smoothing: 0.5, ", "style_scale: 0.5, "])
def test_what_auto_gives_is_never_refused_as_a_list(layer: str, shape: tuple[int, int], extra: str) -> None:
    write_noise("photo.png", *shape)
    for size_px in (64, 120, 200):
        text = (
            f"{extra}content: photo.png, size: {size_px}, content_layers: {{conv1_1: 1}}, style_layers: {{{layer}: 1}}"
        )
        try:
            found = sizes_of(text)
        except ConfigError:  # the picture itself is too small
            continue
        assert [
            size for size in found if sizes_of(text, f"transfer.pyramid=[{{size: {size}, steps: 1}}]") != [size]
        ] == []


def test_resolving_asks_for_no_mask_where_there_is_none() -> None:
    found = resolve_pyramid(make(size=64, steps=2), (100, 100), [((50, 50), 1.0)], Reach(("conv2_1",)), {})
    assert found == (PyramidLevel(size=16, steps=2), PyramidLevel(size=32, steps=2))


def test_starts_are_compared_in_one_experiment_and_each_runs_its_own_sizes() -> None:
    Path("a.yaml").write_text(
        f"transfer: {{content: astronaut, style: strokes, size: 64, steps: 1, {SHALLOW}}}\n"
        "cases: {A: {start: content}, C: {start: noise}, D: {pyramid: []}}\n"
    )
    result = CliRunner().invoke(app, ["run", "a.yaml", "--dry-run"])
    assert result.exit_code == 0, result.output
    text = " ".join(result.output.split())
    assert "3 evaluations (1 at 16 px, 1 at 32 px, 1 at 64 px)" in text and "2 rows that can share one" in text
    result = CliRunner().invoke(app, ["run", "a.yaml", "--devices", "cpu:1", "--wandb", "off"])
    assert result.exit_code == 0, result.output
    results = load("runs/a")
    assert {run.label["cases"]: len(run.history()) for run in results.runs} == {"A": 1, "C": 3, "D": 1}
    assert {run.label["cases"]: run.num_evaluations for run in results.runs} == {"A": 1, "C": 3, "D": 1}
    noise = results.run("C")
    assert [line["size"] for line in noise.history()] == [16, 32, 64] and noise.image().shape[:2] == (64, 64)
    levels = (PyramidLevel(size=16, steps=1), PyramidLevel(size=32, steps=1))
    assert noise.transfer.pyramid == noise.folder.transfer().pyramid == levels
    again = CliRunner().invoke(app, ["run", "a.yaml", "--dry-run"])
    assert "done 3" in " ".join(again.output.split())


def test_explain_tells_the_sizes() -> None:
    Path("a.yaml").write_text(f"transfer: {{content: astronaut, style: strokes, size: 64, steps: 5, {SHALLOW}}}\n")
    text = " ".join(CliRunner().invoke(app, ["explain", "a.yaml"]).output.split())
    assert "Sizes, each from the result of the one before" in text and "16×16 5 32×32 5 64×64 5" in text
    assert "auto" not in text


def test_cells_that_auto_makes_the_same_are_told_why() -> None:
    with pytest.raises(ConfigError, match="are the same picture: pyramid: auto has the same sizes there; keep one"):
        jobs_of("size: 64, start: content", varied="axes: {pyramid: [auto, []]}\n")
    assert len(jobs_of("size: 64", varied="axes: {pyramid: [auto, []]}\n")) == 2


def sweep_of(transfer: dict[str, Any], space: dict[str, Any], **sections: Any) -> Sweep:
    base = {"content": "a", "style": "b", "steps": 200, **transfer}
    return Sweep.model_validate({"transfer": base, "space": space, "objectives": ["pixel_distance"], **sections})


def test_a_sweep_reckons_with_the_full_size_alone() -> None:
    space = {"alpha": {"log": [1e-3, 1e-1]}}
    pruner = {"name": "median", "rungs": [50, 150]}
    assert sweep_of({}, space, pruner=pruner).min_evaluations() == 200
    choice = {"pyramid": {"choice": ["auto", [], [{"size": 64, "steps": 100}]]}}
    assert sweep_of({}, choice).min_evaluations() == 200
    with pytest.raises(ValueError) as caught:
        sweep_of({}, space, pruner={"name": "median", "rungs": [200]})
    [problem] = caught.value.errors()[0]["ctx"]["problems"]  # type: ignore[attr-defined]
    assert problem.message == "got 200; a rung lies below transfer.steps, which is 200"


def test_captions_tell_the_sizes_and_never_auto(tmp_path: Path) -> None:
    resolved = [[{"size": 16, "steps": 3}, {"size": 32, "steps": 3}], []]
    cells = [
        {"label": {"pyramid": given}, "image": picture(k), "transfer": {"size": 64, "pyramid": levels}}
        for k, (given, levels) in enumerate(zip(["auto", []], resolved, strict=True))
    ]
    experiment = {"transfer": {"content": "a", "style": "b", "size": 64}, "axes": {"pyramid": ["auto", []]}}
    folder = make_results_folder(tmp_path / "a", cells, experiment)
    draw_experiment(load(folder))
    text = re.sub(r"\s|\xa0", "", pdf_text(folder / "figure.pdf"))
    assert "auto" not in text and "16" in text and text.count("64px") == 2
    cases = {"C": {"pyramid": "auto"}, "D": {"pyramid": []}}
    cells = [{"label": {"cases": name}, "image": picture(k), "transfer": {"pyramid": levels}}
             for k, (name, levels) in enumerate(zip(cases, resolved, strict=True))]  # fmt: skip
    folder = make_results_folder(tmp_path / "b", cells, {**experiment, "axes": {}, "cases": cases})
    draw_experiment(load(folder))
    text = re.sub(r"\s|\xa0", "", pdf_text(folder / "figure.pdf"))
    assert "auto" not in text and "C:coarseto" in text and "D:onesize" in text
