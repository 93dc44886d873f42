"""Configuration: what a transfer, an experiment and a sweep say, read from YAML with every fault in one report.

    transfer, transfer_parts, styles, layers, values   the fields of a transfer, and the kinds of their values
    experiment, cells, claims, figure, levels          a grid of transfers, what it must bear out, a run's levels
    sweep, space, dimensions, objectives, samplers     a search, as Optuna's parameters too
    varied, image_files                                what varies need not stand in the base; folders as axes
    commands, file_names                               commands that are printed; what files are called in tables
    given ─► source ─► resolving ─► reading ─► loaded  from what was given to what is carried out; ``shipped``: by name
    yaml_source, places, overrides                     on that way: YAML, where each field stands, ``key=value`` words
    fields, sentences, selectors, space_checks, registered, describing   names, and what is wrong with them, in words
    identity, methods                                  the id of a run; which fields say anything to a method

The parts of an ``Experiment`` or a ``Sweep`` are mappings, as in the YAML, or objects of the modules they are in:

    Experiment(transfer={"content": "coffee", "style": "ink"}, axes={"alpha": [1e-4, 1e-1]})

    harness.config.claims          Claim, Change, Repeat
    harness.config.experiment      Tracking
    harness.config.figure          Figure
    harness.config.dimensions      Log, Uniform, Integer, Choice, Simplex
    harness.config.objectives      Maximised
    harness.config.samplers        Tpe, Random, Nsga2, Qmc, NoPruner, MedianPruner, SuccessiveHalving, Budget
    harness.config.styles          StyleImage, Segmentation
    harness.config.transfer_parts  StartFile, WeightsPath, WeightsUrl, WeightsNetwork, Lbfgs, Adam, PyramidLevel,
                                   Photorealism, Quilting

Nothing here imports torch, or opens any file but the YAML it is given and the plugins that this names; folders are
listed where an axis is one. numpy comes when a measure is looked up.
"""

from harness.config.experiment import Experiment
from harness.config.reading import load_experiment, load_sweep
from harness.config.sweep import Sweep
from harness.config.transfer import Transfer

__all__ = ["Experiment", "Sweep", "Transfer", "load_experiment", "load_sweep"]
