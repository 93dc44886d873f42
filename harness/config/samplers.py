"""How a space is searched: who chooses the trials, how many, and who ends hopeless ones early.

Every option is passed to Optuna explicitly, its defaults change between versions.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, Tag

from harness.config.values import Count, Strict, by_name, expand_name, number

FIRST_RUNG = 10
"""Loss evaluations before which a picture says nothing about its end."""

SamplerSeed = Annotated[int, number("integer", ge=0, lt=2**32)]


class Tpe(Strict):
    """Tree-structured Parzen estimator (Bergstra et al. 2011), multivariate, for one objective or several.

    Attributes:
        seed: of the sampler; trial n draws from (seed, n).
        startup: trials drawn at random before the model is asked; Optuna's default.
    """

    name: Literal["tpe"] = "tpe"
    seed: SamplerSeed = 0
    startup: Annotated[int, number("integer", ge=0)] = 10


class Random(Strict):
    """Independent random trials.

    Attributes:
        seed: of the sampler; trial n draws from (seed, n).
    """

    name: Literal["random"]
    seed: SamplerSeed = 0


class Nsga2(Strict):
    """NSGA-II (Deb et al. 2002), a genetic algorithm for several objectives.

    Attributes:
        seed: of the sampler; trial n draws from (seed, n).
        population: trials in a generation, the first of them random. Optuna's default is 50, more than a small budget
            has; 20 gives the default budget of 40 a second generation.
    """

    name: Literal["nsga2"]
    seed: SamplerSeed = 0
    population: Annotated[int, number("integer", ge=2)] = 20


class Qmc(Strict):
    """Quasi-random points (scrambled Sobol) over the space, choices included; trial n is the n-th point.

    Attributes:
        seed: of the scrambling.
    """

    name: Literal["qmc"]
    seed: SamplerSeed = 0


class NoPruner(Strict):
    """Every trial is carried to its end."""

    name: Literal["none"] = "none"


class MedianPruner(Strict):
    """A trial leaves at a rung where its best value so far is worse than the median of the earlier trials' there.

    Attributes:
        startup: finished trials before any is pruned; Optuna's default.
        warmup: loss evaluations before any is pruned.
        rungs: loss evaluations at which the objective is measured; by default 1, 2, 5 × 10^k from ``warmup`` and 10 on,
            below ``transfer.steps``.
    """

    name: Literal["median"]
    startup: Annotated[int, number("integer", ge=0)] = 5
    warmup: Annotated[int, number("integer", ge=0)] = 20
    rungs: Annotated[tuple[Count, ...], Field(min_length=1, description="a list of integers ≥ 1")] | None = None


class SuccessiveHalving(Strict):
    """Asynchronous successive halving (Li et al. 2020): at each rung the best 1/``reduction`` so far goes on.

    Attributes:
        min_resource: loss evaluations to the first rung.
        reduction: ratio of a rung to the one before, and share that goes on; Optuna's default is 4.
    """

    name: Literal["successive_halving"]
    min_resource: Count = 20
    reduction: Annotated[int, number("integer", ge=2)] = 4


Sampler = Annotated[
    Annotated[Tpe, Tag("<tpe>")]
    | Annotated[Random, Tag("<random>")]
    | Annotated[Nsga2, Tag("<nsga2>")]
    | Annotated[Qmc, Tag("<qmc>")],
    by_name("tpe", "random", "nsga2", "qmc", default="tpe"),
    BeforeValidator(expand_name),
    Field(description="{name: tpe, random, nsga2 or qmc, seed: …}"),
]
Pruner = Annotated[
    Annotated[NoPruner, Tag("<none>")]
    | Annotated[MedianPruner, Tag("<median>")]
    | Annotated[SuccessiveHalving, Tag("<successive_halving>")],
    by_name("none", "median", "successive_halving"),
    BeforeValidator(expand_name),
    Field(description="none, {name: median, …} or {name: successive_halving, …}"),
]


class Budget(Strict):
    """How much to search.

    Attributes:
        trials: how many trials in all; a larger number later goes on where the study stands.
        parallel: how many are asked before the first is told. It decides which trials are asked, whatever the machine.
    """

    trials: Count = 40
    parallel: Count = 8


def rungs_of(pruner: NoPruner | MedianPruner | SuccessiveHalving, steps: int) -> tuple[int, ...]:
    """Loss evaluations at which a pruner's objective is measured on the way, rising, each once.

    Args:
        pruner: which; without one there are none.
        steps: loss evaluations of the whole run, at which it is measured anyway.
    """
    if isinstance(pruner, MedianPruner):
        if pruner.rungs is not None:
            return tuple(sorted(set(pruner.rungs)))
        first = max(FIRST_RUNG, pruner.warmup)
        powers = (10**k for k in range(len(str(steps))))
        return tuple(rung for power in powers for rung in (power, 2 * power, 5 * power) if first <= rung < steps)
    found: list[int] = []
    rung = pruner.min_resource if isinstance(pruner, SuccessiveHalving) else steps
    while rung < steps and isinstance(pruner, SuccessiveHalving):
        found.append(rung)
        rung *= pruner.reduction
    return tuple(found)
