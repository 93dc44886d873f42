"""Figures for papers: labelled grids of pictures, loss curves. PNG and PDF, the same bytes every time.

    grid      Tile(image, caption, reason);
              draw_grid(tiles, column_labels, row_labels, sources, title, path_png, path_pdf, scale)
    curves    draw_curves(histories, path_png, path_pdf, along)
    labels    format_value(value): numbers, layers and names as they stand in a figure
    layout    where everything in a grid goes, in whole pixels
    text      wrapping and shrinking text to a width
    files     one style whatever the user's matplotlibrc, and the saving of both files

Importing ``harness.figures`` imports no matplotlib; its modules do.
"""
