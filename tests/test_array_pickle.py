"""The pickle of the registry's network: arrays come through, and nothing is ever called."""

from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import WeightsError
from harness.features.array_pickle import read_arrays

PLAIN_DTYPE = (3, "<", None, None, None, -1, -1, 0)
ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)


class Calls:
    """Pickled as a call, as an attacker would write it."""

    def __init__(self, function: Any, *given: Any) -> None:
        self.call = (function, given)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


class Built:
    """Pickled as a call whose result is then given a state."""

    def __init__(self, function: Any, given: tuple[Any, ...], state: Any) -> None:
        self.parts = (function, given, state)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...], Any]:
        return self.parts


def dtype(state: Any) -> Built:
    return Built(np.dtype, ("f4", False, True), state)


def pickled(state: Any) -> bytes:
    """A pickle as numpy writes it, of one array with this state."""
    reconstruct = np.zeros(0).__reduce__()[0]  # its module was renamed in numpy 2
    return pickle.dumps({"a": Built(reconstruct, (np.ndarray, (0,), b"b"), state)}, protocol=3)


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_nested_dicts_come_through_to_the_bit(protocol: int, order: Any) -> None:
    held = {"a": {"b": np.array(ARRAY, order=order), "c": ARRAY[0]}, "d": ARRAY.astype(">f4")}
    found = read_arrays(pickle.dumps(held, protocol=protocol), "it")
    assert list(found) == ["a/b", "a/c", "d"]
    assert all(np.array_equal(found[k], array) for k, array in (("a/b", ARRAY), ("a/c", ARRAY[0]), ("d", ARRAY)))
    assert all(array.dtype == np.float32 for array in found.values())


def test_names_of_numpy_before_and_after_2_are_both_known() -> None:
    written = pickle.dumps({"a": ARRAY}, protocol=3)
    for name in (b"numpy.core.multiarray", b"numpy._core.multiarray"):
        spelt = written.replace(b"numpy._core.multiarray", name).replace(b"numpy.core.multiarray", name)
        assert np.array_equal(read_arrays(spelt, "it")["a"], ARRAY)


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("function", ["system", "eval", "open", "load", "getattr"])
def test_a_pickle_that_calls_anything_is_refused_and_nothing_is_called(
    tmp_path: Path, function: str, protocol: int
) -> None:
    trace = tmp_path / "trace"
    calls = {
        "system": Calls(os.system, f"touch {trace}"),
        "eval": Calls(eval, f"open({str(trace)!r}, 'w').close()"),
        "open": Calls(open, str(trace), "w"),
        "load": Calls(np.load, str(trace), "r", True),
        "getattr": Calls(getattr, ARRAY, "tofile"),
    }
    data = pickle.dumps({"VGG16_0": {"a": ARRAY, "b": calls[function]}}, protocol=protocol)
    with pytest.raises(
        WeightsError, match=r"the file is not a plain pickle .*which is no array.*Nothing in it was run"
    ):
        read_arrays(data, "the file")
    assert not trace.exists()


def _names(name: str, *given: bytes) -> bytes:
    """A pickle that calls one of the three allowed names with other arguments than numpy's."""
    return b"\x80\x02c" + name.encode() + b"\n(" + b"".join(given) + b"tR."


