"""Studies: what Optuna asks for, is told, and has stored; the driver's bookkeeping between a YAML and its run folders.

``storage`` opens where a study is kept (``journal``: its file's lock), ``naming`` names it, ``grid`` and ``search`` are
the two kinds of ``session`` that ask and tell (``sampling``: whom they ask), ``rebuild`` brings a deleted study back
from the run folders, and ``artifacts`` shows them in Optuna Dashboard.
"""
