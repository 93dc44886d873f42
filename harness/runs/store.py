"""The run folder: the truth about one run, of which W&B and the dashboards are mirrors.

    <run id>/transfer.yaml          the resolved transfer
             manifest.json          status, reason, metrics, attempts, provenance
             history.csv            evaluation, seconds, total, content, style, style/<layer>…
             iterates/000100.png    the image at which evaluation 100 was measured
             image.png              the best iterate (gone until the run is done or pruned)
             checkpoint.safetensors image, optimiser state, evaluation, best iterate (gone when done or failed)

history.csv is appended, and rolled back to the checkpoint on resume; everything else is written by temporary file and
one rename. A folder in use is held by an flock, which the kernel frees when its process dies.
"""

from __future__ import annotations

import enum
import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from harness.config.sentences import problems
from harness.config.transfer import Transfer
from harness.config.values import WRITTEN
from harness.errors import StorageError
from harness.files import flush_folder, make_folder, write_whole
from harness.runs.history import HistoryReader, csv_text
from harness.system import Lock

if TYPE_CHECKING:
    from typing_extensions import Buffer  # collections.abc has it from Python 3.12 on

PNG_BEGIN = b"\x89PNG\r\n\x1a\n"
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
"""The first and the last bytes of every PNG."""

TAIL_BYTES = 4096
"""More than a line of a history has."""

SCHEMA = 6
"""Version of the manifest; one of another version is not read while the harness's own is 0.x."""


class Status(enum.Enum):
    """What became of a run; the value is the sentence for the user."""

    WAITING = "has not begun"
    RUNNING = "is being computed, or was interrupted and will be resumed"
    DONE = "is done"
    FAILED = "failed"
    PRUNED = "was pruned: its sweep gave it up before its last evaluation"
    GONE = "was taken from another experiment, where it is gone"  # of a link in its folder's place; in no manifest


Metrics = Mapping[str, float | None]
"""The comparable numbers by their names; None for what could not be measured."""


@dataclass(frozen=True)
class Attempt:
    """One process's share of a run: it computed the evaluations ``first`` (from) to ``last`` (to).

    Where the next attempt begins before ``last`` + 1, the evaluations between were lost with the process.
    """

    first: int
    last: int


