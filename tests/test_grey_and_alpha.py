"""Grey images give grey pictures, and transparent photographs transparent ones, in every layout and after an end."""

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from engine_rows import history_of, make_rows, pictures_of
from PIL import Image
from typer.testing import CliRunner

import harness
from harness.cli.app import app
from harness.config import load_experiment
from harness.driver.jobs import make_jobs
from harness.errors import ConfigError
from harness.runs.batch import Execution, run_batch
from harness.runs.keeper import Listener
from harness.runs.signals import Orders
from harness.runs.store import Status

BATCHED = Execution(layout="batch", microbatch=2)
SHORT = ("transfer.steps=6", "transfer.content=photo.png", "transfer.style=paint.png")


@pytest.fixture(autouse=True)
def images(tmp_path, monkeypatch):
    """A grey photograph and painting, a coloured one, and a cut-out with a soft edge, in the working directory."""
    monkeypatch.chdir(tmp_path)
    down, across = np.mgrid[:48, :48]
    wavy = (127 + 100 * np.sin(down / 9) * np.cos(across / 7)).astype(np.uint8)
    Image.fromarray(wavy).save("photo.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)).save("paint.png")
    colours = np.stack([wavy, wavy[::-1], 255 - wavy], -1)
    Image.fromarray(colours).save("coloured.png")
    alpha = (np.clip((across - 8) / 4, 0, 1) * 255).astype(np.uint8)
    Image.fromarray(np.dstack([colours, alpha])).save("cut.png")


def is_grey(path: Path) -> bool:
    pixels = np.asarray(Image.open(path).convert("RGB"))
    return bool((pixels == pixels[..., :1]).all())


GREY = {
    "from noise": (),
    "from the photograph": ("transfer.start=content",),
    "from the painting": ("transfer.start=style",),
    "from a file": ("transfer.start.file=paint.png",),
    "from pink noise": ("transfer.noise_spectrum=pink", "transfer.noise_sigma=0.2"),
    "Adam": ("transfer.optimiser={name: adam, learning_rate: 0.02}",),
    "strong Wolfe within [0, 1]": ("transfer.optimiser={name: lbfgs, line_search: strong_wolfe, bounds: unit}",),
    "smoothed": ("transfer.smoothing=0.5", "transfer.start=content"),
    "photorealism": ("transfer.photorealism.weight=10", "transfer.total_variation=1"),
    "two paintings": ("transfer.style={paint.png: 0.5, photo.png: {weight: 0.5, scale: 0.5}}",),
    "two sizes": ("transfer.pyramid=[{size: 32, steps: 4}]",),
    "a painting in the photograph's colours": ("transfer.style=strokes", "transfer.colours=recoloured"),
    "a texture": ("transfer.content=coloured.png", "transfer.alpha=0", "transfer.bounds=unit")[:2],
    "the content alone": ("transfer.style=strokes", "transfer.beta=0"),
    "double precision": ("transfer.precision=float64",),
}


@pytest.mark.parametrize("overrides", GREY.values(), ids=GREY)
def test_grey_images_give_a_grey_picture(tmp_path, overrides):
    [row] = make_rows(tmp_path, *SHORT, *overrides, varied="")
    assert row.seen == {"grey"}
    run_batch([row], Execution())
    assert all(is_grey(path) for path in [row.folder / "image.png", *(row.folder / "iterates").glob("*.png")])
    assert len(np.unique(np.asarray(Image.open(row.folder / "image.png")))) > 20


def test_rows_of_one_channel_as_one_tensor_are_grey_and_end_where_rows_by_themselves_do(tmp_path):
    ours, theirs = tmp_path / "a", tmp_path / "b"
    ours.mkdir(), theirs.mkdir()
    together, alone = (make_rows(folder, *SHORT) for folder in (ours, theirs))
    run_batch(together, BATCHED)
    run_batch(alone, Execution())
    for row, other in zip(together, alone, strict=True):
        assert is_grey(row.folder / "image.png") and is_grey(other.folder / "image.png")
        last, whole = history_of(row.folder)[-1], history_of(other.folder)[-1]
        assert float(last["total"]) == pytest.approx(float(whole["total"]), rel=0.02)


@dataclass
class Stops(Listener):
    """Asks for the end at the first rung."""

    asked: Orders = field(default_factory=Orders)

    def measured(self, row_id, evaluation, metrics):
        self.asked.stop = True


@pytest.mark.parametrize(
    "overrides", [(), ("transfer.content=cut.png", "transfer.style=strokes")], ids=["grey", "transparent"]
)
@pytest.mark.parametrize("pyramid", ["[]", "[{size: 32, steps: 6}]"])
def test_a_run_that_was_ended_goes_on_to_the_same_bits(tmp_path, overrides, pyramid):
    words = (*SHORT, *overrides, "transfer.steps=12", f"transfer.pyramid={pyramid}")
    ours, theirs = tmp_path / "a", tmp_path / "b"
    ours.mkdir(), theirs.mkdir()
    [row], [undisturbed] = (make_rows(folder, *words, varied="") for folder in (ours, theirs))
    listener = Stops()
    with pytest.raises(KeyboardInterrupt):
        run_batch([row], Execution(rungs=(4,)), asked=listener.asked, listener=listener)
    assert not (row.folder / "image.png").exists()
    run_batch([row], Execution())
    run_batch([undisturbed], Execution(rungs=(4,)))
    assert pictures_of(row.folder) == pictures_of(undisturbed.folder)


IN_COLOUR = {
    "a coloured painting": ("transfer.style=strokes",),
    "a coloured photograph": ("transfer.content=coloured.png",),
    "a coloured start": ("transfer.start.file=coloured.png",),
    "luminance alone, in which it was grey before": ("transfer.colours=luminance",),
    "quilting, which copies": ("transfer.method=quilting", "transfer.quilting.block=12"),
}


@pytest.mark.parametrize("overrides", IN_COLOUR.values(), ids=IN_COLOUR)
def test_all_other_runs_have_their_three_channels_and_their_ids(tmp_path, overrides):
    [row] = make_rows(tmp_path, *SHORT, *overrides, varied="")
    assert row.seen == frozenset()


def test_grey_and_coloured_pictures_share_no_batch(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "transfer: {content: photo.png, style: paint.png, size: 48, pyramid: [], content_layers: {conv2_1: 1}, "
        "style_layers: {conv1_1: 1}}\naxes: {style: [paint.png, strokes], alpha: [1e-3, 1e-1]}\n"
    )
    keys = [job.batch_key for job in make_jobs(load_experiment(tmp_path / "a.yaml"), tmp_path)]
    assert keys[0] == keys[1] != keys[2] == keys[3]


def alpha_of(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == "RGBA"
        return np.asarray(image)[..., 3]


UNIT = "transfer.optimiser={name: lbfgs, bounds: unit}"
CUT = ("transfer.steps=6", "transfer.content=cut.png")
KEPT = {
    "from noise": (),
    "from the photograph": ("transfer.start=content",),
    "without bounds": ("transfer.optimiser={name: lbfgs, bounds: none}",),
    "masked": ("transfer.style={strokes: {mask: photo.png}, mosaic: {mask: paint.png}}",),
    "luminance": ("transfer.colours=luminance",),
    "smoothed": ("transfer.smoothing=0.5", "transfer.start=content"),
    "two sizes": ("transfer.pyramid=[{size: 32, steps: 4}]",),
    "quilting": ("transfer.method=quilting", "transfer.quilting.block=12"),
}


@pytest.mark.parametrize("overrides", KEPT.values(), ids=KEPT)
def test_a_cut_out_keeps_its_alpha(tmp_path, overrides):
    [row] = make_rows(tmp_path, *CUT, *overrides, varied="")
    assert row.seen == {"alpha"}
    run_batch([row], Execution())
    given, kept = alpha_of(Path("cut.png")), alpha_of(row.folder / "image.png")
    np.testing.assert_array_equal(kept, given)
    picture = np.asarray(Image.open(row.folder / "image.png"))
    assert (picture[given == 0] == (255, 255, 255, 0)).all() and picture[given == 255][:, :3].std() > 10
    for path in (row.folder / "iterates").glob("*.png"):
        assert alpha_of(path).min() == 0 and alpha_of(path).max() == 255


def test_the_painting_is_matched_in_the_opaque_part_alone(tmp_path):
    [kept], [white] = (
        make_rows(folder, *CUT, "transfer.start=content", UNIT, f"transfer.transparency={how}", varied="")
        for folder, how in ((tmp_path / "keep", "keep"), (tmp_path / "white", "white"))
        if folder.mkdir() is None
    )
    run_batch([kept], Execution()), run_batch([white], Execution())
    assert kept.id != white.id
    first, last = (history_of(row.folder) for row in (kept, white))
    assert first[0]["style"] != last[0]["style"] and first[0]["content"] == last[0]["content"]
    with Image.open(white.folder / "image.png") as image:
        assert image.mode == "RGB"


@pytest.mark.parametrize("layout", ["rows", "batch"])
def test_what_is_transparent_stays_white_and_an_edge_can_be_seen_over_it(tmp_path, layout):
    """Beside an opaque row, whose picture is that of a batch of its own."""
    varied = "axes: {content: [cut.png, coloured.png]}"
    cut, opaque = make_rows(tmp_path, "transfer.steps=6", varied=varied)
    run_batch([cut, opaque], Execution(layout=layout, microbatch=2 if layout == "batch" else 0))
    picture = np.asarray(Image.open(cut.folder / "image.png")).astype(int)
    edge = (picture[..., 3] > 40) & (picture[..., 3] < 255)
    painting = np.asarray(Image.open(cut.files["style"]).convert("RGB")).reshape(-1, 3).astype(int)
    assert edge.any() and (picture[edge][:, :3] >= painting.min(0) - 6).all()
    assert (picture[edge][:, :3] <= painting.max(0) + 6).all()
    if layout == "rows":
        before = pictures_of(opaque.folder)
        (tmp_path / "alone").mkdir()
        [alone] = make_rows(tmp_path / "alone", "transfer.steps=6", "transfer.content=coloured.png", varied="")
        run_batch([alone], Execution())
        assert pictures_of(alone.folder) == before


def test_a_soft_edge_has_no_white_seam(tmp_path):
    """What the run has optimised is over white: the colour in the file is what lay under it."""
    [row] = make_rows(tmp_path, *CUT, "transfer.start=content", "transfer.steps=1", UNIT, varied="")
    run_batch([row], Execution())
    given, first = np.asarray(Image.open("cut.png")), np.asarray(Image.open(row.folder / "iterates/000001.png"))
    seen = given[..., 3] > 60
    np.testing.assert_allclose(first[seen].astype(int), given[seen].astype(int), atol=3)


def test_a_cut_out_has_its_alpha_for_readers_too_and_is_measured_over_white(tmp_path):
    words = ["run", "single", "transfer.content=cut.png", "transfer.style=strokes", "transfer.size=48"]
    words += ["transfer.steps=4", "transfer.pyramid=[]", "transfer.style_layers={conv1_1: 1}", "--devices", "cpu"]
    result = CliRunner().invoke(app, [*words, "--wandb", "off"])
    assert result.exit_code == 0, result.output
    [sentence] = re.findall("cut.png is transparent.*", result.output)
    assert "so is the picture there" in sentence and "transfer.transparency" in sentence
    [run] = harness.load("runs/single").runs
    assert run.image().shape == (48, 48, 4) and run.colours().shape == (48, 48, 3)
    assert run.iterates()[1].shape == (48, 48, 4) and run.source("content").shape == (48, 48, 3)
    share = run.image()[..., 3:] / 255
    np.testing.assert_allclose(run.colours(), run.image()[..., :3] * share + 255 * (1 - share), atol=1)
    assert run.measure("ssim") == pytest.approx(run.metrics["ssim"], abs=1e-6)
    manifest = json.loads((run.folder.path / "manifest.json").read_text())
    assert manifest["status"] == "done"


def test_a_photograph_that_is_transparent_everywhere_or_nearly_gets_a_sentence(tmp_path):
    pixels = np.zeros((48, 48, 4), dtype=np.uint8)
    Image.fromarray(pixels).save("nothing.png")
    with pytest.raises(ConfigError, match="transparent everywhere"):
        make_rows(tmp_path, "transfer.content=nothing.png", varied="")
    pixels[0, 0] = 255
    Image.fromarray(pixels).save("point.png")
    deep = "transfer.style_layers={conv4_1: 1}"
    with pytest.raises(ConfigError, match="the photograph's opaque part leaves less than one position"):
        make_rows(tmp_path, "transfer.content=point.png", deep, varied="")


def test_a_transparent_painting_is_white_there_and_that_is_said(tmp_path):
    (tmp_path / "a.yaml").write_text("transfer: {content: coloured.png, style: cut.png, size: 48, pyramid: []}\n")
    [job] = make_jobs(load_experiment(tmp_path / "a.yaml"), tmp_path)
    assert job.row.seen == frozenset()
    [sentence] = job.notes
    assert sentence == "cut.png is transparent in places; as a painting it is white there."


def test_what_was_ignored_of_an_image_is_said_once(tmp_path):
    Image.open("coloured.png").save("odd.png", icc_profile=b"garbage" * 40)
    (tmp_path / "a.yaml").write_text(
        "transfer: {content: odd.png, style: strokes, size: 48, pyramid: []}\naxes: {alpha: [1e-3, 1e-1]}\n"
    )
    result = CliRunner().invoke(app, ["run", "a.yaml", "--dry-run"])
    assert result.output.count("odd.png: its colour profile cannot be used and is ignored.") == 1


def test_an_image_that_is_read_otherwise_than_before_has_another_id(tmp_path, monkeypatch):
    from test_odd_pictures import called_srgb

    pixels = Image.open("coloured.png")
    pixels.save("odd.png", icc_profile=called_srgb(b"RGB "))
    [odd] = make_rows(tmp_path, "transfer.content=odd.png", varied="")
    monkeypatch.setattr("harness.images.profiles._SRGB_LEVELS", 255)  # taken at its word, as it was
    [before] = make_rows(tmp_path, "transfer.content=odd.png", varied="")
    assert odd.id != before.id
    assert replace(odd.manifest, id=before.id, token=before.manifest.token).provenance == before.manifest.provenance


FLAT = {
    "black": ((0, 0, 0), ()),
    "white": ((255, 255, 255), ()),
    "grey": ((128, 128, 128), ()),
    "red": ((200, 30, 40), ()),
    "red, from the photograph": ((200, 30, 40), ("transfer.start=content",)),
    "red, recoloured": ((200, 30, 40), ("transfer.colours=recoloured",)),
    "red, luminance": ((200, 30, 40), ("transfer.colours=luminance",)),
}


@pytest.mark.parametrize(("colour", "overrides"), FLAT.values(), ids=FLAT)
def test_a_painting_of_one_colour_leaves_no_blank(tmp_path, colour, overrides):
    Image.new("RGB", (48, 48), colour).save("flat.png")
    flat = ("transfer.content=coloured.png", "transfer.style=flat.png", "transfer.steps=8", *overrides)
    [row] = make_rows(tmp_path, *flat, varied="")
    assert row.seen == {"flat"}
    [manifest] = run_batch([row], Execution())
    pixels = np.asarray(Image.open(row.folder / "image.png"))
    assert pixels.reshape(-1, 3).std(0).min() > 2
    numbers = [value for name, value in manifest.metrics.items() if name != "still_falling"]
    assert None not in numbers and np.isfinite(numbers).all()
    [none] = make_rows(tmp_path, *flat, "transfer.optimiser.bounds=unit", varied="")
    assert none.seen == frozenset()  # which never kept to the painting's range


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (200, 30, 40)])
def test_a_photograph_of_one_colour_ends_with_a_finite_picture(tmp_path, colour):
    Image.new("RGB", (48, 48), colour).save("flat.png")
    for style in ("strokes", "flat.png"):
        [row] = make_rows(
            tmp_path, "transfer.content=flat.png", f"transfer.style={style}", "transfer.steps=6", varied=""
        )
        [manifest] = run_batch([row], Execution())
        assert manifest.status is Status.DONE and np.isfinite(manifest.metrics["total"])


def test_black_and_white_paintings_together_have_a_range_and_a_flat_one_is_said(tmp_path):
    Image.new("L", (48, 48), 0).save("black.png")
    Image.new("L", (48, 48), 255).save("white.png")
    words = ("transfer.content=coloured.png", "transfer.style={black.png: 0.5, white.png: 0.5}")
    [row] = make_rows(tmp_path, *words, varied="")
    assert row.seen == frozenset()
    (tmp_path / "a.yaml").write_text("transfer: {content: coloured.png, style: black.png, size: 48, pyramid: []}\n")
    [job] = make_jobs(load_experiment(tmp_path / "a.yaml"), tmp_path)
    assert job.notes == (
        "black.png has one colour everywhere: there are no strokes to take from it, only that colour.",
    )
