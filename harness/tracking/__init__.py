"""W&B: the mirror of run folders while they are computed, the experiment's own run, the saved view of its project.

mode             online, offline or off
wandb_tracker    the mirrors of a worker's runs, in a thread of their own
mirror           one run folder's
records          what W&B is told of a run
linked           runs that were linked instead of computed
summary          the run of a whole experiment
workspace        the view
"""
