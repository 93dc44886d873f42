"""What an experiment or a sweep has come to, read from its folder: for figures, claims, tables and notebooks.

    results = harness.load("runs/relative_weight")
    for run in results.runs:
        print(run.name, run.metrics.get("ssim"), run.history()[-1]["total"])
    pandas.DataFrame(results.table())
    pandas.DataFrame(results.with_earlier().table())    # what was asked for before, too

Nothing is computed and no network is loaded; ``cells.json``, which the driver writes, says which runs belong together.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from harness.config.claims import loss_name, matches
from harness.config.commands import RUNS
from harness.config.experiment import Experiment
from harness.config.fields import unknown_name
from harness.config.identity import canonical_json
from harness.config.kept import CONTENTS, OWNER
from harness.config.sweep import Sweep
from harness.config.values import WRITTEN
from harness.config.yaml_source import flow, parse_word
from harness.errors import UsageError
from harness.files import real
from harness.results.alike import MeasuredAlike, measured_by
from harness.results.grids import CELLS, DRIVER_LOCK, earlier_grids, experiments_in, folders_of, grid_above
from harness.results.linking import is_gone, told_gone
from harness.results.named_alike import contents_told
from harness.results.run import Run, label_name, run_of
from harness.runs.store import Status
from harness.system import is_locked

if TYPE_CHECKING:
    import optuna


EXPLORER = "explore.html"
"""The page of pictures in an experiment's folder, which names them relative to where it lies."""

OF_ONE_GRID = (
    "figure.png", "figure.pdf", "figure.tex", "curves.png", "curves.pdf", EXPLORER,
    "front.png", "front.pdf", "search.png", "search.pdf", "claims.json", "claims.md", "experiment.yaml", CELLS,
)  # fmt: skip
"""Files of an experiment's folder that another grid would replace."""

NUM_VALUES = 20
"""So many values of a field are named where none is the one that was wanted."""

logger = logging.getLogger("harness")


