"""Masks and segmentations: white is inside, regions are paired by colour, and a content's masks sum to 1."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from harness.errors import ImageError
from harness.images import find_image
from harness.images.drawn.regions import cover, ellipse
from harness.images.masks import MAX_REGIONS, check_mask, check_regions, read_mask, read_regions, resize_mask

COLOURS = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "cyan": (0, 255, 255),
    "magenta": (255, 0, 255),
    "#808080": (128, 128, 128),
    "#ff8000": (255, 128, 0),
}
NAMES = tuple(COLOURS)
BOTH = (64, 64), (64, 64)


def save(path, pixels, **options):
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path, **options)
    return path


def painted(labels: np.ndarray, names=NAMES) -> np.ndarray:
    """A segmentation from numbers, (H, W, 3)."""
    return np.array([COLOURS[name] for name in names], dtype=np.uint8)[labels]


def blocks(seed: int, num_colours: int, side: int = 8) -> np.ndarray:
    """64 × 64 px of labels in square blocks."""
    labels = np.random.default_rng(seed).integers(0, num_colours, (64 // side, 64 // side))
    return labels.repeat(side, axis=0).repeat(side, axis=1)


def halves(left: str, right: str) -> np.ndarray:
    return painted(np.repeat([[0] * 32 + [1] * 32], 64, axis=0), (left, right))


# Masks


def test_white_is_inside_and_greys_are_between(tmp_path):
    grey = np.arange(12).reshape(3, 4) * 23
    mask = read_mask(save(tmp_path / "a.png", grey))
    assert mask.dtype == torch.float32 and mask.shape == (3, 4)
    np.testing.assert_allclose(mask, grey / 255, atol=1e-6)


def test_mask_of_colours_is_their_luminance(tmp_path):
    mask = read_mask(save(tmp_path / "a.png", [[COLOURS["red"], COLOURS["green"], COLOURS["blue"], COLOURS["white"]]]))
    np.testing.assert_allclose(mask, [[0.299, 0.587, 0.114, 1]], atol=1e-6)


def test_transparent_is_outside(tmp_path):
    pixels = [[(255, 255, 255, 255), (255, 255, 255, 128), (255, 255, 255, 0), (0, 0, 0, 255), (0, 0, 0, 0)]]
    expected = [[1, 128 / 255, 0, 0, 0]]
    np.testing.assert_allclose(read_mask(save(tmp_path / "a.png", pixels)), expected, atol=1e-6)
    Image.fromarray(np.array(pixels, dtype=np.uint8)).convert("LA").save(tmp_path / "b.tif")
    np.testing.assert_allclose(read_mask(tmp_path / "b.tif"), expected, atol=1e-6)
    palette = Image.fromarray(np.array([[255, 255, 0]], dtype=np.uint8)).convert("P")
    palette.save(tmp_path / "c.png", transparency=255)
    with pytest.raises(ImageError, match="selects nothing"):
        read_mask(tmp_path / "c.png")


def test_transparency_is_turned_with_the_picture(tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # a quarter turn clockwise
    image = Image.new("RGBA", (3, 2), "white")
    image.putpixel((0, 0), (255, 255, 255, 0))
    image.save(tmp_path / "a.png", exif=exif)
    expected = np.ones((3, 2))
    expected[0, 1] = 0
    np.testing.assert_allclose(read_mask(tmp_path / "a.png"), expected)


def test_deep_grey_keeps_its_precision(tmp_path):
    Image.fromarray(np.array([[0, 1000, 65535]], dtype=np.uint16)).save(tmp_path / "a.png")
    np.testing.assert_allclose(read_mask(tmp_path / "a.png"), [[0, 1000 / 65535, 1]], atol=1e-6)


@pytest.mark.parametrize("value", [(0, 0, 0, 255), (255, 255, 255, 0)])
def test_mask_that_selects_nothing_is_refused(tmp_path, value):
    path = save(tmp_path / "a.png", np.full((4, 5, 4), value))
    for function in (read_mask, check_mask):
        with pytest.raises(ImageError, match=r"a\.png is black everywhere, so it selects nothing\. Paint"):
            function(path)


def test_missing_mask_is_named(tmp_path):
    with pytest.raises(ImageError, match="none.png does not exist"):
        check_mask(tmp_path / "none.png")


def test_mask_needs_its_images_proportions(tmp_path):
    path = save(tmp_path / "a.png", np.full((40, 60), 255))
    check_mask(path)
    for size in ((40, 60), (400, 600), (79, 120), (41, 60)):
        check_mask(path, size)
    for size in ((60, 40), (400, 640), (40, 40)):
        with pytest.raises(ImageError, match=rf"60×40 px .*{size[1]}×{size[0]} px: the proportions differ"):
            check_mask(path, size)


# Sizes of masks


def _triangle(row: np.ndarray, size: int) -> np.ndarray:
    """Linear interpolation of one row by its definition, the triangle widened when shrinking."""
    step = len(row) / size
    widening = max(step, 1.0)
    result = []
    for index in range(size):
        centre = (index + 0.5) * step
        weights = [max(0.0, 1 - abs((position + 0.5 - centre) / widening)) for position in range(len(row))]
        result.append(sum(w * v for w, v in zip(weights, row, strict=True)) / sum(weights))
    return np.array(result)


@pytest.mark.parametrize(("height", "width"), [(5, 6), (9, 31), (26, 13), (1, 1)])
def test_resized_mask_is_linear_interpolation_by_definition(height, width):
    mask = np.random.default_rng(0).random((13, 17))
    rows = np.stack([_triangle(row, width) for row in mask])
    expected = np.stack([_triangle(column, height) for column in rows.T], axis=1)
    np.testing.assert_allclose(resize_mask(torch.from_numpy(mask), height, width), expected, atol=1e-6)


@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(1, 40))
@settings(deadline=None, max_examples=20)
def test_resized_mask_and_its_complement_sum_to_1(seed, height, width):
    mask = torch.from_numpy(np.random.default_rng(seed).random((19, 23))).round().float()
    inside, outside = resize_mask(mask, height, width), resize_mask(1 - mask, height, width)
    assert inside.shape == (height, width) and inside.min() >= 0 and inside.max() <= 1
    torch.testing.assert_close(inside + outside, torch.ones(height, width))


def test_same_size_is_the_mask_itself():
    mask = torch.rand(4, 5)
    assert resize_mask(mask, 4, 5) is mask


@pytest.mark.parametrize("size", [(0, 5), (5, -1), (10**5, 10**5)])
def test_impossible_size_is_refused(size):
    with pytest.raises(ImageError, match="is not possible"):
        resize_mask(torch.ones(4, 5), *size)


# Segmentations


@given(st.integers(0, 2**31), st.integers(1, len(NAMES)), st.integers(7, 90), st.integers(7, 90))
@settings(deadline=None, max_examples=15)
def test_exact_segmentation_gives_its_labels_back_and_masks_sum_to_1(
    tmp_path_factory, seed, num_colours, height, width
):
    folder = tmp_path_factory.mktemp("regions")
    labels, own_labels = blocks(seed, num_colours), blocks(seed + 1, len(NAMES))
    own_labels[:8, :8] = labels[0, 0]  # one in common
    paths = save(folder / "c.png", painted(labels)), save(folder / "s.png", painted(own_labels))
    regions = read_regions(*paths, *BOTH)
    assert {region.name for region in regions} == {NAMES[label] for label in np.unique(labels)}
    for region in regions:
        label = NAMES.index(region.name)
        np.testing.assert_array_equal(region.mask, labels == label)
        assert region.share == pytest.approx((labels == label).mean())
        if (own_labels == label).any():
            np.testing.assert_array_equal(region.own_mask, own_labels == label)
        else:
            assert region.own_mask is None
    shares = [region.share for region in regions]
    assert shares == sorted(shares, reverse=True)
    resized = read_regions(*paths, (height, width), (width, height))
    torch.testing.assert_close(sum(region.mask for region in resized), torch.ones(height, width))
    assert all(region.own_mask is None or region.own_mask.shape == (width, height) for region in resized)


def test_region_that_only_the_content_has_takes_all_of_the_painting_and_one_of_the_painting_alone_is_ignored(tmp_path):
    paths = save(tmp_path / "c.png", halves("blue", "red")), save(tmp_path / "s.png", halves("green", "red"))
    regions = {region.name: region for region in read_regions(*paths, *BOTH)}
    assert set(regions) == {"blue", "red"} and regions["blue"].own_mask is None and regions["red"].own_mask is not None


def test_regions_are_the_same_each_time_and_for_colours_a_little_off(tmp_path):
    off = halves("blue", "red").astype(int) + np.array([7, -9, 8])
    paths = save(tmp_path / "c.png", halves("blue", "red")), save(tmp_path / "s.png", off.clip(0, 255))
    once, twice = read_regions(*paths, (48, 40), (30, 50)), read_regions(*paths, (48, 40), (30, 50))
    assert [region.name for region in once] == ["blue", "red"]
    for one, other in zip(once, twice, strict=True):
        assert torch.equal(one.mask, other.mask) and torch.equal(one.own_mask, other.own_mask)


def test_antialiased_edges_go_to_the_side_that_covers_more_of_the_pixel(tmp_path):
    """A red disc on blue in a green frame: the purple between is neither black nor green, two thirds red are red."""
    inside = cover(64, 64, ellipse(31.3, 32.6, 20.2, 17.7))
    pixels = np.array(COLOURS["red"]) * inside[..., None] + np.array(COLOURS["blue"]) * (1 - inside[..., None])
    pixels[:5], pixels[-5:] = COLOURS["green"], COLOURS["black"]
    path = save(tmp_path / "a.png", np.rint(pixels))
    regions = {region.name: region.mask for region in read_regions(path, path, *BOTH)}
    assert set(regions) == {"blue", "red", "green", "black"}
    np.testing.assert_array_equal(regions["green"][:5], 1)
    assert regions["green"].sum() == regions["black"].sum() == 5 * 64
    clear = np.abs(inside - 0.5) > 0.1
    np.testing.assert_array_equal(regions["red"][5:-5][clear[5:-5]], inside[5:-5][clear[5:-5]] > 0.5)


def test_spot_too_small_to_be_a_region_is_its_surroundings(tmp_path):
    """Whatever colour it is nearest to."""
    pixels = halves("blue", "red").repeat(4, axis=0).repeat(4, axis=1)
    pixels[:40] = COLOURS["magenta"]
    pixels[100:105, 50:55] = (220, 60, 220)  # 9 of 65536 pixels have flat surroundings
    path = save(tmp_path / "a.png", pixels)
    regions = {region.name: region.mask for region in read_regions(path, path, (256, 256), (256, 256))}
    assert set(regions) == {"blue", "red", "magenta"} and regions["blue"][40:, :128].min() == 1


@pytest.mark.parametrize("between", [90, 110, 150, 170])
def test_edge_between_black_and_white_is_no_part_of_a_grey_region_elsewhere(tmp_path, between):
    pixels = halves("black", "white")
    pixels[:, 32] = between
    pixels[:10] = COLOURS["#808080"]
    path = save(tmp_path / "a.png", pixels)
    regions = {region.name: region.mask for region in read_regions(path, path, *BOTH)}
    assert regions["#808080"][12:].max() == 0  # where the three meet, a pixel or two may be any
    assert regions["white" if between > 127 else "black"][12:, 32].min() == 1


def test_thin_line_of_an_exact_colour_is_kept(tmp_path):
    pixels = halves("blue", "red")
    pixels[40:42] = COLOURS["red"]
    path = save(tmp_path / "a.png", pixels)
    (red,) = [region for region in read_regions(path, path, *BOTH) if region.name == "red"]
    assert red.mask[40:42].min() == 1


@pytest.mark.parametrize("quality", [40, 75, 95])
def test_compressed_segmentation_gives_the_same_regions(tmp_path, quality):
    labels = blocks(5, 6, side=16)
    pixels = painted(labels)
    exact = save(tmp_path / "a.png", pixels.repeat(4, axis=0).repeat(4, axis=1))
    smooth = Image.open(exact).resize((200, 200), Image.Resampling.BICUBIC)
    smooth.save(tmp_path / "b.jpg", quality=quality)
    regions = read_regions(tmp_path / "b.jpg", exact, *BOTH)
    assert {region.name for region in regions} == {NAMES[label] for label in np.unique(labels)}
    for region in regions:
        expected = torch.from_numpy(labels == NAMES.index(region.name)).float()
        assert (region.mask - expected).abs().mean() < 0.02
        assert (region.own_mask - expected).abs().mean() < 0.01


def test_colours_64_levels_apart_stay_apart_and_have_names_of_their_own(tmp_path):
    """27 of the colours of Pascal VOC's palette."""
    colours = np.array(list(itertools.product((0, 64, 128), repeat=3)), dtype=np.uint8)
    path = save(tmp_path / "a.png", colours.repeat(20, axis=0)[None].repeat(20, axis=0))
    regions = read_regions(path, path, (20, 540), (20, 540))
    assert len({region.name for region in regions}) == 27 and {region.share for region in regions} == {1 / 27}
    assert {"black", "#400000", "#804000"} <= {region.name for region in regions}


