"""The drawn images: redrawn they are the same; styles are rich at every scale, masks say clearly what is inside."""

import itertools
import re
import sys
import zlib

import numpy as np
import pytest
import torch

from harness.images.catalogue import DRAWN, MASKS
from harness.images.drawn import draw, regions
from harness.images.drawn.canvas import between, cos_sin, reduce_colours, shrink, steady
from harness.images.files import read_image
from harness.images.masks import check_mask, read_mask, read_regions

NAMES = [image.name for image in DRAWN]
MASK_NAMES = [image.name for image in MASKS if not image.name.endswith("_regions")]
COMPLEMENTS = (
    ("astronaut_figure", "astronaut_background"),
    ("chelsea_cat", "chelsea_background"),
    ("coffee_cup", "coffee_table"),
    ("rocket_ground", "rocket_sky"),
    ("waves_sea", "waves_sky"),
    ("ink_hills", "ink_sky"),
)


@pytest.mark.parametrize("name", ["ink", "dots", *regions.PICTURES])
def test_redrawn_picture_is_the_committed_one(name):
    picture = draw.PICTURES[name]()
    np.testing.assert_array_equal(picture, draw.pixels_of(draw.FOLDER / f"{name}.png"))


@pytest.mark.skipif(
    sys.platform != "linux" or not re.fullmatch(r"1\.[23]\.\d+(\.\d+)?", zlib.ZLIB_RUNTIME_VERSION),
    reason="another zlib packs the same pixels into other bytes",
)
@pytest.mark.parametrize("name", [*NAMES, "chelsea_cat", "rocket_regions"])
def test_committed_file_is_its_pixels_encoded_again_byte_for_byte(name):
    path = draw.FOLDER / f"{name}.png"
    assert draw.encode(draw.pixels_of(path)) == path.read_bytes()


def test_every_drawn_name_has_a_picture_and_together_they_are_small():
    assert [image.name for image in (*DRAWN, *MASKS)] == list(draw.PICTURES)
    assert {path.stem for path in draw.FOLDER.glob("*.png")} == set(draw.PICTURES)
    assert sum(path.stat().st_size for path in draw.FOLDER.glob("*.png")) < 1_500_000
    assert sum((draw.FOLDER / f"{image.name}.png").stat().st_size for image in MASKS) < 100_000


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


def path_of(name):
    return draw.FOLDER / f"{name}.png"


@pytest.mark.parametrize("name", MASK_NAMES)
def test_mask_is_black_or_white_but_for_its_outline_and_selects_a_part(name):
    check_mask(path_of(name), read_image(path_of(name)).shape[:2])
    mask = read_mask(path_of(name))
    assert 0.1 < mask.mean() < 0.9
    assert ((mask > 0.01) & (mask < 0.99)).float().mean() < 0.02


@pytest.mark.parametrize(("inside", "outside"), COMPLEMENTS)
def test_mask_and_its_complement_sum_to_1(inside, outside):
    sums = read_mask(path_of(inside)) + read_mask(path_of(outside))
    torch.testing.assert_close(sums, torch.ones_like(sums))


def test_segmentations_pair_sky_with_sky_and_the_rocket_with_the_suns():
    paths = path_of("rocket_regions"), path_of("strokes_regions")
    found = read_regions(*paths, (171, 256), (512, 512))
    assert [region.name for region in found] == ["blue", "green", "yellow"]
    assert all(region.own_mask is not None for region in found)
    torch.testing.assert_close(sum(region.mask for region in found), torch.ones(171, 256))
    sky, _, suns = (region.own_mask for region in found)
    assert (torch.maximum(sky, suns) >= (read_mask(path_of("strokes_sky")) > 0.6)).all()
    backwards = {region.name: region.own_mask for region in read_regions(*paths[::-1], (64, 64), (171, 256))}
    assert backwards["magenta"] is None and backwards["yellow"] is not None


def test_cover_is_the_area_inside_a_polygon():
    """Against its definition on many points per pixel, and a known area."""
    outline = [(1.3, -2.0), (9.7, 3.1), (14.2, 12.6), (6.1, 7.9), (-3.0, 10.2)]
    covered = regions.cover(12, 11, outline)
    for row, column in itertools.product(range(11), range(12)):
        points = [(column + (i + 0.5) / 12, row + (j + 0.5) / 12) for i in range(12) for j in range(12)]
        assert covered[row, column] == pytest.approx(np.mean([_inside(x, y, outline) for x, y in points]), abs=0.09)
    ellipse = regions.cover(60, 50, regions.ellipse(31.2, 24.7, 21.5, 13.25))
    assert ellipse.sum() == pytest.approx(np.pi * 21.5 * 13.25, rel=2e-3)


def _inside(x, y, outline):
    """Whether a ray to the right crosses the outline an odd number of times."""
    crossed = False
    for (x0, y0), (x1, y1) in itertools.pairwise([*outline, outline[0]]):
        if (y0 <= y) != (y1 <= y) and x < x0 + (y - y0) / (y1 - y0) * (x1 - x0):
            crossed = not crossed
    return crossed
