"""The study of an experiment's grid, whose cells the harness enumerates.

Optuna's own ``GridSampler`` raises at the last ``tell``, never repeats what failed and starts again when it is through.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import CategoricalDistribution
from optuna.pruners import NopPruner
from optuna.samplers import RandomSampler
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from harness.config.identity import canonical_json
from harness.config.space import as_choices
from harness.studies.session import RETRY_OF, Asked, StudySession, as_json, open_study
from harness.studies.storage import explained


class GridSession(StudySession):
    """A grid: every cell is asked for once; one that failed again only on request."""

    def __init__(
        self, study: Study, objectives: Sequence[str], cells: Sequence[Mapping[str, Any]], retry_failed: bool
    ) -> None:
        self._cells = list(cells)
        names = list(dict.fromkeys(name for cell in cells for name in cell))
        choices = {name: tuple(dict.fromkeys(cell[name] for cell in cells if name in cell)) for name in names}
        self._distributions = {name: CategoricalDistribution(found) for name, found in choices.items()}
        self._index = {canonical_json(cell): index for index, cell in enumerate(cells)}
        if len(self._index) < len(self._cells):
            raise ValueError("two cells of the grid have the same label")
        super().__init__(study, objectives)
        latest: dict[int, FrozenTrial] = {}
        for trial in study.get_trials(deepcopy=False):
            index = self.cell_of(trial)
            if index is not None:
                latest[index] = trial
        self._todo = deque(
            (index, {RETRY_OF: latest[index].number} if index in latest else {})
            for index in range(len(self._cells))
            if index not in latest or (retry_failed and latest[index].state is TrialState.FAIL)
        )

    def _num_left(self) -> int:
        return len(self._todo)

    def _fill(self) -> None:
        if self._todo:
            index, attributes = self._todo[0]
            cell = self._cells[index]
            self._add(cell, {name: self._distributions[name] for name in cell}, attributes)
            self._todo.popleft()

    def _settle(self) -> None:
        for number in sorted(self._results):
            self._tell(number)

    def cell_of(self, trial: FrozenTrial) -> int | None:
        """Which cell a trial asks for, by its place; None of one that is of no cell."""
        return self._index.get(canonical_json(trial.params))

    def _asked(self, trial: FrozenTrial) -> Asked:
        index = self.cell_of(trial)
        if index is None:
            raise self._foreign(trial, f"has {trial.params}, which is no cell of this grid")
        return Asked(trial.number, trial.params, as_json(trial), cell=index, user_attrs=trial.user_attrs)


def _as_choices(cells: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Labels with their values as Optuna has them (``harness.config.space.as_choices``)."""
    stored: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(name for cell in cells for name in cell):
        values = {canonical_json([cell[name]]): cell[name] for cell in cells if name in cell}
        stored[name] = dict(zip(values, as_choices(values.values()), strict=True))
    return [{name: stored[name][canonical_json([value])] for name, value in cell.items()} for cell in cells]


def open_grid(
    storage: BaseStorage,
    name: str,
    cells: Sequence[Mapping[str, Any]],
    objectives: Sequence[str],
    retry_failed: bool = False,
) -> GridSession:
    """Go on with a grid's study, or begin it.

    Args:
        storage: of the study.
        name: of the study; of another grid it must be another.
        cells: the label of each, as plain data; no two alike.
        objectives: the comparable numbers told of each.
        retry_failed: ask once more for the cells that failed before this session.

    Raises:
        StorageError: the storage failed, or holds something else under this name.
    """
    words = _as_choices(cells)
    with explained(storage):
        study = open_study(storage, name, objectives, RandomSampler(seed=0), NopPruner())
        return GridSession(study, objectives, words, retry_failed)
