"""The ``harness …`` commands that are printed and kept: pasted in the same directory, they find the same runs.

They are made here alone, of what was given: the file as it was named, overrides, ``--name``, ``--profile``, ``--out``,
``--storage``. What only says how to compute (``--engine`` …) is left out, but for ``--devices`` where one run is
repeated: with as many threads as it had, it comes out to the bit.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

RUNS = Path("runs")
"""The folder of all runs' folders, where ``--out`` does not say another."""


def harness_command(
    verb: str,
    *words: str | Path,
    name: str | None = None,
    profile: str | None = None,
    out: Path = RUNS,
    storage: str | None = None,
    devices: str | None = None,
    id: str | None = None,
) -> str:
    """A command as it is typed into a shell: ``harness compare 'my runs/a'``.

    Args:
        verb: ``run``, ``compare``, …
        words: what stands behind it: a file and overrides, or folders.
        name: of the runs' folder; None where it is the file's.
        profile: of the file; None for none.
        out: the folder of all runs' folders.
        storage: of the study, fit to be printed (see ``harness.studies.storage.address_to_keep``); None for the
            journal in the folder.
        devices: on what a run is computed as it was before; None where that is not said.
        id: of the only run that is to be computed; None where whatever the file says is.
    """
    given = {
        "--name": name, "--profile": profile, "--out": None if out == RUNS else str(out), "--storage": storage,
        "--id": id, "--devices": devices,
    }  # fmt: skip
    options = [word for option, value in given.items() if value is not None for word in (option, value)]
    return shlex.join(["harness", verb, *map(str, words), *options])


@dataclass(frozen=True)
class FileCommand:
    """``harness run`` or ``harness sweep`` of a file; ``str()`` of it is what is typed.

    Attributes:
        verb: ``run`` or ``sweep``.
        file: as it was named.
        overrides: ``key=value`` words.
        profile: of the file, or several, ``vgg16,seeds``; None for none.
        out: the folder of all runs' folders.
        storage: of the study, fit to be printed; None for the journal in the folder.
        name: of the runs' folder; None where it is the file's.
        devices: of one run that is repeated to the bit; None where that is not said.
        id: of one run: nothing else is computed, though the file or an image is another by then.
    """

    verb: str
    file: str
    overrides: tuple[str, ...] = ()
    profile: str | None = None
    out: Path = RUNS
    storage: str | None = None
    name: str | None = None
    devices: str | None = None
    id: str | None = None

    def __str__(self) -> str:
        return harness_command(
            self.verb, self.file, *self.overrides,
            name=self.name, profile=self.profile, out=self.out, storage=self.storage, devices=self.devices,
            id=self.id,
        )  # fmt: skip

    @classmethod
    def read(cls, text: str) -> FileCommand:
        """What ``str()`` gave, read back."""
        _, verb, file, *words = shlex.split(text)
        num = next((k for k, word in enumerate(words) if word.startswith("--")), len(words))
        options = dict(zip(words[num::2], words[num + 1 :: 2], strict=True))
        return cls(
            verb, file, tuple(words[:num]), options.get("--profile"), Path(options.get("--out", RUNS)),
            options.get("--storage"), options.get("--name"), options.get("--devices"), options.get("--id"),
        )  # fmt: skip

    def of_cell(self, overrides: Sequence[str], devices: str | None, id: str) -> FileCommand:
        """That of one cell, whose overrides are relative to the file alone: without these overrides and profile.

        Args:
            overrides: its own.
            devices: that repeat its run to the bit, if it is done (``Run.devices``).
            id: of its run.
        """
        return replace(self, verb="run", overrides=tuple(overrides), profile=None, devices=devices, id=id)
