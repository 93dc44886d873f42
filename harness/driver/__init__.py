"""An experiment or a sweep, from its cells to its run folders, figures and claims.

request          how a file is to be carried out
telling          who is told how that goes on
experiment       an experiment from beginning to end: what ``harness.run`` is
sweep            a sweep: what ``harness.sweep`` is
carrying         workers and the loop; figures, claims and mirrors at the end
jobs             cells as runs with ids
inspection       a cell's images and weights found, hashed and checked, its pyramid resolved
sizes            whether images fit the sizes that are asked for
plan             what is done, and what is left
unchanged        whether all that is asked for is done and stands as it was left
capacity         memory, and how many rows fit a device
estimate         what is left in memory, disk and time
loop             ask, batch, compute, tell
folder           an experiment's folder
removing         runs or a whole experiment gone, with what links to them
source_images    its photographs, paintings and masks, at the sizes of the pictures
"""
