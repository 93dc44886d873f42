"""What is asked of a device without waiting for it: copies into the host's memory, and when something was done.

Both are read later, by whoever writes them down. On the CPU everything launched is done, and nothing waits.
Not measured on a GPU yet.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

Moment = Callable[[], float]
"""When something was done, in seconds by ``time.monotonic``; asking waits until it is."""


def now() -> Moment:
    """The present moment, by the host's clock."""
    seconds = time.monotonic()
    return lambda: seconds


class Mark(Protocol):
    """A point in a device's work, as ``torch.cuda.Event`` is."""

    def synchronize(self) -> None:
        """Wait until the device has come there."""

    def elapsed_time(self, end_event: Any) -> float:
        """Milliseconds from here to a later mark; both must have been reached."""


class DeviceClock:
    """Tells when the device has done what it was given, where the host runs ahead of it.

    Args:
        mark: sets a mark behind all that the device was given so far.
    """

    def __init__(self, mark: Callable[[], Mark]) -> None:
        self._mark = mark
        self._began = mark()
        self._began.synchronize()
        self._began_s = time.monotonic()

    def __call__(self) -> Moment:
        """The moment when the device has done all that it was given before this call."""
        return partial(self._seconds, self._mark())

    def _seconds(self, mark: Mark) -> float:
        mark.synchronize()
        return self._began_s + self._began.elapsed_time(mark) / 1000


def clock_of(device: torch.device) -> Callable[[], Moment]:
    """The clock by which a device's work is timed: its own where it is a GPU."""
    return DeviceClock(partial(_cuda_mark, device)) if device.type == "cuda" else now


def _cuda_mark(device: torch.device) -> Mark:
    event = torch.cuda.Event(enable_timing=True)
    event.record(torch.cuda.current_stream(device))
    mark: Mark = event
    return mark


class OnHost:
    """Tensors on their way into the host's memory; whoever hands them over does not change them any more.

    From a GPU they are copied to pinned memory in the order of its stream, so that their own memory can be used again
    at once. Those of the CPU are there: nothing is copied.

    Args:
        tensors: by name, of any devices.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = {name: tensor.detach().to("cpu", non_blocking=True) for name, tensor in tensors.items()}
        self.num_bytes = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        devices = {tensor.device for tensor in tensors.values() if tensor.is_cuda}
        self._marks = [_cuda_mark(device) for device in devices]

    def tensors(self) -> dict[str, Tensor]:
        """The tensors on the CPU, once they are there."""
        for mark in self._marks:
            mark.synchronize()
        return self._tensors
