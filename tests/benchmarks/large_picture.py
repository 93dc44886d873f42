"""A whole transfer at 2048 px, its passes in tiles and as a whole, each in a process of its own: peak memory and time.

    python tests/benchmarks/large_picture.py /tmp/large                    astronaut in strokes, 512, 1024, then 2048 px
    python tests/benchmarks/large_picture.py /tmp/large --size 1024 --steps 5

The peak is the process's own (VmHWM), everything included: Python, torch, network, targets, optimiser. Linux only.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import torch

from harness.config.transfer import Transfer
from harness.config.transfer_parts import Lbfgs, PyramidLevel
from harness.images.library import find_image
from harness.runs.batch import Execution, run_batch
from harness.runs.prepare import Row
from harness.runs.store import Manifest


def carry_out(folder: Path, size_px: int, steps: int, tiles: str) -> None:
    """One transfer in this process."""
    pyramid = (PyramidLevel(size=size_px // 4, steps=10 * steps), PyramidLevel(size=size_px // 2, steps=3 * steps))
    transfer = Transfer(
        content="astronaut", style="strokes", size=size_px, steps=steps, pyramid=pyramid, alpha=1e-2,
        optimiser=Lbfgs(history=10, line_search="backtracking"),
    )  # fmt: skip
    files = {"content": str(find_image("astronaut")), "style": str(find_image("strokes"))}
    row = Row(tiles, folder / tiles, transfer, files, Manifest(tiles, "large"))
    execution = Execution(threads=torch.get_num_threads(), tiles=tiles)  # type: ignore[arg-type]
    (manifest,) = run_batch([row], execution)
    status = Path("/proc/self/status").read_text()
    peak_mib = int(status.split("VmHWM:")[1].split()[0]) / 1024
    numbers = manifest.metrics
    print(
        f"tiles {tiles}: {manifest.status.name}, peak {peak_mib:.0f} MiB, {numbers['seconds']:.0f} s, "
        f"total {numbers['total']:.6g}, {folder / tiles / 'image.png'}"
    )


def main() -> None:
    """Both ways, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--tiles", choices=["auto", "off"])
    asked = parser.parse_args()
    if asked.tiles:
        carry_out(asked.folder, asked.size, asked.steps, asked.tiles)
        return
    for tiles in ("auto", "off"):
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--tiles", tiles], check=True)


if __name__ == "__main__":
    main()
