"""What running an experiment and a sweep share: workers, the loop, and what is made of the runs at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from optuna.storages import BaseStorage

from harness.claims import judge, write_claims
from harness.config.commands import FileCommand, harness_command
from harness.config.loaded import LoadedSweep
from harness.driver.capacity import MaxRows
from harness.driver.folder import ExperimentFolder, Moved
from harness.driver.given_files import told_replaced
from harness.driver.jobs import Job
from harness.driver.loop import Driver, Interrupt, Settings
from harness.driver.request import Request
from harness.driver.telling import Observer, Telling
from harness.engines import LOCAL, check_engine, open_engine
from harness.engines.contract import Noted, Task
from harness.engines.devices import DeviceSpec, busy_note, parse_devices
from harness.errors import DeviceError
from harness.results import Results, load_whole
from harness.studies.artifacts import mirror_study
from harness.studies.session import Asked, StudySession
from harness.system import IS_WINDOWS, on_signals
from harness.tracking.linked import mirror_linked, unmirrored
from harness.tracking.mode import Mode
from harness.tracking.summary import write_summary


def local_devices(request: Request, num_rows: int) -> list[DeviceSpec]:
    """The workers on this machine, checked before anything is written; a cluster's are not known yet.

    Raises:
        UsageError: there is no such engine.
        DeviceError: there are no such devices, or the system is Windows.
    """
    check_engine(request.engine)
    if IS_WINDOWS:
        raise DeviceError(
            "Runs are computed on Linux and macOS only; on Windows install the harness in WSL and give the same "
            "command there. What was computed elsewhere is looked at, compared and drawn on Windows too."
        )
    return parse_devices(request.devices if request.engine == LOCAL else "auto", num_rows)


@dataclass(frozen=True)
class Work:
    """What is to be carried out.

    Attributes:
        session: asks and tells.
        make_job: from a trial to its run.
        num_runs: how many are expected, for the display.
        num_at_once: how many can be under way at a time; no more workers than these are started.
        extra: runs to compute that no trial asks for any more.
        objectives: the metrics whose values are told.
        rungs: evaluations at which the pruner is asked; empty without one.
        wanted: further metrics that a finished run must have, or it is measured again.
    """

    session: StudySession
    make_job: Callable[[Asked], Job]
    num_runs: int
    num_at_once: int
    extra: Sequence[Job]
    objectives: tuple[str, ...]
    rungs: tuple[int, ...] = ()
    wanted: tuple[str, ...] = ()


def carry_out(telling: Telling, request: Request, work: Work, mode: Mode, folder: ExperimentFolder) -> None:
    """Compute everything that is missing.

    Raises:
        KeyboardInterrupt: after Ctrl-C or SIGTERM, with everything checkpointed.
        HarnessError: a batch could not be carried out.
    """
    objectives = tuple(dict.fromkeys((*work.objectives, *work.wanted)))
    task = Task(
        (), request.checkpoint_every_s, work.rungs, mode.name, folder.path / "wandb", objectives,
        folder.loaded.plugins,
    )  # fmt: skip
    settings = Settings(task, work.objectives, request.retry_failed, work.wanted)
    interrupt = Interrupt()
    if request.engine == LOCAL and (busy := busy_note(parse_devices(request.devices, work.num_at_once))):
        telling.says(busy)
    with on_signals(interrupt.request):
        engine = open_engine(request.engine, request.devices, work.num_at_once, folder.path / "logs")
        try:
            names = ", ".join(engine.workers)
            title = f"{folder.path.name} on {names if len(engine.workers) < 5 else f'{len(engine.workers)} workers'}"
            # Where runs are only told (linked, or the study was deleted), nothing is announced.
            display = telling.working(title, work.num_runs) if work.num_runs else nullcontext(Observer())
            with display as observer:
                max_rows = MaxRows(engine.workers, engine.free_bytes)
                driver = Driver(
                    work.session, engine, work.make_job, max_rows, settings, observer, interrupt,
                    max_rows.pass_bound_bytes,
                )  # fmt: skip
                driver.run(work.extra)
        finally:
            engine.close()
            for event in engine.events(0.0):  # what W&B did not take by then
                if isinstance(event, Noted):
                    telling.says(event.sentence)


def write_cells(folder: ExperimentFolder, study: str, request: Request, jobs: Sequence[Job]) -> None:
    """Write which runs belong together, and the command that goes on with them."""
    verb, storage = "sweep" if isinstance(folder.loaded, LoadedSweep) else "run", request.kept_storage
    loaded, out = folder.loaded, request.out
    command = FileCommand(verb, loaded.called, request.overrides, request.profile, out, storage, loaded.own_name)
    folder.write_cells(study, storage, str(command), jobs)


def another(what: str, kept: str, moved: Moved, folder: Path) -> str:
    """What is said where another grid or search is asked for than last time."""
    status = harness_command("status", folder)
    why = f" ({told_replaced(moved.replaced)})" if moved.replaced else ""
    return (
        f"This is another {what} than last time{why}; {kept} kept in {moved.folder}, its runs stay ({status} has "
        "both; --name keeps two questions apart)."
    )


def draw(results: Results) -> list[Path]:
    """Draw what there is to draw; matplotlib is imported only now, when the work is done."""
    from harness.figures.results import draw_results

    return draw_results(results)


@dataclass(frozen=True)
class Conclusion:
    """What was made of the runs.

    Attributes:
        results: as their folders have them.
        drawn: the figures' files.
        has_claims: whether claims were judged, and written.
        is_mirrored: whether the study has the pictures and notes; if not, the next time is another attempt.
    """

    results: Results
    drawn: Sequence[Path]
    has_claims: bool
    is_mirrored: bool


def conclude(telling: Telling, folder: Path, storage: BaseStorage, mode: Mode, has_changed: bool) -> Conclusion:
    """Draw, judge and mirror what the run folders hold; where drawing fails, that comes last.

    Raises:
        HarnessError: the figure cannot be drawn, or a file written.
    """
    results = load_whole(folder)
    drawn: Sequence[Path] = ()
    fault: Exception | None = None
    try:
        drawn = draw(results)
    except Exception as error:  # any kind: claims and W&B's summary do not need it
        fault = error
    verdicts = judge(results)
    if verdicts:
        write_claims(results, verdicts)
        telling.judged(verdicts)
    unmirrored_why = mirror_study(results, storage)
    notes = [unmirrored_why]
    linked = unmirrored(results, folder / "wandb") if mode.name != "off" else []
    if has_changed or linked:
        notes += [mode.note, mirror_linked(linked, mode, folder / "wandb") if linked else ""]
        notes.append(write_summary(results, mode.name, folder / "wandb"))
    for note in filter(None, notes):
        telling.says(note)
    if fault is not None:
        telling.says(
            f"The figure was not drawn; everything else is there. To try it again: {harness_command('figure', folder)}"
        )
        raise fault
    return Conclusion(results, drawn, bool(verdicts), not unmirrored_why)
