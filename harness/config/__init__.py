"""Configuration: what a transfer and an experiment say, read from YAML with every fault in one report.

Nothing here imports torch or numpy, or opens any file but the YAML it is given.
"""

from harness.config.experiment import Experiment, Figure, Tracking
from harness.config.grid import Cell
from harness.config.identity import NUMERICS, canonical_json, hashed_fields, run_id
from harness.config.layers import LAYERS, LayerName
from harness.config.loading import Loaded, load_experiment
from harness.config.located import Located
from harness.config.transfer import Adam, Convention, Lbfgs, StartFile, Transfer, WeightsFile, WeightsUrl
from harness.config.yaml_source import dump_yaml

__all__ = [
    "LAYERS",
    "NUMERICS",
    "Adam",
    "Cell",
    "Convention",
    "Experiment",
    "Figure",
    "LayerName",
    "Lbfgs",
    "Loaded",
    "Located",
    "StartFile",
    "Tracking",
    "Transfer",
    "WeightsFile",
    "WeightsUrl",
    "canonical_json",
    "dump_yaml",
    "hashed_fields",
    "load_experiment",
    "run_id",
]
