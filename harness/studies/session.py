"""Ask and tell: the one place where a driver speaks to a study.

    session.ask() ─► Asked ─► (computed, reported on the way) ─► session.complete | prune | fail

``grid`` enumerates the cells of an experiment, ``search`` has Optuna draw the trials of a sweep.

# Deviates from Optuna's advice on trials a dead process left RUNNING (tell them FAIL, enqueue their parameters again):
# they are adopted, that is given out again under their number with their parameters, and told once. A failed copy would
# move every later number, and the sampler would draw other trials than in a study that nobody killed; and the run
# folder that lies there half done is this trial's own.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from harness.errors import StorageError
from harness.studies.internals import add_trial, id_of, storage_of, stored
from harness.studies.storage import explained, location

REASON = "reason"
"""User attribute of a failed trial: why."""

RETRY_OF = "retry_of"
"""User attribute of a trial that repeats a failed one: that one's number. It does not count against the budget."""

LOST = "lost"
"""User attribute of a trial whose run folder was deleted with the study: nothing is known of it, nor does it count."""


@dataclass(frozen=True)
class Asked:
    """One trial to compute.

    Attributes:
        number: in its study.
        params: Optuna's parameters.
        distributions: of each, as Optuna's JSON.
        fields: of a search: the value of each dotted field of the transfer. Empty for a grid.
        cell: of a grid: which of its cells. None for a search.
        user_attrs: of the trial; the weights of a simplex are among them.
        system_attrs: of the trial: what its sampler has to find again, should the study be rebuilt.
    """

    number: int
    params: Mapping[str, Any]
    distributions: Mapping[str, str]
    fields: Mapping[str, Any] = field(default_factory=dict)
    cell: int | None = None
    user_attrs: Mapping[str, Any] = field(default_factory=dict)
    system_attrs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Counts:
    """How far a study is; ``left`` are trials that have not been asked for."""

    complete: int
    pruned: int
    failed: int
    open: int
    left: int


@dataclass(frozen=True)
class _Result:
    state: TrialState
    values: tuple[float, ...] | None = None
    reason: str = ""
    intermediate: Mapping[int | str, float] = field(default_factory=dict)


_NOTHING: Mapping[int | str, float] = MappingProxyType({})


