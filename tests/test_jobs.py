"""A cell's files found, checked and hashed, each fault at its line; what may share a batch; the images kept beside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from harness.config import load_experiment, load_sweep
from harness.config.levels import num_evaluations
from harness.driver.folder import ExperimentFolder
from harness.driver.jobs import Job, JobMaker, make_jobs
from harness.errors import ConfigError
from harness.images.colour import recoloured
from harness.images.files import read_image, write_png
from harness.images.resize import painting_of, resize, to_array, to_tensor
from harness.quilting.levels import transfer_levels
from harness.results import load

BASE = """\
transfer:
  content: photo.png
  size: 32
  content_layers: {conv2_1: 1}
  style_layers: {conv1_1: 1}
"""


@pytest.fixture(autouse=True)
def _images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A photograph, two paintings, masks and label images in the working directory."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    for name, height, width in (("photo", 40, 60), ("one", 50, 50), ("two", 64, 32)):
        write_png(tmp_path / f"{name}.png", generator.random((height, width, 3)))
    left = np.zeros((40, 60, 3))
    left[:, :30] = 1
    write_png(tmp_path / "left.png", left)
    write_png(tmp_path / "right.png", 1 - left)
    write_png(tmp_path / "square.png", np.ones((9, 9, 3)))
    write_png(tmp_path / "black.png", np.zeros((40, 60, 3)))
    write_png(tmp_path / "blue.png", left * (0, 0, 1))
    write_png(tmp_path / "own_blue.png", np.full((50, 50, 3), (0.0, 0.0, 1.0)))


def jobs_of(lines: str, *words: str) -> list[Job]:
    Path("a.yaml").write_text(BASE + lines)
    return make_jobs(load_experiment("a.yaml", words), Path("runs"))


def faults_of(lines: str, *words: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        jobs_of(lines, *words)
    return [str(fault) for fault in caught.value.faults]


SEVERAL = """\
  style:
    one.png: {mask: left.png, own_mask: square.png}
    two.png: {mask: right.png, weight: 0.5}
