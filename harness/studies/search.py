"""The study of a sweep, whose trials Optuna draws."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from harness.config.dimensions import Dimension
from harness.config.samplers import Budget, NoPruner, Pruner, Sampler
from harness.config.space import fields_of, weights_of
from harness.studies.internals import id_of, stored
from harness.studies.sampling import distributions_of, draw, make_pruner, make_sampler
from harness.studies.session import LOST, RETRY_OF, Asked, StudySession, as_json, open_study
from harness.studies.storage import explained


class SearchSession(StudySession):
    """A search: trial n is asked for when 0 … n − parallel have been told, and no more than those.

    Results are told in number order, whatever order they come in, and each makes room for exactly one trial before the
    next is told: so every draw sees the same past on any number of workers, as long as nothing is pruned.
    """

    def __init__(
        self,
        study: Study,
        objectives: Sequence[str],
        space: Mapping[str, Dimension],
        sampler: Sampler,
        budget: Budget,
        retry_failed: bool,
    ) -> None:
        self._space = dict(space)
        self._distributions = distributions_of(space)
        self._sampler = sampler
        self._budget = budget
        trials = study.get_trials(deepcopy=False)
        retried = {trial.user_attrs.get(RETRY_OF) for trial in trials}
        self._num_charged = sum(not {RETRY_OF, LOST} & set(trial.user_attrs) for trial in trials)
        self._retries = deque(
            trial
            for trial in trials
            if retry_failed and trial.state is TrialState.FAIL and trial.params and trial.number not in retried
        )
        super().__init__(study, objectives)
        for trial in trials:
            if trial.state.is_finished() and LOST not in trial.user_attrs:
                self._check_is_of_this_space(trial)
        self._settle()

    def _num_left(self) -> int:
        return len(self._retries) + max(0, self._budget.trials - self._num_charged)

    def _fill(self) -> None:
        while self._num_left() and not (self._open and min(self._open) <= self._num_trials - self._budget.parallel):
            if self._retries:
                failed = self._retries[0]
                self._add(failed.params, failed.distributions, {RETRY_OF: failed.number})
                self._retries.popleft()
            else:
                trial = self.study.ask()
                self._num_charged += 1
                self._take_in(id_of(trial))

    def _settle(self) -> None:
        self._fill()
        while self._open and (number := min(self._open)) in self._results:
            self._tell(number)
            self._fill()

    def _asked(self, trial: FrozenTrial) -> Asked:
        self._check_is_of_this_space(trial)
        if len(trial.params) < len(self._distributions):
            draw(self._open[trial.number], self._sampler, self._distributions, self._budget.parallel)
            trial = stored(self.study, id_of(trial))
        params = {name: trial.params[name] for name in self._distributions}
        fields = fields_of(self._space, params)
        user_attrs = {**trial.user_attrs, **weights_of(self._space, fields)}
        for name, value in user_attrs.items():
            if trial.user_attrs.get(name) != value:
                self._open[trial.number].set_user_attr(name, value)
        # TPE's are copies of the parameters, there only while a trial is open.
        attributes = {key: value for key, value in trial.system_attrs.items() if not key.startswith("tpe:")}
        return Asked(trial.number, params, as_json(trial), fields, None, user_attrs, attributes)

    def _check_is_of_this_space(self, trial: FrozenTrial) -> None:
        """Refuse a trial with other parameters, or one that has ended without all of them."""
        for name, distribution in trial.distributions.items():
            if self._distributions.get(name) != distribution:
                raise self._foreign(trial, f"has a parameter {name} = {trial.params[name]!r} that is not of this space")
        if trial.state.is_finished() and (
            lacking := [name for name in self._distributions if name not in trial.params]
        ):
            raise self._foreign(trial, f"has no parameter {lacking[0]}")


def open_search(
    storage: BaseStorage,
    name: str,
    space: Mapping[str, Dimension],
    objectives: Sequence[str],
    sampler: Sampler,
    budget: Budget,
    pruner: Pruner | None = None,
    retry_failed: bool = False,
    maximised: Sequence[str] = (),
) -> SearchSession:
    """Go on with a sweep's study, or begin it.

    Args:
        storage: of the study.
        name: of the study; of another space, sampler or seed it must be another.
        space: the dimension of each dotted field.
        objectives: the comparable numbers to minimise, but for those of ``maximised``.
        sampler: draws the trials.
        budget: how many trials in all, and how many are open at once.
        pruner: for one objective only.
        retry_failed: compute the trials that failed before this session once more, beyond the budget.
        maximised: those of the objectives of which more is better.

    Raises:
        StorageError: the storage failed, or holds something else under this name.
    """
    pruner = pruner or NoPruner()
    if len(objectives) > 1 and not isinstance(pruner, NoPruner):
        raise ValueError("a study of several objectives cannot be pruned")
    with explained(storage):
        first = make_sampler(sampler, distributions_of(space), budget.parallel)
        study = open_study(storage, name, objectives, first, make_pruner(pruner), maximised)
        return SearchSession(study, objectives, space, sampler, budget, retry_failed)