def test_more_than_32_colours_are_refused(tmp_path):
    colours = np.array(list(itertools.product((0, 85, 170, 255), repeat=3)), dtype=np.uint8)[: MAX_REGIONS + 1]
    pixels = colours.repeat(20, axis=0)[None].repeat(20, axis=0)
    few, many = save(tmp_path / "few.png", pixels[:, :-20]), save(tmp_path / "many.png", pixels)
    check_regions(few, few)
    for paths in ((many, few), (few, many)):
        for function in (check_regions, lambda *paths: read_regions(*paths, *BOTH)):
            with pytest.raises(ImageError, match=r"many\.png is no segmentation: it has more than 32 colours\. Needed"):
                function(*paths)


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket", "strokes", "ink", "colour_fields"])
def test_photograph_or_painting_is_no_segmentation(tmp_path, name):
    with pytest.raises(ImageError, match=f"{name}.png is no segmentation|{name}.jpg is no segmentation"):
        check_regions(find_image("rocket_regions"), find_image(name))


def test_noise_is_no_segmentation(tmp_path):
    noise = save(tmp_path / "noise.png", np.random.default_rng(0).integers(0, 256, (64, 64, 3)))
    for paths in ((noise, noise), (save(tmp_path / "a.png", halves("blue", "red")), noise)):
        with pytest.raises(ImageError, match="noise.png is no segmentation: it has no flat area"):
            check_regions(*paths)


def test_segmentations_without_a_common_colour_are_refused(tmp_path):
    paths = save(tmp_path / "c.png", halves("blue", "red")), save(tmp_path / "s.png", halves("green", "white"))
    for function in (check_regions, lambda *paths: read_regions(*paths, *BOTH)):
        with pytest.raises(ImageError, match=r"c\.png and .*s\.png have no colour in common"):
            function(*paths)


def test_segmentation_needs_its_images_proportions(tmp_path):
    path = save(tmp_path / "a.png", halves("blue", "red"))
    check_regions(path, path, (100, 101), (640, 640))
    for sizes in (((64, 80), (64, 64)), ((64, 64), (80, 64))):
        with pytest.raises(ImageError, match="The segmentation .*a.png is 64×64 px .* the proportions differ"):
            check_regions(path, path, *sizes)
