"""A device beside the CPU that refuses what a GPU refuses: tensors of the two in one operation.

Its tensors say that they are on ``meta``, and hold real numbers, with which the CPU computes. Only what is moved there
(``.to``, ``device=``) is there; whoever meets a tensor of the CPU there, or draws there from a generator of the CPU,
gets the error that CUDA raises. Single numbers may come along, as on a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

OTHER = torch.device("meta")
MOVING = ("copy_", "_to_copy")


class There(Tensor):
    """A tensor on the other device."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> There:
        found: There = Tensor._make_wrapper_subclass(
            cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            layout=held.layout, device=OTHER,
        )  # fmt: skip
        found.held = held
        return found

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(function, args, kwargs or {})


def _computed(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    flat, _ = tree_flatten((args, kwargs))
    there = [x for x in flat if isinstance(x, There)]
    here = [x for x in flat if isinstance(x, Tensor) and not isinstance(x, There) and x.dim() > 0]
    name, device = function.overloadpacket.__name__, kwargs.get("device")
    if there and here and name not in MOVING:
        raise RuntimeError(f"{name}: Expected all tensors to be on the same device, but found at least two devices")
    is_there = bool(there) if device is None else torch.device(device).type == OTHER.type
    if is_there and kwargs.get("generator") is not None:
        raise RuntimeError(f"{name}: Expected a generator of this device, but found one of the CPU")
    given = {**kwargs, "device": torch.device("cpu")} if device is not None else dict(kwargs)
    args, given = tree_map_only(There, lambda x: x.held, (args, given))
    found = function(*args, **given)
    return tree_map_only(Tensor, There, found) if is_there else found


class _Mode(TorchDispatchMode):
    """Sees to what no tensor of the device takes part in: what is made there, or moved there."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(function, args, kwargs or {})


class _Made(TorchFunctionMode):
    """Has tensors that are made of a list's numbers moved there, as they are on a GPU; ``meta`` would lose them."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = dict(kwargs or {}), getattr(function, "__name__", "")
        if name == "new_tensor" and isinstance(args[0], There):
            return torch.tensor(args[1], dtype=kwargs.get("dtype", args[0].dtype)).to(OTHER)
        if name in ("tensor", "as_tensor") and torch.device(kwargs.get("device") or "cpu").type == OTHER.type:
            del kwargs["device"]
            return function(*args, **kwargs).to(OTHER)
        return function(*args, **kwargs)


@contextmanager
def other_device() -> Iterator[torch.device]:
    """The device, which is there as long as this lasts."""
    with _Mode(), _Made():
        yield OTHER
