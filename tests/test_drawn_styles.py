"""The drawn style images: redrawn they are the same, and they are rich enough at every scale to be transferred."""

import itertools
import re
import sys
import zlib

import numpy as np
import pytest

from harness.images.catalogue import DRAWN
from harness.images.drawn import draw
from harness.images.drawn.canvas import between, cos_sin, reduce_colours, shrink, steady
from harness.images.files import read_image

NAMES = list(draw.PICTURES)


@pytest.mark.parametrize("name", ["ink", "dots"])
def test_redrawn_picture_is_the_committed_one(name):
    picture = draw.PICTURES[name]()
    np.testing.assert_array_equal(picture, draw.pixels_of(draw.FOLDER / f"{name}.png"))


@pytest.mark.skipif(
    sys.platform != "linux" or not re.fullmatch(r"1\.[23]\.\d+(\.\d+)?", zlib.ZLIB_RUNTIME_VERSION),
    reason="another zlib packs the same pixels into other bytes",
)
@pytest.mark.parametrize("name", NAMES)
def test_committed_file_is_its_pixels_encoded_again_byte_for_byte(name):
    path = draw.FOLDER / f"{name}.png"
    assert draw.encode(draw.pixels_of(path)) == path.read_bytes()


def test_every_drawn_name_has_a_picture_and_together_they_are_small():
    assert [image.name for image in DRAWN] == NAMES
    assert sum(path.stat().st_size for path in draw.FOLDER.glob("*.png")) < 1_500_000


@pytest.mark.parametrize("name", NAMES)
def test_picture_has_detail_at_every_scale(name):
    """The spread of what each halving of the size takes away: fine grain, strokes, forms, down to 32 px."""
    level = read_image(draw.FOLDER / f"{name}.png").astype(np.float64)
    for scale_px in (1, 2, 4, 8, 16):
        coarser = shrink(level, 2)
        detail = level - coarser.repeat(2, axis=0).repeat(2, axis=1)
        assert detail.std() > 0.02, scale_px
        level = coarser
    assert level.std() > 0.05


def test_pictures_differ_in_colour_and_texture():
    """No two have colour histograms that overlap by more than three quarters."""
    histograms = {}
    for name in NAMES:
        bins = (read_image(draw.FOLDER / f"{name}.png") * 5.999).astype(int).reshape(-1, 3)
        histograms[name] = np.bincount(bins @ [36, 6, 1], minlength=216) / len(bins)
    for one, other in itertools.combinations(NAMES, 2):
        assert np.minimum(histograms[one], histograms[other]).sum() < 0.75, (one, other)


def test_check_finds_a_changed_picture_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(draw, "FOLDER", tmp_path)
    monkeypatch.setattr(draw, "PICTURES", {"spot": lambda: np.zeros((4, 4, 3), dtype=np.uint8)})
    assert draw.main(["--check"]) == 1 and list(tmp_path.iterdir()) == []
    assert draw.main([]) == 0 and [path.name for path in tmp_path.iterdir()] == ["spot.png"]
    assert draw.main(["--check"]) == 0
    monkeypatch.setattr(draw, "PICTURES", {"spot": lambda: np.full((4, 4, 3), 1, dtype=np.uint8)})
    before = (tmp_path / "spot.png").read_bytes()
    assert draw.main(["--check", "spot"]) == 1 and (tmp_path / "spot.png").read_bytes() == before
    assert "differs" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        draw.main(["sopt"])


def test_steady_forgets_the_last_bit():
    values = np.linspace(-1, 1, 1001) * 0.7
    nudged = np.nextafter(np.nextafter(values, 9), 9)
    assert (values != nudged).all() and (steady(values) == steady(nudged)).mean() > 0.999
    cos, sin = cos_sin(np.linspace(0, 1, 97))
    assert np.abs(cos * cos + sin * sin - 1).max() < 1e-5


def test_palette_reduction_keeps_few_colours_exactly_and_many_nearly():
    few = np.random.default_rng(1).choice(np.array([[9, 8, 7], [200, 3, 50], [255, 255, 255]], np.uint8), (30, 30))
    np.testing.assert_array_equal(reduce_colours(few), few)
    many = np.floor(between([(20, 30, 90), (250, 220, 60)], np.linspace(0, 1, 4096)).reshape(64, 64, 3)).astype(
        np.uint8
    )
    reduced = reduce_colours(many, 64)
    assert len(np.unique(reduced.reshape(-1, 3), axis=0)) <= 64
    assert np.abs(reduced.astype(int) - many).mean() < 2
