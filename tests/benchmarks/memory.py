"""Peak memory and time of an evaluation, plain and in tiles, each in a process of its own; beside what the model says.

    python tests/benchmarks/memory.py                      the embedded network at 512, 1024 and 2048 px
    python tests/benchmarks/memory.py --sizes 512 --full   a full-width VGG-19 (random weights)
    python tests/benchmarks/memory.py --masks 8            a style in eight regions

An evaluation's peak is the process's (VmHWM) minus what it held before (VmRSS): Python, torch, network, targets,
images. Whole is the process's own peak, measuring the targets included. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import torch
from full_vgg import full_width

from harness.features.normalise import normalised_state
from harness.features.vgg import VGG, Padding, Pooling
from harness.features.weights import load_state
from harness.objective.gradient import evaluate
from harness.objective.memory import choose_tile, plain_pass_bytes, tiled_pass_bytes
from harness.objective.rows import Objective, RowObjective, StylePart

CONTENT = {"conv4_2": 1.0}
STYLE = {f"conv{block}_1": 0.2 for block in range(1, 6)}
MIB = 2**20


def kib(name: str) -> int:
    """A number of /proc/self/status."""
    return int(Path("/proc/self/status").read_text().split(f"{name}:")[1].split()[0])


def measure(given: argparse.Namespace) -> dict[str, float]:
    """One objective made and evaluated in this process."""
    torch.set_num_threads(given.threads)
    pooling: Pooling = given.pooling
    padding: Padding = given.padding
    state = full_width() if given.full else normalised_state(load_state("embedded"))
    network = VGG(state, "conv5_1", pooling, padding)
    size, tile = given.measure, given.tile or None
    image = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    masks = [torch.full((size, size), 1 / (k + 1)) for k in range(given.masks)]
    parts = tuple(StylePart(0, 1.0, k) for k in range(given.masks)) or (StylePart(),)
    row = RowObjective(1e-3, 1.0, CONTENT, STYLE, styles=parts)
    objective = Objective([row], network, [image[0]], [image[0].flip(1)], masks, tile_px=tile)
    Path("/proc/self/clear_refs").write_text("5")  # the peak from here on
    before, targets = kib("VmRSS"), kib("VmHWM")
    started = time.perf_counter()
    evaluate(objective, network, image, [0], with_content_gradient=given.content_gradient)
    seconds = time.perf_counter() - started
    layers = objective.layers
    modelled = (
        tiled_pass_bytes(network, layers, size, size, tile, 4, len(parts))
        if tile
        else plain_pass_bytes(network, layers, size, size, 4, len(parts))
    )
    return {
        "evaluation_mib": (kib("VmHWM") - before) / 1024,
        "whole_mib": max(kib("VmHWM"), targets) / 1024,
        "modelled_mib": modelled / MIB,
        "seconds": seconds,
        "chosen": choose_tile(network, layers, size, size, 4) or 0,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024, 2048])
    parser.add_argument("--tiles", type=int, nargs="+", default=[0, 512, 1024], help="0: the whole image at once")
    parser.add_argument("--full", action="store_true", help="a full-width VGG-19")
    parser.add_argument("--pooling", choices=["average", "max"], default="average")
    parser.add_argument("--padding", choices=["zeros", "reflect"], default="zeros")
    parser.add_argument("--content-gradient", action="store_true", help="the content term's gradient as well")
    parser.add_argument("--masks", type=int, default=0, help="regions of the style; 0: everywhere")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--tile", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given)))
        return
    for size in given.sizes:
        for tile in (tile for tile in given.tiles if tile < size):
            command = [sys.executable, __file__, *sys.argv[1:], "--measure", str(size), "--tile", str(tile)]
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
            found = json.loads(done.stdout)
            how = f"tiles of {tile} px" if tile else "plain"
            print(
                f"{size}×{size} px, {how}: evaluation {found['evaluation_mib']:.0f} MiB (model "
                f"{found['modelled_mib']:.0f}), whole process {found['whole_mib']:.0f} MiB, {found['seconds']:.1f} s; "
                f"chosen tile: {found['chosen']:.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
