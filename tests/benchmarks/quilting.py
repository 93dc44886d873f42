"""How long quilting takes on one core, and how much of the results is copied.

    python tests/benchmarks/quilting.py                      textures of 256 px to 512 px; below 10 s is asked
    python tests/benchmarks/quilting.py --transfer           a photograph of 256 px out of each texture
    python tests/benchmarks/quilting.py --folder /tmp/q      keep the pictures

Columns: seconds in all, and a block; the share of 5 × 5 patches that the source has, all and those off the seams; the
longest rectangle, at least 5 px thick, that the source has too, in pixels and in blocks.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from harness.images.files import png_bytes, read_image
from harness.images.library import find_image
from harness.images.resize import resize, to_array, to_tensor
from harness.quilting import Quilting
from harness.quilting.copies import copied_share, longest_copy

TEXTURES = ("brick", "grass", "gravel", "mosaic", "strokes", "dots", "ink")


def image(name: str, size_px: int) -> Tensor:
    """A named image as a square."""
    return resize(to_tensor(read_image(find_image(name))), size_px, size_px)


def as_bytes(picture: Tensor) -> NDArray[np.uint8]:
    """(3, H, W) in [0, 1] to (H, W, 3) 8-bit."""
    return np.rint(to_array(picture) * 255).astype(np.uint8)


def main() -> None:
    """Quilt, time and measure each texture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("textures", nargs="*", default=TEXTURES)
    parser.add_argument("--size", type=int, default=256, help="of the texture, in pixels")
    parser.add_argument("--block", type=int, help="in pixels; a seventh of the size, half of that in a transfer")
    parser.add_argument("--iterations", type=int, default=3, help="of a transfer")
    parser.add_argument("--transfer", action="store_true")
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    block_px = given.block or given.size // (14 if given.transfer else 7)
    for name in given.textures:
        source = image(name, given.size)
        start = time.perf_counter()
        if given.transfer:
            target = image("astronaut", given.size)
            quilting = Quilting(
                source, given.size, given.size, block_px=block_px, target=target, num_iterations=given.iterations
            )
        else:
            quilting = Quilting(source, 2 * given.size, 2 * given.size, block_px=block_px)
        while quilting.step < quilting.num_steps:
            quilting.advance()
        seconds = time.perf_counter() - start
        num_blocks = sum(level.num_rows * level.num_columns for level in quilting.levels)
        picture, pixels = as_bytes(quilting.picture), as_bytes(source)
        longest = longest_copy(picture, pixels)
        print(
            f"{name:>8} {given.size} → {picture.shape[1]} px, blocks of {block_px} px: {seconds:5.2f} s, "
            f"{1e3 * seconds / num_blocks:.2f} ms each; patches copied {copied_share(picture, pixels):.1%}, "
            f"off the seams {copied_share(picture, pixels, seams=quilting.seams.numpy()):.2%}; "
            f"longest copy {longest} px = {longest / block_px:.2f} blocks",
            flush=True,
        )
        if given.folder:
            given.folder.mkdir(parents=True, exist_ok=True)
            (given.folder / f"{name}.png").write_bytes(png_bytes(to_array(quilting.picture)))


if __name__ == "__main__":
    main()
