"""What an experiment or a sweep has come to, read from its folder: nothing is computed, nothing is changed.

run          one run: its picture, history and numbers
results      an experiment's runs: what ``harness.load`` gives
pictures     8-bit pictures, read when they are asked for
linking      runs that another experiment has computed
standing     how far runs have come
alike        numbers of runs that were measured alike
following    folders read again and again
spread       the spread of a number over seeds
exporting    runs as a folder to send to a colleague
"""

from harness.results.grids import CELLS, DRIVER_LOCK, experiments_in
from harness.results.results import Results, load, load_whole
from harness.results.run import Part, Run, label_name

__all__ = ["CELLS", "DRIVER_LOCK", "Part", "Results", "Run", "experiments_in", "label_name", "load", "load_whole"]
