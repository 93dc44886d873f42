"""Read the tensors of a ``.pth``, ``.pt`` or ``.safetensors`` file without running any code it may carry."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from harness.errors import WeightsError

WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "network", "net", "vgg", "weights", "params")
"""Keys under which training scripts nest a state dict."""


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a weights file by key, and its metadata (empty for torch files).

    The kind is recognised by the first bytes, not by the file's name: downloads often have none.

    Raises:
        WeightsError: the file is neither kind, is cut off or damaged, or holds something else than tensors.
    """
    with path.open("rb") as file:
        head = file.read(64)
    if head[8:9] == b"{":
        return _read_safetensors(path)
    if head[:4] == b"PK\x03\x04" or head[:1] == b"\x80":
        return _read_torch(path), {}
    if head.lstrip()[:1] == b"<":
        raise WeightsError(f"{path} is a web page, not network weights. Download the file itself.")
    if head.startswith(b"version https://git-lfs"):
        raise WeightsError(f"{path} is a Git LFS pointer, not the weights themselves. Run `git lfs pull` beside it.")
    raise WeightsError(
        f"{path} is neither a torch file (.pth, .pt) nor a safetensors file, or it is damaged. "
        "Save the network's state dict with torch.save or safetensors."
    )


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path} is a damaged or incomplete safetensors file. Download or copy it again.") from error


def _read_torch(path: Path) -> dict[str, Tensor]:
    is_zip = zipfile.is_zipfile(path)
    with path.open("rb") as file:
        if file.read(2) == b"PK" and not is_zip:
            raise WeightsError(f"{path} is cut off: the end of the file is missing. Download or copy it again.")
    try:
        # mmap leaves the fully connected layers (4/5 of torchvision's file) on disk; the format before torch 1.6, in
        # which both VGG-19 downloads are published, cannot be mapped.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's advice on how the file should have been saved
            held = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except pickle.UnpicklingError as error:
        if re.search("Unsupported (global|class)|allowed global", str(error)):
            raise WeightsError(
                f"{path} holds Python objects, not only tensors, and reading those could run code. "
                "Save the state dict alone: torch.save(network.state_dict(), path)."
            ) from error
        raise WeightsError(f"{path} is damaged or no torch file. Download or copy it again.") from error
    except Exception as error:  # a damaged file makes torch raise anything from EOFError to KeyError
        raise WeightsError(f"{path} is damaged or no torch file. Download or copy it again.") from error
    tensors = _tensors_in(held)
    if not tensors:
        raise WeightsError(
            f"{path} holds {_kind(held)}, not a state dict (names with tensors). "
            "Save the state dict: torch.save(network.state_dict(), path)."
        )
    return tensors


def _tensors_in(held: object) -> dict[str, Tensor]:
    """The state dict in what a file held: itself, or nested under one of the usual keys."""
    if not isinstance(held, Mapping):
        return {}
    tensors = {key: value for key, value in held.items() if isinstance(key, str) and isinstance(value, Tensor)}
    if tensors:
        return tensors
    return next((found for key in WRAPPERS if (found := _tensors_in(held.get(key)))), {})


def _kind(held: object) -> str:
    if isinstance(held, Mapping):
        return "an empty dict" if not held else f"a dict of {', '.join(str(key) for key in list(held)[:4])}"
    return f"a {type(held).__name__}"
