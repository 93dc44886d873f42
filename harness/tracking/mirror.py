"""One run folder's mirror in W&B: one W&B run, several alive at once in a process.

The run folder is the truth: everything W&B holds can be written again from it. So an offline run that is resumed
replaces its W&B folder (W&B cannot append to one, and syncing a second folder of the same id erases the first's
history: wandb#3841, #5865), and an online one goes on after the last step its server has. A run that is computed anew
has another token in its manifest, so that it is another run to W&B.

Every call here may block on W&B; ``wandb_tracker`` makes them in its thread.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.config.transfer import Transfer
from harness.errors import HarnessError, RunError
from harness.measures.names import KEPT_EVALUATION
from harness.results.grids import cell_of
from harness.results.run import REPEATS
from harness.runs.history import HistoryReader
from harness.runs.store import RunFolder
from harness.tracking.mode import import_wandb, wandb_folder
from harness.tracking.pictures import pictures_of
from harness.tracking.records import (
    EVALUATION,
    EXIT_CODES,
    ITERATE,
    PICTURES,
    SECONDS,
    history_record,
    init_arguments,
    run_config,
    summary_record,
    wandb_id,
)

if TYPE_CHECKING:
    from wandb import Run

INIT_TIMEOUT_S = 30.0  # W&B's default is 90
FINISH_TIMEOUT_S = 30.0  # W&B's default is to wait for ever
AGAIN_TIMEOUT_S = 8.0  # the same for a run that W&B may have: where it was deleted there, all of it is waited in vain
DELETED = "previously created and deleted"  # what W&B's server says of an id whose run was deleted there (409)
MAX_IDS = 9  # how often one run may have been deleted there

_deleted: set[str] = set()
"""Ids that W&B refused since its service began, which takes them for runs that are open."""


def _ignore_stop() -> None:
    """W&B's "stop run" button interrupts the whole process, so all of a batch's runs; it is not for one row."""


def mirror_settings(has_system_metrics: bool = False) -> dict[str, Any]:
    """The settings of every W&B run, as keywords of ``wandb.Settings``.

    By default W&B stores argv verbatim (tokens too), host name, git remote, program, interpreter, installed packages
    and SLURM variables; what a run was computed with stands in its manifest instead.

    Args:
        has_system_metrics: whether W&B samples the load of processor, GPU and memory beside the run.
    """
    return {
        # privacy
        "x_disable_meta": True,
        "x_disable_machine_info": not has_system_metrics,  # nothing is sampled without it; meta keeps it back
        "x_disable_stats": not has_system_metrics,
        "x_stats_disk_paths": (),
        "x_save_requirements": False,
        "disable_git": True,
        "disable_code": True,
        "save_code": False,
        "label_disable": True,  # it reads the main script for labels
        "sagemaker_disable": True,
        "host": "harness",
        "program": "harness",
        "program_relpath": "harness",
        "program_abspath": "harness",
        "x_executable": "python",
        # the terminal is the harness's
        "console": "off",
        "silent": True,
        "quiet": True,
        # paths: several processes write one folder, so no links to "the latest run"
        "use_dot_wandb": False,
        "symlink": False,
        # a run is never held up for long, never stopped, and loses a second at most when it is killed
        "init_timeout": float(os.environ.get("WANDB_INIT_TIMEOUT") or INIT_TIMEOUT_S),
        "finish_timeout": float(os.environ.get("WANDB_FINISH_TIMEOUT") or FINISH_TIMEOUT_S),
        "finish_timeout_raises": True,
        "stop_fn": _ignore_stop,
        "x_transaction_log_flush_interval": 1.0,
    }


def end_service() -> bool:
    """End W&B's service process, unless a run in this process is open; waits until its files are whole.

    W&B does so itself when the interpreter exits, but not in the worker processes of ``multiprocessing``.
    """
    wandb = import_wandb()
    from wandb.sdk import wandb_setup

    if wandb_setup.singleton().most_recent_active_run is not None:
        return False
    _deleted.clear()
    try:
        wandb.teardown()
    except SystemExit:  # how W&B says that its service ended with an error
        return True
    return True


def begin_run(
    identity: str,
    config: Mapping[str, Any],
    mode: Literal["online", "offline"],
    directory: Path,
    has_system_metrics: bool = False,
    **called: Any,
) -> Run:
    """Begin a W&B run, or go on with an online one of that id; ``called`` is what ``init_arguments`` gives.

    W&B takes no id again whose run was deleted there: the first of ``<id>-2``, ``<id>-3``, … that it takes is used
    instead, so that whoever goes on with the run comes to the same one.
    """
    wandb = import_wandb()
    root = wandb_folder(directory)
    root.mkdir(parents=True, exist_ok=True)
    settings = mirror_settings(has_system_metrics)
    if any(root.glob(f"*run-*-{identity}*")) and not os.environ.get("WANDB_INIT_TIMEOUT"):
        settings["init_timeout"] = AGAIN_TIMEOUT_S
    ids = [identity, *(f"{identity}-{number}" for number in range(2, MAX_IDS + 1))]
    for own in [own for own in ids if own not in _deleted]:
        try:
            run: Run = wandb.init(
                id=own,
                config=config,
                mode=mode,
                resume="allow" if mode == "online" else None,
                dir=str(root.parent),
                reinit="create_new",
                settings=wandb.Settings(**settings),
                **called,
            )
            return run
        except wandb.errors.CommError as error:
            if DELETED not in str(error):
                raise
            _deleted.add(own)
    raise RunError(f"{identity} was deleted there, and so were the {MAX_IDS - 1} runs that took its place")


class Mirror:
    """The W&B run of one run folder, opened at the first update.

    Args:
        folder: an existing run folder, with its transfer and manifest.
        experiment: the experiment's name, W&B's group.
        mode: online or offline.
        directory: the experiment's ``wandb`` folder.
        has_system_metrics: as of ``mirror_settings``.
    """

    def __init__(
        self,
        folder: RunFolder,
        experiment: str,
        mode: Literal["online", "offline"],
        directory: Path,
        has_system_metrics: bool = False,
    ) -> None:
        self.folder = folder
        self.experiment = experiment
        self.mode = mode
        self.directory = directory
        self.has_system_metrics = has_system_metrics
        self._run: Run | None = None
        self._history = HistoryReader(folder.history_path)
        self._last: list[dict[str, float]] = []
        """The newest line waits here: the finished pictures belong to the last evaluation, and steps only grow."""
        self._cell: Mapping[str, Any] = {}
        self._transfer: Transfer
        self._config: dict[str, Any] = {}
        self._first_evaluation = 0

    @property
    def is_open(self) -> bool:
        """Whether W&B has accepted the run."""
        return self._run is not None

    @property
    def new_id(self) -> str:
        """The id under which the run goes on where it was deleted in W&B; empty otherwise."""
        return self._run.id if self._run is not None and self._run.id != self._id else ""

    @property
    def sync_folder(self) -> Path | None:
        """The W&B folder of this run, to be uploaded by ``wandb sync``; None before it is open."""
        return Path(self._run.settings.sync_dir) if self._run is not None else None

    def update(self, size_bytes: int | None = None) -> None:
        """Mirror every history line but the newest, and the iterate belonging to it, that is new since the last update.

        Args:
            size_bytes: how much of history.csv to read; its iterates are then known to be there. None: all of it.
        """
        if self._run is None:
            self._open()
        rows = [*self._last, *self._history.new_rows(size_bytes)]
        self._log(rows[:-1])
        self._last = rows[-1:]

    def _log(self, rows: Sequence[Mapping[str, float]], pictures: Sequence[Any] = ()) -> None:
        """Log history lines with their iterates, and the finished pictures with the last of them."""
        run = self._run
        assert run is not None
        iterates = self.folder.iterates() if rows else {}
        for row in rows:
            evaluation = int(row[EVALUATION])
            if evaluation < self._first_evaluation:
                continue
            record: dict[str, Any] = dict(history_record(row, self._transfer))
            if evaluation in iterates:
                # the file is copied as it is: W&B renders float arrays black, and encoding it again costs time
                record[ITERATE] = import_wandb().Image(str(iterates[evaluation]), caption=f"evaluation {evaluation}")
            if pictures and row is rows[-1]:
                record[PICTURES], pictures = list(pictures), ()
            run.log(record, step=evaluation, commit=True)
        if pictures and run.summary.get(PICTURES) is None:  # every line was mirrored before the run was done
            run.log({PICTURES: list(pictures)})

    def summarise(self) -> None:
        """Mirror all that is in the folder, and the manifest as it is now."""
        self.update()
        manifest = self.folder.manifest()
        assert manifest is not None and self._run is not None
        kept = manifest.metrics.get(KEPT_EVALUATION)
        caption = f"kept: evaluation {kept}"
        self._log(self._last, pictures_of(self.folder, self._transfer, self._cell, self.directory.parent, caption))
        self._last = []
        config = run_config(self._transfer, manifest, self._cell.get("part", ""))
        if config != self._config:
            self._run.config.update(config, allow_val_change=True)
        lines = [row for row in self.folder.history() if row[EVALUATION] == kept] if kept else []
        kept_record = history_record(lines[0], self._transfer) if lines else None
        self._run.summary.update(summary_record(self._transfer, manifest, kept_record))

    def finish(self) -> None:
        """End the summarised W&B run: finished, failed, or killed where the run will be resumed.

        Raises:
            TimeoutError: the server did not take everything in time; it lies in ``sync_folder``.
        """
        manifest = self.folder.manifest()
        assert manifest is not None and self._run is not None
        self._run.finish(exit_code=EXIT_CODES[manifest.status])
        self._remove_other_folders()

    def _open(self) -> Run:
        manifest = self.folder.manifest()
        assert manifest is not None, f"{self.folder.path} has no manifest"
        self._transfer = self.folder.transfer()
        self._cell = cell_of(self.folder.path, self.directory.parent)
        self._config = run_config(self._transfer, manifest, self._cell.get("part", ""))
        self._id = wandb_id(self.experiment, manifest.id, manifest.token)
        called = init_arguments(self.experiment, manifest)
        run = begin_run(self._id, self._config, self.mode, self.directory, self.has_system_metrics, **called)
        run.define_metric(EVALUATION)
        run.define_metric(SECONDS)
        run.define_metric("*", step_metric=EVALUATION)
        self._run = run
        self._first_evaluation = run.starting_step
        self._remove_other_folders()
        return run

    def _remove_other_folders(self) -> None:
        """Delete the W&B folders of this id from earlier attempts: all they hold is in the run folder."""
        remove_folders(self.directory, self._id, self.sync_folder)


def remove_mirror(run: Path) -> None:
    """Delete the W&B folders of a run, or of a link to one, that is about to be taken away.

    What was uploaded stays in W&B; the run computed anew is another one there.
    """
    experiment = run.parents[1] if run.parent.name == REPEATS else run.parent
    with contextlib.suppress(HarnessError):  # a damaged one goes like the others
        if (manifest := RunFolder(run).manifest()) is not None:
            for name in {manifest.experiment, experiment.name}:  # a link is mirrored as its own experiment's
                remove_folders(experiment / "wandb", wandb_id(name, manifest.id, manifest.token), None)


def remove_folders(directory: Path, identity: str, own: Path | None) -> None:
    """Delete the W&B folders of an id except its own one.

    Args:
        directory: the experiment's ``wandb`` folder.
        identity: a W&B id.
        own: the folder to keep; None keeps none.
    """
    for path in wandb_folders(directory, identity):
        if own is None or path.name != own.name:
            shutil.rmtree(path, ignore_errors=True)


def wandb_folders(directory: Path, identity: str) -> list[Path]:
    """The W&B folders of an id in an experiment's ``wandb`` folder."""
    name = re.compile(rf"(offline-)?run-\d{{8}}_\d{{6}}-{re.escape(identity)}(-\d+)*")
    return [path for path in wandb_folder(directory).glob(f"*run-*-{identity}*") if name.fullmatch(path.name)]
