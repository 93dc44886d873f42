"""Samplers, pruners and dimensions of a sweep as Optuna has them, with every argument chosen here.

Optuna's defaults change between versions (5.0 changed TPE's), and a changed default would ask other trials.

A seeded sampler of Optuna's starts its random stream anew in every process: a driver that was restarted would ask the
same trials again. So a sampler here serves one draw, and its seed is made of the sweep's seed, the trial's number and
the parameter: what is drawn depends on those and on what has been told, never on which process draws, nor on how much
of a trial a killed one had drawn already.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, NSGAIISampler, QMCSampler, RandomSampler, TPESampler
from optuna.samplers.nsgaii import UniformCrossover
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from harness.config import samplers
from harness.config import space as config_space
from harness.config.dimensions import Choice, Dimension, Integer, Log, Uniform

Distributions = Mapping[str, BaseDistribution]


def distributions_of(space: Mapping[str, Dimension]) -> dict[str, BaseDistribution]:
    """Optuna's distribution of each parameter of a space, in its order."""
    return {name: _distribution(dimension) for name, dimension in config_space.parameters(space).items()}


def _distribution(dimension: Dimension) -> BaseDistribution:
    if isinstance(dimension, Choice):
        return CategoricalDistribution(config_space.as_choices(dimension.choice))
    if isinstance(dimension, Integer):
        return IntDistribution(dimension.low, dimension.high)
    assert isinstance(dimension, Log | Uniform), f"{dimension} is no parameter"
    return FloatDistribution(dimension.low, dimension.high, log=isinstance(dimension, Log))


def suggest(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
    """Draw one parameter of a trial, or give the one it has."""
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(name, distribution.low, distribution.high)
    assert isinstance(distribution, FloatDistribution)
    return trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)


def draw(trial: Trial, given: samplers.Sampler, distributions: Distributions, parallel: int) -> None:
    """Draw every parameter that a trial does not have yet.

    Args:
        trial: a new one, or one that a killed driver had drawn in part.
        given: the sweep's sampler.
        distributions: of all its parameters.
        parallel: trials that are asked before the first is told.
    """
    number = trial.number
    # What is drawn jointly is drawn first, before any parameter: then a trial half drawn draws it alike.
    trial.study.sampler = make_sampler(given, distributions, parallel, number)
    _ = trial.relative_params
    for name, distribution in distributions.items():
        trial.study.sampler = make_sampler(given, distributions, parallel, number, name)
        suggest(trial, name, distribution)


def make_sampler(
    given: samplers.Sampler, distributions: Distributions, parallel: int, number: int = 0, name: str = ""
) -> BaseSampler:
    """The sampler for one draw.

    Args:
        given: the sweep's sampler.
        distributions: of all its parameters.
        parallel: trials that are asked before the first is told.
        number: of the trial.
        name: the parameter; empty for what is drawn jointly.
    """
    seed = seed_of(given.seed, number, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # arguments Optuna calls experimental or deprecated are chosen on purpose
        if isinstance(given, samplers.Random):
            return RandomSampler(seed=seed)
        if isinstance(given, samplers.Qmc):
            return NumberedQmc(distributions, number, given.seed)
        if isinstance(given, samplers.Nsga2):
            return WindowedNsga2(given.population, parallel, seed)
        return TPESampler(
            n_startup_trials=given.startup,
            n_ei_candidates=24,
            seed=seed,
            multivariate=True,  # the weights of a simplex belong together, with several objectives too
            group=False,  # every trial has every parameter
            constant_liar=True,  # trials still open repel: ``parallel`` of them always are
        )


def seed_of(seed: int, number: int, name: str = "") -> int:
    """A seed in [0, 2³²) for one draw: the first 32 bits of a SHA-256, so that neighbours are unrelated."""
    return int.from_bytes(hashlib.sha256(f"{seed} {number} {name}".encode()).digest()[:4], "big")


class NumberedQmc(QMCSampler):
    """Scrambled Sobol points; trial n has the n-th.

    Deviates from optuna.samplers.QMCSampler, sample_id: Optuna counts in the study's attributes, where a draw that was
    cut short skips a point, and draws the first trial at random.
    """

    def __init__(self, distributions: Distributions, number: int, seed: int) -> None:
        super().__init__(
            qmc_type="sobol", scramble=True, seed=seed, independent_sampler=RandomSampler(seed=seed),
            warn_asynchronous_seeding=False, warn_independent_sampling=False,
        )  # fmt: skip
        self._distributions = {name: distributions[name] for name in sorted(distributions)}
        self._number = number

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The sweep's whole space."""
        return self._distributions

    def _find_sample_id(self, study: Study, search_space: dict[str, BaseDistribution]) -> int:
        return self._number


class WindowedNsga2(NSGAIISampler):
    """NSGA-II whose parents are a function of the trials.

    Deviates from optuna.samplers.NSGAIISampler, get_parent_population: Optuna keeps the parents of a generation in the
    study's attributes, in another order when they are read back, and a rebuilt study would not have them. They are
    chosen anew here from the trials that had been told when the generation's first trial was asked.
    """

    def __init__(self, population: int, parallel: int, seed: int) -> None:
        super().__init__(
            population_size=population, mutation=None, mutation_prob=None, crossover=UniformCrossover(0.5),
            crossover_prob=0.9, swapping_prob=0.5, seed=seed,
        )  # fmt: skip
        self._parallel = parallel

    def get_parent_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        """The parents of a generation, by number."""
        if generation == 0:
            return []
        parents = self.select_parent(study, generation)
        return sorted(parents, key=lambda trial: trial.number)

    def get_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        """The trials of a generation that had been told when the next one's first trial was asked."""
        key = self._get_generation_key()
        trials = study.get_trials(deepcopy=False)
        last = min(t.number for t in trials if t.system_attrs.get(key) == generation + 1) - self._parallel
        return [
            trial
            for trial in trials
            if trial.number <= last and trial.state is TrialState.COMPLETE and trial.system_attrs.get(key) == generation
        ]


def make_pruner(given: samplers.Pruner) -> BasePruner:
    """The sweep's pruner; its steps are loss evaluations, reported at the sweep's rungs only."""
    if isinstance(given, samplers.MedianPruner):
        return MedianPruner(
            n_startup_trials=given.startup, n_warmup_steps=given.warmup, interval_steps=1, n_min_trials=1
        )
    if isinstance(given, samplers.SuccessiveHalving):
        return SuccessiveHalvingPruner(
            min_resource=given.min_resource, reduction_factor=given.reduction, min_early_stopping_rate=0,
            bootstrap_count=0,
        )  # fmt: skip
    return NopPruner()