@pytest.mark.parametrize(
    "data",
    {
        "ndarray called": _names("numpy\nndarray", b"(J\xff\xff\xff\x7ft"),
        "dtype of objects": _names("numpy\ndtype", b"X\x01\x00\x00\x00O"),
        "reconstruct of no array": _names("numpy.core.multiarray\n_reconstruct", b"N", b"(K\x00t", b"U\x01b"),
        "reconstruct of a large one": _names("numpy.core.multiarray\n_reconstruct", b"cnumpy\nndarray\n", b"N", b"N"),
        "a persistent id": b"\x80\x02U\x01aQ.",
        "an extension": b"\x80\x02\x82\x01.",
        "a memo that is not there": b"\x80\x02h\x05.",
        "a length beyond the file": b"\x80\x03B" + struct.pack("<I", 2**31) + b"a.",
        "text": b"hello",
        "nothing": b"",
        "half": pickle.dumps({"a": ARRAY}, protocol=3)[:-20],
        "objects": pickle.dumps({"a": np.array([{}, None], dtype=object)}, protocol=3),
        "doubles": pickle.dumps({"a": ARRAY.astype(np.float64)}, protocol=3),
        "a record": pickle.dumps({"a": np.zeros(2, [("x", "f4")])}, protocol=3),
        "a number for a key": pickle.dumps({1: ARRAY}, protocol=3),
        "a number for an array": pickle.dumps({"a": 1.0}, protocol=3),
        "an array at its top": pickle.dumps([ARRAY], protocol=3),
        "a dict within itself": b"\x80\x02}q\x00U\x01ah\x00s.",
    }.items(),
    ids=lambda item: item[0],
)
def test_everything_else_gets_a_sentence(data: tuple[str, bytes]) -> None:
    with pytest.raises(WeightsError, match="it is not a plain pickle of dicts and float32 arrays"):
        read_arrays(data[1], "it")


@pytest.mark.parametrize(
    "state",
    {
        "a subarray beyond its bytes": (3, "<", (np.dtype("f4"), (1000,)), None, None, 4000, 4, 0),
        "flags of objects": (3, "<", None, None, None, -1, -1, 0x01),
        "all flags": (3, "<", None, None, None, -1, -1, 0x3F),
        "names": (3, "<", None, ("x",), None, -1, -1, 0),
        "fields": (3, "<", None, ("x",), {"x": (np.dtype("f4"), 0)}, 4, 4, 0),
        "an order of none": (3, "|", None, None, None, -1, -1, 0),
        "another version": (4, "<", None, None, None, -1, -1, 0, None),
        "no tuple": {},
    }.items(),
    ids=lambda item: item[0],
)
def test_dtype_with_another_state_than_float32s_is_refused(state: tuple[str, Any]) -> None:
    assert list(read_arrays(pickled((1, (2,), dtype(PLAIN_DTYPE), False, bytes(8))), "it")["a"]) == [0, 0]
    with pytest.raises(WeightsError, match="a dtype that is not plain float32"):
        read_arrays(pickled((1, (2,), dtype(state[1]), False, bytes(8))), "it")


@pytest.mark.parametrize(
    "state",
    {
        "fewer bytes": (1, (3,), dtype(PLAIN_DTYPE), False, bytes(8)),
        "more bytes": (1, (1,), dtype(PLAIN_DTYPE), False, bytes(8)),
        "a length below 0": (1, (-1, -2), dtype(PLAIN_DTYPE), False, bytes(8)),
        "a length that is no integer": (1, (2.0,), dtype(PLAIN_DTYPE), False, bytes(8)),
        "no bytes": (1, (2,), dtype(PLAIN_DTYPE), False, [1.0, 2.0]),
        "no dtype": (1, (2,), "f4", False, bytes(8)),
        "a dtype without its order": (1, (2,), dtype(None), False, bytes(8)),
        "another version": (0, (2,), dtype(PLAIN_DTYPE), False, bytes(8)),
        "no tuple": [],
    }.items(),
    ids=lambda item: item[0],
)
def test_array_with_another_state_than_numpys_is_refused(state: tuple[str, Any]) -> None:
    with pytest.raises(WeightsError, match="it is not a plain pickle of dicts and float32 arrays"):
        read_arrays(pickled(state[1]), "it")


def test_array_without_its_state_is_refused() -> None:
    with pytest.raises(WeightsError, match="an array without values at a"):
        read_arrays(pickled(None), "it")


@pytest.mark.parametrize("name", [b"numpy\ndtype", b"numpy\nndarray", b"numpy.core.multiarray\n_reconstruct"])
@pytest.mark.parametrize("state", [{"__defaults__": ("f8", "f8")}, (None, {"__defaults__": ("f8", "f8")})])
def test_what_a_name_stands_for_takes_no_state(name: bytes, state: Any) -> None:
    """It would be there for the next pickle, and for the rest of the process."""
    written = pickle.dumps(state, protocol=2)[2:-1]
    with pytest.raises(WeightsError, match="a state for a name"):
        read_arrays(b"\x80\x02c" + name + b"\n" + written + b"b.", "it")
