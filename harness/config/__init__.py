"""Configuration: what a transfer, an experiment and a sweep say, read from YAML with every fault in one report.

Nothing here imports torch, or opens any file but the YAML it is given and the plugins that this names. numpy comes when
a measure is looked up.
"""

from harness.config.cells import Cell
from harness.config.claims import COMPARABLE, LOSSES, Claim, Repeat, matches, value_key
from harness.config.dimensions import Choice, Dimension, Integer, Log, Simplex, Uniform
from harness.config.experiment import Experiment, Figure, Tracking
from harness.config.identity import NUMERICS, canonical_json, hashed_fields, run_id
from harness.config.layers import LAYERS, LayerName
from harness.config.loading import Loaded, load_experiment, load_sweep
from harness.config.located import Located
from harness.config.samplers import Budget, MedianPruner, NoPruner, Nsga2, Qmc, Random, SuccessiveHalving, Tpe
from harness.config.space import choice_names, fields_of, parameters, params_of
from harness.config.sweep import LoadedSweep, Sweep
from harness.config.transfer import Transfer
from harness.config.transfer_parts import Adam, Convention, Lbfgs, StartFile, WeightsPath, WeightsUrl
from harness.config.yaml_source import dump_yaml

__all__ = [
    "LOSSES",
    "COMPARABLE",
    "Claim",
    "Repeat",
    "matches",
    "value_key",
    "Choice",
    "Dimension",
    "Integer",
    "Log",
    "Simplex",
    "Uniform",
    "Experiment",
    "Figure",
    "Tracking",
    "Cell",
    "NUMERICS",
    "canonical_json",
    "hashed_fields",
    "run_id",
    "LAYERS",
    "LayerName",
    "Loaded",
    "load_experiment",
    "load_sweep",
    "Located",
    "Budget",
    "MedianPruner",
    "NoPruner",
    "Nsga2",
    "Qmc",
    "Random",
    "SuccessiveHalving",
    "Tpe",
    "choice_names",
    "fields_of",
    "parameters",
    "params_of",
    "LoadedSweep",
    "Sweep",
    "Adam",
    "Convention",
    "Lbfgs",
    "StartFile",
    "Transfer",
    "WeightsPath",
    "WeightsUrl",
    "dump_yaml",
]
