"""Crops and the teacher's maps of them on disk, computed once: the teacher costs ten times as much as the student."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from harness.distillation.targets import Directions
from harness.features.vgg import VGG, map_shape


class TargetStore:
    """``num`` crops with their T / √energy of every layer, float16, in files that are mapped into memory.

    Args:
        folder: where they lie.
        num: crops.
        side_px: of a crop.
        widths: layer to K.
    """

    def __init__(self, folder: Path, num: int, side_px: int, widths: Mapping[str, int]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.num, self.widths = num, dict(widths)
        self._done_file = folder / "done.json"
        self._crops = _mapped(folder / "crops.bin", (num, 3, side_px, side_px), np.uint8)
        self._targets = {}
        for layer, K in widths.items():
            height, width = map_shape(layer, side_px, side_px)
            self._targets[layer] = _mapped(folder / f"{layer}.bin", (num, height * width, K), np.float16)

    @property
    def num_done(self) -> int:
        """How many of the crops, the first ones, have their maps."""
        return int(json.loads(self._done_file.read_text())) if self._done_file.exists() else 0

    @torch.no_grad()
    def fill(
        self,
        make_crop: Callable[[int], Tensor],
        teacher: VGG,
        directions: Mapping[str, Directions],
        on_crop: Callable[[int], None] = lambda done: None,
    ) -> None:
        """Compute what is missing, going on where it stopped."""
        device = teacher.bias("input").device
        for index in range(self.num_done, self.num):
            crop = make_crop(index)
            self._crops[index] = crop.numpy()
            for layer, F in teacher(crop[None].to(device).float() / 255, self.widths).items():
                U = (directions[layer].basis / directions[layer].energy.sqrt()).to(F)
                self._targets[layer][index] = (F[0].flatten(1).T @ U).half().cpu().numpy()
            if index % 50 == 49 or index + 1 == self.num:
                self._done_file.write_text(json.dumps(index + 1))
                on_crop(index + 1)

    def crops(self, indices: Sequence[int]) -> Tensor:
        """(B, 3, side, side) sRGB in [0, 1]."""
        return torch.from_numpy(self._crops[list(indices)]).float() / 255

    def targets(self, layer: str, indices: Sequence[int], K: int | None = None) -> Tensor:
        """(B, M, K) T / √energy, of the first K directions."""
        return torch.from_numpy(self._targets[layer][list(indices)][..., :K]).float()


def _mapped(path: Path, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    num_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    mode = "r+" if path.exists() and path.stat().st_size == num_bytes else "w+"
    return np.memmap(path, dtype=dtype, mode=mode, shape=shape)