"""


def test_every_slot_is_found_hashed_and_named_without_its_folder() -> None:
    [job] = jobs_of(SEVERAL + "  start: {file: one.png}\n")
    assert set(job.row.files) == {
        "content", "style.0", "style.0.mask", "style.0.own_mask", "style.1", "style.1.mask", "start",
    }  # fmt: skip
    files = job.row.manifest.provenance["files"]
    assert set(files) == {*job.row.files, "weights"}
    assert files["style.0.mask"]["name"] == "left.png"
    assert files["start"]["sha256"] == files["style.0"]["sha256"] != files["style.1"]["sha256"]
    changed = read_image("left.png")
    changed[0, 0] = 0.5
    write_png(Path("left.png"), changed)
    assert jobs_of(SEVERAL + "  start: {file: one.png}\n")[0].id != job.id


@pytest.mark.parametrize(
    "lines, expected",
    [
        (SEVERAL.replace("two.png", "tow.png"), "a.yaml:8: transfer.style.tow.png: There is no image 'tow.png'"),
        (SEVERAL.replace("right.png", "gone.png"), "a.yaml:8: transfer.style.two.png.mask: There is no image 'gone"),
        (SEVERAL.replace("right.png", "black.png"), "a.yaml:8: transfer.style.two.png.mask: The mask black.png is bl"),
        (SEVERAL.replace("right.png", "square.png"), "the proportions differ"),
        (SEVERAL.replace("mask: square.png", "mask: left.png"), "a.yaml:7: transfer.style.one.png.own_mask: The mask "),
        ("  style: one.png\n  segmentation: {content: photo.png, style: own_blue.png}\n", "segmentation.content: "),
        ("  style: one.png\n  segmentation: {content: gone.png, style: own_blue.png}\n", "transfer.segmentation.con"),
        ("  style: {one.png: 1, two.png: {scale: 0.04}}\n", "a.yaml:6: transfer.style.two.png: style_scale 0.04 make"),
        ("  style: one.png\n  style_scale: 0.04\n", "a.yaml:7: transfer.style_scale: style_scale 0.04 makes this pai"),
        ("  style: one.png\n  method: quilting\n  quilting: {block: 30}\n", "8: transfer.quilting.block: A block "),
        ("  style: one.png\n  method: quilting\n  quilting: {block: 9, iterations: 9}\n", "Blocks of 9 px shrink to"),
    ],
)  # fmt: skip
def test_fault_of_an_image_is_one_sentence_at_its_line(lines: str, expected: str) -> None:
    [fault] = faults_of(lines)
    assert expected in fault


def test_smallest_level_is_checked_against_the_deepest_layer() -> None:
    text = "  style: one.png\n  style_scale: 2\n  pyramid: [{size: 16, steps: 3}]\n"
    assert len(jobs_of(text)) == 1
    [fault] = faults_of(text, "transfer.style_layers={conv4_1: 1}", "transfer.size=64")
    assert "a level of 16 px makes this photograph 16×11 px, but conv4_1 needs at least 16 px" in fault
    wide = text.replace("style_scale: 2", "style_scale: 0.3")
    [fault] = faults_of(wide, "transfer.style_layers={conv3_1: 1}", "transfer.size=64")
    assert "a level of 16 px makes this painting 4×4 px" in fault


def test_quilting_needs_no_network_and_no_depth() -> None:
    text = "  style: one.png\n  method: quilting\n  quilting: {block: 8}\n  weights: {file: gone.pth}\n"
    [job] = jobs_of(text, "transfer.style_layers={conv5_4: 1}")
    assert set(job.row.files) == {"content", "style"} == set(job.row.manifest.provenance["files"])


ORIGINAL = "  style: one.png\n  pyramid: [{size: 16, steps: 3}]\n"


def test_original_size_is_the_photographs_own_and_makes_the_run_of_that_number() -> None:
    [job] = jobs_of(ORIGINAL, "transfer.size=original")
    assert (job.height, job.width, job.row.transfer.size) == (40, 60, 60)
    assert job.cell.overrides == ("transfer.size=original",)
    [number] = jobs_of(ORIGINAL, "transfer.size=60")
    assert job.id == number.id and dict(job.row.transfer) == dict(number.row.transfer)
    [quilted] = jobs_of("  style: one.png\n  method: quilting\n  quilting: {block: 8}\n", "transfer.size=original")
    assert quilted.width == 60


def test_original_size_is_at_most_what_a_size_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.driver.sizes.MAXIMUM_SIZE_PX", 48)
    assert jobs_of(ORIGINAL, "transfer.size=original")[0].width == 48


def test_original_size_that_cannot_be_gets_a_sentence_at_its_line() -> None:
    [fault] = faults_of("  style: one.png\n  pyramid: [{size: 90, steps: 3}]\n", "transfer.size=original")
    assert (
        "transfer.size: original is 60 px with this photograph: the sizes 90, 60 (the last one is size) must" in fault
    )
    [fault] = faults_of(ORIGINAL, "axes.size=[original, 60]")
    assert "(size=original) and (size=60) are the same picture: size: original is that number there; keep one" in fault
    write_png(Path("photo.png"), np.ones((9, 9, 3)))
    [fault] = faults_of("  style: one.png\n  pyramid: []\n", "transfer.size=original")
    assert "transfer.size: original is 9 px with this photograph: got 9; allowed: an integer ≥ 16" in fault
    [fault] = faults_of("  style: one.png\n", "transfer.size=orignal")
    assert "got 'orignal'; allowed: an integer ≥ 16 and ≤ 8192, or original" in fault


def test_original_size_may_be_chosen_by_a_sweep() -> None:
    Path("s.yaml").write_text(
        BASE + ORIGINAL + "space: {size: {choice: [original, 32]}}\nobjectives: [reference_style]\n"
    )
    loaded = load_sweep("s.yaml")
    widths = [JobMaker(loaded, Path("runs")).make(loaded.cell({"size": size}, {})).width for size in ("original", 32)]
    assert widths == [60, 32] and loaded.data["space"]["size"] == {"choice": ["original", 32]}


def test_mask_that_leaves_nothing_of_any_style_layer_is_a_fault() -> None:
    tiny = np.zeros((40, 60, 3))
    tiny[:8, :8] = 1
    write_png(Path("tiny.png"), tiny)
    text = "  style: {one.png: {mask: tiny.png}, two.png: 1}\n"
    assert len(jobs_of(text)) == 1
    [fault] = faults_of(text, "transfer.style_layers={conv4_1: 1}")
    assert "a.yaml:6: transfer.style: at 32 px a mask or region leaves less than one position of each style" in fault


def test_quilted_run_knows_its_rows_of_blocks_before_it_has_begun() -> None:
    job, _ = sources_of("  style: one.png\n  method: quilting\n  quilting: {block: 9}\n")
    assert job.num_evaluations > 3  # compared with the run's in ``sources_of``


def test_what_may_share_a_batch() -> None:
    gatys = "  style: one.png\n  steps: 9\n"
    shared = [
        "transfer.alpha=5", "transfer.style={one.png: 0.5, two.png: 1}", "transfer.total_variation=1",
        "transfer.photorealism.weight=7", "transfer.colours=luminance", "transfer.smoothing=0.5",
    ]  # fmt: skip
    separate = [
        "transfer.pyramid=[{size: 16, steps: 3}]", "transfer.photorealism.first_stage=3", "transfer.steps=10",
        "transfer.size=33", "transfer.method=quilting",
    ]  # fmt: skip
    block = "transfer.quilting.block=8"
    key = jobs_of(gatys, block)[0].batch_key
    assert {jobs_of(gatys, block, word)[0].batch_key for word in shared} == {key}
    assert len({key, *(jobs_of(gatys, block, word)[0].batch_key for word in separate)}) == len(separate) + 1


def test_quilted_rows_share_a_batch_where_their_blocks_agree() -> None:
    quilted = "  style: one.png\n  method: quilting\n  quilting: {block: 8}\n"
    key = jobs_of(quilted)[0].batch_key
    shared = ["transfer.seed=1", "transfer.quilting.tolerance=0.2", "transfer.style=two.png", "transfer.steps=3"]
    assert {jobs_of(quilted, word)[0].batch_key for word in shared} == {key}
    separate = ["transfer.quilting.block=9", "transfer.quilting.task=synthesis", "transfer.quilting.iterations=2"]
    assert key not in {jobs_of(quilted, word)[0].batch_key for word in separate}


def test_number_of_evaluations() -> None:
    pyramid = "  style: one.png\n  steps: 9\n  pyramid: [{size: 16, steps: 3}]\n"
    [job] = jobs_of(pyramid)
    assert job.num_evaluations == num_evaluations(job.row.transfer) == 12
    [job] = jobs_of("  style: one.png\n  method: quilting\n  quilting: {block: 9, overlap: 0.25, iterations: 2}\n")
    assert job.num_evaluations == sum(level.num_rows for level in transfer_levels(job.height, job.width, 9, 2, 2))


def test_same_picture_twice_by_other_names_is_a_fault() -> None:
    Path("copy.png").write_bytes(Path("one.png").read_bytes())
    [fault] = faults_of("  style: one.png\naxes: {style: [one.png, copy.png]}\n")
    assert "are the same picture: their files are equal; keep one" in fault


def sources_of(lines: str, *words: str) -> tuple[Job, dict[str, np.ndarray]]:
    jobs = jobs_of(lines, *words)
    folder = ExperimentFolder(load_experiment("a.yaml", words), Path("runs"))
    folder.make()
    folder.open([])
    folder.write_cells("study", None, "harness run a.yaml", jobs)
    run = load(folder.path).runs[0]
    assert run.num_evaluations == jobs[0].num_evaluations
    return jobs[0], {key: run.source(key) for key in run.sources}


def test_sources_have_photograph_paintings_and_masks_at_the_pictures_size() -> None:
    job, found = sources_of(SEVERAL)
    assert list(found) == [
        "content", "style.0", "style.0.mask", "style.0.own_mask", "style.1", "style.1.mask", "style"
    ]  # fmt: skip
    assert found["content"].shape == found["style.0.mask"].shape == (job.height, job.width, 3) == (21, 32, 3)
    np.testing.assert_array_equal(found["style"], found["style.0"])
    assert found["style.0.own_mask"].shape == found["style.0"].shape
    assert abs(found["style.1"].shape[0] * found["style.1"].shape[1] - 21 * 32) < 40
    assert (found["style.0.mask"][:, :15] == 255).all() and (found["style.0.mask"][:, 17:] == 0).all()
    _, segmented = sources_of("  style: one.png\n  segmentation: {content: blue.png, style: own_blue.png}\n")
    assert segmented["segmentation.content"].shape == (21, 32, 3)
    assert segmented["segmentation.style"].shape == segmented["style"].shape


def test_painting_as_used_is_there_where_it_differs() -> None:
    def pixels(image: object) -> np.ndarray:
        return np.rint(to_array(image) * 255).astype(np.uint8)  # type: ignore[arg-type]

    _, plain = sources_of("  style: one.png\n")
    assert list(plain) == ["content", "style"]
    job, scaled = sources_of("  style: one.png\n  style_scale: 1.5\n")
    used = painting_of("one.png", (job.height, job.width), 1.5)
    np.testing.assert_array_equal(scaled["style_as_used"], pixels(used))
    np.testing.assert_array_equal(scaled["style"], plain["style"])
    _, coloured = sources_of("  style: one.png\n  colours: recoloured\n")
    photograph = to_tensor(read_image("photo.png"))
    expected = recoloured(painting_of("one.png", (21, 32), 1.0), resize(photograph, 21, 32))
    np.testing.assert_array_equal(coloured["style_as_used"], pixels(expected))
    _, several = sources_of("  style: {one.png: {scale: 2}, two.png: 1}\n")
    assert {"style.0_as_used", "style_as_used"} <= set(several) and "style.1_as_used" not in several
    np.testing.assert_array_equal(several["style_as_used"], several["style.0_as_used"])


def test_segmented_painting_as_used_is_one_image() -> None:
    lines = "  style: one.png\n  style_scale: 2\n  segmentation: {content: blue.png, style: own_blue.png}\n"
    job, found = sources_of(lines)
    expected = painting_of("one.png", (job.height, job.width), 2.0)
    assert found["style_as_used"].shape[:2] == tuple(expected.shape[1:])


def test_override_of_a_block_or_a_label_image_is_blamed_itself() -> None:
    quilted = "  style: one.png\n  method: quilting\n  quilting: {block: 8}\n"
    [fault] = faults_of(quilted, "transfer.quilting.block=200")
    assert fault.startswith("override 'transfer.quilting.block=200': transfer.quilting.block: A block of 200 px")
    segmented = "  style: one.png\n  segmentation: {content: blue.png, style: own_blue.png}\n"
    [fault] = faults_of(segmented, "transfer.segmentation.style=photo.png")
    assert "': transfer.segmentation.style: " in fault
    [fault] = faults_of(segmented.replace("own_blue", "square"))  # each is sound, and they have no colour in common
    assert "transfer.segmentation: The segmentations blue.png and square.png have no colour in common" in fault


def test_bundled_image_is_named_as_the_user_wrote_it() -> None:
    [fault] = faults_of("  style: {one.png: {own_mask: coffee_cup}, two.png: 1}\n")
    assert "The mask coffee_cup is " in fault and "the proportions differ" in fault


@pytest.mark.parametrize("word", ["transfer.photorealism.weight=1", "transfer.smoothing=0.5"])
def test_every_size_has_a_window_of_the_matting_laplacian(word: str) -> None:
    write_png(Path("wide.png"), np.random.default_rng(1).random((20, 200, 3)))
    text = "  style: one.png\n  style_scale: 4\n  pyramid: [{size: 16, steps: 3}]\n"
    words = ("transfer.content=wide.png", "transfer.size=200", "transfer.content_layers={conv1_1: 1}")
    assert len(jobs_of(text, *words)) == 1
    [fault] = faults_of(text, *words, word)
    assert "transfer.pyramid: a level of 16 px makes this photograph 16×2 px, but photorealism and smoothing" in fault
    assert len(jobs_of(text, *words, word, "transfer.pyramid=[{size: 30, steps: 3}]")) == 1
    [fault] = faults_of(text, *words[:1], words[2], word, "transfer.size=20", "transfer.pyramid=[]")
    assert "transfer.size: size 20 makes this photograph 20×2 px, but photorealism and smoothing" in fault


def test_experiment_asked_for_again_is_the_same_one_and_a_changed_one_is_not() -> None:
    Path("a.yaml").write_text(BASE + "  style: one.png\naxes: {alpha: [1, 2]}\n")
    folder = ExperimentFolder(load_experiment("a.yaml"), Path("runs"))
    folder.make()
    assert folder.open([]) is None and folder.open([]) is None
    written = folder.path / "experiment.yaml"
    data = yaml.safe_load(written.read_text())
    for change in ({"smoothing": 0.5}, {"quilting": {"block": 9}}, {"alpha": 3.0}):
        written.write_text(yaml.safe_dump({**data, "transfer": {**data["transfer"], **change}}))
        assert folder.open([]) is not None
