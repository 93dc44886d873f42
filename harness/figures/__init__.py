"""Figures for papers: labelled grids of pictures, loss curves, fronts. PNG and PDF, the same bytes every time.

    results     draw_results(results): everything there is to draw of an experiment or a sweep
    explorer    write_explorer(results): a page of the pictures for a browser
    experiment  draw_experiment(results): figure, curves
    front       draw_front(results): a sweep with several objectives
    single_objective  draw_search(results): a sweep with one
    outcomes    what a sweep's trials came to; non_dominated(values)
    placing     where pictures stand around a front
    panels      draw_grid(tiles, …, path_png, path_pdf, scale)
    curves      draw_curves(histories, path_png, path_pdf, looks)
    axes        scales and the numbers along them
    labels      values, layers, starts and cases as they stand in a figure
    layout      Tile(image, caption, reason, above), labels, in whole pixels; Paper(width_in, size_pt)
    arrange     a grid of them for a screen or for paper; grid: where they go; sizes: how large they are
    headings    labels of rows and columns
    regions     parts of pictures, cut out or enlarged
    captions    what stands once; figure.tex
    text        wrapping and shrinking text to a width
    files       one style whatever the user's matplotlibrc, and the saving of both files

Importing ``harness.figures`` imports no matplotlib; its modules do.
"""

from harness.downloads import ensure_home

ensure_home()  # before matplotlib, which complains of a folder for its settings that cannot be written
