"""Every error the harness raises on purpose.

    HarnessError                 exit code 1: something ran and failed
    ├── UsageError               exit code 2: what was asked for cannot be done as written
    │   ├── ConfigError          every fault of a YAML file and its overrides, in one report
    │   ├── ImageError           an image that cannot be found, read or used
    │   ├── WeightsError         network weights that cannot be found, read or used
    │   ├── PluginError          a fault in a user's own measure, statistic, term, network or method
    │   └── DeviceError          a device that is not there
    ├── DownloadError            a download that was refused, cut off or has the wrong hash
    ├── CannotMeasureError       a number that is not there or has no meaning
    ├── RunError                 a run that failed
    │   └── OutOfMemory          too many rows at once for the device; fewer may do
    └── StorageError             a folder or disk that cannot be written; a file in it that is damaged

Library code raises; only ``harness.cli`` prints and exits. A message is one or more whole sentences for the user: what
was given, what is allowed, what to do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


class HarnessError(Exception):
    """Something ran and failed; the message is the sentence shown to the user."""

    exit_code = 1


class UsageError(HarnessError):
    """What was asked for cannot be done as written."""

    exit_code = 2


class ImageError(UsageError):
    """An image cannot be found, read or used."""


class WeightsError(UsageError):
    """Network weights cannot be found, read or used."""


class PluginError(UsageError):
    """A user's plugin fails; the message has its file and line."""


class DeviceError(UsageError):
    """A device is not there."""


class DownloadError(HarnessError):
    """A download was refused, cut off, or has the wrong hash; no file was left behind."""


class CannotMeasureError(HarnessError):
    """A number is not there or has no meaning for these pictures; the message says why."""


class RunError(HarnessError):
    """A run failed; the message names it."""


class OutOfMemory(RunError):
    """The device's memory does not suffice for so many rows at once; fewer may do."""


class StorageError(HarnessError):
    """A folder cannot be written (permissions, space, in use by another process), or a file in it is damaged."""


def is_of_device(error: BaseException) -> bool:
    """Whether CUDA says that something went wrong on the device: the process can then do nothing more there.

    By type's name and words, since nothing here knows torch; what says that memory has run out is to be dealt with
    before.
    """
    words = ("CUDA error", "cuDNN error")
    return isinstance(error, RuntimeError) and (
        type(error).__name__ == "AcceleratorError" or any(word in str(error) for word in words)
    )


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a configuration.

    Attributes:
        where: file and line (``experiments/a.yaml:12``) or the override as it was typed.
        field: dotted name of the field, e.g. ``transfer.alpha``; empty when the fault is not in one field.
        message: what was given, what is allowed, and the likely intention.
    """

    where: str
    field: str
    message: str

    def __str__(self) -> str:
        """One line: where, which field, what is wrong; of an address no user, password or key."""
        line = f"{self.where}: {self.field}: {self.message}" if self.field else f"{self.where}: {self.message}"
        return re.sub(r"([?&;#][^\s=&]+=)[^\s&'\"},]{16,}", r"\1***", re.sub(r"(?<=://)[^@\s]*@", "***@", line))


class ConfigError(UsageError):
    """All the faults of one configuration, reported together."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        """Keep the faults; the message lists them, one per line."""
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))
