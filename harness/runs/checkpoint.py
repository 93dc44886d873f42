"""A row's checkpoint: its optimiser's state, next image included, and its count of evaluations; one safetensors file.

A row has its own, so that it can be resumed in another batch, alone, or on another device.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import safetensors
import torch
from torch import Tensor

from harness.runs.store import RunFolder, write_durably

if TYPE_CHECKING:
    from typing_extensions import Buffer  # collections.abc has it from Python 3.12 on

SCHEMA = "3"
_DTYPES = {
    torch.float32: "F32", torch.float64: "F64", torch.int64: "I64", torch.int32: "I32", torch.bool: "BOOL"
}  # fmt: skip
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
    metadata = {"schema": SCHEMA, "crc32": _crc32(tensors)} | {
        name: str(int(getattr(checkpoint, name))) for name in _NUMBERS
    }
    write_durably(folder.checkpoint_path, _safetensors(tensors, metadata))


def _safetensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Iterator[Buffer]:
    """The parts of a safetensors file: its length and header, then every tensor's own memory.

    ``safetensors.torch.save`` holds all tensors two more times, 2 GB at 2048 px with ten pairs of L-BFGS.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, tensor in tensors.items():
        begin, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for tensor in tensors.values():
        yield _bytes_of(tensor)


def _bytes_of(tensor: Tensor) -> Buffer:
    return tensor.reshape(-1).view(torch.uint8).numpy().data


def _crc32(tensors: Mapping[str, Tensor]) -> str:
    """A sum that tells a part of a file that a broken disk gave back as zeros; a second for a gigabyte."""
    found = 0
    for name in sorted(tensors):
        found = zlib.crc32(_bytes_of(tensors[name]), found)
    return f"{found:08x}"


def load_checkpoint(folder: RunFolder) -> Checkpoint | None:
    """A row's checkpoint, or None where there is none that can be read: the row then begins again."""
    try:
        with safetensors.safe_open(folder.checkpoint_path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, safetensors.SafetensorError):
        return None
    if metadata.get("schema") != SCHEMA or metadata.get("crc32") != _crc32(tensors):
        return None
    numbers = {name: int(metadata.get(name, 0)) for name in _NUMBERS}  # a run without levels had the first one only
    is_at_end = bool(numbers.pop("is_at_end"))
    return Checkpoint(optimizer=tensors, is_at_end=is_at_end, **numbers)
