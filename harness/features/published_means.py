"""Mean activations of a published network over many natural photographs, which come with this package.

Gatys et al. 2016, section 2, take means over images; a sparse filter's mean needs hundreds of them. The file
``vgg16_means.safetensors`` holds, measured by a script over the same photographs, what this does:

    python -m harness.features.published_means vgg16 FOLDER

over 120 photographs (shorter side 256 px) of BSDS500 and ImageNet, drawn by a seeded shuffle from a folder of 1,300,
with max pooling (why: ``harness.features.normalise``).
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

FILES = (Path(__file__).with_name("vgg16_means.safetensors"),)

NUM_PHOTOGRAPHS = 120


def published_means(network: str) -> dict[str, Tensor] | None:
    """Layer to (N,) float64 of the network with that hash; None where the package has none.

    Args:
        network: its hash over the canonical tensors (``harness.features.fingerprint``).
    """
    for path in FILES:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("network") == network:
                return {layer: file.get_tensor(layer).double() for layer in file.keys()}  # noqa: SIM118
    return None


def photographs(folder: Path) -> Iterator[Tensor]:
    """The (1, 3, H, W) photographs that a measurement is over."""
    from harness.distillation.image_sets import is_held_out, read_photograph

    paths = [path for path in sorted(folder.glob("*")) if not is_held_out(path.name)]
    random.Random(1).shuffle(paths)
    for path in paths[: 2 * NUM_PHOTOGRAPHS : 2]:
        yield read_photograph(path)[None].float() / 255


def main(name: str, folder: Path) -> None:
    """Measure a named network and write its means beside this file."""
    from harness.features.normalise import NORMALISED_WITH, mean_activations
    from harness.features.weights import load_state

    loaded = load_state(name)  # type: ignore[arg-type]
    means = mean_activations(loaded.state, photographs(folder), *NORMALISED_WITH)
    path = Path(__file__).with_name(f"{name}_means.safetensors")
    save_file({layer: mean.float() for layer, mean in means.items()}, path, {"network": loaded.network_hash})
    print(f"Wrote {path}: {len(means)} layers of {loaded.description}.")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1], Path(sys.argv[2]))
