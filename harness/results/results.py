"""What an experiment or a sweep has come to, read from its folder: for figures, claims, tables and notebooks.

    results = harness.load("runs/relative_weight")
    for run in results.runs:
        print(run.name, run.metrics.get("ssim"), run.history()[-1]["total"])
    pandas.DataFrame(results.table())

Nothing is computed and no network is loaded; ``cells.json``, which the driver writes, says which runs belong together.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml

from harness.config import Experiment, canonical_json
from harness.config.claims import COMPARABLE, LOSSES, matches
from harness.config.levels import num_evaluations
from harness.config.methods import has_network
from harness.config.strict import WRITTEN
from harness.config.sweep import Sweep
from harness.config.transfer import Transfer
from harness.config.yaml_source import flow
from harness.errors import ImageError, UsageError
from harness.results.pictures import Iterates, Pixels, read_pixels
from harness.runs.measured import OneNetwork, measured_by
from harness.runs.store import Manifest, Metrics, RunFolder, Status

CELLS = "cells.json"
DRIVER_LOCK = ".driver.lock"
"""Held by the process that carries out an experiment or a sweep (``harness.studies.storage.hold_study``)."""

EARLIER = "earlier"
"""Folder of what was asked for before."""

Part = Literal["grid", "repeat", "again"]


@dataclass(frozen=True)
class Run:
    """One run as its folder has it.

    Attributes:
        id: the run id.
        label: what sets it apart, in order: ``{"cases": "A", "alpha": 0.01}``; of a repeat also ``seed``, of a sweep's
            trial ``trial`` and its fields.
        part: ``grid``: has a panel in the figure; ``repeat``: the same cell from another seed, for the claims' spread;
            ``again``: the same transfer computed a second time, to see whether it repeats.
        transfer: resolved, also of a run that has not begun.
        overrides: the words that repeat it behind ``harness run FILE``.
        folder: its files.
        sources: ``content``, ``style`` and whatever else it was made from, at the picture's size or area, as PNG files;
            the keys stand in ``harness.driver.source_images``.
        evaluations: how many the whole run has, where that was kept; see ``num_evaluations``.
        plugins: as its experiment names them.
    """

    id: str
    label: Mapping[str, Any]
    part: Part
    transfer: Transfer
    overrides: tuple[str, ...]
    folder: RunFolder
    sources: Mapping[str, Path]
    evaluations: int | None = None
    plugins: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Run {self.id} ({self.name}): {self.status.value}>"

    @property
    def name(self) -> str:
        """The label on one line, such as ``A, alpha=0.01``."""
        return label_name(self.label)

    @cached_property
    def manifest(self) -> Manifest | None:
        """Its manifest as it was when first asked for; None where the run has not begun.

        Raises:
            StorageError: the file is not a manifest.
        """
        return self.folder.manifest()

    @property
    def status(self) -> Status:
        """What became of it."""
        return self.manifest.status if self.manifest else Status.WAITING

    @property
    def reason(self) -> str:
        """Why it failed or ended early, or could not be measured; empty otherwise."""
        return " ".join([self.manifest.reason, *self.manifest.unmeasured.values()]).strip() if self.manifest else ""

    @property
    def metrics(self) -> Metrics:
        """The comparable numbers; empty until it is done."""
        return self.manifest.metrics if self.manifest else {}

    def image(self) -> Pixels:
        """The finished picture, (H, W, 3) uint8.

        Raises:
            ImageError: there is none.
        """
        if not self.folder.image_path.exists():
            raise ImageError(f"Run {self.id} ({self.name}) has no picture: it {self.status.value}.")
        return read_pixels(self.folder.image_path)

    @property
    def num_evaluations(self) -> int:
        """Of the whole run when it is done, over all sizes and stages; a quilted picture's are its rows of blocks."""
        if self.evaluations:
            return self.evaluations
        if not has_network(self.transfer.method):  # a run's folder without its experiment's
            return int(self.metrics.get("evaluations") or 1)
        return num_evaluations(self.transfer)

    def source(self, key: str) -> Pixels:
        """What it was made from, (H, W, 3) uint8: ``content``, ``style``, or another key of ``sources``.

        Raises:
            ImageError: the file was deleted, it has no such image, or nothing says where it is.
        """
        if key in self.sources:
            return read_pixels(self.sources[key])
        if not self.sources:
            raise ImageError(f"Run {self.id} does not say where its {key} is; load its experiment's folder instead.")
        raise ImageError(f"Run {self.id} ({self.name}) has no image {key!r}; it has {', '.join(self.sources)}.")

    def measure(self, name: str, to: str | None = None) -> float:
        """A measure of the finished picture: a comparable number, one that claims name, or one of its plugins'.

            run.measure("edge_correlation"), run.measure("gram_distance", to="strokes")

        What compares with the experiment's other runs is a claim's.

        Args:
            name: of the measure.
            to: the painting that is meant, for a measure that asks for one.

        Raises:
            CannotMeasureError: the run is not done, or the measure has no meaning for it.
            UsageError: there is no such measure, or its plugin is gone.
            PluginError: a user's measure fails, with its file and line.
            ImageError: a picture was deleted.
        """
        from harness.results.measuring import Measuring

        is_lacking = name in COMPARABLE and self.metrics.get(name) is None
        measuring = Measuring([self])
        return (measuring.computed if is_lacking else measuring.of_run)(name, self, to)

    def start(self) -> Pixels:
        """The picture at which the first evaluation was measured, clamped to [0, 1], (H, W, 3) uint8.

        Raises:
            ImageError: the run has not begun.
        """
        return read_pixels(self.folder.iterate_path(1))

    def iterates(self) -> Iterates:
        """The pictures kept on the way, by evaluation: ``run.iterates()[100]`` is (H, W, 3) uint8."""
        return Iterates(self.folder.iterates())

    def history(self) -> list[dict[str, float]]:
        """The losses, a mapping per evaluation: ``evaluation``, ``seconds``, ``total``, ``content``, ``style``…"""
        return self.folder.history()

    @cached_property
    def whole_fields(self) -> Mapping[str, Any]:
        """The transfer as plain data, for tables: ``{"alpha": 0.001, "style_layers": {"conv1_1": 0.2, …}, …}``."""
        return self.transfer.plain()

    @cached_property
    def fields(self) -> Mapping[str, Any]:
        """The transfer by dotted names: ``{"alpha": 0.001, "style_layers.conv1_1": 0.2, …}``."""
        return dict(_flatten(self.whole_fields))

    def is_in_use(self) -> bool:
        """Whether a process is working on it right now; if not, and it is unfinished, then it was interrupted."""
        return is_locked(self.folder.path / ".lock")