class StudySession(ABC):
    """One driver's view of a study: trials out, results in."""

    def __init__(self, study: Study, objectives: Sequence[str]) -> None:
        self.study = study
        self.objectives = tuple(objectives)
        self._open: dict[int, Trial] = {}  # asked and not told
        self._ready: deque[Asked] = deque()  # of those, not yet given out by this process
        self._results: dict[int, _Result] = {}  # of those, ended and waiting for their turn to be told
        self._ended: dict[TrialState, int] = {state: 0 for state in TrialState}
        trials = study.get_trials(deepcopy=False)
        self._num_trials = len(trials)
        for trial in trials:
            self._ended[trial.state] += trial.state.is_finished()
        for trial in trials:
            if trial.state is TrialState.WAITING:
                raise self._foreign(trial, "was queued by hand")
            if not trial.state.is_finished():
                self._ready.append(self._adopt(trial))

    @property
    def name(self) -> str:
        """The study's name."""
        return self.study.study_name

    @property
    def open(self) -> tuple[int, ...]:
        """The numbers of the trials that were asked for and have not been told, in order."""
        return tuple(sorted(self._open))

    @property
    def is_finished(self) -> bool:
        """Whether every trial has been told and none is left to ask for."""
        return not self._open and not self._num_left()

    def counts(self) -> Counts:
        """How far the study is."""
        return Counts(
            self._ended[TrialState.COMPLETE],
            self._ended[TrialState.PRUNED],
            self._ended[TrialState.FAIL],
            len(self._open),
            self._num_left(),
        )

    def ask(self) -> Asked | None:
        """The next trial to compute; None while others have to be told first, and when none is left.

        Raises:
            StorageError: the storage failed.
        """
        with explained(storage_of(self.study)):
            if not self._ready:
                self._fill()
        return self._ready.popleft() if self._ready else None

    def report(self, number: int, value: float, step: int) -> bool:
        """Say how an open trial does on the way; whether it should be given up.

        A step that was reported before (by a driver that died) keeps its value.

        Args:
            number: of the trial.
            value: of the only objective.
            step: loss evaluations behind it.

        Raises:
            ValueError: the trial is not open, or there are several objectives.
            StorageError: the storage failed.
        """
        if len(self.objectives) > 1:
            raise ValueError(f"study {self.name} has several objectives, with which nothing can be pruned")
        trial = self._open_trial(number)
        with explained(storage_of(self.study)):
            trial.report(value, step)
            return trial.should_prune()

    def complete(
        self, number: int, values: Sequence[float], intermediate: Mapping[int | str, float] = _NOTHING
    ) -> None:
        """A trial was carried to its end. One whose value is no number is told as failed.

        Args:
            number: of the trial.
            values: one for each objective.
            intermediate: what was measured on the way and may not have been reported, by loss evaluations.

        Raises:
            ValueError: the trial is not open, or has ended already, or there are not as many values as objectives.
            StorageError: the storage failed.
        """
        if len(values) != len(self.objectives):
            raise ValueError(f"trial {number}: {len(values)} values for {len(self.objectives)} objectives")
        bad = [f"{name} is {value}" for name, value in zip(self.objectives, values, strict=True) if not _finite(value)]
        if bad:
            self._end(number, _Result(TrialState.FAIL, reason=", ".join(bad), intermediate=intermediate))
        else:
            told = tuple(float(value) for value in values)
            self._end(number, _Result(TrialState.COMPLETE, told, intermediate=intermediate))

    def prune(self, number: int, intermediate: Mapping[int | str, float] = _NOTHING) -> None:
        """A trial was given up; arguments and errors as of ``complete``."""
        self._end(number, _Result(TrialState.PRUNED, intermediate=intermediate))

    def fail(self, number: int, reason: str) -> None:
        """A trial failed; errors as of ``complete``.

        Args:
            number: of the trial.
            reason: the sentence for the user.
        """
        self._end(number, _Result(TrialState.FAIL, reason=reason))

    @abstractmethod
    def _num_left(self) -> int:
        """Trials that have not been asked for."""

    @abstractmethod
    def _fill(self) -> None:
        """Ask for the trials that may be asked for now."""

    @abstractmethod
    def _settle(self) -> None:
        """Tell the results whose turn it is."""

    @abstractmethod
    def _asked(self, trial: FrozenTrial) -> Asked:
        """What is given out for a trial that has all its parameters.

        Raises:
            StorageError: the trial is not of this grid or space.
        """

    def _open_trial(self, number: int) -> Trial:
        if number not in self._open or number in self._results:
            raise ValueError(f"trial {number} of study {self.name} is not open")
        return self._open[number]

    def _end(self, number: int, result: _Result) -> None:
        self._open_trial(number)
        self._results[number] = result
        with explained(storage_of(self.study)):
            self._settle()

    def _tell(self, number: int) -> None:
        trial, result = self._open[number], self._results[number]
        if len(self.objectives) == 1:
            known = stored(self.study, id_of(trial)).intermediate_values
            for step, value in sorted((int(step), value) for step, value in result.intermediate.items()):
                if step not in known:
                    trial.report(value, step)
        if result.reason:
            trial.set_user_attr(REASON, result.reason)
        self.study.tell(number, result.values, result.state)
        del self._open[number], self._results[number]
        self._ended[result.state] += 1

    def _adopt(self, trial: FrozenTrial) -> Asked:
        self._open[trial.number] = Trial(self.study, id_of(trial))
        return self._asked(trial)

    def _add(
        self, params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution], user_attrs: Mapping[str, Any]
    ) -> None:
        """Open a trial with parameters that are known, in one write: a kill leaves it whole or not at all."""
        # Not enqueue_trial: its values are used unchecked, and asking for them takes time in proportion to the queue.
        trial = create_trial(
            state=TrialState.RUNNING, params=dict(params), distributions=dict(distributions),
            user_attrs=dict(user_attrs),
        )  # fmt: skip
        self._take_in(add_trial(self.study, trial))

    def _take_in(self, trial_id: int) -> None:
        """A trial was asked for by this process; it must have the number it was expected to have."""
        trial = stored(self.study, trial_id)
        if trial.number != self._num_trials:
            raise StorageError(
                f"Another process has asked for trials of study {self.name} in {location(storage_of(self.study))} "
                f"(number {trial.number} came, {self._num_trials} was due); only one driver may. Stop one of them."
            )
        self._num_trials += 1
        self._ready.append(self._adopt(trial))

    def _foreign(self, trial: FrozenTrial, what: str) -> StorageError:
        return StorageError(
            f"Trial {trial.number} of study {self.name} in {location(storage_of(self.study))} {what}; the study was "
            "changed by something else. Move it away, or give another --storage: runs that are done are found again."
        )


def open_study(
    storage: BaseStorage,
    name: str,
    objectives: Sequence[str],
    sampler: BaseSampler,
    pruner: BasePruner,
    maximised: Collection[str] = (),
) -> Study:
    """Go on with a study, or begin it; its objectives are minimised, but for those that are among ``maximised``.

    Raises:
        StorageError: what is stored under this name has other objectives.
    """
    study = optuna.create_study(
        storage=storage, study_name=name, load_if_exists=True, sampler=sampler, pruner=pruner,
        directions=["maximize" if objective in maximised else "minimize" for objective in objectives],
    )  # fmt: skip
    if study.metric_names != list(objectives):
        if study.metric_names is not None or len(study.directions) != len(objectives):
            raise StorageError(
                f"Study {name} in {location(storage_of(study))} is of {study.metric_names or len(study.directions)}, "
                f"not of {list(objectives)}; move it away, or give another --storage."
            )
        study.set_metric_names(list(objectives))
    return study


def as_json(trial: FrozenTrial) -> dict[str, str]:
    """A trial's distributions as Optuna's JSON."""
    return {name: distribution_to_json(distribution) for name, distribution in trial.distributions.items()}


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
