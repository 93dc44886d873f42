"""Measure the mean activations that come with this package: ``python -m harness.distillation.means vgg16 FOLDER``."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from harness.distillation.image_sets import is_held_out, read_photograph
from harness.features import published_means
from harness.features.normalise import NORMALISED_WITH, mean_activations
from harness.features.weights import load_state

NUM_PHOTOGRAPHS = 120
FOLDER = Path(published_means.__file__).parent


def photographs(folder: Path) -> Iterator[Tensor]:
    """The (1, 3, H, W) photographs that a measurement is over."""
    paths = [path for path in sorted(folder.glob("*")) if not is_held_out(path.name)]
    random.Random(1).shuffle(paths)
    for path in paths[: 2 * NUM_PHOTOGRAPHS : 2]:
        yield read_photograph(path)[None].float() / 255


def main(name: str, folder: Path) -> None:
    """Measure a named network and write its means where the package has them."""
    loaded = load_state(name)  # type: ignore[arg-type]
    means = mean_activations(loaded.state, photographs(folder), *NORMALISED_WITH)
    path = FOLDER / f"{name}_means.safetensors"
    save_file({layer: mean.float() for layer, mean in means.items()}, path, {"network": loaded.network_hash})
    print(f"Wrote {path}: {len(means)} layers of {loaded.description}.")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1], Path(sys.argv[2]))