@dataclass(frozen=True)
class Results:
    """An experiment's or a sweep's runs.

    Attributes:
        folder: of the experiment.
        name: its name.
        definition: the resolved experiment or sweep.
        study: the name of its Optuna study.
        storage: the study's storage as it was given; None for ``study.journal`` in the folder.
        all_runs: in the experiment's order, those of the grid first; a sweep's by trial number.
        file: the YAML it came from.
        command: what carried it out, where that was kept.
        is_part: whether some of its runs were left out.
    """

    folder: Path
    name: str
    definition: Experiment | Sweep
    study: str
    storage: str | None
    all_runs: tuple[Run, ...]
    file: Path = Path()
    command: str | None = None
    is_part: bool = False

    @property
    def runs(self) -> tuple[Run, ...]:
        """Those that have a panel: the grid, or a sweep's trials."""
        return tuple(run for run in self.all_runs if run.part == "grid")

    @property
    def is_sweep(self) -> bool:
        """Whether Optuna chose what was computed."""
        return isinstance(self.definition, Sweep)

    def is_in_use(self) -> bool:
        """Whether a process is carrying it out right now."""
        return is_locked(self.folder / DRIVER_LOCK)

    def __repr__(self) -> str:
        num_done = sum(run.status is Status.DONE for run in self.runs)
        kind = "sweep" if self.is_sweep else "experiment"
        some = [f"  {run!r}" for run in self.runs[:10]]
        more = [f"  … and {len(self.runs) - 10} more"] if len(self.runs) > 10 else []
        head = f"<Results of the {kind} {self.name}: {num_done} of {len(self.runs)} runs are done"
        return "\n".join([head, *some, *more]) + ">"

    def run(self, which: str | Mapping[str, Any] | None = None, **label: Any) -> Run:
        """The one run that is meant; of several that fit, the one that has a panel.

        Args:
            which: an id or its beginning, the name of a case, a run's ``name``, or some of its label as a mapping.
            label: some of its label: ``results.run(alpha=0.01)``, ``results.run(trial=7)``.

        Raises:
            UsageError: none fits, or several do.
        """
        wanted = {**(which if isinstance(which, Mapping) else {}), **label}
        name = which if isinstance(which, str) else None
        found = [run for run in self.all_runs if (name is None or _is_called(run, name)) and matches(wanted, run.label)]
        found = [run for run in found if run.part == "grid"] or found
        if len(found) == 1:
            return found[0]
        given = ", ".join([*([] if name is None else [name]), *([label_name(wanted)] if wanted else [])])
        what = f"{len(found)} runs of {self.name} fit" if found else f"No run of {self.name} fits"
        possible = "; ".join(f"{run.id} ({run.name})" for run in (found or self.runs)[:20])
        raise UsageError(f"{what} {given!r}; give an id, or enough of a label to single one out: {possible}.")

    def select(self, **wanted: Any) -> Results:
        """The same results with some of the runs, repeats among them.

            results.select(start="noise", alpha=[1e-3, 1e-2])

        Args:
            wanted: what a run's label or its transfer says, each one value or a list of those allowed; a field inside
                another is given as ``**{"optimiser.history": 20}``.

        Raises:
            UsageError: no run has such a field, or none has such values.
        """
        known = {name for run in self.all_runs for name in (*run.label, *run.whole_fields, *run.fields)}
        if unknown := [name for name in wanted if name not in known]:
            raise UsageError(f"No run of {self.name} has {', '.join(unknown)}; there are {', '.join(sorted(known))}.")
        found = [run for run in self.all_runs if matches(wanted, {**run.fields, **run.whole_fields, **run.label})]
        if not found:
            names = dict.fromkeys(run.name for run in self.runs)
            raise UsageError(f"No run of {self.name} has {label_name(wanted)}; there are {'; '.join([*names][:20])}.")
        return replace(self, all_runs=tuple(found), is_part=True)

    def table(self) -> list[dict[str, Any]]:
        """Every run as a plain mapping, all with the same keys, for ``pandas.DataFrame(results.table())``.

        Keys: ``id``, ``part`` (``grid``; repeats have ``repeat`` or ``again``), ``status`` (``done``, ``failed``, …),
        ``reason``; what the labels say beside fields (``cases``, ``trial``) or of several at once (``style_layers``, as
        text, to group by); each dotted field of the transfer in which runs differ; the comparable numbers; the
        run's own losses as ``loss/total``, ``loss/content``, ``loss/style``, as in W&B. What is not there is None.
        Where runs were measured on different embedded networks, ``measured_on`` says which, and of these numbers only
        those of the installed one are there.

        Raises:
            StorageError: a manifest cannot be read.
        """
        fields = differing_fields(self.all_runs)
        parts = dict.fromkeys(part for run in self.all_runs for part in run.label)
        grouped = [part for part in parts if any(isinstance(run.label.get(part), Mapping) for run in self.all_runs)]
        metrics = dict.fromkeys(f"loss/{key}" if key in LOSSES else key for run in self.all_runs for key in run.metrics)
        one_network = OneNetwork(self.all_runs)
        rows: list[dict[str, Any]] = []
        for run in self.all_runs:
            status = run.status.name.lower()
            row: dict[str, Any] = {"id": run.id, "part": run.part, "status": status, "reason": run.reason}
            row |= {part: run.label.get(part) for part in parts if part.split(".")[0] not in run.whole_fields}
            row |= {part: flow(run.label[part]) if part in run.label else None for part in grouped}
            row |= {name: run.fields.get(name) for name in fields}
            row |= {key: one_network.metrics(run).get(key.removeprefix("loss/")) for key in metrics}
            row |= {"measured_on": measured_by(run)} if one_network.is_mixed else {}
            rows.append(row)
        return rows


