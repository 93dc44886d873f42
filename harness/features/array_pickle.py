"""Read a pickle of nested dicts of float32 arrays; nothing that a pickle may call is ever called.

A pickle is a program: it names functions, calls them, and sets the state of what they return. Here the three names that
numpy writes for an array stand for objects of this file that take numpy's own arguments and states alone, and every
other name is refused. numpy sees an array's bytes once their number is the right one, and never the pickle.
"""

from __future__ import annotations

import io
import math
import pickle

import numpy as np

from harness.errors import WeightsError


class _Name:
    """What a name stands for in a pickle; it has no state, so that no pickle can leave one in this process."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("a state for a name")


class _NdarrayName(_Name):
    """``numpy.ndarray``: an argument of ``_reconstruct``, which cannot be called."""

    __slots__ = ()


class _DtypeName(_Name):
    """``numpy.dtype``, called as ``dtype("f4", False, True)``."""

    __slots__ = ()

    def __call__(self, code: object, align: object, copy: object) -> _Dtype:
        if code != "f4":
            raise pickle.UnpicklingError(f"values of kind {code!r}, where float32 alone is allowed")
        return _Dtype()


class _ReconstructName(_Name):
    """``_reconstruct``, called as ``_reconstruct(ndarray, (0,), b"b")``: an array whose values come next."""

    __slots__ = ()

    def __call__(self, kind: object, shape: object, code: object) -> _Array:
        if kind is not _NDARRAY or shape != (0,) or code != b"b":
            raise pickle.UnpicklingError("an array that does not begin as numpy's do")
        return _Array()


class _Dtype:
    """float32 in the byte order that its state tells: ``<`` or ``>``, as numpy writes them."""

    __slots__ = ("order",)
    order: str

    def __setstate__(self, state: object) -> None:
        for order in "<>":
            if state == (3, order, None, None, None, -1, -1, 0):  # no subarray, names, fields; sizes by kind; no flags
                self.order = order
                return
        raise pickle.UnpicklingError("a dtype that is not plain float32")


class _Array:
    """An array; its state is numpy's: version, shape, dtype, whether Fortran's order, bytes."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: np.ndarray | None = None

    def __setstate__(self, state: object) -> None:
        match state:
            case tuple((1, tuple(shape), _Dtype(order=order), bool(is_fortran), bytes(data))):
                if not all(type(length) is int and length >= 0 for length in shape):
                    raise pickle.UnpicklingError("an array whose shape is none")
                if len(data) != 4 * math.prod(shape):
                    raise pickle.UnpicklingError(f"an array of shape {shape} in {len(data)} bytes")
                values = np.frombuffer(data, f"{order}f4").astype(np.float32)
                self.values = values.reshape(shape, order="F" if is_fortran else "C")
            case _:
                raise pickle.UnpicklingError("an array whose state is not numpy's")


_NDARRAY = _NdarrayName()
_RECONSTRUCT = _ReconstructName()
_NAMES: dict[tuple[str, str], _Name] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,  # numpy before 2.0
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _DtypeName(),
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> _Name:
        """One of the three names, or a refusal; nothing is imported."""
        if (module, name) not in _NAMES:
            raise pickle.UnpicklingError(f"{module}.{name}, which is no array")
        return _NAMES[module, name]


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
    elif isinstance(held, _Array) and held.values is not None:
        into[path] = held.values
    else:
        kind = "an array without values" if isinstance(held, _Array) else f"a {type(held).__name__}"
        raise pickle.UnpicklingError(f"{kind} at {path or 'its top'}")
