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


@dataclass(frozen=True)
class Checkpoint:
    """What is needed to go on.

    Attributes:
        evaluation: evaluations behind the row.
        optimizer: the optimiser's state of the row, its next image and its best one included; plain tensors.
    """

    evaluation: int
    optimizer: Mapping[str, Tensor]


def save_checkpoint(folder: RunFolder, checkpoint: Checkpoint) -> None:
    """Write an active row's checkpoint atomically.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.optimizer.items()}
    metadata = {"schema": SCHEMA, "evaluation": str(checkpoint.evaluation)}
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
    return Checkpoint(int(metadata["evaluation"]), tensors)
