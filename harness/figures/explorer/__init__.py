"""The explorer: one page of an experiment's or a sweep's pictures, with its numbers, for a browser.

    page        write_explorer(results): explore.html in their folder, which names pictures relative to itself
    contents    contents(results): all that the page shows, as plain data
    archive     export_explorer(results, "for_anna.zip"): the page with its pictures, in one file

    page.html   a grid of pictures with captions, which is the page where no script runs
    page.js     what takes it over: sliders, pictures beside each other, numbers
    table.js    the table of all runs; sorting and filtering, also of the grid
    plots.js    the two plots, by Bokeh's own JavaScript, which lies in its Python package
    page.css    light and dark

Nothing here imports torch, matplotlib or Bokeh's Python.
"""

from harness.figures.explorer.archive import export_explorer
from harness.figures.explorer.page import write_explorer

__all__ = ["export_explorer", "write_explorer"]