def differing_fields(runs: Iterable[Run]) -> tuple[str, ...]:
    """The dotted fields of the transfer in which runs differ, in the transfer's order."""
    runs = list(runs)
    names = dict.fromkeys(name for run in runs for name in run.fields)
    return tuple(name for name in names if len({canonical_json([run.fields.get(name)]) for run in runs}) > 1)


def label_name(label: Mapping[str, Any]) -> str:
    """A label on one line: ``A, alpha=0.01``; ``single`` where nothing varies."""
    words = [str(value) if part == "cases" else f"{part}={flow(value)}" for part, value in label.items()]
    return ", ".join(words) or "single"


def load(path: Path | str) -> Results:
    """Read an experiment's or a sweep's folder, one run's, or what is kept of an earlier grid.

        results = load("runs/relative_weight")
        results.run(alpha=0.01).image()

    Args:
        path: such as ``runs/relative_weight``, ``runs/relative_weight/d061fbb8acb6`` or
            ``runs/relative_weight/earlier/1f0c93aa``.

    Raises:
        UsageError: it is not such a folder.
        StorageError: a manifest in it cannot be read.
    """
    folder = Path(path)
    is_runs = (folder / "manifest.json").exists() and not (folder / CELLS).exists()
    return _of_one_run(folder) if is_runs else load_whole(folder)


