"""A whole ablation by one command against textbook code, to the same losses: 20 cells, VGG-16, 256 px, two cores.

    python tests/benchmarks/ablation.py /tmp/ablation               about 15 min
    python tests/benchmarks/ablation.py /tmp/ablation --network embedded --evaluations 100

Five ratios by four sets of style layers (the paper's figures 3 and 4). Textbook takes ``--evaluations`` for each of
four cells from noise, with both cores; its time for all twenty is five times that. What the harness has to reach is
the loss of each picture as textbook saves it, in [0, 1]. All twenty have ``--steps`` evaluations at half the size and
at the full one by ``harness run``, whose whole time counts: start, targets, tracking, pictures, figure.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import time
from pathlib import Path

import torch
import yaml
from evaluation import as_a_worker, machine, network_named
from textbook import textbook_loss, textbook_step

from harness.images.library import find_image
from harness.images.noise import noise
from harness.images.resize import photograph_of

RATIOS = (1e-4, 1e-3, 1e-2, 3e-2, 1e-1)
LAYERS = tuple(f"conv{block}_1" for block in range(1, 6))
SETS = tuple(LAYERS[:num] for num in (2, 3, 4, 5))
MEASURED = tuple(zip((1e-3, 1e-1, 3e-2, 1e-2), SETS, strict=True))
"""One cell with each set of layers: textbook computes no deeper than it must."""


def experiment(network: str, steps: int) -> str:
    """The cells' YAML."""
    weights = [{layer: 1 / len(layers) for layer in layers} for layers in SETS]
    transfer = {"content": "astronaut", "style": "strokes", "start": "noise", "seed": 0, "size": 256, "steps": steps}
    return yaml.safe_dump(
        {"transfer": {**transfer, "weights": network}, "axes": {"alpha": [*RATIOS], "style_layers": weights}},
        sort_keys=False,
    )


def run(folder: Path, name: str, text: str) -> tuple[float, Path]:
    """Seconds of ``harness run`` on both cores, and the runs' folder."""
    path = folder / f"{name}.yaml"
    path.write_text(text)
    began = time.perf_counter()
    command = ["harness", "run", str(path), "--out", str(folder / "runs"), "--devices", "cpu:2"]
    subprocess.run([str(Path(sys.executable).with_name(command[0])), *command[1:]], check=True, capture_output=True)
    return time.perf_counter() - began, folder / "runs" / name


def curves_of(runs: Path) -> dict[tuple[float, int], list[tuple[int, float]]]:
    """By ratio and number of style layers: evaluations at full size and lowest loss so far, as they were recorded."""
    found = {}
    for manifest in runs.glob("*/manifest.json"):
        transfer = yaml.safe_load((manifest.parent / "transfer.yaml").read_text())
        behind = sum(level["steps"] for level in transfer["pyramid"])
        curve, lowest = [], float("inf")
        with (manifest.parent / "history.csv").open(newline="") as file:
            for line in csv.DictReader(file):
                if (number := int(line["evaluation"]) - behind) > 0:
                    lowest = min(lowest, float(line["total"]))
                    curve.append((number, lowest))
        found[float(transfer["alpha"]), len(transfer["style_layers"])] = curve
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for experiments and runs; empty or not there")
    parser.add_argument("--network", default="vgg16", choices=["vgg16", "embedded"])
    parser.add_argument("--evaluations", type=int, default=500, help="of textbook")
    parser.add_argument("--steps", type=int, default=80, help="of the harness, at each size")
    given = parser.parse_args()
    as_a_worker()
    given.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(2)
    network = network_named(given.network)
    content, style = (photograph_of(str(find_image(name)), (256, 256)) for name in ("astronaut", "strokes"))
    start = noise(256, 256, 0.02, "white", torch.Generator().manual_seed(0))
    print(f"{machine()}\n{given.network}, 256 px, {given.evaluations} evaluations of textbook\n")
    targets, seconds = {}, 0.0
    for alpha, layers in MEASURED:
        loss = textbook_loss(network, content, style, alpha, layers)
        step, image = textbook_step(loss, start)
        began = time.perf_counter()
        for _ in range(given.evaluations):
            step()
        seconds += time.perf_counter() - began
        with torch.no_grad():
            targets[alpha, len(layers)] = float(loss(image.detach().clamp(0, 1)))
    print(f"textbook: {seconds:.0f} s for 4 cells, so {5 * seconds:.0f} s for 20", flush=True)

    own, runs = run(given.folder, "twenty", experiment(given.network, given.steps))
    curves = curves_of(runs)
    print("| α/β | style layers | textbook's loss | harness | reached after |\n" + "| --- " * 5 + "|")
    for (alpha, num), target in targets.items():
        curve = curves[alpha, num]
        reached = next((str(number) for number, lowest in curve if lowest <= target), "not reached")
        print(f"| {alpha:g} | {num} | {target:.4g} | {curve[-1][1]:.4g} | {reached} |")
    print(f"\nharness run: 20 cells in {own:.0f} s: {own / (5 * seconds):.3f} of textbook's time")


if __name__ == "__main__":
    main()
