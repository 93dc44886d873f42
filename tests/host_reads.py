"""Forbids what would make the host wait for a GPU: reading a tensor's numbers, and shapes that depend on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

READS = ("cpu", "numpy", "tolist", "item", "__bool__", "__int__", "__float__", "__index__", "__array__")
"""Methods by which numbers come to the host; on the CPU some of them are no operation that is dispatched."""

COPIES = ("tensor", "as_tensor", "new_tensor", "from_numpy")
"""Functions by which a list's numbers go to the device."""

OF_VALUES = (
    "_local_scalar_dense", "item", "is_nonzero", "nonzero", "nonzero_numpy", "masked_select", "argwhere", "equal",
    "_unique2", "unique_dim", "unique_consecutive", "allclose",
)  # fmt: skip
"""Operations that read numbers, or whose result has a shape that depends on them."""

INDEXED = ("index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put")


class HostReadError(AssertionError):
    """The host would wait for the device."""


def _told(name: str) -> HostReadError:
    return HostReadError(f"{name} would make the host wait for the device")


class _ByMethod(TorchFunctionMode):
    def __init__(self, forbidden: Sequence[str]) -> None:
        super().__init__()
        self.forbidden = forbidden

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name = getattr(function, "__name__", "")
        if name in self.forbidden:
            raise _told(name)
        targets = [value for value in (*args[1:], *(kwargs or {}).values()) if isinstance(value, torch.device | str)]
        if name == "to" and any(torch.device(t).type == "cpu" for t in targets if t != "channels_last"):
            raise _told("to(cpu)")
        return function(*args, **(kwargs or {}))


class _ByOperation(TorchDispatchMode):
    def __torch_dispatch__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = function.overloadpacket.__name__
        by_mask = name in INDEXED and any(
            isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        if name in OF_VALUES or by_mask:
            raise _told(f"{name} by a mask" if by_mask else name)
        return function(*args, **(kwargs or {}))


class CountedFloats(TorchFunctionMode):
    """Counts how often a tensor is made a number."""

    count = 0

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        self.count += getattr(function, "__name__", "") == "__float__"
        return function(*args, **(kwargs or {}))


@contextmanager
def no_host_reads(copies: bool = True) -> Iterator[None]:
    """Raise a ``HostReadError`` where numbers are read; with ``copies`` also where a list's go to the device."""
    with _ByMethod((*READS, *COPIES) if copies else READS), _ByOperation():
        yield
