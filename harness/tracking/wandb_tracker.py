"""Mirrors run folders to W&B while they are being computed, without ever stopping or slowing them.

    tracker = open_tracker(resolve_mode("offline", directory), directory)
    tracker.add(folder)        when a run begins, after its folder is rolled back to its checkpoint
    tracker.poke()             every training step
    tracker.finish(folder)     after its last manifest is written
    tracker.close(60)          at the end of the process

All W&B work happens in one background thread, but for the ends of runs, which wait for uploads and have a short-lived
thread each. What the thread is told are only occasions to look: it reads everything from the run folders, so nothing is
lost when it is late, or when W&B is away. Errors become one warning sentence.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

from harness.runs.store import RunFolder
from harness.runs.tracker import Tracker
from harness.tracking.mirror import Mirror, end_service
from harness.tracking.mode import Mode, sync_command

POKE_INTERVAL_S = 5.0

logger = logging.getLogger("harness.tracking")


def open_tracker(mode: Mode, directory: Path) -> Tracker:
    """The tracker of a mode.

    Args:
        mode: from ``resolve_mode``.
        directory: the experiment's ``wandb`` folder.
    """
    return Tracker() if mode.name == "off" else WandbTracker(mode.name, directory)


class WandbTracker(Tracker):
    """Mirrors run folders to W&B in a background thread; every method returns at once, except ``close``.

    Args:
        mode: online or offline.
        directory: the experiment's ``wandb`` folder.
        interval_s: shortest time between two looks at the folders.

    Attributes:
        warning: the first thing that went wrong, as a sentence (also logged to ``harness.tracking``); empty if nothing.
    """

    def __init__(
        self, mode: Literal["online", "offline"], directory: Path, interval_s: float = POKE_INTERVAL_S
    ) -> None:
        self.warning = ""
        self._directory = directory
        self._interval_s = interval_s
        self._next_poke_s = 0.0
        self._folders: dict[Path, RunFolder] = {}  # the caller's thread
        # At most one poke waits (_poke_waits), the others are two for each run: the queue cannot grow.
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._poke_waits = threading.Event()
        self._warn_once = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="wandb-mirror", daemon=True)
        # The W&B thread only:
        self._mode = mode
        self._mirrors: dict[Path, Mirror] = {}
        self._ends: list[threading.Thread] = []
        self._late: list[RunFolder] = []

    def add(self, folder: RunFolder) -> None:
        """Begin to mirror a run folder, which has its transfer and manifest and is rolled back to its checkpoint."""
        self._folders[folder.path] = folder
        self._jobs.put(lambda: self._begin(folder))
        if self._thread.ident is None:
            self._thread.start()

    def poke(self) -> None:
        """Say that the folders may hold something new; between two looks this costs a clock reading.

        What history.csv holds at this moment is what the thread will read; the iterate of a line is written before it,
        perhaps by another thread than this one.
        """
        now = time.monotonic()
        if now < self._next_poke_s or self._poke_waits.is_set():
            return
        self._next_poke_s = now + self._interval_s
        sizes_bytes = {}
        for path, folder in self._folders.items():
            try:
                sizes_bytes[path] = folder.history_path.stat().st_size
            except FileNotFoundError:
                continue
        self._poke_waits.set()
        self._jobs.put(lambda: self._look(sizes_bytes))

    def finish(self, folder: RunFolder) -> None:
        """Mirror the rest of a run whose manifest says what became of it, and end its W&B run."""
        if self._folders.pop(folder.path, None) is not None:
            self._jobs.put(lambda: self._end(folder.path))

    def close(self, timeout_s: float = 60.0) -> str:
        """End all mirrors, waiting at most ``timeout_s``; returns the warning, or an empty text."""
        self._folders.clear()
        if self._thread.ident is not None:
            self._jobs.put(None)
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                command = sync_command(self._directory, "all")
                self._warn(f"W&B did not take everything within {timeout_s:g} s; to upload the rest: `{command}`.")
        return self.warning

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
        self._end_all()
        if end_service() and self._late:
            for folder in self._late:
                self._begin(folder)
            self._end_all()
            end_service()

    def _end_all(self) -> None:
        for path in list(self._mirrors):
            self._end(path)
        for end in self._ends:
            end.join()

    def _begin(self, folder: RunFolder) -> None:
        def begin() -> None:
            manifest = folder.manifest()
            assert manifest is not None, f"{folder.path} has no manifest"
            is_first = not self._mirrors  # one of a worker's runs tells of the machine's load: all would tell the same
            mirror = Mirror(folder, manifest.experiment, self._mode, self._directory, has_system_metrics=is_first)
            self._mirrors[folder.path] = mirror
            mirror.update(size_bytes=0)
            if mirror.new_id:
                self._warn(
                    f"A run that is mirrored here was deleted in W&B, which takes no id twice; it is told anew as "
                    f"{mirror.new_id}, and so are others that were deleted."
                )

        self._guard(folder.path, begin)

    def _look(self, sizes_bytes: dict[Path, int]) -> None:
        self._poke_waits.clear()
        for path, size_bytes in sizes_bytes.items():
            if path in self._mirrors:
                self._guard(path, partial(self._mirrors[path].update, size_bytes))

    def _end(self, path: Path) -> None:
        if path in self._mirrors:
            self._guard(path, self._mirrors[path].summarise)
        mirror = self._mirrors.pop(path, None)
        if mirror is not None:
            end = threading.Thread(target=self._guard, args=(path, mirror.finish), name="wandb-finish", daemon=True)
            self._ends.append(end)
            end.start()

    def _guard(self, path: Path, work: Callable[[], None]) -> None:
        """Do W&B work; an error costs the mirror of one run and says so, once, in a sentence."""
        try:
            work()
        except Exception as error:  # any kind: W&B must never stop a run
            self._give_up(path, error)

    def _give_up(self, path: Path, error: Exception) -> None:
        mirror = self._mirrors.pop(path, None)
        told = " ".join(str(error).split()) or type(error).__name__
        if mirror is not None and mirror.mode == "online" and not mirror.is_open:
            self._mode = "offline"
            # W&B's service keeps the id of the run that it could not begin, so it has to be started anew; where other
            # runs are open this waits for the end.
            alone = end_service()
            command = sync_command(self._directory, "offline" if alone else "all")
            is_away = any(word in told.lower() for word in ("retrying", "timed out", "deadline"))  # else it refused
            what = "could not be reached" if is_away else "did not take a run"
            self._warn(f"W&B {what} ({told}), so runs are tracked offline; to upload them: `{command}`.")
            if alone:
                self._begin(mirror.folder)
            else:
                self._late.append(mirror.folder)
        elif isinstance(error, TimeoutError):
            command = sync_command(self._directory, "all")
            self._warn(f"The W&B server did not take everything in time; to upload the rest: `{command}`.")
        else:
            self._warn(f"W&B tracking stopped ({told}); the runs go on, and their folders hold everything.")

    def _warn(self, sentence: str) -> None:
        with self._warn_once:
            if not self.warning:
                self.warning = sentence
                logger.warning(sentence)
