"""Image quilting: a texture continued, or a photograph made of its pieces, block by block.

A. Efros & W. Freeman, "Image quilting for texture synthesis and transfer" (SIGGRAPH 2001). Every block is chosen at
random among those of the source whose error is close to the smallest, and pasted along the minimum error boundary cut.

Texture synthesis (section 2): the error of a block is its squared difference from what it overlaps with.
Texture transfer (section 3): α · (that, and from the second iteration the squared difference of the whole block from
what the iteration before put there) + (1 − α) · (squared difference of the correspondence maps, here luminance), in N
iterations of ever smaller blocks.

Shapes: source (3, Hs, Ws), target and picture (3, H, W), sRGB in [0, 1]. Squares are summed over the channels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.images.colour import Y_OF_RGB
from harness.quilting.block_errors import BlockSearch
from harness.quilting.levels import Iteration, check, synthesis_level, transfer_levels
from harness.quilting.seam import kept_pixels

Floats = NDArray[np.float64]

GREY = 0.5
NUM_CHANNELS = 3
"""The luminance counts as an image of three equal channels, to weigh as much as the overlaps of grey images do."""


class Errors(NamedTuple):
    """Errors of the blocks of one row: squares summed over the channels, their mean over the pixels compared.

    Attributes:
        overlap: (block − what is there)² over the overlaps, and from the second iteration (block − what was there)²
            over whole blocks; 0 where a row overlaps with nothing.
        correspondence: (block's luminance − the target's)² over the blocks, times 3; NaN in texture synthesis.
        total: the error that was minimised, over the blocks' pixels.
    """

    overlap: float
    correspondence: float
    total: float


class Quilting:
    """One picture being quilted, a row of blocks at a time.

    The same arguments give the same bits: each block's random choice is a function of seed, iteration, row and column.
    The last blocks of a row or column are cropped to the picture, and searched for in that size.

    Args:
        source: (3, Hs, Ws) in [0, 1]: the texture.
        height: of the picture, ≥ 1 px.
        width: of the picture, ≥ 1 px.
        block_px: side of the blocks (of the first iteration), at least 3 and not longer than the source's sides.
        overlap_px: of neighbouring blocks, less than half a block; a sixth of it when left out (section 2).
        tolerance: blocks with at most (1 + tolerance) times the smallest error are chosen from; ≥ 0, 0.1 in the paper.
        seed: ≥ 0.
        target: (3, height, width) in [0, 1]: the photograph of texture transfer; None for texture synthesis.
        num_iterations: N, 1 in texture synthesis; 3 to 5 in the paper's transfers.

    Attributes:
        levels: the iterations.
        num_steps: rows of blocks, over all iterations.
        step: how many of them are done.

    Raises:
        ValueError: an argument outside what is said here.
    """

    def __init__(
        self,
        source: Tensor,
        height: int,
        width: int,
        *,
        block_px: int,
        overlap_px: int | None = None,
        tolerance: float = 0.1,
        seed: int = 0,
        target: Tensor | None = None,
        num_iterations: int = 1,
    ) -> None:
        _check_image(source, "source")
        check(source.shape[1], source.shape[2], block_px, overlap_px, num_iterations)
        if height < 1 or width < 1:
            raise ValueError(f"A picture of {width} × {height} px is not possible: each side needs at least 1 px.")
        if not (math.isfinite(tolerance) and tolerance >= 0):
            raise ValueError(f"A tolerance of {tolerance} is not possible: it must be 0 or above, such as 0.1.")
        self._tolerance, self._seed = tolerance, seed
        self._size = source.shape[1:]
        self._pixels = source.detach().to("cpu", copy=True).flatten(1)
        colours = self._pixels.double().numpy()
        if target is None:
            if num_iterations != 1:
                raise ValueError(f"{num_iterations} iterations need a target: texture synthesis has a single one.")
            self._features, self._luminance = colours, None
            self.levels = [synthesis_level(height, width, block_px, overlap_px)]
        else:
            _check_image(target, "target")
            if target.shape[1:] != (height, width):
                raise ValueError(
                    f"The target is {target.shape[2]} × {target.shape[1]} px and the picture {width} × {height} px; "
                    "both need the same size: resize the target."
                )
            self._features = np.vstack([colours, _luminance(colours)])
            self._luminance = _luminance(target.detach().cpu().double().numpy())
            self.levels = transfer_levels(height, width, block_px, overlap_px, num_iterations)
        self.num_steps = sum(level.num_rows for level in self.levels)
        self.step = 0
        self._search = BlockSearch(self._features.reshape(-1, *self._size))
        # Which pixel of the source, counted row by row, each pixel of the picture is: all there is to remember.
        self._placed = np.full((height, width), -1, np.int32)
        self._previous = self._placed.copy()

    @property
    def picture(self) -> Tensor:
        """(3, height, width): as far as it is; the rest is the iteration before, in the first one mid grey."""
        shown = torch.from_numpy(np.where(self._placed >= 0, self._placed, self._previous)).long()
        return torch.where(shown >= 0, self._pixels[:, shown.clamp(min=0)], GREY)

    @property
    def seams(self) -> Tensor:
        """(height, width) bool: the pixels beside a cut, of a finished picture."""
        rows, columns = np.divmod(self._placed.astype(np.int64), self._size[1])
        height, width = rows.shape
        shift = (rows - np.arange(height)[:, None]) * 2**32 + columns - np.arange(width)
        seams = np.zeros((height, width), bool)
        for this, that in ((np.s_[:-1, :], np.s_[1:, :]), (np.s_[:, :-1], np.s_[:, 1:])):
            cut = shift[this] != shift[that]
            seams[this] |= cut
            seams[that] |= cut
        return torch.from_numpy(seams)

    def state(self) -> dict[str, Tensor]:
        """What another ``Quilting`` with the same arguments needs to go on to the same bits."""
        return {
            "step": torch.tensor(self.step),
            "placed": torch.from_numpy(self._placed.copy()),
            "previous": torch.from_numpy(self._previous.copy()),
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what ``state`` returned.

        Raises:
            ValueError: it belongs to a picture of another size, or to another number of steps or source pixels.
        """
        maps = [state[name].cpu().numpy().copy() for name in ("placed", "previous")]
        step, num_pixels = int(state["step"]), self._pixels.shape[1]
        fits = all(map_.shape == self._placed.shape and map_.max() < num_pixels for map_ in maps)
        if not (fits and 0 <= step <= self.num_steps):
            raise ValueError("This state belongs to another quilting: load it with the arguments it was saved with.")
        self.step, (self._placed, self._previous) = step, maps

    def advance(self) -> Errors:
        """Quilt the next row of blocks.

        Raises:
            RuntimeError: the picture is finished.
        """
        if self.step == self.num_steps:
            raise RuntimeError("The picture is finished: every row of blocks is quilted.")
        iteration, row = 0, self.step
        while row >= self.levels[iteration].num_rows:
            row -= self.levels[iteration].num_rows
            iteration += 1
        if iteration and not row:
            self._previous, self._placed = self._placed, np.full_like(self._placed, -1)
        level = self.levels[iteration]
        errors = np.sum([self._quilt(iteration, row, column) for column in range(level.num_columns)], axis=0)
        self.step += 1
        texture, num_compared, correspondence, num_pixels = errors.tolist()
        return Errors(
            texture / max(num_compared, 1),
            math.nan if self._luminance is None else correspondence / num_pixels,
            (level.alpha * texture + (1 - level.alpha) * correspondence) / num_pixels,
        )

    def _quilt(self, iteration: int, row: int, column: int) -> tuple[float, float, float, float]:
        """Choose and paste one block; its texture error, its correspondence error, each with its number of pixels."""
        level = self.levels[iteration]
        top, left = row * level.stride_px, column * level.stride_px
        area = np.s_[top : top + level.block_px, left : left + level.block_px]
        there = self._placed[area]
        overlap = np.zeros(there.shape)
        overlap[: level.overlap_px if row else 0] = 1
        overlap[:, : level.overlap_px if column else 0] = 1
        compared = [(there, overlap)]
        if iteration:
            compared.append((self._previous[area], np.ones(there.shape)))

        errors = self._errors(level, area, compared)
        if self._luminance is None:
            self._forbid_copying(errors, level, row, column)
        candidates = np.flatnonzero(errors <= (1 + self._tolerance) * errors.min())
        random = np.random.default_rng((self._seed, iteration, row, column))
        y, x = divmod(int(candidates[random.integers(len(candidates))]), errors.shape[1])
        block = (y + np.arange(there.shape[0])[:, None]) * self._size[1] + x + np.arange(there.shape[1])

        texture = [mask * self._difference(block, pixels) for pixels, mask in compared]
        correspondence = 0.0
        if self._luminance is not None:
            difference = self._features[3, block] - self._luminance[area]
            correspondence = NUM_CHANNELS * float(np.square(difference).sum())
        kept = kept_pixels(texture[0], level.overlap_px, left=column > 0, top=row > 0)
        there[kept] = block[kept]
        num_compared = sum(mask.sum() for _, mask in compared)
        return sum(e.sum() for e in texture), num_compared, correspondence, there.size

    def _errors(
        self, level: Iteration, area: tuple[slice, slice], compared: Sequence[tuple[NDArray[np.int32], Floats]]
    ) -> Floats:
        """α · (texture error) + (1 − α) · (correspondence error) of every block of the source (section 3)."""
        # Deviates from Efros & Freeman 2001, section 3, which does not weigh a map of one channel against colours of
        # three: the correspondence counts as three equal channels.
        shares = np.zeros((2, len(self._features), 1, 1))
        shares[0, :3], shares[1, 3:] = level.alpha, NUM_CHANNELS * (1 - level.alpha)
        comparisons = [(self._features[:, pixels], shares[0] * mask) for pixels, mask in compared]
        if self._luminance is not None:
            wanted = np.broadcast_to(self._luminance[area], comparisons[0][0].shape)
            comparisons.append((wanted, np.broadcast_to(shares[1], wanted.shape)))
        return self._search.errors(comparisons)

    def _difference(self, block: NDArray[np.int64], pixels: NDArray[np.int32]) -> Floats:
        """Squares e = (B1 − B2)², summed over the channels."""
        difference: Floats = np.square(self._features[:3, block] - self._features[:3, pixels]).sum(axis=0)
        return difference

    def _forbid_copying(self, errors: Floats, level: Iteration, row: int, column: int) -> None:
        """Rule out, in place, the blocks that go on as a neighbour does in the source, or almost so.

        # Deviates from Efros & Freeman 2001, section 2: every block of the source is a candidate there. The one that
        # goes on as the source does fits its neighbour without any error, so that a tolerance relative to the smallest
        # error admits nothing else, and pieces six blocks long are copied whole. A shift by a pixel or two is the same
        # piece with a cut through it: all positions nearer than the overlap are ruled out as well. No two blocks that
        # touch, corners included, are then neighbours in the source, and no piece larger than a block is copied (unless
        # the source repeats itself). Some block is always left: the source's first is never ruled out, for a
        # neighbour's continuation begins further than an overlap below or to the right of it. In texture transfer the
        # correspondence forbids long copies by itself, and the rule is the paper's.
        """
        stride, near = level.stride_px, level.overlap_px
        for up, aside in ((0, -1), (-1, -1), (-1, 0), (-1, 1)):
            if row + up < 0 or not 0 <= column + aside < level.num_columns:
                continue
            # The neighbour's pixel that no other block overlaps with tells where in the source the neighbour is.
            # (A picture narrower than the overlap has one block across, and any of its pixels will do.)
            down, across = (row + up) * stride + near, (column + aside) * stride + near
            down, across = min(down, self._placed.shape[0] - 1), min(across, self._placed.shape[1] - 1)
            y, x = divmod(int(self._placed[down, across]), self._size[1])
            y, x = y - down + row * stride, x - across + column * stride
            errors[max(y - near, 0) : max(y + near + 1, 0), max(x - near, 0) : max(x + near + 1, 0)] = np.inf


def _luminance(image: Floats) -> Floats:
    """The correspondence map, (3, …) to (…)."""
    # Deviates from Efros & Freeman 2001, section 3: the paper says intensity, of no stated weights; here luma of
    # ITU-R BT.601, of the sRGB values as they are.
    red, green, blue = Y_OF_RGB
    luma: Floats = red * image[0] + green * image[1] + blue * image[2]
    return luma


def _check_image(image: Tensor, what: str) -> None:
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"The {what} has the shape {tuple(image.shape)}; (3, height, width) is needed.")
    if not image.isfinite().all():
        raise ValueError(f"The {what} has values that are not finite; it cannot be quilted.")