@dataclass(frozen=True)
class Manifest:
    """manifest.json.

    Attributes:
        id: the run id.
        experiment: the experiment's name.
        status: what became of the run.
        reason: why it failed, was pruned or ended early; empty otherwise.
        label: what differs from the experiment's other runs, e.g. ``{"alpha": 0.001}``.
        metrics: the comparable numbers; empty until the run is done or pruned.
        measured_on: the hash of the network on which they, and those of ``rungs``, were measured (``embedded``), and of
            what measured a sweep's own objectives; see ``harness.runs.measured``.
        unmeasured: why a number that was asked for could not be measured, a sentence for each.
        token: 8 hex digits, drawn when the folder is made: the same transfer in another folder, or computed anew, has
            others, so that no mirror takes one for the other.
        attempts: in order.
        provenance: versions, commit, device, threads, batch, seeds, files, plugins; once the run has ended, also
            ``peak_memory_mb``: the most memory that its worker had held by then.
        tracking: project, tags and notes for W&B, and the words that repeat the run.
        trials: for each study that asked for this run: study, number, params, distributions, objectives; and, once the
            run has ended, state (``COMPLETE``, ``PRUNED``, ``FAIL``) and values. A deleted study is rebuilt from them.
        rungs: evaluation, as text, to the comparable numbers of the best iterate then, where they were asked for.
        schema: version of this file.
    """

    id: str
    experiment: str
    status: Status = Status.WAITING
    reason: str = ""
    label: dict[str, Any] = field(default_factory=dict)
    metrics: Metrics = field(default_factory=dict)
    attempts: tuple[Attempt, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    tracking: dict[str, Any] = field(default_factory=dict)
    trials: tuple[dict[str, Any], ...] = ()
    rungs: Mapping[str, Metrics] = field(default_factory=dict)
    measured_on: dict[str, str] = field(default_factory=dict)
    unmeasured: dict[str, str] = field(default_factory=dict)
    token: str = field(default_factory=lambda: secrets.token_hex(4))
    schema: int = SCHEMA

    def to_json(self) -> str:
        """The file's text."""
        data = asdict(self)
        data["status"] = self.status.name.lower()
        data["attempts"] = [{"from": a.first, "to": a.last} for a in self.attempts]
        return json.dumps(data, indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read the file's text."""
        data = json.loads(text)
        if data["schema"] != SCHEMA:
            raise StorageError(
                f"The manifest of run {data['id']} cannot be read as a manifest: its schema is {data['schema']}, and "
                f"this version of harness reads {SCHEMA}; move its folder away to compute the run again."
            )
        data["status"] = Status[data["status"].upper()]
        data["attempts"] = tuple(Attempt(a["from"], a["to"]) for a in data["attempts"])
        data["trials"] = tuple(data["trials"])
        return cls(**data)


class DamagedManifest(StorageError):
    """A manifest that no harness has written so: torn, emptied, or changed by hand."""


def is_whole_png(path: Path) -> bool:
    """Whether a file begins and ends as a PNG does: one that is empty, cut off or full of zeros does not."""
    try:
        with open(path, "rb") as file:
            begin = file.read(len(PNG_BEGIN))
            file.seek(-len(PNG_END), os.SEEK_END)
            return begin == PNG_BEGIN and file.read() == PNG_END
    except OSError:  # too short, too
        return False


def _ends_at(path: Path, evaluation: int) -> bool:
    """Whether a history is whole as far as its end shows: its last line is of that evaluation, or a later one."""
    with open(path, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        *_, last, after = [b"", *file.read().split(b"\n")]
    number = last.partition(b",")[0]
    return not after and (int(number) >= evaluation if number.isdigit() else bool(last) and evaluation == 0)


def write_durably(path: Path, content: bytes | str | Iterable[Buffer]) -> None:
    """Write a file whole, and onto the disk; on an error the old file stays as it was.

    Args:
        path: the file.
        content: all of it, or parts that are written one after another.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    try:
        write_whole(path, _encoded(content) if isinstance(content, str) else content, survives_power_cut=True)
    except OSError as error:
        raise _cannot_write(path, error) from error


def _encoded(text: str) -> bytes:
    """UTF-8; what stands for bytes of a file's name that are none becomes an escape, which JSON reads back."""
    return text.encode("utf-8", "backslashreplace")


def _cannot_write(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{path} could not be written ({error.strerror}); free some space, or choose another folder with --out."
    )


class RunFolder:
    """One run's folder: reads and writes its files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock(path / ".lock")

    @property
    def checkpoint_path(self) -> Path:
        """Where the row's checkpoint lies while the run is unfinished."""
        return self.path / "checkpoint.safetensors"

    @property
    def image_path(self) -> Path:
        """The finished picture."""
        return self.path / "image.png"

    @property
    def history_path(self) -> Path:
        """The losses, a line per evaluation."""
        return self.path / "history.csv"

    def iterate_path(self, evaluation: int) -> Path:
        """The picture at which that evaluation was measured."""
        return self.path / "iterates" / f"{evaluation:06d}.png"

    def iterates(self) -> dict[int, Path]:
        """Evaluation to picture, in order."""
        return {int(path.stem): path for path in sorted((self.path / "iterates").glob("[0-9]*.png"))}

    def create(self, transfer: Transfer, manifest: Manifest) -> None:
        """Make the folder with its transfer and manifest, where it is not there yet."""
        try:
            is_new = not self.path.exists()
            make_folder(self.path / "iterates")
            if is_new:
                flush_folder(self.path.parent)
        except OSError as error:
            raise StorageError(
                f"{self.path} could not be made ({error.strerror}); choose another folder with --out."
            ) from error
        if not (self.path / "transfer.yaml").exists():
            write_durably(self.path / "transfer.yaml", yaml.safe_dump(transfer.plain(), sort_keys=False))
        if not (self.path / "manifest.json").exists():
            self.write_manifest(manifest)

    def transfer(self) -> Transfer:
        """The resolved transfer.

        Raises:
            OSError: there is no transfer.yaml.
            ValueError: it is no transfer.
            yaml.YAMLError: it is no YAML.
        """
        data = yaml.safe_load((self.path / "transfer.yaml").read_text(encoding="utf-8"))
        if not isinstance(data, dict):
            raise ValueError("it is not a mapping")
        try:
            return Transfer.model_validate(data, context=WRITTEN)
        except ValidationError as error:
            told = (f"{'.'.join(problem.path)}: {problem.message}" for problem in problems(error, Transfer))
            raise ValueError("; ".join(told)) from error

    def manifest(self) -> Manifest | None:
        """The manifest, or None where the run has not begun; of a run that is done, but has lost its picture or its
        history, as one that is to be computed again.

        Raises:
            DamagedManifest: the file is not a manifest.
            StorageError: it is one of another version.
        """
        manifest = self._manifest()
        if manifest is None or manifest.status is not Status.DONE or not (lacks := self._lacks(manifest)):
            return manifest
        reason = f"it was done, but {lacks}; its experiment's command computes it again"
        return replace(manifest, status=Status.RUNNING, reason=reason, metrics={}, unmeasured={})

    def readable_manifest(self) -> Manifest | None:
        """The same for who computes: None too where it is damaged, so that the run is computed again.

        Raises:
            StorageError: it is one of another version.
        """
        try:
            return self.manifest()
        except DamagedManifest:
            return None

    def _lacks(self, manifest: Manifest) -> str:
        """What a finished run has lost, the middle of a sentence; empty where all is there."""
        last = manifest.attempts[-1].last if manifest.attempts else 0
        is_whole_history = partial(_ends_at, evaluation=last)
        for path, is_whole in ((self.image_path, is_whole_png), (self.history_path, is_whole_history)):
            if not path.is_file():
                return f"{path.name} is gone"
            if not is_whole(path):
                return f"{path.name} is damaged"
        return ""

    def _manifest(self) -> Manifest | None:
        path = self.path / "manifest.json"
        try:
            return Manifest.from_json(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedManifest(
                f"{path} cannot be read as a manifest ({error}); its experiment's command computes the run again."
            ) from error

    def write_manifest(self, manifest: Manifest) -> None:
        """Replace the manifest."""
        write_durably(self.path / "manifest.json", manifest.to_json())

    def append_history(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Append lines to history.csv, with a header when it is new; NaN (not measured) is left blank."""
        header = not self.history_path.exists() or self.history_path.stat().st_size == 0
        try:
            with open(self.history_path, "a", newline="", encoding="utf-8") as file:
                file.write(csv_text(rows, header))
        except OSError as error:
            raise StorageError(
                f"{self.history_path} could not be written ({error.strerror}); free some space and run again."
            ) from error

    def flush_history(self) -> None:
        """See that what was appended is on the disk.

        Raises:
            StorageError: the disk is full or damaged.
        """
        if not self.history_path.exists():
            return
        try:
            with open(self.history_path, "rb") as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise _cannot_write(self.history_path, error) from error

    def remove_temporary_files(self) -> None:
        """Remove what killed processes left half-written; the folder's lock must be held."""
        for path in self.path.rglob(".*.tmp"):
            path.unlink(missing_ok=True)

    def history(self) -> list[dict[str, float]]:
        """All whole lines of history.csv; blank fields are NaN, ``evaluation`` an int.

        Raises:
            StorageError: a line is damaged.
        """
        return HistoryReader(self.history_path).new_rows()

    def roll_back(self, evaluation: int) -> None:
        """Forget everything after an evaluation: history lines (a torn last one too) and iterates."""
        kept = [row for row in self.history() if row["evaluation"] <= evaluation]
        write_durably(self.history_path, csv_text(kept, header=True))
        for number, path in self.iterates().items():
            if number > evaluation:
                path.unlink()

    def acquire(self) -> bool:
        """Take the folder's lock; False when another process holds it."""
        try:
            return self._lock.acquire()
        except OSError as error:
            raise _cannot_write(self._lock.path, error) from error

    @property
    def is_held(self) -> bool:
        """Whether this object holds the folder's lock."""
        return self._lock.is_held

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()

    def wait_for(self, seconds: float, is_given_up: Callable[[], bool] = lambda: False) -> None:
        """Take the folder's lock until ``release()``, waiting at most so long where another process holds it.

        Raises:
            StorageError: it is still in use.
            KeyboardInterrupt: it was given up meanwhile.
        """
        until = time.monotonic() + seconds
        while not self.acquire():
            if is_given_up():
                raise KeyboardInterrupt
            if time.monotonic() >= until:
                raise StorageError(f"{self.path} is in use by another harness process; {self._lock.advice}.")
            time.sleep(0.05)

    def __enter__(self) -> RunFolder:
        self.wait_for(0.0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
