"""A row's checkpoint: its optimiser's state, next image included, and its count of evaluations; one safetensors file.

A row has its own, so that it can be resumed in another batch, alone, or on another device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import safetensors
import safetensors.torch
from torch import Tensor

from harness.runs.store import RunFolder, write_atomically

SCHEMA = "1"
_NUMBERS = ("evaluation", "level", "level_began", "is_at_end")


@dataclass(frozen=True)
class Checkpoint:
    """What is needed to go on.

    Attributes:
        evaluation: evaluations behind the row.
        optimizer: the optimiser's state of the row, its next image and its best one included; plain tensors.
        level: which level the row is in; the state is of that level.
        level_began: evaluations behind it when the level began.
        is_at_end: whether it has reached the level's end: the next one begins from the best image of the state.
    """

    evaluation: int
    optimizer: Mapping[str, Tensor]
    level: int = 0
    level_began: int = 0
    is_at_end: bool = False


def save_checkpoint(folder: RunFolder, checkpoint: Checkpoint) -> None:
    """Write an active row's checkpoint atomically.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.optimizer.items()}
    metadata = {"schema": SCHEMA} | {name: str(int(getattr(checkpoint, name))) for name in _NUMBERS}
    write_atomically(folder.checkpoint_path, safetensors.torch.save(tensors, metadata))


def load_checkpoint(folder: RunFolder) -> Checkpoint | None:
    """A row's checkpoint, or None where there is none that can be read: the row then begins again."""
    try:
        with safetensors.safe_open(folder.checkpoint_path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, safetensors.SafetensorError):
        return None
    if metadata.get("schema") != SCHEMA:
        return None
    numbers = {name: int(metadata.get(name, 0)) for name in _NUMBERS}  # a run without levels had the first one only
    is_at_end = bool(numbers.pop("is_at_end"))
    return Checkpoint(optimizer=tensors, is_at_end=is_at_end, **numbers)
