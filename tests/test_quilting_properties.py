"""Image quilting on any input: its cut, its block search and its count of copies, each against brute force."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from quilting_by_loops import error_map

from harness.quilting import Quilting
from harness.quilting.block_errors import BlockSearch
from harness.quilting.copies import copied_share, longest_copy
from harness.quilting.seam import kept_pixels

# The cut


def paths(start: int, length: int, overlap: int):
    """All monotone paths: a column per row, each next one at most one aside."""
    for steps in itertools.product((-1, 0, 1), repeat=length - 1):
        path = list(itertools.accumulate(steps, initial=start))
        if all(0 <= column < overlap for column in path):
            yield path


def cheapest_cuts(e: np.ndarray, overlap: int, left: bool, top: bool) -> list[np.ndarray]:
    """The kept pixels of every cheapest cut, by trying all of them."""
    height, width = e.shape
    cuts: list[tuple[float, np.ndarray]] = []
    rows, columns = range(overlap if top else 1), range(overlap if left else 1)
    if left != top:  # one strip: the path may begin anywhere
        rows, columns = (range(1), range(overlap)) if left else (range(overlap), range(1))
    for i, j in itertools.product(rows, columns):
        downs = list(paths(j, height - i, overlap)) if left else [None]
        acrosses = list(paths(i, width - j, overlap)) if top else [None]
        for down, across in itertools.product(downs, acrosses):
            kept = np.ones(e.shape, bool)
            for k, column in enumerate(down or []):
                kept[i + k, :column] = False
            for k, row in enumerate(across or []):
                kept[:row, j + k] = False
            if down and across:
                kept[:i, :j] = False
            # The paper's sum: both paths, the pixel where they meet once.
            cost = sum(e[i + k, c] for k, c in enumerate(down or [])) + sum(
                e[r, j + k] for k, r in enumerate(across or [])
            )
            cuts.append((cost - (e[i, j] if down and across else 0), kept))
    cheapest = min(cost for cost, _ in cuts)
    return [kept for cost, kept in cuts if cost == cheapest]


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10**6), values=st.sampled_from([3, 1000]), overlap=st.sampled_from([1, 2, 2, 3, 3]),
    height=st.integers(4, 5), width=st.integers(4, 5),
    sides=st.sampled_from([(True, False), (False, True), (True, True)]),
)  # fmt: skip
def test_cut_is_the_cheapest_of_all_monotone_paths(seed, values, overlap, height, width, sides):
    e = np.random.default_rng(seed).integers(0, values, (height, width)).astype(float)
    left, top = sides
    kept = kept_pixels(e, overlap, left=left, top=top)
    assert any((kept == cut).all() for cut in cheapest_cuts(e, overlap, left, top))


def test_cut_follows_a_free_path_round_the_corner():
    e = np.ones((6, 7))
    e[[5, 4, 3, 2, 1], [0, 1, 2, 1, 1]] = 0
    e[[1, 0, 1, 2, 2], [2, 3, 4, 5, 6]] = 0
    kept = kept_pixels(e, 3, left=True, top=True)
    rows = ["0001000", "0111100", "0111111", "0011111", "0111111", "1111111"]
    assert ["".join(str(int(pixel)) for pixel in row) for row in kept] == rows


def test_without_an_overlap_the_whole_block_is_kept():
    assert kept_pixels(np.ones((3, 4)), 1, left=False, top=False).all()


# The search


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6), height=st.integers(3, 23), width=st.integers(3, 23), features=st.integers(1, 4),
    num=st.integers(1, 3), share=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)  # fmt: skip
def test_error_map_is_the_double_loop(seed, height, width, features, num, share):
    rng = np.random.default_rng(seed)
    source = rng.random((features, height, width))
    h, w = (1 + int(part * (length - 1)) for part, length in zip(share, (height, width), strict=True))
    search = BlockSearch(source)
    for _ in range(2):  # the second time with other weights of the same size
        comparisons = [(rng.random((features, h, w)), rng.integers(0, 3, (features, h, w)) / 2) for _ in range(num)]
        expected = error_map(source, comparisons)
        for _ in range(2):  # the second time with remembered weights
            np.testing.assert_allclose(search.errors(comparisons), expected, rtol=1e-10, atol=1e-8)


def test_a_block_at_its_own_place_has_the_error_zero_and_a_difference_of_one_level_has_not():
    source = np.rint(np.random.default_rng(0).random((3, 300, 200)) * 255) / 255
    block = source[:, 40:76, 50:86].copy()
    errors = BlockSearch(source).errors([(block, np.ones(block.shape))])
    assert errors[40, 50] == 0 and (errors == 0).sum() == 1
    block[0, 3, 3] += 1 / 255
    assert BlockSearch(source).errors([(block, np.ones(block.shape))])[40, 50] == pytest.approx(255**-2, rel=1e-3)


def test_more_kinds_of_weights_than_are_remembered():
    rng = np.random.default_rng(0)
    source = rng.random((1, 9, 9))
    search = BlockSearch(source)
    for _ in range(40):
        comparison = (rng.random((1, 4, 4)), rng.random((1, 4, 4)))
        np.testing.assert_allclose(search.errors([comparison]), error_map(source, [comparison]), atol=1e-9)


# The whole


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(1, 30), width=st.integers(1, 30), source_height=st.integers(3, 16),
    source_width=st.integers(3, 16), part=st.floats(0, 1), overlap_part=st.floats(0, 1), seed=st.integers(0, 2**63),
    tolerance=st.sampled_from([0, 0.1, 3]), flat=st.booleans(), transfer=st.booleans(),
)  # fmt: skip
def test_any_picture_is_full_of_source_pixels_and_its_seams_lie_in_the_overlaps(
    height, width, source_height, source_width, part, overlap_part, seed, tolerance, flat, transfer
):
    generator = torch.Generator().manual_seed(seed)
    block_px = 3 + int(part * (min(source_height, source_width) - 3))
    overlap_px = 1 + int(overlap_part * ((block_px - 1) // 2 - 1))
    source = torch.rand(3, source_height, source_width, generator=generator)
    source = source.round() if flat else source
    quilting = Quilting(
        source, height, width, block_px=block_px, overlap_px=overlap_px, seed=seed, tolerance=tolerance,
        target=torch.rand(3, height, width, generator=generator) if transfer else None,
    )  # fmt: skip
    assert (quilting.picture == 0.5).all()
    while quilting.step < quilting.num_steps:
        quilting.advance()
    picture = quilting.picture
    assert picture.shape == (3, height, width) and picture.dtype == torch.float32
    known = set(map(tuple, source.flatten(1).T.tolist()))
    assert {tuple(pixel) for pixel in picture.flatten(1).T.tolist()} <= known
    rows, columns = np.nonzero(quilting.seams.numpy())
    stride = block_px - overlap_px
    for y, x in zip(rows + 1, columns + 1, strict=True):  # a cut before the overlap's first pixel is one, too
        assert (y >= stride and y % stride <= overlap_px) or (x >= stride and x % stride <= overlap_px)


# Copies


def patches(image: np.ndarray, height: int, width: int) -> list[bytes]:
    return [
        image[y : y + height, x : x + width].tobytes()
        for y in range(image.shape[0] - height + 1)
        for x in range(image.shape[1] - width + 1)
    ]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6), size=st.tuples(*[st.integers(5, 9)] * 4), side=st.integers(1, 5), num=st.integers(1, 3)
)
def test_copies_are_those_of_python_sets(seed, size, side, num):
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 256, (num, 3)).astype(np.uint8)
    picture, source = colours[rng.integers(0, num, size[:2])], colours[rng.integers(0, num, size[2:])]
    known = set(patches(source, side, side))
    copied = [patch in known for patch in patches(picture, side, side)]
    assert copied_share(picture, source, side) == pytest.approx(sum(copied) / len(copied))
    seams = rng.random(size[:2]) < 0.1
    marked = [b"\1" in patch for patch in patches(seams, side, side)]
    off = [copy for copy, beside in zip(copied, marked, strict=True) if not beside]
    assert copied_share(picture, source, side, seams) == pytest.approx(
        sum(off) / len(off) if off else math.nan, nan_ok=True
    )
    longest = 0
    for length in range(1, 10):
        for shape in ((side, length), (length, side)):
            if not set(patches(picture, *shape)).isdisjoint(patches(source, *shape)):
                longest = length
    assert longest_copy(picture, source, side) == longest


def test_a_planted_copy_is_found_whichever_way_it_lies():
    rng = np.random.default_rng(0)
    picture, source = (rng.integers(0, 256, (90, 80, 3), dtype=np.uint8) for _ in range(2))
    assert longest_copy(picture, source, 2) == 0
    picture[20:27, 5:70] = source[60:67, 10:75]
    for a, b in ((picture, source), (picture.transpose(1, 0, 2), source.transpose(1, 0, 2))):
        assert longest_copy(a, b) == 65
        assert longest_copy(a, b, 8) == 7  # standing
        assert copied_share(a, b) == pytest.approx(3 * 61 / (86 * 76))


def test_copies_refuse_what_they_cannot_compare():
    image = np.zeros((9, 9, 3), np.uint8)
    for call in (copied_share, longest_copy):
        with pytest.raises(ValueError, match="uint8"):
            call(image / 255, image)
        with pytest.raises(ValueError, match="allow 1 to 4 px"):
            call(image, image[:4])
    with pytest.raises(ValueError, match="one per pixel"):
        copied_share(image, image, seams=np.zeros((3, 3), bool))
