"""Image quilting: every choice and paste against brute force; iterations, state, faults; textures and their copies."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from quilting_by_loops import error_map

from harness.images.files import read_image
from harness.images.library import find_image
from harness.images.resize import resize, to_tensor
from harness.quilting import Errors, Quilting, check, default_overlap_px
from harness.quilting.copies import copied_share, longest_copy
from harness.quilting.seam import kept_pixels

SOURCE, TARGET = (11, 13), (12, 15)


def noise(seed: int, height: int, width: int) -> torch.Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def finish(quilting: Quilting) -> torch.Tensor:
    while quilting.step < quilting.num_steps:
        quilting.advance()
    return quilting.picture


def bytes_of(image: torch.Tensor) -> np.ndarray:
    return (image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()


# The choice


def luminance(image: np.ndarray) -> np.ndarray:
    return 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]


def replay(quilting: Quilting, source: torch.Tensor, target: torch.Tensor | None, tolerance: float) -> list[int]:
    """Quilt, and check every choice, paste and error against brute force; how many blocks each could be chosen from.

    Which block was taken is read where no other overlaps with it.
    """
    colours = source.double().numpy()
    features = np.concatenate([colours, luminance(colours)[None]])
    height, width = quilting.picture.shape[1:]
    numbers, canvas, choices = np.arange(colours[0].size).reshape(colours[0].shape), np.full((height, width), -1), []
    for iteration, level in enumerate(quilting.levels):
        before, canvas = canvas, np.full((height, width), -1)
        origin: dict[tuple[int, int], tuple[int, int]] = {}
        o, stride, alpha = level.overlap_px, level.block_px - level.overlap_px, level.alpha
        for row in range(level.num_rows):
            sums = np.zeros(4)
            errors = quilting.advance()
            placed = quilting.state()["placed"].numpy()
            for column in range(level.num_columns):
                top, left = row * stride, column * stride
                area = np.s_[top : top + level.block_px, left : left + level.block_px]
                h, w = canvas[area].shape
                y, x = divmod(int(placed[min(top + o, height - 1), min(left + o, width - 1)]), colours.shape[2])
                y, x = y - min(o, height - 1 - top), x - min(o, width - 1 - left)
                origin[row, column] = y - top, x - left

                overlap = np.zeros((4, h, w))
                overlap[:3, :, : o * (column > 0)] = 1
                overlap[:3, : o * (row > 0)] = 1
                whole = np.zeros((4, h, w))
                whole[:3] = 1
                correspondence = np.zeros((4, h, w))
                correspondence[3] = 3 * (target is not None)
                texture = [(features.reshape(4, -1)[:, canvas[area]], overlap)]
                if iteration:
                    texture.append((features.reshape(4, -1)[:, before[area]], whole))
                wanted = np.zeros((4, h, w))
                if target is not None:
                    wanted[3] = luminance(target.double().numpy())[area]
                texture_errors = error_map(features, texture)
                other_errors = error_map(features, [(wanted, correspondence)])
                total = alpha * texture_errors + (1 - alpha) * other_errors
                allowed = np.ones(total.shape, bool)
                for near in ((row, column - 1), (row - 1, column - 1), (row - 1, column), (row - 1, column + 1)):
                    if target is None and near in origin:
                        for p, q in np.ndindex(total.shape):
                            if max(abs(p - top - origin[near][0]), abs(q - left - origin[near][1])) <= o:
                                allowed[p, q] = False
                smallest = total[allowed].min()
                assert allowed[y, x] and total[y, x] <= (1 + tolerance) * smallest + 1e-9
                choices.append(int((allowed & (total <= (1 + tolerance) * smallest + 1e-9)).sum()))

                sums += texture_errors[y, x], sum(W[0].sum() for _, W in texture), other_errors[y, x], h * w
                block = numbers[y : y + h, x : x + w]
                e = (overlap * (features[:, y : y + h, x : x + w] - texture[0][0]) ** 2).sum(axis=0)
                kept = kept_pixels(e, o, left=column > 0, top=row > 0)
                canvas[area][kept] = block[kept]
            assert errors.overlap == pytest.approx(sums[0] / max(sums[1], 1), abs=1e-12)
            assert errors.total == pytest.approx((alpha * sums[0] + (1 - alpha) * sums[2]) / sums[3], abs=1e-12)
            if target is None:
                assert math.isnan(errors.correspondence)
            else:
                assert errors.correspondence == pytest.approx(sums[2] / sums[3], abs=1e-12)
        assert (placed == canvas).all()
    np.testing.assert_array_equal(quilting.picture.numpy(), source.numpy().reshape(3, -1)[:, canvas])
    return choices


@pytest.mark.parametrize("overlap_px", [None, 2])
@pytest.mark.parametrize("seed", [0, 1])
def test_at_tolerance_zero_every_block_is_the_best_that_does_not_continue_a_neighbour(overlap_px, seed):
    source = noise(seed, *SOURCE)
    quilting = Quilting(source, *TARGET, block_px=5, overlap_px=overlap_px, tolerance=0, seed=seed)
    choices = replay(quilting, source, None, 0)
    assert choices[0] == 7 * 9  # the first block: any
    assert set(choices[1:]) == {1}


def test_with_a_tolerance_blocks_are_chosen_from_those_within_it():
    source = noise(3, *SOURCE)
    choices = replay(Quilting(source, *TARGET, block_px=5, tolerance=0.5), source, None, 0.5)
    assert max(choices[1:]) > 3


@pytest.mark.parametrize(("tolerance", "num_iterations"), [(0, 1), (0, 3), (0.3, 2)])
def test_in_transfer_every_block_is_chosen_by_overlap_previous_and_correspondence(tolerance, num_iterations):
    source, target = noise(4, *SOURCE), noise(5, *TARGET)
    quilting = Quilting(
        source, *TARGET, block_px=7, overlap_px=2, tolerance=tolerance, target=target, num_iterations=num_iterations
    )
    choices = replay(quilting, source, target, tolerance)
    assert set(choices) == {1} if not tolerance else max(choices) > 1


def test_exactly_the_blocks_within_the_tolerance_are_chosen_sooner_or_later():
    source, target = noise(6, 8, 9), noise(7, 4, 4)
    features = np.concatenate([source.double().numpy(), luminance(source.double().numpy())[None]])
    wanted, weight = np.zeros((2, 4, 4, 4))
    wanted[3], weight[3] = luminance(target.double().numpy()), 1
    errors = error_map(features, [(wanted, weight)])
    within = {source[0, y, x].item() for y, x in np.argwhere(errors <= 1.4 * errors.min())}
    chosen = set()
    for seed in range(60):
        quilting = Quilting(source, 4, 4, block_px=4, tolerance=0.4, target=target, seed=seed)
        chosen.add(finish(quilting)[0, 0, 0].item())
    assert chosen == within and 3 < len(within) < errors.size


def test_choices_differ_between_columns_rows_and_iterations():
    """A flat source and target: every block could be taken everywhere."""
    quilting = Quilting(torch.zeros(3, 40, 40), 24, 24, block_px=9, target=torch.zeros(3, 24, 24), num_iterations=2)
    choices = []
    for level in quilting.levels:
        for _ in range(level.num_rows):
            quilting.advance()
        inside = slice(level.overlap_px, None, level.stride_px)
        positions = quilting.state()["placed"][inside, inside][:3, :3]
        choices.append(positions)
        assert len(positions.unique()) == 9
    assert ((choices[0] - choices[1]).abs() > 0.1 * 40 * 40).sum() > 4  # equal random numbers would be near


@pytest.mark.parametrize("num", [2, 3, 5])
def test_levels_are_the_papers(num):
    levels = Quilting(noise(0, 40, 40), 50, 60, block_px=36, target=noise(1, 50, 60), num_iterations=num).levels
    assert [level.alpha for level in levels] == pytest.approx([0.8 * i / (num - 1) + 0.1 for i in range(num)])
    assert [level.block_px for level in levels] == [36, 24, 16, 11, 7][:num]
    assert [level.overlap_px for level in levels] == [6, 4, 3, 2, 1][:num]
    assert Quilting(noise(0, 40, 40), 50, 60, block_px=36, target=noise(1, 50, 60)).levels[0].alpha == 0.1
    assert [default_overlap_px(block_px) for block_px in (3, 8, 36, 48)] == [1, 1, 6, 8]


# Size, seams, progress, state


def pair(num_iterations: int, seed: int = 0) -> Quilting:
    target = noise(8, 30, 26) if num_iterations else None
    return Quilting(
        noise(7, 20, 22), 30, 26, block_px=9, target=target, num_iterations=max(num_iterations, 1), seed=seed
    )


@pytest.mark.parametrize("num_iterations", [0, 3])
def test_a_state_loaded_at_any_step_goes_on_to_the_same_bits(num_iterations):
    whole = pair(num_iterations)
    pictures, errors, files = [], [], []
    while True:
        file = io.BytesIO()
        torch.save(whole.state(), file)
        files.append(file)
        pictures.append(whole.picture)
        if whole.step == whole.num_steps:
            break
        errors.append(whole.advance())
    assert len(files) == whole.num_steps + 1
    for step, file in enumerate(files):
        file.seek(0)
        resumed = pair(num_iterations)
        resumed.load_state(torch.load(file))
        assert resumed.step == step
        for expected, picture in zip([*errors[step:], None], pictures[step:], strict=True):
            assert torch.equal(resumed.picture, picture)
            if expected is not None:
                assert str(resumed.advance()) == str(expected)  # as text: NaN is not equal to itself


def test_a_state_does_not_change_when_its_quilting_or_one_that_loaded_it_goes_on():
    quilting = pair(2)
    states = []
    for _ in range(quilting.num_steps):
        states.append(quilting.state())
        quilting.advance()
    copies = [{name: value.clone() for name, value in state.items()} for state in states]
    for step, state in enumerate(states):
        assert int(state["step"]) == step and (state["placed"] >= 0).any() == (step > 0)
        quilting.load_state(state)
        finish(quilting)
    assert all(
        torch.equal(state[name], copy[name]) for state, copy in zip(states, copies, strict=True) for name in copy
    )


@pytest.mark.parametrize("num_iterations", [0, 3])
def test_equal_seeds_give_equal_bits_and_other_seeds_other_pictures(num_iterations):
    pictures = [finish(pair(num_iterations, seed)) for seed in (0, 0, 1, 2**62)]
    assert torch.equal(pictures[0], pictures[1])
    assert not torch.equal(pictures[0], pictures[2]) and not torch.equal(pictures[2], pictures[3])


def test_what_is_not_reached_yet_is_the_iteration_before():
    quilting = pair(2)
    first, second = quilting.levels
    quilting.advance()
    assert (quilting.picture[:, first.block_px :] == 0.5).all() and (quilting.picture[:, : first.block_px] != 0.5).all()
    while quilting.step < first.num_rows:
        quilting.advance()
    before = quilting.picture
    quilting.advance()
    assert torch.equal(quilting.picture[:, second.block_px :], before[:, second.block_px :])
    assert quilting.num_steps == first.num_rows + second.num_rows
    finish(quilting)
    with pytest.raises(RuntimeError, match="finished"):
        quilting.advance()


def test_double_images_stay_double_and_the_source_is_not_shared():
    source = noise(7, 20, 22).double()
    quilting = Quilting(source, 20, 20, block_px=9)
    expected = finish(Quilting(noise(7, 20, 22), 20, 20, block_px=9))
    source.zero_()
    assert finish(quilting).dtype == torch.float64 and torch.equal(quilting.picture.float(), expected)


def test_states_of_other_quiltings_are_refused():
    quilting = Quilting(noise(0, 20, 20), 30, 30, block_px=9)
    finish(other := Quilting(noise(0, 30, 30), 30, 30, block_px=9))
    longer = {**quilting.state(), "step": torch.tensor(99)}
    for state in (Quilting(noise(0, 20, 20), 30, 31, block_px=9).state(), other.state(), longer):
        with pytest.raises(ValueError, match="belongs to another quilting"):
            quilting.load_state(state)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"block_px": 2}, "block of 2 px is too small: it needs at least 3 px"),
        ({"block_px": 21}, r"block of 21 px does not fit into the source of 24 × 20 px .* at most 20 px"),
        ({"overlap_px": 4}, "overlap of 4 px is not possible with blocks of 8 px: from 1 to 3 px"),
        ({"overlap_px": 0}, "overlap of 0 px"),
        ({"tolerance": -0.1}, "tolerance of -0.1 is not possible"),
        ({"tolerance": math.nan}, "tolerance of nan"),
        ({"height": 0}, "picture of 30 × 0 px"),
        ({"num_iterations": 2}, "2 iterations need a target"),
        ({"num_iterations": 0}, "0 iterations are not possible"),
        ({"target": noise(0, 30, 31)}, "target is 31 × 30 px and the picture 30 × 30 px"),
        ({"target": noise(0, 30, 30)[0]}, r"target has the shape \(30, 30\)"),
        ({"target": noise(0, 30, 30), "num_iterations": 4}, "shrink to 2 px within 4 iterations"),
        ({"source": noise(0, 20, 24) / 0}, "source has values that are not finite"),
        ({"source": noise(0, 20, 24)[:2]}, r"source has the shape \(2, 20, 24\)"),
    ],
)
def test_what_cannot_be_quilted_is_said(changes, words):
    arguments = {"source": noise(0, 20, 24), "height": 30, "width": 30, "block_px": 8, **changes}
    with pytest.raises(ValueError, match=words):
        Quilting(**arguments)


def test_check_says_it_before_anything_runs():
    check(20, 24, 20)
    check(20, 24, 7, 3, 3)
    with pytest.raises(ValueError, match="does not fit"):
        check(20, 24, 21)


@pytest.mark.parametrize(
    "name", ["brick", "grass", "gravel", "strokes", "mosaic", "waves", "ink", "shards", "dots", "colour_fields"]
)
def test_a_synthesised_texture_is_made_of_its_source_but_not_copied_whole(name):
    source = resize(to_tensor(read_image(find_image(name))), 96, 96)
    quilting = Quilting(source, 192, 192, block_px=18)
    picture, seams = bytes_of(finish(quilting)), quilting.seams.numpy()
    assert picture.shape == (192, 192, 3)
    assert copied_share(picture, bytes_of(source), seams=seams) == 1
    assert seams.mean() < 0.5
    assert longest_copy(picture, bytes_of(source)) <= 3 * 18


def test_a_transfer_resembles_the_photograph_more_than_its_texture_does():
    source = resize(to_tensor(read_image(find_image("strokes"))), 64, 64)
    target = resize(to_tensor(read_image(find_image("astronaut"))), 64, 64)
    differences = {}
    for name, wanted in (("synthesis", None), ("transfer", target)):
        picture = finish(
            Quilting(source, 64, 64, block_px=12, target=wanted, num_iterations=3 if wanted is not None else 1)
        )
        differences[name] = np.abs(luminance(picture.numpy()) - luminance(target.numpy())).mean()
    assert differences["transfer"] < 0.5 * differences["synthesis"]


def test_errors_have_the_names_that_the_run_records():
    assert Errors._fields == ("overlap", "correspondence", "total")
