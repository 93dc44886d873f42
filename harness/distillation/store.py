"""Crops and the teacher's maps of them on disk, computed once: the teacher costs ten times as much as the student."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from harness.distillation.targets import Directions
from harness.features.vgg import VGG, map_shape
from harness.files import write_whole

LARGEST = torch.finfo(torch.float16).max


class TargetStore:
    """``num`` crops with their T / √energy of every layer, float16, in files that are mapped into memory.

    Args:
        folder: where they lie; a store of another shape that lies there is replaced.
        num: crops.
        side_px: of a crop.
        widths: layer to K.

    Raises:
        OSError: the disk has no room for them.
    """

    def __init__(self, folder: Path, num: int, side_px: int, widths: Mapping[str, int]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.num, self.widths = num, dict(widths)
        self._done_file = folder / "done.json"
        self._shape = {"num": num, "side_px": side_px, "widths": self.widths}
        shapes: dict[str, tuple[int, ...]] = {"crops": (num, 3, side_px, side_px)}
        for layer, K in widths.items():
            height, width = map_shape(layer, side_px, side_px)
            shapes[layer] = (num, height * width, K)
        types = {name: np.dtype(np.uint8 if name == "crops" else np.float16) for name in shapes}
        paths = {name: folder / f"{name}.bin" for name in shapes}
        sizes = {name: int(np.prod(shapes[name])) * types[name].itemsize for name in shapes}
        if self._read_done() is None or any(_size_of(paths[name]) != sizes[name] for name in shapes):
            self._done_file.unlink(missing_ok=True)  # first: what it counts is about to go
            for name, path in paths.items():
                _reserve(path, sizes[name])
            self._write_done(0)
        maps = {name: _mapped(paths[name], shapes[name], types[name]) for name in shapes}
        self._crops = maps.pop("crops")
        self._targets = maps

    @property
    def num_done(self) -> int:
        """How many of the crops, the first ones, have their maps."""
        return self._read_done() or 0

    @torch.no_grad()
    def fill(
        self,
        make_crop: Callable[[int], Tensor],
        teacher: VGG,
        directions: Mapping[str, Directions],
        on_crop: Callable[[int], None] = lambda done: None,
    ) -> None:
        """Compute what is missing, going on where it stopped.

        Args:
            make_crop: from a crop's number to (3, side, side) uint8.
            teacher: its maps with all filters.
            directions: of every layer, at least as many as the store's.
            on_crop: called with how many are done.
        """
        device = teacher.bias("input").device
        bases = {layer: directions[layer].scaled_basis()[:, :K].float().to(device) for layer, K in self.widths.items()}
        for index in range(self.num_done, self.num):
            crop = make_crop(index)
            self._crops[index] = crop.numpy()
            for layer, F in teacher(crop[None].to(device).float() / 255, self.widths).items():
                targets = (F[0].flatten(1).T @ bases[layer]).clamp(-LARGEST, LARGEST)
                self._targets[layer][index] = targets.half().cpu().numpy()
            self._write_done(index + 1)  # the maps survive this process: they are the system's to write
            on_crop(index + 1)

    def crops(self, indices: Sequence[int]) -> Tensor:
        """(B, 3, side, side) sRGB in [0, 1]."""
        return torch.from_numpy(self._crops[list(indices)]).float() / 255

    def targets(self, layer: str, indices: Sequence[int], K: int | None = None) -> Tensor:
        """(B, M, K) T / √energy, of the first K directions."""
        return torch.from_numpy(self._targets[layer][list(indices)][..., :K]).float()

    def _read_done(self) -> int | None:
        """How many are done; None where no store of this shape lies here."""
        try:
            held = json.loads(self._done_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return int(held["done"]) if held == {**self._shape, "done": held.get("done")} else None

    def _write_done(self, done: int) -> None:
        write_whole(self._done_file, json.dumps({**self._shape, "done": done}).encode())


def store_bytes(num: int, side_px: int, widths: Mapping[str, int]) -> int:
    """What a store takes on disk."""
    positions = {layer: int(np.prod(map_shape(layer, side_px, side_px))) for layer in widths}
    return num * (3 * side_px**2 + sum(2 * K * positions[layer] for layer, K in widths.items()))


def _size_of(path: Path) -> int | None:
    return path.stat().st_size if path.exists() else None


def _reserve(path: Path, num_bytes: int) -> None:
    """A new file of zeros that has its room on the disk: writing into a map of a file that has none is a crash."""
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, num_bytes)
        else:
            file.truncate(num_bytes)


def _mapped(path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[np.generic]:
    return np.memmap(path, dtype=dtype, mode="r+", shape=shape)
