"""Configuration: what a transfer, an experiment and a sweep say, read from YAML with every fault in one report.

    transfer, transfer_parts, styles, layers, values   the fields of a transfer, and the kinds of their values
    experiment, cells, claims, levels                  a grid of transfers, what it must bear out, a run's levels
    sweep, space, dimensions, samplers                 a search, as Optuna's parameters too
    given ─► source ─► resolving ─► loading ─► loaded  from what was given to what is carried out; ``shipped``: by name
    yaml_source, located, overrides                    on that way: YAML, where each field stands, ``key=value`` words
    fields, sentences, selectors, space_checks, registered, describing   names, and what is wrong with them, in words
    identity, methods                                  the id of a run; which fields say anything to a method

Nothing here imports torch, or opens any file but the YAML it is given and the plugins that this names. numpy comes when
a measure is looked up.
"""

from harness.config.experiment import Experiment
from harness.config.loading import load_experiment, load_sweep
from harness.config.sweep import Sweep
from harness.config.transfer import Transfer

__all__ = ["Experiment", "Sweep", "Transfer", "load_experiment", "load_sweep"]
