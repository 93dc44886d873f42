"""Read a pickle of nested dicts of float32 arrays; nothing that a pickle may call is ever called.

A pickle is a program: it names functions and calls them. Here the three names that numpy writes for an array stand for
functions of this file, and every other name is refused.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from harness.errors import WeightsError


class _ArrayType:
    """What ``numpy.ndarray`` stands for in a pickle: a mark, which cannot be called."""


def _reconstruct(kind: object, shape: object, code: object) -> np.ndarray:
    """The empty array that numpy's pickles begin with; its bytes come next."""
    if kind is not _ARRAY or shape != (0,) or code != b"b":
        raise pickle.UnpicklingError("an array that does not begin as numpy's do")
    return np.ndarray((0,), np.int8)


def _dtype(code: object, align: object = False, copy: object = True) -> np.dtype:
    if code != "f4":
        raise pickle.UnpicklingError(f"values of kind {code!r}, where float32 alone is allowed")
    return np.dtype(np.float32, copy=True)  # of its own: the pickle goes on to write into it


_ARRAY = _ArrayType()
_NAMES: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,  # numpy before 2.0
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _ARRAY,
    ("numpy", "dtype"): _dtype,
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        """One of the three names, or a refusal; nothing is imported."""
        if (module, name) not in _NAMES:
            raise pickle.UnpicklingError(f"{module}.{name}, which is no array")
        found: Callable[..., Any] = _NAMES[module, name]
        return found


def read_arrays(data: bytes, what: str) -> dict[str, np.ndarray]:
    """The arrays of a pickle of nested dicts, by their keys joined with ``/``.

    Args:
        data: the pickle.
        what: its name, for the sentences.

    Raises:
        WeightsError: it holds or calls anything else, or is damaged.
    """
    try:
        held = _ArrayUnpickler(io.BytesIO(data)).load()
        arrays: dict[str, np.ndarray] = {}
        _flatten(held, "", arrays)
    except Exception as error:  # a damaged pickle raises anything from EOFError to MemoryError
        reason = str(error) or type(error).__name__
        raise WeightsError(
            f"{what} is not a plain pickle of dicts and float32 arrays ({reason}). Nothing in it was run, nothing was "
            "kept."
        ) from error
    return arrays


def _flatten(held: object, path: str, into: dict[str, np.ndarray]) -> None:
    """Write the leaves of nested dicts into one; the depth is bounded by Python's own limit."""
    if type(held) is dict:
        for key, value in held.items():
            if not isinstance(key, str):
                raise pickle.UnpicklingError(f"the key {key!r}, which is no text")
            _flatten(value, f"{path}/{key}" if path else key, into)
    elif type(held) is np.ndarray and held.dtype == np.float32:
        into[path] = held
    else:
        kind = f"an array of {held.dtype}" if isinstance(held, np.ndarray) else f"a {type(held).__name__}"
        raise pickle.UnpicklingError(f"{kind} at {path or 'its top'}")