@dataclass(frozen=True)
class Results:
    """An experiment's or a sweep's runs.

    Attributes:
        folder: of the experiment; of an earlier grid its own, in ``earlier`` there.
        name: its name.
        definition: the resolved experiment or sweep.
        study: the name of its Optuna study.
        storage: the study's storage as it was given; None for ``study.journal`` in the folder.
        all_runs: in the experiment's order, those of the grid first; a sweep's by trial number.
        file: the YAML it came from.
        command: what carried it out; empty of one trial of a sweep.
        directory: in which it was given: relative paths in it, and images and plugins, are looked for there.
        contents: what its files held, by their names (``harness.driver.given_files``).
        is_part: whether some of its runs were left out.
        selected: by which fields they were.
    """

    folder: Path
    name: str
    definition: Experiment | Sweep
    study: str
    storage: str | None
    all_runs: tuple[Run, ...]
    file: Path = Path()
    command: str = ""
    directory: Path = Path()
    contents: Mapping[str, str] = field(default_factory=dict)
    is_part: bool = False
    selected: tuple[str, ...] = ()

    @property
    def runs(self) -> tuple[Run, ...]:
        """Those that have a panel: the grid, or a sweep's trials."""
        return tuple(run for run in self.all_runs if run.part == "grid")

    @property
    def home(self) -> Path:
        """The experiment's folder: ``folder``, or of an earlier grid the one in which it is kept."""
        return grid_above(self.folder) or self.folder

    @cached_property
    def earlier(self) -> tuple[Results, ...]:
        """What was asked for before in the same folder, the last first, each as ``load`` of its own folder gives it.

        None of a selection or an earlier grid. What cannot be read is logged, and left out.
        """
        found = []
        for path in () if self.is_part else earlier_grids(self.folder):
            try:
                found.append(load_whole(path))
            except UsageError as error:
                logger.warning(str(error))
        return tuple(found)

    def with_earlier(self) -> Results:
        """These results with the runs that only earlier grids have, each once, behind them: all runs of the folder.

            results.with_earlier().select(content="photo.jpg")

        ``Run.earlier``, and a column of ``table``, say which grid asked for them. It draws and judges no figure or
        claim: each of ``earlier`` does.
        """
        runs = {run.key: run for run in self.all_runs}
        for grid in self.earlier:
            for run in grid.all_runs:
                runs.setdefault(run.key, replace(run, earlier=grid.folder.name))
        has_more = len(runs) > len(self.all_runs)
        return replace(self, all_runs=tuple(runs.values()), is_part=self.is_part or has_more)

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
        num_repeats = len(self.all_runs) - len(self.runs)
        repeats = f", and {num_repeats} repeats" if self.is_part and num_repeats else ""
        head = f"<Results of the {kind} {self.name}: {num_done} of {len(self.runs)} runs are done{repeats}"
        num_earlier = 0 if self.is_part else len(self.with_earlier().runs) - len(self.runs)
        asked = [f"  {num_earlier} more asked for earlier: .earlier, .with_earlier()"] if num_earlier else []
        return "\n".join([head, *some, *more, *asked]) + ">"

    def __len__(self) -> int:
        """Of ``runs``."""
        return len(self.runs)

    def __iter__(self) -> Iterator[Run]:
        """Over ``runs``."""
        return iter(self.runs)

    def run(self, which: str | Mapping[str, Any] | None = None, **label: Any) -> Run:
        """The one run that is meant; of several that fit, the one that has a panel.

        Args:
            which: an id or its beginning, the name of a case, a run's ``name``, or some of its label as a mapping.
            label: some of its label, or of its transfer: ``results.run(alpha=0.01, steps=200)``, ``run(trial=7)``.

        Raises:
            UsageError: none fits, or several do.
        """
        wanted = _meant({**(which if isinstance(which, Mapping) else {}), **label})
        name = which if isinstance(which, str) else None
        found = [run for run in self.all_runs if (name is None or _is_called(run, name)) and matches(wanted, run.said)]
        found = [run for run in found if run.part == "grid"] or found
        if len(found) == 1:
            return found[0]
        given = ", ".join([*([] if name is None else [name]), *([label_name(wanted)] if wanted else [])])
        what = f"{len(found)} runs of {self.name} fit" if found else f"No run of {self.name} fits"
        what += " (with_earlier() has those asked for before)" if self.earlier and not found else ""
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
        known = {name for run in self.all_runs for name in run.said}
        if unknown := [name for name in wanted if name not in known]:
            told = "; ".join(unknown_name(name, sorted(known)) for name in unknown)
            raise UsageError(f"{self.name}: {told}.")
        found = [run for run in self.all_runs if matches(_meant(wanted), run.said)]
        if not found:
            raise UsageError(f"No run of {self.name} has {label_name(wanted)}; {_had(self.all_runs, wanted)}.")
        return replace(self, all_runs=tuple(found), is_part=True, selected=(*self.selected, *wanted))

    def optuna_study(self) -> optuna.Study:
        """A sweep's Optuna study, wherever it is stored, for Optuna's own tables and plots.

            results.optuna_study().trials_dataframe()

        It is there to be read: what is added to it, ``harness sweep`` knows nothing of.

        Raises:
            UsageError: it is no sweep.
            StorageError: the storage is gone, cannot be reached, or has no such study.
        """
        import harness

        return harness._study_of(self)

    def table(self) -> list[dict[str, Any]]:
        """Every run as a plain mapping, all with the same keys, for ``pandas.DataFrame(results.table())``.

        Keys: ``id``, ``part`` (``grid``; repeats have ``repeat`` or ``again``), ``status`` (``done``, ``failed``, …),
        ``settled`` (whether its loss had settled when it was done; None: nothing can be said) and ``reason``;
        ``earlier`` of ``with_earlier``; what the labels say beside fields (``cases``, ``trial``) or of several at once
        (``style_layers``, as text, to group by); each dotted field of the transfer in which runs differ, that labels
        have, or by which these were selected; of files that one name does not tell apart, such as a photograph that was
        replaced, ``sha256 of content``; the comparable numbers; the run's own losses as ``loss/total``,
        ``loss/content``, ``loss/style``, ``loss/my_term``, as in W&B. What is not there is None.
        Where runs were measured on different embedded networks, ``measured_on`` says which, and of these numbers only
        those of the installed one are there; of a plugin's measure that was edited, those of the runs asked for last.

        Raises:
            StorageError: a manifest cannot be read.
        """
        parts = dict.fromkeys(part for run in self.all_runs for part in run.label)
        kept = {*differing_fields(self.all_runs), *parts, *self.selected}
        fields = [name for name in dict.fromkeys(name for run in self.all_runs for name in run.fields) if name in kept]
        grouped = [part for part in parts if any(isinstance(run.label.get(part), Mapping) for run in self.all_runs)]
        metrics = dict.fromkeys(loss_name(key) for run in self.all_runs for key in run.metrics)
        alike, contents = MeasuredAlike(self.all_runs), contents_told(self.all_runs)
        has_earlier = any(run.earlier for run in self.all_runs)
        rows: list[dict[str, Any]] = []
        for run, told in zip(self.all_runs, contents, strict=True):
            status = run.status.name.lower()
            row: dict[str, Any] = {"id": run.id, "part": run.part, "status": status, "settled": run.settled}
            row |= {"reason": run.reason}
            row |= {"earlier": run.earlier or None} if has_earlier else {}
            row |= {part: run.label.get(part) for part in parts if part.split(".")[0] not in run.whole_fields}
            row |= {part: flow(run.label[part]) if part in run.label else None for part in grouped}
            row |= {name: run.fields.get(name) for name in fields}
            row |= {name: told.get(name) for name in dict.fromkeys(name for each in contents for name in each)}
            row |= dict.fromkeys(metrics) | {loss_name(key): value for key, value in alike.metrics(run).items()}
            row |= {"measured_on": measured_by(run)} if alike.is_mixed else {}
            rows.append(row)
        return rows


