"""What an experiment or a sweep has come to, read from its folder: nothing is computed, nothing is changed.

results      runs, histories, pictures and numbers: what ``harness.load`` gives
pictures     8-bit pictures, read when they are asked for
standing     how far runs have come
following    folders read again and again
"""

from harness.results.results import CELLS, DRIVER_LOCK, Part, Results, Run, experiments_in, label_name, load, load_whole

__all__ = ["CELLS", "DRIVER_LOCK", "Part", "Results", "Run", "experiments_in", "label_name", "load", "load_whole"]
