"""W&B: the mirror of run folders while they are computed, the experiment's own run, its saved view and its report.

mode             online, offline or off
wandb_tracker    the mirrors of a worker's runs, in a thread of their own
mirror           one run folder's
records          what W&B is told of a run
linked           runs that were linked instead of computed
pictures         photograph, paintings and kept picture in one row
summary          the run of a whole experiment
panels           what view and report are made of
workspace        the view
report           the report
saved            what is remembered between calls
"""