def _meant(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Values, and where they are texts what these say as YAML too: ``"1e-3"``, ``"{conv2_2: 1}"`` as tables have it."""
    said = {name: parse_word(value, name) for name, value in wanted.items() if isinstance(value, str)}
    parsed = {name: [wanted[name], value] for name, (value, faults) in said.items() if not faults and value is not None}
    return {**wanted, **parsed}


def _had(runs: Sequence[Run], wanted: Mapping[str, Any]) -> str:
    """``alpha is 0.001, 0.01``: the values of what is wanted in vain; where each is there, that no run has all."""
    lacking = [name for name, value in wanted.items() if not any(matches({name: value}, run.said) for run in runs)]
    told = []
    for name in lacking or wanted:
        had = [run.said[name] for run in runs if name in run.said]
        had = sorted(had) if all(isinstance(value, int | float) for value in had) else had
        values = dict.fromkeys(map(flow, had))
        more = f" and {len(values) - NUM_VALUES} more" if len(values) > NUM_VALUES else ""
        told.append(f"{name} is {', '.join([*values][:NUM_VALUES])}{more}")
    return "; ".join(told) + ("" if lacking else ", but no run has these together")


def differing_fields(runs: Iterable[Run]) -> tuple[str, ...]:
    """The dotted fields of the transfer in which runs differ, in the transfer's order."""
    runs = list(runs)
    names = dict.fromkeys(name for run in runs for name in run.fields)
    return tuple(name for name in names if len({canonical_json([run.fields.get(name)]) for run in runs}) > 1)


def load(path: Path | str) -> Results:
    """Read an experiment's or a sweep's folder, one run's, or an earlier grid's; all as of ``harness.load``."""
    folder = Path(path)
    if (folder / CELLS).exists():
        return load_whole(folder)
    if (found := _of_one_run(folder)) is not None:
        return found
    if (folder / "manifest.json").exists():
        told = "is one run's folder, and no experiment's now; what it holds is in its manifest.json"
        raise UsageError(f"{folder} {told}.")
    return load_whole(folder)  # which says what it is


def load_whole(path: Path | str) -> Results:
    """Read an experiment's or a sweep's folder, or what is kept of an earlier grid: what can be drawn and judged.

    Raises:
        UsageError: it is not such a folder; one run's is not.
        StorageError: a manifest in it cannot be read.
    """
    folder = Path(path)
    of_runs = grid_above(folder) or folder
    try:
        data = yaml.safe_load((folder / "experiment.yaml").read_text(encoding="utf-8"))
        cells = json.loads((folder / CELLS).read_text(encoding="utf-8"))
        file, contents = Path(data.pop(OWNER)), dict(data.pop(CONTENTS, None) or {})
        contents = {str(name): str(sha256) for name, sha256 in contents.items()}
        model: type[Sweep | Experiment] = Sweep if "space" in data else Experiment
        definition = model.model_validate(data, context=WRITTEN)
        runs = tuple(run_of(of_runs, cell, definition.plugins) for cell in cells["cells"])
        return Results(
            folder, name_of(of_runs), definition, cells["study"], cells["storage"], runs, file,
            cells["command"], Path(cells["directory"]), contents,
        )  # fmt: skip
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(_not_a_folder(folder)) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        why = f"{type(error).__name__}: {' '.join(lines[:3])}"
        raise UsageError(f"{folder} cannot be read ({why}); run its experiment again: what is done is kept.") from error


def _of_one_run(folder: Path) -> Results | None:
    """The results of the experiment whose run's folder, or a link to one, this is or was, with that run alone."""
    here = os.path.abspath(folder)  # links are not followed: they are runs of their own experiment
    for parent in Path(here).parents[:2]:  # a run computed again lies in ``repeats``
        for grid in (parent, *earlier_grids(parent)):
            if os.path.relpath(here, parent) not in folders_of(grid):
                continue
            results = load_whole(grid)
            found = tuple(run for run in results.all_runs if os.path.abspath(run.folder.path) == here)
            if found:
                return replace(results, all_runs=found, is_part=True)
    return None


def name_of(folder: Path) -> str:
    """What an experiment's folder is called as it was given, also where it is a link; ``.`` as the shell has it."""
    if folder.name not in ("", ".."):
        return folder.name
    here = Path(os.environ.get("PWD", ""))
    with suppress(OSError):
        if folder.samefile(here):
            return here.name
    return real(folder).name


def _not_a_folder(folder: Path) -> str:
    if is_gone(folder):
        return f"{folder} is {told_gone(folder)}; the command of its experiment computes it again."
    if not folder.exists():
        if not folder.is_absolute() and (near := RUNS / folder).is_dir():
            return f"There is no folder {folder}; did you mean {near}?"
        return f"There is no folder {folder}; harness run and harness sweep make one below --out (runs/ by default)."
    if (folder / "manifest.json").exists():
        return f"{folder} is one run's folder; give its experiment's: {folder.parent}."
    if inside := experiments_in(folder):
        return f"{folder} holds several experiments; name one: {', '.join(map(str, inside))}."
    if (folder / "experiment.yaml").exists():
        return f"{folder} has no {CELLS}; run its experiment again to have it written: what is done is kept."
    return f"{folder} is not an experiment's folder (it has no {CELLS}); give one such as runs/relative_weight."


def _is_called(run: Run, name: str) -> bool:
    return run.id.startswith(name) or run.name == name or run.label.get("cases") == name
