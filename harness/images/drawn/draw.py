"""Draw the style images and masks again: ``python -m harness.images.drawn.draw [--check] [NAME …]``.

Equal pixels are the contract, see ``canvas``. A file is rewritten only when its pixels differ, because zlib and
its replacements (zlib-ng) pack the same pixels into different bytes.
"""

from __future__ import annotations

import argparse
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.files import write_whole
from harness.images.drawn import colour_fields, dots, ink, mosaic, regions, shards, strokes, waves

PICTURES: dict[str, Callable[[], NDArray[np.uint8]]] = {
    "strokes": strokes.draw,
    "mosaic": mosaic.draw,
    "ink": ink.draw,
    "colour_fields": colour_fields.draw,
    "waves": waves.draw,
    "shards": shards.draw,
    "dots": dots.draw,
    **regions.PICTURES,
}
FOLDER = Path(__file__).parent


def encode(picture: NDArray[np.uint8]) -> bytes:
    """A palette PNG (ISO/IEC 15948), packed by Python's own zlib: unlike Pillow's zlib-ng, zlib knows no CPU features.

    The palette is sorted and the rows are not filtered, so equal pixels are equal bytes under the same zlib.
    """
    palette, index = np.unique(picture.reshape(-1, 3), axis=0, return_inverse=True)
    assert len(palette) <= 256
    height, width = picture.shape[:2]
    rows = np.zeros((height, width + 1), dtype=np.uint8)  # each row begins with its filter: 0, none
    rows[:, 1:] = index.reshape(height, width)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    packed = zlib.compress(rows.tobytes(), 9)
    chunks = ((b"IHDR", header), (b"PLTE", palette.tobytes()), (b"IDAT", packed), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def pixels_of(path: Path) -> NDArray[np.uint8] | None:
    """The pixels of a committed picture, or None when it is not there."""
    if not path.is_file():
        return None
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def main(arguments: list[str] | None = None) -> int:
    """Draw or check; 0 when every picture is as it should be, 1 when a check found another."""
    parser = argparse.ArgumentParser(
        prog="python -m harness.images.drawn.draw", description="Draw the style images and masks."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(PICTURES)}; all when left out")
    parser.add_argument("--check", action="store_true", help="write nothing, compare with the files")
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in PICTURES:
            parser.error(f"there is no picture {name!r}; allowed are {', '.join(PICTURES)}")
    num_different = 0
    for name in options.names or PICTURES:
        path = FOLDER / f"{name}.png"
        picture, committed = PICTURES[name](), pixels_of(path)
        if committed is not None and np.array_equal(picture, committed):
            print(f"{name}: the same")
        elif options.check:
            num_different += 1
            print(f"{name}: differs from {path}; draw it again without --check")
        else:
            write_whole(path, encode(picture))
            print(f"{name}: drawn, {path.stat().st_size} bytes")
    return 1 if num_different else 0


if __name__ == "__main__":
    sys.exit(main())