def load_whole(path: Path | str) -> Results:
    """Read an experiment's or a sweep's folder, or what is kept of an earlier grid: what can be drawn and judged.

    Raises:
        UsageError: it is not such a folder; one run's is not.
        StorageError: a manifest in it cannot be read.
    """
    folder = Path(path)
    above = folder.resolve().parent
    of_runs = above.parent if above.name == EARLIER and (above.parent / CELLS).exists() else folder
    try:
        data = yaml.safe_load((folder / "experiment.yaml").read_text())
        cells = json.loads((folder / CELLS).read_text())
        file = Path(data.pop("file"))
        model: type[Sweep | Experiment] = Sweep if "space" in data else Experiment
        definition = model.model_validate(data, context=WRITTEN)
        runs = tuple(run_of(of_runs, cell, definition.plugins) for cell in cells["cells"])
        storage, command = cells.get("storage"), cells.get("command")
        return Results(folder, of_runs.resolve().name, definition, cells["study"], storage, runs, file, command)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(_not_a_folder(folder)) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        why = f"{type(error).__name__}: {' '.join(lines[:3])}"
        raise UsageError(f"{folder} cannot be read ({why}); run its experiment again: what is done is kept.") from error


def _of_one_run(folder: Path) -> Results:
    """The results of the experiment that a run's folder, or a link to one, lies in, with that run alone."""
    here = os.path.abspath(folder)  # links are not followed: they are runs of their own experiment
    for parent in Path(here).parents[:2]:  # a run computed again lies in ``repeats``
        for grid in (parent, *sorted((parent / EARLIER).glob("*"))):
            if not (grid / CELLS).exists():
                continue
            results = load_whole(grid)
            found = tuple(run for run in results.all_runs if os.path.abspath(run.folder.path) == here)
            if found:
                return replace(results, all_runs=found, is_part=True)
    raise UsageError(f"{folder} is one run's folder, and no experiment's now; what it holds is in its manifest.json.")


def experiments_in(folder: Path) -> list[Path]:
    """The folders of experiments and sweeps in the folder of all runs, by name."""
    return sorted(path.parent for path in folder.glob(f"*/{CELLS}"))


def is_locked(path: Path) -> bool:
    """Whether a process holds a file's lock; it is tried for reading and let go at once, within microseconds."""
    try:
        with open(path) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no lock file, so never begun; or a file system without locks
        return False
    return False


def run_of(folder: Path, cell: Mapping[str, Any], plugins: tuple[str, ...]) -> Run:
    """A run as cells.json, in ``folder``, has it; its experiment names plugins."""
    return Run(
        cell["id"],
        dict(cell["label"]),
        cell["part"],
        Transfer.model_validate(cell["transfer"], context=WRITTEN),
        tuple(cell["overrides"]),
        RunFolder(folder / cell["folder"]),
        {key: folder / name for key, name in cell["sources"].items()},
        cell.get("evaluations"),
        plugins,
    )


def _not_a_folder(folder: Path) -> str:
    if not folder.exists():
        return f"There is no folder {folder}; harness run and harness sweep make one below --out (runs/ by default)."
    if (folder / "manifest.json").exists():
        return f"{folder} is one run's folder; give its experiment's: {folder.parent}."
    if inside := experiments_in(folder):
        return f"{folder} holds several experiments; name one: {', '.join(map(str, inside))}."
    if (folder / "experiment.yaml").exists():
        return f"{folder} has no {CELLS}; run its experiment again to have it written: what is done is kept."
    return f"{folder} is not an experiment's folder (it has no {CELLS}); give one such as runs/relative_weight."


def _flatten(data: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{before}{key}.")
        elif (key, value) != ("terms", {}):  # none: a field of its own beside those of other runs' terms
            yield f"{before}{key}", value


def _is_called(run: Run, name: str) -> bool:
    return run.id.startswith(name) or run.name == name or run.label.get("cases") == name
